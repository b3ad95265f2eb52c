/*
 * s3_plan_role.c - roles: by a token that a file has (web identity), and those that are assumed
 * with the credentials of another profile, which may itself have them from a third.
 *
 * Any thread; see s3_plan.c. The rules for what may lead to what are botocore's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "s3_environment.h"
#include "s3_plan_private.h"
#include "text.h"

/* session NULL: one of ours. */
static int role_fill(const char *arn, const char *session, struct s3_role *ret)
{
	int err = plan_copy(arn, &ret->arn);

	if (err == 0 && session)
		err = plan_copy(session, &ret->session);
	else if (err == 0)
		err = text_print(&ret->session, "pagein-session-%lld", (long long)time(NULL));
	return err;
}

int plan_web_identity(struct planner *planner, const char *profile)
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
		return plan_complain(
			planner, -EINVAL, "%s: neither AWS_ROLE_ARN nor role_arn", name);
	planner->plan->origin = S3_ORIGIN_WEB_IDENTITY;
	planner->plan->name = name;
	err = role_fill(values[1], values[2], &planner->plan->identity);
	if (err == 0)
		err = plan_token_read(planner, name, values[0], &planner->plan->identity_token);
	return err < 0 ? err : FOUND;
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
		{"Environment", plan_environment},
		{"EcsContainer", plan_container},
		{"Ec2InstanceMetadata", plan_instance},
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
		return plan_complain(planner, -EACCES,
			"profile %.40s: nothing in its credential_source", profile);
	}
	return plan_complain(planner, -EINVAL, "profile %.40s: unknown credential_source", profile);
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
		return plan_complain(planner, -EINVAL,
			"profile %.40s: its source_profile leads to more than %d roles",
			planner->config->profile, S3_ROLES_MAX);
	if (s3_profiles_get(profiles, profile, "mfa_serial"))
		return plan_complain(planner, -EACCES,
			"profile %.40s: mfa_serial asks for a code, and there is nobody to type it",
			profile);
	plan->roles_count++;
	err = role_fill(s3_profiles_get(profiles, profile, "role_arn"),
		s3_profiles_get(profiles, profile, "role_session_name"), role);
	if (err == 0)
		err = plan_copy(external_id, &role->external_id);
	role->duration_s = duration ? (unsigned)strtoul(duration, NULL, 10) : 0;
	return err;
}

/* Was it on the way already? A profile may only lead to itself if it has keys, too. */
static int source_check(
	struct planner *planner, const char *profile, const char *source, unsigned steps)
{
	const char *visited = planner->config->profile;

	if (!s3_profiles_has(&planner->profiles, source))
		return plan_complain(planner, -EINVAL,
			"profile %.40s: its source_profile %.40s is not there", profile, source);
	for (unsigned i = 0; i <= steps; i++) {
		if (strcmp(visited, source) == 0 &&
			(strcmp(source, profile) != 0 || !has_keys(planner, source)))
			return plan_complain(planner, -EINVAL,
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
			return plan_complain(planner, -EINVAL,
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
		err = plan_profile(planner, profile);
		return err != NOT_MINE ? err
				       : plan_complain(planner, -EACCES,
						 "profile %.40s: no credentials in it", profile);
	}
}

int plan_role(struct planner *planner, const char *profile)
{
	int found;

	if (!has_role(planner, profile))
		return NOT_MINE;
	found = find_role_from(planner, profile);
	roles_reverse(planner->plan);
	return found;
}
