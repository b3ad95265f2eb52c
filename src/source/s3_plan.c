/*
 * s3_plan.c - botocore's order of credential providers as a table, and its rules for roles that
 * lead to one another.
 *
 * Any thread. Blocks while it reads the profiles and a token: files of some KiB, at most once per
 * fetch, which is every few minutes or less. Each provider says "found", "not mine", or why what is
 * configured can't work; then no later one is asked, so that a typing error does not end in the
 * credentials of somebody else.
 *
 * Not there: SSO and `aws login` (they want a browser; the words say how credential_process does
 * it), MFA codes (nobody is there to type), and boto 2's files.
 */
#include "s3_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "s3_container.h"
#include "s3_environment.h"
#include "s3_profile.h"

#define FOUND 1
#define NOT_MINE 0

#define INSTANCE_URL "http://169.254.169.254/"
#define INSTANCE_URL_IPV6 "http://[fd00:ec2::254]/"
#define INSTANCE_TIMEOUT_S 1  /* botocore's: it is on the same machine, or nowhere */
#define CONTAINER_TIMEOUT_S 2 /* botocore's; a longer metadata_service_timeout counts here, too */
#define INSTANCE_ATTEMPTS 1
#define INSTANCE_LIMIT 60 /* of both */

struct planner {
	const struct s3_config *config;
	const struct s3_environment *environment;
	struct s3_profiles profiles;
	bool ignores_environment; /* a profile that was named, or leads to another */
	struct s3_plan *plan;
	char *error;
};

/* FOUND, NOT_MINE, or -errno with words. */
typedef int provider_function(struct planner *planner, const char *profile);

static int complain(struct planner *planner, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain(struct planner *planner, int err, const char *format, ...)
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

static int copy(const char *value, char **ret)
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
		return complain(planner, -EACCES, "%s: an access key without its secret", name);
	err = s3_credentials_create(
		access_key, secret, token, expires_s, &planner->plan->credentials);
	if (err == -EINVAL)
		return complain(planner, -EACCES,
			"%s: a key is empty or has characters that keys can't have", name);
	if (err < 0)
		return err;
	planner->plan->origin = S3_ORIGIN_STATIC;
	planner->plan->name = name;
	return FOUND;
}

static int find_environment(struct planner *planner, const char *profile)
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
		return complain(
			planner, -EINVAL, "environment: AWS_CREDENTIAL_EXPIRATION is not a time");
	return found_static(planner, "environment", access_key,
		s3_variable(environment, S3_SECRET_KEY),
		token ? token : s3_variable(environment, S3_SESSION_TOKEN), expires_s);
}

static const char *token_of(const char *old_name, const char *name)
{
	return old_name ? old_name : name;
}

static int find_credentials_file(struct planner *planner, const char *profile)
{
	const struct s3_ini *file = planner->profiles.credentials;
	const char *access_key = s3_ini_get(file, profile, "aws_access_key_id");

	if (!access_key)
		return NOT_MINE;
	return found_static(planner, "credentials file", access_key,
		s3_ini_get(file, profile, "aws_secret_access_key"),
		token_of(s3_ini_get(file, profile, "aws_security_token"),
			s3_ini_get(file, profile, "aws_session_token")),
		S3_NEVER);
}

static int find_config_file(struct planner *planner, const char *profile)
{
	const struct s3_profiles *profiles = &planner->profiles;
	const char *access_key = s3_profiles_get_config(profiles, profile, "aws_access_key_id");

	if (!access_key)
		return NOT_MINE;
	return found_static(planner, "config file", access_key,
		s3_profiles_get_config(profiles, profile, "aws_secret_access_key"),
		token_of(s3_profiles_get_config(profiles, profile, "aws_security_token"),
			s3_profiles_get_config(profiles, profile, "aws_session_token")),
		S3_NEVER);
}

/* ---- programs and endpoints ---------------------------------------------------------------- */

static int find_process(struct planner *planner, const char *profile)
{
	const char *process = s3_profiles_get(&planner->profiles, profile, "credential_process");

	if (!process)
		return NOT_MINE;
	planner->plan->origin = S3_ORIGIN_PROCESS;
	planner->plan->name = "credential_process";
	return copy(process, &planner->plan->process) < 0 ? -ENOMEM : FOUND;
}

