/* test_protocol.c - HTTP/1.1 itself: what keeps a connection, what breaks it, what is refused. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "origin.h"

static struct server server;
static struct client client;
static struct response response;

static void test_keep_alive(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		client_request(&client, "GET", "/file", NULL, &response);
		assert_int_equal(response.status, 200);
		assert_memory_equal(response.body, "text", 4);
	}
	assert_string_equal(response_field(&response, "Connection"), "keep-alive");
}

static void test_pipelining(void **state)
{
	(void)state;
	client_send(&client, "GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
			     "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
			     "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
			     "GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=1-1\r\n\r\n");
	client_receive(&client, &response, false);
	assert_int_equal(response.length, 4);
	client_receive(&client, &response, true);
	assert_string_equal(response_field(&response, "Content-Length"), "4");
	client_receive(&client, &response, false);
	assert_int_equal(response.status, 404);
	client_receive(&client, &response, false);
	assert_int_equal(response.status, 206);
	assert_memory_equal(response.body, "e", 1);
}

/* More than the input buffer holds, with requests cut wherever it ends. */
static void test_long_pipeline(void **state)
{
	static const char one[] = "GET /file HTTP/1.1\r\nHost: pipeline\r\nX: 0123456789\r\n\r\n";
	enum { COUNT = 2000 };
	size_t size = COUNT * strlen(one) + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < COUNT; i++)
		memcpy(text + i * strlen(one), one, sizeof(one));
	client_send(&client, text);
	free(text);
	for (int i = 0; i < COUNT; i++) {
		client_receive(&client, &response, false);
		assert_int_equal(response.status, 200);
	}
}

static void test_a_request_byte_by_byte(void **state)
{
	static const char text[] = "\r\nGET /file HTTP/1.1\r\nHost: slow\r\n\r\n";
	char one[2] = "";

	(void)state;
	for (const char *p = text; *p; p++) {
		one[0] = *p;
		client_send(&client, one);
	}
	client_receive(&client, &response, false);
	assert_int_equal(response.status, 200);
}

