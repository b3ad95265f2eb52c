/* test_script.c - the script's grammar, its conditions, and each action through a socket. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "pattern.h"
#include "script.h"

static struct server server;
static struct client control;
static struct client *client;
static struct response response;

/* The grammar. */

static const struct {
	const char *text;
	const char *error; /* NULL: it is fine */
} grammar[] = {
	{"", NULL},
	{"\n  \n# only a comment\n", NULL},
	{": delay=10ms", NULL},
	{":delay=10ms,rate=80MB", NULL},
	{"path=*.bin nth=3 : status=503 # why", NULL},
	{"path=\"/a b:c,d#e\" : close", NULL},
	{"range=1M-2M,method=GET : truncate=0\r\n: reset\r\n", NULL},
	{": header=\"X: a\\r\\n\\t\\\"\\\\\\x41\"", NULL},
	{"percent=12.5 seed=7 : close", NULL},
	{"after=1s until=1m : close", NULL},
	{"path=/x", "line 1: no actions: Invalid argument"},
	{"# fine\nnth=x : close", "line 2: nth: Invalid argument"},
	{"nth : close", "line 1: nth: Invalid argument"},
	{"color=red : close", "line 1: color: unknown word"},
	{": explode", "line 1: explode: unknown word"},
	{": close=1", "line 1: close: Invalid argument"},
	{": delay", "line 1: delay: Invalid argument"},
	{": delay=10", "line 1: delay: Invalid argument"},
	{": delay=ms", "line 1: delay: Invalid argument"},
	{": rate=99999999999999999999", "line 1: rate: Numerical result out of range"},
	{": rate=80MB : close", "line 1: a second colon: Invalid argument"},
	{": header=\"X: a", "line 1: header: Invalid argument"},
	{": header=\"X: \\xzz\"", "line 1: header: Invalid argument"},
	{": header=\"X: a\"b", "line 1: header: Invalid argument"},
	{": header=X", "line 1: header: Invalid argument"},
	{"percent=101 : close", "line 1: percent: Invalid argument"},
	{"every=0 : close", "line 1: every: Invalid argument"},
	{"range=5 : close", "line 1: range: Invalid argument"},
};

static void test_grammar(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(grammar) / sizeof(*grammar); i++) {
		struct script *script = NULL;
		char error[128] = "";
		int err = origin_script_parse(grammar[i].text, 0, &script, error, sizeof(error));

		if (err != (grammar[i].error ? -EINVAL : 0))
			fail_msg("%s: %d %s", grammar[i].text, err, error);
		if (grammar[i].error)
			assert_string_equal(error, grammar[i].error);
		origin_script_destroy(script);
	}
}

/* Which of the requests 1, 2, ... 9 does a rule catch? */
static const struct {
	const char *conditions;
	const char *caught;
} counting[] = {
	{"", "123456789"},
	{"nth=3", "3"},
	{"from=7", "789"},
	{"first=2", "12"},
	{"from=3 first=4", "34"},
	{"every=4", "48"},
	{"percent=0", ""},
	{"percent=100", "123456789"},
	{"path=/a*", "123456789"},
	{"path=/b*", ""},
	{"method=HEAD", ""},
	{"range=100-200", "123456789"},
	{"range=101-200", ""},
	{"range=0-100", ""},
	{"range=100-", "123456789"},
	{"after=1s", "6789"},
	{"until=1s", "12345"},
	{"after=1s nth=2", "7"},
};

static void catch_requests(const char *rule, char caught[static 10])
{
	struct script *script = NULL;
	char error[128];

	assert_int_equal(origin_script_parse(rule, 0, &script, error, sizeof(error)), 0);
	for (unsigned number = 1; number <= 9; number++) {
		struct actions actions = {0};
		struct script_request request = {
			.path = "/abc",
			.method = "GET",
			.ranged = true,
			.range_start = 100,
			.now_ns = number * 180 * NS_PER_MS,
		};

		origin_script_match(script, &request, &actions);
		if (action_given(&actions, ACTION_CLOSE))
			*caught++ = (char)('0' + number);
	}
	*caught = '\0';
	origin_script_destroy(script);
}

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(counting) / sizeof(*counting); i++) {
		char rule[128], caught[10];

		snprintf(rule, sizeof(rule), "%s : close", counting[i].conditions);
		catch_requests(rule, caught);
		if (strcmp(caught, counting[i].caught) != 0)
			fail_msg("%s: %s", rule, caught);
	}
}

