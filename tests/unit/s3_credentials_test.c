/*
 * s3_credentials_test.c - credentials as a value, times, and the JSON and XML that they come in.
 */
#include "check.h"

#include <errno.h>

#include "cleanup.h"
#include "s3_credentials.h"
#include "s3_plan.h"
#include "s3_sts.h"

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t time_s; /* -1: it is none */
	} table[] = {
		{"2024-05-01T12:00:00Z", 1714564800},
		{"2024-05-01T12:00:00z", 1714564800},
		{"2024-05-01 12:00:00Z", 1714564800},
		{"2024-05-01T12:00:00", 1714564800},
		{"2024-05-01T12:00:00UTC", 1714564800},
		{"2024-05-01T12:00:00.123456Z", 1714564800},
		{"2024-05-01T12:00:00+00:00", 1714564800},
		{"2024-05-01T14:00:00+02:00", 1714564800},
		{"2024-05-01T03:30:00-0830", 1714564800},
		{"2024-02-29T00:00:00Z", 1709164800},
		{"", -1},
		{"tomorrow", -1},
		{"2024-05-01", -1},
		{"2024-5-1T12:00:00Z", -1},
		{"2024-13-01T12:00:00Z", -1},
		{"2024-00-01T12:00:00Z", -1},
		{"2024-05-00T12:00:00Z", -1},
		{"2024-05-01T24:00:00Z", -1},
		{"2024-05-01T12:60:00Z", -1},
		{"2024-05-01T12:00:00.Z", -1},
		{"2024-05-01T12:00:00Zulu", -1},
		{"2024-05-01T12:00:00+02", -1},
		{"2024-05-01T12:00:00+02:0", -1},
		{"2024-05-01T12:00:00+99:00", -1},
		{"1714564800", -1},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		int64_t time_s = -1;
		bool good = s3_time_parse(table[i].text, &time_s);

		if (good != (table[i].time_s >= 0) || (good && time_s != table[i].time_s))
			fail_msg("%s: %lld", table[i].text, (long long)time_s);
	}
}

static void keys_that_are_none(void **state)
{
	struct s3_credentials *credentials;

	(void)state;
	assert_int_equal(s3_credentials_create("", "s", NULL, 0, &credentials), -EINVAL);
	assert_int_equal(s3_credentials_create("a", "", NULL, 0, &credentials), -EINVAL);
	assert_int_equal(s3_credentials_create("a b", "s", NULL, 0, &credentials), -EINVAL);
	assert_int_equal(s3_credentials_create("a", "s\n", NULL, 0, &credentials), -EINVAL);
	assert_int_equal(s3_credentials_create("a", "s", "t\r\nX: y", 0, &credentials), -EINVAL);
	assert_int_equal(s3_credentials_create("a", "s", "", 0, &credentials), 0);
	assert_null(credentials->token);
	s3_credentials_destroy(credentials);
}

static void equality(void **state)
{
	static const char *const sets[][3] = {{"a", "s", NULL}, {"a", "s", "t"}, {"a", "s", "u"},
		{"a", "x", "t"}, {"b", "s", "t"}};

	(void)state;
	for (size_t i = 0; i < array_len(sets); i++)
		for (size_t j = 0; j < array_len(sets); j++) {
			struct s3_credentials *one, *two;

			assert_int_equal(
				s3_credentials_create(sets[i][0], sets[i][1], sets[i][2], 1, &one),
				0);
			assert_int_equal(
				s3_credentials_create(sets[j][0], sets[j][1], sets[j][2], 2, &two),
				0);
			assert_int_equal(s3_credentials_equal(one, two), i == j);
			assert_false(s3_credentials_equal(one, NULL));
			assert_false(s3_credentials_equal(NULL, two));
			s3_credentials_destroy(one);
			s3_credentials_destroy(two);
		}
}

#define KEYS "\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"topsecret\""
#define LATER "\"Expiration\":\"2099-01-01T00:00:00Z\""
#define SSO_KEYS "\"accessKeyId\":\"AK\",\"secretAccessKey\":\"topsecret\",\"sessionToken\":\"T\""

