/*
 * s3_config.c - the settings that are no secrets, each from the first of its places that has it.
 *
 * Blocks while it reads two small files; before threads start. What it keeps of the environment may
 * be secret, and is wiped at the end; of the files it keeps nothing else, since credentials are
 * read anew whenever they are fetched.
 */
#include "s3_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_environment.h"
#include "s3_profile.h"

/* Where a setting is looked for. */
struct places {
	const struct s3_options *options;
	const struct s3_environment *environment;
	const struct s3_profiles *profiles;
	const char *profile;
};

static int copy(const char *value, char **ret)
{
	*ret = value ? strdup(value) : NULL;
	return value && !*ret ? -ENOMEM : 0;
}

const char *s3_dns_suffix(const char *region)
{
	static const struct {
		const char *prefix;
		const char *suffix;
	} table[] = {
		{"cn-", "amazonaws.com.cn"},
		{"us-iso-", "c2s.ic.gov"},
		{"us-isob-", "sc2s.sgov.gov"},
		{"us-isof-", "csp.hci.ic.gov"},
		{"eu-isoe-", "cloud.adc-e.uk"},
		{"eusc-", "amazonaws.eu"},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strncmp(region, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].suffix;
	return "amazonaws.com";
}

/* ---- profile, region ----------------------------------------------------------------------- */

/* One that somebody named must be there; nobody has to have a default one. */
static int profile_find(const struct places *places, const char **ret, char *error)
{
	const struct s3_environment *environment = places->environment;
	const char *name = places->options->profile;

	if (!name)
		name = s3_variable(environment, S3_DEFAULT_PROFILE);
	if (!name)
		name = s3_variable(environment, S3_PROFILE);
	*ret = name ? name : "default";
	if (!name || s3_profiles_has(places->profiles, name))
		return 0;
	snprintf(error, SOURCE_ERROR_MAX, "profile %.40s: neither in %.80s nor in %.80s", name,
		environment->config_file, environment->credentials_file);
	return -EINVAL;
}

/* It becomes part of a host's name: letters, digits and hyphens. */
static int region_load(const struct places *places, char **ret, char *error)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	const char *region = places->options->region;

	if (!region)
		region = s3_variable(places->environment, S3_REGION);
	if (!region)
		region = s3_setting(places->environment, S3_DEFAULT_REGION, places->profiles,
			places->profile, "region");
	if (region && (!*region || region[strspn(region, set)])) {
		snprintf(error, SOURCE_ERROR_MAX, "region: %.40s: not a region's name", region);
		return -EINVAL;
	}
	return copy(region, ret);
}

/* ---- endpoints ----------------------------------------------------------------------------- */

static int endpoint_check(const char *name, const char *url, char *error)
{
	if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0)
		return 0;
	snprintf(error, SOURCE_ERROR_MAX, "%s endpoint: not an http:// or https:// URL", name);
	return -EINVAL;
}

/* Of "s3", "sts", ...; *ret NULL: AWS's own. */
static int endpoint_load(const struct places *places, const char *service, enum s3_variable own,
	char **ret, char *error)
{
	const struct s3_environment *environment = places->environment;
	const char *ignored = s3_setting(environment, S3_IGNORE_ENDPOINTS, places->profiles,
		places->profile, "ignore_configured_endpoint_urls");
	const char *url = s3_variable(environment, own);
	int err = 0;

	*ret = NULL;
	if (s3_is_true(ignored))
		return 0;
	if (!url)
		url = s3_variable(environment, S3_ENDPOINT_URL);
	if (!url) {
		err = s3_profiles_endpoint(places->profiles, places->profile, service, ret);
		if (err == -ENOENT) {
			snprintf(error, SOURCE_ERROR_MAX,
				"profile %.40s: its [services ...] is not in %.100s",
				places->profile, environment->config_file);
			return -EINVAL;
		}
		url = s3_profiles_get(places->profiles, places->profile, "endpoint_url");
	}
	if (err == 0 && !*ret)
		err = copy(url, ret);
	return err == 0 && *ret ? endpoint_check(service, *ret, error) : err;
}

static int s3_endpoint_load(const struct places *places, char **ret, char *error)
{
	const char *option = places->options->endpoint;
	int err;

	if (!option)
		return endpoint_load(places, "s3", S3_ENDPOINT_URL_S3, ret, error);
	err = endpoint_check("s3", option, error);
	return err < 0 ? err : copy(option, ret);
}

/* ---- the nested settings below "s3 =" ------------------------------------------------------ */

