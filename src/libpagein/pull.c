/*
 * pull.c - brings a range of a map in, for pagein_populate() and PAGEIN_WILLNEED.
 *
 * On the loop. A pull walks its range with a cursor: pages at it that are resident are passed,
 * those that are asked for are waited for, and those that are neither (never asked, or dropped by
 * MADV_DONTNEED since) are asked for. So whatever happens to the pages meanwhile, it ends: at the
 * range's end, or at the first failure. It asks for at most PULL_BYTES ahead of its cursor, so that
 * a range of any size costs the same memory.
 *
 * What the object has in its cache is filled at once, which could go on for as long as the range
 * is. So a pull asks for at most PULL_PRESENT_BYTES of that at a time, and after PULL_STEPS such
 * times it pauses, until the loop has served whoever else is there.
 */
#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "map_limit.h"

#define PULL_BYTES (UINT64_C(32) << 20)
#define PULL_CHUNK_BYTES (UINT64_C(2) << 20) /* of one request; several are under way at once */
#define PULL_PRESENT_BYTES (UINT64_C(1) << 20)
#define PULL_STEPS 4 /* a millisecond of copying */

static void pull_end(struct pull *pull, int err)
{
	list_remove(&pull->node);
	pull->err = err;
	if (pull->map->limit)
		limit_end_pull(pull->map->limit, pull->map, pull);
	pull->done(pull);
}

/* The page at the cursor. */
static uint64_t pull_bit(const struct pull *pull)
{
	return UINT64_C(1) << (pull->at % BLOCK_BYTES / PAGE_BYTES);
}

/* What lies nowhere in memory any more is passed, too. */
static void pull_pass_resident(struct pagein_map *map, struct pull *pull)
{
	for (; pull->at < pull->range.end; pull->at += PAGE_BYTES) {
		struct map_block *block = map_find_block(map, pull->at / BLOCK_BYTES);

		if (block && (block->resident & pull_bit(pull)))
			continue;
		if (map_lies_anywhere(map, pull->at))
			return;
	}
}

/*
 * Failed pages are absent to a pull: they are tried again, as if somebody waited for them, because
 * they are still poisoned, and must be called failed again when they are not healed.
 */
static void pull_clear_failed(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t failed = block->failed & block_range_mask(i, range);

		block->failed &= ~failed;
		block->waiting |= failed;
	}
}

/* Asks for what the cursor stands on and for what comes after. false: all that is asked for. */
static bool pull_ask(struct pagein_map *map, struct pull *pull)
{
	struct map_block *block = map_find_block(map, pull->at / BLOCK_BYTES);
	bool waits = block && ((block->asked | block->staged) & pull_bit(pull));
	struct range part = {pull->at, pull->next};

	if (pull->next < pull->at)
		pull->next = pull->at;
	if (waits || pull->next == pull->at) {
		if (pull->next == pull->range.end || pull->next - pull->at > PULL_BYTES / 2)
			return false;
		part.start = pull->next;
		part.end = pull->next + PULL_BYTES / 2;
		if (map->units)
			part.end = align_up(part.end, UNIT_BYTES);
		if (part.end > pull->range.end)
			part.end = pull->range.end;
	}
	part = object_limit_present(map->object->object, part, PULL_PRESENT_BYTES);
	pull->next = part.end;
	pull_clear_failed(map, part);
	pull->err = map_ask(map, part, range_length(part), PULL_CHUNK_BYTES);
	return true;
}

static void pull_run_dirty(struct pagein_map *map);

static void pull_timer_expired(struct loop_timer *timer)
{
	struct pagein_map *map = container_of(timer, struct pagein_map, pull_timer);

	list_for_each (node, &map->pulls) {
		struct pull *pull = list_entry(node, struct pull, node);

		/* Who waits for room is not paused by the clock. */
		if (list_empty(&pull->waiting)) {
			pull->dirty |= pull->paused;
			pull->paused = false;
		}
	}
	pull_run_dirty(map);
}

static void pull_pause(struct pagein_map *map, struct pull *pull)
{
	struct loop *loop = context_loop(map->object->context);

	map->pull_timer.expired = pull_timer_expired;
	loop_timer_set(loop, &map->pull_timer, clock_now_ns());
	pull->paused = true;
}

