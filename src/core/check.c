/*
 * check.c - an object's integrity, where bytes are about to be published: what is to be checked is,
 * and what was found wrong ends the object.
 *
 * On the loop. C1: bytes that object_check() refuses are not published, and nothing after them is.
 * What was shown before stays where it is: in a map's memory, in the kernel's page cache. So a
 * whole object that is wrong is never read wholly; its parts may have been.
 */
#include <errno.h>
#include <stdio.h>

#include "hash_list.h"
#include "log.h"
#include "object_private.h"
#include "pages.h"
#include "url.h"

int object_integrity_init(struct object *object)
{
	enum verify verify = object->core->verify;
	const struct version *version = &object->remote->version;
	int err = integrity_list(verify, version, &object->hashes);

	if (err == 0)
		err = integrity_init(&object->integrity, verify, version, object->hashes);
	return err;
}

void object_integrity_finish(struct object *object)
{
	integrity_finish(&object->integrity);
	hash_list_put(object->hashes);
}

const char *object_refusal(const struct core *core, const struct version *version,
	enum object_keep keep, bool is_in_sequence)
{
	return integrity_refusal(core->verify, version, keep, is_in_sequence);
}

enum object_integrity object_integrity(const struct object *object)
{
	return object->integrity.state;
}

/* Nothing of it is right any more, as far as anybody knows. */
static void object_break(struct object *object)
{
	char words[SOURCE_ERROR_MAX];

	if (object->stale.err == 0)
		snprintf(object->stale_error, sizeof object->stale_error, "verify: %.60s: %s",
			url_tell(object->remote->url).text,
			integrity_words(&object->integrity, words));
	log_error("%s", object->stale_error);
	object->stale = (struct failure){.err = -EIO, .error = object->stale_error};
	if (object->stale_told)
		object->stale_told(object->stale_context);
	/* Who keeps has readers who wait for what is here, and are told when they fail. */
	if (object->keep == OBJECT_CACHES)
		object_drop(object, (struct range){0, object_size(object)});
}

/* A hash goes on with what has come before its turn, as far as that is here. */
static int object_catch_up(struct object *object)
{
	uint64_t next;
	int err = 0;

	while (err == 0 && (next = integrity_next(&object->integrity)) < object_size(object)) {
		uint64_t index = next / BLOCK_BYTES, start = index * BLOCK_BYTES;
		const struct block *block = object_find_block(object, index);
		unsigned first = (unsigned)((next - start) / PAGE_BYTES), count = 0;
		struct range run;

		while (block && first + count < BLOCK_PAGES &&
			block->present >> (first + count) & 1)
			count++;
		if (count == 0)
			break;
		run = (struct range){next, start + (first + count) * PAGE_BYTES};
		run = range_intersect(run, (struct range){0, object_size(object)});
		err = integrity_count(&object->integrity, run, block->data + (next - start));
	}
	return err;
}

int object_check(struct object *object, struct range range, const uint8_t *bytes)
{
	enum object_integrity before = object->integrity.state;
	int err;

	if (before != OBJECT_OPEN)
		return before == OBJECT_BAD ? -EIO : 0;
	err = integrity_count(&object->integrity, range, bytes);
	if (err == 0 && object->keep != OBJECT_PASSES)
		err = object_catch_up(object);
	if (err == -EIO)
		object_break(object);
	return err == -EIO ? err : 0;
}

struct range object_whole_blocks(const struct object *object, struct range range)
{
	uint64_t last = (range.end < object_size(object) ? range.end : object_size(object)) - 1;

	if (!object->hashes || range_empty(range) || last < range.start)
		return range;
	range.start = hash_list_block(object->hashes, range.start).start;
	range.end = align_up(hash_list_block(object->hashes, last).end, PAGE_BYTES);
	return range;
}
