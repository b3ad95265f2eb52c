/*
 * s3_url.c - buckets, keys and the hosts that have them.
 *
 * Virtual hosts (BUCKET.s3.REGION.amazonaws.com) are AWS's rule; a bucket whose name is no label
 * below its certificate (dots, capitals) and every endpoint that somebody has configured get the
 * bucket in the path, unless `addressing_style = virtual` asks otherwise: what botocore does.
 *
 * Rejected: access point ARNs and directory buckets (NAME--x-s3), which need other signatures and
 * sessions.
 */
#include "s3_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "s3_sign.h"
#include "text.h"
#include "url.h"

#define SCHEME "s3://"
#define LABEL_MAX 63 /* of a host's name */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

/* ---- URLs --------------------------------------------------------------------------------- */

/* As S3 has always allowed them; the length is checked by who calls. */
static bool is_bucket_byte(char c)
{
	return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
	       c == '.';
}

/* Where the bucket's name begins, and its length; NULL: it is none. */
static const char *url_bucket(const char *url, size_t *ret_len)
{
	const char *bucket = url + strlen(SCHEME);
	size_t len = 0;

	if (strncasecmp(url, SCHEME, strlen(SCHEME)) != 0)
		return NULL;
	while (is_bucket_byte(bucket[len]))
		len++;
	if (len == 0 || len > S3_BUCKET_MAX || (bucket[len] != '/' && bucket[len] != '\0'))
		return NULL;
	/* It stands in a path, or begins a host's name. */
	if (bucket[0] == '.')
		return NULL;
	*ret_len = len;
	return bucket;
}

int s3_url_from_key(const char *given, char **ret)
{
	size_t bucket_len, key_len;
	const char *bucket = url_bucket(given, &bucket_len);
	char encoded[3 * S3_KEY_MAX + 1];
	const char *key;

	if (!bucket)
		return -EINVAL;
	key = bucket + bucket_len;
	key_len = strlen(key);
	if (key_len > S3_KEY_MAX + 1)
		return -EINVAL;
	if (key_len > 0)
		s3_encode(key + 1, key_len - 1, true, encoded);
	return text_print(ret, SCHEME "%.*s%s%s", (int)bucket_len, bucket, key_len > 0 ? "/" : "",
		key_len > 0 ? encoded : "");
}

int s3_url_parse(const char *url, char **ret_bucket, const char **ret_key)
{
	size_t len;
	const char *bucket = url_bucket(url, &len);

	if (!bucket)
		return -EINVAL;
	*ret_key = bucket + len + (bucket[len] == '/');
	if (strlen(*ret_key) > (size_t)3 * S3_KEY_MAX)
		return -EINVAL;
	*ret_bucket = strndup(bucket, len);
	return *ret_bucket ? 0 : -ENOMEM;
}

char *s3_url_to_key(const char *url)
{
	char *key = strdup(url);

	/* A bucket's name has no '%'. */
	if (key)
		(void)url_decode(key, false);
	return key;
}

/* ---- endpoints ---------------------------------------------------------------------------- */

bool s3_region_is_valid(const char *region)
{
	size_t len = 0;

	while (is_lower(region[len]) || is_digit(region[len]) || region[len] == '-')
		len++;
	return len > 0 && len <= S3_REGION_MAX && region[len] == '\0';
}

/* May "NAME.s3.amazonaws.com" be a host's name? With TLS dots would be more labels than `*.` of the
 * certificate stands for. */
static bool bucket_is_label(const char *bucket, bool dots_allowed)
{
	size_t len = strlen(bucket);
	bool only_numbers = true;

	if (len < 3 || len > LABEL_MAX || bucket[len - 1] == '-' || bucket[0] == '-' ||
		bucket[len - 1] == '.' || strstr(bucket, ".."))
		return false;
	for (const char *c = bucket; *c; c++) {
		if (!is_lower(*c) && !is_digit(*c) && *c != '-' && !(*c == '.' && dots_allowed))
			return false;
		only_numbers &= is_digit(*c) || *c == '.';
	}
	/* "10.0.0.1" would be an address. */
	return !only_numbers || !strchr(bucket, '.');
}

static int make_custom(const struct s3_config *config, const char *bucket, struct s3_endpoint *ret)
{
	cleanup(url_finish) struct url url = {0};
	char port[8] = "";
	const char *dot = "", *host = "";
	size_t path_len;
	int err = url_parse(config->endpoint, &url);

	if (err < 0)
		return err;
	if (config->addressing == S3_ADDRESSING_VIRTUAL &&
		bucket_is_label(bucket, strcmp(url.scheme, "http") == 0)) {
		host = bucket;
		dot = ".";
	}
	if (url.has_port)
		snprintf(port, sizeof port, ":%u", url.port);
	path_len = strlen(url.path);
	while (path_len > 0 && url.path[path_len - 1] == '/')
		path_len--;
	if (text_print(&ret->authority, "%s%s%s%s", host, dot, url.host, port) < 0)
		return -ENOMEM;
	if (text_print(&ret->base, "%s://%s", url.scheme, ret->authority) < 0)
		return -ENOMEM;
	return text_print(&ret->path, "%.*s/%s%s", (int)path_len, url.path, *host ? "" : bucket,
		*host ? "" : "/");
}

static int make_aws(const struct s3_config *config, const char *bucket, const char *region,
	struct s3_endpoint *ret)
{
	bool is_virtual = config->addressing != S3_ADDRESSING_PATH &&
			  bucket_is_label(bucket, false);
	const char *suffix = s3_dns_suffix(region);
	int err;

	if (is_virtual && config->use_accelerate)
		err = text_print(&ret->authority, "%s.s3-accelerate%s.%s", bucket,
			config->use_dualstack ? ".dualstack" : "", suffix);
	else
		err = text_print(&ret->authority, "%s%ss3%s%s.%s.%s", is_virtual ? bucket : "",
			is_virtual ? "." : "", config->use_fips ? "-fips" : "",
			config->use_dualstack ? ".dualstack" : "", region, suffix);
	if (err < 0 || text_print(&ret->base, "https://%s", ret->authority) < 0)
		return -ENOMEM;
	return text_print(&ret->path, "/%s%s", is_virtual ? "" : bucket, is_virtual ? "" : "/");
}

int s3_endpoint_make(const struct s3_config *config, const char *bucket, const char *region,
	struct s3_endpoint *ret)
{
	struct s3_endpoint endpoint = {0};
	int err = config->endpoint ? make_custom(config, bucket, &endpoint)
				   : make_aws(config, bucket, region, &endpoint);

	if (err < 0)
		s3_endpoint_finish(&endpoint);
	else
		*ret = endpoint;
	return err;
}

void s3_endpoint_finish(struct s3_endpoint *endpoint)
{
	free(endpoint->base);
	free(endpoint->authority);
	free(endpoint->path);
	*endpoint = (struct s3_endpoint){0};
}