static void test_percent_can_be_repeated(void **state)
{
	char first[10], second[10];

	(void)state;
	catch_requests("percent=50 seed=3 : close", first);
	catch_requests("percent=50 seed=3 : close", second);
	assert_string_equal(first, second);
	catch_requests("percent=50 seed=4 : close", second);
	assert_string_not_equal(first, second);
}

/* The actions. Each test has a connection of its own. */

static void get(const char *script, const char *fields)
{
	char text[512];

	client_set_script(&control, script);
	snprintf(text, sizeof(text), "GET /generated/100K HTTP/1.1\r\nHost: a\r\n%s\r\n",
		fields ? fields : "");
	client_send(client, text);
}

static void get_whole(const char *script, const char *fields)
{
	get(script, fields);
	client_receive(client, &response, false);
}

static void assert_body(uint64_t offset, size_t len)
{
	static unsigned char expected[100 << 10];

	assert_int_equal(response.length, len);
	pattern_fill(0, offset, expected, len);
	assert_memory_equal(response.body, expected, len);
}

static void test_rules_add_up(void **state)
{
	(void)state;
	get_whole(": header=\"X: 1\" status=500\nfirst=1 : status=503", NULL);
	assert_int_equal(response.status, 503);
	assert_string_equal(response_field(&response, "X"), "1");
	client_request(client, "GET", "/generated/1", NULL, &response);
	assert_int_equal(response.status, 500);
}

static void test_delay(void **state)
{
	uint64_t start = clock_now_ns();

	(void)state;
	get_whole(": delay=30ms", NULL);
	assert_true(clock_now_ns() - start >= 30 * NS_PER_MS);
	assert_body(0, 100 << 10);
}

/* One thread keeps all of them waiting at the same time. */
static void test_many_delays(void **state)
{
	enum { COUNT = 400 };
	int fds[COUNT];

	(void)state;
	client_set_script(&control, ": delay=100ms");
	for (int i = 0; i < COUNT; i++) {
		client_open(client, origin_port(server.origin));
		client_send(client, "GET /generated/10 HTTP/1.1\r\nHost: a\r\n\r\n");
		fds[i] = client->fd;
	}
	for (int i = 0; i < COUNT; i++) {
		client->fd = fds[i];
		client_receive(client, &response, false);
		assert_body(0, 10);
		client_close(client);
	}
}

static void test_rate(void **state)
{
	uint64_t start = clock_now_ns();

	(void)state;
	get_whole(": rate=1000KB", NULL);
	assert_true(clock_now_ns() - start >= 102 * NS_PER_MS);
	assert_body(0, 100 << 10);
}

static void test_one_byte_per(void **state)
{
	uint64_t start = clock_now_ns();

	(void)state;
	get_whole(": one-byte-per=2ms", "Range: bytes=8-17\r\n");
	assert_true(clock_now_ns() - start >= 20 * NS_PER_MS);
	assert_body(8, 10);
}

static void test_status(void **state)
{
	(void)state;
	get_whole(": status=503", NULL);
	assert_int_equal(response.status, 503);
	assert_non_null(strstr(response.body, "503 Service Unavailable"));
	assert_string_equal(response_field(&response, "ETag"), "");
	get_whole(": status=206", NULL);
	assert_string_equal(response_field(&response, "Content-Range"), "bytes 0-102399/102400");
	assert_body(0, 100 << 10);
	get_whole(": status=204", NULL);
	assert_int_equal(response.status, 204);
	get_whole(": status-line=\"HTTP/1.1 two hundred\"", NULL);
	assert_memory_equal(response.head, "HTTP/1.1 two hundred\r\n", 22);
}

static void test_headers(void **state)
{
	(void)state;
	get_whole(": header=\"Content-Type: text/x\" add-header=\"Content-Length: 7\" "
		  "drop-header=Last-Modified",
		NULL);
	assert_string_equal(response_field(&response, "Content-Type"), "text/x");
	assert_string_equal(response_field(&response, "Last-Modified"), "");
	assert_non_null(strstr(response.head, "Content-Length: 102400\r\n"));
	assert_non_null(strstr(response.head, "Content-Length: 7\r\n"));
}

