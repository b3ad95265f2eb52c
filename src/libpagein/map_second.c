/*
 * map_second.c - evicted pages whose bytes are kept for a second chance.
 *
 * On the loop. A page that was fetched because a thread touched it, and that alone, may well be
 * touched again: when its turn to be evicted comes, its bytes go to limit->second, and a fault on
 * it takes them from there instead of from the network. It is the youngest then, so pages that are
 * used again and again stay in one place or the other, in the order of their last use, nearly.
 *
 * The bytes are read through /proc/self/mem, which gives EIO where a page is missing; a load or
 * process_vm_readv(2) would raise a fault that nobody but this thread could serve. Rejected: a copy
 * when the page is filled, which takes twice the memory; the object's cache, whose blocks of 256
 * KiB would each keep one page.
 *
 * Cost of an eviction: pread(2), madvise(2) and a copy, some 3 us; of a refill, 8 us with the
 * fault.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "map_limit.h"

/* ---- keeping -------------------------------------------------------------------------------- */

void map_note_lone(struct pagein_map *map, struct range pages, const struct readahead_plan *plan)
{
	if (plan->first.end > pages.end || !range_empty(plan->ahead))
		return;
	for (uint64_t at = pages.start; at < pages.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		uint64_t index = at / BLOCK_BYTES;
		struct map_block *block = map_find_block(map, index);

		/* What was asked for already came ahead of somebody. */
		if (block)
			block->lone |= block_range_mask(index, (struct range){at, pages.end}) &
				       ~(block->asked | block->held);
	}
}

/* What was read is the object's only if nothing has changed meanwhile: see map_evict.c. */
static bool map_read_page(struct pagein_map *map, struct range page, void *bytes)
{
	struct range part;
	uintptr_t cursor = 0, address;

	return extents_next(&map->extents, page, &cursor, &part, &address) &&
	       pread(map->limit->memory_fd, bytes, PAGE_BYTES, (off_t)address) ==
		       (ssize_t)PAGE_BYTES &&
	       !uffd_is_changing(&map->uffd);
}

static void map_set_kept(struct pagein_map *map, uint64_t page, bool kept)
{
	struct map_block *block = map_find_block(map, page / BLOCK_PAGES);
	uint64_t bit = UINT64_C(1) << (page % BLOCK_PAGES);

	if (kept)
		block->kept |= bit;
	else
		block->kept &= ~bit;
}

void map_lose_kept(struct pagein_map *map, uint64_t page)
{
	map_set_kept(map, page, false);
}

int map_keep(struct pagein_map *map, struct range page)
{
	struct limit *limit = map->limit;
	uint64_t number = page.start / PAGE_BYTES, lost;
	uint8_t bytes[PAGE_BYTES];
	bool read = limit->memory_fd >= 0 && map_read_page(map, page, bytes);
	struct pagein_map *loser;
	int err = map_evict_run(map, page);

	if (err < 0 || !read)
		return err;
	if (second_put(&limit->second, map, number, bytes, limit_second_max(limit), &loser, &lost))
		map_set_kept(map, number, true);
	if (loser)
		map_lose_kept(loser, lost);
	return 0;
}

/* ---- second chances ------------------------------------------------------------------------- */

static uint64_t block_kept(const struct map_block *block)
{
	return block->kept;
}

/* The bytes are copied first: the fill makes room for itself, and may take theirs. */
static void map_refill_page(struct pagein_map *map, struct range page)
{
	struct map_block *block = map_find_block(map, page.start / BLOCK_BYTES);
	uint64_t bit = block_range_mask(page.start / BLOCK_BYTES, page);
	uint64_t number = page.start / PAGE_BYTES;
	uint8_t bytes[PAGE_BYTES];

	memcpy(bytes, second_find(&map->limit->second, map, number), PAGE_BYTES);
	second_drop(&map->limit->second, map, number);
	block->kept &= ~bit;
	block->asked |= bit;
	block->lone |= bit;
	map->stats.refilled++;
	map->limit->stats->refilled++;
	context_counts(map->object->context)->fault_hits++;
	map_fill(map, page, bytes);
}

void map_refill(struct pagein_map *map, struct range range)
{
	while (!range_empty(range)) {
		struct range run = map_run(map, range, block_kept);

		if (range_empty(run))
			break;
		map_refill_page(map, (struct range){run.start, run.start + PAGE_BYTES});
		range.start = run.start + PAGE_BYTES;
	}
}

void map_drop_kept(struct pagein_map *map, struct range range)
{
	while (!range_empty(range)) {
		struct range run = map_run(map, range, block_kept);

		for (uint64_t at = run.start; at < run.end; at += PAGE_BYTES) {
			second_drop(&map->limit->second, map, at / PAGE_BYTES);
			map_lose_kept(map, at / PAGE_BYTES);
		}
		range.start = run.end;
	}
}
