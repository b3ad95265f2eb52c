/*
 * map_fill.c - bytes into pages, and errors into poison.
 *
 * On the loop. What UFFDIO_COPY says, and what is done about it:
 *
 * - EAGAIN, some copied: a page in the middle was there. Go on behind the copied part.
 *
 * - EEXIST: the first page is there. Nobody was woken, so wake, and go on behind it.
 *
 * - EAGAIN, none copied: the address space is changing (fork, mremap, munmap, madvise). The fill is
 *   parked until the event has been read and the application's thread has gone on.
 *
 * - ENOENT: the range is not inside one registered area. Page by page; one page that gets it is
 *   gone, and nobody can wait for it.
 *
 * - ENOMEM: parked. ESRCH: the process is going away.
 *
 * A parked fill keeps its bytes and is tried again after PARK_NS, doubled up to PARK_NS_MAX, for
 * PARK_TRIES times; then its waiting pages are poisoned, or barred if that is refused, too.
 * Sources: userfaultfd(2), ioctl_userfaultfd(2) and mm/userfaultfd.c of Linux 6.18.
 *
 * Cost: one UFFDIO_COPY for each run of pages that came together, which also wakes their waiters.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "face.h"
#include "map_limit.h"
#include "probe.h"

#define PARK_NS (50 * NS_PER_US)
#define PARK_NS_MAX (10 * NS_PER_MS)
#define PARK_TRIES 200 /* two seconds */

struct parked {
	struct list node;
	struct range range;
	unsigned tries;
	uint8_t bytes[]; /* whole pages */
};

static void map_park(struct pagein_map *map, struct range range, const uint8_t *bytes);

/* ---- pages settled -------------------------------------------------------------------------- */

/* One block's pages have come in. */
static void block_settle(
	struct pagein_map *map, uint64_t index, struct map_block *block, uint64_t mask)
{
	uint64_t before = block->resident;

	block->asked &= ~mask;
	block->waiting &= ~mask;
	block->writing &= ~mask;
	block->failed &= ~mask;
	block->poisoned &= ~mask;
	block->held &= ~mask;
	block->stranded &= ~mask;
	block->staged &= ~mask;
	block->foreign &= ~mask;
	block->resident |= mask;
	if (block->barred & mask)
		map_unbar(map, index, block, mask);
	map_count_resident(map, before, block->resident);
}

void map_end_waits(struct pagein_map *map, struct range pages)
{
	if (!list_empty(&map->threads.waiting))
		threads_end(&map->threads, pages, clock_now_ns());
}

void map_settle(struct pagein_map *map, struct range range)
{
	/* A hugetlb page goes on behind the object's end. */
	range = range_intersect(range, map_pages(map));
	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		struct map_block *block = map_find_block(map, at / BLOCK_BYTES);

		if (block)
			block_settle(map, at / BLOCK_BYTES, block,
				block_range_mask(at / BLOCK_BYTES, (struct range){at, range.end}));
	}
	map_end_waits(map, range);
	map_answer(map, range);
	if (map->limit)
		map_note_filled(map, range);
	pull_progress(map, range, NULL);
}

/* ---- filling ------------------------------------------------------------------------------ */

void map_count_fill(struct pagein_map *map, size_t copied)
{
	struct pagein_stats *all = context_map_stats(map->object->context);

	map->stats.fills++;
	map->stats.bytes_filled += copied;
	all->fills++;
	all->bytes_filled += copied;
	object_count_use(map->object->object, 0, copied);
}

/*
 * Copies whole pages to where they lie. How many bytes were settled: filled, there already, or
 * gone; fewer than length: the rest must be parked.
 */
static size_t map_copy(
	struct pagein_map *map, uintptr_t to, uint64_t offset, const uint8_t *from, size_t length)
{
	size_t settled = 0, step = length, page_bytes = map->memory->page_bytes;

	while (settled < length) {
		size_t left = length - settled, copied;
		int err = map->memory->fill(map, (void *)(to + settled), offset + settled,
			from + settled, left < step ? left : step, &copied);

		if (copied > 0)
			map_count_fill(map, copied);
		settled += copied;
		if (err == 0 || copied > 0)
			continue;
		if (err == -ENOENT && step > page_bytes) {
			step = page_bytes;
		} else if (err == -EEXIST || err == -ENOENT || err == -ESRCH) {
			uffd_wake(&map->uffd, (void *)(to + settled), page_bytes);
			settled += page_bytes;
		} else {
			break;
		}
	}
	return settled;
}

