/*
 * fetch_test.c - credentials fetched once, from each kind of endpoint, and each of its failures:
 * the err, the words, what was asked, and that no secret is in the words.
 */
#include <errno.h>
#include <unistd.h>

#include "cleanup.h"
#include "scene.h"

#define KEYS "\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"topsecret\""
#define JSON "{" KEYS ",\"Token\":\"TOK\",\"Expiration\":\"@TIME+7200@\"}"
#define JSON_OLD "{" KEYS ",\"Token\":\"TOK\",\"Expiration\":\"@TIME-5@\"}"
#define XML                                                                          \
	"<R><Credentials><AccessKeyId>RK</AccessKeyId><SecretAccessKey>topsecret2"   \
	"</SecretAccessKey><SessionToken>RTOK</SessionToken><Expiration>@TIME+3600@" \
	"</Expiration></Credentials></R>"
#define XML_ERROR(code)                     \
	"<ErrorResponse><Error><Code>" code \
	"</Code><Message>@LAST@</Message></Error></ErrorResponse>"

static void set(const char *name, const char *value)
{
	setenv(name, value, 1);
}

/* ---- containers ---------------------------------------------------------------------------- */

static void container(void **state)
{
	static const struct scene scenes[] = {
		{{{"GET /c", NULL, JSON}}, 0, "AK", 1},
		{{{"GET /c", "status=500", "topsecret"}, {"GET /c", NULL, JSON}}, 0, "AK", 2},
		{{{"GET /c", "close", ""}, {"GET /c", NULL, JSON}}, 0, "AK", 2},
		{{{"GET /c", NULL, "{garbage topsecret"}, {"GET /c", NULL, JSON}}, 0, "AK", 2},
		{{{"GET /c", "status=500", "topsecret"}}, -EIO, "credentials: container: HTTP 500",
			3},
		{{{"GET /c", "status=404", ""}}, -EIO, "credentials: container: HTTP 404", 3},
		{{{"GET /c", "status=302", ""}}, -EIO, "credentials: container: HTTP 302", 3},
		{{{"GET /c", NULL, "{\"topsecret\":1}"}}, -EPROTO,
			"credentials: container: answer: no AccessKeyId in it", 3},
		{{{"GET /c", NULL, ""}}, -EPROTO, "credentials: container: answer: not JSON", 3},
		{{{"GET /c", NULL, JSON_OLD}}, -EACCES,
			"credentials: container: these have expired already", 1},
	};

	(void)state;
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints_url(&endpoints, "/c"));
	for (size_t i = 0; i < array_len(scenes); i++)
		play(&scenes[i]);
}

static void container_token(void **state)
{
	static const struct scene good = {
		{{"GET /c?hidden", "want=Authorization: Basic eyToken", JSON}}, 0, "AK", 1};
	static const struct scene bad = {
		{{"GET /c?hidden", "want=Authorization: Basic other", JSON}}, -EIO,
		"credentials: container: HTTP 401", 3};

	(void)state;
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints_url(&endpoints, "/c?hidden"));
	set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic eyToken");
	/* Credentials of this machine are no proxy's business. */
	set("http_proxy", "http://127.0.0.1:1");
	play(&good);
	play(&bad);
	unsetenv("http_proxy");
}

/* The first answer comes after the deadline. */
static void container_slow(void **state)
{
	static const struct scene scene = {
		{{"GET /c", "delay_ms=4000", JSON}, {"GET /c", NULL, JSON}}, 0, "AK", 0};

	(void)state;
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints_url(&endpoints, "/c"));
	set("AWS_METADATA_SERVICE_TIMEOUT", "1");
	play(&scene);
	assert_true(endpoints_count(&endpoints) > 1);
}

static void too_long_an_answer(void **state)
{
	cleanup_free char *body = malloc(S3_ANSWER_MAX + 2);
	struct scene scene = {
		{{"GET /c", NULL, NULL}}, -EPROTO, "credentials: container: answer: too long", 1};

	(void)state;
	memset(body, ' ', S3_ANSWER_MAX + 1);
	body[S3_ANSWER_MAX + 1] = '\0';
	scene.answers[0].body = body;
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints_url(&endpoints, "/c"));
	play(&scene);
}

