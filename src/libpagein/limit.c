/*
 * limit.c - how much, in which order, and who may have it; map_evict.c does it to a map.
 *
 * Owned by a context, on its loop: all objects with equal options and a limit share one loop, so
 * nothing here is shared between threads. Its counters follow the maps' bits exactly; M3 in
 * map_private.h says what these know.
 *
 * Nothing tells of touches of resident memory, so pages go in the order in which they came, in runs
 * as they came: a scan's 256 KiB are one madvise(2). That order alone makes popular pages come back
 * over the network as often as others; the second chance is what knows them (VAX/VMS did this for
 * want of a reference bit; Turner and Levy, 1981, found a third of memory for it close to LRU). It
 * has at most a third here.
 *
 * Room is made before each fill, so the limit holds at any time, but for what can't go: locked
 * pages, and FLOOR_BYTES beside what is protected. A page must stay until the thread that waits for
 * it has run, which nobody tells either; by the floor and by the order it stays until FLOOR_BYTES
 * have come in after it, so threads that wait for others get on even if all else is pinned.
 *
 * Cost: for a scan, 0.3 us a page to drop it. For lone accesses, a pread(2) and an madvise(2) each.
 */
#include "limit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "map_limit.h"
#include "sanitizer.h"

#define FLOOR_BYTES (UINT64_C(1) << 20) /* that are never protected */
#define SECOND_PART 3                   /* of the limit: the most for second chances */
#define AHEAD_PART                                                                 \
	3                 /* of the limit: the most to read ahead; what came ahead \
			     stays until as much has come after it */
#define GROWTH_PAGES 8    /* of second chances, for one fill: to keep a page frees none */
#define LOOKS_MAX 16      /* at runs that can't go now, before a fill goes ahead */
#define READER_TICKS 1024 /* accesses: who has had none of so many is not reading */
#define PLACE_ALIGN (UINT64_C(1) << 21)
#define PLACES (1U << 16) /* to begin at */

/* ---- life ----------------------------------------------------------------------------------- */

/*
 * The kernel puts new memory below what it put there last, from the top of the address space down:
 * so what is unmapped of a map at a quarter of its height is not where another thread's new memory
 * comes to lie. (Why that matters stands in map_evict.c.)
 */
static uintptr_t place_start(void)
{
	uint32_t random = 0;

	if (WITH_TSAN)
		return 0; /* its shadow covers a few areas of addresses only */
	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	return ((uintptr_t)__builtin_frame_address(0) >> 2) + random % PLACES * PLACE_ALIGN;
}

int limit_create(uint64_t max_bytes, struct pagein_stats *stats, struct limit **ret)
{
	struct limit *limit = calloc(1, sizeof *limit);

	if (!limit)
		return -ENOMEM;
	limit->max_bytes = max_bytes;
	limit->stats = stats;
	limit->place = place_start();
	list_init(&limit->waiting);
	limit->memory_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	second_init(
		&limit->second, limit->memory_fd < 0 ? 0 : max_bytes / SECOND_PART / PAGE_BYTES);
	*ret = limit;
	return 0;
}

void limit_renew(struct limit *limit)
{
	if (limit->memory_fd < 0)
		return;
	close(limit->memory_fd);
	limit->memory_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
}

void limit_destroy(struct limit *limit)
{
	if (!limit)
		return;
	assert(limit->reserved_bytes == 0 && list_empty(&limit->waiting));
	run_queue_finish(&limit->runs);
	second_finish(&limit->second);
	if (limit->memory_fd >= 0)
		close(limit->memory_fd);
	free(limit->maps);
	free(limit);
}

uint64_t limit_second_bytes(const struct limit *limit)
{
	return second_bytes(&limit->second);
}

void *limit_place(struct limit *limit, size_t length)
{
	uintptr_t place = (uintptr_t)align_down(limit->place, PLACE_ALIGN);

	if (place == 0)
		return NULL;
	limit->place = place + (uintptr_t)align_up(length, PLACE_ALIGN) + PLACE_ALIGN;
	return (void *)place;
}

/* ---- maps ----------------------------------------------------------------------------------- */

static int limit_grow_maps(struct limit *limit)
{
	uint32_t max = limit->maps_max ? limit->maps_max * 2 : 8;
	struct pagein_map **maps = reallocarray(limit->maps, max, sizeof(struct pagein_map *));

	if (!maps)
		return -ENOMEM;
	for (uint32_t i = limit->maps_max; i < max; i++)
		maps[i] = NULL;
	limit->maps = maps;
	limit->maps_max = max;
	return 0;
}

int limit_add_map(struct limit *limit, struct pagein_map *map)
{
	uint32_t i = 0;

	while (i < limit->maps_max && limit->maps[i])
		i++;
	if (i == limit->maps_max && limit_grow_maps(limit) < 0)
		return -ENOMEM;
	limit->maps[i] = map;
	map->limit_index = i;
	return 0;
}

/*
 * Its runs stay: they are passed when their turn comes, or taken for another map's, whose pages
 * then go early.
 */
