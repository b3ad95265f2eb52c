/*
 * s3_url_test.c - s3:// URLs both ways, and where buckets are; the hosts are those that botocore
 * asks in the same cases.
 */
#include <errno.h>

#include "check.h"
#include "s3_url.h"
#include "scheme.h"
#include "url.h"

static void keys_become_urls(void **state)
{
	static const struct {
		const char *given, *url;
	} rows[] = {
		{"s3://bucket", "s3://bucket"},
		{"S3://bucket/", "s3://bucket/"},
		{"s3://bucket/a/b", "s3://bucket/a/b"},
		{"s3://bucket//a//", "s3://bucket//a//"},
		{"s3://bucket/a b%20?c#d", "s3://bucket/a%20b%2520%3Fc%23d"},
		{"s3://bucket/../.", "s3://bucket/../."},
		{"s3://bucket/\xff\x01+", "s3://bucket/%FF%01%2B"},
		{"s3://Old_Bucket.name/x", "s3://Old_Bucket.name/x"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		char *url, *bucket;
		const char *key;

		assert_int_equal(scheme_url(rows[i].given, &url), 0);
		assert_string_equal(url, rows[i].url);
		assert_int_equal(s3_url_parse(url, &bucket, &key), 0);
		assert_memory_equal(url + 5, bucket, strlen(bucket));
		free(bucket);
		free(url);
	}
}

static void what_is_no_bucket_is_refused(void **state)
{
	static const char *const wrongs[] = {"s3://", "s3:///key", "s3://user@host/key",
		"s3://host:80/key", "s3://a b/key", "s3://bucket?x", "s3://.hidden/key",
		"s3:bucket", "s4://bucket/key", "s3://b\xc3\xbc/key", ""};
	char *long_key = malloc(2000), *url, *bucket;
	const char *key;

	(void)state;
	for (size_t i = 0; i < array_len(wrongs); i++) {
		assert_int_equal(s3_url_from_key(wrongs[i], &url), -EINVAL);
		assert_int_equal(s3_url_parse(wrongs[i], &bucket, &key), -EINVAL);
	}
	memset(long_key, 'a', 1999);
	memcpy(long_key, "s3://bucket/", 12);
	long_key[12 + S3_KEY_MAX] = '\0';
	assert_int_equal(s3_url_from_key(long_key, &url), 0);
	free(url);
	long_key[12 + S3_KEY_MAX] = 'a';
	long_key[12 + S3_KEY_MAX + 1] = '\0';
	assert_int_equal(s3_url_from_key(long_key, &url), -EINVAL);
	free(long_key);
}

static void decoding_takes_what_is_encoded_and_nothing_else(void **state)
{
	static const struct {
		const char *text, *plain, *form;
	} rows[] = {
		{"a+b%2b%2B", "a+b++", "a b++"},
		{"%", "%", "%"},
		{"%4", "%4", "%4"},
		{"%4g%g4%%41", "%4g%g4%A", "%4g%g4%A"},
		{"%ff", "\xff", "\xff"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		char text[32];

		strcpy(text, rows[i].text);
		assert_int_equal(url_decode(text, false), strlen(rows[i].plain));
		assert_string_equal(text, rows[i].plain);
		strcpy(text, rows[i].text);
		assert_int_equal(url_decode(text, true), strlen(rows[i].form));
		assert_string_equal(text, rows[i].form);
	}
	{
		char nul[] = "a%00b";

		assert_int_equal(url_decode(nul, false), 3);
		assert_memory_equal(nul, "a\0b", 3);
	}
}

static void only_regions_are_regions(void **state)
{
	static const char *const wrongs[] = {"", "eu_west", "EU-WEST-1", "a.b", "a/b", "a b",
		"a\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	(void)state;
	for (size_t i = 0; i < array_len(wrongs); i++)
		assert_false(s3_region_is_valid(wrongs[i]));
	assert_true(s3_region_is_valid("eu-central-1"));
	assert_true(s3_region_is_valid("auto"));
}

static void buckets_have_their_hosts(void **state)
{
	static const struct {
		struct s3_config config;
		const char *bucket, *region, *base, *path;
	} rows[] = {
		{{0}, "bucket", "eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com", "/"},
		{{0}, "bucket", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn", "/"},
		{{0}, "with.dots", "eu-west-1", "https://s3.eu-west-1.amazonaws.com",
			"/with.dots/"},
		{{0}, "Old_Name", "us-east-1", "https://s3.us-east-1.amazonaws.com", "/Old_Name/"},
		{{0}, "ab", "us-east-1", "https://s3.us-east-1.amazonaws.com", "/ab/"},
		{{0}, "-ab", "us-east-1", "https://s3.us-east-1.amazonaws.com", "/-ab/"},
		{{.addressing = S3_ADDRESSING_PATH}, "bucket", "eu-west-1",
			"https://s3.eu-west-1.amazonaws.com", "/bucket/"},
		{{.use_dualstack = true}, "bucket", "eu-west-1",
			"https://bucket.s3.dualstack.eu-west-1.amazonaws.com", "/"},
		{{.use_fips = true}, "bucket", "us-east-1",
			"https://bucket.s3-fips.us-east-1.amazonaws.com", "/"},
		{{.use_fips = true, .use_dualstack = true}, "bucket", "us-east-1",
			"https://bucket.s3-fips.dualstack.us-east-1.amazonaws.com", "/"},
		{{.use_accelerate = true}, "bucket", "us-east-1",
			"https://bucket.s3-accelerate.amazonaws.com", "/"},
		{{.endpoint = "http://127.0.0.1:9000"}, "bucket", "us-east-1",
			"http://127.0.0.1:9000", "/bucket/"},
		{{.endpoint = "https://minio.example/"}, "bucket", "us-east-1",
			"https://minio.example", "/bucket/"},
		{{.endpoint = "https://host:444/under/it/"}, "bucket", "us-east-1",
			"https://host:444", "/under/it/bucket/"},
		{{.endpoint = "https://host", .addressing = S3_ADDRESSING_VIRTUAL}, "bucket",
			"us-east-1", "https://bucket.host", "/"},
		{{.endpoint = "https://host", .addressing = S3_ADDRESSING_VIRTUAL}, "with.dots",
			"us-east-1", "https://host", "/with.dots/"},
		{{.endpoint = "http://host", .addressing = S3_ADDRESSING_VIRTUAL}, "with.dots",
			"us-east-1", "http://with.dots.host", "/"},
		{{.endpoint = "http://host", .addressing = S3_ADDRESSING_VIRTUAL}, "10.0.0.1",
			"us-east-1", "http://host", "/10.0.0.1/"},
		{{.endpoint = "http://[::1]:9000"}, "bucket", "us-east-1", "http://[::1]:9000",
			"/bucket/"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct s3_endpoint endpoint;

		assert_int_equal(s3_endpoint_make(&rows[i].config, rows[i].bucket, rows[i].region,
					 &endpoint),
			0);
		assert_string_equal(endpoint.base, rows[i].base);
		assert_string_equal(endpoint.path, rows[i].path);
		assert_string_equal(endpoint.authority, strstr(endpoint.base, "://") + 3);
		s3_endpoint_finish(&endpoint);
	}
}

static void an_endpoint_must_be_a_url(void **state)
{
	static const char *const wrongs[] = {"ftp://host", "host:9000:1", "http://", "s3://x"};

	(void)state;
	for (size_t i = 0; i < array_len(wrongs); i++) {
		struct s3_config config = {.endpoint = (char *)wrongs[i]};
		struct s3_endpoint endpoint;

		assert_int_equal(
			s3_endpoint_make(&config, "bucket", "us-east-1", &endpoint), -EINVAL);
	}
}

static void schemes_are_known_by_their_beginning(void **state)
{
	char *url;

	(void)state;
	assert_non_null(scheme_find("HTTP://host/"));
	assert_non_null(scheme_find("https://host/"));
	assert_true(scheme_find("s3://bucket")->has_prefixes);
	assert_null(scheme_find("ftp://host/"));
	assert_null(scheme_find("s3:/bucket"));
	assert_int_equal(scheme_url("ftp://host/", &url), -EINVAL);
	assert_int_equal(scheme_url("http://host/a b?c", &url), 0);
	assert_string_equal(url, "http://host/a b?c");
	free(url);
	assert_true(scheme_may_be_directory("http://host/a", -ENOTSUP));
	assert_false(scheme_may_be_directory("http://host/a", -ENOENT));
	assert_true(scheme_may_be_directory("s3://bucket/a", -ENOENT));
	assert_false(scheme_may_be_directory("s3://bucket/a", -EIO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_urls),
		cmocka_unit_test(what_is_no_bucket_is_refused),
		cmocka_unit_test(decoding_takes_what_is_encoded_and_nothing_else),
		cmocka_unit_test(only_regions_are_regions),
		cmocka_unit_test(buckets_have_their_hosts),
		cmocka_unit_test(an_endpoint_must_be_a_url),
		cmocka_unit_test(schemes_are_known_by_their_beginning),
	};

	return run_group(tests);
}
