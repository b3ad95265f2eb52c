/*
 * map_evict.c - pages of a map with a memory limit leave memory.
 *
 * On the loop, which drops them by itself: the descriptor of such a map was opened without
 * EVENT_REMOVE, so its own madvise(2) causes no event, and waits for nobody. The price is that an
 * application's MADV_DONTNEED is not seen either: such pages count as resident until their turn
 * comes, or until they are touched (M3).
 *
 * No call drops pages only where a descriptor is registered. What the application unmaps while
 * madvise(2) is on its way, and somebody else's new memory in its place, would be lost. So:
 *
 * - Right before, uffd_is_changing() tells whether munmap(2) or mremap(2) has begun.
 *
 * - Who makes a hole in a map, or maps over it, does not go on before the loop has read the event;
 *   so nothing can be in new memory of its own.
 *
 * - Another thread gets the address only if the kernel gives it away, and the map lies where it
 *   does not (limit_place()).
 *
 * What is left is mremap(2) with MREMAP_FIXED of other memory over a live part of the map, within
 * the microsecond between the two calls: the header tells to munmap(2) first. Rejected: maps of
 * shared memory, whose pages are dropped by their place in a file, which has none of this: 1.9 us
 * a page to fill and drop instead of 1.1, and a scan at half of the speed; MADV_FREE, verify, and
 * MADV_PAGEOUT, which harms nobody's memory: 1.9 us. UFFDIO_MOVE needs writable maps.
 */
#include <errno.h>
#include <sys/mman.h>

#include "map_limit.h"

#define RUN_BYTES_MAX (UINT64_C(256) << 10) /* of one madvise(2), some 20 us */
#define RUN_PART 16                         /* of the limit: no more at once */

/* ---- dropping ------------------------------------------------------------------------------ */

/*
 * From wherever they lie. -EAGAIN: once the loop has read what has changed; -EINVAL: locked in
 * part.
 */
static int map_drop_places(struct pagein_map *map, struct range pages)
{
	struct range part;
	uintptr_t cursor = 0, address;
	int result = 0;

	while (extents_next(&map->extents, pages, &cursor, &part, &address)) {
		int err;

		if (uffd_is_changing(&map->uffd))
			return -EAGAIN;
		err = map->memory->drop(map, (void *)address, (size_t)range_length(part));
		/* Of some of it the event is still to come; what is left can't be told from that.
		 */
		if (err == -ENOMEM)
			err = -EAGAIN;
		if (err < 0)
			result = err;
	}
	return result;
}

static void block_drop(struct pagein_map *map, struct map_block *block, uint64_t mask)
{
	map_count_resident(map, block->resident, block->resident & ~mask);
	block->resident &= ~mask;
	block->lone &= ~mask;
}