static void test_label_actions(void **state)
{
	(void)state;
	get_whole(": content-range=\"bytes 1-2/3\"", "Range: bytes=0-4\r\n");
	assert_int_equal(response.status, 206);
	assert_string_equal(response_field(&response, "Content-Range"), "bytes 1-2/3");
	assert_body(0, 5);
	get_whole(": gzip-label", "Range: bytes=0-4\r\n");
	assert_string_equal(response_field(&response, "Content-Encoding"), "gzip");
	assert_body(0, 5);
	get_whole(": length=4", "Range: bytes=0-4\r\n");
	assert_body(0, 4);
	client_receive_body(client, &response, 1);
	assert_body(0, 5);
	get_whole(": ignore-range", "Range: bytes=5-9\r\n");
	assert_int_equal(response.status, 200);
	assert_body(0, 100 << 10);
}

/* The same bytes under another label, and other bytes under the same. */
static void test_wrong_bytes(void **state)
{
	(void)state;
	get_whole(": shift=3", "Range: bytes=10-19\r\n");
	assert_string_equal(response_field(&response, "Content-Range"), "bytes 13-22/102400");
	assert_body(13, 10);
	get_whole(": skew=1024", "Range: bytes=10-19\r\n");
	assert_string_equal(response_field(&response, "Content-Range"), "bytes 10-19/102400");
	assert_body(1034, 10);
	get_whole(": corrupt=70000", NULL);
	response.body[70000] ^= 1;
	assert_body(0, 100 << 10);
	get_whole(": seed=1", "Range: bytes=0-7\r\n");
	pattern_fill(1, 0, response.body + 8, 8);
	assert_memory_equal(response.body, response.body + 8, 8);
}

static void test_versions(void **state)
{
	(void)state;
	get_whole(": etag=\"\\\"new\\\"\"", "If-Match: \"new\"\r\nRange: bytes=0-1\r\n");
	assert_int_equal(response.status, 206);
	assert_string_equal(response_field(&response, "ETag"), "\"new\"");
	get_whole(": etag=\"\\\"new\\\"\"", "If-Match: \"old\"\r\n");
	assert_int_equal(response.status, 412);
	get_whole(": ignore-conditions", "If-Match: \"old\"\r\nRange: bytes=0-1\r\n");
	assert_int_equal(response.status, 206);
	get_whole(": size=5", NULL);
	assert_body(0, 5);
	get_whole(": size=5", "Range: bytes=5-\r\n");
	assert_int_equal(response.status, 416);
	assert_string_equal(response_field(&response, "Content-Range"), "bytes */5");
}

static void test_body(void **state)
{
	(void)state;
	get_whole(": body=\"--a\\r\\nb\" header=\"Content-Type: multipart/byteranges; boundary=a\"",
		NULL);
	assert_int_equal(response.length, 6);
	assert_memory_equal(response.body, "--a\r\nb", 6);
	get_whole(": status=500 body=\"<Error/>\"", NULL);
	assert_int_equal(response.status, 500);
	assert_memory_equal(response.body, "<Error/>", 8);
	get_whole(": body=", NULL);
	assert_int_equal(response.length, 0);
}

static void test_close(void **state)
{
	(void)state;
	get(": close", NULL);
	response.length = 0;
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_int_equal(response.length, 0);
}

static void test_reset(void **state)
{
	(void)state;
	get(": reset", NULL);
	response.length = 0;
	assert_int_equal(client_receive_rest(client, &response), ECONNRESET);
	assert_int_equal(response.length, 0);
}

static void test_truncate(void **state)
{
	(void)state;
	get(": truncate=70000", NULL);
	assert_true(client_receive_head(client, &response));
	assert_string_equal(response_field(&response, "Content-Length"), "102400");
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_body(0, 70000);
}

static void test_truncate_by_reset(void **state)
{
	(void)state;
	get(": truncate=10 reset", NULL);
	assert_true(client_receive_head(client, &response));
	assert_int_equal(client_receive_rest(client, &response), ECONNRESET);
	assert_body(0, 10);
}

static void test_cut_head(void **state)
{
	(void)state;
	get(": cut-head=20", NULL);
	response.length = 0;
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_int_equal(response.length, 20);
}

static void test_stall(void **state)
{
	(void)state;
	get(": stall=70000", NULL);
	assert_true(client_receive_head(client, &response));
	client_receive_body(client, &response, 70000);
	assert_body(0, 70000);
	assert_true(client_is_silent(client));
}

static void test_stall_for(void **state)
{
	uint64_t start = clock_now_ns();

	(void)state;
	get_whole(": stall=10 stall-for=30ms", NULL);
	assert_true(clock_now_ns() - start >= 30 * NS_PER_MS);
	assert_body(0, 100 << 10);
}

