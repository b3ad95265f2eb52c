/*
 * map_calls.c - what a map's owner asks of it: advice, errors, counters.
 *
 * On the caller's thread; what the loop owns is asked for by loop_call(). Only the caller's thread
 * may call madvise(2) on a map: the kernel lets that wait until the loop has read its event.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "map_private.h"

void map_set_trace(struct pagein_map *map, map_trace_fn *fn, void *context)
{
	map->trace = fn;
	map->trace_context = context;
}

struct error_call {
	struct pagein_map *map;
	uintptr_t address;
	struct pagein_error *ret;
	int err;
};

static void map_tell_error(void *argument)
{
	struct error_call *call = argument;
	struct map_block *block;
	uint64_t offset;

	if (!extents_find(&call->map->extents, call->address, &offset)) {
		call->err = -EINVAL;
		return;
	}
	call->ret->offset = align_down(offset, PAGE_BYTES);
	if (offset >= align_up(call->map->object->size, PAGE_BYTES)) {
		call->ret->error = ENXIO;
		strcpy(call->ret->message, "map: past the object's end");
		return;
	}
	block = map_find_block(call->map, offset / BLOCK_BYTES);
	if (!block || !(block->failed >> (offset % BLOCK_BYTES / PAGE_BYTES) & 1))
		return;
	call->ret->error = block->err;
	call->ret->status = block->status;
	strncpy(call->ret->message, block->error ? block->error : strerrordesc_np(block->err),
		sizeof call->ret->message - 1);
}

int pagein_error(struct pagein_map *map, const void *address, struct pagein_error *ret)
{
	struct error_call call = {map, (uintptr_t)address, ret, 0};

	*ret = (struct pagein_error){0};
	if (pagein_object_check(map->object) < 0)
		return -ECHILD;
	loop_call(context_loop(map->object->context), map_tell_error, &call);
	return call.err < 0 ? context_fail(call.err, "error: %p is not in this map", address) : 0;
}

struct range_call {
	struct pagein_map *map;
	struct range range; /* of the object, whole pages */
	struct range part;
	uintptr_t cursor, address;
	int advice;
	int err;
};

/* The object's pages that [offset, offset + length) of the map overlaps. */
int map_range(const struct pagein_map *map, size_t offset, size_t length, struct range *ret)
{
	if (offset > map->length || length > map->length - offset)
		return context_fail(-EINVAL, "range %zu+%zu is outside of a map of %zu bytes",
			offset, length, map->length);
	if (length == 0)
		length = map->length - offset;
	ret->start = align_down(map->offset + offset, PAGE_BYTES);
	ret->end = align_up(map->offset + offset + length, PAGE_BYTES);
	return 0;
}

/* The first run of failed pages in the call's range; it is empty when there are none. */
static void map_find_failed(void *argument)
{
	struct range_call *call = argument;
	struct range range = range_intersect(call->range, map_pages(call->map));
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	call->range.end = call->range.start;
	for (uint64_t i = range.start / BLOCK_BYTES;
		(block = radix_next(&call->map->blocks, &i, end)); i++) {
		uint64_t failed = block->failed & block_range_mask(i, range);
		unsigned count, first;

		if (!failed)
			continue;
		first = mask_take_run(&failed, &count);
		call->range.start = i * BLOCK_BYTES + first * PAGE_BYTES;
		call->range.end = call->range.start + count * PAGE_BYTES;
		return;
	}
}

/* Where the next part of the call's range lies, from the cursor on; length 0: nowhere. */
static void map_find_place(void *argument)
{
	struct range_call *call = argument;

	call->part = (struct range){0, 0};
	extents_next(&call->map->extents, call->range, &call->cursor, &call->part, &call->address);
}

/*
 * The kernel tells the loop through REMOVE, and madvise(2) waits until it has. What the application
 * has unmapped may be somebody else's memory by now: only what is still the map's is dropped.
 */
static int map_dont_need(struct pagein_map *map, struct range range)
{
	struct range_call call = {.map = map, .range = range};

	for (;;) {
		size_t length;

		loop_call(context_loop(map->object->context), map_find_place, &call);
		length = (size_t)range_length(call.part);
		if (length == 0)
			return 0;
		/* Without UFFDIO_POISON a failed page is PROT_NONE. */
		if (!(map->uffd.features & UFFD_FEATURE_POISON))
			mprotect((void *)call.address, length, PROT_READ);
		if (madvise((void *)call.address, length, MADV_DONTNEED) < 0)
			return context_fail(-errno, "madvise: %s", strerrordesc_np(errno));
	}
}

int pagein_retry(struct pagein_map *map, size_t offset, size_t length)
{
	struct range_call call = {.map = map};
	struct range range;
	int err = map_range(map, offset, length, &range);

	if (err == 0)
		err = pagein_object_check(map->object);
	while (err == 0 && map->length > 0 && !range_empty(range)) {
		call.range = range;
		loop_call(context_loop(map->object->context), map_find_failed, &call);
		if (range_empty(call.range))
			break;
		err = map_dont_need(map, call.range);
		range.start = call.range.end;
	}
	return err;
}

static void will_need_done(struct pull *pull)
{
	free(pull);
}

static void map_advise(void *argument)
{
	struct range_call *call = argument;
	struct pagein_map *map = call->map;
	struct pull *pull;

	switch (call->advice) {
	case PAGEIN_NORMAL:
		map->readahead.advice = READAHEAD_NORMAL;
		break;
	case PAGEIN_SEQUENTIAL:
		map->readahead.advice = READAHEAD_SEQUENTIAL;
		break;
	case PAGEIN_RANDOM:
		map->readahead.advice = READAHEAD_RANDOM;
		break;
	case PAGEIN_WILLNEED:
		pull = calloc(1, sizeof *pull);
		if (!pull) {
			call->err = -ENOMEM;
			break;
		}
		pull->range = call->range;
		pull->done = will_need_done;
		pull_start(map, pull);
	}
}

int pagein_advise(struct pagein_map *map, size_t offset, size_t length, int advice)
{
	struct range_call call = {.map = map, .advice = advice};
	int err = map_range(map, offset, length, &call.range);

	if (err == 0)
		err = pagein_object_check(map->object);
	if (err == 0 && (advice < PAGEIN_NORMAL || advice > PAGEIN_DONTNEED))
		err = context_fail(-EINVAL, "advise: unknown advice %d", advice);
	if (err < 0 || map->length == 0)
		return err;
	if (advice == PAGEIN_DONTNEED)
		return map_dont_need(map, call.range);
	loop_call(context_loop(map->object->context), map_advise, &call);
	return call.err < 0 ? context_fail(call.err, "advise: %s", strerrordesc_np(-call.err)) : 0;
}

struct stats_call {
	struct pagein_map *map;
	struct pagein_stats *ret;
};

static void map_tell_stats(void *argument)
{
	struct stats_call *call = argument;

	*call->ret = call->map->stats;
}

int pagein_stats(struct pagein_map *map, struct pagein_stats *ret)
{
	struct stats_call call = {map, ret};

	if (map && pagein_object_check(map->object) < 0)
		return -ECHILD;
	if (map)
		loop_call(context_loop(map->object->context), map_tell_stats, &call);
	else
		context_stats(ret);
	return 0;
}
