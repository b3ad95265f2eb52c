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

#include "map_private.h"

struct range map_pages(const struct pagein_map *map)
{
	struct range object = {0, align_up(map->object->size, PAGE_BYTES)};

	return range_intersect(map->want.range, object);
}

int map_grow(struct pagein_map *map, uintptr_t address)
{
	uint64_t object_end = align_up(map->object->size, PAGE_BYTES), offset, end;
	int err = extents_grow(&map->extents, address, PAGE_BYTES);

	if (err < 0 || !extents_find(&map->extents, address, &offset))
		return err;
	end = offset + PAGE_BYTES < object_end ? offset + PAGE_BYTES : object_end;
	if (end > map->want.range.end)
		map->want.range.end = end;
	return 0;
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

struct map_block *map_block(struct pagein_map *map, uint64_t index)
{
	void **slot = radix_slot(&map->blocks, index);

	if (slot && !*slot)
		*slot = map_take_block(map);
	return slot ? *slot : NULL;
}

void map_reserve(struct pagein_map *map)
{
	radix_reserve(&map->blocks);
	if (!map->spare)
		map->spare = calloc(1, sizeof *map->spare);
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
				~(block->resident | block->failed);
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

static uint64_t block_asked(const struct map_block *block)
{
	return block->asked;
}

/* Not for what is resident: the object does not know that it is, and would bring it again. */
static int map_fetch_asked(
	struct pagein_map *map, struct range range, uint64_t urgent, uint64_t chunk_bytes)
{
	uint64_t urgent_end = range.start + urgent;
	int err = 0;

	while (err == 0 && !range_empty(range)) {
		struct range run = map_run(map, range, block_asked);

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

	range.end = align_up(range.end, PAGE_BYTES);
	range = range_intersect(range, map_pages(map));
	if (map->held_count > 0)
		map_release(map, range);
	failure.err = map_mark_asked(map, range);
	if (failure.err == 0)
		failure.err = map_fetch_asked(map, range, urgent, chunk_bytes);
	if (failure.err == -ESTALE)
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

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t mask = block_range_mask(i, range);

		map_count_resident(map, block->resident, block->resident & ~mask);
		block->resident &= ~mask;
		block->failed &= ~mask;
	}
	if (map->held_count > 0)
		map_drop_held(map, range);
}

bool map_lies_anywhere(const struct pagein_map *map, uint64_t offset)
{
	struct range page = {offset, offset + PAGE_BYTES}, part;
	uintptr_t cursor = 0, address;

	return extents_next(&map->extents, page, &cursor, &part, &address);
}

void map_abandon(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t asked = block->asked & block_range_mask(i, range), left = asked;

		while (left) {
			uint64_t bit = left & -left;
			uint64_t page = i * BLOCK_PAGES + (uint64_t)__builtin_ctzll(left);

			left &= ~bit;
			if (map_lies_anywhere(map, page * PAGE_BYTES))
				asked &= ~bit;
		}
		block->asked &= ~asked;
		block->waiting &= ~asked;
		block->held &= ~asked;
	}
	object_cancel_unwanted(map->object->object);
	pull_progress(map, range, 0);
}

bool map_wants(const struct want *want, struct range range)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		if (block->asked & block_range_mask(i, range))
			return true;
	return false;
}