static void json_documents(void **state)
{
	static const struct {
		const char *text;
		enum s3_json kind;
		const char *reason; /* NULL: good */
	} table[] = {
		{"{\"Version\":1," KEYS "}", S3_JSON_PROCESS, NULL},
		{"{\"Version\":1," KEYS ",\"SessionToken\":\"T\"," LATER ",\"More\":[1,{}]}",
			S3_JSON_PROCESS, NULL},
		{"{\"Version\":1," KEYS ",\"SessionToken\":null,\"Expiration\":null}",
			S3_JSON_PROCESS, NULL},
		{"{" KEYS "}", S3_JSON_PROCESS, "its Version is not 1"},
		{"{\"Version\":2," KEYS "}", S3_JSON_PROCESS, "its Version is not 1"},
		{"{\"Version\":\"1\"," KEYS "}", S3_JSON_PROCESS, "its Version is not 1"},
		{"{\"Version\":1,\"SecretAccessKey\":\"topsecret\"}", S3_JSON_PROCESS,
			"no AccessKeyId in it"},
		{"{\"Version\":1,\"AccessKeyId\":\"AK\"}", S3_JSON_PROCESS,
			"no SecretAccessKey in it"},
		{"{\"Version\":1,\"AccessKeyId\":7,\"SecretAccessKey\":\"topsecret\"}",
			S3_JSON_PROCESS, "no AccessKeyId in it"},
		{"{\"Version\":1," KEYS ",\"SessionToken\":7}", S3_JSON_PROCESS,
			"its session token is not a string"},
		{"{\"Version\":1," KEYS ",\"Expiration\":\"soon\"}", S3_JSON_PROCESS,
			"its Expiration is not a time"},
		{"{\"Version\":1," KEYS ",\"Expiration\":1714564800}", S3_JSON_PROCESS,
			"its Expiration is not a time"},
		{"{\"Version\":1,\"AccessKeyId\":\"A K\",\"SecretAccessKey\":\"topsecret\"}",
			S3_JSON_PROCESS, "its keys have characters that keys can't have"},
		{"{\"Version\":1,\"AccessKeyId\":\"\",\"SecretAccessKey\":\"topsecret\"}",
			S3_JSON_PROCESS, "its keys have characters that keys can't have"},
		{"{\"Version\":1,\"AccessKeyId\":\"A\\u0000K\",\"SecretAccessKey\":\"topsecret\"}",
			S3_JSON_PROCESS, "not JSON"},
		{"", S3_JSON_PROCESS, "not JSON"},
		{"topsecret", S3_JSON_PROCESS, "not JSON"},
		{"{\"Version\":1," KEYS, S3_JSON_PROCESS, "not JSON"},
		{"{\"Version\":1," KEYS "} x", S3_JSON_PROCESS, "not JSON"},
		{"[1]", S3_JSON_PROCESS, "not a JSON object"},
		{"{" KEYS ",\"Token\":\"T\"," LATER "}", S3_JSON_CONTAINER, NULL},
		{"{" KEYS "," LATER "}", S3_JSON_CONTAINER, "no Token in it"},
		{"{" KEYS ",\"Token\":\"T\"}", S3_JSON_CONTAINER, "no Expiration in it"},
		{"{\"Code\":\"Success\"," KEYS ",\"Token\":\"T\"," LATER "}", S3_JSON_INSTANCE,
			NULL},
		{"{" KEYS ",\"Token\":\"T\"," LATER "}", S3_JSON_INSTANCE, NULL},
		{"{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"topsecret\"}",
			S3_JSON_INSTANCE, "its Code is not Success"},
		{"{\"Code\":3," KEYS ",\"Token\":\"T\"," LATER "}", S3_JSON_INSTANCE,
			"its Code is not Success"},
		{"{\"roleCredentials\":{" SSO_KEYS ",\"expiration\":1714564800000}}", S3_JSON_SSO,
			NULL},
		{"{\"roleCredentials\":{" SSO_KEYS ",\"expiration\":\"1714564800000\"}}",
			S3_JSON_SSO, "its Expiration is not a time"},
		{"{\"roleCredentials\":{" SSO_KEYS "}}", S3_JSON_SSO, "no Expiration in it"},
		{"{\"roleCredentials\":{" SSO_KEYS ",\"expiration\":1e12}}", S3_JSON_SSO,
			"its Expiration is not a time"},
		{"{" SSO_KEYS ",\"expiration\":1714564800000}", S3_JSON_SSO, "not a JSON object"},
		{"{\"roleCredentials\":\"topsecret\"}", S3_JSON_SSO, "not a JSON object"},
		{"[]", S3_JSON_SSO, "not a JSON object"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_credentials *credentials = NULL;
		const char *reason = NULL;
		int err = s3_credentials_from_json(
			table[i].text, strlen(table[i].text), table[i].kind, &credentials, &reason);

		if (err != (table[i].reason ? -EPROTO : 0))
			fail_msg("%s: %d", table[i].text, err);
		if (table[i].reason)
			assert_string_equal(reason, table[i].reason);
		else
			assert_string_equal(credentials->secret, "topsecret");
		s3_credentials_destroy(credentials);
	}
}

static void json_values(void **state)
{
	static const char text[] = "{\"Version\":1," KEYS ",\"SessionToken\":\"T/+=\"," LATER "}";
	struct s3_credentials *credentials;
	const char *reason;

	(void)state;
	assert_int_equal(s3_credentials_from_json(
				 text, strlen(text), S3_JSON_PROCESS, &credentials, &reason),
		0);
	assert_string_equal(credentials->access_key, "AK");
	assert_string_equal(credentials->secret, "topsecret");
	assert_string_equal(credentials->token, "T/+=");
	assert_int_equal(credentials->expires_s, 4070908800);
	s3_credentials_destroy(credentials);
	assert_int_equal(
		s3_credentials_from_json("{\"Version\":1," KEYS "}",
			strlen("{\"Version\":1," KEYS "}"), S3_JSON_PROCESS, &credentials, &reason),
		0);
	assert_null(credentials->token);
	assert_true(credentials->expires_s == S3_NEVER);
	s3_credentials_destroy(credentials);
}

/* ---- STS ----------------------------------------------------------------------------------- */

#define XML_KEYS                                                                        \
	"<AccessKeyId>AK</AccessKeyId><SecretAccessKey>top&lt;secret</SecretAccessKey>" \
	"<SessionToken>T</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"

static void xml_documents(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *code;
	} table[] = {
		{"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
		 "<AssumeRoleResult><Credentials>" XML_KEYS "</Credentials><AssumedRoleUser><Arn>x"
		 "</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>",
			0, ""},
		{"<R><Credentials>" XML_KEYS "</Credentials></R>", 0, ""},
		{"<?xml version=\"1.0\"?><ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied"
		 "</Code><Message>topsecret</Message></Error></ErrorResponse>",
			-EPROTO, "AccessDenied"},
		{"<ErrorResponse><Error><Code>an odd one</Code></Error></ErrorResponse>", -EPROTO,
			""},
		{"<R><Credentials><AccessKeyId>AK</AccessKeyId></Credentials></R>", -EPROTO, ""},
		/* Not where they belong. */
		{"<R>" XML_KEYS "</R>", -EPROTO, ""},
		{"<R><Credentials><x>" XML_KEYS "</x></Credentials></R>", -EPROTO, ""},
		/* The first ones count. */
		{"<R><Credentials>" XML_KEYS "<AccessKeyId>B</AccessKeyId></Credentials></R>", 0,
			""},
		{"<!DOCTYPE r [<!ENTITY e \"AK\">]><R><Credentials>" XML_KEYS "</Credentials></R>",
			-EPROTO, ""},
		{"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", -EPROTO, ""},
		{"<R><Credentials>" XML_KEYS "</Credentials>", -EPROTO, ""},
		{"", -EPROTO, ""},
		{"{}", -EPROTO, ""},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_credentials *credentials = NULL;
		char code[S3_STS_CODE_MAX];
		int err = s3_sts_read(table[i].text, strlen(table[i].text), &credentials, code);

		if (err != table[i].err || strcmp(code, table[i].code) != 0)
			fail_msg("%s: %d %s", table[i].text, err, code);
		if (err == 0) {
			assert_string_equal(credentials->access_key, "AK");
			assert_string_equal(credentials->secret, "top<secret");
			assert_string_equal(credentials->token, "T");
			assert_int_equal(credentials->expires_s, 4070908800);
		}
		s3_credentials_destroy(credentials);
	}
}

