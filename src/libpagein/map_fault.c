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
#include <sched.h>
#include <stdlib.h>

#include "address.h"
#include "clock.h"
#include "face.h"
#include "map_limit.h"
#include "probe.h"
#include "trace.h"

#define MESSAGES_MAX 64
#define CACHED_AHEAD_BYTES (UINT64_C(256) << 10) /* some 50 us of copying */

/* The part of an extent's range of the object that lies at [start, end). */
static struct range extent_range(const struct extent *extent, uintptr_t start, uintptr_t end)
{
	struct range whole = {extent->address, extent->address + extent->length};
	struct range part = range_intersect(whole, (struct range){start, end});

	if (extent->hole || range_empty(part))
		return (struct range){0, 0};
	return (struct range){extent->offset + (part.start - extent->address),
		extent->offset + (part.end - extent->address)};
}

/* What lies at [start, end) is absent now. */
static void map_forget_at(struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	for (size_t i = 0; i < map->extents.count; i++) {
		struct range range = extent_range(&map->extents.list[i], start, end);

		if (!range_empty(range))
			map_forget(map, range);
	}
}

/* The range of the object that holds all of what lies at [start, end); empty: nothing does. */
static struct range map_range_at(const struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	struct range hull = {UINT64_MAX, 0};

	for (size_t i = 0; i < map->extents.count; i++) {
		struct range range = extent_range(&map->extents.list[i], start, end);

		if (range_empty(range))
			continue;
		hull.start = range.start < hull.start ? range.start : hull.start;
		hull.end = range.end > hull.end ? range.end : hull.end;
	}
	return hull;
}

/*
 * May there be unseen memory of the map at `end`? Its thread has gone on since the event was read:
 * what is there may be something else, which map_grow() finds out when it is touched. To ask whose
 * it is now could take what that thread is putting there.
 */
static bool map_may_go_on(struct pagein_map *map, uintptr_t end)
{
	return !map->origin && uffd_is_taken(context_probe_fd(map->object->context), (void *)end,
				       map->memory->page_bytes);
}

static void map_event_unmap(struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	struct range gone = map_range_at(map, start, end);

	/* Out of memory: a fill there gets ENOENT. */
	if (extents_cut(&map->extents, start, end, map_may_go_on(map, end)) < 0)
		map->blind = map->lost = true;
	map->moved = true;
	/* The kernel lets them wait on, though no fill will ever go there. */
	uffd_wake(&map->uffd, (void *)start, end - start);
	map_answer(map, (struct range){0, UINT64_MAX});
	if (map->units && !range_empty(gone))
		units_break(map, gone);
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
	if (extents_copy(&map->extents, from, to, length) < 0)
		map->blind = map->lost = true;
	map->moved = true;
	map_answer(map, (struct range){0, UINT64_MAX});
	uffd_wake(&map->uffd, (void *)from, length);
	uffd_wake(&map->uffd, (void *)to, length);
}

void map_event(struct pagein_map *map, const struct uffd_msg *message)
{
	if (map->closing)
		return;
	if (map->origin)
		serve_forward(map, message);
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
	/* Whom it was about goes on since it was read. */
	map_show(map);
}

void map_wake_all(struct pagein_map *map)
{
	for (size_t i = 0; i < map->extents.count; i++)
		uffd_wake(&map->uffd, (void *)map->extents.list[i].address,
			map->extents.list[i].length);
}

/*
 * No extent knows the address: mremap(2) has grown the map in place, which no event tells, or has
 * moved it here, of which the event is still to come. While there may be one, they ask again: what
 * was taken for growth would stay known behind what the event then says. So do those of a batch
 * with events, which may have been before them, at memory that is gone; UNMAP wakes all others. But
 * where the map could not remember a place for want of memory they would ask for ever: SIGBUS.
 */
static bool map_fault_unknown(struct pagein_map *map, uintptr_t page, uint64_t *ret_offset)
{
	if (!map->is_stale && map_grow(map, page) && extents_find(&map->extents, page, ret_offset))
		return true;
	if (map->blind)
		(void)uffd_poison(&map->uffd, (void *)page, map->memory->page_bytes);
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
	if (map->limit)
		conditions.memory_bytes = limit_ahead_bytes(map->limit, map);
	conditions.unit_bytes = map->units ? UNIT_BYTES : 0;
	plan = readahead_plan(&map->readahead, pages, &conditions);
	map_amend_plan(map, pages, &plan);
	if (map->limit)
		map_note_lone(map, pages, &plan);
	if (map_ask(map, plan.first, range_length(pages), plan.chunk_bytes) < 0)
		return;
	if (map_fetch_ahead(map, &plan) < 0)
		return;
	marked = plan.mark == UINT64_MAX ? NULL : map_find_block(map, plan.mark / BLOCK_BYTES);
	/* What is here already can't be held back. */
	if (marked)
		marked->held |= (marked->asked | marked->staged) &
				UINT64_C(1) << (plan.mark % BLOCK_BYTES / PAGE_BYTES);
}

