/*
 * http_head_test.c - the reader of response heads, and what a head means for a ranged GET.
 *
 * Most tests ask for bytes 4096-8191 of an object of 100,000 bytes with a strong ETag, and change
 * one thing in an otherwise right answer.
 */
#include "check.h"

#include <errno.h>

#include "http_head.h"

#define ETAG "\"v1\""
#define MODIFIED "Mon, 06 May 2024 07:08:09 GMT"
#define STATUS "HTTP/1.1 206 Partial Content\r\n"
#define RANGE "Content-Range: bytes 4096-8191/100000\r\n"
#define LENGTH "Content-Length: 4096\r\n"
#define TAG "ETag: " ETAG "\r\n"
#define GOOD STATUS RANGE LENGTH TAG "\r\n"

static const struct range asked = {4096, 8192};

static struct version known_version(const char *etag, const char *modified)
{
	struct version version = {.size = 100000, .mtime_s = -1};

	strcpy(version.etag, etag);
	strcpy(version.modified, modified);
	return version;
}

/* What a whole head means; -EBADMSG: not even a head. */
static int check_head(const char *text, size_t len, const struct version *version, bool *ret_again)
{
	static struct http_head head;
	const char *reason = NULL;
	long head_len = http_head_read(&head, text, len);
	int err;

	*ret_again = false;
	if (head_len < 0)
		return -EBADMSG;
	if (head_len != (long)len)
		fail_msg("a head of %zu bytes was read as %ld:\n%s", len, head_len, text);
	err = http_head_check(&head, asked, version, ret_again, &reason);
	if (err < 0)
		assert_non_null(reason);
	return err;
}

struct head_case {
	const char *head;
	int err;
	bool again;
};

static void check_cases(const struct head_case *cases, size_t count, const struct version *version)
{
	for (size_t i = 0; i < count; i++) {
		bool again;
		int err = check_head(cases[i].head, strlen(cases[i].head), version, &again);

		if (err != cases[i].err || again != cases[i].again)
			fail_msg("%d%s instead of %d%s for:\n%s", err, again ? " again" : "",
				cases[i].err, cases[i].again ? " again" : "", cases[i].head);
	}
}