/* Each on a connection of its own: the status, and whether it is closed after that. */
static const struct {
	const char *request;
	int status;
	bool closed;
} cases[] = {
	{"GET /file HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /file HTTP/1.1\nHost: a\n\n", 200, false},
	{"GET http://other/file HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /file?a=b HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /%66il%65 HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", 200, true},
	{"GET /file HTTP/1.0\r\n\r\n", 200, true},
	{"GET /file HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, false},
	/* Framing that could be understood in two ways ends the connection. */
	{"GET /file HTTP/1.1\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost : a\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400,
		true},
	{"GET /file HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", 200, true},
	{"POST /file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501,
		true},
	{"GET  /file HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /file\r\n\r\n", 400, true},
	{"GET /file HTTP/1\r\n\r\n", 400, true},
	{"GET /file HTTP/2.0\r\nHost: a\r\n\r\n", 505, true},
	{"G@T /file HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET file HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"\x16\x03\x01 hello\r\n\r\n", 400, true},
	{"POST /file HTTP/1.1\r\nHost: a\r\n\r\n", 405, false},
	{"PUT /file HTTP/1.1\r\nHost: a\r\n\r\n", 405, false},
	{"DELETE /file HTTP/1.1\r\nHost: a\r\n\r\n", 405, false},
	{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405, false},
	/* Nothing outside of the root. */
	{"GET /../file HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /sub/../../file HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /%2e%2e/file HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /sub%2f%2e%2e%2ffile HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /..file HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
	{"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /%6 HTTP/1.1\r\nHost: a\r\n\r\n", 400, true},
	{"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
	{"GET /file/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
	{"GET /fifo HTTP/1.1\r\nHost: a\r\n\r\n", 403, false},
	{"GET /sub HTTP/1.1\r\nHost: a\r\n\r\n", 301, false},
	{"GET /sub/ HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET //sub///in HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /generated/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
	{"GET /generated/0 HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /generated/1k-2 HTTP/1.1\r\nHost: a\r\n\r\n", 200, false},
	{"GET /generated/1X HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
	{"GET /generated/-1 HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
	{"GET /generated/99999999999T HTTP/1.1\r\nHost: a\r\n\r\n", 404, false},
};

static void test_table(void **state)
{
	struct client *other = malloc(sizeof(*other));

	(void)state;
	assert_non_null(other);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		client_open(other, origin_port(server.origin));
		client_send(other, cases[i].request);
		client_receive(other, &response, false);
		if (response.status != cases[i].status)
			fail_msg("%s%d", cases[i].request, response.status);
		assert_string_equal(response_field(&response, "Connection"),
			cases[i].closed ? "close" : "keep-alive");
		if (cases[i].closed) {
			assert_int_equal(client_receive_rest(other, &response), 0);
		} else {
			client_request(other, "GET", "/file", NULL, &response);
			assert_int_equal(response.status, 200);
		}
		client_close(other);
	}
	free(other);
}

static void send_long(struct client *other, const char *start, size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	memcpy(text, start, strlen(start));
	client_send(other, text);
	free(text);
	client_receive(other, &response, false);
	assert_int_equal(client_receive_rest(other, &response), 0);
}

static void test_limits(void **state)
{
	struct client *other = malloc(sizeof(*other));

	(void)state;
	assert_non_null(other);
	client_open(other, origin_port(server.origin));
	send_long(other, "GET /file HTTP/1.1\r\nHost: a\r\nX: ", 100000);
	assert_int_equal(response.status, 431);
	client_close(other);
	client_open(other, origin_port(server.origin));
	send_long(other, "GET /", 100000);
	assert_int_equal(response.status, 414);
	client_close(other);
	free(other);
}

static void test_redirect(void **state)
{
	(void)state;
	client_request(&client, "GET", "/sub", NULL, &response);
	assert_string_equal(response_field(&response, "Location"), "/sub/");
	/* "//sub/" would be the host "sub". */
	client_request(&client, "GET", "//sub", NULL, &response);
	assert_string_equal(response_field(&response, "Location"), "/sub/");
}

static void test_method_not_allowed_says_what_is(void **state)
{
	(void)state;
	client_request(&client, "POST", "/file", NULL, &response);
	assert_string_equal(response_field(&response, "Allow"), "GET, HEAD");
}

/* Its end of the connection is closed, and it still gets its answer. */
static void test_half_closed_client(void **state)
{
	struct client *other = malloc(sizeof(*other));

	(void)state;
	assert_non_null(other);
	client_open(other, origin_port(server.origin));
	client_send(other, "GET /generated/512K HTTP/1.1\r\nHost: a\r\n\r\n");
	shutdown(other->fd, SHUT_WR);
	client_receive(other, &response, false);
	assert_int_equal(response.length, 512 << 10);
	assert_int_equal(client_receive_rest(other, &response), 0);
	client_close(other);
	free(other);
}

static unsigned long stat_of(const char *name)
{
	char quoted[64];
	char *found;

	client_request(&client, "GET", "/.origin/stats", NULL, &response);
	assert_int_equal(response.status, 200);
	response.body[response.length] = '\0';
	snprintf(quoted, sizeof(quoted), "\"%s\": ", name);
	found = strstr(response.body, quoted);
	assert_non_null(found);
	return strtoul(found + strlen(quoted), NULL, 10);
}

static void test_stats(void **state)
{
	(void)state;
	client_request(&client, "PUT", "/.origin/reset", NULL, &response);
	assert_int_equal(response.status, 204);
	client_request(&client, "GET", "/file", NULL, &response);
	client_request(&client, "GET", "/file", "Range: bytes=0-1\r\n", &response);
	assert_int_equal(stat_of("requests"), 2);
	assert_int_equal(stat_of("ranged_requests"), 1);
	assert_int_equal(stat_of("connections_accepted"), 0);
	assert_true(stat_of("connections_open") >= 1);
	assert_true(stat_of("body_bytes") >= 6);
}

static void test_expected_continue(void **state)
{
	(void)state;
	client_send(&client, "PUT /.origin/script HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n"
			     "Expect: 100-continue\r\n\r\n");
	assert_true(client_receive_head(&client, &response));
	assert_int_equal(response.status, 100);
	client_send(&client, "# none\n");
	client_receive(&client, &response, false);
	assert_int_equal(response.status, 204);
}

static void test_bad_options(void **state)
{
	struct origin *origin = NULL;

	(void)state;
	assert_int_equal(
		origin_create(&(struct origin_options){.root = "/nonexistent"}, &origin), -2);
	assert_int_equal(
		origin_create(&(struct origin_options){.address = "localhost"}, &origin), -22);
	assert_null(origin);
}

static int start(void **state)
{
	char path[128];

	(void)state;
	server_start(&server, (struct origin_options){.root = ""});
	server_add_file(&server, "file", "text", 4);
	server_add_directory(&server, "sub");
	server_add_file(&server, "sub/in", "deep", 4);
	snprintf(path, sizeof(path), "%s/fifo", server.root);
	assert_int_equal(mkfifo(path, 0600), 0);
	client_open(&client, origin_port(server.origin));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_close(&client);
	server_stop(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_long_pipeline),
		cmocka_unit_test(test_a_request_byte_by_byte),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_redirect),
		cmocka_unit_test(test_method_not_allowed_says_what_is),
		cmocka_unit_test(test_half_closed_client),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_expected_continue),
		cmocka_unit_test(test_bad_options),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