static void nobody_there(void **state)
{
	struct fetched fetched;

	(void)state;
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/hidden");
	assert_int_equal(fetch(&fetched, NULL), -ECONNREFUSED);
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
	set("AWS_EC2_METADATA_DISABLED", "false");
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/");
	/* Nothing is configured, and this is no instance: there are none, whatever curl says. */
	assert_int_equal(fetch(&fetched, NULL), -EACCES);
	assert_non_null(strstr(fetched.error,
		"credentials: none in the environment nor in the profile; instance: token: "));
	set("AWS_EC2_METADATA_DISABLED", "TRUE");
	assert_int_equal(fetch(&fetched, NULL), -EACCES);
	assert_non_null(strstr(fetched.error, "credentials: none in the environment nor in"));
}

/* ---- the instance
 * -------------------------------------------------------------------------------- */

#define TOKEN_PATH "PUT /latest/api/token"
#define ROLES "GET /latest/meta-data/iam/security-credentials/"

static void instance(void **state)
{
	static const struct scene scenes[] = {
		{{{TOKEN_PATH, "want=x-aws-ec2-metadata-token-ttl-seconds: 21600", "eyToken"},
			 {ROLES, "want=x-aws-ec2-metadata-token: eyToken", "my-role\nother"},
			 {ROLES "my-role", "want=x-aws-ec2-metadata-token: eyToken", JSON}},
			0, "AK", 3},
		/* Version 1. */
		{{{TOKEN_PATH, "status=404", ""}, {ROLES, NULL, "r"}, {ROLES "r", NULL, JSON}}, 0,
			"AK", 3},
		{{{TOKEN_PATH, "status=403", ""}, {ROLES, NULL, "r"}, {ROLES "r", NULL, JSON}}, 0,
			"AK", 3},
		/* Expired: they are used, as AWS says. */
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, NULL, "r"}, {ROLES "r", NULL, JSON_OLD}}, 0,
			"AK", 3},
		{{{TOKEN_PATH, "status=400", ""}}, -EACCES, "instance: token: HTTP 400", 1},
		{{{TOKEN_PATH, "status=500", ""}}, -EACCES, "instance: token: HTTP 500", 1},
		{{{TOKEN_PATH, NULL, "a b"}}, -EACCES, "instance: token: not one", 1},
		{{{TOKEN_PATH, NULL, ""}}, -EACCES, "instance: token: not one", 1},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, "status=404", ""}}, -EACCES,
			"instance: it has no role", 2},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, "status=401", ""}}, -EACCES,
			"instance: role: HTTP 401", 2},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, NULL, ""}}, -EACCES, "instance: role: not one",
			2},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, NULL, "../../x"}}, -EACCES,
			"instance: role: not one", 2},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, NULL, "r"}, {ROLES "r", "status=500", ""}},
			-EACCES, "instance: keys: HTTP 500", 3},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, NULL, "r"},
			 {ROLES "r", NULL, "<html>topsecret</html>"}},
			-EACCES, "instance: keys: not JSON", 3},
		{{{TOKEN_PATH, NULL, "t"}, {ROLES, NULL, "r"},
			 {ROLES "r", NULL,
				 "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"topsecret\"}"}},
			-EACCES, "instance: keys: its Code is not Success", 3},
	};

	(void)state;
	set("AWS_EC2_METADATA_DISABLED", "false");
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoints_url(&endpoints, ""));
	set("http_proxy", "http://127.0.0.1:1");
	for (size_t i = 0; i < array_len(scenes); i++)
		play(&scenes[i]);
	unsetenv("http_proxy");
}

static void instance_settings(void **state)
{
	static const struct scene v1_disabled = {
		{{TOKEN_PATH, "status=404", ""}}, -EACCES, "instance: no token for IMDSv2", 1};
	static const struct scene three_attempts = {
		{{TOKEN_PATH, "status=500", ""}}, -EACCES, "instance: token: HTTP 500", 3};
	static const struct scene patient = {
		{{TOKEN_PATH, "delay_ms=1500", "t"}, {ROLES, NULL, "r"}, {ROLES "r", NULL, JSON}},
		0, "AK", 3};

	(void)state;
	set("AWS_EC2_METADATA_DISABLED", "false");
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoints_url(&endpoints, "/"));
	set("AWS_EC2_METADATA_V1_DISABLED", "true");
	play(&v1_disabled);
	set("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "3");
	play(&three_attempts);
	set("AWS_METADATA_SERVICE_TIMEOUT", "10");
	play(&patient);
}

