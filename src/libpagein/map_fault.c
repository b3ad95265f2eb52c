/*
 * map_fault.c - what a map's userfaultfd says: faults and events.
 *
 * On the loop. The kernel hands out all faults before any event, whatever order they came in, so
 * a batch is read whole, the events in it are applied first, and then its faults are served: a
 * fault never fills an address that an event has taken away. When more faults are queued than a
 * batch holds, an event may still be behind them; until it is read, the kernel refuses all fills.
 *
 * Threads that touch neighbouring pages at the same time come in one batch; what they wait for is
 * one range, and becomes one request.
 *
 * Cost: one read(2) for up to MESSAGES_MAX messages; a short read says that there are no more.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "clock.h"
#include "map_private.h"

#define MESSAGES_MAX 64
#define CACHED_AHEAD_BYTES (UINT64_C(256) << 10) /* some 50 us of copying */

/* What lay at [start, end) is absent now. The range of the object that holds all of it. */
static struct range map_forget_at(struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	struct range hull = {UINT64_MAX, 0};

	for (size_t i = 0; i < map->extents.count; i++) {
		const struct extent *extent = &map->extents.list[i];
		uintptr_t from = start > extent->address ? start : extent->address;
		uintptr_t extent_end = extent->address + extent->length;
		uintptr_t to = end < extent_end ? end : extent_end;
		struct range range = {.start = extent->offset + (from - extent->address)};

		if (from >= to || extent->hole)
			continue;
		range.end = range.start + (to - from);
		map_forget(map, range);
		hull.start = range.start < hull.start ? range.start : hull.start;
		hull.end = range.end > hull.end ? range.end : hull.end;
	}
	return hull;
}

/* Is there memory at this address, whose ever? */
static bool is_mapped(uintptr_t address)
{
	unsigned char resident;

	return mincore((void *)address, PAGE_BYTES, &resident) == 0 || errno != ENOMEM;
}

static void map_event_unmap(struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	struct range gone = map_forget_at(map, start, end);

	/* Out of memory: a fill there gets ENOENT, and its fault goes unserved. */
	(void)extents_cut(&map->extents, start, end, is_mapped(end));
	/* The kernel lets them wait on, though no fill will ever go there. */
	uffd_wake(&map->uffd, (void *)start, end - start);
	if (!range_empty(gone))
		map_abandon(map, gone);
}

/*
 * The old place is left as it is: UNMAP takes it away, which comes next unless it was
 * MREMAP_DONTUNMAP, after which both places show the same. Faults at the new place that came before
 * this message were taken for growth of what lies below it: they come again.
 */
static void map_event_remap(struct pagein_map *map, uintptr_t from, uintptr_t to, uintptr_t length)
{
	(void)extents_copy(&map->extents, from, to, length);
	uffd_wake(&map->uffd, (void *)from, length);
	uffd_wake(&map->uffd, (void *)to, length);
}

static void map_event(struct pagein_map *map, const struct uffd_msg *message)
{
	if (map->closing)
		return;
	switch (message->event) {
	case UFFD_EVENT_REMOVE:
		map_forget_at(map, (uintptr_t)message->arg.remove.start,
			(uintptr_t)message->arg.remove.end);
		break;
	case UFFD_EVENT_UNMAP:
		map_event_unmap(map, (uintptr_t)message->arg.remove.start,
			(uintptr_t)message->arg.remove.end);
		break;
	case UFFD_EVENT_REMAP:
		map_event_remap(map, (uintptr_t)message->arg.remap.from,
			(uintptr_t)message->arg.remap.to, (uintptr_t)message->arg.remap.len);
		break;
	}
}

/*
 * No extent knows the address: mremap(2) has grown the map in place, which no event tells, or has
 * moved it here, of which the event is still to come. In the second case what is done now is
 * wrong, and harmless: until the event has been read every fill gets EAGAIN, and is parked.
 */
static bool map_fault_unknown(struct pagein_map *map, uintptr_t page, uint64_t *ret_offset)
{
	if (map_grow(map, page) == 0 && extents_find(&map->extents, page, ret_offset))
		return true;
	uffd_wake(&map->uffd, (void *)page, PAGE_BYTES);
	return false;
}

/*
 * What the object has cached is filled as soon as it is asked for. While it is, others' faults
 * wait, so of that only little is asked for at once; and it can't be held back: the mark goes to
 * the next page that must be fetched. The requests must fit into the cache. M2: what can't be asked
 * for is not to be planned.
 */