static int find_sso(struct planner *planner, const char *profile)
{
	const struct s3_profiles *profiles = &planner->profiles;

	if (!s3_profiles_get(profiles, profile, "sso_account_id") &&
		!s3_profiles_get(profiles, profile, "sso_role_name"))
		return NOT_MINE;
	return complain(planner, -EACCES,
		"profile %.40s: SSO is not for pagein to do; a profile with credential_process = "
		"aws configure export-credentials --profile %.40s does it",
		profile, profile);
}

/* One line without its line break; anything else in the way of a header is refused later. */
static int token_read(struct planner *planner, const char *name, const char *path, char **ret)
{
	char *text;
	size_t len;
	int err = s3_file_read(path, &text, &len);

	if (err < 0)
		return complain(planner, err == -ENOMEM ? err : -EACCES, "%s: %.120s: %s", name,
			path, strerror(-err));
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	if (len == 0 || strlen(text) != len || strpbrk(text, "\r\n")) {
		explicit_bzero(text, len);
		free(text);
		return complain(planner, -EACCES, "%s: %.120s: not a token", name, path);
	}
	*ret = text;
	return 0;
}

static unsigned number_setting(struct planner *planner, const char *profile, enum s3_variable which,
	const char *name, unsigned usual)
{
	const char *text = s3_setting(
		planner->environment, which, &planner->profiles, profile, name);
	unsigned long value = text ? strtoul(text, NULL, 10) : usual;

	return value >= 1 && value <= INSTANCE_LIMIT ? (unsigned)value : usual;
}

static unsigned metadata_timeout_s(struct planner *planner, const char *profile, unsigned usual)
{
	return number_setting(
		planner, profile, S3_METADATA_TIMEOUT, "metadata_service_timeout", usual);
}

static int find_container(struct planner *planner, const char *profile)
{
	static const char name[] = "container";
	const struct s3_environment *environment = planner->environment;
	const char *relative = s3_variable(environment, S3_CONTAINER_RELATIVE);
	const char *full = s3_variable(environment, S3_CONTAINER_FULL);
	const char *file = s3_variable(environment, S3_CONTAINER_TOKEN_FILE);
	struct s3_plan *plan = planner->plan;
	int err;

	if (!relative && !full)
		return NOT_MINE;
	err = s3_container_url(relative, full, &plan->url);
	if (err == -EPERM)
		return complain(planner, -EACCES,
			"%s: AWS_CONTAINER_CREDENTIALS_FULL_URI: neither https: nor a host that "
			"containers are given",
			name);
	if (err == -EINVAL)
		return complain(planner, -EINVAL, "%s: the URI is malformed", name);
	if (err == 0)
		err = file ? token_read(planner, name, file, &plan->authorization)
			   : copy(s3_variable(environment, S3_CONTAINER_TOKEN),
				     &plan->authorization);
	if (err == 0 && plan->authorization && strpbrk(plan->authorization, "\r\n"))
		err = complain(planner, -EACCES, "%s: the token has a line break in it", name);
	plan->origin = S3_ORIGIN_CONTAINER;
	plan->name = name;
	plan->timeout_ms = 1000 * metadata_timeout_s(planner, profile, CONTAINER_TIMEOUT_S);
	if (plan->timeout_ms < 1000 * CONTAINER_TIMEOUT_S)
		plan->timeout_ms = 1000 * CONTAINER_TIMEOUT_S;
	return err < 0 ? err : FOUND;
}

