/*
 * source.h - where bytes and names come from.
 *
 * A source answers three questions, all without blocking, on the loop that it was made for: what is
 * this object now (probe), what is in this directory (list), and which bytes are in this range of
 * this version of the object (get). The caller embeds the request's struct, fills in its first
 * part, and keeps it alive until done() is called or the request is cancelled; exactly one of the
 * two ends it. done() is never called from inside the call that started the request, and may
 * destroy the request.
 *
 * All on the loop's thread. Errors are -errno; `error` has the words: "operation: url: reason".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "digest.h"
#include "list.h"
#include "range.h"

struct loop;
struct hash_list;
struct index_entry;
struct s3_options;

#define VALIDATOR_MAX 255    /* longest ETag or date that is kept; longer: as if there were none */
#define CONTENT_TYPE_MAX 127 /* longest that is kept; longer: as if there were none */
#define SOURCE_ERROR_MAX 240
#define PROBE_BYTES                                                                  \
	16384 /* that a probe asks for, so that the first page comes with the answer \
	       */
#define PROBE_BYTES_MAX 131072 /* that it may be told to ask for: what the kernel reads at once */
#define SOURCE_TIMEOUT_MS 30000
#define SOURCE_ATTEMPTS 4     /* of a probe or listing; gets are repeated by who asks for them */
#define SOURCE_CONNECTIONS 96 /* two thirds of them for readahead: see pool.h */
#define EXCHANGE_BYTES_MAX (UINT64_C(8) << 20) /* longest range of one get */

/* Which version of an object: what must be the same in every answer. */
struct version {
	uint64_t size;
	int64_t mtime_s;                  /* from Last-Modified; -1: unknown */
	char etag[VALIDATOR_MAX + 1];     /* as sent, with quotes and W/; "" if none */
	char modified[VALIDATOR_MAX + 1]; /* the Last-Modified header as sent; "" if none */
	bool is_partial; /* from who does not know it all (a manifest): "" is not compared */
	char id[VALIDATOR_MAX + 1]; /* S3's x-amz-version-id; "" if none */
	struct digest digest;       /* of all its bytes; DIGEST_NONE: the source tells none */
	/* Of its blocks; NULL: none is known. Lent: hash_list_take() it to keep it. */
	struct hash_list *hashes;
};

/* The strong ETag, else the date, else "". */
const char *version_validator(const struct version *version);

/* One version of one remote object, ready for get. Made by source->ops->pin. */
struct remote {
	struct source *source;
	char *url; /* after redirects; no secrets but in its query */
	struct version version;
};

struct probe {
	const char *url; /* must live until the end */
	bool head_only;  /* only the version is wanted: bytes are not asked for */
	/* How many of the first bytes are worth having: a multiple of PROBE_BYTES, PROBE_BYTES_MAX
	 * at the most. Fewer may come. 0: PROBE_BYTES */
	size_t bytes_wanted;
	/* What it is by a listing that is to be believed; NULL: ask. Who can pin without having
	 * asked (S3) answers with this, and no request is made. Must live until the end. */
	const struct version *believed;
	void (*done)(struct probe *self, int err);
	/* the answer, valid inside done() */
	struct version version;
	char content_type[CONTENT_TYPE_MAX + 1]; /* "" if none */
	const char *effective_url; /* for pin: where the bytes are, after redirects. A source may
				      keep more in it: url_tell() knows what may be told */
	const void *bytes;         /* the object's first bytes, as many as came along: */
	size_t bytes_len;          /* all of it, or a multiple of 4096; often 0 */
	unsigned status;           /* HTTP's, or 0 */
	char error[SOURCE_ERROR_MAX];
	void *state; /* the source's own */
};

/* What a probe that is a request asks for. */
static inline size_t probe_bytes(const struct probe *probe)
{
	return probe->bytes_wanted ? probe->bytes_wanted : PROBE_BYTES;
}

/* Until its answer must be whole: more bytes may take longer. */
static inline uint64_t probe_timeout_ms(size_t bytes, unsigned timeout_ms)
{
	return (uint64_t)timeout_ms * ((bytes + PROBE_BYTES - 1) / PROBE_BYTES);
}

struct listing {
	const char *url; /* of the directory, with its trailing slash; must live until the end */
	/* S3's names are not only such as index.h promises: see s3_page.h. */
	/* Called for each entry, before done(0). Not 0: that is done()'s err. */
	int (*entry)(struct listing *self, const struct index_entry *entry);
	/*
	 * For a source that asks for a listing page by page, in the order of the keys (where a
	 * directory's name counts with the '/' behind it): called after the entries of each page
	 * but the last, when all that follows is greater. Entries of one page may have any order.
	 * May be NULL; results as of entry().
	 */
	int (*page)(struct listing *self);
	void (*done)(struct listing *self, int err);
	unsigned status;
	char error[SOURCE_ERROR_MAX];
	void *state;
};

struct exchange;

struct exchange_ops {
	/*
	 * Where the next body bytes shall be received, *len bytes at the most, at least 1. They may
	 * come from elsewhere all the same: see received(). The memory must stay valid until then.
	 */
	void *(*buffer)(struct exchange *self, size_t *len);
	/* The next len bytes of the body are at data: buffer()'s result, or memory that is only
	 * valid inside this call. All checks of the answer's head were passed before the first one.
	 */
	void (*received)(struct exchange *self, const void *data, size_t len);
	/*
	 * The end. 0: all bytes were received. Else what follows `received_bytes` is missing, and
	 * exchange->again says if another attempt may do better.
	 */
	void (*done)(struct exchange *self, int err);
};

