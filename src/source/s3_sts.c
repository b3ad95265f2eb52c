/*
 * s3_sts.c - AssumeRole and AssumeRoleWithWebIdentity: a form out, XML in.
 *
 * Pure; any thread. The reader wants four leaves and a code, and takes nothing else: no DOCTYPE
 * (so there are no entities to expand), DEPTH_MAX levels, VALUE_MAX bytes a leaf. Of an error only
 * its code is told, since its message may repeat what was sent.
 */
#include "s3_sts.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_config.h"
#include "s3_plan.h"
#include "s3_sign.h"
#include "text.h"
#include "url.h"

#define DEPTH_MAX 16
#define VALUE_MAX 32768 /* a session token has a thousand bytes, with policies some more */
#define VERSION "2011-06-15"

/* ---- requests ------------------------------------------------------------------------------ */

/* "&name=value" behind what is at `at`; returns its end. Nothing if value is NULL. */
static char *form_add(char *at, const char *name, const char *value)
{
	if (!value)
		return at;
	at += sprintf(at, "&%s=", name);
	return at + s3_encode(value, strlen(value), false, at);
}

static size_t form_room(const char *value)
{
	/* Each name is shorter than 40. */
	return 40 + (value ? 3 * strlen(value) : 0);
}

static int form_make(const char *action, const struct s3_role *role, const char *token, char **ret)
{
	char duration[16], *form, *at;

	snprintf(duration, sizeof duration, "%u", role->duration_s);
	form = malloc(128 + form_room(role->arn) + form_room(role->session) +
		      form_room(role->external_id) + form_room(token) + form_room(duration));
	if (!form)
		return -ENOMEM;
	at = form + sprintf(form, "Action=%s&Version=" VERSION, action);
	at = form_add(at, "RoleArn", role->arn);
	at = form_add(at, "RoleSessionName", role->session);
	at = form_add(at, "ExternalId", role->external_id);
	at = form_add(at, "DurationSeconds", role->duration_s > 0 ? duration : NULL);
	form_add(at, "WebIdentityToken", token);
	*ret = form;
	return 0;
}

int s3_sts_assume(const struct s3_role *role, char **ret)
{
	return form_make("AssumeRole", role, NULL, ret);
}

int s3_sts_assume_with_token(const struct s3_role *role, const char *token, char **ret)
{
	return form_make("AssumeRoleWithWebIdentity", role, token, ret);
}

/* As libcurl writes it: without the port that the scheme has anyway. */
static char *host_header(const struct url *url)
{
	bool is_usual = url->port == (strcmp(url->scheme, "https") == 0 ? 443 : 80);
	char *host;

	if (is_usual)
		return strdup(url->host);
	return text_print(&host, "%s:%u", url->host, url->port) < 0 ? NULL : host;
}

static char *place_url(const char *endpoint, const char *region)
{
	char *url;

	if (endpoint)
		return strdup(endpoint);
	if (!region)
		return strdup("https://sts.amazonaws.com/");
	return text_print(&url, "https://sts.%s.%s/", region, s3_dns_suffix(region)) < 0 ? NULL
											 : url;
}

int s3_sts_place(const char *endpoint, const char *region, struct s3_sts_place *ret)
{
	cleanup(url_finish) struct url url = {0};
	struct s3_sts_place place = {.url = place_url(endpoint, region),
		.region = strdup(region ? region : "us-east-1")};
	int err = place.url && place.region ? url_parse(place.url, &url) : -ENOMEM;

	if (err == 0) {
		place.host = host_header(&url);
		place.path = strdup(url.path);
		err = place.host && place.path ? 0 : -ENOMEM;
	}
	if (err < 0)
		s3_sts_place_finish(&place);
	else
		*ret = place;
	return err;
}

void s3_sts_place_finish(struct s3_sts_place *place)
{
	free(place->url);
	free(place->host);
	free(place->path);
	free(place->region);
	*place = (struct s3_sts_place){0};
}

/* ---- answers ------------------------------------------------------------------------------- */

enum leaf { LEAF_ACCESS_KEY, LEAF_SECRET, LEAF_TOKEN, LEAF_EXPIRATION, LEAF_CODE, LEAF_COUNT };

/* The elements that matter, by their own name and that of the one they are in. */
static const struct {
	const char *parent;
	const char *name;
} leaves[LEAF_COUNT] = {
	[LEAF_ACCESS_KEY] = {"Credentials", "AccessKeyId"},
	[LEAF_SECRET] = {"Credentials", "SecretAccessKey"},
	[LEAF_TOKEN] = {"Credentials", "SessionToken"},
	[LEAF_EXPIRATION] = {"Credentials", "Expiration"},
	[LEAF_CODE] = {"Error", "Code"},
};

