/*
 * s3_credentials.c - credentials as a value: each string is wiped before its memory is given back.
 *
 * Pure; any thread. The strings of jansson's tree are overwritten before it is freed (s3_json.h);
 * what its reader has had in between can't be reached.
 */
#include "s3_credentials.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "s3_json.h"

/* What a header can bear, and "" is no key. */
static bool is_key(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == '\x7f')
			return false;
	return true;
}

int s3_credentials_create(const char *access_key, const char *secret, const char *token,
	int64_t expires_s, struct s3_credentials **ret)
{
	struct s3_credentials *credentials;
	bool has_token = token && *token;

	if (!is_key(access_key) || !is_key(secret) || (has_token && !is_key(token)))
		return -EINVAL;
	credentials = calloc(1, sizeof *credentials);
	if (!credentials)
		return -ENOMEM;
	credentials->access_key = strdup(access_key);
	credentials->secret = strdup(secret);
	credentials->token = has_token ? strdup(token) : NULL;
	credentials->expires_s = expires_s;
	if (!credentials->access_key || !credentials->secret ||
		(has_token && !credentials->token)) {
		s3_credentials_destroy(credentials);
		return -ENOMEM;
	}
	*ret = credentials;
	return 0;
}

void s3_credentials_destroy(struct s3_credentials *credentials)
{
	if (!credentials)
		return;
	secret_free(credentials->access_key);
	secret_free(credentials->secret);
	secret_free(credentials->token);
	free(credentials);
}

bool s3_credentials_equal(const struct s3_credentials *a, const struct s3_credentials *b)
{
	if (!a || !b || strcmp(a->access_key, b->access_key) != 0 ||
		strcmp(a->secret, b->secret) != 0)
		return false;
	return a->token && b->token ? strcmp(a->token, b->token) == 0 : a->token == b->token;
}

/* ---- time ---------------------------------------------------------------------------------- */

/* Exactly two digits, and a number up to max. */
static bool digits_take(const char **at, int max, int *ret)
{
	if (!isdigit((unsigned char)(*at)[0]) || !isdigit((unsigned char)(*at)[1]))
		return false;
	*ret = ((*at)[0] - '0') * 10 + ((*at)[1] - '0');
	*at += 2;
	return *ret <= max;
}

/* "Z", "+02:00", "-0800"; nothing means UTC. */
static bool offset_take(const char *at, int64_t *ret_s)
{
	int hours, minutes, sign = *at == '-' ? -1 : 1;

	*ret_s = 0;
	if (strcmp(at, "") == 0 || strcasecmp(at, "Z") == 0 || strcmp(at, "UTC") == 0)
		return true;
	if (*at != '+' && *at != '-')
		return false;
	at++;
	if (!digits_take(&at, 23, &hours))
		return false;
	at += *at == ':';
	if (!digits_take(&at, 59, &minutes) || *at)
		return false;
	*ret_s = (int64_t)sign * (hours * 3600 + minutes * 60);
	return true;
}

