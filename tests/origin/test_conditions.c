/* test_conditions.c - RFC 9110 section 13, each row with the status it must give. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static struct server server;
static struct client client;
static struct response response;

/* E is the object's ETag, and is put in when the request is made; the file is of FILE_MODIFIED. */
static const struct {
	const char *fields;
	int status;
} cases[] = {
	{"", 200},
	{"If-Match: E\r\n", 200},
	{"If-Match: *\r\n", 200},
	{"If-Match: \"x\", E\r\n", 200},
	{"If-Match: \"x\"\r\n", 412},
	{"If-Match: W/E\r\n", 412}, /* strong comparison */
	{"If-Match: x\r\n", 412},
	{"If-Unmodified-Since: Mon, 06 May 2024 07:08:09 GMT\r\n", 200},
	{"If-Unmodified-Since: Mon, 06 May 2024 07:08:08 GMT\r\n", 412},
	{"If-Unmodified-Since: Monday, 06-May-24 07:08:08 GMT\r\n", 412},
	{"If-Unmodified-Since: Mon May  6 07:08:08 2024\r\n", 412},
	{"If-Unmodified-Since: yesterday\r\n", 200},
	{"If-None-Match: E\r\n", 304},
	{"If-None-Match: W/E\r\n", 304}, /* weak comparison */
	{"If-None-Match: *\r\n", 304},
	{"If-None-Match: \"x\"\r\n", 200},
	{"If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT\r\n", 304},
	{"If-Modified-Since: Mon, 06 May 2024 07:08:08 GMT\r\n", 200},
	{"If-Modified-Since: Mon, 32 May 2024 07:08:10 GMT\r\n", 200},
	/* The order of section 13.2.2: a tag outweighs its date, If-Match comes first. */
	{"If-Match: E\r\nIf-Unmodified-Since: Mon, 06 May 2024 07:08:08 GMT\r\n", 200},
	{"If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 06 May 2024 07:08:09 GMT\r\n", 200},
	{"If-Match: \"x\"\r\nIf-None-Match: E\r\n", 412},
	{"If-Match: E\r\nIf-None-Match: E\r\n", 304},
	/* Conditions before ranges. */
	{"Range: bytes=0-3\r\nIf-Match: E\r\n", 206},
	{"Range: bytes=0-3\r\nIf-Match: \"x\"\r\n", 412},
	{"Range: bytes=99-\r\nIf-Match: \"x\"\r\n", 412},
	{"Range: bytes=99-\r\nIf-None-Match: E\r\n", 304},
	{"Range: bytes=0-3\r\nIf-Range: E\r\n", 206},
	{"Range: bytes=0-3\r\nIf-Range: W/E\r\n", 200},
	{"Range: bytes=0-3\r\nIf-Range: \"x\"\r\n", 200},
	{"Range: bytes=99-\r\nIf-Range: \"x\"\r\n", 200},
	{"Range: bytes=0-3\r\nIf-Range: Mon, 06 May 2024 07:08:09 GMT\r\n", 206},
	{"Range: bytes=0-3\r\nIf-Range: Mon, 06 May 2024 07:08:10 GMT\r\n", 200},
};

static void put_etag(const char *fields, const char *etag, char *out, size_t size)
{
	size_t len = 0;

	for (; *fields && len + 1 < size; fields++)
		if (fields[0] == 'E' && (fields[-1] == ' ' || fields[-1] == '/'))
			len += (size_t)snprintf(out + len, size - len, "%s", etag);
		else
			out[len++] = *fields;
	out[len] = '\0';
}

static void test_table(void **state)
{
	char etag[128];

	(void)state;
	client_request(&client, "HEAD", "/file", NULL, &response);
	snprintf(etag, sizeof(etag), "%s", response_field(&response, "ETag"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char fields[512];

		put_etag(cases[i].fields, etag, fields, sizeof(fields));
		client_request(&client, "GET", "/file", fields, &response);
		if (response.status != cases[i].status)
			fail_msg("%s: %d", fields, response.status);
	}
}

static void test_not_modified_has_no_body(void **state)
{
	(void)state;
	client_request(&client, "GET", "/file", "If-None-Match: *\r\n", &response);
	assert_int_equal(response.status, 304);
	assert_string_equal(response_field(&response, "Content-Length"), "");
	assert_string_not_equal(response_field(&response, "ETag"), "");
	/* The next answer stands where a body would. */
	client_request(&client, "GET", "/file", NULL, &response);
	assert_int_equal(response.status, 200);
}

static void test_validators(void **state)
{
	(void)state;
	client_request(&client, "GET", "/file", NULL, &response);
	/* Nanoseconds since 1970, and the size. */
	assert_string_equal(response_field(&response, "ETag"), "\"17ccd493d3cc9f00-4\"");
	assert_string_equal(response_field(&response, "Last-Modified"), FILE_MODIFIED);
	client_request(&client, "GET", "/generated/16-10", NULL, &response);
	assert_string_equal(response_field(&response, "ETag"), "\"ga-10\"");
}

/* A missing object stays missing, whatever is said about its version. */
static void test_missing_comes_first(void **state)
{
	(void)state;
	client_request(&client, "GET", "/none", "If-Match: *\r\n", &response);
	assert_int_equal(response.status, 404);
}

static void test_a_changed_file_is_another_version(void **state)
{
	char before[128];

	(void)state;
	server_add_file(&server, "changing", "old", 3);
	client_request(&client, "GET", "/changing", NULL, &response);
	snprintf(before, sizeof(before), "%s", response_field(&response, "ETag"));
	server_add_file(&server, "changing", "newer", 5);
	client_request(&client, "GET", "/changing", NULL, &response);
	assert_string_not_equal(response_field(&response, "ETag"), before);
	assert_memory_equal(response.body, "newer", 5);
}

static int start(void **state)
{
	(void)state;
	server_start(&server, (struct origin_options){.root = ""});
	server_add_file(&server, "file", "text", 4);
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
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_not_modified_has_no_body),
		cmocka_unit_test(test_validators),
		cmocka_unit_test(test_missing_comes_first),
		cmocka_unit_test(test_a_changed_file_is_another_version),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
