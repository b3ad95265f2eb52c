/*
 * s3_remote.c - ranged gets of S3 objects, over the same hot path as http.c's.
 *
 * Runs on the loop; a remote is owned by its object. A signature covers neither the range nor
 * If-Match, so that one prepared request serves a remote's gets for S3_SIGNATURE_S; it is put
 * together again, which takes some 10 us and a few mallocs, by the first get after that. A get is
 * sent at once unless
 *
 *	- there are no credentials at hand (the first of all, or they have just expired), or
 *	- an answer was not liked by the server (400, 401, 403, a redirect), and its words were left
 *	  unread: then one small request by s3_ask.c, which knows what to do about what, finds out.
 *
 * Those that come meanwhile wait in the remote, and go on or fail together. A remote is doubted at
 * most once in DOUBT_NS, so that a server which refuses one kind of request and not the other ends
 * in an error, not in a circle.
 *
 * The version id that was pinned is asked for by ?versionId=, so that an object overwritten in a
 * versioned bucket stays readable to who has it open. Whoever may read the bucket but not its
 * versions (s3:GetObjectVersion) is refused by that; the bucket's gets do without then, and
 * If-Match guards alone.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fallback.h"
#include "pool.h"
#include "s3_private.h"
#include "text.h"

#define DOUBT_NS (10 * NS_PER_S)

struct s3_remote {
	struct http_remote http;
	struct s3_source *s3;
	struct s3_bucket *bucket;
	char *key;           /* encoded */
	uint64_t epoch;      /* the bucket's, when the request was prepared; 0: never */
	uint64_t renew_ns;   /* until when that serves */
	uint64_t doubted_ns; /* last; 0: never */
	struct list waiting; /* exchanges */
	struct s3_credentials_want want;
	bool wants;             /* the want is under way */
	bool named_version;     /* the request has a versionId, or the check */
	struct s3_check *check; /* under way; NULL: none */
};

/* What finds out why a get was refused. */
struct s3_check {
	struct s3_ask ask;
	struct s3_remote *remote;
};

static struct s3_remote *s3_remote_of(const struct remote *remote)
{
	return container_of(
		(struct http_remote *)(uintptr_t)container_of(remote, struct http_remote, remote),
		struct s3_remote, http);
}

/* ---- preparing ---------------------------------------------------------------------------- */

/* "versionId=...", or NULL with 0. */
static int remote_query(struct s3_remote *remote, char **ret)
{
	const char *id = remote->http.remote.version.id;
	char encoded[3 * VALIDATOR_MAX + 1];

	*ret = NULL;
	remote->named_version = *id && !remote->bucket->no_version_ids;
	if (!remote->named_version)
		return 0;
	s3_encode(id, strlen(id), false, encoded);
	return text_print(ret, "versionId=%s", encoded);
}

/* How long a signature may be used: not beyond its credentials, as long as there are better. */
static uint64_t signature_ns(const struct s3_source *s3, const struct s3_credentials *credentials)
{
	int64_t left_s = S3_SIGNATURE_S;

	if (credentials && credentials->expires_s != S3_NEVER)
		left_s = credentials->expires_s - (int64_t)time(NULL) - s3->clock_offset_s;
	if (left_s > S3_SIGNATURE_S)
		left_s = S3_SIGNATURE_S;
	return (uint64_t)(left_s < 1 ? 1 : left_s) * NS_PER_S;
}

static int remote_prepare(struct s3_remote *remote, const struct s3_credentials *credentials)
{
	struct s3_source *s3 = remote->s3;
	cleanup_free char *query = NULL, *url = NULL;
	cleanup(secret_free_at) char *headers = NULL;
	int err = remote_query(remote, &query);

	if (err == 0)
		err = s3_bucket_url(remote->bucket, remote->key, query, &url);
	if (err == 0)
		err = s3_bucket_sign(s3, remote->bucket,
			&(struct s3_about){.method = "GET", .key = remote->key, .query = query},
			credentials, &headers);
	if (err == 0)
		err = http_remote_prepare(&remote->http, s3->pool, url, headers);
	if (err < 0)
		return err;
	remote->epoch = remote->bucket->epoch;
	remote->renew_ns = clock_now_ns() + signature_ns(s3, credentials);
	return 0;
}

