/*
 * s3_environment.c - a copy of the variables, and where the two files are. Any thread; see the
 * header for why it is a copy.
 */
#include "s3_environment.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "s3_credentials.h"
#include "s3_profile.h"
#include "text.h"

/* What is mounted from fstab has no HOME. NULL: this user has none at all. */
static const char *home(void)
{
	const char *variable = getenv("HOME");
	const struct passwd *user;

	if (variable && *variable)
		return variable;
	/* Before threads start: s3_config_load(). */
	user = getpwuid(geteuid());
	return user ? user->pw_dir : NULL;
}

/* "~" and "~/..." are the user's own home. */
static char *path_expand(const char *path)
{
	const char *base = home();
	char *expanded;

	if (path[0] != '~' || (path[1] && path[1] != '/') || !base)
		return strdup(path);
	return text_print(&expanded, "%s%s", base, path + 1) < 0 ? NULL : expanded;
}

static char *file_path(
	const struct s3_environment *environment, enum s3_variable which, const char *usual)
{
	const char *path = s3_variable(environment, which);

	return path_expand(path ? path : usual);
}

int s3_environment_take(struct s3_environment **ret)
{
	static const char *const names[] = {
#define X(id, name) [S3_##id] = (name),
		S3_VARIABLES(X)
#undef X
	};
	struct s3_environment *environment = calloc(1, sizeof *environment);

	if (!environment)
		return -ENOMEM;
	for (size_t i = 0; i < S3_VARIABLE_COUNT; i++) {
		const char *value = getenv(names[i]);

		if (value && !(environment->values[i] = strdup(value))) {
			s3_environment_destroy(environment);
			return -ENOMEM;
		}
	}
	environment->config_file = file_path(environment, S3_CONFIG_FILE, "~/.aws/config");
	environment->credentials_file = file_path(
		environment, S3_CREDENTIALS_FILE, "~/.aws/credentials");
	environment->sso_folder = path_expand("~/.aws/sso/cache");
	if (!environment->config_file || !environment->credentials_file ||
		!environment->sso_folder) {
		s3_environment_destroy(environment);
		return -ENOMEM;
	}
	*ret = environment;
	return 0;
}

void s3_environment_destroy(struct s3_environment *environment)
{
	if (!environment)
		return;
	for (size_t i = 0; i < S3_VARIABLE_COUNT; i++)
		secret_free(environment->values[i]);
	free(environment->config_file);
	free(environment->credentials_file);
	free(environment->sso_folder);
	free(environment);
}

const char *s3_variable(const struct s3_environment *environment, enum s3_variable which)
{
	const char *value = environment->values[which];

	return value && *value ? value : NULL;
}

const char *s3_setting(const struct s3_environment *environment, enum s3_variable which,
	const struct s3_profiles *profiles, const char *profile, const char *name)
{
	const char *value = s3_variable(environment, which);

	return value ? value : s3_profiles_get(profiles, profile, name);
}

bool s3_is_true(const char *value)
{
	return value && strcasecmp(value, "true") == 0;
}
