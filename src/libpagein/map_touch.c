/*
 * map_touch.c - both sides of a touch that raised a signal: the thread's, in its handler, and the
 * loop's.
 *
 * Two kinds of maps raise one. With PAGEIN_INLINE a page that is absent is SIGBUS
 * (UFFD_FEATURE_SIGBUS) and no message: the handler fills it from the object's cache (face.c), or
 * asks the loop, which does as it does for a fault, and answers when the page is filled or has
 * failed. Such a map's failed pages are not poisoned: their touch comes to be asked about as well,
 * and a bit says that they have failed. Of all other maps a signal is what poison raises, or
 * PROT_NONE where there is none (map_bar.c); the handler asks only for a guard, which wants to know
 * if it was that, and why.
 *
 * What the thread asks is answered from the addresses as the loop knows them, not from those that
 * the handler has looked up. An answer that it is none of ours counts only if nothing has changed
 * meanwhile.
 *
 * On the loop the asks of a map hang in map->asks: each has its bit in `waiting`, and everything
 * that clears such a bit calls map_answer().
 */
#include "map_touch.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "face.h"
#include "map_private.h"
#include "probe.h"

/* ---- the thread: in a signal handler --------------------------------------------------------- */

/* Is it a place for us? A map may have moved there a moment ago. */
static bool place_find(uintptr_t address, bool guarded, struct address_place *ret)
{
	for (int tries = 0; tries < 2; tries++) {
		if (tries > 0)
			address_settle();
		if (!address_find(address, ret))
			continue;
		if (ret->face->fills || (ret->known && guarded))
			return true;
		address_leave(ret->face);
	}
	return false;
}

static enum ask_answer touch_ask(
	struct map_face *face, int number, uintptr_t address, const sigset_t *open, int *ret_err)
{
	static const struct timespec nap = {0, 1000000};
	struct ask *ask = ask_push(face->asks, face, address, number);

	/* The loop keeps the map until it has answered. */
	address_leave(face);
	if (ask)
		return ask_wait(ask, open, ret_err);
	/* libc's is a cancellation point. */
	syscall(SYS_nanosleep, &nap, NULL);
	return ASK_AGAIN;
}

enum ask_answer touch_resolve(
	int number, uintptr_t address, bool guarded, const sigset_t *open, int *ret_err)
{
	uint64_t before = address_sequence();
	uintptr_t page = address & ~(uintptr_t)(PAGE_BYTES - 1);
	struct address_place place;
	enum ask_answer answer;

	if (!place_find(address, guarded, &place))
		return ASK_FOREIGN;
	if (number == SIGBUS && place.known &&
		face_fill(place.face, page, place.offset - (address - page))) {
		address_leave(place.face);
		return ASK_AGAIN;
	}
	answer = touch_ask(place.face, number, address, open, ret_err);
	if (answer == ASK_FOREIGN && address_settle() != before)
		return ASK_AGAIN;
	if (answer == ASK_AGAIN && place.known)
		STAGE_PROBE(resume, place.offset - (address - page), probe_variable(PAGE_BYTES),
			place.face);
	return answer;
}

/* ---- the loop ------------------------------------------------------------------------------ */

void map_fold(struct pagein_map *map)
{
	struct pagein_stats *all = context_map_stats(map->object->context);
	uint64_t index, pages, filled;

	if (!map->face->fills)
		return;
	while (face_next_filled(map->face, &index, &pages)) {
		struct map_block *block = map_block(map, index);
		uint64_t before = block ? block->resident : 0;

		if (!block)
			continue;
		block->failed &= ~pages;
		/* M1: what is asked for will be found there when it comes. */
		block->resident |= pages & ~block->asked;
		map_count_resident(map, before, block->resident);
	}
	filled = face_count(map->face);
	map->stats.fills += filled;
	map->stats.bytes_filled += filled * PAGE_BYTES;
	all->fills += filled;
	all->bytes_filled += filled * PAGE_BYTES;
	object_count_use(map->object->object, 0, filled * PAGE_BYTES);
}