bool s3_time_parse(const char *text, int64_t *ret_s)
{
	struct tm parts = {0};
	int64_t offset_s;
	const char *at = text;
	int century, year;

	if (!digits_take(&at, 99, &century) || !digits_take(&at, 99, &year) || *at++ != '-' ||
		!digits_take(&at, 12, &parts.tm_mon) || *at++ != '-' ||
		!digits_take(&at, 31, &parts.tm_mday) || (*at != 'T' && *at != 't' && *at != ' '))
		return false;
	at++;
	if (!digits_take(&at, 23, &parts.tm_hour) || *at++ != ':' ||
		!digits_take(&at, 59, &parts.tm_min) || *at++ != ':' ||
		!digits_take(&at, 60, &parts.tm_sec))
		return false;
	if (*at == '.' && isdigit((unsigned char)at[1]))
		at += 1 + strspn(at + 1, "0123456789");
	if (parts.tm_mon == 0 || parts.tm_mday == 0 || !offset_take(at, &offset_s))
		return false;
	parts.tm_year = century * 100 + year - 1900;
	parts.tm_mon--;
	*ret_s = (int64_t)timegm(&parts) - offset_s;
	return true;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

struct json_kind {
	const char *inside; /* of this member of the whole; NULL: of none */
	const char *access_key, *secret, *token, *expiration;
	bool is_versioned; /* Version must be 1 */
	bool is_temporary; /* token and expiration must be there */
	bool has_code;     /* Code other than Success: there are none */
	bool has_ms;       /* expiration is a number of milliseconds, not a text */
};

#define KEYS .access_key = "AccessKeyId", .secret = "SecretAccessKey", .expiration = "Expiration"

static const struct json_kind json_kinds[] = {
	[S3_JSON_PROCESS] = {KEYS, .token = "SessionToken", .is_versioned = true},
	[S3_JSON_CONTAINER] = {KEYS, .token = "Token", .is_temporary = true},
	[S3_JSON_INSTANCE] = {KEYS, .token = "Token", .is_temporary = true, .has_code = true},
	[S3_JSON_SSO] = {.inside = "roleCredentials",
		.access_key = "accessKeyId",
		.secret = "secretAccessKey",
		.token = "sessionToken",
		.expiration = "expiration",
		.is_temporary = true,
		.has_ms = true},
};

/* What is wrong with the object; NULL: nothing. */
static const char *json_complain(const json_t *root, const struct json_kind *kind)
{
	const json_t *version = json_object_get(root, "Version");
	const json_t *code = json_object_get(root, "Code");
	const json_t *token = json_object_get(root, kind->token);

	if (!json_is_object(root))
		return "not a JSON object";
	if (kind->is_versioned && (!json_is_integer(version) || json_integer_value(version) != 1))
		return "its Version is not 1";
	if (kind->has_code && code &&
		(!json_is_string(code) || strcmp(json_string_value(code), "Success") != 0))
		return "its Code is not Success";
	if (!s3_json_member(root, kind->access_key))
		return "no AccessKeyId in it";
	if (!s3_json_member(root, kind->secret))
		return "no SecretAccessKey in it";
	if (token && !json_is_null(token) && !json_is_string(token))
		return "its session token is not a string";
	if (kind->is_temporary && !json_is_string(token))
		return "no Token in it";
	return NULL;
}

static const char *json_expiration(const json_t *root, const struct json_kind *kind, int64_t *ret_s)
{
	const json_t *expiration = json_object_get(root, kind->expiration);

	*ret_s = S3_NEVER;
	if (!expiration || json_is_null(expiration))
		return kind->is_temporary ? "no Expiration in it" : NULL;
	if (kind->has_ms && json_is_integer(expiration))
		*ret_s = json_integer_value(expiration) / 1000;
	else if (kind->has_ms || !json_is_string(expiration) ||
		 !s3_time_parse(json_string_value(expiration), ret_s))
		return "its Expiration is not a time";
	return NULL;
}

int s3_credentials_from_json(const char *text, size_t len, enum s3_json which,
	struct s3_credentials **ret, const char **ret_reason)
{
	const struct json_kind *kind = &json_kinds[which];
	json_error_t error;
	cleanup(s3_json_wipe) json_t *whole = json_loadb(text, len, 0, &error);
	const json_t *root = kind->inside ? json_object_get(whole, kind->inside) : whole;
	int64_t expires_s = S3_NEVER;
	int err;

	if (!whole) {
		*ret_reason = "not JSON";
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EPROTO;
	}
	*ret_reason = json_complain(root, kind);
	if (!*ret_reason)
		*ret_reason = json_expiration(root, kind, &expires_s);
	if (*ret_reason)
		return -EPROTO;
	err = s3_credentials_create(s3_json_member(root, kind->access_key),
		s3_json_member(root, kind->secret), s3_json_member(root, kind->token), expires_s,
		ret);
	if (err != -EINVAL)
		return err;
	*ret_reason = "its keys have characters that keys can't have";
	return -EPROTO;
}
