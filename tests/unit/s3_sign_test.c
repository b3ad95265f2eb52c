/*
 * s3_sign_test.c - the signer against what AWS has published: the examples of "Signature
 * Calculations for the Authorization Header" (Amazon S3), and the suite for Signature Version 4 as
 * far as it is about requests like ours. tests/s3/ has it against botocore and libcurl.
 */
#include "check.h"

#include <errno.h>

#include "cleanup.h"
#include "s3_sign.h"

static struct s3_credentials *example_credentials(const char *secret, const char *token)
{
	struct s3_credentials *credentials;

	assert_int_equal(s3_credentials_create(
				 "AKIAIOSFODNN7EXAMPLE", secret, token, S3_NEVER, &credentials),
		0);
	return credentials;
}

static int64_t time_of(const char *text)
{
	int64_t time_s;

	assert_true(s3_time_parse(text, &time_s));
	return time_s;
}

/* One of the headers' values, or "". Good until the next call. */
static const char *value_of(const char *headers, const char *name)
{
	static char value[2048];
	size_t len = strlen(name);

	value[0] = '\0';
	for (const char *at = headers; *at; at = strchr(at, '\n') + 1)
		if (strncmp(at, name, len) == 0 && strncmp(at + len, ": ", 2) == 0)
			snprintf(value, sizeof value, "%.*s", (int)strcspn(at + len + 2, "\r"),
				at + len + 2);
	return value;
}

static char *sign_at(const struct s3_request *request, const char *secret, const char *token,
	const char *service, const char *when)
{
	struct s3_credentials *credentials = example_credentials(secret, token);
	char *headers = NULL;

	assert_int_equal(s3_sign(request,
				 &(struct s3_scope){.credentials = credentials,
					 .region = "us-east-1",
					 .service = service,
					 .now_s = time_of(when)},
				 &headers),
		0);
	s3_credentials_destroy(credentials);
	return headers;
}

static const char s3_secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
static const char suite_secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

