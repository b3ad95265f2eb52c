/*
 * s3_profile.h - ~/.aws/config and ~/.aws/credentials, read as botocore (Python's configparser)
 * reads them, and the profiles that both make together. Pure but for s3_profiles_load(); any
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "source.h"

#define S3_FILE_MAX ((size_t)1 << 20) /* of what is read from a file: profiles take some KiB */

/* ---- one file ------------------------------------------------------------------------------ */

struct s3_ini;

/*
 * `file` is for the words: "FILE:LINE: reason", nothing of the line itself. -EINVAL: malformed, a
 * section or name is there twice; -ENOMEM.
 */
int s3_ini_parse(const char *text, size_t len, const char *file, struct s3_ini **ret,
	char error[SOURCE_ERROR_MAX]);
/* Wipes it first. NULL is fine. */
void s3_ini_destroy(struct s3_ini *ini);

bool s3_ini_has(const struct s3_ini *ini, const char *section);
/*
 * The value, good as long as the file; NULL: none. Names are in lower case. [DEFAULT] speaks for
 * sections that don't have it. A value of several lines has newlines in it, one of nested settings
 * starts with one.
 */
const char *s3_ini_get(const struct s3_ini *ini, const char *section, const char *name);

/* For those who look at all of it. */
size_t s3_ini_count(const struct s3_ini *ini);
const char *s3_ini_section(const struct s3_ini *ini, size_t index);

/* ---- both files ---------------------------------------------------------------------------- */

/* Either may be NULL: not there. */
struct s3_profiles {
	struct s3_ini *config;
	struct s3_ini *credentials;
};

/*
 * Reads two small local files, blocking. One that is not there, not a file or may not be read (that
 * is logged) is as if it were empty. -EINVAL with words: malformed or too long; -ENOMEM.
 */
int s3_profiles_load(const char *config_file, const char *credentials_file, struct s3_profiles *ret,
	char error[SOURCE_ERROR_MAX]);
void s3_profiles_finish(struct s3_profiles *profiles);

bool s3_profiles_has(const struct s3_profiles *profiles, const char *profile);
/* Of the credentials file, else of the config file. NULL: in neither. */
const char *s3_profiles_get(
	const struct s3_profiles *profiles, const char *profile, const char *name);
/* Of the config file alone. */
const char *s3_profiles_get_config(
	const struct s3_profiles *profiles, const char *profile, const char *name);
/* Of the config file's [sso-session NAME]. */
bool s3_profiles_has_session(const struct s3_profiles *profiles, const char *session);
const char *s3_profiles_get_session(
	const struct s3_profiles *profiles, const char *session, const char *name);
/* The line `inner = ...` below `name =`, as a copy. 0 with NULL: there is none. -ENOMEM */
int s3_nested_get(const char *value, const char *inner, char **ret);
/* `endpoint_url` below `service =` in the [services NAME] of the profile. -ENOENT: no such one. */
int s3_profiles_endpoint(
	const struct s3_profiles *profiles, const char *profile, const char *service, char **ret);

/* A whole small regular file, with a NUL behind it, to be wiped. -EFBIG: over S3_FILE_MAX. */
int s3_file_read(const char *path, char **ret, size_t *ret_len);
