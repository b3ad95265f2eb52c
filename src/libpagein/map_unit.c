/*
 * map_unit.c - units of 2 MiB: bytes gathered until a whole one can be published at once.
 *
 *   page of a unit:   asked --bytes--> staged --publish--> resident
 *                                         \--break--> copied one run at a time, if memory allows
 *
 * On the loop. A unit is 2 MiB of the object at a multiple of 2 MiB, and of staging: memory into
 * which the connection receives (units_place()), so that nothing is copied on the way. PAGEIN_HUGE
 * moves a whole unit into the map as the huge page that it is (UFFDIO_MOVE); PAGEIN_HUGETLB copies
 * it, because its pages can't be filled by parts.
 *
 * N1 a page of a block is staged if and only if a unit on map->units->active holds its bytes. N2 an
 * active unit's pages are staged or asked; what takes one of them away (a failure, munmap) breaks
 * the unit. N3 threads wait in a unit no longer than its patience, or it is a hugetlb page's.
 *
 * Who waits comes first, and who has no time to lose loses none: a fault on a lone page is served
 * by the page, and the unit around it is then completed page by page. But a reader that is faster
 * than the network stands at the very front of what has arrived. Served page by page, it would
 * never see a huge page; so when its page is here, it waits for the rest of the unit for
 * PATIENCE_NS at the most. Near, a unit is here in 1.5 ms, and the reader is woken once instead of
 * sixteen times. Where the patience has run out, the next units have none: 1, 2, 4 ... up to 64 of
 * them.
 *
 * What is marked (readahead_plan's mark) is held back as in map_hold.c, but as a whole unit.
 *
 * A HUGE unit begins only where the whole of it is asked for, nothing of it is resident, and it
 * lies in one piece at an aligned address. Else, and without staging, its bytes go the way of all
 * others.
 *
 * Cost: a unit takes 2 MiB until it is published; UNITS_MAX of a map at the most, but for hugetlb
 * pages that threads wait for. Rejected: one small staging buffer and a copy into the huge page,
 * which costs what it shall save; MADV_COLLAPSE afterwards, which copies all of it once more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "map_private.h"

#define UNITS_MAX 40 /* 80 MiB: more than the largest window of one stream, with a margin */
#define PATIENCE_NS (4 * NS_PER_MS)
#define DOUBT_MAX 6 /* 2^6 units without patience */

struct unit {
	struct list node;
	uint64_t start;   /* in the object */
	uint8_t *bytes;   /* its staging */
	uint64_t wake_ns; /* until when a thread may be kept waiting; 0: none is */
};

struct units {
	struct list active; /* the oldest first */
	struct list spare;
	unsigned count; /* of both */
	unsigned doubt; /* patience was in vain so many times in a row */
	unsigned hasty; /* so many units more get none */
	struct loop_timer timer;
	struct pagein_map *map;
};

int units_create(struct pagein_map *map)
{
	struct units *units = calloc(1, sizeof *units);

	if (!units)
		return -ENOMEM;
	list_init(&units->active);
	list_init(&units->spare);
	units->map = map;
	map->units = units;
	return 0;
}

static void unit_free(struct unit *unit)
{
	list_remove(&unit->node);
	munmap(unit->bytes, UNIT_BYTES);
	free(unit);
}

void units_destroy(struct pagein_map *map)
{
	struct units *units = map->units;

	if (!units)
		return;
	/* A map that was never made is not the loop's. */
	if (units->timer.slot != 0)
		loop_timer_cancel(context_loop(map->object->context), &units->timer);
	list_for_each_safe (node, &units->active)
		unit_free(list_entry(node, struct unit, node));
	list_for_each_safe (node, &units->spare)
		unit_free(list_entry(node, struct unit, node));
	free(units);
	map->units = NULL;
}

/* ---- the pages of a unit ------------------------------------------------------------------- */

