/*
 * server.c - starts servers as programs, and talks to the origin's control paths by hand: with a
 * client that shares nothing with the code under test.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

#define NGINX "/usr/sbin/nginx"
#define CONNECT_TRIES 1000 /* of 10 ms each */

/* ---- programs ----------------------------------------------------------------------------- */

/* out: a descriptor for its stdout, or -1. The child dies with the thread that calls this. */
static pid_t run_program(char *const argv[], int out)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

static void end_program(pid_t *pid, int number)
{
	int status;

	if (*pid <= 0)
		return;
	kill(*pid, number);
	while (waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- the origin --------------------------------------------------------------------------- */

/* Reads "listening on ADDRESS:PORT" from the program, which serves by then. */
static uint16_t read_port(int fd)
{
	char line[128] = "", *colon;
	size_t len = 0;

	while (len < sizeof line - 1 && !strchr(line, '\n')) {
		ssize_t n = read(fd, line + len, sizeof line - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		assert_true(n > 0);
		len += (size_t)n;
		line[len] = '\0';
	}
	colon = strrchr(line, ':');
	assert_non_null(colon);
	return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static void start_origin(struct server *server)
{
	const char *program = getenv("PAGEIN_ORIGIN");
	char port[16];
	int pipe_fds[2];
	char *argv[] = {(char *)(program ? program : ORIGIN_PROGRAM), "--root", server->root,
		"--port", port, NULL};

	snprintf(port, sizeof port, "%u", server->port);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	server->pid = run_program(argv, pipe_fds[1]);
	close(pipe_fds[1]);
	server->port = read_port(pipe_fds[0]);
	close(pipe_fds[0]);
}

static void make_root(struct server *server)
{
	*server = (struct server){0};
	strcpy(server->root, "/tmp/pagein-test-XXXXXX");
	assert_non_null(mkdtemp(server->root));
	/* nginx's workers are somebody else when it is started by root. */
	assert_int_equal(chmod(server->root, 0755), 0);
}

void server_start(struct server *server)
{
	make_root(server);
	start_origin(server);
}

void server_kill(struct server *server)
{
	end_program(&server->pid, SIGKILL);
}

void server_restart(struct server *server)
{
	uint16_t port = server->port;

	assert_int_equal(server->pid, 0);
	start_origin(server);
	assert_int_equal(server->port, port);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void server_stop(struct server *server)
{
	end_program(&server->pid, SIGTERM);
	if (server->root[0])
		nftw(server->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	server->root[0] = '\0';
}

/* ---- nginx -------------------------------------------------------------------------------- */

static const char nginx_conf[] =
	"daemon off;\nmaster_process off;\npid %1$s/.nginx/pid;\n"
	"error_log %1$s/.nginx/error.log;\n"
	"events { worker_connections 512; }\n"
	"http {\n"
	"	access_log off;\n"
	"	client_body_temp_path %1$s/.nginx/a;\n	proxy_temp_path %1$s/.nginx/b;\n"
	"	fastcgi_temp_path %1$s/.nginx/c;\n	uwsgi_temp_path %1$s/.nginx/d;\n"
	"	scgi_temp_path %1$s/.nginx/e;\n"
	"	keepalive_requests 1000000;\n"
	"	server {\n"
	"		listen 127.0.0.1:%2$u;\n		root %1$s;\n"
	"		autoindex on;\n"
	"		location /json/ { autoindex_format json; alias %1$s/; }\n"
	"		location /moved/ { return 302 /$arg_to; }\n"
	"		location /loop { return 302 /loop; }\n"
	"		location /forbidden { return 403; }\n"
	"		location /noranges/ { max_ranges 0; alias %1$s/; }\n"
	"		location /short/ { keepalive_requests 1; alias %1$s/; }\n"
	"		location /.nginx { return 404; }\n"
	"	}\n"
	"}\n";

static uint16_t free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

static void write_conf(const struct server *server, char *path, size_t max)
{
	FILE *file;

	snprintf(path, max, "%s/.nginx", server->root);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, max, "%s/.nginx/conf", server->root);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, nginx_conf, server->root, server->port);
	fclose(file);
}

bool server_start_nginx(struct server *server)
{
	char conf[128], log[128];
	char *argv[] = {NGINX, "-e", log, "-c", conf, NULL};
	int fd = -1;

	if (access(NGINX, X_OK) != 0) {
		fprintf(stderr, "skipped: no " NGINX "\n");
		return false;
	}
	make_root(server);
	/* Between free_port() and nginx's bind another may take it: then with the next one. */
	for (int attempt = 0; attempt < 5 && fd < 0; attempt++) {
		char path[128];

		server->port = free_port();
		snprintf(path, sizeof path, "%s/.nginx", server->root);
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
		write_conf(server, conf, sizeof conf);
		snprintf(log, sizeof log, "%s/.nginx/error.log", server->root);
		server->pid = run_program(argv, -1);
		for (int i = 0; i < CONNECT_TRIES && fd < 0; i++) {
			if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
				server->pid = 0;
				break;
			}
			fd = connect_to(server->port);
			if (fd < 0)
				usleep(10000);
		}
	}
	assert_true(fd >= 0);
	close(fd);
	return true;
}

/* ---- what it is asked --------------------------------------------------------------------- */

const char *server_url(const struct server *server, const char *path)
{
	static char urls[8][512];
	static unsigned next;
	char *url = urls[next++ % array_len(urls)];

	snprintf(url, sizeof *urls, "http://127.0.0.1:%u/%s", server->port, path);
	return url;
}

/* One request on a connection of its own; the whole answer. */
static void control(const struct server *server, const char *method, const char *path,
	const char *body, char *answer, size_t max)
{
	cleanup_fd int fd = connect_to(server->port);
	cleanup_free char *request = NULL;
	size_t len = 0;
	int request_len = asprintf(&request,
		"%s /.origin/%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, strlen(body), body);

	assert_true(fd >= 0 && request_len > 0);
	assert_int_equal(send(fd, request, (size_t)request_len, MSG_NOSIGNAL), request_len);
	for (;;) {
		ssize_t n = recv(fd, answer + len, max - 1 - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	answer[len] = '\0';
}

void server_script(const struct server *server, const char *rules)
{
	char answer[4096];

	control(server, "PUT", "script", rules, answer, sizeof answer);
	if (!strstr(answer, " 204 "))
		fail_msg("the origin refuses the script:\n%s\n%s", rules, answer);
}

uint64_t server_count(const struct server *server, const char *name)
{
	char answer[4096], key[64], *found;

	control(server, "GET", "stats", "", answer, sizeof answer);
	snprintf(key, sizeof key, "\"%s\": ", name);
	found = strstr(answer, key);
	assert_non_null(found);
	return strtoull(found + strlen(key), NULL, 10);
}

void server_reset_counts(const struct server *server)
{
	char answer[4096];

	control(server, "PUT", "reset", "", answer, sizeof answer);
	assert_non_null(strstr(answer, " 204 "));
}
