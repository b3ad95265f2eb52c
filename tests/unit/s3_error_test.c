/* s3_error_test.c - S3's error codes: each is known, and so is what is done about it. */
#include <errno.h>

#include "check.h"
#include "s3_error.h"

static void codes_have_their_meaning(void **state)
{
	static const struct {
		const char *code;
		unsigned status;
		int err;
		enum s3_remedy remedy;
	} rows[] = {
		{"NoSuchKey", 404, -ENOENT, S3_FINAL},
		{"NoSuchBucket", 404, -ENOENT, S3_FINAL},
		{"AccessDenied", 403, -EACCES, S3_FINAL},
		{"InvalidAccessKeyId", 403, -EACCES, S3_SESSION},
		{"SignatureDoesNotMatch", 403, -EACCES, S3_FINAL},
		{"ExpiredToken", 400, -EACCES, S3_REFRESH},
		{"RequestTimeTooSkewed", 403, -EACCES, S3_CLOCK},
		{"SlowDown", 503, -EIO, S3_AGAIN},
		{"InternalError", 500, -EIO, S3_AGAIN},
		{"PreconditionFailed", 412, -ESTALE, S3_FINAL},
		{"InvalidRange", 416, -ESTALE, S3_FINAL},
		{"PermanentRedirect", 301, -EREMOTE, S3_REGION},
		{"TemporaryRedirect", 307, -EREMOTE, S3_REGION},
		{"AuthorizationHeaderMalformed", 400, -EACCES, S3_REGION},
		{"InvalidObjectState", 403, -EACCES, S3_FINAL},
		{"RequestTimeout", 400, -ETIMEDOUT, S3_AGAIN},
		/* Without a code the status decides. */
		{"", 404, -ENOENT, S3_FINAL},
		{"", 403, -EACCES, S3_REGION},
		{"", 400, -EINVAL, S3_REGION},
		{"", 301, -EREMOTE, S3_REGION},
		{"", 412, -ESTALE, S3_FINAL},
		{"", 500, -EIO, S3_AGAIN},
		{"", 503, -EIO, S3_AGAIN},
		{"", 429, -EIO, S3_AGAIN},
		{"Unheard", 409, -EIO, S3_FINAL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct s3_meaning meaning = s3_error_meaning(rows[i].code, rows[i].status);

		assert_int_equal(meaning.err, rows[i].err);
		assert_int_equal(meaning.remedy, rows[i].remedy);
		if (rows[i].code[0] && strcmp(rows[i].code, "Unheard") != 0 &&
			strcmp(rows[i].code, "RequestTimeout") != 0)
			assert_non_null(meaning.words);
	}
}

static void an_error_is_read(void **state)
{
	static const char text[] =
		"<?xml version=\"1.0\"?>\n<Error>\n<Code>AuthorizationHeaderMalformed</Code>"
		"<Message>the region is &quot;wrong&quot;</Message><Region>eu-west-1</Region>"
		"<RequestId>1</RequestId></Error>";
	struct s3_error error;

	(void)state;
	s3_error_parse(text, sizeof text - 1, &error);
	assert_string_equal(error.code, "AuthorizationHeaderMalformed");
	assert_string_equal(error.message, "the region is \"wrong\"");
	assert_string_equal(error.region, "eu-west-1");
}

static void what_is_none_says_nothing(void **state)
{
	static const char *const wrongs[] = {"", "hello", "<Error>", "<Error><Code>A</Code>",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><Error><Code>&b;</Code></Error>",
		"<Other><Code>A</Code></Other>", "<Error><Code>A</Code></Error><more/>"};
	struct s3_error error;

	(void)state;
	for (size_t i = 0; i < array_len(wrongs); i++) {
		s3_error_parse(wrongs[i], strlen(wrongs[i]), &error);
		assert_string_equal(error.code, "");
		assert_string_equal(error.message, "");
	}
}

static void its_words_are_cut(void **state)
{
	char text[4096] = "<Error><Code>";
	struct s3_error error;

	(void)state;
	memset(text + strlen(text), 'c', 3000);
	strcat(text, "</Code></Error>");
	s3_error_parse(text, strlen(text), &error);
	assert_int_equal(strlen(error.code), sizeof error.code - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_have_their_meaning),
		cmocka_unit_test(an_error_is_read),
		cmocka_unit_test(what_is_none_says_nothing),
		cmocka_unit_test(its_words_are_cut),
	};

	return run_group(tests);
}