/* They have left memory. */
static void map_count_evicted(struct pagein_map *map, struct range pages)
{
	uint64_t end = (pages.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t count = range_length(pages) / PAGE_BYTES;
	struct map_block *block;

	for (uint64_t i = pages.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		block_drop(map, block, block_range_mask(i, pages));
	map->stats.evicted += count;
	map->limit->stats->evicted += count;
}

int map_evict_run(struct pagein_map *map, struct range pages)
{
	int err = map_drop_places(map, pages);

	if (err == 0)
		map_count_evicted(map, pages);
	return err;
}

/*
 * Some of the run are locked. Mostly all are, or those at one end: if both ends are, the rest is
 * not tried, for a lap around locked memory must not cost a call for each page.
 */
static bool map_evict_unlocked(struct pagein_map *map, struct range pages)
{
	struct range first = {pages.start, pages.start + PAGE_BYTES};
	struct range last = {pages.end - PAGE_BYTES, pages.end};
	bool gone = map_evict_run(map, first) == 0;

	if (range_length(pages) == PAGE_BYTES)
		return gone;
	if (map_evict_run(map, last) == 0)
		gone = true;
	if (!gone)
		return false;
	for (uint64_t at = first.end; at < last.start; at += PAGE_BYTES)
		map_evict_run(map, (struct range){at, at + PAGE_BYTES});
	return true;
}

/* ---- which ---------------------------------------------------------------------------------- */

static uint64_t block_evictable(const struct map_block *block)
{
	return block->resident & ~block_protected(block) & ~block->dirty;
}

/* In an evictable run: its pages that came alone. */
static uint64_t block_lone(const struct map_block *block)
{
	return block_evictable(block) & block->lone;
}

static uint64_t block_streamed(const struct map_block *block)
{
	return block_evictable(block) & ~block->lone;
}

static bool map_evict_streamed(struct pagein_map *map, struct range range)
{
	bool gone = false;

	while (!range_empty(range)) {
		struct range run = map_run(map, range, block_streamed);
		int err = range_empty(run) ? 0 : map_evict_run(map, run);

		if (!range_empty(run) && err == 0)
			gone = true;
		if (err == -EINVAL && map_evict_unlocked(map, run))
			gone = true;
		range.start = run.end;
	}
	return gone;
}

static bool map_evict_lone(struct pagein_map *map, struct range range)
{
	bool gone = false;

	while (!range_empty(range)) {
		struct range run = map_run(map, range, block_lone);
		struct range page = {run.start, run.start + PAGE_BYTES};

		if (range_empty(run))
			break;
		if (map_keep(map, page) == 0)
			gone = true;
		range.start = page.end;
	}
	return gone;
}

bool map_evict(struct pagein_map *map, struct range range, bool *ret_gone)
{
	bool streamed = !map->leaving && map_evict_streamed(map, range);
	bool lone = !map->leaving && map_evict_lone(map, range);

	*ret_gone = streamed || lone;
	return !range_empty(map_run(map, range, block_evictable));
}

int map_discard(struct pagein_map *map, struct range range)
{
	int err = map_drop_places(map, range);

	if (err == 0)
		map_forget(map, range);
	return err;
}

/* ---- in which order ------------------------------------------------------------------------- */

static void map_queue(struct pagein_map *map, struct range range)
{
	struct limit *limit = map->limit;
	struct run run = {
		.page = range.start / PAGE_BYTES,
		.pages = (uint32_t)(range_length(range) / PAGE_BYTES),
		.map = map->limit_index,
	};

	/* Out of memory, and there is none to be had: better fetched twice than never evicted. */
	if (!run_queue_push(&limit->runs, run))
		map_evict_run(map, range);
}

static struct range range_first(struct range range, uint64_t bytes)
{
	return (struct range){
		range.start, range_length(range) < bytes ? range.end : range.start + bytes};
}

void map_note_filled(struct pagein_map *map, struct range range)
{
	uint64_t most = align_down(map->limit->max_bytes / RUN_PART, PAGE_BYTES);

	if (most > RUN_BYTES_MAX)
		most = RUN_BYTES_MAX;
	while (!range_empty(range)) {
		struct run *newest = run_queue_newest(&map->limit->runs);
		struct range part = range_first(range, most);

		/* What came right behind it goes with it. */
		if (newest && newest->map == map->limit_index &&
			(newest->page + newest->pages) * PAGE_BYTES == range.start &&
			newest->pages * PAGE_BYTES < most) {
			part = range_first(range, most - newest->pages * PAGE_BYTES);
			newest->pages += (uint32_t)(range_length(part) / PAGE_BYTES);
		} else {
			map_queue(map, part);
		}
		range.start = part.end;
	}
}

bool map_is_present(const struct pagein_map *map, struct range page)
{
	struct range part;
	uintptr_t cursor = 0, address;
	bool present = false, everywhere = true;

	while (extents_next(&map->extents, page, &cursor, &part, &address)) {
		unsigned char resident = 0;

		(void)mincore((void *)address, PAGE_BYTES, &resident);
		present = true;
		everywhere = everywhere && (resident & 1);
	}
	return present && everywhere;
}
