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

#include "map_limit.h"

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
	uint64_t offset, bit;

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
	bit = UINT64_C(1) << (offset % BLOCK_BYTES / PAGE_BYTES);
	if (call->map->blind && !(block && (block->resident | block->failed) & bit)) {
		call->ret->error = ENOMEM;
		strcpy(call->ret->message, "map: out of memory");
		return;
	}
	if (!block || !(block_raising(block) & bit))
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

struct run_call {
	struct pagein_map *map;
	struct range range;
	uint64_t (*pages)(const struct map_block *block);
	struct range run;
};

static void map_find_run(void *argument)
{
	struct run_call *call = argument;

	call->run = map_run(call->map, call->range, call->pages);
}

struct range map_call_run(struct pagein_map *map, struct range range,
	uint64_t (*pages)(const struct map_block *block))
{
	struct run_call call = {.map = map, .range = range, .pages = pages};

	loop_call(context_loop(map->object->context), map_find_run, &call);
	return call.run;
}

struct next_call {
	struct pagein_map *map;
	struct range range;
	uintptr_t *cursor;
	struct range *part;
	uintptr_t *address;
	bool found;
};

static void map_find_next(void *argument)
{
	struct next_call *call = argument;

	call->found = extents_next(
		&call->map->extents, call->range, call->cursor, call->part, call->address);
}

bool map_call_next(struct pagein_map *map, struct range range, uintptr_t *cursor,
	struct range *ret_part, uintptr_t *ret_address)
{
	struct next_call call = {map, range, cursor, ret_part, ret_address, false};

	loop_call(context_loop(map->object->context), map_find_next, &call);
	return call.found;
}

/*
 * The kernel tells the loop through REMOVE, and madvise(2) waits until it has. What the application
 * has unmapped may be somebody else's memory by now: only what is still the map's is dropped.
 */
int map_dont_need(struct pagein_map *map, struct range range)
{
	uintptr_t cursor = 0, address;
	struct range part;

	range.start = align_down(range.start, map->memory->page_bytes);
	range.end = align_up(range.end, map->memory->page_bytes);
	while (map_call_next(map, range, &cursor, &part, &address)) {
		size_t length = (size_t)range_length(part);

		if (map->limit) {
			int err = map_dont_need_limited(map, part);

			if (err < 0)
				return err;
			continue;
		}
		if (madvise((void *)address, length, MADV_DONTNEED) < 0)
			return context_fail(-errno, "madvise: %s", strerrordesc_np(errno));
	}
	return 0;
}

/*
 * The next pages that may have been poisoned unrecorded: of an overlay those of which no block
 * tells, for what is written must stay (a block that comes later is told of such pages:
 * map_note_blind()); else all.
 */
static void map_find_unknown(void *argument)
{
	struct run_call *call = argument;
	struct pagein_map *map = call->map;
	uint64_t index = call->range.start / BLOCK_BYTES;
	uint64_t end = (call->range.end + BLOCK_BYTES - 1) / BLOCK_BYTES, next;

	call->run = map->blind ? call->range : (struct range){0, 0};
	if (!map->blind || !(map->flags & PAGEIN_PRIVATE))
		return;
	while (index < end && map_find_block(map, index))
		index++;
	next = index;
	if (!radix_next(&map->blocks, &next, end))
		next = end;
	call->run = range_intersect(
		call->range, (struct range){index * BLOCK_BYTES, next * BLOCK_BYTES});
}

/* Those that were poisoned when there was no memory to remember it. */
static int map_drop_unknown(struct pagein_map *map, struct range range)
{
	struct run_call call = {.map = map, .range = range};
	int err = 0;

	while (err == 0 && !range_empty(call.range)) {
		loop_call(context_loop(map->object->context), map_find_unknown, &call);
		if (range_empty(call.run))
			break;
		err = map_dont_need(map, call.run);
		call.range.start = call.run.end;
	}
	return err;
}

static int map_drop_failed(struct pagein_map *map, struct range range)
{
	int err = map_drop_unknown(map, range);

	while (err == 0 && !range_empty(range)) {
		struct range run = map_call_run(map, range, block_raising);

		if (range_empty(run))
			break;
		err = map_dont_need(map, run);
		range.start = run.end;
	}
	return err;
}

int pagein_retry(struct pagein_map *map, size_t offset, size_t length)
{
	struct range range;
	int err = map_range(map, offset, length, &range);

	if (err == 0)
		err = pagein_object_check(map->object);
	if (err < 0 || map->length == 0)
		return err;
	return map->flags & PAGEIN_PRIVATE ? overlay_drop(map, range, map_drop_failed)
					   : map_drop_failed(map, range);
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
		return map->flags & PAGEIN_PRIVATE
			       ? overlay_drop(map, call.range, overlay_drop_clean)
			       : map_dont_need(map, call.range);
	loop_call(context_loop(map->object->context), map_advise, &call);
	return call.err < 0 ? context_fail(call.err, "advise: %s", strerrordesc_np(-call.err)) : 0;
}

struct threads_call {
	struct pagein_map *map;
	struct pagein_thread_stats *ret;
	size_t max;
	unsigned count;
};

static void map_list_threads(void *argument)
{
	struct threads_call *call = argument;

	call->count = threads_list(&call->map->threads, call->ret, call->max);
}

int pagein_thread_stats(struct pagein_map *map, struct pagein_thread_stats *ret, size_t max)
{
	struct threads_call call = {map, ret, max, 0};

	if (pagein_object_check(map->object) < 0)
		return -ECHILD;
	loop_call(context_loop(map->object->context), map_list_threads, &call);
	return (int)call.count;
}

struct stats_call {
	struct pagein_map *map;
	struct pagein_stats *ret;
};

static void map_tell_stats(void *argument)
{
	struct stats_call *call = argument;

	if (call->map->length > 0)
		map_fold(call->map);
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
