/*
 * s3_plan.c - botocore's order of credential providers as a table, and those that are written down:
 * keys and programs. The others are s3_plan_endpoint.c's, s3_plan_role.c's and s3_plan_sso.c's.
 *
 * Any thread. Blocks while it reads the profiles and a token: files of some KiB, at most once per
 * fetch, which is every few minutes or less. Each provider says "found", "not mine", or why what is
 * configured can't work; then no later one is asked, so that a typing error does not end in the
 * credentials of somebody else.
 *
 * Not there: MFA codes (nobody is there to type), `aws login` (credential_process does it), and
 * boto 2's files. SSO takes what `aws sso login` has left behind; the browser is left to that.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_environment.h"
#include "s3_plan_private.h"

int plan_complain(struct planner *planner, int err, const char *format, ...)
{
	static const char start[] = "credentials: ";
	va_list arguments;

	strcpy(planner->error, start);
	va_start(arguments, format);
	vsnprintf(planner->error + strlen(start), SOURCE_ERROR_MAX - strlen(start), format,
		arguments);
	va_end(arguments);
	return err;
}

int plan_copy(const char *value, char **ret)
{
	*ret = value ? strdup(value) : NULL;
	return value && !*ret ? -ENOMEM : 0;
}

/* ---- keys that are written somewhere ------------------------------------------------------- */

/* secret NULL: that is wrong, as where there is one key there must be the other. */
static int found_static(struct planner *planner, const char *name, const char *access_key,
	const char *secret, const char *token, int64_t expires_s)
{
	int err;

	if (!secret)
		return plan_complain(
			planner, -EACCES, "%s: an access key without its secret", name);
	err = s3_credentials_create(
		access_key, secret, token, expires_s, &planner->plan->credentials);
	if (err == -EINVAL)
		return plan_complain(planner, -EACCES,
			"%s: a key is empty or has characters that keys can't have", name);
	if (err < 0)
		return err;
	planner->plan->origin = S3_ORIGIN_STATIC;
	planner->plan->name = name;
	return FOUND;
}

int plan_environment(struct planner *planner, const char *profile)
{
	const struct s3_environment *environment = planner->environment;
	const char *access_key = s3_variable(environment, S3_ACCESS_KEY);
	const char *token = s3_variable(environment, S3_SECURITY_TOKEN);
	const char *expiration = s3_variable(environment, S3_EXPIRATION);
	int64_t expires_s = S3_NEVER;

	(void)profile;
	if (!access_key || planner->ignores_environment)
		return NOT_MINE;
	if (expiration && !s3_time_parse(expiration, &expires_s))
		return plan_complain(
			planner, -EINVAL, "environment: AWS_CREDENTIAL_EXPIRATION is not a time");
	return found_static(planner, "environment", access_key,
		s3_variable(environment, S3_SECRET_KEY),
		token ? token : s3_variable(environment, S3_SESSION_TOKEN), expires_s);
}

/* What a profile is looked up with: s3_profiles_get_config(), or in the credentials file. */
typedef const char *lookup_function(
	const struct s3_profiles *profiles, const char *profile, const char *name);

static const char *lookup_credentials(
	const struct s3_profiles *profiles, const char *profile, const char *name)
{
	return s3_ini_get(profiles->credentials, profile, name);
}

static int found_in(
	struct planner *planner, const char *profile, const char *file, lookup_function *lookup)
{
	const struct s3_profiles *profiles = &planner->profiles;
	const char *access_key = lookup(profiles, profile, "aws_access_key_id");
	const char *token = lookup(profiles, profile, "aws_security_token"); /* of old */

	if (!access_key)
		return NOT_MINE;
	if (!token)
		token = lookup(profiles, profile, "aws_session_token");
	return found_static(planner, file, access_key,
		lookup(profiles, profile, "aws_secret_access_key"), token, S3_NEVER);
}

static int find_credentials_file(struct planner *planner, const char *profile)
{
	return found_in(planner, profile, "credentials file", lookup_credentials);
}

static int find_config_file(struct planner *planner, const char *profile)
{
	return found_in(planner, profile, "config file", s3_profiles_get_config);
}

