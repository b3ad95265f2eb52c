/*
 * memory_source.c - see memory_source.h.
 *
 * A question is a job in an array, in the order of asking. Whatever is called may ask more or
 * cancel others, so that a job is off the array before its last call, and looked for again after
 * any other.
 */
#include "memory_source.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "index.h"
#include "loop.h"
#include "url.h"

#define JOBS_MAX 512
#define KEY_MAX 2048

struct job {
	struct source *source;
	struct probe *probe; /* one of these three */
	struct listing *listing;
	struct exchange *exchange;
	size_t next; /* of a listing: the first object that it has not looked at */
};

struct memory_store memory_store;

static struct job *jobs[JOBS_MAX];
static size_t job_count;

uint8_t memory_byte(unsigned seed, uint64_t offset)
{
	/* Pages of zeros are another way in a map. */
	if (offset / 4096 % 7 == 3)
		return 0;
	return (uint8_t)((offset + seed) * 131 + (offset >> 12) * 7 + seed);
}

/* ---- jobs --------------------------------------------------------------------------------- */

static int job_add(struct job from, void **ret)
{
	struct job *job = malloc(sizeof *job);

	assert(job && job_count < JOBS_MAX);
	*job = from;
	jobs[job_count++] = job;
	*ret = job;
	return 0;
}

static size_t job_index(const struct job *job)
{
	size_t i = 0;

	while (i < job_count && jobs[i] != job)
		i++;
	return i;
}

static void job_end(struct job *job)
{
	size_t i = job_index(job);

	assert(i < job_count);
	memmove(&jobs[i], &jobs[i + 1], (--job_count - i) * sizeof *jobs);
	free(job);
}

size_t memory_waiting(void)
{
	return job_count;
}

/* ---- URLs --------------------------------------------------------------------------------- */

static void encode(const char *name, size_t length, char *to)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')
			*to++ = (char)c;
		else
			to += sprintf(to, "%%%02X", c);
	}
	*to = '\0';
}

static void decode(const char *url, char key[KEY_MAX])
{
	assert(strncmp(url, MEMORY_URL, strlen(MEMORY_URL)) == 0);
	url += strlen(MEMORY_URL);
	assert(strlen(url) < KEY_MAX);
	strcpy(key, url);
	url_decode(key, false);
}

static struct memory_object *find(const char *url)
{
	char key[KEY_MAX];

	decode(url, key);
	for (size_t i = 0; i < memory_store.count; i++)
		if (!memory_store.objects[i].gone && strcmp(memory_store.objects[i].key, key) == 0)
			return &memory_store.objects[i];
	return NULL;
}

static struct version version_of(const struct memory_object *object)
{
	struct version version = {.size = object->size, .mtime_s = 1714979280 + object->seed};

	snprintf(version.etag, sizeof version.etag, "\"%u\"", object->seed);
	return version;
}

/* ---- probes ------------------------------------------------------------------------------- */

static void probe_end(struct probe *probe, int err)
{
	static uint8_t bytes[PROBE_BYTES];
	const struct memory_object *object = find(probe->url);

	probe->bytes_len = 0;
	if (err == 0 && !object)
		err = -ENOENT;
	if (err < 0) {
		snprintf(probe->error, sizeof probe->error, "open: %d", err);
		probe->done(probe, err);
		return;
	}
	probe->version = version_of(object);
	probe->effective_url = probe->url;
	if (!probe->head_only && memory_store.probes_bring)
		probe->bytes_len = object->size < sizeof bytes ? object->size : sizeof bytes;
	for (size_t i = 0; i < probe->bytes_len; i++)
		bytes[i] = memory_byte(object->seed, i);
	probe->bytes = bytes;
	probe->done(probe, 0);
}

/* ---- listings ----------------------------------------------------------------------------- */

static int tell(struct listing *listing, const char *name, size_t length,
	const struct memory_object *object)
{
	char bytes[KEY_MAX], href[3 * KEY_MAX + 2];
	struct version version = object ? version_of(object) : (struct version){0};
	struct index_entry entry = {
		.name = bytes,
		.name_length = length,
		.href = href,
		.is_dir = !object,
		.size = INDEX_SIZE_UNKNOWN,
		.mtime = INDEX_MTIME_UNKNOWN,
	};

	assert(length < KEY_MAX);
	memcpy(bytes, name, length);
	bytes[length] = '\0';
	encode(name, length, href);
	if (!object)
		strcat(href, "/");
	if (object && memory_store.tells_sizes) {
		entry.size = version.size;
		entry.mtime = (time_t)version.mtime_s;
		entry.etag = version.etag;
	}
	return listing->entry(listing, &entry);
}

/* The next name below the prefix, or false: there is none. */
static bool tell_next(struct job *job, const char *prefix, int *ret_err)
{
	size_t length = strlen(prefix);

	for (; job->next < memory_store.count; job->next++) {
		const struct memory_object *object = &memory_store.objects[job->next];
		const char *name = object->key + length, *slash;

		if (object->gone || strncmp(object->key, prefix, length) != 0)
			continue;
		slash = strchr(name, '/');
		job->next++;
		if (!slash) {
			*ret_err = tell(job->listing, name, strlen(name), object);
			return true;
		}
		*ret_err = tell(job->listing, name, (size_t)(slash - name), NULL);
		while (job->next < memory_store.count &&
			strncmp(memory_store.objects[job->next].key, object->key,
				(size_t)(slash + 1 - object->key)) == 0)
			job->next++;
		return true;
	}
	return false;
}