/* A client that leaves ends the wait. */
static unsigned long connections_open(void)
{
	char *found;

	client_request(&control, "GET", "/.origin/stats", NULL, &response);
	response.body[response.length] = '\0';
	found = strstr(response.body, "\"connections_open\": ");
	assert_non_null(found);
	return strtoul(found + strlen("\"connections_open\": "), NULL, 10);
}

static void test_waiting_connections_end_with_their_client(void **state)
{
	static const char *const scripts[] = {": delay=1h", ": stall=0", ": close-after=1h",
		": stall=70000 stall-for=1h", ": rate=1KB"};

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
		get(scripts[i], NULL);
		client_close(client);
		while (connections_open() > 1)
			;
		client_open(client, origin_port(server.origin));
	}
}

static void test_chunked(void **state)
{
	size_t at = 0, len = 0;

	(void)state;
	get(": chunked no-keepalive", NULL);
	assert_true(client_receive_head(client, &response));
	assert_string_equal(response_field(&response, "Transfer-Encoding"), "chunked");
	assert_string_equal(response_field(&response, "Content-Length"), "");
	assert_int_equal(client_receive_rest(client, &response), 0);
	response.body[response.length] = '\0';
	/* Take the framing out, in place. */
	for (;;) {
		char *end;
		size_t size = strtoul(response.body + at, &end, 16);

		assert_memory_equal(end, "\r\n", 2);
		at = (size_t)(end + 2 - response.body);
		memmove(response.body + len, response.body + at, size);
		assert_memory_equal(response.body + at + size, "\r\n", 2);
		at += size + 2;
		len += size;
		if (!size)
			break;
	}
	assert_int_equal(at, response.length);
	response.length = len;
	assert_body(0, 100 << 10);
}

static void test_http10(void **state)
{
	(void)state;
	get(": http10", NULL);
	assert_true(client_receive_head(client, &response));
	assert_memory_equal(response.head, "HTTP/1.0 200 OK\r\n", 17);
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_body(0, 100 << 10);
}

static void test_no_keepalive(void **state)
{
	(void)state;
	get(": no-keepalive", NULL);
	assert_true(client_receive_head(client, &response));
	assert_string_equal(response_field(&response, "Connection"), "close");
	assert_int_equal(client_receive_rest(client, &response), 0);
}

/* The promise of keep-alive is broken between two requests. */
static void test_close_after(void **state)
{
	(void)state;
	get_whole(": close-after=0", NULL);
	assert_string_equal(response_field(&response, "Connection"), "keep-alive");
	assert_body(0, 100 << 10);
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_body(0, 100 << 10);
}

static void test_large_heads(void **state)
{
	(void)state;
	get(": header-flood=500 header-long=200K no-keepalive", NULL);
	response.length = 0;
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_in_range(response.length, 300 << 10, 350 << 10);
	response.body[response.length] = '\0';
	assert_non_null(strstr(response.body, "X-Flood: "));
	assert_non_null(strstr(response.body, "X-Long: xxxx"));
}

static void test_interim(void **state)
{
	(void)state;
	get(": interim=3", NULL);
	for (int i = 0; i < 3; i++) {
		assert_true(client_receive_head(client, &response));
		assert_int_equal(response.status, 103);
	}
	client_receive(client, &response, false);
	assert_int_equal(response.status, 200);
	assert_body(0, 100 << 10);
}

/* Another object under this name: its bytes, its version, its length. */
static void test_as(void **state)
{
	(void)state;
	get_whole(": as=/generated/100K-5", NULL);
	assert_string_equal(response_field(&response, "ETag"), "\"g5-19000\"");
	assert_int_equal(response.length, 100 << 10);
	pattern_fill(5, 0, response.body + response.length, response.length);
	assert_memory_equal(response.body, response.body + response.length, response.length);
	client_request(client, "GET", "/generated/10", NULL, &response);
	assert_int_equal(response.length, 100 << 10);
	client_set_script(&control, ": as=nothing");
	client_request(client, "GET", "/generated/10", NULL, &response);
	assert_int_equal(response.status, 404);
}

static void test_numbered_bodies(void **state)
{
	unsigned long first;

	(void)state;
	get_whole(": status=200 body=\"number {n}.\"", NULL);
	response.body[response.length] = '\0';
	assert_memory_equal(response.body, "number ", 7);
	first = strtoul(response.body + 7, NULL, 10);
	client_request(client, "GET", "/generated/1", NULL, &response);
	assert_int_equal(strtoul(response.body + 7, NULL, 10), first + 1);
}