/* ---- programs and tokens ------------------------------------------------------------------- */

static int find_process(struct planner *planner, const char *profile)
{
	const char *process = s3_profiles_get(&planner->profiles, profile, "credential_process");

	if (!process)
		return NOT_MINE;
	planner->plan->origin = S3_ORIGIN_PROCESS;
	planner->plan->name = "credential_process";
	return plan_copy(process, &planner->plan->process) < 0 ? -ENOMEM : FOUND;
}

/* Its tokens are bound to a key of the login's, which signs each renewal. */
static int find_login(struct planner *planner, const char *profile)
{
	if (!s3_profiles_get(&planner->profiles, profile, "login_session"))
		return NOT_MINE;
	return plan_complain(planner, -EACCES,
		"profile %.40s: `aws login` is not for pagein to do; a profile with "
		"credential_process = aws configure export-credentials --profile %.40s does it",
		profile, profile);
}

/* One line without its line break; anything else in the way of a header is refused later. */
int plan_token_read(struct planner *planner, const char *name, const char *path, char **ret)
{
	char *text;
	size_t len;
	int err = s3_file_read(path, &text, &len);

	if (err < 0)
		return plan_complain(planner, err == -ENOMEM ? err : -EACCES, "%s: %.120s: %s",
			name, path, strerror(-err));
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	if (len == 0 || strlen(text) != len || strpbrk(text, "\r\n")) {
		explicit_bzero(text, len);
		free(text);
		return plan_complain(planner, -EACCES, "%s: %.120s: not a token", name, path);
	}
	*ret = text;
	return 0;
}

/* ---- the chain ----------------------------------------------------------------------------- */

int plan_profile(struct planner *planner, const char *profile)
{
	static provider_function *const providers[] = {plan_web_identity, plan_sso,
		find_credentials_file, find_login, find_process, find_config_file};
	int found = NOT_MINE;

	for (size_t i = 0; i < sizeof providers / sizeof *providers && found == NOT_MINE; i++)
		found = providers[i](planner, profile);
	return found;
}

int s3_plan_make(const struct s3_config *config, struct s3_plan *ret, char error[SOURCE_ERROR_MAX])
{
	static provider_function *const chain[] = {
		plan_environment, plan_role, plan_profile, plan_container, plan_instance};
	struct s3_plan plan = {.name = ""};
	struct planner planner = {.config = config,
		.environment = config->environment,
		.ignores_environment = config->profile_is_explicit,
		.plan = &plan,
		.error = error};
	int found;

	error[0] = '\0';
	found = s3_profiles_load(config->environment->config_file,
		config->environment->credentials_file, &planner.profiles, error);
	for (size_t i = 0; i < sizeof chain / sizeof *chain && found == NOT_MINE; i++)
		found = chain[i](&planner, config->profile);
	plan.is_last_resort = plan.origin == S3_ORIGIN_INSTANCE && plan.roles_count == 0;
	if (found == NOT_MINE)
		found = plan_complain(&planner, -EACCES,
			"none in the environment nor in profile %.40s (without a signature: "
			"no_sign_request)",
			config->profile);
	s3_profiles_finish(&planner.profiles);
	if (found == -ENOMEM)
		snprintf(error, SOURCE_ERROR_MAX, "credentials: out of memory");
	if (found < 0) {
		s3_plan_finish(&plan);
		return found;
	}
	*ret = plan;
	return 0;
}

static void role_finish(struct s3_role *role)
{
	free(role->arn);
	free(role->session);
	secret_free(role->external_id);
}

void s3_plan_finish(struct s3_plan *plan)
{
	s3_credentials_destroy(plan->credentials);
	secret_free(plan->process);
	role_finish(&plan->identity);
	secret_free(plan->identity_token);
	s3_sso_finish(&plan->sso);
	free(plan->url);
	secret_free(plan->authorization);
	for (unsigned i = 0; i < plan->roles_count; i++)
		role_finish(&plan->roles[i]);
	*plan = (struct s3_plan){0};
}