static void pull_run(struct pagein_map *map, struct pull *pull)
{
	int steps = 0;

	pull->entered = true;
	pull->dirty = false;
	do
		pull_pass_resident(map, pull);
	while (pull->err == 0 && pull->at < pull->range.end && ++steps <= PULL_STEPS &&
		pull_ask(map, pull));
	if (steps > PULL_STEPS)
		pull_pause(map, pull);
	pull->entered = false;
	if (pull->err < 0 || pull->at == pull->range.end)
		pull_end(pull, pull->err);
}

/* What protects nothing asks for no more than stays until it is read. */
static void pull_shorten(struct pagein_map *map, struct pull *pull)
{
	uint64_t most = align_up(limit_ahead_bytes(map->limit, map), PAGE_BYTES);

	if (range_length(pull->range) > most)
		pull->range.end = pull->range.start + most;
}

/* false: it has ended, or waits for others. */
static bool pull_enter_limit(struct pagein_map *map, struct pull *pull)
{
	int err;

	if (!pull->protects) {
		pull_shorten(map, pull);
		return true;
	}
	err = limit_admit_pull(map->limit, map, pull);
	pull->paused = err > 0;
	if (err < 0)
		pull_end(pull, err);
	return err == 0;
}

void pull_start(struct pagein_map *map, struct pull *pull)
{
	pull->range = range_intersect(pull->range, map_pages(map));
	pull->at = pull->next = pull->range.start;
	pull->err = 0;
	pull->error[0] = '\0';
	pull->entered = pull->dirty = pull->paused = pull->admitted = pull->too_long = false;
	pull->map = map;
	list_init(&pull->node);
	list_init(&pull->waiting);
	if (range_empty(pull->range) || map->closing) {
		pull_end(pull, map->closing ? -ECANCELED : 0);
		return;
	}
	map_fold(map);
	list_append(&map->pulls, &pull->node);
	if (map->limit && !pull_enter_limit(map, pull))
		return;
	pull_run(map, pull);
}

void pull_resume(struct pull *pull)
{
	pull_pause(pull->map, pull);
}

static struct pull *pull_next_dirty(struct pagein_map *map)
{
	list_for_each (node, &map->pulls) {
		struct pull *pull = list_entry(node, struct pull, node);

		if (pull->dirty && !pull->entered && !pull->paused)
			return pull;
	}
	return NULL;
}

/* Running one may end others, and its owner may free it: begin anew after each. */
static void pull_run_dirty(struct pagein_map *map)
{
	struct pull *pull;

	while ((pull = pull_next_dirty(map)))
		pull_run(map, pull);
}

static void pull_fail(struct pull *pull, const struct failure *failure)
{
	pull->err = failure->err;
	if (failure->error)
		snprintf(pull->error, sizeof pull->error, "%s", failure->error);
}

void pull_progress(struct pagein_map *map, struct range range, const struct failure *failure)
{
	struct pull *pull;

	list_for_each (node, &map->pulls) {
		pull = list_entry(node, struct pull, node);
		if (!range_overlaps(range, (struct range){pull->at, pull->next}))
			continue;
		pull->dirty = true;
		if (failure && pull->err == 0)
			pull_fail(pull, failure);
	}
	pull_run_dirty(map);
}

bool pull_waits_for(const struct pagein_map *map, uint64_t offset)
{
	list_for_each (node, &map->pulls) {
		const struct pull *pull = list_entry(node, struct pull, node);

		if (offset >= pull->at && offset < pull->next)
			return true;
	}
	return false;
}

bool pull_waits_in(const struct pagein_map *map, struct range range)
{
	list_for_each (node, &map->pulls) {
		const struct pull *pull = list_entry(node, struct pull, node);

		if (range_overlaps(range, (struct range){pull->at, pull->next}))
			return true;
	}
	return false;
}

void pull_cancel(struct pull *pull)
{
	list_remove(&pull->node);
	if (pull->map->limit)
		limit_end_pull(pull->map->limit, pull->map, pull);
}

void pull_cancel_all(struct pagein_map *map)
{
	while (!list_empty(&map->pulls))
		pull_end(list_first(&map->pulls, struct pull, node), -ECANCELED);
	loop_timer_cancel(context_loop(map->object->context), &map->pull_timer);
}
