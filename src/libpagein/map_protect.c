/*
 * map_protect.c - pages that are not evicted: pinned ones, and those of a populate under way.
 *
 * On the loop. Protected pages count against the limit from the beginning, resident or not, so that
 * there is room for them when they come. They leave limit->runs when their turn comes, and are the
 * youngest when they are protected no more.
 */
#include <errno.h>

#include "map_limit.h"

uint64_t map_unprotected_bytes(
	struct pagein_map *map, struct range range, uint64_t (*how)(const struct map_block *block))
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t bytes = range_length(range);
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t is = how(block) & block_range_mask(i, range);

		bytes -= (uint64_t)__builtin_popcountll(is) * PAGE_BYTES;
	}
	return bytes;
}

static uint64_t count_bytes(uint64_t mask)
{
	return (uint64_t)__builtin_popcountll(mask) * PAGE_BYTES;
}

/* The one place where the bits change. */
static void block_set_protected(
	struct pagein_map *map, struct map_block *block, uint64_t pinned, uint64_t pulled)
{
	struct limit *limit = map->limit;
	uint64_t change = count_bytes(pinned) - count_bytes(block->pinned);

	limit->reserved_bytes += count_bytes(pinned | pulled) - count_bytes(block_protected(block));
	limit->stats->pinned_bytes += change;
	map->stats.pinned_bytes += change;
	block->pinned = pinned;
	block->pulled = pulled;
}

int map_protect(struct pagein_map *map, struct range range, enum protection how)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;

	for (uint64_t i = range.start / BLOCK_BYTES; i < end; i++)
		if (!map_block(map, i))
			return -ENOMEM;
	for (uint64_t i = range.start / BLOCK_BYTES; i < end; i++) {
		struct map_block *block = map_find_block(map, i);
		uint64_t mask = block_range_mask(i, range);

		block_set_protected(map, block, block->pinned | (how == PROTECT_PINNED ? mask : 0),
			block->pulled | (how == PROTECT_PULLED ? mask : 0));
	}
	return 0;
}

static uint64_t block_resident(const struct map_block *block)
{
	return block->resident & ~block_protected(block);
}

/* What may be evicted now was passed when its turn came, or may have been: L1. */
static void map_queue_resident(struct pagein_map *map, struct range range)
{
	while (!range_empty(range)) {
		struct range run = map_run(map, range, block_resident);

		if (!range_empty(run))
			map_note_filled(map, run);
		range.start = run.end;
	}
}

static void map_clear(struct pagein_map *map, struct range range, bool pinned, bool pulled)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	if (range_empty(range))
		return;
	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t mask = block_range_mask(i, range);

		block_set_protected(map, block, block->pinned & ~(pinned ? mask : 0),
			block->pulled & ~(pulled ? mask : 0));
	}
}

void map_unpull(struct pagein_map *map, struct range range)
{
	map_clear(map, range, false, true);
	/* Their blocks exist. */
	list_for_each (node, &map->pulls) {
		struct pull *pull = list_entry(node, struct pull, node);
		struct range both = range_intersect(pull->range, range);

		if (pull->admitted && !range_empty(both))
			map_protect(map, both, PROTECT_PULLED);
	}
	map_queue_resident(map, range);
}

void map_unprotect(struct pagein_map *map, struct range range)
{
	map_clear(map, range, true, true);
}

/* ---- pins ----------------------------------------------------------------------------------- */

int map_pin(struct pagein_map *map, struct range range)
{
	uint64_t more;

	range = range_intersect(range, map_pages(map));
	if (range_empty(range))
		return 0;
	more = map_unprotected_bytes(map, range, block_protected);
	if (map->limit->reserved_bytes + more > map->limit->max_bytes)
		return -ENOMEM;
	return map_protect(map, range, PROTECT_PINNED);
}

void map_unpin(struct pagein_map *map, struct range range)
{
	range = range_intersect(range, map_pages(map));
	map_clear(map, range, true, false);
	map_queue_resident(map, range);
	limit_admit_waiting(map->limit);
}