static void framing_is_checked_to_the_byte(void **state)
{
	static const struct head_case cases[] = {
		{GOOD, 0},
		/* Harmless differences. */
		{"HTTP/1.1 206\r\n" RANGE LENGTH TAG "\r\n", 0},
		{"HTTP/1.1 206 \r\n" RANGE LENGTH TAG "\r\n", 0},
		{"HTTP/1.0 206 OK\r\n" RANGE LENGTH TAG "\r\n", 0},
		{"HTTP/1.1 206 P\nContent-Range: bytes 4096-8191/100000\n"
		 "Content-Length: 4096\nETag: " ETAG "\n\n",
			0},
		{STATUS "content-range:bytes 4096-8191/100000\r\nCONTENT-LENGTH:  4096 \t\r\n"
			"etag:" ETAG "\r\n\r\n",
			0},
		{STATUS RANGE LENGTH LENGTH TAG "\r\n", 0},
		{STATUS RANGE LENGTH TAG "Content-Encoding: identity\r\n\r\n", 0},
		{STATUS RANGE LENGTH TAG "X-Content-Range: bytes 0-1/2\r\nX:\r\n\r\n", 0},
		{STATUS RANGE LENGTH TAG "Content-Type: text/html; a=multipart/byteranges\r\n\r\n",
			0},
		/* Content-Range. */
		{STATUS LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes */100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8191/*\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes */*\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 8191-4096/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes -4096/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8191\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8191/\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8191/100000x\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096 - 8191/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 0x1000-8191/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes=4096-8191/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: pages 4096-8191/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: \r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 0-4095/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8190/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8192/100000\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-8191/8191\r\n" LENGTH TAG "\r\n", -EPROTO},
		{STATUS "Content-Range: bytes 4096-9223372036854775807/100000\r\n" LENGTH TAG
			"\r\n",
			-EPROTO},
		{STATUS "Content-Range: bytes 4096-8191/9223372036854775808\r\n" LENGTH TAG "\r\n",
			-EPROTO},
		{STATUS "Content-Range: bytes 18446744073709555712-18446744073709559807/100000\r\n" LENGTH
				TAG "\r\n",
			-EPROTO},
		{STATUS RANGE RANGE LENGTH TAG "\r\n", -EPROTO},
		/* Content-Length. */
		{STATUS RANGE TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: 4095\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: 4097\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: 0\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: -1\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: +4096\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: 4096, 4096\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: 4096.0\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length:\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE "Content-Length: 18446744073709555712\r\n" TAG "\r\n", -EPROTO},
		{STATUS RANGE LENGTH "Content-Length: 4097\r\n" TAG "\r\n", -EPROTO},
		/* Coding. */
		{STATUS RANGE LENGTH TAG "Content-Encoding: gzip\r\n\r\n", -EPROTO},
		{STATUS RANGE LENGTH TAG "Content-Encoding: identity, gzip\r\n\r\n", -EPROTO},
		{STATUS RANGE LENGTH TAG "Transfer-Encoding: chunked\r\n\r\n", 0},
		{STATUS RANGE TAG "Transfer-Encoding: chunked\r\n\r\n", 0},
		{STATUS LENGTH TAG "Content-Type: multipart/byteranges; boundary=x\r\n\r\n",
			-EPROTO},
		{STATUS RANGE LENGTH TAG "Content-Type: Multipart/ByteRanges;boundary=x\r\n\r\n",
			-EPROTO},
		/* In chunks nothing but the range itself tells of another start. */
		{STATUS "Content-Range: bytes 0-8191/100000\r\n" TAG
			"Transfer-Encoding: chunked\r\n\r\n",
			-EPROTO},
		{STATUS "Content-Range: bytes 4096-8192/100000\r\n" TAG
			"Transfer-Encoding: chunked\r\n\r\n",
			-EPROTO},
		/* Lines. */
		{STATUS RANGE LENGTH TAG "X-Folded: a\r\n b\r\n\r\n", -EPROTO},
		{STATUS RANGE LENGTH TAG "X-Folded: a\r\n\tb\r\n\r\n", -EPROTO},
		{STATUS RANGE LENGTH TAG "no colon\r\n\r\n", -EPROTO},
		{STATUS RANGE LENGTH TAG ": no name\r\n\r\n", -EPROTO},
		{STATUS RANGE "Content-Length : 4096\r\n" TAG "\r\n", -EPROTO},
		/* Not HTTP at all. */
		{"HTTP/2 206\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"HTTP/1.2 206 OK\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"HTTP/1.1  206 OK\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"HTTP/1.1 20 OK\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"HTTP/1.1 2060 OK\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"HTTP/1.1 099 OK\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"ICY 206 OK\r\n" RANGE LENGTH TAG "\r\n", -EBADMSG},
		{"\r\n" GOOD, -EBADMSG},
		{"<html>\r\n\r\n", -EBADMSG},
	};
	struct version version = known_version(ETAG, MODIFIED);

	(void)state;
	check_cases(cases, array_len(cases), &version);
}

static void another_version_is_stale(void **state)
{
	static const struct head_case strong[] = {
		{STATUS RANGE LENGTH "ETag: \"v2\"\r\n\r\n", -ESTALE},
		{STATUS RANGE LENGTH "ETag: W/" ETAG "\r\n\r\n", -ESTALE},
		{STATUS RANGE LENGTH "ETag: \r\n\r\n", -ESTALE},
		{STATUS RANGE LENGTH "\r\n", -ESTALE},
		{STATUS "Content-Range: bytes 4096-8191/100001\r\n" LENGTH TAG "\r\n", -ESTALE},
		/* The strong validator decides. */
		{STATUS RANGE LENGTH TAG "Last-Modified: Mon, 06 May 2024 07:08:10 GMT\r\n\r\n", 0},
	};
	static const struct head_case dated[] = {
		{STATUS RANGE LENGTH "Last-Modified: " MODIFIED "\r\n\r\n", 0},
		{STATUS RANGE LENGTH "Last-Modified: Mon, 06 May 2024 07:08:10 GMT\r\n\r\n",
			-ESTALE},
		{STATUS RANGE LENGTH "\r\n", -ESTALE},
		{STATUS RANGE LENGTH "Last-Modified: " MODIFIED "\r\n" TAG "\r\n", -ESTALE},
	};
	static const struct head_case none[] = {
		{STATUS RANGE LENGTH "\r\n", 0},
		{STATUS RANGE LENGTH TAG "\r\n", -ESTALE},
		{STATUS "Content-Range: bytes 4096-8191/99999\r\n" LENGTH "\r\n", -ESTALE},
	};
	struct version version = known_version(ETAG, MODIFIED);

	(void)state;
	check_cases(strong, array_len(strong), &version);
	version = known_version("", MODIFIED);
	check_cases(dated, array_len(dated), &version);
	version = known_version("", "");
	check_cases(none, array_len(none), &version);
}

static void every_status_but_206_is_an_error(void **state)
{
	struct version version = known_version(ETAG, "");

	(void)state;
	for (unsigned status = 100; status < 1000; status++) {
		char text[512];
		bool again;
		int err, len = snprintf(text, sizeof text,
				 "HTTP/1.1 %u X\r\n" RANGE LENGTH TAG "\r\n", status);

		err = check_head(text, (size_t)len, &version, &again);
		if (status == 206) {
			assert_int_equal(err, 0);
			continue;
		}
		assert_int_equal(err, http_status_errno(status, false).err);
		assert_int_equal(again, http_status_errno(status, false).again);
	}
}

static void a_nul_in_a_field_is_refused(void **state)
{
	static const char text[] = STATUS RANGE LENGTH TAG "X-A: a\0b\r\n\r\n";
	struct version version = known_version(ETAG, "");
	bool again;

	(void)state;
	assert_int_equal(check_head(text, sizeof text - 1, &version, &again), -EPROTO);
}

static void a_partial_head_asks_for_more(void **state)
{
	static const char text[] = GOOD "body";
	static struct http_head head;
	size_t whole = strlen(GOOD);

	(void)state;
	for (size_t len = 0; len < whole; len++)
		assert_int_equal(http_head_read(&head, text, len), 0);
	for (size_t len = whole; len < sizeof text; len++)
		assert_int_equal(http_head_read(&head, text, len), whole);
	assert_int_equal(head.status, 206);
	assert_true(head.has_range && head.range.start == 4096 && head.range.end == 8192);
	assert_true(head.has_total && head.total == 100000);
	assert_true(head.has_length && head.length == 4096);
	assert_string_equal(head.etag, ETAG);
}

static void a_head_may_be_as_long_as_the_limit(void **state)
{
	static struct http_head head;
	size_t frame = strlen(STATUS "X: \r\n\r\n"), len = HTTP_HEAD_MAX;
	char *text = malloc(2 * HTTP_HEAD_MAX);

	(void)state;
	assert_non_null(text);
	for (; len <= HTTP_HEAD_MAX + 2; len++) {
		sprintf(text, STATUS "X: %0*d\r\n\r\n", (int)(len - frame), 0);
		assert_int_equal(strlen(text), len);
		assert_int_equal(http_head_read(&head, text, len),
			len <= HTTP_HEAD_MAX ? (long)len : -EPROTO);
	}
	/* One line without an end. */
	memset(text, 'x', 2 * HTTP_HEAD_MAX);
	assert_int_equal(http_head_read(&head, text, HTTP_HEAD_MAX + 1), -EPROTO);
	assert_int_equal(http_head_read(&head, text, HTTP_HEAD_MAX), 0);
	free(text);
}

static void a_validator_that_is_too_long_is_as_if_there_were_none(void **state)
{
	static struct http_head head;

	(void)state;
	for (size_t len = VALIDATOR_MAX - 1; len <= VALIDATOR_MAX + 1; len++) {
		char line[VALIDATOR_MAX + 32];

		http_head_status(&head, "HTTP/1.1 206", 12);
		sprintf(line, "ETag: \"%0*d\"", (int)len - 2, 0);
		http_head_field(&head, line, strlen(line));
		assert_false(head.bad);
		assert_int_equal(strlen(head.etag), len <= VALIDATOR_MAX ? len : 0);
	}
}

static void a_validator_with_control_characters_is_as_if_there_were_none(void **state)
{
	static struct http_head head;
	static const char line[] = "ETag: \"a\rX: b\"";

	(void)state;
	http_head_status(&head, "HTTP/1.1 206", 12);
	http_head_field(&head, line, sizeof line - 1);
	assert_string_equal(head.etag, "");
}

static void the_connection_ends_when_the_server_says_so(void **state)
{
	static const struct {
		const char *text;
		bool close;
	} cases[] = {
		{"HTTP/1.1 206 X\r\n\r\n", false},
		{"HTTP/1.1 206 X\r\nConnection: close\r\n\r\n", true},
		{"HTTP/1.1 206 X\r\nConnection: Close\r\n\r\n", true},
		{"HTTP/1.1 206 X\r\nConnection: keep-alive, close\r\n\r\n", true},
		{"HTTP/1.1 206 X\r\nConnection: keep-alive\r\n\r\n", false},
		{"HTTP/1.0 206 X\r\n\r\n", true},
		{"HTTP/1.0 206 X\r\nConnection: keep-alive\r\n\r\n", false},
	};
	static struct http_head head;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_true(http_head_read(&head, cases[i].text, strlen(cases[i].text)) > 0);
		assert_int_equal(head.close, cases[i].close);
	}
}

