/*
 * ls_hashes.c - reads an object once, and makes the hashes of its blocks and of all of it: for
 * `pagein ls --manifest --hashes`.
 *
 * Main thread, which turns the place's loop. WINDOWS windows of the object are asked for at a time,
 * and copied into slots as their bytes arrive, in any order; the oldest is hashed when it is whole,
 * since the hash of all of it goes in sequence, and its slot is asked for anew. So an object of any
 * size takes 16 MiB and its hashes, 1/2048 of it at the most. An object that changes meanwhile, or
 * is not what its source's own digest tells, has no hashes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "core.h"
#include "hash_list.h"
#include "loop.h"
#include "object.h"
#include "progress.h"
#include "remote.h"

#define WINDOW_BYTES (UINT64_C(2) << 20) /* whole blocks, of any length */
#define WINDOWS 8

/* A touch waits for its block; a list of them is kept in memory while the object is open. */
#define BLOCK_SHORT_BYTES (UINT64_C(64) << 10)
#define LONG_BYTES (UINT64_C(16) << 30) /* from here on the blocks are as long as may be */

struct window {
	struct range range;
	uint64_t missing_bytes;
	uint8_t *bytes;
};

struct hashing {
	struct place *place;
	struct object *object;
	struct want want;
	struct hash_list *hashes;
	struct digest_run whole;
	uint64_t size;
	uint64_t asked, hashed; /* windows */
	int err;
	struct window windows[WINDOWS];
	struct progress progress;
};

static struct window *window_oldest(struct hashing *hashing)
{
	return &hashing->windows[hashing->hashed % WINDOWS];
}

static void hashing_fail(struct hashing *hashing, int err, const char *reason)
{
	if (hashing->err == 0)
		snprintf(hashing->place->reason, sizeof hashing->place->reason, "%s", reason);
	hashing->err = hashing->err ? hashing->err : err;
	loop_stop(hashing->place->loop);
}

static void hashing_arrived(struct want *want, const struct arrival *arrival)
{
	struct hashing *hashing = container_of(want, struct hashing, want);

	for (size_t i = 0; i < WINDOWS; i++) {
		struct window *window = &hashing->windows[i];

		if (window->missing_bytes == 0)
			continue;
		window->missing_bytes -= arrival_copy(arrival, window->range, window->bytes);
	}
	if (window_oldest(hashing)->missing_bytes == 0)
		loop_stop(hashing->place->loop);
}

static void hashing_failed(struct want *want, struct range range, const struct failure *failure)
{
	struct hashing *hashing = container_of(want, struct hashing, want);

	(void)range;
	hashing_fail(hashing, failure->err,
		error_reason(failure->error, object_remote(hashing->object)->url));
}

static void window_ask(struct hashing *hashing)
{
	struct window *window = &hashing->windows[hashing->asked % WINDOWS];
	struct range range = {hashing->asked * WINDOW_BYTES, (hashing->asked + 1) * WINDOW_BYTES};
	int err;

	window->range = range_intersect(range, (struct range){0, hashing->size});
	window->missing_bytes = range_length(window->range);
	hashing->asked++;
	err = object_fetch(hashing->object, window->range, range_length(window->range), UINT64_MAX);
	if (err < 0 && err == object_stale(hashing->object)->err)
		hashing_fail(hashing, err, object_stale(hashing->object)->error);
	else if (err < 0)
		hashing_fail(hashing, err, strerror(-err));
}

/* -ENOMEM */
static int window_hash(struct hashing *hashing)
{
	const struct window *window = window_oldest(hashing);
	uint64_t length = range_length(window->range), block = hashing->hashes->block_bytes;
	int err = 0;

	digest_add(&hashing->whole, window->bytes, (size_t)length);
	for (uint64_t at = 0; at < length && err == 0; at += block) {
		uint64_t part = length - at < block ? length - at : block;
		uint64_t number = (window->range.start + at) / block;
		struct digest digest;

		err = digest_make(hashing->hashes->kind, window->bytes + at, (size_t)part, &digest);
		if (err == 0)
			memcpy(hashing->hashes->digests +
					number * digest_length(hashing->hashes->kind),
				digest.bytes, digest_length(hashing->hashes->kind));
	}
	hashing->hashed++;
	return err;
}

