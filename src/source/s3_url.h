/*
 * s3_url.h - what an s3:// URL says, and where its bucket is. Pure; any thread.
 *
 * People write s3://BUCKET/KEY with the key as it is, byte for byte, as for the aws command. Inside
 * pagein it is a URL: every byte of the key but A-Za-z0-9-._~ and '/' percent-encoded, so that URLs
 * can be put together from an index's links, and '?' is a byte like others. s3_url_from_key() is
 * the door between the two.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "s3_config.h"

#define S3_KEY_MAX 1024   /* bytes of a key */
#define S3_BUCKET_MAX 255 /* of a name; of new ones 63 */
#define S3_REGION_MAX 63  /* fits a label of a host's name */

/* "s3://b/a b" -> "s3://b/a%20b". -EINVAL: no bucket's name, or too long a key; -ENOMEM */
int s3_url_from_key(const char *given, char **ret);

/* The way back: what people would write. NULL: out of memory */
char *s3_url_to_key(const char *url);

/*
 * Takes a URL of the inner kind apart: the bucket's name (malloc'd), and the key, encoded, inside
 * url. -EINVAL, -ENOMEM.
 */
int s3_url_parse(const char *url, char **ret_bucket, const char **ret_key);

/* Nothing but a-z, 0-9 and '-': it becomes a part of a host's name. */
bool s3_region_is_valid(const char *region);

/* Where a bucket answers. */
struct s3_endpoint {
	char *base;      /* "https://bucket.s3.eu-west-1.amazonaws.com" */
	char *authority; /* what stands in Host */
	char *path;      /* before a key: "/", or "/bucket/" */
};

/* -EINVAL: the configured endpoint is no URL; -ENOMEM */
int s3_endpoint_make(const struct s3_config *config, const char *bucket, const char *region,
	struct s3_endpoint *ret);
/* A zeroed one is fine. */
void s3_endpoint_finish(struct s3_endpoint *endpoint);
