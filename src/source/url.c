/*
 * url.c - libcurl's URL parser, with plain C types around it.
 */
#include "url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "secret.h"
#include "text.h"

#define CURL_OLDEST 0x075800 /* 7.88.0 */

static void free_curl_url(CURLU **url)
{
	curl_url_cleanup(*url);
}

/* A part of the URL as malloc'd text; NULL with 0: it has none. */
static int url_part(CURLU *parts, CURLUPart which, unsigned flags, char **ret)
{
	char *text = NULL;
	CURLUcode result = curl_url_get(parts, which, &text, flags);

	*ret = NULL;
	if (result == CURLUE_NO_PORT || result == CURLUE_NO_QUERY || result == CURLUE_NO_USER ||
		result == CURLUE_NO_PASSWORD)
		return 0;
	if (result != CURLUE_OK)
		return result == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
	*ret = strdup(text);
	curl_free(text);
	return *ret ? 0 : -ENOMEM;
}

int url_parse(const char *text, struct url *ret)
{
	cleanup(free_curl_url) CURLU *parts = curl_url();
	cleanup_free char *port = NULL, *named_port = NULL;
	struct url url = {0};
	int err = -EINVAL;

	if (!parts)
		return -ENOMEM;
	if (curl_url_set(parts, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_URLENCODE) ==
		CURLUE_OK)
		err = url_part(parts, CURLUPART_SCHEME, 0, &url.scheme);
	if (err == 0)
		err = url_part(parts, CURLUPART_USER, CURLU_URLDECODE, &url.user);
	if (err == 0)
		err = url_part(parts, CURLUPART_PASSWORD, CURLU_URLDECODE, &url.password);
	if (err == 0)
		err = url_part(parts, CURLUPART_HOST, 0, &url.host);
	if (err == 0)
		err = url_part(parts, CURLUPART_PORT, CURLU_DEFAULT_PORT, &port);
	if (err == 0)
		err = url_part(parts, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, &named_port);
	if (err == 0)
		err = url_part(parts, CURLUPART_PATH, 0, &url.path);
	if (err == 0)
		err = url_part(parts, CURLUPART_QUERY, 0, &url.query);
	if (err == 0 && (!port || strncmp(url.scheme, "http", 4) != 0))
		err = -EINVAL;
	if (err < 0) {
		url_finish(&url);
		return err;
	}
	url.port = (uint16_t)strtoul(port, NULL, 10);
	url.has_port = named_port != NULL;
	*ret = url;
	return 0;
}

int url_plain(const struct url *url, char **ret)
{
	char port[8] = "";

	if (url->has_port)
		snprintf(port, sizeof port, ":%u", url->port);
	return text_print(ret, "%s://%s%s%s%s%s", url->scheme, url->host, port, url->path,
		url->query ? "?" : "", url->query ? url->query : "");
}

bool url_same_server(const struct url *a, const struct url *b)
{
	return strcasecmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
	       a->port == b->port;
}

int url_resolve(const char *base, const char *link, char **ret)
{
	const unsigned flags = CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME;
	cleanup(free_curl_url) CURLU *parts = curl_url();

	*ret = NULL;
	if (!parts)
		return -ENOMEM;
	if (curl_url_set(parts, CURLUPART_URL, base, flags) != CURLUE_OK ||
		curl_url_set(parts, CURLUPART_URL, link, flags) != CURLUE_OK)
		return -EINVAL;
	return url_part(parts, CURLUPART_URL, 0, ret);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t url_decode(char *text, bool plus_is_blank)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		if (*at == '%' && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0) {
			*to++ = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
			at += 2;
		} else {
			*to++ = plus_is_blank && *at == '+' ? ' ' : *at;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}

char *url_tell_in(const char *text, char *to, size_t room)
{
	const char *host = strstr(text, "://");
	/* '^' is a manifest's '?': manifest_url.h. */
	const char *end = text + strcspn(text, "?#^"), *at = NULL;
	size_t scheme, rest;

	host = host && host < end ? host + 3 : text;
	for (const char *c = host; c < end && *c != '/'; c++)
		if (*c == '@')
			at = c + 1;
	scheme = (size_t)(host - text);
	if (scheme >= room)
		scheme = room - 1;
	memcpy(to, text, scheme);
	if (at)
		host = at;
	rest = (size_t)(end - host);
	if (rest > room - 1 - scheme)
		rest = room - 1 - scheme;
	memcpy(to + scheme, host, rest);
	to[scheme + rest] = '\0';
	return to;
}

struct url_told url_tell(const char *text)
{
	struct url_told told;

	url_tell_in(text, told.text, sizeof told.text);
	return told;
}

void url_finish(struct url *url)
{
	free(url->scheme);
	free(url->user);
	secret_free(url->password);
	free(url->host);
	free(url->path);
	free(url->query);
	*url = (struct url){0};
}

struct url_library url_library(void)
{
	const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);

	return (struct url_library){
		.version = curl->version,
		.is_old = curl->version_num < CURL_OLDEST,
		.tls = curl->features & CURL_VERSION_SSL ? curl->ssl_version : NULL,
		.authorities = curl->cainfo,
		.everything = curl_version(),
	};
}