static void amazon_s3_examples(void **state)
{
	static const struct {
		const char *path, *query, *signature;
	} table[] = {
		/* "GET Bucket Lifecycle", "Get Bucket (List Objects)" */
		{"/", "lifecycle",
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"/", "max-keys=2&prefix=J",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
		/* The same in another order is the same request. */
		{"/", "prefix=J&max-keys=2",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		cleanup(secret_free_at) char *headers = sign_at(
			&(struct s3_request){.method = "GET",
				.host = "examplebucket.s3.amazonaws.com",
				.path = table[i].path,
				.query = table[i].query,
				.payload = S3_PAYLOAD_EMPTY},
			s3_secret, NULL, "s3", "2013-05-24T00:00:00Z");
		char expected[512];

		snprintf(expected, sizeof expected,
			"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
			"aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
			"Signature=%s",
			table[i].signature);
		assert_string_equal(value_of(headers, "Authorization"), expected);
		assert_string_equal(value_of(headers, "x-amz-date"), "20130524T000000Z");
		assert_string_equal(value_of(headers, "x-amz-content-sha256"), S3_PAYLOAD_EMPTY);
	}
}

/* aws-sig-v4-test-suite: its secret has a plus, its access key is AKIDEXAMPLE. */
static void aws_suite(void **state)
{
	static const struct {
		const char *name, *method, *query, *type, *signature;
	} table[] = {
		{"get-vanilla", "GET", "", NULL,
			"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", "GET", "Param2=value2&Param1=value1", NULL,
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-vanilla-query-unreserved", "GET",
			"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~"
			"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			NULL, "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
		{"get-vanilla-empty-query-key", "GET", "Param1=value1", NULL,
			"a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"post-vanilla", "POST", "", NULL,
			"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-vanilla-query", "POST", "Param1=value1", NULL,
			"28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_credentials *credentials;
		char *headers;
		const char *signature;

		assert_int_equal(s3_credentials_create(
					 "AKIDEXAMPLE", suite_secret, NULL, S3_NEVER, &credentials),
			0);
		assert_int_equal(s3_sign(&(struct s3_request){.method = table[i].method,
						 .host = "example.amazonaws.com",
						 .path = "/",
						 .query = table[i].query,
						 .payload = S3_PAYLOAD_EMPTY,
						 .content_type = table[i].type},
					 &(struct s3_scope){.credentials = credentials,
						 .region = "us-east-1",
						 .service = "service",
						 .now_s = time_of("2015-08-30T12:36:00Z")},
					 &headers),
			0);
		signature = strstr(headers, "Signature=");
		assert_non_null(signature);
		if (strncmp(signature + 10, table[i].signature, 64) != 0)
			fail_msg("%s: %s", table[i].name, headers);
		s3_credentials_destroy(credentials);
		secret_free(headers);
	}
}

/* What is signed, and sent, besides the three: each by itself. */
static void headers_that_are_signed(void **state)
{
	const struct s3_request plain = {
		.method = "GET", .host = "h:9000", .path = "/k", .payload = S3_PAYLOAD_UNSIGNED};
	struct s3_request payer = plain;
	cleanup(secret_free_at) char *one = NULL, *two = NULL, *three = NULL;

	(void)state;
	payer.requester_pays = true;
	one = sign_at(&plain, s3_secret, NULL, "s3", "2024-05-01T12:00:00Z");
	two = sign_at(&payer, s3_secret, "to/ken==", "s3", "2024-05-01T12:00:00Z");
	three = sign_at(&plain, s3_secret, NULL, "sts", "2024-05-01T12:00:00Z");
	assert_non_null(strstr(one, "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"));
	assert_non_null(strstr(two, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
				    "x-amz-request-payer;x-amz-security-token,"));
	assert_non_null(strstr(three, "SignedHeaders=host;x-amz-date,"));
	assert_string_equal(value_of(one, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
	assert_string_equal(value_of(one, "x-amz-request-payer"), "");
	assert_string_equal(value_of(one, "x-amz-security-token"), "");
	assert_string_equal(value_of(two, "x-amz-request-payer"), "requester");
	assert_string_equal(value_of(two, "x-amz-security-token"), "to/ken==");
	assert_string_equal(value_of(three, "x-amz-content-sha256"), "");
	/* Neither Range nor If-Match is among them: one signature for all of an object. */
	assert_null(strstr(two, "range"));
	assert_null(strstr(two, "if-match"));
}

static void what_no_header_can_bear_is_refused(void **state)
{
	struct s3_credentials *credentials = example_credentials(s3_secret, NULL);
	const struct s3_request good = {
		.method = "GET", .host = "h", .path = "/", .payload = S3_PAYLOAD_EMPTY};
	const struct s3_scope here = {
		.credentials = credentials, .region = "r", .service = "s3", .now_s = 0};
	struct s3_request request = good;
	struct s3_scope scope = here;
	char *headers, query[256] = "a";

	(void)state;
	request.host = "h\r\nX: y";
	assert_int_equal(s3_sign(&request, &scope, &headers), -EINVAL);
	request = good;
	scope.region = "r\n";
	assert_int_equal(s3_sign(&request, &scope, &headers), -EINVAL);
	scope = here;
	scope.now_s = -1;
	assert_int_equal(s3_sign(&request, &scope, &headers), -EINVAL);
	scope.now_s = INT64_MAX;
	assert_int_equal(s3_sign(&request, &scope, &headers), -EINVAL);
	scope.now_s = INT64_C(253402300800); /* the year 10000 */
	assert_int_equal(s3_sign(&request, &scope, &headers), -EINVAL);
	for (size_t i = 1; i < 129; i++)
		query[i] = i % 2 ? '&' : 'a';
	request.query = query;
	assert_int_equal(s3_sign(&request, &here, &headers), -E2BIG);
	s3_credentials_destroy(credentials);
}

static void encoding(void **state)
{
	static const struct {
		const char *text, *path, *query;
	} table[] = {
		{"", "", ""},
		{"a/b", "a/b", "a%2Fb"},
		{"//x/../y/.", "//x/../y/.", "%2F%2Fx%2F..%2Fy%2F."},
		{"AZaz09-._~", "AZaz09-._~", "AZaz09-._~"},
		{" +*%&=?#\"", "%20%2B%2A%25%26%3D%3F%23%22", "%20%2B%2A%25%26%3D%3F%23%22"},
		{"\x01\x7f\xff\xc3\xa9", "%01%7F%FF%C3%A9", "%01%7F%FF%C3%A9"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		size_t len = strlen(table[i].text);

		assert_int_equal(s3_encode(table[i].text, len, true, out), strlen(table[i].path));
		assert_string_equal(out, table[i].path);
		s3_encode(table[i].text, len, false, out);
		assert_string_equal(out, table[i].query);
	}
	assert_int_equal(s3_encode("a\0b", 3, true, out), 5);
	assert_string_equal(out, "a%00b");
}

static void hashes(void **state)
{
	char hash[S3_HASH_MAX];

	(void)state;
	assert_int_equal(s3_hash("", 0, hash), 0);
	assert_string_equal(hash, S3_PAYLOAD_EMPTY);
	assert_int_equal(s3_hash("abc", 3, hash), 0);
	assert_string_equal(
		hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void clock_offsets(void **state)
{
	static const char date[] = "Wed, 01 May 2024 12:00:00 GMT";
	int64_t then_s = time_of("2024-05-01T12:00:00Z");

	(void)state;
	assert_int_equal(s3_clock_offset(date, then_s), 0);
	assert_int_equal(s3_clock_offset(date, then_s - S3_SKEW_MIN_S + 1), 0);
	assert_int_equal(s3_clock_offset(date, then_s - S3_SKEW_MIN_S), S3_SKEW_MIN_S);
	assert_int_equal(s3_clock_offset(date, then_s + 86400), -86400);
	assert_int_equal(s3_clock_offset(" Wed, 01 May 2024 12:00:00 GMT\r\n", then_s - 900), 900);
	assert_int_equal(s3_clock_offset("yesterday", then_s), 0);
	assert_int_equal(s3_clock_offset("", then_s), 0);
	assert_int_equal(s3_clock_offset(NULL, then_s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amazon_s3_examples),
		cmocka_unit_test(aws_suite),
		cmocka_unit_test(headers_that_are_signed),
		cmocka_unit_test(what_no_header_can_bear_is_refused),
		cmocka_unit_test(encoding),
		cmocka_unit_test(hashes),
		cmocka_unit_test(clock_offsets),
	};

	return run_group(tests);
}