/* One page, or all of them. */
static void list_answer(struct job *job, bool whole)
{
	struct listing *listing = job->listing;
	char prefix[KEY_MAX];
	bool more = true;
	int err = 0;

	decode(listing->url, prefix);
	do {
		for (size_t i = 0; i < memory_store.page_names && more && err == 0; i++)
			more = tell_next(job, prefix, &err);
		/* Who is told may cancel the listing. */
		if (more && err == 0 && listing->page)
			err = listing->page(listing);
		if (job_index(job) == job_count)
			return;
	} while (whole && more && err == 0);
	if (more && err == 0)
		return;
	job_end(job);
	listing->done(listing, err);
}

/* ---- gets --------------------------------------------------------------------------------- */

static void get_end(struct job *job, int err, bool again)
{
	struct exchange *exchange = job->exchange;

	job_end(job);
	exchange->again = again;
	if (err < 0)
		snprintf(exchange->error, sizeof exchange->error, "get: %d", err);
	exchange->ops->done(exchange, err);
}

static void get_answer(struct job *job, uint64_t bytes)
{
	struct exchange *exchange = job->exchange;
	const struct memory_object *object = find(exchange->remote->url);
	uint64_t end = exchange->range.end;

	if (!object || strcmp(version_of(object).etag, exchange->remote->version.etag) != 0) {
		get_end(job, -ESTALE, false);
		return;
	}
	exchange->first_byte_ns = clock_now_ns();
	while (bytes > 0 && exchange->range.start + exchange->received_bytes < end) {
		uint64_t at = exchange->range.start + exchange->received_bytes;
		size_t room;
		uint8_t *buffer = exchange->ops->buffer(exchange, &room);

		assert(room > 0);
		room = room < end - at ? room : (size_t)(end - at);
		room = room < bytes ? room : (size_t)bytes;
		for (size_t i = 0; i < room; i++)
			buffer[i] = memory_byte(object->seed, at + i);
		exchange->received_bytes += room;
		bytes -= room;
		exchange->ops->received(exchange, buffer, room);
		if (job_index(job) == job_count)
			return;
	}
	if (exchange->range.start + exchange->received_bytes == end)
		get_end(job, 0, false);
}

struct answer {
	struct job *job;
	enum memory_answer answer;
	uint64_t bytes;
};

/* On the loop of who has asked. */
static void answer_job(void *context)
{
	static const int errs[MEMORY_ANSWERS] = {[MEMORY_AGAIN] = -EIO, [MEMORY_FAILED] = -EACCES};
	const struct answer *how = context;
	struct probe *probe = how->job->probe;
	struct listing *listing = how->job->listing;
	int err = errs[how->answer];

	if (how->job->exchange && err < 0) {
		get_end(how->job, err, how->answer == MEMORY_AGAIN);
	} else if (how->job->exchange) {
		get_answer(how->job, how->answer == MEMORY_WHOLE ? UINT64_MAX : how->bytes);
	} else if (listing && err == 0) {
		list_answer(how->job, how->answer == MEMORY_WHOLE);
	} else if (listing) {
		job_end(how->job);
		snprintf(listing->error, sizeof listing->error, "list: refused");
		listing->done(listing, err);
	} else {
		job_end(how->job);
		probe_end(probe, err);
	}
}

void memory_answer(size_t n, enum memory_answer answer, uint64_t bytes)
{
	struct answer how = {jobs[n], answer, bytes};

	assert(n < job_count);
	loop_call(how.job->source->loop, answer_job, &how);
}

/* ---- the source --------------------------------------------------------------------------- */

static int memory_probe(struct source *source, struct probe *probe)
{
	return job_add((struct job){.source = source, .probe = probe}, &probe->state);
}

static int memory_list(struct source *source, struct listing *listing)
{
	return job_add((struct job){.source = source, .listing = listing}, &listing->state);
}

static int memory_get(struct source *source, struct exchange *exchange)
{
	assert(!range_empty(exchange->range) &&
		range_length(exchange->range) <= EXCHANGE_BYTES_MAX);
	assert(exchange->range.end <= exchange->remote->version.size);
	exchange_reset(exchange);
	exchange->sent_ns = clock_now_ns();
	return job_add((struct job){.source = source, .exchange = exchange}, &exchange->connection);
}

static void memory_probe_cancel(struct source *source, struct probe *probe)
{
	(void)source;
	job_end(probe->state);
}

static void memory_list_cancel(struct source *source, struct listing *listing)
{
	(void)source;
	job_end(listing->state);
}

static void memory_get_cancel(struct source *source, struct exchange *exchange)
{
	(void)source;
	job_end(exchange->connection);
}

static void memory_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source;
	exchange->urgent = true;
}

static int memory_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct remote *remote = malloc(sizeof *remote);

	assert(remote);
	*remote = (struct remote){source, strdup(url), *version};
	memory_store.pinned++;
	*ret = remote;
	return 0;
}

static void memory_unpin(struct source *source, struct remote *remote)
{
	(void)source;
	if (!remote)
		return;
	memory_store.pinned--;
	free(remote->url);
	free(remote);
}

static void memory_destroy(struct source *source)
{
	for (size_t i = 0; i < job_count; i++)
		assert(jobs[i]->source != source);
	free(source);
}

static const struct source_ops memory_ops = {
	.destroy = memory_destroy,
	.probe = memory_probe,
	.list = memory_list,
	.get = memory_get,
	.probe_cancel = memory_probe_cancel,
	.list_cancel = memory_list_cancel,
	.get_cancel = memory_get_cancel,
	.get_hurry = memory_get_hurry,
	.pin = memory_pin,
	.unpin = memory_unpin,
};

int http_source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	(void)options;
	*ret = calloc(1, sizeof **ret);
	assert(*ret);
	**ret = (struct source){.ops = &memory_ops, .loop = loop};
	return 0;
}