static void test_odd_heads(void **state)
{
	(void)state;
	get_whole(": odd-case header-nul", NULL);
	assert_non_null(strstr(response.head, "\r\ncOnTeNt-lEnGtH:\t \t102400 \t \r\n"));
	assert_non_null(strstr(response.head, "\r\nX-Nul: a"));
	assert_body(0, 100 << 10);
}

static void test_surplus(void **state)
{
	(void)state;
	get(": surplus=24 no-keepalive", "Range: bytes=0-99\r\n");
	assert_true(client_receive_head(client, &response));
	assert_string_equal(response_field(&response, "Content-Length"), "100");
	assert_int_equal(client_receive_rest(client, &response), 0);
	assert_int_equal(response.length, 124);
}

static void test_queries_and_logins(void **state)
{
	static const char script[] = "query=*b=2* : status=400\n"
				     "authorization=?* : header=\"X: known\"\n"
				     "authorization=\"\" : header=\"X: nobody\"";

	(void)state;
	client_set_script(&control, script);
	client_request(client, "GET", "/generated/1?a=1&b=2", NULL, &response);
	assert_int_equal(response.status, 400);
	client_request(client, "GET", "/generated/1?a=1", NULL, &response);
	assert_int_equal(response.status, 200);
	assert_string_equal(response_field(&response, "X"), "nobody");
	client_request(client, "GET", "/generated/1", "Authorization: Basic eA==\r\n", &response);
	assert_string_equal(response_field(&response, "X"), "known");
}

static void test_rules_count_what_they_met(void **state)
{
	(void)state;
	client_set_script(&control, "path=/generated/1 : delay=0ms\nnth=2 : delay=0ms\n"
				    "path=/none : close");
	client_request(client, "GET", "/generated/1", NULL, &response);
	client_request(client, "GET", "/generated/2", NULL, &response);
	client_request(client, "GET", "/generated/3", NULL, &response);
	client_request(client, "GET", "/.origin/rules", NULL, &response);
	response.body[response.length] = '\0';
	assert_string_equal(response.body, "1\n1\n0\n");
}

static void test_bad_script_is_refused(void **state)
{
	(void)state;
	get_whole(": header=\"X: kept\"", NULL);
	client_send(client,
		"PUT /.origin/script HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n: explode");
	client_receive(client, &response, false);
	assert_int_equal(response.status, 400);
	response.body[response.length] = '\0';
	assert_string_equal(response.body, "script: line 1: explode: unknown word\n");
	client_request(client, "GET", "/generated/1", NULL, &response);
	assert_string_equal(response_field(&response, "X"), "kept");
}

static int start(void **state)
{
	(void)state;
	client = malloc(sizeof(*client));
	if (!client)
		return -1;
	server_start(&server, (struct origin_options){.script = "# none"});
	client_open(&control, origin_port(server.origin));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_close(&control);
	server_stop(&server);
	free(client);
	return 0;
}

static int connect_client(void **state)
{
	(void)state;
	client_open(client, origin_port(server.origin));
	return 0;
}

static int disconnect_client(void **state)
{
	(void)state;
	client_close(client);
	return 0;
}

#define action_test(function) \
	cmocka_unit_test_setup_teardown(function, connect_client, disconnect_client)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_percent_can_be_repeated),
		action_test(test_rules_add_up),
		action_test(test_delay),
		cmocka_unit_test(test_many_delays),
		action_test(test_rate),
		action_test(test_one_byte_per),
		action_test(test_status),
		action_test(test_headers),
		action_test(test_label_actions),
		action_test(test_wrong_bytes),
		action_test(test_versions),
		action_test(test_body),
		action_test(test_close),
		action_test(test_reset),
		action_test(test_truncate),
		action_test(test_truncate_by_reset),
		action_test(test_cut_head),
		action_test(test_stall),
		action_test(test_stall_for),
		action_test(test_waiting_connections_end_with_their_client),
		action_test(test_chunked),
		action_test(test_http10),
		action_test(test_no_keepalive),
		action_test(test_close_after),
		action_test(test_large_heads),
		action_test(test_interim),
		action_test(test_as),
		action_test(test_numbered_bodies),
		action_test(test_odd_heads),
		action_test(test_surplus),
		action_test(test_queries_and_logins),
		action_test(test_rules_count_what_they_met),
		action_test(test_bad_script_is_refused),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