static void retry_after_is_read_in_seconds(void **state)
{
	static const struct {
		const char *line;
		uint64_t seconds;
	} cases[] = {
		{"Retry-After: 5", 5},
		{"Retry-After: 0", 0},
		{"Retry-After: Mon, 06 May 2024 07:08:09 GMT", 0},
		{"Retry-After: -5", 0},
		{"Retry-After: 5s", 0},
	};
	static struct http_head head;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		http_head_status(&head, "HTTP/1.1 503", 12);
		http_head_field(&head, cases[i].line, strlen(cases[i].line));
		assert_true(head.retry_after_s == cases[i].seconds);
		assert_false(head.bad);
	}
}

static void an_absurd_retry_after_does_not_wrap(void **state)
{
	static const char line[] = "Retry-After: 9223372036854775807";
	static struct http_head head;

	(void)state;
	http_head_status(&head, "HTTP/1.1 503", 12);
	http_head_field(&head, line, sizeof line - 1);
	/* As nanoseconds it must still fit beside a clock. */
	assert_true(head.retry_after_s <= UINT64_MAX / 2 / 1000000000);
}

static void any_bytes_give_a_length_or_an_error(void **state)
{
	static struct http_head head;
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		char text[sizeof GOOD];
		long len;

		memcpy(text, GOOD, sizeof text);
		for (uint64_t i = 0; i < 1 + random_next(&seed) % 4; i++)
			text[random_next(&seed) % (sizeof text - 1)] = (char)random_next(&seed);
		len = http_head_read(&head, text, sizeof text - 1);
		assert_true(len == -EPROTO || (len >= 0 && len <= (long)sizeof text - 1));
	}
}

