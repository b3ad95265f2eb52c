/*
 * map_pages.c - what a map knows about its pages, and asking for them.
 *
 * On the loop. The states are drawn in map_private.h; blocks of 64 pages hang in a radix tree by
 * the object's block index and come from slabs, which live as long as the map, so that pointers to
 * them stay valid. Cost: a look-up is two or three loads; a map in which nothing was touched has
 * none of this.
 */
#include <errno.h>
#include <stdlib.h>

#include "map_limit.h"

struct range map_pages(const struct pagein_map *map)
{
	struct range object = {0, align_up(map->object->size, PAGE_BYTES)};

	return range_intersect(map->want.range, object);
}

bool map_owns(struct pagein_map *map, uintptr_t address)
{
	size_t length = map->memory->page_bytes;

	/* A child's memory can't be asked for here. */
	return !map->origin && uffd_owns(&map->uffd, context_probe_fd(map->object->context),
				       (void *)address, length);
}

/*
 * A hole through which the map has grown is none: what is behind it goes on with that. (Of unseen
 * memory behind a hole that has been filled up exactly, the same is thought.)
 */
static void map_drop_holes(struct pagein_map *map, uintptr_t address)
{
	uintptr_t end;

	while (extents_hole_below(&map->extents, address, &end) &&
		map_owns(map, end - map->memory->page_bytes))
		extents_drop_hole(&map->extents, end);
}

bool map_grow(struct pagein_map *map, uintptr_t address)
{
	uint64_t object_end = align_up(map->object->size, PAGE_BYTES), offset, end;
	int err;

	/* Where it was moved to unknown would seem to go on from below, with all in between. */
	if (map->lost || uffd_is_changing(&map->uffd))
		return false;
	map_drop_holes(map, address);
	map->moved = true;
	err = extents_grow(&map->extents, address, PAGE_BYTES);
	/* -ENOENT: no growth of anything, but a place whose event is still to come. */
	map->blind |= err == -ENOMEM;
	if (err < 0)
		return false;
	if (!extents_find(&map->extents, address, &offset))
		return true;
	end = offset + PAGE_BYTES < object_end ? offset + PAGE_BYTES : object_end;
	if (end > map->want.range.end)
		map->want.range.end = end;
	return true;
}

static struct map_block *map_take_block(struct pagein_map *map)
{
	struct map_slab *slab = map->slabs;

	if (!slab || slab->used == MAP_SLAB_BLOCKS) {
		slab = map->spare ? map->spare : calloc(1, sizeof *slab);
		if (!slab)
			return NULL;
		map->spare = NULL;
		slab->next = map->slabs;
		map->slabs = slab;
	}
	return &slab->blocks[slab->used++];
}

void map_note_blind(struct pagein_map *map, uint64_t offset)
{
	map->blind = true;
	for (size_t i = 0; i < BLIND_PAGES_MAX; i++) {
		if (map->blind_pages[i] != 0)
			continue;
		map->blind_pages[i] = offset + 1;
		return;
	}
}

/* Else pagein_retry() would not find them, as they are neither failed nor unknown. */
static void map_adopt_blind(struct pagein_map *map, uint64_t index, struct map_block *block)
{
	for (size_t i = 0; i < BLIND_PAGES_MAX; i++) {
		uint64_t offset = map->blind_pages[i] - 1;

		if (map->blind_pages[i] == 0 || offset / BLOCK_BYTES != index)
			continue;
		block->failed |= UINT64_C(1) << (offset % BLOCK_BYTES / PAGE_BYTES);
		block->err = ENOMEM;
		map->blind_pages[i] = 0;
	}
	block->poisoned |= map->uffd.features & UFFD_FEATURE_POISON ? block->failed : 0;
	block->barred |= block->failed & ~block->poisoned;
}

struct map_block *map_block(struct pagein_map *map, uint64_t index)
{
	void **slot = radix_slot(&map->blocks, index);

	if (slot && !*slot) {
		*slot = map_take_block(map);
		if (*slot && map->blind)
			map_adopt_blind(map, index, *slot);
	}
	return slot ? *slot : NULL;
}

void map_reserve(struct pagein_map *map)
{
	radix_reserve(&map->blocks);
	if (!map->spare)
		map->spare = calloc(1, sizeof *map->spare);
	if (map->limit)
		run_queue_reserve(&map->limit->runs);
}

void map_free_blocks(struct pagein_map *map)
{
	struct map_slab *slab;

	radix_finish(&map->blocks);
	free(map->spare);
	while ((slab = map->slabs)) {
		map->slabs = slab->next;
		for (unsigned i = 0; i < slab->used; i++)
			free(slab->blocks[i].error);
		free(slab);
	}
}

void map_count_resident(struct pagein_map *map, uint64_t before, uint64_t after)
{
	struct pagein_stats *all = context_map_stats(map->object->context);
	uint64_t come = (uint64_t)__builtin_popcountll(after & ~before) * PAGE_BYTES;
	uint64_t gone = (uint64_t)__builtin_popcountll(before & ~after) * PAGE_BYTES;

	map->stats.resident_bytes += come - gone;
	all->resident_bytes += come - gone;
}

