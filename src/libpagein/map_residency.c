/*
 * map_residency.c - pagein_pin(), pagein_unpin() and pagein_residency(): what a map's owner says
 * about memory, and asks.
 *
 * On the caller's thread; what the loop owns is asked for by loop_call(). The loop writes into the
 * call's own buffer only, never into the caller's memory, which may be another map's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "map_limit.h"

#define STATES_MAX 4096         /* pages of one look */
#define DISCARD_BYTES (4 << 20) /* dropped at once: others' faults wait meanwhile */
#define DISCARD_PAUSE_US 100
#define DISCARD_TRIES 20000 /* two seconds */

struct memory_call {
	struct pagein_map *map;
	struct range range;
	unsigned char *states;
	int err;
};

/* ---- pins ----------------------------------------------------------------------------------- */

static void call_pin(void *argument)
{
	struct memory_call *call = argument;

	call->err = map_pin(call->map, call->range);
}

static void call_unpin(void *argument)
{
	struct memory_call *call = argument;

	map_unpin(call->map, call->range);
}

/* 1: there is something to be done. */
static int memory_call_begin(
	struct memory_call *call, struct pagein_map *map, size_t offset, size_t length)
{
	int err = map_range(map, offset, length, &call->range);

	if (err == 0)
		err = pagein_object_check(map->object);
	call->map = map;
	call->err = 0;
	return err < 0 ? err : map->length > 0;
}

int pagein_pin(struct pagein_map *map, size_t offset, size_t length)
{
	struct memory_call call;
	int err = memory_call_begin(&call, map, offset, length);

	if (err <= 0 || !map->limit)
		return err;
	loop_call(context_loop(map->object->context), call_pin, &call);
	if (call.err == 0)
		return 0;
	return context_fail(call.err,
		"pin: %llu bytes beside what is pinned and populated exceed the memory limit, %llu",
		(unsigned long long)range_length(call.range),
		(unsigned long long)map->limit->max_bytes);
}

int pagein_unpin(struct pagein_map *map, size_t offset, size_t length)
{
	struct memory_call call;
	int err = memory_call_begin(&call, map, offset, length);

	if (err > 0 && map->limit)
		loop_call(context_loop(map->object->context), call_unpin, &call);
	return err < 0 ? err : 0;
}

/* ---- residency ------------------------------------------------------------------------------ */

static unsigned char page_state(struct pagein_map *map, uint64_t offset)
{
	struct map_block *block = map_find_block(map, offset / BLOCK_BYTES);
	uint64_t bit = UINT64_C(1) << (offset % BLOCK_BYTES / PAGE_BYTES);

	/* What a touch of it would raise is a signal. */
	if (offset >= map_pages(map).end)
		return PAGEIN_FAILED;
	if (!block)
		return PAGEIN_ABSENT;
	if (block->resident & bit)
		return PAGEIN_RESIDENT;
	if (block_raising(block) & bit)
		return PAGEIN_FAILED;
	return (block->asked | block->held) & bit ? PAGEIN_COMING : PAGEIN_ABSENT;
}

static void call_states(void *argument)
{
	struct memory_call *call = argument;
	size_t count = (size_t)(range_length(call->range) / PAGE_BYTES);

	for (size_t i = 0; i < count; i++)
		call->states[i] = page_state(call->map, call->range.start + i * PAGE_BYTES);
}

int pagein_residency(struct pagein_map *map, size_t offset, size_t length, unsigned char *states)
{
	unsigned char part[STATES_MAX];
	struct memory_call call = {.states = part};
	int err = memory_call_begin(&call, map, offset, length);
	struct range rest = call.range;

	while (err > 0 && !range_empty(rest)) {
		size_t count;

		call.range = rest;
		if (range_length(rest) > STATES_MAX * PAGE_BYTES)
			call.range.end = rest.start + STATES_MAX * PAGE_BYTES;
		loop_call(context_loop(map->object->context), call_states, &call);
		count = (size_t)(range_length(call.range) / PAGE_BYTES);
		memcpy(states, part, count);
		states += count;
		rest.start = call.range.end;
	}
	return err < 0 ? err : 0;
}

/* ---- PAGEIN_DONTNEED under a limit ---------------------------------------------------------- */

static void call_discard(void *argument)
{
	struct memory_call *call = argument;

	call->err = map_discard(call->map, call->range);
}

/* While the address space changes the loop has the event to read first, so it is asked again. */
int map_dont_need_limited(struct pagein_map *map, struct range range)
{
	struct memory_call call = {.map = map};
	int tries = 0;

	while (!range_empty(range)) {
		call.range = range;
		if (range_length(range) > DISCARD_BYTES)
			call.range.end = range.start + DISCARD_BYTES;
		loop_call(context_loop(map->object->context), call_discard, &call);
		if (call.err == 0) {
			range.start = call.range.end;
			continue;
		}
		if (call.err != -EAGAIN || ++tries > DISCARD_TRIES)
			return context_fail(
				call.err, "advise: madvise: %s", strerrordesc_np(-call.err));
		usleep(DISCARD_PAUSE_US);
	}
	return 0;
}
