/* test_ranges.c - RFC 9110 section 14, by a table, and through a socket. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "pattern.h"
#include "ranges.h"

static const struct {
	const char *value;
	uint64_t size;
	int status;
	uint64_t start, end; /* of a 206 */
} cases[] = {
	{NULL, 10, 200},
	{"bytes=0-0", 10, 206, 0, 1},
	{"bytes=0-9", 10, 206, 0, 10},
	{"bytes=3-5", 10, 206, 3, 6},
	{"bytes=9-9", 10, 206, 9, 10},
	{"bytes=5-", 10, 206, 5, 10},
	{"bytes=0-", 10, 206, 0, 10},
	/* The last position is cut to the size, however large it is. */
	{"bytes=5-10", 10, 206, 5, 10},
	{"bytes=5-18446744073709551615", 10, 206, 5, 10},
	{"bytes=5-99999999999999999999999", 10, 206, 5, 10},
	/* Suffixes. */
	{"bytes=-1", 10, 206, 9, 10},
	{"bytes=-10", 10, 206, 0, 10},
	{"bytes=-11", 10, 206, 0, 10},
	{"bytes=-99999999999999999999999", 10, 206, 0, 10},
	{"bytes=-0", 10, 416},
	/* Beyond the end. */
	{"bytes=10-", 10, 416},
	{"bytes=10-10", 10, 416},
	{"bytes=99999999999999999999999-", 10, 416},
	/* An empty object. */
	{"bytes=0-", 0, 416},
	{"bytes=0-0", 0, 416},
	{"bytes=-1", 0, 200},
	{"bytes=-0", 0, 416},
	/* Large objects. */
	{"bytes=9223372036854775806-", INT64_MAX, 206, INT64_MAX - 1, INT64_MAX},
	{"bytes=4294967296-4294967297", INT64_MAX, 206, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 2},
	/* Names of units have no case; elements of a list may be empty. */
	{"Bytes=0-0", 10, 206, 0, 1},
	{"bytes= 0-0", 10, 206, 0, 1},
	{"bytes=0-0 ", 10, 206, 0, 1},
	{"bytes=,0-0,", 10, 206, 0, 1},
	/* Invalid ones must be ignored. */
	{"bytes=5-3", 10, 200},
	{"bytes=", 10, 200},
	{"bytes=-", 10, 200},
	{"bytes=a-b", 10, 200},
	{"bytes=0x1-2", 10, 200},
	{"bytes=1-2x", 10, 200},
	{"bytes=1--2", 10, 200},
	{"bytes=+1-2", 10, 200},
	{"bytes=1", 10, 200},
	{"bytes=1 - 2", 10, 200},
	{"bytes 1-2", 10, 200},
	{"bytes", 10, 200},
	{"", 10, 200},
	{"items=0-1", 10, 200},
	{"bytesx=0-1", 10, 200},
	/* Several ranges may be answered with everything. */
	{"bytes=0-1,3-4", 10, 200},
	{"bytes=0-1, 3-4", 10, 200},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct range range;
		int status = origin_range_resolve(
			origin_range_parse(cases[i].value), cases[i].size, &range);

		if (status != cases[i].status)
			fail_msg("%s of %ju: %d", cases[i].value, (uintmax_t)cases[i].size, status);
		if (status != 206)
			continue;
		assert_int_equal(range.start, cases[i].start);
		assert_int_equal(range.end, cases[i].end);
	}
}

static struct server server;
static struct client client;
static struct response response;

static int start(void **state)
{
	(void)state;
	server_start(&server, (struct origin_options){.root = ""});
	server_add_file(&server, "digits", "0123456789", 10);
	server_add_file(&server, "empty", "", 0);
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

static void get(const char *path, const char *range)
{
	char fields[256];

	snprintf(fields, sizeof(fields), "Range: %s\r\n", range);
	client_request(&client, "GET", path, fields, &response);
}

static void test_partial_content(void **state)
{
	(void)state;
	get("/digits", "bytes=3-5");
	assert_int_equal(response.status, 206);
	assert_string_equal(response_field(&response, "Content-Range"), "bytes 3-5/10");
	assert_string_equal(response_field(&response, "Content-Length"), "3");
	assert_string_equal(response_field(&response, "Content-Type"), "application/octet-stream");
	assert_memory_equal(response.body, "345", 3);
}

static void test_unsatisfiable(void **state)
{
	(void)state;
	get("/digits", "bytes=10-");
	assert_int_equal(response.status, 416);
	assert_string_equal(response_field(&response, "Content-Range"), "bytes */10");
	get("/empty", "bytes=0-0");
	assert_int_equal(response.status, 416);
	assert_string_equal(response_field(&response, "Content-Range"), "bytes */0");
}

static void test_ignored(void **state)
{
	(void)state;
	get("/digits", "bytes=5-3");
	assert_int_equal(response.status, 200);
	assert_string_equal(response_field(&response, "Content-Range"), "");
	assert_string_equal(response_field(&response, "Accept-Ranges"), "bytes");
	assert_int_equal(response.length, 10);
}

/* Ranges are defined for GET only. */
static void test_head_has_no_ranges(void **state)
{
	(void)state;
	client_request(&client, "HEAD", "/digits", "Range: bytes=3-5\r\n", &response);
	assert_int_equal(response.status, 200);
	assert_string_equal(response_field(&response, "Content-Length"), "10");
}

static void test_generated(void **state)
{
	static unsigned char expected[100000];

	(void)state;
	get("/generated/8G-5", "bytes=8000000001-8000100000");
	assert_int_equal(response.status, 206);
	assert_string_equal(response_field(&response, "Content-Range"),
		"bytes 8000000001-8000100000/8589934592");
	assert_int_equal(response.length, sizeof(expected));
	pattern_fill(5, 8000000001, expected, sizeof(expected));
	assert_memory_equal(response.body, expected, sizeof(expected));
}

static void test_generated_to_the_last_byte(void **state)
{
	unsigned char expected[3];

	(void)state;
	get("/generated/9223372036854775807", "bytes=-3");
	assert_string_equal(response_field(&response, "Content-Range"),
		"bytes 9223372036854775804-9223372036854775806/9223372036854775807");
	pattern_fill(0, INT64_MAX - 3, expected, 3);
	assert_memory_equal(response.body, expected, 3);
	get("/generated/9223372036854775808", "bytes=-3");
	assert_int_equal(response.status, 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_partial_content),
		cmocka_unit_test(test_unsatisfiable),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_head_has_no_ranges),
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_generated_to_the_last_byte),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