/* What of the unit has pages of the object. */
static struct range unit_range(const struct pagein_map *map, const struct unit *unit)
{
	return range_intersect(
		(struct range){unit->start, unit->start + UNIT_BYTES}, map_pages(map));
}

static struct unit *unit_find(const struct pagein_map *map, uint64_t offset)
{
	list_for_each (node, &map->units->active) {
		struct unit *unit = list_entry(node, struct unit, node);

		if (offset - unit->start < UNIT_BYTES)
			return unit;
	}
	return NULL;
}

/* The first active unit that range overlaps. */
static struct unit *unit_find_in(const struct pagein_map *map, struct range range)
{
	list_for_each (node, &map->units->active) {
		struct unit *unit = list_entry(node, struct unit, node);

		if (range_overlaps(range, unit_range(map, unit)))
			return unit;
	}
	return NULL;
}

/* Is all of it staged? The blocks know: a page may have been settled by another way meanwhile. */
static bool is_complete(const struct pagein_map *map, const struct unit *unit)
{
	struct range range = unit_range(map, unit);

	for (uint64_t i = range.start / BLOCK_BYTES; i * BLOCK_BYTES < range.end; i++) {
		const struct map_block *block = radix_get(&map->blocks, i);

		if (!block || ~block->staged & block_range_mask(i, range))
			return false;
	}
	return !range_empty(range);
}

/* Do threads wait for pages of the range whose bytes are here? */
static bool is_waited_for(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		if (block->staged & block->waiting & block_range_mask(i, range))
			return true;
	return false;
}

/* Is the range marked, so that its touch shall be seen? */
static bool is_marked(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		if (block->held & block->staged & block_range_mask(i, range))
			return true;
	return false;
}

/* Off the list, its staged pages are asked ones whose bytes are at hand: M2. */
static void unit_take_off(struct pagein_map *map, struct unit *unit, uint64_t staged[UNIT_BLOCKS])
{
	list_remove(&unit->node);
	for (unsigned i = 0; i < UNIT_BLOCKS; i++) {
		struct map_block *block = map_find_block(map, unit->start / BLOCK_BYTES + i);

		staged[i] = block ? block->staged : 0;
		if (!block)
			continue;
		block->staged = 0;
		block->asked |= staged[i];
		block->held &= ~staged[i];
	}
}

static void unit_put(struct pagein_map *map, struct unit *unit)
{
	list_prepend(&map->units->spare, &unit->node);
}

static uint8_t *staging_map(uint8_t *at);

/* ---- the end of a unit --------------------------------------------------------------------- */

/* What has come is filled page by page; the rest will be when it comes. */
static void unit_break(struct pagein_map *map, struct unit *unit)
{
	uint64_t staged[UNIT_BLOCKS];

	unit_take_off(map, unit, staged);
	map_count_fallback(map);
	for (unsigned i = 0; i < UNIT_BLOCKS; i++)
		while (staged[i]) {
			unsigned count, first = mask_take_run(&staged[i], &count);
			uint64_t at = i * BLOCK_BYTES + first * PAGE_BYTES;
			struct range run = {
				unit->start + at, unit->start + at + count * PAGE_BYTES};

			map_fill(map, run, unit->bytes + at);
		}
	unit_put(map, unit);
}

/* Its bytes are of no use any more: its pages are absent. */
static void unit_drop(struct pagein_map *map, struct unit *unit)
{
	uint64_t staged[UNIT_BLOCKS];

	unit_take_off(map, unit, staged);
	for (unsigned i = 0; i < UNIT_BLOCKS; i++) {
		struct map_block *block = map_find_block(map, unit->start / BLOCK_BYTES + i);

		if (block)
			block->asked &= ~staged[i];
	}
	unit_put(map, unit);
}

/* Where the whole unit lies, if it is in one place only and aligned there; else NULL. */
static void *unit_place(struct pagein_map *map, uint64_t start)
{
	struct range range = {start, start + UNIT_BYTES}, part, other;
	uintptr_t cursor = 0, address, elsewhere;

	if (!extents_next(&map->extents, range, &cursor, &part, &address) ||
		range_length(part) != UNIT_BYTES || address % UNIT_BYTES != 0 ||
		extents_next(&map->extents, range, &cursor, &other, &elsewhere))
		return NULL;
	return (void *)address;
}