static void hashing_run(struct hashing *hashing)
{
	uint64_t count = (hashing->size + WINDOW_BYTES - 1) / WINDOW_BYTES;
	int err;

	while (hashing->err == 0 && hashing->hashed < count) {
		while (hashing->asked < count && hashing->asked < hashing->hashed + WINDOWS)
			window_ask(hashing);
		while (hashing->err == 0 && window_oldest(hashing)->missing_bytes > 0) {
			err = loop_run(hashing->place->loop);
			if (err < 0)
				hashing_fail(hashing, err, strerror(-err));
		}
		err = hashing->err == 0 ? window_hash(hashing) : 0;
		if (err < 0)
			hashing_fail(hashing, err, strerror(-err));
		progress_add(&hashing->progress, WINDOW_BYTES);
	}
}

static int hashing_begin(
	struct hashing *hashing, const char *location, const struct version *version)
{
	struct core *core = hashing->place->core;
	struct source *source = core_source(core);
	struct remote *remote;
	int err = 0;

	for (size_t i = 0; i < WINDOWS && err == 0; i++) {
		hashing->windows[i].bytes = malloc(WINDOW_BYTES);
		err = hashing->windows[i].bytes ? 0 : -ENOMEM;
	}
	if (err == 0)
		err = source->ops->pin(source, location, version, &remote);
	if (err == 0)
		err = object_create(core, remote, OBJECT_PASSES, &hashing->object);
	if (err < 0)
		return err;
	hashing->want = (struct want){
		.range = {0, hashing->size},
		.arrived = hashing_arrived,
		.failed = hashing_failed,
	};
	object_add_want(hashing->object, &hashing->want);
	return 0;
}

static void hashing_end(struct hashing *hashing)
{
	if (hashing->object)
		object_remove_want(hashing->object, &hashing->want);
	object_destroy(hashing->object);
	for (size_t i = 0; i < WINDOWS; i++)
		free(hashing->windows[i].bytes);
}

int hashes_make(struct place *place, const char *location, const struct version *version,
	struct digest *ret_digest, struct hash_list **ret_hashes)
{
	const struct digest *told = &version->digest;
	bool is_hash = told->kind != DIGEST_NONE && !digest_is_crc(told->kind);
	struct hashing hashing = {.place = place, .size = version->size};
	int err = hash_list_create(DIGEST_SHA256,
		version->size < LONG_BYTES ? BLOCK_SHORT_BYTES : HASH_BLOCK_MAX, version->size,
		&hashing.hashes);

	place->reason[0] = '\0';
	/* A CRC of the source's is compared as the bytes come. */
	if (err == 0)
		err = digest_begin(&hashing.whole, is_hash ? told->kind : DIGEST_SHA256);
	if (err == 0 && version->size > 0)
		err = hashing_begin(&hashing, location, version);
	progress_hide();
	progress_start_beside(&hashing.progress, "hashes", "bytes", version->size);
	if (err == 0)
		hashing_run(&hashing);
	progress_end(&hashing.progress);
	err = err == 0 ? hashing.err : err;
	digest_end(&hashing.whole, ret_digest);
	hashing_end(&hashing);
	if (err == 0 && is_hash && !digest_same(told, ret_digest)) {
		strcpy(place->reason,
			"its bytes are not those of the digest that its source tells");
		err = -EIO;
	}
	if (err < 0) {
		hash_list_put(hashing.hashes);
		hashing.hashes = NULL;
	}
	if (err < 0 && place->reason[0] == '\0')
		strcpy(place->reason, strerror(-err));
	*ret_hashes = hashing.hashes;
	return err;
}