void map_fill(struct pagein_map *map, struct range range, const uint8_t *bytes)
{
	struct range part, late = {range.end, range.start};
	uint64_t placed = 0;
	uintptr_t cursor = 0, address;

	if (map->limit)
		limit_make_room(map->limit, range_length(range));
	while (extents_next(&map->extents, range, &cursor, &part, &address)) {
		size_t length = (size_t)range_length(part);
		size_t settled = map_copy(
			map, address, part.start, bytes + (part.start - range.start), length);

		placed += length;
		if (settled > 0)
			map_settle(map, (struct range){part.start, part.start + settled});
		if (settled == length)
			continue;
		late.start = part.start + settled < late.start ? part.start + settled : late.start;
		late.end = part.end > late.end ? part.end : late.end;
	}
	STAGE_PROBE(fill, range.start, range_length(range), object_remote(map->object->object));
	if (!range_empty(late))
		map_park(map, late, bytes + (late.start - range.start));
	if (placed < range_length(range))
		map_abandon(map, range);
}

/* ---- parking ------------------------------------------------------------------------------ */

static void map_unpark_one(struct parked *parked)
{
	list_remove(&parked->node);
	free(parked);
}

void map_unpark(struct pagein_map *map)
{
	list_for_each_safe (node, &map->parked)
		map_unpark_one(list_entry(node, struct parked, node));
	loop_timer_cancel(context_loop(map->object->context), &map->park_timer);
}

static void map_park_again(struct pagein_map *map, unsigned tries)
{
	struct loop *loop = context_loop(map->object->context);
	uint64_t pause_ns = tries < 8 ? PARK_NS << tries : PARK_NS_MAX;

	if (map->park_timer.slot == 0)
		loop_timer_set(loop, &map->park_timer,
			clock_now_ns() + (pause_ns < PARK_NS_MAX ? pause_ns : PARK_NS_MAX));
}

static void map_park_expired(struct loop_timer *timer)
{
	struct pagein_map *map = container_of(timer, struct pagein_map, park_timer);
	struct failure failure = {
		.err = -ENOMEM, .error = "map: the kernel refuses to fill the page"};
	struct list parked;

	/* What can't be filled even now is parked anew, on the list that the map has meanwhile. */
	parked = map->parked;
	parked.next->prev = &parked;
	parked.prev->next = &parked;
	list_init(&map->parked);
	list_for_each_safe (node, &parked) {
		struct parked *one = list_entry(node, struct parked, node);
		struct list *newest = map->parked.prev;

		map->refused = one->tries == PARK_TRIES;
		if (map->refused)
			map_failed(&map->want, one->range, &failure);
		else
			map_fill(map, one->range, one->bytes);
		map->refused = false;
		if (map->parked.prev != newest)
			list_entry(map->parked.prev, struct parked, node)->tries = one->tries + 1;
		map_unpark_one(one);
	}
	/* map_park() has set the timer as for a first try. */
	loop_timer_cancel(context_loop(map->object->context), &map->park_timer);
	if (!list_empty(&map->parked))
		map_park_again(map, list_first(&map->parked, struct parked, node)->tries);
}

static void map_park(struct pagein_map *map, struct range range, const uint8_t *bytes)
{
	size_t length = (size_t)range_length(range);
	struct parked *parked = malloc(sizeof *parked + length);
	struct failure failure = {.err = -ENOMEM, .error = "map: out of memory"};

	if (!parked) {
		map_failed(&map->want, range, &failure);
		return;
	}
	parked->range = range;
	parked->tries = 0;
	memcpy(parked->bytes, bytes, length);
	list_append(&map->parked, &parked->node);
	map->park_timer.expired = map_park_expired;
	map_park_again(map, 0);
}

/* ---- the want ----------------------------------------------------------------------------- */

/* The pages of a block that shall be filled when their bytes come: not those held back. */
static uint64_t block_fillable(const struct map_block *block)
{
	return block->asked & ~(block->held & ~block->waiting);
}

