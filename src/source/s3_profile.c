/*
 * s3_profile.c - the profiles that ~/.aws/config and ~/.aws/credentials make together.
 *
 * In the config file a profile is [profile NAME], NAME quoted as in a shell if need be, or
 * [default]; in the credentials file it is [NAME]. Where both have a value, the credentials file's
 * counts. Nothing is merged before it is asked for.
 *
 * Blocking reads: of regular files up to S3_FILE_MAX, when credentials are looked for. They take
 * some 50 us from the page cache; a home on a dead network file system is a dead login, too.
 */
#include "s3_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "log.h"
#include "words.h"

int s3_file_read(const char *path, char **ret, size_t *ret_len)
{
	/* NONBLOCK: opening a FIFO must not wait for its writer. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	size_t len = 0;
	ssize_t n = 0;
	char *text;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOENT;
	if (status.st_size > (off_t)S3_FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)status.st_size &&
		((n = read(fd, text + len, (size_t)status.st_size - len)) > 0 ||
			(n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	if (n < 0) {
		int err = -errno;

		explicit_bzero(text, len);
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	return 0;
}

static int file_load(const char *path, struct s3_ini **ret, char error[SOURCE_ERROR_MAX])
{
	char *text = NULL;
	size_t len = 0;
	int err;

	*ret = NULL;
	err = s3_file_read(path, &text, &len);
	if (err == -ENOMEM || err == -EFBIG) {
		snprintf(error, SOURCE_ERROR_MAX, "%.160s: %s", path, strerror(-err));
		return err == -EFBIG ? -EINVAL : err;
	}
	if (err < 0) {
		/* botocore goes on, too: the environment may have all that is needed. */
		if (err != -ENOENT && err != -ENOTDIR)
			log_warning("read profiles: %s: %s", path, strerror(-err));
		return 0;
	}
	err = s3_ini_parse(text, len, path, ret, error);
	explicit_bzero(text, len);
	free(text);
	return err;
}

int s3_profiles_load(const char *config_file, const char *credentials_file, struct s3_profiles *ret,
	char error[SOURCE_ERROR_MAX])
{
	struct s3_profiles profiles = {0};
	int err = file_load(config_file, &profiles.config, error);

	if (err == 0)
		err = file_load(credentials_file, &profiles.credentials, error);
	if (err < 0)
		s3_profiles_finish(&profiles);
	else
		*ret = profiles;
	return err;
}

void s3_profiles_finish(struct s3_profiles *profiles)
{
	s3_ini_destroy(profiles->config);
	s3_ini_destroy(profiles->credentials);
	*profiles = (struct s3_profiles){0};
}

/* Is this head of the config file "KIND NAME"? */
static bool head_names(const char *head, const char *kind, const char *name)
{
	cleanup(words_finish) struct words words = {0};

	return strncmp(head, kind, strlen(kind)) == 0 && words_split(head, &words) == 0 &&
	       words.count == 2 && strcmp(words.list[1], name) == 0;
}

/* The config file's section of this kind and name; the last one, if they are several. */
static const char *config_section(const struct s3_ini *config, const char *kind, const char *name)
{
	for (size_t i = s3_ini_count(config); i > 0; i--) {
		const char *head = s3_ini_section(config, i - 1);
		bool is_default = strcmp(kind, "profile") == 0 && strcmp(head, "default") == 0 &&
				  strcmp(name, "default") == 0;

		if (is_default || head_names(head, kind, name))
			return head;
	}
	return NULL;
}

bool s3_profiles_has(const struct s3_profiles *profiles, const char *profile)
{
	return config_section(profiles->config, "profile", profile) ||
	       s3_ini_has(profiles->credentials, profile);
}

const char *s3_profiles_get_config(
	const struct s3_profiles *profiles, const char *profile, const char *name)
{
	const char *section = config_section(profiles->config, "profile", profile);

	return section ? s3_ini_get(profiles->config, section, name) : NULL;
}

const char *s3_profiles_get(
	const struct s3_profiles *profiles, const char *profile, const char *name)
{
	const char *value = s3_ini_get(profiles->credentials, profile, name);

	return value ? value : s3_profiles_get_config(profiles, profile, name);
}

bool s3_profiles_has_session(const struct s3_profiles *profiles, const char *session)
{
	return config_section(profiles->config, "sso-session", session);
}

const char *s3_profiles_get_session(
	const struct s3_profiles *profiles, const char *session, const char *name)
{
	const char *section = config_section(profiles->config, "sso-session", session);

	return section ? s3_ini_get(profiles->config, section, name) : NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int s3_nested_get(const char *value, const char *inner, char **ret)
{
	size_t inner_len = strlen(inner);

	*ret = NULL;
	if (!value || *value != '\n')
		return 0;
	/* The last one counts, as in a dictionary. */
	for (const char *line = value; *line; line += strcspn(line, "\n")) {
		const char *at;

		line += strspn(line, "\n");
		if (strncmp(line, inner, inner_len) != 0)
			continue;
		for (at = line + inner_len; is_blank(*at); at++)
			;
		if (*at != '=')
			continue;
		for (at++; is_blank(*at); at++)
			;
		free(*ret);
		*ret = strndup(at, strcspn(at, "\n"));
		if (!*ret)
			return -ENOMEM;
	}
	return 0;
}

int s3_profiles_endpoint(
	const struct s3_profiles *profiles, const char *profile, const char *service, char **ret)
{
	const char *name = s3_profiles_get(profiles, profile, "services"), *section;

	*ret = NULL;
	if (!name)
		return 0;
	section = config_section(profiles->config, "services", name);
	if (!section)
		return -ENOENT;
	return s3_nested_get(s3_ini_get(profiles->config, section, service), "endpoint_url", ret);
}
