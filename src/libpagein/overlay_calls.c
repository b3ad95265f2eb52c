/*
 * overlay_calls.c - which pages of an overlay are dirty, and dropping them.
 *
 * On the caller's thread: reading page tables and dropping pages may take long, and the kernel lets
 * madvise(2) wait for the loop. Which pages are dirty is asked of the kernel, place by place;
 * without WP_ASYNC only of those pages that the loop has a bit for (O1 in overlay.c), else by
 * PAGEMAP_SCAN. A poisoned page looks like one that was written and swapped out, so of swapped
 * ones those that the map has poisoned are left out.
 *
 * Dropping some pages and not others must not race with writes: while it goes on, the loop lets
 * none begin there (O3), piece by piece of FREEZE_BYTES.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "map_private.h"
#include "pagemap.h"

#define FREEZE_BYTES (UINT64_C(16) << 20) /* some milliseconds of dropping */
#define REGIONS 64
#define WORDS 512

/* ---- which are dirty ------------------------------------------------------------------------ */

struct dirty {
	struct pagein_map *map;
	int pagemap; /* descriptor */
	struct range *list;
	size_t count, room;
};

static int dirty_add(struct dirty *dirty, struct range range)
{
	struct range *last = dirty->count ? &dirty->list[dirty->count - 1] : NULL;
	size_t room = dirty->room ? 2 * dirty->room : 64;

	if (last && last->end == range.start) {
		last->end = range.end;
		return 0;
	}
	if (dirty->count == dirty->room) {
		struct range *list = reallocarray(dirty->list, room, sizeof *list);

		if (!list)
			return -ENOMEM;
		dirty->list = list;
		dirty->room = room;
	}
	dirty->list[dirty->count++] = range;
	return 0;
}

static uint64_t block_dirty(const struct map_block *block)
{
	return block->dirty;
}

static uint64_t block_poisoned(const struct map_block *block)
{
	return block->poisoned;
}

/* Those that are not poisoned. */
static int dirty_add_swapped(struct dirty *dirty, struct range range)
{
	int err = 0;

	while (err == 0 && !range_empty(range)) {
		struct range poisoned = map_call_run(dirty->map, range, block_poisoned);

		if (poisoned.start > range.start)
			err = dirty_add(dirty, (struct range){range.start, poisoned.start});
		range.start = poisoned.end;
	}
	return err;
}

/* `part` lies at address. */
static int dirty_scan(struct dirty *dirty, struct range part, uintptr_t address)
{
	uintptr_t at = address, end = address + (uintptr_t)range_length(part);
	struct page_region regions[REGIONS];
	int err = 0;

	while (err == 0 && at < end) {
		int count = pagemap_scan_written(dirty->pagemap, &at, end, regions, REGIONS);

		for (int i = 0; i < count && err == 0; i++) {
			struct range range = {part.start + (regions[i].start - address),
				part.start + (regions[i].end - address)};

			err = regions[i].categories & PAGE_IS_PRESENT
				      ? dirty_add(dirty, range)
				      : dirty_add_swapped(dirty, range);
		}
		if (count < 0)
			err = count;
	}
	return err;
}

/* Of pages that may be dirty, and lie at address, those that are. */
static int dirty_read(struct dirty *dirty, struct range range, uintptr_t address)
{
	uint64_t words[WORDS];
	int err = 0;

	for (size_t i = 0; err == 0 && !range_empty(range); i++, range.start += PAGE_BYTES) {
		uint64_t left = range_length(range) / PAGE_BYTES, word;

		if (i % WORDS == 0)
			err = pagemap_read(dirty->pagemap, address + i * PAGE_BYTES, words,
				left < WORDS ? left : WORDS);
		word = err == 0 ? words[i % WORDS] : 0;
		if ((word & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) && !(word & PAGEMAP_UFFD_WP))
			err = dirty_add(
				dirty, (struct range){range.start, range.start + PAGE_BYTES});
	}
	return err;
}

static int dirty_look_up(struct dirty *dirty, struct range part, uintptr_t address)
{
	struct range range = part;
	int err = 0;

	while (err == 0 && !range_empty(range)) {
		struct range run = map_call_run(dirty->map, range, block_dirty);

		err = dirty_read(dirty, run, address + (uintptr_t)(run.start - part.start));
		range.start = run.end;
	}
	return err;
}

