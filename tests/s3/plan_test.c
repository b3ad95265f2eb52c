/*
 * plan_test.c - where credentials come from: botocore's order, one table row after another, and
 * what is wrong with configurations that can't work.
 */
#include "fixture.h"

#include <errno.h>

#include "cleanup.h"
#include "s3_plan.h"

static const char *const origins[] = {
	[S3_ORIGIN_STATIC] = "static",
	[S3_ORIGIN_WEB_IDENTITY] = "identity",
	[S3_ORIGIN_PROCESS] = "process",
	[S3_ORIGIN_CONTAINER] = "container",
	[S3_ORIGIN_INSTANCE] = "instance",
};

/* "ORIGIN name what-it-asks role role ..." */
static void describe(const struct s3_plan *plan, char *ret, size_t max)
{
	const char *what = plan->url;

	if (plan->origin == S3_ORIGIN_STATIC)
		what = plan->credentials->access_key;
	else if (plan->origin == S3_ORIGIN_PROCESS)
		what = plan->process;
	else if (plan->origin == S3_ORIGIN_WEB_IDENTITY)
		what = plan->identity.arn;
	snprintf(ret, max, "%s %s", origins[plan->origin], what);
	for (unsigned i = 0; i < plan->roles_count; i++)
		snprintf(ret + strlen(ret), max - strlen(ret), " %s", plan->roles[i].arn);
}

/* Makes a plan; its description, or its error. */
static int plan(const char *profile, char *ret, size_t max)
{
	char error[SOURCE_ERROR_MAX] = "";
	struct s3_config *config = NULL;
	struct s3_plan plan = {0};
	int err = s3_config_load(&(struct s3_options){.profile = profile}, &config, error);

	if (err == 0)
		err = s3_plan_make(config, &plan, error);
	if (err == 0)
		describe(&plan, ret, max);
	else
		snprintf(ret, max, "%s", error);
	s3_plan_finish(&plan);
	s3_config_destroy(config);
	return err;
}

#define ENV "AWS_ACCESS_KEY_ID=ENV AWS_SECRET_ACCESS_KEY=topsecret "
#define WEB "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:web "
#define BOX "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/box "
#define IMDS "AWS_EC2_METADATA_DISABLED=false "

#define KEYS(id) "aws_access_key_id=" id "\naws_secret_access_key=topsecret\n"
#define ROLE "role_arn=arn:role\nsource_profile=source\n"
#define SOURCE "[source]\n" KEYS("SOURCE")