struct range map_run(struct pagein_map *map, struct range range,
	uint64_t (*pages)(const struct map_block *block))
{
	struct range run = {range.end, range.end};

	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		uint64_t index = at / BLOCK_BYTES;
		bool open = !range_empty(run);
		struct map_block *block = open ? map_find_block(map, index)
					       : radix_next(&map->blocks, &index,
							 (range.end - 1) / BLOCK_BYTES + 1);
		uint64_t bits = block ? pages(block) : 0;
		unsigned first, count;
		uint64_t start;

		if (!block)
			break;
		at = at > index * BLOCK_BYTES ? at : index * BLOCK_BYTES;
		bits &= block_range_mask(index, (struct range){at, range.end});
		if (!bits && open)
			break;
		if (!bits)
			continue;
		first = mask_take_run(&bits, &count);
		start = index * BLOCK_BYTES + first * PAGE_BYTES;
		/* A run goes on only from its block's last page to the next one's first. */
		if (open && start != run.end)
			break;
		run.start = open ? run.start : start;
		run.end = start + count * PAGE_BYTES;
		if (run.end != (index + 1) * BLOCK_BYTES)
			break;
	}
	return run;
}

static void map_report(struct pagein_map *map, const struct arrival *arrival)
{
	struct fault_stages stages = arrival->stages;

	stages.end_ns[STAGE_EVENT] = map->event_ns;
	stages.end_ns[STAGE_FILL] = clock_now_ns();
	map->trace(arrival->range, &stages, map->trace_context);
}

/* Holds back the marked pages among these whole ones, but not those that a pull waits for. */
static void map_hold_marked(struct pagein_map *map, struct range whole, const uint8_t *bytes)
{
	uint64_t end = (whole.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = whole.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t marked = block->held & block->asked & ~block->waiting &
				  block_range_mask(i, whole);

		while (marked) {
			uint64_t bit = marked & -marked;
			uint64_t offset = i * BLOCK_BYTES +
					  (uint64_t)__builtin_ctzll(marked) * PAGE_BYTES;

			marked &= ~bit;
			if (pull_waits_for(map, offset)) {
				block->held &= ~bit;
				continue;
			}
			block->asked &= ~bit;
			map_hold(map, offset, bytes + (offset - whole.start));
		}
	}
}

/* Holds back or fills what is asked for among these whole pages. */
static void map_take_pages(struct pagein_map *map, struct range pages, const uint8_t *bytes)
{
	uint64_t start = pages.start;

	if (map->memory->arrived)
		map->memory->arrived(map, pages, bytes);
	map_hold_marked(map, pages, bytes);
	while (!range_empty(pages)) {
		struct range run = map_run(map, pages, block_fillable);

		if (!range_empty(run))
			map_fill(map, run, bytes + (run.start - start));
		pages.start = run.end;
	}
}

/* The same, in units where the map has them. */
static void map_take(struct pagein_map *map, struct range pages, const uint8_t *bytes)
{
	while (map->units && !range_empty(pages)) {
		uint64_t end = align_down(pages.start, UNIT_BYTES) + UNIT_BYTES;
		struct range part = {pages.start, end < pages.end ? end : pages.end};

		if (!units_take(map, part, bytes))
			map_take_pages(map, part, bytes);
		bytes += range_length(part);
		pages.start = part.end;
	}
	if (!range_empty(pages))
		map_take_pages(map, pages, bytes);
}

/* The object's last page, if it is short: a whole page with zeros behind the bytes. */
static void map_take_last(struct pagein_map *map, struct range last, const uint8_t *bytes)
{
	uint8_t *scratch = context_scratch(map->object->context);
	size_t length = (size_t)range_length(last);

	memcpy(scratch, bytes, length);
	memset(scratch + length, 0, PAGE_BYTES - length);
	map_take(map, (struct range){last.start, last.start + PAGE_BYTES}, scratch);
}

void map_arrived(struct want *want, const struct arrival *arrival)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);
	struct range range = range_intersect(arrival->range, want->range);
	const uint8_t *bytes = arrival->bytes + (range.start - arrival->range.start);
	struct range whole = {range.start, align_down(range.end, PAGE_BYTES)};

	map->wait.rounds = 0;
	if (!range_empty(whole))
		map_take(map, whole, bytes);
	if (whole.end < range.end)
		map_take_last(
			map, (struct range){whole.end, range.end}, bytes + range_length(whole));
	if (map->trace)
		map_report(map, arrival);
}

void map_fill_cached(struct pagein_map *map, struct map_block *block, struct range page)
{
	uint64_t bit = block_range_mask(page.start / BLOCK_BYTES, page);
	uint64_t found_ns = map->trace ? clock_now_ns() : 0;
	const uint8_t *bytes = NULL;

	/* A held page is filled by map_ask(), and the object's short last one needs zeros. */
	if (page.end <= map->object->size && range_length(page) == PAGE_BYTES &&
		!map->memory->arrived && !(block->held & bit))
		bytes = object_touch(map->object->object, page.start);
	if (!bytes)
		return;
	context_counts(map->object->context)->fault_hits++;
	block->asked |= bit; /* M2, if it must be parked */
	map_fill(map, page, bytes);
	if (map->trace)
		map_report(map, &(struct arrival){
					.range = page,
					.stages.end_ns[STAGE_LAST_BYTE] = found_ns,
				});
}