static void forms(void **state)
{
	struct s3_role role = {.arn = "arn:aws:iam::1:role/a b",
		.session = "s",
		.external_id = "x&y=z",
		.duration_s = 3600};
	char *form;

	(void)state;
	assert_int_equal(s3_sts_assume(&role, &form), 0);
	assert_string_equal(form,
		"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b"
		"&RoleSessionName=s&ExternalId=x%26y%3Dz&DurationSeconds=3600");
	secret_free(form);
	role.external_id = NULL;
	role.duration_s = 0;
	assert_int_equal(s3_sts_assume_with_token(&role, "ey+.", &form), 0);
	assert_string_equal(form,
		"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
		"1%3Arole%2Fa%20b&RoleSessionName=s&WebIdentityToken=ey%2B.");
	secret_free(form);
}

static void places(void **state)
{
	static const struct {
		const char *endpoint, *region, *url, *host, *path, *signing_region;
	} table[] = {
		{NULL, NULL, "https://sts.amazonaws.com/", "sts.amazonaws.com", "/", "us-east-1"},
		{NULL, "eu-west-3", "https://sts.eu-west-3.amazonaws.com/",
			"sts.eu-west-3.amazonaws.com", "/", "eu-west-3"},
		{NULL, "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/",
			"sts.cn-north-1.amazonaws.com.cn", "/", "cn-north-1"},
		{"http://127.0.0.1:9000", NULL, "http://127.0.0.1:9000", "127.0.0.1:9000", "/",
			"us-east-1"},
		{"https://minio/sts", "r", "https://minio/sts", "minio", "/sts", "r"},
		/* libcurl's Host header has no port that the scheme has anyway. */
		{"http://[::1]:80/", "r", "http://[::1]:80/", "[::1]", "/", "r"},
		{"https://a:443/", "r", "https://a:443/", "a", "/", "r"},
		{"https://a:80/", "r", "https://a:80/", "a:80", "/", "r"},
	};
	struct s3_sts_place place;

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		assert_int_equal(s3_sts_place(table[i].endpoint, table[i].region, &place), 0);
		assert_string_equal(place.url, table[i].url);
		assert_string_equal(place.host, table[i].host);
		assert_string_equal(place.path, table[i].path);
		assert_string_equal(place.region, table[i].signing_region);
		s3_sts_place_finish(&place);
	}
	assert_int_equal(s3_sts_place("ftp://x/", NULL, &place), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(keys_that_are_none),
		cmocka_unit_test(equality),
		cmocka_unit_test(json_documents),
		cmocka_unit_test(json_values),
		cmocka_unit_test(xml_documents),
		cmocka_unit_test(forms),
		cmocka_unit_test(places),
	};

	return run_group(tests);
}