static int addressing_load(
	const struct places *places, const char *nested, enum s3_addressing *ret, char *error)
{
	static const char *const names[] = {
		[S3_ADDRESSING_AUTO] = "auto",
		[S3_ADDRESSING_PATH] = "path",
		[S3_ADDRESSING_VIRTUAL] = "virtual",
	};
	cleanup_free char *style = NULL;
	const char *wanted = places->options->addressing;
	int err = wanted ? 0 : s3_nested_get(nested, "addressing_style", &style);

	if (err < 0)
		return err;
	if (!wanted)
		wanted = style ? style : "auto";
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], wanted) == 0) {
			*ret = (enum s3_addressing)i;
			return 0;
		}
	snprintf(error, SOURCE_ERROR_MAX, "addressing style: %.40s: not auto, path or virtual",
		wanted);
	return -EINVAL;
}

static int nested_flag(const char *nested, const char *name, bool *ret)
{
	cleanup_free char *value = NULL;
	int err = s3_nested_get(nested, name, &value);

	if (value)
		*ret = s3_is_true(value);
	return err;
}

static int flags_load(const struct places *places, const char *nested, struct s3_config *config)
{
	int err = 0;

	config->use_dualstack = s3_is_true(s3_setting(places->environment, S3_USE_DUALSTACK,
		places->profiles, places->profile, "use_dualstack_endpoint"));
	config->use_fips = s3_is_true(s3_setting(places->environment, S3_USE_FIPS, places->profiles,
		places->profile, "use_fips_endpoint"));
	if (!s3_variable(places->environment, S3_USE_DUALSTACK))
		err = nested_flag(nested, "use_dualstack_endpoint", &config->use_dualstack);
	if (err == 0)
		err = nested_flag(nested, "use_accelerate_endpoint", &config->use_accelerate);
	return err;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int settings_load(const struct places *places, struct s3_config *config, char *error)
{
	const char *nested = s3_profiles_get(places->profiles, places->profile, "s3");
	int err = copy(places->profile, &config->profile);

	if (err == 0)
		err = region_load(places, &config->region, error);
	if (err == 0)
		err = s3_endpoint_load(places, &config->endpoint, error);
	if (err == 0)
		err = endpoint_load(
			places, "sts", S3_ENDPOINT_URL_STS, &config->sts_endpoint, error);
	if (err == 0)
		err = endpoint_load(
			places, "sso", S3_ENDPOINT_URL_SSO, &config->sso_endpoint, error);
	if (err == 0)
		err = endpoint_load(places, "sso_oidc", S3_ENDPOINT_URL_SSO_OIDC,
			&config->sso_oidc_endpoint, error);
	if (err == 0)
		err = addressing_load(places, nested, &config->addressing, error);
	if (err == 0)
		err = flags_load(places, nested, config);
	if (err == 0)
		err = copy(s3_setting(places->environment, S3_CA_BUNDLE, places->profiles,
				   places->profile, "ca_bundle"),
			&config->ca_bundle);
	return err;
}

int s3_config_load(
	const struct s3_options *options, struct s3_config **ret, char error[SOURCE_ERROR_MAX])
{
	static const struct s3_options none;
	struct s3_config *config = calloc(1, sizeof *config);
	cleanup(s3_profiles_finish) struct s3_profiles profiles = {0};
	struct places places = {.options = options ? options : &none, .profiles = &profiles};
	int err = config ? s3_environment_take(&config->environment) : -ENOMEM;

	snprintf(error, SOURCE_ERROR_MAX, "out of memory");
	if (err == 0) {
		places.environment = config->environment;
		err = s3_profiles_load(config->environment->config_file,
			config->environment->credentials_file, &profiles, error);
	}
	if (err == 0)
		err = profile_find(&places, &places.profile, error);
	if (err == 0)
		err = settings_load(&places, config, error);
	if (err < 0) {
		s3_config_destroy(config);
		return err;
	}
	config->profile_is_explicit = places.options->profile != NULL;
	config->anonymous = places.options->no_sign_request;
	config->requester_pays = places.options->requester_pays;
	error[0] = '\0';
	*ret = config;
	return 0;
}

void s3_config_destroy(struct s3_config *config)
{
	if (!config)
		return;
	s3_environment_destroy(config->environment);
	free(config->profile);
	free(config->region);
	free(config->endpoint);
	free(config->ca_bundle);
	free(config->sts_endpoint);
	free(config->sso_endpoint);
	free(config->sso_oidc_endpoint);
	free(config);
}