static void map_amend_plan(struct pagein_map *map, struct range pages, struct readahead_plan *plan)
{
	struct object *object = map->object->object;
	struct range ahead = range_empty(plan->ahead) ? (struct range){pages.end, plan->first.end}
						      : plan->ahead;
	uint64_t mark = plan->mark, end;

	if (context_cache_bytes(map->object->context) == 0 || range_empty(ahead))
		return;
	/* Of pieces the mark alone may be here already: the reader is seen at the first that is
	 * not. */
	if (plan->stride_bytes != 0 || ahead.start < pages.start) {
		readahead_amend_stride(&map->readahead, plan, object_requests_max(object));
		return;
	}
	end = object_limit_requests(object, ahead, plan->chunk_bytes).end;
	end = object_limit_present(object, (struct range){ahead.start, end}, CACHED_AHEAD_BYTES)
		      .end;
	if (mark < ahead.start || mark >= end)
		mark = ahead.start;
	while (mark < end && object_present(object, (struct range){mark, mark + PAGE_BYTES}))
		mark += PAGE_BYTES;
	if (mark != plan->mark || end < ahead.end)
		readahead_amend(&map->readahead, plan, end, mark < end ? mark : UINT64_MAX);
}

/* Asks for what is worth having ahead; -errno: not for all of it. */
static int map_fetch_ahead(struct pagein_map *map, const struct readahead_plan *plan)
{
	int err = 0;

	if (range_empty(plan->ahead))
		return 0;
	for (uint64_t i = 0; i < plan->pieces && err == 0; i++)
		err = map_ask(map, readahead_piece(plan, i), 0, plan->chunk_bytes);
	return err;
}

/* Asks for the pages, and for what is worth having ahead of them. */
static void map_fetch(struct pagein_map *map, struct range pages)
{
	struct readahead_conditions conditions = object_conditions(map->object->object);
	struct readahead_plan plan;
	struct map_block *marked;

	conditions.object_size = map_pages(map).end;
	plan = readahead_plan(&map->readahead, pages, &conditions);
	map_amend_plan(map, pages, &plan);
	if (map_ask(map, plan.first, range_length(pages), plan.chunk_bytes) < 0)
		return;
	if (map_fetch_ahead(map, &plan) < 0)
		return;
	marked = plan.mark == UINT64_MAX ? NULL : map_find_block(map, plan.mark / BLOCK_BYTES);
	/* What is here already can't be held back. */
	if (marked)
		marked->held |= marked->asked & UINT64_C(1)
							<< (plan.mark % BLOCK_BYTES / PAGE_BYTES);
}

/* true: the page must be fetched. */
static bool map_fault_page(struct pagein_map *map, struct map_block *block, struct range page)
{
	uint64_t bit = block_range_mask(page.start / BLOCK_BYTES, page);

	if (block->resident & bit) {
		/* Queued before it was filled, or gone without a word: M3. */
		map_count_resident(map, block->resident, block->resident & ~bit);
		block->resident &= ~bit;
		map_wake(map, page);
		return false;
	}
	block->failed &= ~bit;
	block->waiting |= bit;
	/* Before all that is planned from here. */
	map_fill_cached(map, block, page);
	return true;
}

/* true: *ret must be fetched. */
static bool map_fault(struct pagein_map *map, uintptr_t address, struct range *ret)
{
	struct map_block *block;

	address = (uintptr_t)align_down(address, PAGE_BYTES);
	map->stats.faults++;
	context_map_stats(map->object->context)->faults++;
	/* It waits until the addresses are PROT_NONE: pagein_unmap(). */
	if (map->closing)
		return false;
	if (!extents_find(&map->extents, address, &ret->start) &&
		!map_fault_unknown(map, address, &ret->start))
		return false;
	ret->end = ret->start + PAGE_BYTES;
	/* A page that has no byte of the object: SIGBUS. pagein_error() knows why by its place. */
	if (ret->start >= map_pages(map).end) {
		map_poison(map, *ret);
		return false;
	}
	block = map_block(map, ret->start / BLOCK_BYTES);
	if (!block)
		map_poison(map, *ret);
	return block && map_fault_page(map, block, *ret);
}

static int by_start(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

/* Faults of one batch: neighbours, and several on one page, become one range. */
static void map_fetch_all(struct pagein_map *map, struct range *pages, size_t count)
{
	size_t next;

	if (count > 1)
		qsort(pages, count, sizeof *pages, by_start);
	for (size_t i = 0; i < count; i = next) {
		for (next = i + 1; next < count && pages[next].start <= pages[i].end; next++)
			pages[i].end = pages[next].end;
		map_fetch(map, pages[i]);
	}
}

void map_ready(struct loop_fd *fd, uint32_t events)
{
	struct pagein_map *map = container_of(fd, struct pagein_map, fd);
	struct uffd_msg messages[MESSAGES_MAX];
	struct range pages[MESSAGES_MAX];
	size_t count = uffd_read(&map->uffd, messages, MESSAGES_MAX), wanted = 0;

	(void)events;
	if (map->trace)
		map->event_ns = clock_now_ns();
	for (size_t i = 0; i < count; i++)
		if (messages[i].event != UFFD_EVENT_PAGEFAULT)
			map_event(map, &messages[i]);
	for (size_t i = 0; i < count; i++)
		if (messages[i].event == UFFD_EVENT_PAGEFAULT)
			wanted += map_fault(
				map, (uintptr_t)messages[i].arg.pagefault.address, &pages[wanted]);
	map_fetch_all(map, pages, wanted);
	/* The requests are under way: this time costs nobody anything. */
	map_reserve(map);
}