static int find_instance(struct planner *planner, const char *profile)
{
	const struct s3_environment *environment = planner->environment;
	const struct s3_profiles *profiles = &planner->profiles;
	const char *url = s3_setting(environment, S3_METADATA_ENDPOINT, profiles, profile,
		"ec2_metadata_service_endpoint");
	const char *mode = s3_setting(environment, S3_METADATA_ENDPOINT_MODE, profiles, profile,
		"ec2_metadata_service_endpoint_mode");
	struct s3_plan *plan = planner->plan;
	size_t len;

	if (s3_is_true(s3_variable(environment, S3_METADATA_DISABLED)))
		return NOT_MINE;
	if (!url)
		url = mode && strcasecmp(mode, "ipv6") == 0 ? INSTANCE_URL_IPV6 : INSTANCE_URL;
	len = strlen(url);
	plan->origin = S3_ORIGIN_INSTANCE;
	plan->name = "instance";
	plan->timeout_ms = 1000 * metadata_timeout_s(planner, profile, INSTANCE_TIMEOUT_S);
	plan->attempts = number_setting(planner, profile, S3_METADATA_ATTEMPTS,
		"metadata_service_num_attempts", INSTANCE_ATTEMPTS);
	plan->needs_token = s3_is_true(s3_setting(environment, S3_METADATA_V1_DISABLED, profiles,
		profile, "ec2_metadata_v1_disabled"));
	if (asprintf(&plan->url, "%s%s", url, url[len - 1] == '/' ? "" : "/") < 0) {
		plan->url = NULL;
		return -ENOMEM;
	}
	return FOUND;
}

/* ---- roles --------------------------------------------------------------------------------- */

/* session NULL: one of ours. */
static int role_fill(const char *arn, const char *session, struct s3_role *ret)
{
	int err = copy(arn, &ret->arn);

	if (err == 0 && session)
		err = copy(session, &ret->session);
	else if (err == 0 &&
		 asprintf(&ret->session, "pagein-session-%lld", (long long)time(NULL)) < 0) {
		ret->session = NULL;
		err = -ENOMEM;
	}
	return err;
}

static int find_web_identity(struct planner *planner, const char *profile)
{
	static const char name[] = "web identity";
	static const struct {
		enum s3_variable variable;
		const char *name;
	} settings[] = {
		{S3_TOKEN_FILE, "web_identity_token_file"},
		{S3_ROLE_ARN, "role_arn"},
		{S3_ROLE_SESSION_NAME, "role_session_name"},
	};
	const char *values[3];
	int err;

	for (size_t i = 0; i < 3; i++)
		values[i] = planner->ignores_environment
				    ? s3_profiles_get(&planner->profiles, profile, settings[i].name)
				    : s3_setting(planner->environment, settings[i].variable,
					      &planner->profiles, profile, settings[i].name);
	if (!values[0])
		return NOT_MINE;
	if (!values[1])
		return complain(planner, -EINVAL, "%s: neither AWS_ROLE_ARN nor role_arn", name);
	planner->plan->origin = S3_ORIGIN_WEB_IDENTITY;
	planner->plan->name = name;
	err = role_fill(values[1], values[2], &planner->plan->identity);
	if (err == 0)
		err = token_read(planner, name, values[0], &planner->plan->identity_token);
	return err < 0 ? err : FOUND;
}

/* What can stand in a profile, by itself or as the source of another's role. */
static int find_profile(struct planner *planner, const char *profile)
{
	static provider_function *const providers[] = {
		find_web_identity, find_sso, find_credentials_file, find_process, find_config_file};
	int found = NOT_MINE;

	for (size_t i = 0; i < sizeof providers / sizeof *providers && found == NOT_MINE; i++)
		found = providers[i](planner, profile);
	return found;
}

static bool has_role(const struct planner *planner, const char *profile)
{
	return s3_profiles_get(&planner->profiles, profile, "role_arn") &&
	       !s3_profiles_get(&planner->profiles, profile, "web_identity_token_file");
}

static bool has_keys(const struct planner *planner, const char *profile)
{
	return s3_profiles_get(&planner->profiles, profile, "aws_access_key_id") ||
	       s3_profiles_get(&planner->profiles, profile, "aws_secret_access_key");
}

/* credential_source: one of those that need no profile. */
static int find_source(struct planner *planner, const char *profile, const char *source)
{
	static const struct {
		const char *name;
		provider_function *find;
	} table[] = {
		{"Environment", find_environment},
		{"EcsContainer", find_container},
		{"Ec2InstanceMetadata", find_instance},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		int found;

		if (strcmp(table[i].name, source) != 0)
			continue;
		/* It was named; what a profile hides does not count here. */
		planner->ignores_environment = false;
		found = table[i].find(planner, profile);
		if (found != NOT_MINE)
			return found;
		return complain(planner, -EACCES, "profile %.40s: nothing in its credential_source",
			profile);
	}
	return complain(planner, -EINVAL, "profile %.40s: unknown credential_source", profile);
}

