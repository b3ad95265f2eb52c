/*
 * test_nginx.c - the origin beside nginx, on the same files.
 *
 * A fixture that its author alone has tested agrees with its author's mistakes. So every request
 * below is sent to both, and status, Content-Range, Content-Length and body must be the same; where
 * RFC 9110 and nginx part, the row says what nginx answers. Skipped when there is no nginx.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NGINX "/usr/sbin/nginx"
#define SKIPPED 77

static struct server server;
static struct client client, foreign;
static struct response ours, theirs;
static char directory[] = "/tmp/origin-nginx-XXXXXX";
static pid_t nginx;
static uint16_t nginx_port, nginx_json_port;

static const struct {
	const char *path;
	const char *range; /* NULL: the whole */
	int nginx_status;  /* 0: the same as ours */
} cases[] = {
	{"/data", NULL},
	{"/data", "bytes=0-0"},
	{"/data", "bytes=0-99999"},
	{"/data", "bytes=0-"},
	{"/data", "bytes=1-1"},
	{"/data", "bytes=4096-8191"},
	{"/data", "bytes=4095-8192"},
	{"/data", "bytes=99999-99999"},
	{"/data", "bytes=99999-"},
	{"/data", "bytes=99999-200000"},
	{"/data", "bytes=50000-9223372036854775807"},
	{"/data", "bytes=-1"},
	{"/data", "bytes=-100000"},
	{"/data", "bytes=-100001"},
	{"/data", "bytes=-0"},
	{"/data", "bytes=100000-"},
	{"/data", "bytes=100000-100000"},
	{"/data", "bytes=200000-300000"},
	{"/data", "Bytes=5-6"},
	{"/data", "bytes= 5-6"},
	{"/data", "bytes=5-6 "},
	{"/data", "items=0-1"},
	{"/data", "bytes="},
	{"/data", ""},
	{"/one", "bytes=0-0"},
	{"/one", "bytes=1-1"},
	{"/one", "bytes=-5"},
	{"/empty", NULL},
	{"/empty", "bytes=-1", 200},
	{"/page", "bytes=0-4095"},
	{"/page", "bytes=4096-"},
	{"/sub/na%6De%20with%20spaces", "bytes=1-2"},
	{"/none", "bytes=0-1"},
	/* To be ignored by RFC 9110 section 14.2; nginx takes them for unsatisfiable. */
	{"/data", "bytes=5-3", 416},
	{"/data", "bytes=a-b", 416},
	{"/data", "bytes=1-2x", 416},
	/* Valid by the RFC's grammar; nginx gives up at 2^63. */
	{"/data", "bytes=0-99999999999999999999", 416},
	{"/data", "bytes=0-1,", 416},
	/* Beyond the end of an empty object; nginx lets the start 0 pass. */
	{"/empty", "bytes=0-0", 200},
	{"/empty", "bytes=0-", 200},
};

static void request_both(const char *method, const char *path, const char *fields)
{
	client_request(&client, method, path, fields, &ours);
	client_request(&foreign, method, path, fields, &theirs);
}

static void assert_same_field(const char *name, const char *what)
{
	char value[4096];

	snprintf(value, sizeof(value), "%s", response_field(&ours, name));
	if (strcmp(value, response_field(&theirs, name)) != 0)
		fail_msg("%s: %s: '%s', nginx '%s'", what, name, value,
			response_field(&theirs, name));
}

static void test_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char fields[128] = "";

		if (cases[i].range)
			snprintf(fields, sizeof(fields), "Range: %s\r\n", cases[i].range);
		request_both("GET", cases[i].path, fields);
		if (theirs.status != (cases[i].nginx_status ? cases[i].nginx_status : ours.status))
			fail_msg("%s %s: %d, nginx %d", cases[i].path, fields, ours.status,
				theirs.status);
		if (ours.status != theirs.status)
			continue;
		assert_same_field("Content-Range", fields);
		assert_same_field("Last-Modified", fields);
		/* Pages that say an error are everybody's own. */
		if (ours.status >= 400)
			continue;
		assert_same_field("Content-Length", fields);
		assert_same_field("Content-Type", fields);
		assert_same_field("Accept-Ranges", fields);
		assert_int_equal(ours.length, theirs.length);
		assert_memory_equal(ours.body, theirs.body, ours.length);
	}
}

static const char *const conditions[] = {
	"If-Match: \"x\"\r\n",
	"If-Match: *\r\n",
	"If-None-Match: \"x\"\r\n",
	"If-None-Match: *\r\n",
	"If-Modified-Since: " FILE_MODIFIED "\r\n",
	"If-Modified-Since: Mon, 06 May 2024 07:08:08 GMT\r\n",
	"If-Modified-Since: nonsense\r\n",
	"If-Unmodified-Since: " FILE_MODIFIED "\r\n",
	"If-Unmodified-Since: Mon, 06 May 2024 07:08:08 GMT\r\n",
	"Range: bytes=1-2\r\nIf-Range: " FILE_MODIFIED "\r\n",
	"Range: bytes=1-2\r\nIf-Range: Mon, 06 May 2024 07:08:08 GMT\r\n",
	"Range: bytes=1-2\r\nIf-Range: \"x\"\r\n",
	"Range: bytes=1-2\r\nIf-Match: \"x\"\r\n",
};

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
		/* What has no body must not be waited for. */
		bool bodiless = i == 3 || i == 4;

		/* nginx says keep-alive in a 412, and closes. */
		client_close(&foreign);
		client_open(&foreign, nginx_port);
		request_both(bodiless ? "HEAD" : "GET", "/data", conditions[i]);
		if (ours.status != theirs.status)
			fail_msg("%s: %d, nginx %d", conditions[i], ours.status, theirs.status);
		assert_same_field("Content-Range", conditions[i]);
	}
}