static void instance_slow(void **state)
{
	/* The token's answer is lost on its way, as where it is one hop too far. */
	static const struct scene no_token = {
		{{TOKEN_PATH, "delay_ms=4000", "x"}, {ROLES, NULL, "r"}, {ROLES "r", NULL, JSON}},
		0, "AK", 3};
	static const struct scene no_role = {
		{{TOKEN_PATH, NULL, "t"}, {ROLES, "delay_ms=4000", "r"}}, -EACCES,
		"instance: role: Timeout", 2};

	(void)state;
	set("AWS_EC2_METADATA_DISABLED", "false");
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoints_url(&endpoints, ""));
	set("AWS_METADATA_SERVICE_TIMEOUT", "3");
	play(&no_token);
	play(&no_role);
}

/* Expired ones live on for 15 to 25 minutes, and not for ever. */
static void instance_extension(void **state)
{
	struct fetched fetched;
	int64_t now_s = (int64_t)time(NULL);

	(void)state;
	set("AWS_EC2_METADATA_DISABLED", "false");
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoints_url(&endpoints, ""));
	endpoints_answer(&endpoints, TOKEN_PATH, NULL, "t");
	endpoints_answer(&endpoints, ROLES, NULL, "r");
	endpoints_answer(&endpoints, ROLES "r", NULL, JSON_OLD);
	assert_int_equal(fetch(&fetched, NULL), 0);
	assert_in_range(fetched.expires_s, now_s + 900, now_s + 1600);
}

/* ---- STS
 * -------------------------------------------------------------------------------------------- */

static void web_identity(void **state)
{
	static const struct scene scenes[] = {
		{{{"POST /", "want=Content-Type: application/x-www-form-urlencoded; charset=utf-8",
			 XML}},
			0, "RK", 1},
		{{{"POST /", "status=500", "@LAST@"}, {"POST /", NULL, XML}}, 0, "RK", 2},
		{{{"POST /", "close", ""}, {"POST /", NULL, XML}}, 0, "RK", 2},
		{{{"POST /", "status=400", XML_ERROR("IDPCommunicationError")},
			 {"POST /", NULL, XML}},
			0, "RK", 2},
		{{{"POST /", "status=400", XML_ERROR("Throttling")}, {"POST /", NULL, XML}}, 0,
			"RK", 2},
		{{{"POST /", "status=403", XML_ERROR("AccessDenied")}}, -EACCES,
			"credentials: web identity: arn:role: AccessDenied, HTTP 403", 1},
		{{{"POST /", "status=400", XML_ERROR("ExpiredTokenException")}}, -EACCES,
			"credentials: web identity: arn:role: ExpiredTokenException, HTTP 400", 1},
		{{{"POST /", "status=403", "@LAST@"}}, -EACCES,
			"credentials: web identity: arn:role: HTTP 403", 1},
		{{{"POST /", "status=307", ""}}, -EACCES,
			"credentials: web identity: arn:role: HTTP 307", 1},
		{{{"POST /", NULL, "@LAST@"}}, -EPROTO,
			"credentials: web identity: arn:role: not an answer of STS", 1},
		{{{"POST /", NULL, XML_ERROR("AccessDenied")}}, -EPROTO, "not an answer of STS", 1},
	};

	(void)state;
	world_file(&world, "token", "eyToken\n");
	world_variables(&world, "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:role "
				"AWS_ROLE_SESSION_NAME=me");
	set("AWS_ENDPOINT_URL_STS", endpoints_url(&endpoints, ""));
	for (size_t i = 0; i < array_len(scenes); i++)
		play(&scenes[i]);
	endpoints_reset(&endpoints);
	play(&scenes[0]);
	expect_request(0, "POST /\n",
		"\n\nAction=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Arole"
		"&RoleSessionName=me&WebIdentityToken=eyToken");
	assert_null(strstr(endpoints_request(&endpoints, 0), "authorization"));
}

