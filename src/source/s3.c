/*
 * s3.c - the source for s3:// URLs: what S3 has of its own (signatures, regions, listings in XML)
 * over what http.c uses, too: libcurl for requests that are not hot (client.h), the pool's
 * connections for ranged gets (pool.h).
 *
 * Runs on the loop. Owns the client, the pool, the credentials and the buckets. A probe is a GET of
 * the first PROBE_BYTES or more, for http.c's reasons; a HEAD where only the version is wanted, and
 * where an object turns out to be empty: S3's answer for a range of nothing (416) does not tell
 * what of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "pool.h"
#include "s3_private.h"
#include "text.h"

/* A probe's request while it is under way. */
struct s3_probe {
	struct s3_ask ask;
	struct probe *probe;
	bool is_empty;     /* the range was of nothing: a HEAD tells the rest */
	struct loop *loop; /* what is believed, and not asked for, is told from there */
	struct loop_timer timer;
	bool has_start; /* the range is here, and a HEAD is to tell the digest: */
	char *start;
	size_t start_len;
};

/* ---- probes ------------------------------------------------------------------------------- */

static void probe_free(struct s3_probe *self)
{
	if (!self)
		return;
	s3_ask_finish(&self->ask);
	if (self->loop)
		loop_timer_cancel(self->loop, &self->timer);
	free(self->start);
	free(self);
}

static void probe_answered(struct s3_ask *ask, int err);

static int probe_ask(struct s3_probe *self, struct s3_source *s3, bool head)
{
	struct s3_ask *ask = &self->ask;
	cleanup_free char *bucket = NULL;
	const char *key;
	int err = s3_url_parse(self->probe->url, &bucket, &key);

	if (err < 0)
		return err;
	if (*key == '\0')
		return -EISDIR;
	s3_ask_finish(ask);
	*ask = (struct s3_ask){
		.s3 = s3,
		.head = head,
		.key = strdup(key),
		.body_max = probe_bytes(self->probe),
		/* Who has no right to an object's bytes may have none to its checksum (KMS). */
		.wants_checksum = !head || s3->wants_digest,
		.is_quick = true,
		.done = probe_answered,
	};
	if (!ask->key)
		return -ENOMEM;
	if (!head && text_print(&ask->range, "bytes=0-%llu",
			     (unsigned long long)range_http_last(
				     (struct range){0, probe_bytes(self->probe)})) < 0)
		return -ENOMEM;
	err = s3_bucket_find(s3, bucket, &ask->bucket);
	return err < 0 ? err : s3_ask_start(ask);
}

static int probe_size(const struct s3_probe *self, uint64_t *ret, const char **ret_reason)
{
	const struct http_head *head = &self->ask.head_read;

	if (!self->ask.head)
		return http_head_probe(
			head, probe_bytes(self->probe), self->ask.body_len, ret, ret_reason);
	*ret_reason = "an answer that does not tell the size";
	/* The HEAD was asked again as a GET of one byte. */
	if (head->status == 206 && head->has_total)
		*ret = head->total;
	else if (head->status == 200 && head->has_length)
		*ret = head->length;
	else
		return -EPROTO;
	if (self->is_empty && *ret != 0)
		return -EPROTO;
	return 0;
}

static int probe_answer(struct s3_probe *self)
{
	struct probe *probe = self->probe;
	const char *reason;
	uint64_t size = 0;
	int err = probe_size(self, &size, &reason);

	if (err < 0) {
		snprintf(probe->error, sizeof probe->error, "open: %.120s: %s", probe->url, reason);
		return err;
	}
	http_head_version(&self->ask.head_read, size, &probe->version);
	strcpy(probe->content_type, self->ask.content_type);
	probe->effective_url = probe->url;
	self->start = steal_pointer(&self->ask.body);
	self->start_len = self->ask.head ? 0 : self->ask.body_len;
	return 0;
}

/*
 * S3 does not tell the digest of the whole with a part. True: a HEAD that shall is under way, with
 * what the range has told kept.
 */
static bool probe_ask_digest(struct s3_probe *self)
{
	struct s3_source *s3 = self->ask.s3;

	if (!s3->wants_digest || self->ask.head || self->probe->version.digest.kind != DIGEST_NONE)
		return false;
	self->has_start = true;
	return probe_ask(self, s3, true) == 0;
}

/* Without an answer, or with one about another version, there is none. */
static void probe_take_digest(struct s3_probe *self, int err)
{
	struct version *version = &self->probe->version, found;

	if (err < 0)
		return;
	http_head_version(&self->ask.head_read, self->ask.head_read.length, &found);
	if (found.size == version->size && strcmp(found.etag, version->etag) == 0 &&
		strcmp(found.id, version->id) == 0)
		version->digest = found.digest;
}