void limit_remove_map(struct limit *limit, struct pagein_map *map)
{
	if (map->limit_index >= limit->maps_max || limit->maps[map->limit_index] != map)
		return;
	map_unprotect(map, map->want.range);
	map_drop_kept(map, map->want.range);
	limit->maps[map->limit_index] = NULL;
	for (size_t i = 0; i < LIMIT_READERS; i++)
		if (limit->readers[i].map == map)
			limit->readers[i] = (struct limit_reader){0};
	limit_admit_waiting(limit);
}

/* ---- room ----------------------------------------------------------------------------------- */

/* What may be resident and not protected, with the second chances. */
static uint64_t limit_free_bytes(const struct limit *limit)
{
	uint64_t left = limit->max_bytes - limit->reserved_bytes;

	return left > FLOOR_BYTES ? left : FLOOR_BYTES;
}

static uint64_t limit_target_bytes(const struct limit *limit)
{
	return limit->reserved_bytes + limit_free_bytes(limit);
}

static uint64_t limit_second_share(const struct limit *limit)
{
	return limit_free_bytes(limit) / SECOND_PART;
}

/*
 * When the limit is reached for the first time, a third of it would have to be moved before a page
 * is free: a few go at once, and then the oldest of them makes way.
 */
uint64_t limit_second_max(struct limit *limit)
{
	uint64_t share = limit_second_share(limit), now = limit_second_bytes(limit);

	if (now + PAGE_BYTES > share)
		return share;
	if (limit->growth == 0)
		return now;
	limit->growth--;
	return share;
}

/* A page of second chances goes. */
static bool limit_shrink_second(struct limit *limit)
{
	struct pagein_map *owner;
	uint64_t page;

	if (!second_shrink(&limit->second, &owner, &page))
		return false;
	if (owner)
		map_lose_kept(owner, page);
	return true;
}

/* The oldest run that can go. What of it can't go now comes last. */
static bool limit_evict_oldest(struct limit *limit)
{
	struct run run;

	for (int looks = 0; looks < LOOKS_MAX && run_queue_pop(&limit->runs, &run);) {
		struct pagein_map *map = limit->maps[run.map];
		struct range range = {run.page * PAGE_BYTES, (run.page + run.pages) * PAGE_BYTES};
		bool gone = false;

		if (map && map_evict(map, range, &gone)) {
			run_queue_push(&limit->runs, run);
			looks++;
		}
		if (gone)
			return true;
	}
	return false;
}

void limit_make_room(struct limit *limit, uint64_t bytes)
{
	limit->growth = GROWTH_PAGES;
	while (limit->stats->resident_bytes + limit_second_bytes(limit) + bytes >
		limit_target_bytes(limit)) {
		bool is_over = limit_second_bytes(limit) > limit_second_share(limit);

		if (!(is_over && limit_shrink_second(limit)) && !limit_evict_oldest(limit) &&
			!limit_shrink_second(limit))
			break;
	}
}

/* ---- who reads ------------------------------------------------------------------------------ */

static void limit_note_reader(struct limit *limit, const struct pagein_map *map)
{
	struct limit_reader *oldest = &limit->readers[0];

	limit->tick++;
	for (size_t i = 0; i < LIMIT_READERS; i++) {
		struct limit_reader *reader = &limit->readers[i];

		if (reader->map == map) {
			reader->tick = limit->tick;
			return;
		}
		if (reader->tick < oldest->tick)
			oldest = reader;
	}
	*oldest = (struct limit_reader){map, limit->tick};
}

uint64_t limit_ahead_bytes(struct limit *limit, const struct pagein_map *map)
{
	uint64_t count = 0;

	limit_note_reader(limit, map);
	for (size_t i = 0; i < LIMIT_READERS; i++)
		count += limit->readers[i].map &&
			 limit->readers[i].tick + READER_TICKS > limit->tick;
	return limit_free_bytes(limit) / AHEAD_PART / count;
}

/* ---- pulls that protect their range ---------------------------------------------------------- */

int limit_admit_pull(struct limit *limit, struct pagein_map *map, struct pull *pull)
{
	uint64_t more = map_unprotected_bytes(map, pull->range, block_protected);
	uint64_t alone = map_unprotected_bytes(map, pull->range, block_pinned);
	int err;

	pull->too_long = limit->stats->pinned_bytes + alone > limit->max_bytes;
	if (pull->too_long)
		return -ENOMEM;
	if (limit->reserved_bytes + more > limit->max_bytes) {
		if (list_empty(&pull->waiting))
			list_append(&limit->waiting, &pull->waiting);
		return 1;
	}
	err = map_protect(map, pull->range, PROTECT_PULLED);
	pull->admitted = err == 0;
	return err;
}

void limit_end_pull(struct limit *limit, struct pagein_map *map, struct pull *pull)
{
	list_remove(&pull->waiting);
	if (!pull->admitted)
		return;
	pull->admitted = false;
	map_unpull(map, pull->range);
	limit_admit_waiting(limit);
}

/* In the order in which they came. They begin from a timer, not inside of what ended another. */
void limit_admit_waiting(struct limit *limit)
{
	while (!list_empty(&limit->waiting)) {
		struct pull *pull = list_first(&limit->waiting, struct pull, waiting);
		int err = limit_admit_pull(limit, pull->map, pull);

		if (err > 0)
			return;
		pull->err = err;
		list_remove(&pull->waiting);
		pull_resume(pull);
	}
}