static int map_mark_part(struct pagein_map *map, struct range range)
{
	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		uint64_t index = at / BLOCK_BYTES;
		struct map_block *block = map_block(map, index);

		if (!block)
			return -ENOMEM;
		block->asked |= block_range_mask(index, (struct range){at, range.end}) &
				~(block->resident | block->failed | block->staged);
	}
	return 0;
}

/* Not for what lies nowhere any more. */
static int map_mark_asked(struct pagein_map *map, struct range range)
{
	uintptr_t cursor = 0, address;
	struct range part;
	int err = 0;

	while (err == 0 && extents_next(&map->extents, range, &cursor, &part, &address))
		err = map_mark_part(map, part);
	return err;
}

uint64_t block_asked(const struct map_block *block)
{
	return block->asked;
}

static uint64_t block_to_fetch(const struct map_block *block)
{
	return block->asked & ~block->foreign;
}

/* Not for what is resident: the object does not know that it is, and would bring it again. */
static int map_fetch_asked(
	struct pagein_map *map, struct range range, uint64_t urgent, uint64_t chunk_bytes)
{
	uint64_t urgent_end = range.start + urgent;
	int err = 0;

	while (err == 0 && !range_empty(range)) {
		struct range run = map_run(map, range, block_to_fetch);

		if (range_empty(run))
			break;
		err = object_fetch(map->object->object, run,
			run.start < urgent_end ? urgent_end - run.start : 0, chunk_bytes);
		range.start = run.end;
	}
	return err;
}

int map_ask(struct pagein_map *map, struct range range, uint64_t urgent, uint64_t chunk_bytes)
{
	struct failure failure = {.error = "map: out of memory"};
	struct range whole;

	urgent += range.start % map->memory->page_bytes;
	range.start = align_down(range.start, map->memory->page_bytes);
	range.end = align_up(range.end, map->memory->page_bytes);
	range = range_intersect(range, map_pages(map));
	if (range_empty(range))
		return 0;
	whole = object_whole_blocks(map->object->object, range);
	whole = range_intersect(whole, map_pages(map));
	urgent += range.start - whole.start;
	range = whole;
	if (map->held_count > 0)
		map_release(map, range);
	if (map->limit)
		map_refill(map, range);
	if (map->units)
		units_release(map, range);
	failure.err = map_mark_asked(map, range);
	if (failure.err == 0 && map->memory->claim)
		map->memory->claim(map, range);
	if (failure.err == 0)
		failure.err = map_fetch_asked(map, range, urgent, chunk_bytes);
	if (failure.err < 0 && failure.err == object_stale(map->object->object)->err)
		failure = *object_stale(map->object->object);
	/* M2: nothing stays asked that is not under way. */
	if (failure.err < 0)
		map_failed(&map->want, range, &failure);
	return failure.err;
}

void map_forget(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	map_fold(map);
	for (size_t i = 0; map->blind && i < BLIND_PAGES_MAX; i++)
		if (map->blind_pages[i] - 1 >= range.start && map->blind_pages[i] - 1 < range.end)
			map->blind_pages[i] = 0;
	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t mask = block_range_mask(i, range);

		if (block->barred & mask)
			map_unbar(map, i, block, mask);
		map_count_resident(map, block->resident, block->resident & ~mask);
		block->resident &= ~mask;
		block->failed &= ~mask;
		block->poisoned &= ~mask;
		block->lone &= ~mask;
	}
	if (map->held_count > 0)
		map_drop_held(map, range);
	if (map->limit)
		map_drop_kept(map, range);
	if (map->units)
		units_drop_complete(map, range);
}

void map_count_fallback(struct pagein_map *map)
{
	map->stats.fallbacks++;
	context_map_stats(map->object->context)->fallbacks++;
}

bool map_lies_anywhere(const struct pagein_map *map, uint64_t offset)
{
	struct range page = {offset, offset + PAGE_BYTES}, part;
	uintptr_t cursor = 0, address;

	return extents_next(&map->extents, page, &cursor, &part, &address);
}

/* Which of the block's pages lie anywhere in memory? */
static uint64_t map_lying(const struct pagein_map *map, uint64_t index)
{
	struct range range = {index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES}, part;
	uintptr_t cursor = 0, address;
	uint64_t lying = 0;

	while (extents_next(&map->extents, range, &cursor, &part, &address))
		lying |= block_range_mask(index, part);
	return lying;
}

void map_abandon(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t gone = block_range_mask(i, range) & ~map_lying(map, i);

		if (map->memory->release && gone & block->asked)
			map->memory->release(map, block, i, gone & block->asked);
		block->held &= ~(gone & block->asked);
		block->asked &= ~gone;
		block->waiting &= ~gone;
		block->writing &= ~gone;
		block->stranded &= ~gone;
		while (gone) {
			unsigned count, first = mask_take_run(&gone, &count);
			uint64_t start = i * BLOCK_BYTES + first * PAGE_BYTES;

			struct range run = {start, start + count * PAGE_BYTES};

			map_forget(map, run);
			if (map->limit)
				map_unprotect(map, run);
		}
	}
	map_answer(map, range);
	object_cancel_unwanted(map->object->object);
	map_end_waits(map, range);
	pull_progress(map, range, NULL);
}

bool map_wants(const struct want *want, struct range range)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);

	return !range_empty(map_run(map, range, block_asked));
}