static int role_append(struct planner *planner, const char *profile)
{
	const struct s3_profiles *profiles = &planner->profiles;
	const char *duration = s3_profiles_get(profiles, profile, "duration_seconds");
	const char *external_id = s3_profiles_get(profiles, profile, "external_id");
	struct s3_plan *plan = planner->plan;
	struct s3_role *role = &plan->roles[plan->roles_count];
	int err;

	if (plan->roles_count == S3_ROLES_MAX)
		return complain(planner, -EINVAL,
			"profile %.40s: its source_profile leads to more than %d roles",
			planner->config->profile, S3_ROLES_MAX);
	if (s3_profiles_get(profiles, profile, "mfa_serial"))
		return complain(planner, -EACCES,
			"profile %.40s: mfa_serial asks for a code, and there is nobody to type it",
			profile);
	plan->roles_count++;
	err = role_fill(s3_profiles_get(profiles, profile, "role_arn"),
		s3_profiles_get(profiles, profile, "role_session_name"), role);
	if (err == 0)
		err = copy(external_id, &role->external_id);
	role->duration_s = duration ? (unsigned)strtoul(duration, NULL, 10) : 0;
	return err;
}

/* Was it on the way already? A profile may only lead to itself if it has keys, too. */
static int source_check(
	struct planner *planner, const char *profile, const char *source, unsigned steps)
{
	const char *visited = planner->config->profile;

	if (!s3_profiles_has(&planner->profiles, source))
		return complain(planner, -EINVAL,
			"profile %.40s: its source_profile %.40s is not there", profile, source);
	for (unsigned i = 0; i <= steps; i++) {
		if (strcmp(visited, source) == 0 &&
			(strcmp(source, profile) != 0 || !has_keys(planner, source)))
			return complain(planner, -EINVAL,
				"profile %.40s: its source_profile leads back to %.40s", profile,
				source);
		visited = s3_profiles_get(&planner->profiles, visited, "source_profile");
	}
	return 0;
}

/* The roles were found from the last one back. */
static void roles_reverse(struct s3_plan *plan)
{
	for (unsigned i = 0, j = plan->roles_count; i + 1 < j; i++) {
		struct s3_role role = plan->roles[i];

		plan->roles[i] = plan->roles[--j];
		plan->roles[j] = role;
	}
}

static int find_role_from(struct planner *planner, const char *profile)
{
	for (unsigned steps = 0;; steps++) {
		const struct s3_profiles *profiles = &planner->profiles;
		const char *source = s3_profiles_get(profiles, profile, "source_profile");
		const char *named = s3_profiles_get(profiles, profile, "credential_source");
		int err = role_append(planner, profile);

		if (err < 0)
			return err;
		if (!source == !named)
			return complain(planner, -EINVAL,
				"profile %.40s: role_arn needs source_profile or "
				"credential_source, and not both",
				profile);
		if (named)
			return find_source(planner, profile, named);
		err = source_check(planner, profile, source, steps);
		if (err < 0)
			return err;
		profile = source;
		if (!has_keys(planner, profile) && has_role(planner, profile))
			continue;
		planner->ignores_environment = true;
		err = find_profile(planner, profile);
		return err != NOT_MINE ? err
				       : complain(planner, -EACCES,
						 "profile %.40s: no credentials in it", profile);
	}
}

static int find_role(struct planner *planner, const char *profile)
{
	int found;

	if (!has_role(planner, profile))
		return NOT_MINE;
	found = find_role_from(planner, profile);
	roles_reverse(planner->plan);
	return found;
}

/* ---- the chain ----------------------------------------------------------------------------- */

int s3_plan_make(const struct s3_config *config, struct s3_plan *ret, char error[SOURCE_ERROR_MAX])
{
	static provider_function *const chain[] = {
		find_environment, find_role, find_profile, find_container, find_instance};
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
		found = complain(&planner, -EACCES,
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
	free(plan->url);
	secret_free(plan->authorization);
	for (unsigned i = 0; i < plan->roles_count; i++)
		role_finish(&plan->roles[i]);
	*plan = (struct s3_plan){0};
}
