/*
 * wipe_test.c - memory that held a secret is overwritten before it is given back: free(3) as this
 * project calls it looks at what it is given. (What libcurl and jansson free is out of reach.)
 */
#include "fixture.h"

#include <errno.h>
#include <malloc.h>

#include "cleanup.h"
#include "s3_plan.h"
#include "s3_profile.h"
#include "s3_sign.h"
#include "s3_sso.h"
#include "s3_sts.h"

void __real_free(void *memory);
void __wrap_free(void *memory);

static unsigned freed, leaked;

/* As far as its first NUL: behind it may be what others left there. */
void __wrap_free(void *memory)
{
	if (memory) {
		size_t len = strnlen(memory, malloc_usable_size(memory));

		freed++;
		leaked += memmem(memory, len, "topsecret", 9) != NULL;
	}
	__real_free(memory);
}

static void expect_wiped(void)
{
	assert_true(freed > 0);
	assert_int_equal(leaked, 0);
	freed = 0;
}

static int setup(void **state)
{
	(void)state;
	freed = leaked = 0;
	return 0;
}

/* That the test can fail. */
static void what_is_not_wiped_is_seen(void **state)
{
	char *memory = strdup("a topsecret b");

	(void)state;
	/* Else a compiler that knows strdup(3) and free(3) may leave both out. */
	__asm__ volatile("" : "+r"(memory) : : "memory");
	free(memory);
	assert_int_equal(leaked, 1);
}

static void files_variables_and_plans(void **state)
{
	struct s3_config *config;
	struct s3_plan plan;
	struct world world;
	char error[SOURCE_ERROR_MAX];

	(void)state;
	world_make(&world);
	world_file(&world, "token", "topsecret");
	world_file(&world, "bad", "topsecret\ntopsecret");
	world_file(&world, "~/.aws/credentials",
		"[default]\naws_access_key_id=A\naws_secret_access_key=topsecret\n"
		"aws_session_token=topsecret-too\n[role]\nrole_arn=a\nsource_profile=default\n"
		"external_id=topsecret\n[process]\ncredential_process=p --password topsecret\n");
	world_variables(&world, "AWS_SESSION_TOKEN=topsecret AWS_ROLE_ARN=a "
				"AWS_CONTAINER_AUTHORIZATION_TOKEN=topsecret");
	for (unsigned i = 0; i < 5; i++) {
		const char *const profiles[] = {"default", "role", "process", NULL, NULL};

		if (i == 3)
			world_variables(&world, "AWS_WEB_IDENTITY_TOKEN_FILE=~/token");
		if (i == 4)
			world_variables(&world, "AWS_WEB_IDENTITY_TOKEN_FILE=~/bad");
		config = world_config(profiles[i]);
		assert_int_equal(s3_plan_make(config, &plan, error), i == 4 ? -EACCES : 0);
		if (i < 4)
			s3_plan_finish(&plan);
		s3_config_destroy(config);
		expect_wiped();
	}
	world_finish(&world);
}

static void files_that_are_refused(void **state)
{
	static const char text[] = "[s]\na=topsecret\ntopsecret\n";
	char error[SOURCE_ERROR_MAX];
	struct s3_ini *ini;

	(void)state;
	assert_int_equal(s3_ini_parse(text, strlen(text), "FILE", &ini, error), -EINVAL);
	expect_wiped();
}

static void signatures_and_forms(void **state)
{
	struct s3_role role = {.arn = "a", .session = "s", .external_id = "topsecret"};
	struct s3_credentials *credentials;
	char *headers, *form;

	(void)state;
	assert_int_equal(
		s3_credentials_create("A", "topsecret", "topsecret", S3_NEVER, &credentials), 0);
	assert_int_equal(
		s3_sign(&(struct s3_request){.method = "GET",
				.host = "h",
				.path = "/",
				.query = "b&a",
				.payload = S3_PAYLOAD_EMPTY},
			&(struct s3_scope){
				.credentials = credentials, .region = "r", .service = "s3"},
			&headers),
		0);
	secret_free(headers);
	s3_credentials_destroy(credentials);
	assert_int_equal(s3_sts_assume(&role, &form), 0);
	secret_free(form);
	assert_int_equal(s3_sts_assume_with_token(&role, "topsecret", &form), 0);
	secret_free(form);
	expect_wiped();
}

static void answers(void **state)
{
	static const char json[] =
		"{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"topsecret\"}";
	static const char half[] = "{\"Version\":1,\"SecretAccessKey\":\"topsecret\"}";
	static const char xml[] =
		"<R><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>topsecret"
		"</SecretAccessKey><SessionToken>topsecret</SessionToken><Expiration>"
		"2099-01-01T00:00:00Z</Expiration></Credentials></R>";
	static const char half_xml[] =
		"<R><Credentials><SecretAccessKey>topsecret</SecretAccessKey></Credentials></R>";
	struct s3_credentials *credentials;
	char code[S3_STS_CODE_MAX];
	const char *reason;

	(void)state;
	assert_int_equal(s3_credentials_from_json(
				 json, strlen(json), S3_JSON_PROCESS, &credentials, &reason),
		0);
	s3_credentials_destroy(credentials);
	assert_int_equal(s3_credentials_from_json(
				 half, strlen(half), S3_JSON_PROCESS, &credentials, &reason),
		-EPROTO);
	assert_int_equal(s3_sts_read(xml, strlen(xml), &credentials, code), 0);
	s3_credentials_destroy(credentials);
	assert_int_equal(s3_sts_read(half_xml, strlen(half_xml), &credentials, code), -EPROTO);
	expect_wiped();
}

static void single_sign_on(void **state)
{
	static const char cached[] =
		"{\"accessToken\":\"topsecret\",\"expiresAt\":\"2099-01-01T00:00:00Z\","
		"\"clientId\":\"c\",\"clientSecret\":\"topsecret\",\"refreshToken\":\"topsecret\","
		"\"registrationExpiresAt\":\"2099-01-01T00:00:00Z\"}";
	static const char answer[] =
		"{\"accessToken\":\"topsecret2\",\"expiresIn\":3600,\"refreshToken\":\"topsecret\"}";
	struct s3_sso sso = {.may_be_renewed = true};
	struct world world;

	(void)state;
	world_make(&world);
	world_file(&world, "token", cached);
	sso.file = strdup(world_path(&world, "token"));
	assert_int_equal(s3_sso_load(&sso, 0), 0);
	assert_non_null(sso.renewal);
	assert_int_equal(s3_sso_renewed(&sso, answer, strlen(answer), 0), 0);
	s3_sso_finish(&sso);
	expect_wiped();
	world_finish(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_not_wiped_is_seen, setup),
		cmocka_unit_test_setup(files_variables_and_plans, setup),
		cmocka_unit_test_setup(files_that_are_refused, setup),
		cmocka_unit_test_setup(signatures_and_forms, setup),
		cmocka_unit_test_setup(answers, setup),
		cmocka_unit_test_setup(single_sign_on, setup),
	};

	return run_group(tests);
}