/* nginx sends its listings in chunks: they are taken from HTTP/1.0, without framing. */
static void index_of(uint16_t port, const char *path, struct response *response)
{
	char text[256];

	client_open(&foreign, port);
	snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n\r\n", path);
	client_send(&foreign, text);
	assert_true(client_receive_head(&foreign, response));
	assert_int_equal(client_receive_rest(&foreign, response), 0);
	assert_int_equal(response->status, 200);
	response->body[response->length] = '\0';
	client_close(&foreign);
}

static void assert_same_index(uint16_t our_port, uint16_t their_port)
{
	static const char *const paths[] = {"/", "/sub/"};

	client_close(&foreign);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		index_of(our_port, paths[i], &ours);
		index_of(their_port, paths[i], &theirs);
		assert_string_equal(ours.body, theirs.body);
		assert_same_field("Content-Type", paths[i]);
	}
	client_open(&foreign, nginx_port);
}

static void test_html_index(void **state)
{
	(void)state;
	assert_same_index(origin_port(server.origin), nginx_port);
}

static void test_json_index(void **state)
{
	struct origin_process process;

	(void)state;
	assert_int_equal(
		origin_spawn(&(struct origin_options){.root = server.root, .index_json = true},
			&process),
		0);
	assert_same_index(process.port, nginx_json_port);
	assert_int_equal(origin_process_finish(&process), 0);
}

static uint16_t free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void write_config(const char *path)
{
	static const char *const temporary[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file, "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/log;\n",
		directory, directory);
	fputs("events {}\nhttp {\n\taccess_log off;\n\ttypes {}\n", file);
	fputs("\tdefault_type application/octet-stream;\n\tautoindex on;\n", file);
	for (size_t i = 0; i < sizeof(temporary) / sizeof(*temporary); i++)
		fprintf(file, "\t%s_temp_path %s/%s;\n", temporary[i], directory, temporary[i]);
	fprintf(file, "\troot %s;\n\tserver { listen 127.0.0.1:%u; }\n", server.root, nginx_port);
	fprintf(file, "\tserver { listen 127.0.0.1:%u; autoindex_format json; }\n}\n",
		nginx_json_port);
	fclose(file);
}

static bool answers(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = connect(fd, (struct sockaddr *)&address, sizeof(address));

	close(fd);
	return !err;
}

static bool start_nginx(void)
{
	static const struct timespec pause = {.tv_nsec = 10000000};
	char config[64], errors[64];

	assert_non_null(mkdtemp(directory));
	/* Started by root, its worker is another user. */
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(chmod(server.root, 0755), 0);
	nginx_port = free_port();
	nginx_json_port = free_port();
	snprintf(config, sizeof(config), "%s/conf", directory);
	snprintf(errors, sizeof(errors), "%s/log", directory);
	write_config(config);
	nginx = fork();
	if (!nginx) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(NGINX, NGINX, "-p", directory, "-c", config, "-e", errors, NULL);
		_exit(127);
	}
	for (int i = 0; i < 1000; i++) {
		if (answers(nginx_json_port))
			return true;
		if (waitpid(nginx, NULL, WNOHANG) == nginx)
			return false;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int start(void **state)
{
	static char data[100000];

	(void)state;
	server_start(&server, (struct origin_options){.root = ""});
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 2654435761u >> 13);
	server_add_file(&server, "data", data, sizeof(data));
	server_add_file(&server, "page", data, 4096);
	server_add_file(&server, "one", "1", 1);
	server_add_file(&server, "empty", "", 0);
	server_add_directory(&server, "sub");
	server_add_file(&server, "sub/name with spaces", "text", 4);
	server_add_file(&server, "sub/<&>\"'%?#:;@[]{}|\\^`~!$*()+,=", "text", 4);
	server_add_file(&server, "sub/control\001\t\n\x7f", "text", 4);
	server_add_file(&server, "sub/\xc3\xa4\xc3\xb6\xc3\xbc", "text", 4);
	server_add_file(&server, "sub/exactly-fifty-characters-are-in-this-name-of-a-file", "t", 1);
	server_add_file(&server, "sub/exactly-fifty-characters-are-in-this-name-a-file-", "t", 1);
	server_add_file(
		&server, "sub/a-name-of-a-file-with-many-more-than-fifty-characters<>&", "", 0);
	server_add_directory(&server, "sub/exactly-forty-nine-characters-are-in-this-name-ab");
	server_add_directory(&server, "sub/exactly-fifty-characters-are-in-this-directory-nm");
	server_add_directory(&server, "sub/a-directory-with-a-name-longer-than-fifty-characters");
	server_add_directory(&server, "sub/b");
	if (!start_nginx())
		return -1;
	client_open(&client, origin_port(server.origin));
	client_open(&foreign, nginx_port);
	return 0;
}

static int stop(void **state)
{
	static const char *const files[] = {
		"conf", "log", "pid", "client_body", "proxy", "fastcgi", "uwsgi", "scgi"};

	(void)state;
	client_close(&client);
	client_close(&foreign);
	kill(nginx, SIGTERM);
	waitpid(nginx, NULL, 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
		assert_true(!remove(path) || errno == ENOENT);
	}
	assert_int_equal(rmdir(directory), 0);
	server_stop(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_html_index),
		cmocka_unit_test(test_json_index),
	};

	if (access(NGINX, X_OK) < 0) {
		printf("skipped: there is no " NGINX "\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
