/*
 * needs.c - see needs.h.
 *
 * Any thread, before there are others: it looks at the environment. The list errs on the large
 * side: every profile's files are in it, as roles lead from one to another. Which program would be
 * run is asked of the plan itself (s3_plan.c), because a profile that nobody uses must not cost
 * anything.
 *
 * file:// needs all files, since links lead anywhere, as they do for who reads without pagein; so
 * does a manifest on this machine, whose lines may name any file.
 */
#include "needs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "manifest_url.h"
#include "s3_config.h"
#include "s3_environment.h"
#include "s3_plan.h"
#include "s3_profile.h"
#include "text.h"

static int need(struct needs *needs, const char *path, bool is_renewed)
{
	struct need *to = &needs->files[needs->count];

	/* Beyond the list a file can't be read, and that is what will be said. */
	if (!path || !*path || needs->count == NEEDS_MAX)
		return 0;
	*to = (struct need){.path = strdup(path), .is_renewed = is_renewed};
	if (!to->path)
		return -ENOMEM;
	needs->count++;
	return 0;
}

static int need_all(struct needs *needs, const char *const *paths, size_t count, bool is_renewed)
{
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++)
		err = need(needs, paths[i], is_renewed);
	return err;
}

static int need_of_web(struct needs *needs, const struct source_options *options)
{
	const char *home = getenv("HOME"), *netrc = options->netrc_file;
	cleanup_free char *usual = NULL;
	int err = need(needs, getenv("SSL_CERT_FILE"), true);

	if (!netrc && home && text_print(&usual, "%s/.netrc", home) < 0)
		return -ENOMEM;
	if (err == 0)
		err = need(needs, netrc ? netrc : usual, false);
	return err < 0 ? err : need(needs, options->token_file, false);
}

/* ---- S3 ----------------------------------------------------------------------------------- */

static int need_of_ini(struct needs *needs, const struct s3_ini *ini)
{
	int err = 0;

	for (size_t i = 0; ini && i < s3_ini_count(ini) && err == 0; i++) {
		const char *section = s3_ini_section(ini, i);
		const char *const paths[] = {
			s3_ini_get(ini, section, "ca_bundle"),
			s3_ini_get(ini, section, "web_identity_token_file"),
		};

		err = need_all(needs, paths, sizeof paths / sizeof *paths, true);
	}
	return err;
}

static int need_of_profiles(struct needs *needs, const struct s3_environment *environment)
{
	cleanup(s3_profiles_finish) struct s3_profiles profiles = {0};
	char words[SOURCE_ERROR_MAX];
	int err = s3_profiles_load(
		environment->config_file, environment->credentials_file, &profiles, words);

	if (err == 0)
		err = need_of_ini(needs, profiles.config);
	if (err == 0)
		err = need_of_ini(needs, profiles.credentials);
	return err == -ENOMEM ? err : 0;
}

static int need_of_config(struct needs *needs, const struct s3_config *config)
{
	const struct s3_environment *environment = config->environment;
	cleanup(s3_plan_finish) struct s3_plan plan = {0};
	const char *const paths[] = {
		environment->config_file,
		environment->credentials_file,
		config->ca_bundle,
		s3_variable(environment, S3_TOKEN_FILE),
		s3_variable(environment, S3_CONTAINER_TOKEN_FILE),
	};
	char words[SOURCE_ERROR_MAX];
	int err = need_all(needs, paths, sizeof paths / sizeof *paths, true);

	if (err == 0)
		err = need_of_profiles(needs, environment);
	if (err == 0 && !config->anonymous && s3_plan_make(config, &plan, words) == 0) {
		needs->programs = plan.origin == S3_ORIGIN_PROCESS;
		needs->writes = plan.origin == S3_ORIGIN_SSO;
	}
	/* Tokens of single sign-on, which are renewed there. */
	if (err == 0)
		err = need(needs, environment->sso_folder, false);
	if (err == 0 && needs->writes && needs->count < NEEDS_MAX)
		needs->files[needs->count - 1].is_written = true;
	return err;
}

static int need_of_s3(struct needs *needs, const struct source_options *options)
{
	struct s3_config *config = NULL;
	char words[SOURCE_ERROR_MAX];
	int err = s3_config_load(options->s3, &config, words);

	if (err == 0)
		err = need_of_config(needs, config);
	s3_config_destroy(config);
	return err == -ENOMEM ? err : 0;
}

/* ---- all of them -------------------------------------------------------------------------- */

static bool begins(const char *url, const char *scheme)
{
	return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

static int manifest_parse(const char *url, struct manifest_url *ret)
{
	cleanup_free char *inner = NULL;
	int err = manifest_url_parse(url, ret);

	if (err == -EINVAL)
		err = manifest_url_from_given(url, &inner);
	return inner ? manifest_url_parse(inner, ret) : err;
}

/* Where the names are, and what they may lead to. */
static int need_of_manifest(struct needs *needs, const struct source_options *options)
{
	cleanup(manifest_url_finish) struct manifest_url parsed = {0};
	int err = manifest_parse(options->url, &parsed);

	if (err < 0)
		return err == -ENOMEM ? err : 0;
	needs->any_file = begins(parsed.locator, "file:");
	return need_of_s3(needs, options);
}

int needs_find(const struct source_options *options, struct needs *ret)
{
	cleanup(needs_finish) struct needs needs = {.count = 0};
	int err = need_of_web(&needs, options);

	needs.any_file |= begins(options->url, "file:");
	if (err == 0 && begins(options->url, "s3:"))
		err = need_of_s3(&needs, options);
	if (err == 0 && begins(options->url, MANIFEST_SCHEME))
		err = need_of_manifest(&needs, options);
	if (err < 0)
		return err;
	*ret = needs;
	needs.count = 0;
	return 0;
}

void needs_finish(struct needs *needs)
{
	for (size_t i = 0; i < needs->count; i++)
		free(needs->files[i].path);
	needs->count = 0;
}