#define ROLE_CONFIG(source)                                                \
	"[default]\nregion=eu-x-1\nrole_arn=arn:two\nsource_profile=one\n" \
	"[profile one]\nrole_arn=arn:one\n" source

static void assume_roles(void **state)
{
	struct fetched fetched;

	(void)state;
	set("AWS_ENDPOINT_URL_STS", endpoints_url(&endpoints, ""));
	world_file(&world, "~/.aws/config", ROLE_CONFIG("source_profile=keys\n"));
	world_file(&world, "~/.aws/credentials",
		"[keys]\naws_access_key_id=BASE\naws_secret_access_key=topsecret\n");
	endpoints_answer(&endpoints, "POST /", NULL, XML);
	assert_int_equal(fetch(&fetched, NULL), 0);
	assert_string_equal(fetched.access_key, "RK");
	assert_int_equal(endpoints_count(&endpoints), 2);
	/* Each is signed with the keys of the one before. */
	expect_request(0, "POST /\n", "Credential=BASE/");
	expect_request(0, "POST /\n",
		"/eu-x-1/sts/aws4_request, SignedHeaders=content-type;host;"
		"x-amz-date, ");
	expect_request(0, "POST /\n", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aone&");
	expect_request(1, "POST /\n", "Credential=RK/");
	expect_request(1, "POST /\n", "x-amz-security-token: RTOK\n");
	expect_request(1, "POST /\n", "RoleArn=arn%3Atwo&");
}

static void assume_a_role_of_a_container(void **state)
{
	struct fetched fetched;

	(void)state;
	set("AWS_ENDPOINT_URL_STS", endpoints_url(&endpoints, "/sts"));
	set("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints_url(&endpoints, "/c"));
	world_file(&world, "~/.aws/config", ROLE_CONFIG("credential_source=EcsContainer\n"));
	endpoints_answer(&endpoints, "GET /c", NULL, JSON);
	endpoints_answer(&endpoints, "POST /sts", NULL, XML);
	assert_int_equal(fetch(&fetched, NULL), 0);
	assert_string_equal(fetched.access_key, "RK");
	assert_int_equal(endpoints_count(&endpoints), 3);
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", NULL, JSON);
	endpoints_answer(&endpoints, "POST /sts", NULL, XML);
	endpoints_answer(&endpoints, "POST /sts", "status=403", XML_ERROR("AccessDenied"));
	assert_int_equal(fetch(&fetched, NULL), -EACCES);
	assert_string_equal(
		fetched.error, "credentials: container: arn:two: AccessDenied, HTTP 403");
}

/* An hour late: the refusal's date tells, and the second request has the server's time. */
static void a_clock_that_is_wrong(void **state)
{
	struct fetched fetched;

	(void)state;
	set("AWS_ENDPOINT_URL_STS", endpoints_url(&endpoints, ""));
	world_file(&world, "~/.aws/config",
		"[default]\nrole_arn=arn:two\nsource_profile=keys\n[profile keys]\n"
		"aws_access_key_id=BASE\naws_secret_access_key=topsecret\n");
	endpoints_answer(&endpoints, "POST /", "status=403 date_s=-3600",
		XML_ERROR("SignatureDoesNotMatch"));
	endpoints_answer(&endpoints, "POST /", "date_s=-3600", XML);
	assert_int_equal(fetch(&fetched, NULL), 0);
	assert_int_equal(endpoints_count(&endpoints), 2);
	assert_in_range(-fetched.fetch.clock_offset_s, 3590, 3610);

	/* Once only, whatever the server says then. */
	endpoints_reset(&endpoints);
	endpoints_answer(
		&endpoints, "POST /", "status=403 date_s=-3600", XML_ERROR("RequestTimeTooSkewed"));
	endpoints_answer(
		&endpoints, "POST /", "status=403 date_s=7200", XML_ERROR("RequestTimeTooSkewed"));
	assert_int_equal(fetch(&fetched, NULL), -EACCES);
	assert_int_equal(endpoints_count(&endpoints), 2);

	/* And not for a refusal of another kind. */
	endpoints_reset(&endpoints);
	endpoints_answer(
		&endpoints, "POST /", "status=403 date_s=-3600", XML_ERROR("AccessDenied"));
	assert_int_equal(fetch(&fetched, NULL), -EACCES);
	assert_int_equal(endpoints_count(&endpoints), 1);
	assert_true(fetched.fetch.clock_offset_s == 0);
}

/* ---- programs
 * ----------------------------------------------------------------------------------------- */

static void program(const char *command)
{
	char config[512];

	snprintf(config, sizeof config, "[default]\ncredential_process = %s\n", command);
	world_file(&world, "~/.aws/config", config);
}

static void programs(void **state)
{
	static const struct {
		const char *command;
		int err;
		const char *words;
	} table[] = {
		{"echo '{\"Version\":1," KEYS "}'", 0, "AK"},
		{"sh -c \"echo '{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"B\\\","
		 "\\\"SecretAccessKey\\\":\\\"topsecret\\\"}'\"",
			0, "B"},
		{"echo '{" KEYS "}'", -EPROTO,
			"credentials: credential_process: output: its Version is not 1"},
		{"echo topsecret", -EPROTO, "credentials: credential_process: output: not JSON"},
		{"true", -EPROTO, "credentials: credential_process: output: not JSON"},
		{"sh -c 'echo topsecret; exit 3'", -EACCES,
			"credentials: credential_process: the program failed"},
		{"cat /dev/zero", -E2BIG, "credentials: credential_process: it printed too much"},
		{"/nowhere/topsecret", -EACCES,
			"credentials: credential_process: can't be run: No such file or directory"},
		{"'topsecret", -EINVAL,
			"credentials: credential_process: a quote without its end, or nothing at all"},
		{"", -EINVAL,
			"credentials: credential_process: a quote without its end, or nothing at all"},
		{"echo '{\"Version\":1," KEYS ",\"Expiration\":\"2001-01-01T00:00:00Z\"}'", -EACCES,
			"credentials: credential_process: these have expired already"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct fetched fetched;
		int err;

		program(table[i].command);
		err = fetch(&fetched, NULL);
		if (err != table[i].err ||
			!strstr(err < 0 ? fetched.error : fetched.access_key, table[i].words))
			fail_msg("%s: %d %s", table[i].command, err, fetched.error);
	}
}

/* ---- ended at every stage
 * -------------------------------------------------------------------------------- */

static void never(struct s3_fetch *fetch, int err)
{
	(void)fetch;
	fail_msg("done(%d) after its end", err);
}

static void finished_at_every_stage(void **state)
{
	static const char *const paths[] = {TOKEN_PATH, ROLES, ROLES "r"};

	(void)state;
	set("AWS_EC2_METADATA_DISABLED", "false");
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoints_url(&endpoints, ""));
	for (unsigned stage = 0; stage <= array_len(paths); stage++) {
		struct s3_config *config = world_config(NULL);
		struct s3_fetch fetch = {.loop = engine.loop,
			.client = engine.client,
			.config = config,
			.done = never};
		bool reached = false;

		endpoints_reset(&endpoints);
		for (unsigned i = 0; i < array_len(paths); i++)
			endpoints_answer(&endpoints, paths[i],
				i + 1 == stage ? "delay_ms=700" : NULL, i == 1 ? "r" : "t");
		s3_fetch_start(&fetch);
		while (!reached && stage > 0) {
			engine_run(&engine);
			reached = endpoints_count(&endpoints) == stage;
		}
		s3_fetch_finish(&fetch);
		s3_config_destroy(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(container, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(container_token, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(container_slow, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(too_long_an_answer, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(nobody_there, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(instance, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(instance_settings, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(instance_slow, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(instance_extension, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(web_identity, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(assume_roles, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			assume_a_role_of_a_container, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			a_clock_that_is_wrong, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(programs, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			finished_at_every_stage, scene_set_up, scene_tear_down),
	};

	return run_group_with_endpoints(tests, &endpoints);
}
