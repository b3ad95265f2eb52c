/*
 * s3_plan_sso.c - AWS's single sign-on: a profile names an account and a role, and who has logged
 * in (`aws sso login`) by a browser may have keys for them. The login is either an [sso-session]'s,
 * whose tokens can be renewed, or the profile's own.
 *
 * Any thread; see s3_plan.c. The rules are botocore's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "s3_environment.h"
#include "s3_plan_private.h"
#include "s3_sign.h"
#include "s3_url.h"
#include "text.h"

enum setting { ACCOUNT, ROLE, START_URL, REGION, SETTINGS };

static const char *const names[SETTINGS] = {
	[ACCOUNT] = "sso_account_id",
	[ROLE] = "sso_role_name",
	[START_URL] = "sso_start_url",
	[REGION] = "sso_region",
};

/* The session's and the profile's, which must not differ. */
static int settings_find(struct planner *planner, const char *profile, const char *session,
	const char *values[SETTINGS])
{
	const struct s3_profiles *profiles = &planner->profiles;

	if (session && !s3_profiles_has_session(profiles, session))
		return plan_complain(planner, -EINVAL, "profile %.40s: no [sso-session %.40s]",
			profile, session);
	for (unsigned i = 0; i < SETTINGS; i++) {
		const char *own = s3_profiles_get(profiles, profile, names[i]);
		const char *shared = session ? s3_profiles_get_session(profiles, session, names[i])
					     : NULL;

		if (own && shared && strcmp(own, shared) != 0)
			return plan_complain(planner, -EINVAL,
				"profile %.40s: its %s is not that of its sso-session", profile,
				names[i]);
		values[i] = own ? own : shared;
		if (!values[i])
			return plan_complain(
				planner, -EINVAL, "profile %.40s: no %s", profile, names[i]);
	}
	if (!s3_region_is_valid(values[REGION]))
		return plan_complain(
			planner, -EINVAL, "profile %.40s: its sso_region is none", profile);
	return 0;
}

/* own NULL: "https://HOST.REGION.amazonaws.com" */
static int url_make(
	const char *own, const char *host, const char *region, const char *path, char **ret)
{
	size_t len = own ? strlen(own) : 0;

	/* Endpoints are written with and without a slash at the end. */
	while (len > 0 && own[len - 1] == '/')
		len--;
	return own ? text_print(ret, "%.*s%s", (int)len, own, path)
		   : text_print(
			     ret, "https://%s.%s.%s%s", host, region, s3_dns_suffix(region), path);
}

static char *encoded(const char *text)
{
	size_t len = strlen(text);
	char *ret = malloc(3 * len + 1);

	if (ret)
		s3_encode(text, len, false, ret);
	return ret;
}

static int urls_make(struct planner *planner, const char *const values[SETTINGS])
{
	const struct s3_config *config = planner->config;
	cleanup_free char *role = encoded(values[ROLE]), *account = encoded(values[ACCOUNT]);
	cleanup_free char *path = NULL;
	struct s3_sso *sso = &planner->plan->sso;
	int err;

	if (!role || !account ||
		text_print(&path, "/federation/credentials?role_name=%s&account_id=%s", role,
			account) < 0)
		return -ENOMEM;
	err = url_make(config->sso_endpoint, "portal.sso", values[REGION], path, &sso->role_url);
	if (err == 0)
		err = url_make(config->sso_oidc_endpoint, "oidc", values[REGION], "/token",
			&sso->renewal_url);
	return err;
}

static int token_load(struct planner *planner, const char *session)
{
	struct s3_sso *sso = &planner->plan->sso;
	int err = s3_sso_file(planner->environment->sso_folder, session, &sso->file);

	if (err == 0)
		err = s3_sso_load(sso, (int64_t)time(NULL));
	if (err == 0 || err == -ENOMEM)
		return err;
	if (err == -ENOENT || err == -ENOTDIR)
		return plan_complain(planner, -EACCES, "SSO: nobody has logged in: %s", sso->login);
	return plan_complain(planner, -EACCES, "SSO: %.100s: %s: %s", sso->file,
		err == -EPROTO ? "no token in it" : strerror(-err), sso->login);
}

int plan_sso(struct planner *planner, const char *profile)
{
	const struct s3_profiles *profiles = &planner->profiles;
	const char *session = s3_profiles_get(profiles, profile, "sso_session");
	struct s3_plan *plan = planner->plan;
	const char *values[SETTINGS];
	int err;

	if (!s3_profiles_get(profiles, profile, names[ACCOUNT]) &&
		!s3_profiles_get(profiles, profile, names[ROLE]))
		return NOT_MINE;
	plan->origin = S3_ORIGIN_SSO;
	plan->name = "SSO";
	plan->sso.may_be_renewed = session;
	err = settings_find(planner, profile, session, values);
	if (err < 0)
		return err;
	if (text_print(&plan->sso.login, "aws sso login --profile %.40s", profile) < 0)
		return -ENOMEM;
	err = urls_make(planner, values);
	if (err == 0)
		err = token_load(planner, session ? session : values[START_URL]);
	return err < 0 ? err : FOUND;
}