/* One ranged GET. */
struct exchange {
	const struct remote *remote;
	struct range range; /* not empty, inside the object, EXCHANGE_BYTES_MAX long at the most */
	const struct exchange_ops *ops;
	bool urgent; /* somebody waits for its first page: before others in the queue */
	/* the answer */
	uint64_t received_bytes;
	uint64_t queued_ns;     /* when it was asked for, if it had to wait before it could be sent;
				   else 0 */
	uint64_t sent_ns;       /* when the request was: clock_now_ns() */
	uint64_t first_byte_ns; /* when the head had arrived */
	bool again;             /* with done(err < 0): a passing fault */
	bool at_no_cost; /* ... and not the server's answer: a kept-alive connection had closed */
	uint64_t retry_after_ms; /* ... the server asked for this pause; 0: it did not */
	unsigned status;
	struct digest digest; /* of the answer's body, known before the first of its bytes; or NONE
			       */
	char error[SOURCE_ERROR_MAX];
	/* the source's own */
	struct list node;
	void *connection;
	void *second; /* the connection of a second request for the same: pool_hedge.c */
	void *place;
	bool by_fallback;
	bool waits; /* for something that the source must know before it can ask */
};

/* For a source that begins with an exchange: nothing is received, nothing has failed. */
static inline void exchange_reset(struct exchange *exchange)
{
	exchange->received_bytes = 0;
	exchange->status = 0;
	exchange->digest.kind = DIGEST_NONE;
	exchange->again = false;
	exchange->at_no_cost = false;
	exchange->retry_after_ms = 0;
	exchange->connection = NULL;
	exchange->second = NULL;
}

struct source_stats {
	uint64_t requests;       /* gets sent */
	uint64_t bytes;          /* body bytes of gets */
	uint64_t questions;      /* requests for probes and listings */
	uint64_t question_bytes; /* of their bodies */
	uint64_t connections_opened;
	uint64_t hedges;      /* of the requests: second ones for the same bytes */
	uint64_t hedges_won;  /* ... that were answered first */
	uint64_t connections; /* gauge, without libcurl's own for probes and listings */
};

struct source {
	const struct source_ops *ops;
	struct loop *loop;
	struct source_stats stats;
};

struct source_options {
	unsigned connections_max; /* to one server; 0: SOURCE_CONNECTIONS */
	unsigned timeout_ms;      /* to connect, for an answer's head, between bytes; 0:
				     SOURCE_TIMEOUT_MS */
	int hedge_percent; /* second requests at most (hedge.h); 0: HEDGE_PERCENT; negative: none */
	/* Of web servers: who we are, see auth.h. Valid while the source is made. */
	const char *netrc_file;   /* NULL: ~/.netrc, if there is one; "": none */
	const char *token_file;   /* lines "TOKEN" or "HOST TOKEN"; NULL or "": none */
	const char *token_server; /* a URL: a token without a host is for its server alone; NULL:
				     for each that is asked without a redirect */
	const char *url; /* what it will be asked for: chooses the source (scheme.h); NULL: HTTP */
	const struct s3_options *s3; /* NULL: what the environment and ~/.aws say */
	bool wants_digest; /* probes ask for a digest of the whole, even if it takes a request more
			    */
	char *error; /* SOURCE_ERROR_MAX bytes for why none could be made; may stay as they are */
};

struct source_ops {
	void (*destroy)(struct source *source);
	/* Each of the three: 0, or -errno and done() is not called. */
	int (*probe)(struct source *source, struct probe *probe);
	int (*list)(struct source *source, struct listing *listing);
	int (*get)(struct source *source, struct exchange *exchange);
	void (*probe_cancel)(struct source *source, struct probe *probe);
	void (*list_cancel)(struct source *source, struct listing *listing);
	void (*get_cancel)(struct source *source, struct exchange *exchange);
	/* It has become urgent. May do nothing: one that was sent can't come sooner. */
	void (*get_hurry)(struct source *source, struct exchange *exchange);
	/* Copies url and version. -ENOMEM, -EINVAL. */
	int (*pin)(struct source *source, const char *url, const struct version *version,
		struct remote **ret);
	/* No exchange may use it any more. NULL is fine. */
	void (*unpin)(struct source *source, struct remote *remote);
	/* Of a source that has others behind it; NULL: source->stats is all. */
	void (*add_stats)(const struct source *source, struct source_stats *to);
};

/* Adds what has been counted, by whatever source. */
void source_add_stats(const struct source *source, struct source_stats *to);

/* The source for http:// and https:// URLs. The loop must outlive it. */
int http_source_create(
	struct loop *loop, const struct source_options *options, struct source **ret);

/* The source for file:///path URLs. No options. */
int file_source_create(
	struct loop *loop, const struct source_options *options, struct source **ret);

/*
 * The source for s3:// URLs: s3_url.h says which. Reads the environment and ~/.aws, and so may
 * block meanwhile. -EINVAL, with words in options->error: they say what can't be.
 */
int s3_source_create(struct loop *loop, const struct source_options *options, struct source **ret);

/*
 * The source for manifest: URLs (manifest_url.h), whose names and versions are in one text
 * (manifest_table.h) and whose bytes are wherever that says.
 */
int manifest_source_create(
	struct loop *loop, const struct source_options *options, struct source **ret);