/* Everything there is at once; each row takes the first away. */
static void the_order(void **state)
{
	static const struct {
		const char *variables, *config, *credentials, *expected;
	} table[] = {
		{ENV WEB BOX IMDS, "[default]\n" ROLE "credential_process=p\n" KEYS("CONFIG"),
			"[default]\n" KEYS("FILE") SOURCE, "static ENV"},
		{WEB BOX IMDS, "[default]\n" ROLE "credential_process=p\n" KEYS("CONFIG"),
			"[default]\n" KEYS("FILE") SOURCE, "static SOURCE arn:role"},
		{WEB BOX IMDS, "[default]\ncredential_process=p\n" KEYS("CONFIG"),
			"[default]\n" KEYS("FILE"), "identity arn:web"},
		{BOX IMDS, "[default]\ncredential_process=p\n" KEYS("CONFIG"),
			"[default]\n" KEYS("FILE"), "static FILE"},
		{BOX IMDS, "[default]\ncredential_process=p\n" KEYS("CONFIG"), NULL, "process p"},
		{BOX IMDS, "[default]\n" KEYS("CONFIG"), NULL, "static CONFIG"},
		{BOX IMDS, NULL, NULL, "container http://169.254.170.2/box"},
		{IMDS, NULL, NULL, "instance http://169.254.169.254/"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct world world;
		char found[256];

		world_make(&world);
		world_file(&world, "token", "eyToken\n");
		world_file(&world, "~/.aws/config", table[i].config);
		world_file(&world, "~/.aws/credentials", table[i].credentials);
		world_variables(&world, table[i].variables);
		plan(NULL, found, sizeof found);
		assert_string_equal(found, table[i].expected);
		world_finish(&world);
	}
}

static void every_way(void **state)
{
	static const struct {
		const char *variables, *profile, *config, *credentials;
		int err;
		const char *expected;
	} table[] = {
		/* the environment */
		{"AWS_ACCESS_KEY_ID=ENV", NULL, NULL, NULL, -EACCES,
			"credentials: environment: an access key without its secret"},
		{"AWS_ACCESS_KEY_ID=E%20 AWS_SECRET_ACCESS_KEY=a\x01", NULL, NULL, NULL, -EACCES,
			"credentials: environment: a key is empty or has characters that keys can't "
			"have"},
		{ENV "AWS_CREDENTIAL_EXPIRATION=soon", NULL, NULL, NULL, -EINVAL,
			"credentials: environment: AWS_CREDENTIAL_EXPIRATION is not a time"},
		{"AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY=", NULL, NULL,
			"[default]\n" KEYS("FILE"), 0, "static FILE"},
		/* profiles */
		{"AWS_PROFILE=p", NULL, "[profile p]\n" KEYS("CONFIG"), NULL, 0, "static CONFIG"},
		{"AWS_PROFILE=p", NULL, NULL, "[p]\n" KEYS("FILE"), 0, "static FILE"},
		{"AWS_DEFAULT_PROFILE=p AWS_PROFILE=q", NULL, NULL,
			"[p]\n" KEYS("P") "[q]\n" KEYS("Q"), 0, "static P"},
		{ENV "AWS_PROFILE=p", NULL, NULL, "[p]\n" KEYS("FILE"), 0, "static ENV"},
		{ENV, "p", NULL, "[p]\n" KEYS("FILE"), 0, "static FILE"},
		{ENV WEB, "p", NULL, "[p]\n" KEYS("FILE"), 0, "static FILE"},
		{"", NULL, NULL, "[default]\naws_access_key_id=A\n", -EACCES,
			"credentials: credentials file: an access key without its secret"},
		{"", NULL, "[default]\naws_access_key_id=A\n", NULL, -EACCES,
			"credentials: config file: an access key without its secret"},
		{"", NULL, "[default]\naws_access_key_id=A\n",
			"[default]\naws_secret_access_key=B\n", -EACCES,
			"credentials: config file: an access key without its secret"},
		{"AWS_SHARED_CREDENTIALS_FILE=~/elsewhere", NULL, NULL, "[default]\n" KEYS("FILE"),
			-EACCES,
			"credentials: none in the environment nor in profile default (without a "
			"signature: no_sign_request)"},
		{"", NULL, "[default]\nsso_account_id=1\nsso_role_name=r\n", NULL, -EINVAL,
			"credentials: profile default: no sso_start_url"},
		{"", NULL, "[default]\nlogin_session=arn\n", NULL, -EACCES,
			"credentials: profile default: `aws login` is not for pagein to do; a "
			"profile with credential_process = aws configure export-credentials "
			"--profile default does it"},
		{"", NULL, "[default]\nlogin_session=arn\n", "[default]\n" KEYS("FILE"), 0,
			"static FILE"},
		/* web identity */
		{"AWS_WEB_IDENTITY_TOKEN_FILE=~/token", NULL, NULL, NULL, -EINVAL,
			"credentials: web identity: neither AWS_ROLE_ARN nor role_arn"},
		{"AWS_WEB_IDENTITY_TOKEN_FILE=/nowhere AWS_ROLE_ARN=a", NULL, NULL, NULL, -EACCES,
			"credentials: web identity: /nowhere: No such file or directory"},
		{"AWS_WEB_IDENTITY_TOKEN_FILE=~/empty AWS_ROLE_ARN=a", NULL, NULL, NULL, -EACCES,
			"empty: not a token"},
		{"AWS_WEB_IDENTITY_TOKEN_FILE=~/lines AWS_ROLE_ARN=a", NULL, NULL, NULL, -EACCES,
			"lines: not a token"},
		{"AWS_WEB_IDENTITY_TOKEN_FILE=~/token", NULL,
			"[default]\nweb_identity_token_file=/nowhere\nrole_arn=arn:p\n", NULL, 0,
			"identity arn:p"},
		/* containers */
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.9:80/x?y", NULL, NULL, NULL, 0,
			"container http://127.0.0.9:80/x?y"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://[::1]/x", NULL, NULL, NULL, 0,
			"container http://[::1]/x"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://[fd00:ec2::23]/x", NULL, NULL, NULL, 0,
			"container http://[fd00:ec2::23]/x"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/c", NULL, NULL, NULL,
			0, "container http://169.254.170.23/v1/c"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost/x", NULL, NULL, NULL, 0,
			"container http://localhost/x"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=https://example.com/x", NULL, NULL, NULL, 0,
			"container https://example.com/x"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://example.com/x", NULL, NULL, NULL,
			-EACCES, "neither https: nor a host that containers are given"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1@example.com/", NULL, NULL,
			NULL, -EACCES, "neither https: nor a host that containers are given"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.169.254/", NULL, NULL, NULL,
			-EACCES, "neither https: nor a host that containers are given"},
		{"AWS_CONTAINER_CREDENTIALS_FULL_URI=file:///etc/passwd", NULL, NULL, NULL, -EINVAL,
			"credentials: container: the URI is malformed"},
		{BOX "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost/x", NULL, NULL, NULL, 0,
			"container http://169.254.170.2/box"},
		{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=@example.com/", NULL, NULL, NULL, 0,
			"container http://169.254.170.2/@example.com/"},
		{BOX "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/nowhere", NULL, NULL, NULL, -EACCES,
			"credentials: container: /nowhere: No such file or directory"},
		{BOX "AWS_CONTAINER_AUTHORIZATION_TOKEN=a\r\nX:y", NULL, NULL, NULL, -EACCES,
			"credentials: container: the token has a line break in it"},
		/* the instance */
		{IMDS "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1", NULL, NULL, NULL, 0,
			"instance http://127.0.0.1:1/"},
		{IMDS "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6", NULL, NULL, NULL, 0,
			"instance http://[fd00:ec2::254]/"},
		{IMDS, NULL, "[default]\nec2_metadata_service_endpoint=http://m/\n", NULL, 0,
			"instance http://m/"},
		/* roles */
		{"", NULL, "[default]\nrole_arn=r\n", NULL, -EINVAL,
			"credentials: profile default: role_arn needs source_profile or "
			"credential_source, and not both"},
		{"", NULL,
			"[default]\nrole_arn=r\nsource_profile=a\ncredential_source=Environment\n",
			NULL, -EINVAL,
			"credentials: profile default: role_arn needs source_profile or "
			"credential_source, and not both"},
		{"", NULL, "[default]\nrole_arn=r\nsource_profile=nobody\n", NULL, -EINVAL,
			"credentials: profile default: its source_profile nobody is not there"},
		{"", NULL, "[default]\nrole_arn=r\nsource_profile=default\n" KEYS("SELF"), NULL, 0,
			"static SELF r"},
		{"", NULL, "[default]\nrole_arn=r\nsource_profile=default\n", NULL, -EINVAL,
			"credentials: profile default: its source_profile leads back to default"},
		{"", NULL,
			"[default]\nrole_arn=r1\nsource_profile=b\n[profile b]\nrole_arn=r2\n"
			"source_profile=default\n",
			NULL, -EINVAL,
			"credentials: profile b: its source_profile leads back to default"},
		{"", NULL,
			"[default]\nrole_arn=last\nsource_profile=b\n[profile b]\nrole_arn=middle\n"
			"source_profile=c\n[profile c]\nrole_arn=first\nsource_profile=source\n",
			SOURCE, 0, "static SOURCE first middle last"},
		{"", NULL, "[default]\n" ROLE "[profile source]\ncredential_process=p\n", NULL, 0,
			"process p arn:role"},
		{WEB, NULL,
			"[default]\n" ROLE "[profile source]\nweb_identity_token_file=/nowhere\n"
			"role_arn=x\n",
			NULL, -EACCES,
			"credentials: web identity: /nowhere: No such file or directory"},
		{"", NULL, "[default]\n" ROLE "[profile source]\nregion=x\n", NULL, -EACCES,
			"credentials: profile source: no credentials in it"},
		{"", NULL, "[default]\n" ROLE "mfa_serial=m\n", SOURCE, -EACCES,
			"credentials: profile default: mfa_serial asks for a code, and there is nobody "
			"to type it"},
		{ENV, "p", "[profile p]\nrole_arn=r\ncredential_source=Environment\n", NULL, 0,
			"static ENV r"},
		{"", NULL, "[default]\nrole_arn=r\ncredential_source=Environment\n", NULL, -EACCES,
			"credentials: profile default: nothing in its credential_source"},
		{BOX, NULL, "[default]\nrole_arn=r\ncredential_source=EcsContainer\n", NULL, 0,
			"container http://169.254.170.2/box r"},
		{IMDS, NULL, "[default]\nrole_arn=r\ncredential_source=Ec2InstanceMetadata\n", NULL,
			0, "instance http://169.254.169.254/ r"},
		{"", NULL, "[default]\nrole_arn=r\ncredential_source=Hope\n", NULL, -EINVAL,
			"credentials: profile default: unknown credential_source"},
		{"", NULL,
			"[default]\nrole_arn=r\nsource_profile=1\n[profile 1]\nrole_arn=r\n"
			"source_profile=2\n[profile 2]\nrole_arn=r\nsource_profile=3\n[profile 3]\n"
			"role_arn=r\nsource_profile=4\n[profile 4]\nrole_arn=r\nsource_profile=5\n"
			"[profile 5]\nrole_arn=r\nsource_profile=6\n[profile 6]\nrole_arn=r\n"
			"source_profile=7\n[profile 7]\nrole_arn=r\nsource_profile=8\n[profile 8]\n"
			"role_arn=r\nsource_profile=9\n[profile 9]\n",
			NULL, -EINVAL,
			"credentials: profile default: its source_profile leads to more than 8 roles"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct world world;
		char found[256];
		int err;

		world_make(&world);
		world_file(&world, "token", "eyToken\n");
		world_file(&world, "empty", " \n");
		world_file(&world, "lines", "topsecret\ntopsecret\n");
		world_file(&world, "~/.aws/config", table[i].config);
		world_file(&world, "~/.aws/credentials", table[i].credentials);
		world_variables(&world, table[i].variables);
		err = plan(table[i].profile, found, sizeof found);
		if (err != table[i].err || !strstr(found, table[i].expected))
			fail_msg("%zu: %d %s; not %s", i, err, found, table[i].expected);
		assert_null(strstr(found, "topsecret"));
		world_finish(&world);
	}
}

static void details_of_roles_and_tokens(void **state)
{
	struct s3_config *config;
	struct s3_plan plan;
	struct world world;
	char error[SOURCE_ERROR_MAX];

	(void)state;
	world_make(&world);
	world_file(&world, "~/.aws/config",
		"[default]\nrole_arn=r\nsource_profile=source\nrole_session_name=me\n"
		"external_id=x\nduration_seconds=1800\n");
	world_file(&world, "~/.aws/credentials", SOURCE "aws_session_token=T\n");
	config = world_config(NULL);
	assert_int_equal(s3_plan_make(config, &plan, error), 0);
	assert_string_equal(plan.roles[0].session, "me");
	assert_string_equal(plan.roles[0].external_id, "x");
	assert_int_equal(plan.roles[0].duration_s, 1800);
	assert_string_equal(plan.credentials->token, "T");
	s3_plan_finish(&plan);
	s3_config_destroy(config);

	world_file(&world, "token", "eyToken\n");
	world_file(&world, "~/.aws/config", NULL);
	world_variables(&world, WEB "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=x "
				    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=~/token "
				    "AWS_CONTAINER_AUTHORIZATION_TOKEN=other");
	config = world_config(NULL);
	assert_int_equal(s3_plan_make(config, &plan, error), 0);
	assert_string_equal(plan.identity_token, "eyToken");
	assert_int_equal(strncmp(plan.identity.session, "pagein-session-", 15), 0);
	s3_plan_finish(&plan);
	s3_config_destroy(config);

	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	config = world_config(NULL);
	assert_int_equal(s3_plan_make(config, &plan, error), 0);
	/* The file counts, not the variable. */
	assert_string_equal(plan.authorization, "eyToken");
	s3_plan_finish(&plan);
	s3_config_destroy(config);
	world_finish(&world);
}

/* What was in the environment when the config was loaded counts, whatever happens to it. */
static void the_environment_is_a_copy(void **state)
{
	struct s3_config *config;
	struct s3_plan plan;
	struct world world;
	char error[SOURCE_ERROR_MAX];

	(void)state;
	world_make(&world);
	world_variables(&world, ENV "AWS_SESSION_TOKEN=T");
	config = world_config(NULL);
	unsetenv("AWS_ACCESS_KEY_ID");
	assert_int_equal(s3_plan_make(config, &plan, error), 0);
	assert_string_equal(plan.credentials->access_key, "ENV");
	assert_string_equal(plan.credentials->token, "T");
	s3_plan_finish(&plan);
	s3_config_destroy(config);
	world_finish(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order),
		cmocka_unit_test(every_way),
		cmocka_unit_test(details_of_roles_and_tokens),
		cmocka_unit_test(the_environment_is_a_copy),
	};

	return run_group(tests);
}