struct sts_reader {
	XML_Parser parser;
	char *values[LEAF_COUNT]; /* VALUE_MAX + 1 each, once they are met */
	size_t lens[LEAF_COUNT];
	enum leaf leaf;                 /* that text belongs to; LEAF_COUNT: none */
	const char *parents[DEPTH_MAX]; /* "Credentials", "Error", or "" */
	unsigned depth;
	int err;
};

static void sts_stop(struct sts_reader *reader, int err)
{
	reader->err = err;
	XML_StopParser(reader->parser, XML_FALSE);
}

/* One of the parents that matter, as a constant: expat's names don't last. */
static const char *parent_name(const char *name)
{
	for (size_t i = 0; i < LEAF_COUNT; i++)
		if (strcmp(leaves[i].parent, name) == 0)
			return leaves[i].parent;
	return "";
}

/* The service's namespace is its own business: "{...}AssumeRoleResponse" is not asked for. */
static void XMLCALL sts_element(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct sts_reader *reader = context;
	const char *parent = reader->depth > 0 ? reader->parents[reader->depth - 1] : "";

	(void)attributes;
	if (reader->depth == DEPTH_MAX) {
		sts_stop(reader, -EPROTO);
		return;
	}
	reader->parents[reader->depth++] = parent_name(name);
	reader->leaf = LEAF_COUNT;
	for (enum leaf leaf = 0; leaf < LEAF_COUNT; leaf++)
		if (strcmp(leaves[leaf].name, name) == 0 &&
			strcmp(leaves[leaf].parent, parent) == 0 && !reader->values[leaf]) {
			reader->leaf = leaf;
			reader->values[leaf] = calloc(1, VALUE_MAX + 1);
			if (!reader->values[leaf])
				sts_stop(reader, -ENOMEM);
		}
}

static void XMLCALL sts_element_end(void *context, const XML_Char *name)
{
	struct sts_reader *reader = context;

	(void)name;
	reader->depth--;
	reader->leaf = LEAF_COUNT;
}

static void XMLCALL sts_text(void *context, const XML_Char *text, int count)
{
	struct sts_reader *reader = context;
	size_t len = (size_t)count;

	/* Text goes on being told of after a stop. */
	if (reader->leaf == LEAF_COUNT || !reader->values[reader->leaf])
		return;
	if (len > VALUE_MAX - reader->lens[reader->leaf]) {
		sts_stop(reader, -EPROTO);
		return;
	}
	memcpy(reader->values[reader->leaf] + reader->lens[reader->leaf], text, len);
	reader->lens[reader->leaf] += len;
}

static void XMLCALL sts_doctype(void *context, const XML_Char *name, const XML_Char *system,
	const XML_Char *public, int has_internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)has_internal;
	sts_stop(context, -EPROTO);
}

static int sts_parse(struct sts_reader *reader, const char *text, size_t len)
{
	reader->parser = XML_ParserCreate("UTF-8");
	if (!reader->parser)
		return -ENOMEM;
	XML_SetUserData(reader->parser, reader);
	XML_SetElementHandler(reader->parser, sts_element, sts_element_end);
	XML_SetCharacterDataHandler(reader->parser, sts_text);
	XML_SetStartDoctypeDeclHandler(reader->parser, sts_doctype);
	if (XML_Parse(reader->parser, text, (int)len, XML_TRUE) == XML_STATUS_ERROR &&
		reader->err == 0)
		reader->err = XML_GetErrorCode(reader->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM
										      : -EPROTO;
	XML_ParserFree(reader->parser);
	return reader->err;
}

/* What may be told of an error: its code, if it looks like one. */
static void code_copy(const char *code, char ret[S3_STS_CODE_MAX])
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";

	ret[0] = '\0';
	if (code && strlen(code) < S3_STS_CODE_MAX && !code[strspn(code, set)])
		strcpy(ret, code);
}

static int sts_finish(const struct sts_reader *reader, struct s3_credentials **ret)
{
	char *const *values = reader->values;
	int64_t expires_s;
	int err;

	for (enum leaf leaf = LEAF_ACCESS_KEY; leaf <= LEAF_EXPIRATION; leaf++)
		if (!values[leaf])
			return -EPROTO;
	if (!s3_time_parse(values[LEAF_EXPIRATION], &expires_s))
		return -EPROTO;
	err = s3_credentials_create(
		values[LEAF_ACCESS_KEY], values[LEAF_SECRET], values[LEAF_TOKEN], expires_s, ret);
	return err == -EINVAL ? -EPROTO : err;
}

int s3_sts_read(
	const char *text, size_t len, struct s3_credentials **ret, char code[S3_STS_CODE_MAX])
{
	struct sts_reader reader = {.leaf = LEAF_COUNT};
	int err = sts_parse(&reader, text, len);

	code_copy(err == 0 ? reader.values[LEAF_CODE] : NULL, code);
	if (err == 0)
		err = sts_finish(&reader, ret);
	for (size_t i = 0; i < LEAF_COUNT; i++)
		secret_free(reader.values[i]);
	return err;
}