static void the_validator_of_a_version_is_the_strong_etag_else_the_date(void **state)
{
	struct version version = known_version(ETAG, MODIFIED);

	(void)state;
	assert_string_equal(version_validator(&version), ETAG);
	version = known_version("W/" ETAG, MODIFIED);
	assert_string_equal(version_validator(&version), MODIFIED);
	version = known_version("", MODIFIED);
	assert_string_equal(version_validator(&version), MODIFIED);
	version = known_version("", "");
	assert_string_equal(version_validator(&version), "");
}

/* ---- digests ------------------------------------------------------------------------------ */

static enum digest_kind digest_of(const char *fields, const char *status)
{
	char text[1024];
	struct http_head head;

	snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%s\r\n", status, fields);
	assert_true(http_head_read(&head, text, strlen(text)) > 0);
	assert_false(head.bad);
	return http_head_digest(&head).kind;
}

static void a_digest_is_of_the_whole_or_none(void **state)
{
	static const struct {
		const char *fields;
		enum digest_kind in_206, in_200;
	} rows[] = {
		{"", DIGEST_NONE, DIGEST_NONE},
		{"Repr-Digest: crc32c=:4waSgw==:\r\n", DIGEST_CRC32C, DIGEST_CRC32C},
		{"rEPR-dIGEST:crc32c=:4waSgw==:\r\n", DIGEST_CRC32C, DIGEST_CRC32C},
		/* Of the body: a part's, in a 206. */
		{"Content-Digest: crc32c=:4waSgw==:\r\n", DIGEST_NONE, DIGEST_NONE},
		{"Repr-Digest: sha=:AAAA:\r\n", DIGEST_NONE, DIGEST_NONE},
		{"Repr-Digest: md5=:4waSgw==:\r\nRepr-Digest: crc32c=:4waSgw==:\r\n", DIGEST_CRC32C,
			DIGEST_CRC32C},
		{"x-amz-checksum-crc32: y/Q5Jg==\r\n", DIGEST_NONE, DIGEST_CRC32},
		{"x-amz-checksum-crc32: y/Q5Jg==\r\nx-amz-checksum-type: FULL_OBJECT\r\n",
			DIGEST_CRC32, DIGEST_CRC32},
		{"x-amz-checksum-crc32: y/Q5Jg==\r\nx-amz-checksum-type: COMPOSITE\r\n",
			DIGEST_NONE, DIGEST_NONE},
		{"x-amz-checksum-crc32: y/Q5Jg==\r\nx-amz-checksum-type: OTHER\r\n", DIGEST_NONE,
			DIGEST_NONE},
		{"x-amz-checksum-crc32: y/Q5Jg==-2\r\n", DIGEST_NONE, DIGEST_NONE},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++)
		if (digest_of(rows[i].fields, "206 Partial Content") != rows[i].in_206 ||
			digest_of(rows[i].fields, "200 OK") != rows[i].in_200)
			fail_msg("%s", rows[i].fields);
}