/* Why the page at this offset can't be had; 0: it may be. */
static int map_failure(struct pagein_map *map, uint64_t offset)
{
	struct map_block *block;

	if (offset >= map_pages(map).end)
		return -ENXIO;
	block = map_find_block(map, offset / BLOCK_BYTES);
	return block && (block->failed >> (offset % BLOCK_BYTES / PAGE_BYTES) & 1) ? -block->err
										   : 0;
}

void map_answer(struct pagein_map *map, struct range range)
{
	list_for_each_safe (node, &map->asks) {
		struct ask *ask = list_entry(node, struct ask, node);
		int err;

		if (ask->offset < range.start || ask->offset >= range.end)
			continue;
		err = map->closing ? 0 : map_failure(map, ask->offset);
		list_remove(node);
		ask_answer(ask, err < 0 ? ASK_FAILED : ASK_AGAIN, err);
	}
}

/* Withdrawn ones: their threads are back, or will come again. */
static void map_tidy_asks(struct pagein_map *map)
{
	list_for_each_safe (node, &map->asks) {
		struct ask *ask = list_entry(node, struct ask, node);

		if (!ask_is_withdrawn(ask))
			continue;
		list_remove(node);
		ask_answer(ask, ASK_AGAIN, 0);
	}
}

/* What lies at the address; memory that mremap(2) has grown is the map's, too. */
static enum ask_answer map_locate(struct pagein_map *map, uintptr_t address, uint64_t *ret_offset)
{
	uintptr_t page = (uintptr_t)align_down(address, PAGE_BYTES);

	if (extents_find(&map->extents, address, ret_offset))
		return ASK_FAILED;
	if (map->lost || !map_owns(map, page))
		return ASK_FOREIGN;
	if (!map_grow(map, page))
		return ASK_AGAIN;
	map_show(map);
	return extents_find(&map->extents, address, ret_offset) ? ASK_FAILED : ASK_AGAIN;
}

/* A guard's question about PROT_NONE, which may be the application's own. */
static void map_tell_touch(struct pagein_map *map, struct ask *ask)
{
	uint64_t offset;
	int err = 0;

	if (extents_find(&map->extents, ask->address, &offset))
		err = map_failure(map, offset);
	ask_answer(ask, err < 0 ? ASK_FAILED : ASK_FOREIGN, err);
}

/*
 * An absent page, or one that has failed. Poison of which nothing is known any more (a failed page
 * at two addresses, retried at one) is filled as well, which heals it.
 */
static void map_serve_touch(struct pagein_map *map, struct ask *ask)
{
	enum ask_answer answer = map_locate(map, ask->address, &ask->offset);
	int err;

	if (answer != ASK_FAILED) {
		ask_answer(ask, answer, 0);
		return;
	}
	ask->offset = align_down(ask->offset, PAGE_BYTES);
	err = map_failure(map, ask->offset);
	if (err == 0 && !map_block(map, ask->offset / BLOCK_BYTES)) {
		map->blind = true; /* for pagein_error() */
		err = -ENOMEM;
	}
	if (err < 0) {
		ask_answer(ask, ASK_FAILED, err);
		return;
	}
	map_tidy_asks(map);
	list_append(&map->asks, &ask->node);
	map->event_ns = clock_now_ns();
	map_fault_at(map, ask->address, ask->tid);
}

void map_asked(struct ask *ask)
{
	struct pagein_map *map = ask->face->map;

	map_fold(map);
	if (ask->number == 0) {
		ask_answer(ask, ASK_AGAIN, 0);
	} else if (map->closing) {
		/* Until the addresses are PROT_NONE: pagein_unmap(). */
		list_append(&map->asks, &ask->node);
	} else if (map->is_served) {
		/* Only the parent knows more. */
		ask_answer(ask, ASK_FAILED, -EIO);
	} else if (ask->number == SIGBUS) {
		map_serve_touch(map, ask);
	} else {
		map_tell_touch(map, ask);
	}
}
