/*
 * s3_sso.c - the cached token of AWS's single sign-on, as botocore and the AWS command keep it.
 *
 *	{"accessToken": "...", "expiresAt": "2024-05-01T12:00:00Z", "clientId": ...,
 *	 "clientSecret": ..., "registrationExpiresAt": ..., "refreshToken": ..., ...}
 *
 * Any thread; no state. A renewed token is put into a file beside the old one, which then takes its
 * place, so that nobody reads a half; what else the file has stays as it is. Two who renew at once
 * both succeed or one of them asks for a login again, as with the AWS command, which has no lock
 * either. Strings of the JSON are wiped; blocking reads and writes of some KiB.
 */
#include "s3_sso.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "s3_credentials.h"
#include "s3_json.h"
#include "s3_profile.h"
#include "text.h"

#define TEXT_MAX ((size_t)64 << 10) /* of the file and of a renewal: tokens take 2 KiB each */
#define SHA1_BYTES 20
#define LIFETIME_MAX_S 31536000 /* a year: sessions last 90 days at the most */

int s3_sso_file(const char *folder, const char *session, char **ret)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char digits[2 * SHA1_BYTES + 1];
	unsigned len = 0;

	*ret = NULL;
	/* A name for a file, not a secret. */
	if (!EVP_Digest(session, strlen(session), hash, &len, EVP_sha1(), NULL) ||
		len != SHA1_BYTES)
		return -ENOMEM;
	for (unsigned i = 0; i < len; i++)
		sprintf(&digits[(size_t)2 * i], "%02x", hash[i]);
	return text_print(ret, "%s/%s.json", folder, digits);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int json_read(const char *text, size_t len, json_t **ret)
{
	json_error_t error;

	*ret = json_loadb(text, len, 0, &error);
	if (!*ret)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EPROTO;
	return json_is_object(*ret) ? 0 : -EPROTO;
}

static int file_read(const char *path, json_t **ret)
{
	size_t len;
	char *text;
	int err = s3_file_read(path, &text, &len);

	*ret = NULL;
	if (err < 0)
		return err;
	err = json_read(text, len, ret);
	explicit_bzero(text, len);
	free(text);
	return err;
}

/* It goes into a header as it is. */
static bool is_token(const char *token)
{
	if (!token || !*token)
		return false;
	for (; *token; token++)
		if (*token <= ' ' || *token == 0x7f)
			return false;
	return true;
}

/* The text, to be wiped; without jansson's growing buffer, which would leave pieces behind. */
static int json_text(const json_t *root, size_t flags, char **ret)
{
	size_t len = json_dumpb(root, NULL, 0, flags);

	*ret = len > 0 && len < TEXT_MAX ? calloc(1, len + 1) : NULL;
	if (!*ret)
		return -ENOMEM;
	return json_dumpb(root, *ret, len, flags) == len ? 0 : -ENOMEM;
}

/* What asks for another token, if there is all that it takes; NULL: there is not. */
static int renewal_make(const json_t *cached, int64_t now_s, char **ret)
{
	const char *client = s3_json_member(cached, "clientId");
	const char *secret = s3_json_member(cached, "clientSecret");
	const char *refresh = s3_json_member(cached, "refreshToken");
	const char *registered = s3_json_member(cached, "registrationExpiresAt");
	cleanup(s3_json_wipe) json_t *body = NULL;
	int64_t until_s;

	*ret = NULL;
	if (!client || !secret || !refresh || !registered || !s3_time_parse(registered, &until_s) ||
		until_s <= now_s)
		return 0;
	body = json_pack("{s:s, s:s, s:s, s:s}", "grantType", "refresh_token", "clientId", client,
		"clientSecret", secret, "refreshToken", refresh);
	return body ? json_text(body, JSON_COMPACT, ret) : -ENOMEM;
}

int s3_sso_load(struct s3_sso *sso, int64_t now_s)
{
	cleanup(s3_json_wipe) json_t *cached = NULL;
	const char *token, *expires;
	int err = file_read(sso->file, &cached);

	if (err < 0)
		return err;
	token = s3_json_member(cached, "accessToken");
	expires = s3_json_member(cached, "expiresAt");
	if (!is_token(token) || !expires || !s3_time_parse(expires, &sso->expires_s))
		return -EPROTO;
	sso->token = strdup(token);
	if (!sso->token)
		return -ENOMEM;
	return sso->may_be_renewed ? renewal_make(cached, now_s, &sso->renewal) : 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int text_write(int fd, const char *text)
{
	size_t len = strlen(text), at = 0;

	while (at < len) {
		ssize_t n = write(fd, text + at, len - at);

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Readable for its owner alone, from the first byte on. */
static int file_replace(const char *path, const char *text)
{
	cleanup_free char *other = NULL;
	cleanup_fd int fd = -1;
	int err;

	if (text_print(&other, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(other, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = text_write(fd, text);
	if (err == 0 && rename(other, path) < 0)
		err = -errno;
	if (err < 0)
		unlink(other);
	return err;
}

static int json_set(json_t *root, const char *name, const char *value)
{
	json_t *old = json_object_get(root, name);

	if (json_is_string(old))
		explicit_bzero((char *)json_string_value(old), json_string_length(old));
	return json_object_set_new(root, name, json_string(value)) < 0 ? -ENOMEM : 0;
}

/* refresh NULL: the old one goes on. */
static int file_update(const struct s3_sso *sso, const char *refresh)
{
	cleanup(s3_json_wipe) json_t *cached = NULL;
	cleanup(secret_free_at) char *text = NULL;
	time_t expires_s = (time_t)sso->expires_s;
	char expires[32];
	struct tm parts;
	int err = file_read(sso->file, &cached);

	gmtime_r(&expires_s, &parts);
	strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%SZ", &parts);
	if (err == 0)
		err = json_set(cached, "accessToken", sso->token);
	if (err == 0)
		err = json_set(cached, "expiresAt", expires);
	if (err == 0 && refresh)
		err = json_set(cached, "refreshToken", refresh);
	if (err == 0)
		err = json_text(cached, 0, &text);
	return err == 0 ? file_replace(sso->file, text) : err;
}

int s3_sso_renewed(struct s3_sso *sso, const char *text, size_t len, int64_t now_s)
{
	cleanup(s3_json_wipe) json_t *answer = NULL;
	const json_t *lasts;
	const char *token;
	char *copy;
	int err = json_read(text, len, &answer);

	if (err < 0)
		return err;
	token = s3_json_member(answer, "accessToken");
	lasts = json_object_get(answer, "expiresIn");
	if (!is_token(token) || !json_is_integer(lasts) || json_integer_value(lasts) < 1 ||
		json_integer_value(lasts) > LIFETIME_MAX_S)
		return -EPROTO;
	copy = strdup(token);
	if (!copy)
		return -ENOMEM;
	secret_free(sso->token);
	sso->token = copy;
	sso->expires_s = now_s + json_integer_value(lasts);
	err = file_update(sso, s3_json_member(answer, "refreshToken"));
	if (err < 0)
		log_warning("credentials: SSO: %s: %s", sso->file, strerror(-err));
	return 0;
}

void s3_sso_finish(struct s3_sso *sso)
{
	free(sso->file);
	free(sso->login);
	free(sso->role_url);
	free(sso->renewal_url);
	secret_free(sso->token);
	secret_free(sso->renewal);
	*sso = (struct s3_sso){0};
}