static void another_digest_is_another_object(void **state)
{
	static const char head[] = STATUS RANGE LENGTH TAG "Repr-Digest: crc32c=:4waSgw==:\r\n\r\n";
	struct version version = known_version(ETAG, "");
	bool again;

	(void)state;
	assert_true(digest_parse("crc32c:e3069283", &version.digest));
	assert_int_equal(check_head(head, strlen(head), &version, &again), 0);
	version.digest.bytes[3]++;
	assert_int_equal(check_head(head, strlen(head), &version, &again), -ESTALE);
	/* Of another kind, or not told: nothing is known. */
	version.digest.kind = DIGEST_CRC32;
	assert_int_equal(check_head(head, strlen(head), &version, &again), 0);
	assert_int_equal(check_head(GOOD, strlen(GOOD), &version, &again), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(framing_is_checked_to_the_byte),
		cmocka_unit_test(another_version_is_stale),
		cmocka_unit_test(every_status_but_206_is_an_error),
		cmocka_unit_test(a_nul_in_a_field_is_refused),
		cmocka_unit_test(a_partial_head_asks_for_more),
		cmocka_unit_test(a_head_may_be_as_long_as_the_limit),
		cmocka_unit_test(a_validator_that_is_too_long_is_as_if_there_were_none),
		cmocka_unit_test(a_validator_with_control_characters_is_as_if_there_were_none),
		cmocka_unit_test(the_connection_ends_when_the_server_says_so),
		cmocka_unit_test(retry_after_is_read_in_seconds),
		cmocka_unit_test(an_absurd_retry_after_does_not_wrap),
		cmocka_unit_test(any_bytes_give_a_length_or_an_error),
		cmocka_unit_test(the_validator_of_a_version_is_the_strong_etag_else_the_date),
		cmocka_unit_test(a_digest_is_of_the_whole_or_none),
		cmocka_unit_test(another_digest_is_another_object),
	};

	return run_group(tests);
}