/* All of it is here. */
static void unit_publish(struct pagein_map *map, struct unit *unit)
{
	struct range range = {unit->start, unit->start + UNIT_BYTES};
	void *place = map->memory->move ? unit_place(map, unit->start) : NULL;
	bool as_it_was = true;
	uint64_t staged[UNIT_BLOCKS];
	size_t moved = 0;

	if (map->memory->move && !place) {
		unit_break(map, unit);
		return;
	}
	if (unit->wake_ns > 0)
		map->units->doubt = 0;
	unit_take_off(map, unit, staged);
	if (place)
		moved = map->memory->move(map, place, unit->bytes, &as_it_was);
	if (moved > 0)
		map_settle(map, (struct range){range.start, range.start + moved});
	range.start += moved;
	if (!range_empty(range))
		map_fill(map, range, unit->bytes + moved);
	/* Where the staging has a page table, it will never be a huge page again. */
	if (!as_it_was)
		(void)staging_map(unit->bytes);
	unit_put(map, unit);
}

/* It is whole: published, unless it is to be held back. */
static void unit_complete(struct pagein_map *map, struct unit *unit)
{
	struct range range = unit_range(map, unit);

	if (is_waited_for(map, range) || !is_marked(map, range) || pull_waits_in(map, range))
		unit_publish(map, unit);
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* The unit of which the patience ends first; NULL: nobody is kept waiting. */
static struct unit *unit_first_to_wake(const struct units *units)
{
	struct unit *first = NULL;

	list_for_each (node, &units->active) {
		struct unit *unit = list_entry(node, struct unit, node);

		if (unit->wake_ns > 0 && (!first || unit->wake_ns < first->wake_ns))
			first = unit;
	}
	return first;
}

static void units_set_timer(struct units *units)
{
	const struct unit *first = unit_first_to_wake(units);

	if (first)
		loop_timer_set(
			context_loop(units->map->object->context), &units->timer, first->wake_ns);
}

/* Its patience was in vain. */
static void units_expired(struct loop_timer *timer)
{
	struct units *units = container_of(timer, struct units, timer);
	uint64_t now_ns = clock_now_ns();
	struct unit *unit;

	while ((unit = unit_first_to_wake(units)) && unit->wake_ns <= now_ns) {
		units->doubt += units->doubt < DOUBT_MAX;
		units->hasty = 1U << units->doubt;
		unit_break(units->map, unit);
	}
	units_set_timer(units);
}

/* A thread waits for a page of it that is here. false: no longer. */
static bool unit_hurry(struct pagein_map *map, struct unit *unit)
{
	struct units *units = map->units;

	if (is_complete(map, unit)) {
		unit_publish(map, unit);
		return false;
	}
	/* A hugetlb page has no parts. */
	if (unit->wake_ns > 0 || !map->memory->move)
		return true;
	if (units->hasty > 0) {
		units->hasty--;
		unit_break(map, unit);
		return false;
	}
	unit->wake_ns = clock_now_ns() + PATIENCE_NS;
	units->timer.expired = units_expired;
	if (units->timer.slot == 0)
		units_set_timer(units);
	return true;
}

struct range units_fault(struct pagein_map *map, struct map_block *block, struct range page)
{
	struct unit *unit = unit_find(map, page.start);
	uint64_t end = unit->start + UNIT_BYTES;
	bool whole = is_complete(map, unit);

	block->waiting |= block_range_mask(page.start / BLOCK_BYTES, page);
	/* It comes as a whole, so its reader will be seen again behind it. */
	if (unit_hurry(map, unit) || whole)
		page.end = end < map_pages(map).end ? end : map_pages(map).end;
	return page;
}

/* ---- the beginning of a unit --------------------------------------------------------------- */

/* Fresh staging at an address, or, NULL, anywhere; NULL: out of memory. */
static uint8_t *staging_map(uint8_t *at)
{
	size_t length = at ? UNIT_BYTES : 2 * UNIT_BYTES;
	uint8_t *memory = mmap(at, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);
	size_t before;

	if (memory == MAP_FAILED)
		return NULL;
	if (!at) {
		before = (size_t)(-(uintptr_t)memory % UNIT_BYTES);
		if (before > 0)
			munmap(memory, before);
		munmap(memory + before + UNIT_BYTES, UNIT_BYTES - before);
		memory += before;
	}
	/* What a child of fork(2) shares can't be moved. */
	madvise(memory, UNIT_BYTES, MADV_DONTFORK);
	madvise(memory, UNIT_BYTES, MADV_HUGEPAGE);
	return memory;
}

static struct unit *unit_create(struct units *units)
{
	struct unit *unit = calloc(1, sizeof *unit);

	if (!unit)
		return NULL;
	unit->bytes = staging_map(NULL);
	if (!unit->bytes) {
		free(unit);
		return NULL;
	}
	list_init(&unit->node);
	units->count++;
	return unit;
}

/* The oldest that is held back. */
static struct unit *unit_find_complete(const struct pagein_map *map)
{
	list_for_each (node, &map->units->active) {
		struct unit *unit = list_entry(node, struct unit, node);

		if (is_complete(map, unit))
			return unit;
	}
	return NULL;
}

/* A unit without bytes; NULL: there is no room. */
static struct unit *unit_take_spare(struct pagein_map *map, bool is_needed)
{
	struct units *units = map->units;
	struct unit *unit = unit_find_complete(map);

	if (list_empty(&units->spare) && units->count >= UNITS_MAX && unit)
		unit_publish(map, unit);
	if (list_empty(&units->spare))
		return units->count < UNITS_MAX || is_needed ? unit_create(units) : NULL;
	unit = list_first(&units->spare, struct unit, node);
	list_remove(&unit->node);
	return unit;
}

/* Is all of it asked for, and none of it settled? A part that was settled before is a fallback. */
static bool is_whole(struct pagein_map *map, uint64_t start)
{
	struct map_block *first = map_find_block(map, start / BLOCK_BYTES);
	uint64_t settled = 0, asked = UINT64_MAX;

	for (unsigned i = 0; i < UNIT_BLOCKS; i++) {
		const struct map_block *block = map_find_block(map, start / BLOCK_BYTES + i);

		asked &= block ? block->asked : 0;
		settled |= block ? block->resident | block->failed : 0;
	}
	if (settled && first && !first->unit_broken) {
		first->unit_broken = true;
		map_count_fallback(map);
	}
	return asked == UINT64_MAX;
}

static bool has_waiting(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		if (block->waiting & block_range_mask(i, range))
			return true;
	return false;
}

/* NULL: what is at offset goes without one. */
static struct unit *unit_begin(struct pagein_map *map, uint64_t offset)
{
	struct unit whole = {.start = align_down(offset, UNIT_BYTES)}, *unit;
	struct range range = unit_range(map, &whole);
	bool parts = map->memory->move != NULL;

	if (parts && (range_length(range) < UNIT_BYTES || range.end > map->object->size))
		return NULL;
	if (parts && (!is_whole(map, whole.start) || !unit_place(map, whole.start)))
		return NULL;
	unit = unit_take_spare(map, !parts && has_waiting(map, range));
	if (!unit)
		return NULL;
	unit->start = whole.start;
	unit->wake_ns = 0;
	if (range_length(range) < UNIT_BYTES)
		memset(unit->bytes + range_length(range), 0, UNIT_BYTES - range_length(range));
	list_append(&map->units->active, &unit->node);
	return unit;
}

uint8_t *units_place(struct want *want, uint64_t offset, size_t *ret_len)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);
	struct unit *unit = unit_find(map, offset);

	if (!unit)
		unit = unit_begin(map, offset);
	if (!unit)
		return NULL;
	*ret_len = (size_t)(unit->start + UNIT_BYTES - offset);
	return unit->bytes + (offset - unit->start);
}

