/*
 * s3_private.h - what the parts of the S3 source share: s3.c (the door, probes), s3_ask.c (one
 * request that is not hot), s3_region.c (buckets), s3_list.c (listings), s3_remote.c (ranged gets).
 * For those five files only. All on the loop's thread.
 */
#pragma once

#include "client.h"
#include "http_head.h"
#include "http_remote.h"
#include "loop.h"
#include "s3_config.h"
#include "s3_error.h"
#include "s3_provider.h"
#include "s3_sign.h"
#include "s3_url.h"
#include "source.h"

struct s3_source {
	struct source source;
	struct s3_config *config;
	struct client *client;
	struct pool *pool;
	struct s3_provider *provider;
	struct list buckets;
	int64_t clock_offset_s; /* the servers' clock minus ours */
	bool had_credentials;
	uint64_t unsigned_until_ns;            /* requests go without: there are none */
	char unsigned_words[SOURCE_ERROR_MAX]; /* why; "" if there are */
	uint64_t random;                       /* of the pauses between attempts */
	unsigned timeout_ms;
};

static inline struct s3_source *s3_of(struct source *source)
{
	return container_of(source, struct s3_source, source);
}

/* ---- buckets: s3_region.c ----------------------------------------------------------------- */

/* Where a bucket is, as far as is known. Kept until the source goes. */
struct s3_bucket {
	struct list node;
	char *name;
	char region[S3_REGION_MAX + 1];
	struct s3_endpoint endpoint;
	uint64_t epoch;      /* 1, and one more whenever region and endpoint have changed */
	bool no_version_ids; /* its reader may not name versions (s3:GetObjectVersion) */
};

/* The bucket of this name, known or new. -ENOMEM, -EINVAL */
int s3_bucket_find(struct s3_source *s3, const char *name, struct s3_bucket **ret);
/*
 * An answer has named this region: true: it is news, and asking again is worth it. Not NULL; what
 * is no region is ignored.
 */
bool s3_bucket_moved(struct s3_source *s3, struct s3_bucket *bucket, const char *region);
void s3_buckets_finish(struct s3_source *s3);

/* "https://host/path?query" of a key, encoded, in the bucket. query NULL: none. -ENOMEM */
int s3_bucket_url(const struct s3_bucket *bucket, const char *key, const char *query, char **ret);

/* The headers for a request, signed or (credentials NULL) not, as s3_sign() makes them. */
int s3_bucket_sign(const struct s3_source *s3, const struct s3_bucket *bucket, const char *method,
	const char *key, const char *query, const struct s3_credentials *credentials, char **ret);

/* ---- credentials: s3_ask.c ---------------------------------------------------------------- */

/* As s3_provider_peek(). */
bool s3_credentials_peek(struct s3_source *s3, const struct s3_credentials **ret);
/*
 * Takes notice of what s3_provider_get() brought: 0, and *ret says what to sign with (NULL: not at
 * all), or err. Who has never had credentials may be after public buckets: they are asked without,
 * and what stood in the way is told when that is refused.
 */
int s3_credentials_got(struct s3_source *s3, const struct s3_credentials_want *want, int err,
	const struct s3_credentials **ret);

/* ---- requests that are not hot: s3_ask.c ------------------------------------------------- */

/*
 * One request and its whole answer. What can be put right on the way is: credentials are waited for
 * and renewed, the clock and the region corrected, each once; and what may pass is tried again.
 */
struct s3_ask {
	/* what is asked: s3_ask_start() */
	struct s3_source *s3;
	struct s3_bucket *bucket;
	bool head;      /* HEAD; a refusal, which has no words then, is asked for again as a GET */
	char *key;      /* encoded; its own, as the next three */
	char *query;    /* encoded; NULL: none */
	char *range;    /* "bytes=0-16383"; NULL: all */
	char *if_match; /* NULL: any version */
	size_t body_max;
	bool is_quick; /* all of it by probe_timeout_ms(): some KiB that dribble are no answer */
	/* 0: 2xx, all of it, in `body`; else -errno with words in `reason`. May destroy it. */
	void (*done)(struct s3_ask *self, int err);
	/* the answer */
	struct http_head head_read; /* of the newest answer */
	char content_type[CONTENT_TYPE_MAX + 1];
	char *body;
	size_t body_len;
	struct s3_error error;
	char reason[160];
	/* its own */
	struct client_request curl;
	struct curl_slist *headers;
	struct s3_credentials_want want;
	struct loop_timer timer; /* the next attempt */
	uint64_t generation;     /* of the credentials it was signed with */
	uint64_t epoch;          /* the bucket's, when it was sent */
	unsigned attempts;       /* that failed in a way that may pass */
	unsigned moves;          /* to other regions */
	bool is_signed, has_session, refreshed, clocked, wants_words;
	size_t body_room; /* at body */
	size_t head_bytes;
	int too_long; /* -EPROTO: the head, -EFBIG: the body; then it was not read to its end */
	char date[64];
	char region[S3_REGION_MAX + 1]; /* x-amz-bucket-region; "" */
};

/* done() will be called, not from inside this call; or -errno, and it is still to finish. */
int s3_ask_start(struct s3_ask *ask);
/* Ends it at whatever stage, and frees what it owns, not itself. */
void s3_ask_finish(struct s3_ask *ask);

/* ---- the rest ----------------------------------------------------------------------------- */

/* s3_list.c */
int s3_list(struct source *source, struct listing *listing);
void s3_list_cancel(struct source *source, struct listing *listing);

/* s3_remote.c */
int s3_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret);
void s3_unpin(struct source *source, struct remote *remote);
int s3_get(struct source *source, struct exchange *exchange);
