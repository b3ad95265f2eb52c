/*
 * url.c - libcurl's URL parser, with plain C types around it.
 */
#include "url.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define URL_TOLD_MAX 120     /* bytes of a URL in an error's words */
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
	if (result == CURLUE_NO_PORT || result == CURLUE_NO_QUERY)
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

int url_public_length(const char *text)
{
	size_t len = strcspn(text, "?#");

	return len < URL_TOLD_MAX ? (int)len : URL_TOLD_MAX;
}

void url_finish(struct url *url)
{
	free(url->scheme);
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