/* ---- bytes --------------------------------------------------------------------------------- */

/* Does anything of it still matter? What was settled by another way does not. */
static bool is_alive(struct pagein_map *map, const struct unit *unit)
{
	struct range range = unit_range(map, unit);

	for (uint64_t i = range.start / BLOCK_BYTES; i * BLOCK_BYTES < range.end; i++) {
		const struct map_block *block = map_find_block(map, i);

		if (block && (block->staged | block->asked) & block_range_mask(i, range))
			return true;
	}
	return false;
}

static void unit_take(
	struct pagein_map *map, struct unit *unit, struct range pages, const uint8_t *bytes)
{
	uint64_t end = (pages.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint8_t *place = unit->bytes + (pages.start - unit->start);
	struct map_block *block;

	if (place != bytes)
		memcpy(place, bytes, (size_t)range_length(pages));
	for (uint64_t i = pages.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t come = block->asked & block_range_mask(i, pages);

		block->asked &= ~come;
		block->staged |= come;
	}
	if (is_complete(map, unit))
		unit_complete(map, unit);
	else if (is_waited_for(map, pages))
		unit_hurry(map, unit);
	else if (!is_alive(map, unit))
		unit_drop(map, unit);
}

bool units_take(struct pagein_map *map, struct range pages, const uint8_t *bytes)
{
	struct failure failure = {.err = -ENOMEM, .error = "map: out of memory"};
	struct unit *unit = unit_find(map, pages.start);
	bool asked = !range_empty(map_run(map, pages, block_asked));

	if (!unit && asked)
		unit = unit_begin(map, pages.start);
	if (unit)
		unit_take(map, unit, pages, bytes);
	else if (!map->memory->move && asked)
		map_failed(&map->want, pages, &failure);
	return unit || !map->memory->move;
}

/* ---- what takes bytes away ----------------------------------------------------------------- */

/* One that can't be completed, now that pages of range will not come. */
static struct unit *unit_find_hopeless(struct pagein_map *map, struct range range)
{
	list_for_each (node, &map->units->active) {
		struct unit *unit = list_entry(node, struct unit, node);

		if (range_overlaps(range, unit_range(map, unit)) &&
			(map->memory->move || !map_lies_anywhere(map, unit->start)))
			return unit;
	}
	return NULL;
}

void units_break(struct pagein_map *map, struct range range)
{
	struct unit *unit;

	while ((unit = unit_find_hopeless(map, range)))
		if (map->memory->move)
			unit_break(map, unit);
		else
			unit_drop(map, unit);
}

static struct unit *unit_find_complete_in(struct pagein_map *map, struct range range)
{
	list_for_each (node, &map->units->active) {
		struct unit *unit = list_entry(node, struct unit, node);

		if (range_overlaps(range, unit_range(map, unit)) && is_complete(map, unit))
			return unit;
	}
	return NULL;
}

void units_release(struct pagein_map *map, struct range range)
{
	struct unit *unit;

	while ((unit = unit_find_complete_in(map, range)))
		unit_publish(map, unit);
}

void units_drop_complete(struct pagein_map *map, struct range range)
{
	struct unit *unit;

	while ((unit = unit_find_complete_in(map, range)))
		unit_drop(map, unit);
}

struct range units_fail(struct pagein_map *map, struct range range)
{
	struct unit *unit;

	if (map->memory->move) {
		units_break(map, range);
		return range;
	}
	range.start = align_down(range.start, UNIT_BYTES);
	range.end = align_up(range.end, UNIT_BYTES);
	range = range_intersect(range, map_pages(map));
	while ((unit = unit_find_in(map, range)))
		unit_drop(map, unit);
	return range;
}