/* Is there a request to send, or can one be made at once? 0, -EAGAIN, or why not. */
static int remote_make_ready(struct s3_remote *remote)
{
	const struct s3_credentials *credentials;

	if (remote->epoch == remote->bucket->epoch && clock_now_ns() < remote->renew_ns)
		return 0;
	if (!s3_credentials_peek(remote->s3, &credentials))
		return -EAGAIN;
	return remote_prepare(remote, credentials);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static int remote_submit(struct s3_remote *remote, struct exchange *exchange)
{
	int err;

	exchange->waits = false;
	http_exchange_begin(exchange);
	exchange->by_fallback = remote->http.use_fallback;
	if (exchange->by_fallback)
		err = fallback_submit(remote->s3->client, &remote->s3->source, exchange);
	else
		err = host_submit(remote->http.place->host, exchange);
	if (err < 0)
		http_exchange_leave(exchange);
	return err;
}

/*
 * Those that wait go on (err 0) or fail. Each may cancel others and end the remote: what is still
 * in the list needs it, so that it is there as long as the list has somebody.
 */
static void remote_wake(struct s3_remote *remote, int err, const char *reason, unsigned status)
{
	char words[SOURCE_ERROR_MAX];
	struct list waiting;

	snprintf(words, sizeof words, "get: %.120s: %.100s", remote->http.remote.url,
		reason ? reason : strerror(-err));
	list_init(&waiting);
	list_splice(&waiting, &remote->waiting);
	while (!list_empty(&waiting)) {
		struct exchange *exchange = list_first(&waiting, struct exchange, node);
		int result = err;

		list_remove(&exchange->node);
		if (err == 0)
			result = remote_submit(remote, exchange);
		if (result == 0)
			continue;
		exchange->waits = false;
		exchange->status = status;
		/* What failed here was tried as often as it is worth. */
		exchange->again = err == -ETIMEDOUT || err == -EIO;
		strcpy(exchange->error, words);
		exchange->ops->done(exchange, result);
	}
}

static void remote_credentials(struct s3_credentials_want *want, int err)
{
	struct s3_remote *remote = container_of(want, struct s3_remote, want);
	const struct s3_credentials *credentials;
	char words[SOURCE_ERROR_MAX];

	remote->wants = false;
	err = s3_credentials_got(remote->s3, want, err, &credentials);
	if (err == 0)
		err = remote_prepare(remote, credentials);
	snprintf(words, sizeof words, "%s", want->error[0] ? want->error : strerror(-err));
	remote_wake(remote, err, words, 0);
}

static void check_free(struct s3_check *check)
{
	if (!check)
		return;
	s3_ask_finish(&check->ask);
	free(check);
}

static int check_start(struct s3_remote *remote);

static void check_done(struct s3_ask *ask, int err)
{
	struct s3_remote *remote = container_of(ask, struct s3_check, ask)->remote;
	unsigned status = ask->head_read.status;
	char words[sizeof ask->reason];

	strcpy(words, ask->reason);
	check_free(steal_pointer(&remote->check));
	if (err == -EACCES && remote->named_version) {
		remote->bucket->no_version_ids = true;
		remote->epoch = 0;
		if (check_start(remote) == 0)
			return;
	}
	if (err == -ENOENT)
		err = -ESTALE; /* it was there */
	/* Whatever was put right, the request is made of it anew. */
	remote->epoch = 0;
	if (err == 0)
		err = remote_make_ready(remote);
	if (err == -EAGAIN) {
		remote->wants = true;
		s3_provider_get(remote->s3->provider, &remote->want);
		return;
	}
	remote_wake(remote, err, words[0] ? words : NULL, status);
}

/* Asks for the first byte of the version, and reads what is said about it. */
static int check_start(struct s3_remote *remote)
{
	const struct version *version = &remote->http.remote.version;
	struct s3_check *check = calloc(1, sizeof *check);
	struct s3_ask *ask = &check->ask;
	int err;

	if (!check)
		return -ENOMEM;
	check->remote = remote;
	*ask = (struct s3_ask){
		.s3 = remote->s3,
		.bucket = remote->bucket,
		.key = strdup(remote->key),
		.range = strdup("bytes=0-0"),
		.if_match = version->etag[0] == '"' ? strdup(version->etag) : NULL,
		.body_max = 1,
		.is_quick = true,
		.done = check_done,
	};
	err = remote_query(remote, &ask->query);
	if (!ask->key || !ask->range || (version->etag[0] == '"' && !ask->if_match))
		err = -ENOMEM;
	if (err == 0)
		err = s3_ask_start(ask);
	if (err < 0)
		check_free(check);
	else
		remote->check = check;
	return err;
}

/* ---- gets --------------------------------------------------------------------------------- */

/* Called when the head of an answer has been read, before its exchange ends. */
static bool remote_refused(struct http_remote *http, const struct exchange *exchange)
{
	struct s3_remote *remote = container_of(http, struct s3_remote, http);
	uint64_t now_ns = clock_now_ns();

	/* It began before what was wrong was put right, or while that is under way. */
	if (remote->check || remote->wants || exchange->place != http->place)
		return true;
	if (remote->doubted_ns && now_ns - remote->doubted_ns < DOUBT_NS)
		return false;
	remote->doubted_ns = now_ns;
	return check_start(remote) == 0;
}

int s3_get(struct source *source, struct exchange *exchange)
{
	struct s3_remote *remote = s3_remote_of(exchange->remote);
	int err = 0;

	(void)source;
	if (!remote->check && !remote->wants) {
		err = remote_make_ready(remote);
		if (err == 0)
			return remote_submit(remote, exchange);
		if (err != -EAGAIN)
			return err;
		remote->wants = true;
		s3_provider_get(remote->s3->provider, &remote->want);
	}
	exchange_reset(exchange);
	exchange->queued_ns = exchange->sent_ns = clock_now_ns();
	exchange->waits = true;
	list_append(&remote->waiting, &exchange->node);
	return 0;
}

/* ---- beginning and end -------------------------------------------------------------------- */

void s3_unpin(struct source *source, struct remote *self)
{
	struct s3_remote *remote;

	(void)source;
	if (!self)
		return;
	remote = s3_remote_of(self);
	assert(list_empty(&remote->waiting));
	s3_provider_cancel(remote->s3->provider, &remote->want);
	check_free(remote->check);
	http_remote_finish(&remote->http);
	free(remote->http.remote.url);
	free(remote->key);
	free(remote);
}

static int remote_init(struct s3_remote *remote, const char *url, const struct version *version)
{
	cleanup_free char *bucket = NULL;
	const char *key;
	int err = s3_url_parse(url, &bucket, &key);

	if (err == 0)
		err = s3_bucket_find(remote->s3, bucket, &remote->bucket);
	if (err < 0)
		return err;
	remote->http.remote.source = &remote->s3->source;
	remote->http.remote.version = *version;
	remote->http.remote.url = strdup(url);
	remote->key = strdup(key);
	if (!remote->http.remote.url || !remote->key)
		return -ENOMEM;
	/* Not by the first fault, if it can be helped. */
	err = remote_make_ready(remote);
	return err == -EAGAIN ? 0 : err;
}

int s3_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct s3_remote *remote = calloc(1, sizeof *remote);
	int err;

	if (!remote)
		return -ENOMEM;
	list_init(&remote->waiting);
	remote->s3 = s3_of(source);
	remote->http.refused = remote_refused;
	remote->want.done = remote_credentials;
	err = remote_init(remote, url, version);
	if (err < 0)
		s3_unpin(source, &remote->http.remote);
	else
		*ret = &remote->http.remote;
	return err;
}