static int by_start(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

/* Pieces that were told by address, in the order of the object; touching ones become one. */
static void dirty_join(struct dirty *dirty)
{
	size_t count = 0;

	if (dirty->count > 1)
		qsort(dirty->list, dirty->count, sizeof *dirty->list, by_start);
	for (size_t i = 0; i < dirty->count; i++) {
		struct range *last = count ? &dirty->list[count - 1] : NULL;

		if (!last || last->end < dirty->list[i].start)
			dirty->list[count++] = dirty->list[i];
		else if (last->end < dirty->list[i].end)
			last->end = dirty->list[i].end;
	}
	dirty->count = count;
}

static int dirty_find(struct dirty *dirty, struct range range)
{
	bool scan = overlay_is_async(dirty->map);
	uintptr_t cursor = 0, address;
	struct range part;
	int err = 0;

	while (err == 0 && map_call_next(dirty->map, range, &cursor, &part, &address))
		err = scan ? dirty_scan(dirty, part, address) : dirty_look_up(dirty, part, address);
	dirty_join(dirty);
	return err;
}

/* The checks that the calls below have in common. */
static int overlay_range(
	const struct pagein_map *map, size_t offset, size_t length, struct range *ret)
{
	int err = map_range(map, offset, length, ret);

	if (err == 0)
		err = pagein_object_check(map->object);
	if (err == 0 && !(map->flags & PAGEIN_PRIVATE))
		err = context_fail(-EINVAL, "map: not an overlay (PAGEIN_PRIVATE)");
	return err;
}

int pagein_dirty(struct pagein_map *map, size_t offset, size_t length, struct pagein_range *ranges,
	size_t max)
{
	cleanup_fd int pagemap = -1;
	struct dirty dirty = {.map = map};
	struct range range;
	int err = overlay_range(map, offset, length, &range);

	if (err < 0 || map->length == 0)
		return err;
	range = range_intersect(range, (struct range){0, align_up(map->object->size, PAGE_BYTES)});
	dirty.pagemap = pagemap = pagemap_open();
	err = pagemap < 0 ? pagemap : dirty_find(&dirty, range);
	for (size_t i = 0; err == 0 && i < dirty.count && i < max; i++)
		ranges[i] = (struct pagein_range){(size_t)(dirty.list[i].start - map->offset),
			(size_t)range_length(dirty.list[i])};
	free(dirty.list);
	if (err < 0)
		return context_fail(err, "dirty: /proc/self/pagemap: %s", strerrordesc_np(-err));
	return dirty.count < INT_MAX ? (int)dirty.count : INT_MAX;
}

/* ---- dropping ------------------------------------------------------------------------------- */

struct freeze_call {
	struct pagein_map *map;
	struct range range;
};

static void overlay_freeze(void *argument)
{
	struct freeze_call *call = argument;

	call->map->overlay.frozen = call->range;
}

static void overlay_thaw(void *argument)
{
	struct freeze_call *call = argument;

	call->map->overlay.frozen = (struct range){0, 0};
	map_wake(call->map, call->range);
}

int overlay_drop(struct pagein_map *map, struct range range,
	int (*drop)(struct pagein_map *map, struct range range))
{
	struct loop *loop = context_loop(map->object->context);
	struct freeze_call call = {.map = map, .range = range};
	int err = 0;

	pthread_mutex_lock(&map->overlay.dropping);
	for (; err == 0 && call.range.start < range.end; call.range.start = call.range.end) {
		call.range.end = call.range.start + FREEZE_BYTES;
		if (call.range.end > range.end)
			call.range.end = range.end;
		loop_call(loop, overlay_freeze, &call);
		err = drop(map, call.range);
		loop_call(loop, overlay_thaw, &call);
	}
	pthread_mutex_unlock(&map->overlay.dropping);
	return err;
}

int overlay_drop_clean(struct pagein_map *map, struct range range)
{
	int err = 0;

	if (overlay_is_async(map))
		return 0;
	while (err == 0 && !range_empty(range)) {
		struct range run = map_call_run(map, range, block_dirty);

		if (run.start > range.start)
			err = map_dont_need(map, (struct range){range.start, run.start});
		range.start = run.end;
	}
	return err;
}

int pagein_discard(struct pagein_map *map, size_t offset, size_t length)
{
	struct range range;
	int err = overlay_range(map, offset, length, &range);

	return err < 0 || map->length == 0 ? err : map_dont_need(map, range);
}