static void probe_answered(struct s3_ask *ask, int err)
{
	struct s3_probe *self = container_of(ask, struct s3_probe, ask);
	struct probe *probe = self->probe;

	if (!self->has_start)
		probe->status = ask->head_read.status;
	if (err < 0 && probe->status == 416 && !ask->head) {
		self->is_empty = true;
		err = probe_ask(self, ask->s3, true);
		if (err == 0)
			return;
	}
	if (self->has_start) {
		probe_take_digest(self, err);
		err = 0;
	} else if (err < 0) {
		snprintf(probe->error, sizeof probe->error, "open: %.120s: %.100s", probe->url,
			ask->reason[0] ? ask->reason : strerror(-err));
	} else {
		err = probe_answer(self);
		if (err == 0 && probe_ask_digest(self))
			return;
	}
	probe->bytes = self->start;
	probe->bytes_len = self->start_len;
	probe->state = NULL;
	probe->done(probe, err);
	probe_free(self);
}

/* A listing has told what there is to know; the first get names that version, and will see. */
static void probe_believed(struct loop_timer *timer)
{
	struct s3_probe *self = container_of(timer, struct s3_probe, timer);
	struct probe *probe = self->probe;

	probe->version = *probe->believed;
	probe->content_type[0] = '\0';
	probe->effective_url = probe->url;
	probe->bytes = NULL;
	probe->bytes_len = 0;
	probe->state = NULL;
	probe->done(probe, 0);
	probe_free(self);
}

static void probe_believe(struct s3_probe *self, struct loop *loop)
{
	self->loop = loop;
	self->timer.expired = probe_believed;
	loop_timer_set(loop, &self->timer, clock_now_ns());
}

static int s3_probe(struct source *source, struct probe *probe)
{
	struct s3_probe *self = calloc(1, sizeof *self);
	int err = 0;

	probe->error[0] = '\0';
	probe->status = 0;
	if (!self)
		return -ENOMEM;
	self->probe = probe;
	if (probe->believed)
		probe_believe(self, source->loop);
	else
		err = probe_ask(self, s3_of(source), probe->head_only);
	if (err < 0) {
		snprintf(probe->error, sizeof probe->error, "open: %.120s: %s", probe->url,
			strerror(-err));
		probe_free(self);
		return err;
	}
	probe->state = self;
	return 0;
}

static void s3_probe_cancel(struct source *source, struct probe *probe)
{
	(void)source;
	probe_free(steal_pointer(&probe->state));
}

/* ---- the source --------------------------------------------------------------------------- */

static void s3_destroy(struct source *source)
{
	struct s3_source *s3 = s3_of(source);

	s3_buckets_finish(s3);
	pool_destroy(s3->pool);
	s3_provider_destroy(s3->provider);
	client_destroy(s3->client);
	s3_config_destroy(s3->config);
	free(s3);
}

static const struct source_ops s3_ops = {
	.destroy = s3_destroy,
	.probe = s3_probe,
	.list = s3_list,
	.get = s3_get,
	.probe_cancel = s3_probe_cancel,
	.list_cancel = s3_list_cancel,
	.get_cancel = http_get_cancel,
	.get_hurry = http_get_hurry,
	.pin = s3_pin,
	.unpin = s3_unpin,
};

static int s3_create_parts(struct s3_source *s3, const struct source_options *options)
{
	unsigned connections_max = options->connections_max ? options->connections_max
							    : SOURCE_CONNECTIONS;
	struct loop *loop = s3->source.loop;
	/* Twice: TLS connections of the pool are counted there, too. */
	int err = client_create(loop, s3->timeout_ms, 2 * connections_max, &s3->client);

	if (err < 0)
		return err;
	client_trust(s3->client, s3->config->ca_bundle);
	err = pool_create(&s3->source, s3->client, options, &s3->pool);
	if (err < 0)
		return err;
	return s3_provider_create(loop, s3->client, s3->config, &s3->provider);
}

int s3_source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	static const struct source_options defaults;
	static const struct s3_options nothing;
	struct s3_source *s3 = calloc(1, sizeof *s3);
	char words[SOURCE_ERROR_MAX] = "";
	int err;

	if (!s3)
		return -ENOMEM;
	if (!options)
		options = &defaults;
	list_init(&s3->buckets);
	s3->source.ops = &s3_ops;
	s3->source.loop = loop;
	s3->random = clock_now_ns() | 1;
	s3->wants_digest = options->wants_digest;
	s3->timeout_ms = options->timeout_ms ? options->timeout_ms : SOURCE_TIMEOUT_MS;
	err = s3_config_load(options->s3 ? options->s3 : &nothing, &s3->config, words);
	if (err == 0)
		err = s3_create_parts(s3, options);
	if (err < 0) {
		if (options->error && words[0])
			strcpy(options->error, words);
		s3_destroy(&s3->source);
		return err;
	}
	*ret = &s3->source;
	return 0;
}