/* Somebody waits for the page, which may be as large as its memory makes it. */
static void map_mark_waiting(struct pagein_map *map, struct range page)
{
	for (uint64_t at = page.start; at < page.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		struct map_block *block = map_block(map, at / BLOCK_BYTES);
		uint64_t mask = block_range_mask(at / BLOCK_BYTES, page);

		if (!block)
			continue; /* map_ask() will say so */
		block->failed &= ~mask;
		block->waiting |= mask;
	}
}

/* true: the page must be fetched. */
static bool map_fault_page(
	struct pagein_map *map, struct map_block *block, struct range page, bool writes)
{
	uint64_t bit = block_range_mask(page.start / BLOCK_BYTES, page);

	if (block->resident & bit) {
		/* Queued before it was filled, or gone without a word: M3. A limit must not lose
		 * sight of what is there. */
		if (map->limit && map_is_present(map, page)) {
			map_wake(map, page);
			map_end_waits(map, page);
			return false;
		}
		map_forget(map, page);
		map_wake(map, page);
		map_end_waits(map, page);
		return false;
	}
	map_mark_waiting(map, page);
	block->writing |= writes ? bit : 0;
	if (map->limit)
		map_refill(map, page);
	/* Before all that is planned from here. */
	map_fill_cached(map, block, page);
	return true;
}

/* Who waits for this page? false: it can't be remembered, so nothing would end its wait. */
static bool map_know_thread(struct pagein_map *map, const struct uffd_msg *message, uint64_t offset)
{
	uint32_t tid = message->arg.pagefault.feat.ptid;

	map_begin_wait(map, map->event_ns);
	return tid == 0 || threads_begin(&map->threads, (int32_t)tid, offset, map->event_ns);
}

/* true: *ret must be fetched. */
static bool map_fault(struct pagein_map *map, const struct uffd_msg *message, struct range *ret)
{
	uintptr_t address = (uintptr_t)align_down(message->arg.pagefault.address, PAGE_BYTES);
	uint64_t flags = message->arg.pagefault.flags;
	struct map_block *block;
	bool known;

	map->stats.faults++;
	context_map_stats(map->object->context)->faults++;
	object_count_use(map->object->object, 1, 0);
	/* It waits until the addresses are PROT_NONE: pagein_unmap(). */
	if (map->closing)
		return false;
	if (!extents_find(&map->extents, address, &ret->start) &&
		!map_fault_unknown(map, address, &ret->start))
		return false;
	ret->start = align_down(ret->start, map->memory->page_bytes);
	ret->end = ret->start + map->memory->page_bytes;
	STAGE_PROBE(event, ret->start, range_length(*ret), object_remote(map->object->object));
	known = map_know_thread(map, message, ret->start);
	trace_access(map->object->object, *ret, (int32_t)message->arg.pagefault.feat.ptid);
	if (flags & UFFD_PAGEFAULT_FLAG_WP) {
		overlay_write(map, address, *ret);
		return false;
	}
	/* A page that has no byte of the object: SIGBUS. pagein_error() knows why by its place. */
	if (ret->start >= map_pages(map).end) {
		map_poison(map, *ret);
		return false;
	}
	*ret = range_intersect(*ret, map_pages(map));
	block = known ? map_block(map, ret->start / BLOCK_BYTES) : NULL;
	if (!block) {
		map_note_blind(map, ret->start);
		map_poison(map, *ret);
	}
	if (block && map->units &&
		block->staged & block_range_mask(ret->start / BLOCK_BYTES, *ret)) {
		*ret = units_fault(map, block, *ret);
		return true;
	}
	return block && map_fault_page(map, block, *ret, flags & UFFD_PAGEFAULT_FLAG_WRITE);
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

void map_fault_at(struct pagein_map *map, uintptr_t address, uint32_t tid)
{
	const struct uffd_msg message = {
		.event = UFFD_EVENT_PAGEFAULT,
		.arg.pagefault = {.address = address, .feat.ptid = tid},
	};
	struct range page;

	if (map_fault(map, &message, &page))
		map_fetch_all(map, &page, 1);
	map_reserve(map);
}

static void map_read(struct pagein_map *map)
{
	struct uffd_msg messages[MESSAGES_MAX];
	struct range pages[MESSAGES_MAX];
	size_t count = uffd_read(&map->uffd, messages, MESSAGES_MAX), wanted = 0;

	map->event_ns = clock_now_ns();
	map->is_stale = false;
	for (size_t i = 0; i < count; i++)
		if (messages[i].event != UFFD_EVENT_PAGEFAULT) {
			map_event(map, &messages[i]);
			map->is_stale = true;
		}
	for (size_t i = 0; i < count; i++)
		if (messages[i].event == UFFD_EVENT_PAGEFAULT)
			wanted += map_fault(map, &messages[i], &pages[wanted]);
	map->is_stale = false;
	map_show(map);
	map_fetch_all(map, pages, wanted);
	/* The requests are under way: this time costs nobody anything. */
	map_reserve(map);
	threads_reserve(&map->threads);
}

void map_ready(struct loop_fd *fd, uint32_t events)
{
	struct pagein_map *map = container_of(fd, struct pagein_map, fd);

	(void)events;
	/* epoll says so again, and the handler that has no CPU gets this one. */
	if (!face_close_gate(map->face)) {
		sched_yield();
		return;
	}
	address_change_begin();
	map_read(map);
	address_change_end();
	if (!map->closing)
		face_open_gate(map->face);
}
