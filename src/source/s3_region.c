/*
 * s3_region.c - buckets: in which region they are, and so at which host.
 *
 * Runs on the loop; owned by the source. A bucket begins where the configuration says (us-east-1 if
 * it says nothing, which knows all of AWS's buckets) and moves when an answer names another region:
 * the header x-amz-bucket-region, or the <Region> of AuthorizationHeaderMalformed. Everything made
 * for the old place knows its epoch, and is made again. A redirect's Location is never followed: a
 * signature is for one host.
 *
 * A region becomes a part of a host's name, so that what is no region's name is ignored. With an
 * endpoint of the user's own only the signature changes, not the host.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "s3_private.h"
#include "text.h"

#define REGION_DEFAULT "us-east-1"

static void bucket_free(struct s3_bucket *bucket)
{
	s3_endpoint_finish(&bucket->endpoint);
	free(bucket->name);
	free(bucket);
}

static int bucket_create(struct s3_source *s3, const char *name, struct s3_bucket **ret)
{
	const char *region = s3->config->region ? s3->config->region : REGION_DEFAULT;
	struct s3_bucket *bucket = calloc(1, sizeof *bucket);
	int err = -ENOMEM;

	if (!bucket)
		return -ENOMEM;
	bucket->epoch = 1;
	bucket->name = strdup(name);
	if (!s3_region_is_valid(region))
		err = -EINVAL;
	else if (bucket->name)
		err = s3_endpoint_make(s3->config, name, region, &bucket->endpoint);
	if (err < 0) {
		bucket_free(bucket);
		return err;
	}
	strcpy(bucket->region, region);
	list_append(&s3->buckets, &bucket->node);
	*ret = bucket;
	return 0;
}

int s3_bucket_find(struct s3_source *s3, const char *name, struct s3_bucket **ret)
{
	list_for_each (node, &s3->buckets) {
		struct s3_bucket *bucket = list_entry(node, struct s3_bucket, node);

		if (strcmp(bucket->name, name) == 0) {
			*ret = bucket;
			return 0;
		}
	}
	return bucket_create(s3, name, ret);
}

bool s3_bucket_moved(struct s3_source *s3, struct s3_bucket *bucket, const char *region)
{
	struct s3_endpoint endpoint;

	if (!s3_region_is_valid(region) || strcmp(bucket->region, region) == 0 ||
		s3_endpoint_make(s3->config, bucket->name, region, &endpoint) < 0)
		return false;
	s3_endpoint_finish(&bucket->endpoint);
	bucket->endpoint = endpoint;
	strcpy(bucket->region, region);
	bucket->epoch++;
	return true;
}

void s3_buckets_finish(struct s3_source *s3)
{
	list_for_each_safe (node, &s3->buckets)
		bucket_free(list_entry(node, struct s3_bucket, node));
}

int s3_bucket_url(const struct s3_bucket *bucket, const char *key, const char *query, char **ret)
{
	return text_print(ret, "%s%s%s%s%s", bucket->endpoint.base, bucket->endpoint.path, key,
		query ? "?" : "", query ? query : "");
}

/* What a request without credentials has of s3_sign()'s lines. */
static int unsigned_headers(const struct s3_source *s3, const struct s3_about *about, char **ret)
{
	return text_print(ret, "%s%s",
		about->wants_checksum ? "x-amz-checksum-mode: ENABLED\r\n" : "",
		s3->config->requester_pays ? "x-amz-request-payer: requester\r\n" : "");
}

int s3_bucket_sign(const struct s3_source *s3, const struct s3_bucket *bucket,
	const struct s3_about *about, const struct s3_credentials *credentials, char **ret)
{
	cleanup_free char *path = NULL;
	struct s3_request request = {
		.method = about->method,
		.host = bucket->endpoint.authority,
		.query = about->query,
		.payload = S3_PAYLOAD_UNSIGNED,
		.requester_pays = s3->config->requester_pays,
		.wants_checksum = about->wants_checksum,
	};
	struct s3_scope scope = {
		.credentials = credentials,
		.region = bucket->region,
		.service = "s3",
		.now_s = (int64_t)time(NULL) + s3->clock_offset_s,
	};

	if (!credentials)
		return unsigned_headers(s3, about, ret);
	if (text_print(&path, "%s%s", bucket->endpoint.path, about->key) < 0)
		return -ENOMEM;
	request.path = path;
	return s3_sign(&request, &scope, ret);
}