/* ---- failures ----------------------------------------------------------------------------- */

void map_wake(struct pagein_map *map, struct range pages)
{
	struct range part;
	uintptr_t cursor = 0, address;

	while (extents_next(&map->extents, pages, &cursor, &part, &address))
		uffd_wake(&map->uffd, (void *)address, (size_t)range_length(part));
	map_answer(map, pages);
}

static void map_poison_page(struct pagein_map *map, void *address, struct range page)
{
	struct map_block *block = map_find_block(map, page.start / BLOCK_BYTES);

	int err = uffd_poison(&map->uffd, address, (size_t)range_length(page));

	/* Who waits here would ask again, and wait again, for as long as that is refused. */
	if (map->refused && (err == -EAGAIN || err == -ENOMEM))
		map_bar(map, page);
	if (err < 0 || !block)
		return;
	block->poisoned |= block_range_mask(page.start / BLOCK_BYTES, page);
	overlay_clean(map, page);
}

static void map_poison_pages(struct pagein_map *map, struct range pages)
{
	struct range part;
	uintptr_t cursor = 0, address;

	while (extents_next(&map->extents, pages, &cursor, &part, &address))
		for (uint64_t page = part.start; page < part.end; page += map->memory->page_bytes)
			map_poison_page(map, (void *)(address + (page - part.start)),
				(struct range){page, page + map->memory->page_bytes});
}

void map_poison(struct pagein_map *map, struct range pages)
{
	pages.start = align_down(pages.start, map->memory->page_bytes);
	pages.end = align_up(pages.end, map->memory->page_bytes);
	map->stats.poisoned += range_length(pages) / PAGE_BYTES;
	context_map_stats(map->object->context)->poisoned += range_length(pages) / PAGE_BYTES;
	/* Whose touches are asked about needs nothing that raises a signal: they all do. */
	if (!map->face->fills && map->uffd.features & UFFD_FEATURE_POISON)
		map_poison_pages(map, pages);
	else if (!map->face->fills)
		map_bar(map, pages);
	map_wake(map, pages);
	map_end_waits(map, pages);
}

/* Keeps the reason; the words are the newest failure's. */
static void block_fail(struct map_block *block, uint64_t mask, const struct failure *failure)
{
	free(block->error);
	block->error = failure->error ? strdup(failure->error) : NULL;
	block->err = -failure->err;
	block->status = failure->status;
	block->failed |= mask;
	block->waiting &= ~mask;
	block->writing &= ~mask;
	block->stranded &= ~mask;
}

void map_refuse_page(struct pagein_map *map, struct map_block *block, struct range page,
	const struct failure *failure)
{
	block_fail(block, block_range_mask(page.start / BLOCK_BYTES, page), failure);
	map_bar(map, page);
	map_wake(map, page);
	map_end_waits(map, page);
}

void map_failed(struct want *want, struct range range, const struct failure *failure)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);
	bool waits = map->flags & PAGEIN_WAIT && failure->passes;

	range.end = align_up(range.end, PAGE_BYTES);
	if (map->units)
		range = units_fail(map, range);
	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		uint64_t index = at / BLOCK_BYTES;
		struct map_block *block = map_find_block(map, index);
		uint64_t mask = block_range_mask(index, (struct range){at, range.end});
		uint64_t waiting;

		if (!block)
			continue;
		if (waits)
			mask &= ~map_strand(map, index, mask);
		waiting = block->waiting & mask;
		if (map->memory->release)
			map->memory->release(map, block, index, block->asked & mask);
		/* Those whose bytes are here stay held. */
		block->held &= ~(block->asked & mask);
		block->asked &= ~mask;
		if (waiting)
			block_fail(block, waiting, failure);
		while (waiting) {
			unsigned count, first = mask_take_run(&waiting, &count);
			uint64_t start = index * BLOCK_BYTES + first * PAGE_BYTES;

			map_poison(map, (struct range){start, start + count * PAGE_BYTES});
		}
	}
	pull_progress(map, range, waits ? NULL : failure);
}
