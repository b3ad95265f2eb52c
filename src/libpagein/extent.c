/*
 * extent.c - a small sorted array: a map is one extent until its owner cuts or moves it, so every
 * search is a scan.
 *
 * mremap(2) grows memory in place without an event. What it shows then goes on where the memory
 * below it ends, so an address of the map that no extent knows belongs to the nearest extent below
 * it. That must stay true when this is cut away, so a cut behind which there is memory leaves a
 * hole, which is an extent that shows nothing. What is below a hole may grow into it again.
 */
#include "extent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXTENTS_FIRST 8 /* a map moved in the middle, and cut twice; 256 bytes */

void extents_finish(struct extents *extents)
{
	free(extents->list);
	*extents = (struct extents){0};
}

/*
 * What can't be remembered as gone is unmapped with the map, though somebody else's memory may lie
 * there by then. So the first cuts and moves find room that was there from the beginning.
 */
static int extents_reserve(struct extents *extents, size_t more)
{
	size_t max = extents->max ? extents->max : EXTENTS_FIRST;
	struct extent *list;

	while (max < extents->count + more)
		max *= 2;
	if (max == extents->max)
		return 0;
	list = reallocarray(extents->list, max, sizeof *list);
	if (!list)
		return -ENOMEM;
	extents->list = list;
	extents->max = max;
	return 0;
}

static uintptr_t extent_end(const struct extent *extent)
{
	return extent->address + extent->length;
}

/* The object's offset of an address, if the extent reached so far. */
static uint64_t extent_offset(const struct extent *extent, uintptr_t address)
{
	return extent->offset + (address - extent->address);
}

/* The part of an extent that lies in [start, end); its length is 0 if none does. */
static struct extent extent_part(const struct extent *extent, uintptr_t start, uintptr_t end)
{
	uintptr_t from = start > extent->address ? start : extent->address;
	uintptr_t to = end < extent_end(extent) ? end : extent_end(extent);

	if (from >= to)
		return (struct extent){0};
	return (struct extent){from, to - from, extent_offset(extent, from), extent->hole};
}

/* The lowest extent that begins above the address; the one before it may hold it. */
static size_t extents_above(const struct extents *extents, uintptr_t address)
{
	size_t i = 0;

	while (i < extents->count && extents->list[i].address <= address)
		i++;
	return i;
}

/* There is room for it, and it overlaps none. */
static void extents_insert(struct extents *extents, struct extent extent)
{
	size_t i = 0;

	/* An empty one at the same address comes first. */
	while (i < extents->count && extent_end(&extents->list[i]) <= extent.address)
		i++;
	memmove(&extents->list[i + 1], &extents->list[i],
		(extents->count - i) * sizeof *extents->list);
	extents->list[i] = extent;
	extents->count++;
}

/* Does the upper one only go on where the lower one ends? */
static bool extent_continues(const struct extent *lower, const struct extent *upper)
{
	return extent_end(lower) == upper->address && !lower->hole && !upper->hole &&
	       extent_offset(lower, upper->address) == upper->offset;
}

/* Joins what belongs together, and drops the holes behind which no unknown memory can be. */
static void extents_join(struct extents *extents)
{
	size_t count = 0;

	for (size_t i = 0; i < extents->count; i++) {
		struct extent extent = extents->list[i];
		struct extent *below = count > 0 ? &extents->list[count - 1] : NULL;

		if (below && extent_continues(below, &extent)) {
			below->length += extent.length;
			continue;
		}
		if (below && below->hole && extent_end(below) >= extent.address) {
			/* Of two holes the upper one tells what comes behind them. */
			if (extent.hole)
				extent = (struct extent){below->address,
					extent_end(&extent) - below->address,
					extent_offset(&extent, below->address), true};
			count--;
		}
		extents->list[count++] = extent;
	}
	extents->count = count;
}

int extents_add(struct extents *extents, struct extent extent)
{
	if (extents_reserve(extents, 1) < 0)
		return -ENOMEM;
	extents_insert(extents, extent);
	extents_join(extents);
	return 0;
}

/* There is room for one more: at most one is split in two. */
static void extents_remove(struct extents *extents, uintptr_t start, uintptr_t end)
{
	struct extent split = {0};
	size_t count = 0;

	for (size_t i = 0; i < extents->count; i++) {
		struct extent whole = extents->list[i];
		struct extent left = extent_part(&whole, 0, start);
		struct extent right = extent_part(&whole, end, UINTPTR_MAX);

		if (whole.length == 0 && (whole.address < start || whole.address >= end))
			left = whole;
		if (left.length > 0 && right.length > 0)
			split = right;
		if (left.length > 0 || left.hole)
			extents->list[count++] = left;
		else if (right.length > 0)
			extents->list[count++] = right;
	}
	extents->count = count;
	if (split.length > 0)
		extents_insert(extents, split);
}

/*
 * Replaces what is known of [start, end). What is known of the memory behind it stays. There is
 * room for two more than these.
 */
static void extents_replace(struct extents *extents, uintptr_t start, uintptr_t end,
	const struct extent *list, size_t count)
{
	size_t above = extents_above(extents, end - 1);
	struct extent below = above > 0 ? extents->list[above - 1] : (struct extent){0};

	extents_remove(extents, start, end);
	for (size_t i = 0; i < count; i++)
		extents_insert(extents, list[i]);
	if (below.hole && extent_end(&below) == end)
		extents_insert(extents, (struct extent){end, 0, extent_offset(&below, end), true});
	extents_join(extents);
}

/* There is memory at `address`: what has grown into the hole there, if it was one. */
static void extents_empty_hole(struct extents *extents, uintptr_t address)
{
	size_t above = extents_above(extents, address);
	struct extent *hole = above > 0 ? &extents->list[above - 1] : NULL;

	if (hole && hole->hole && extent_end(hole) > address)
		*hole = (struct extent){
			extent_end(hole), 0, extent_offset(hole, extent_end(hole)), true};
}

void extents_drop_hole(struct extents *extents, uintptr_t address)
{
	size_t above = extents_above(extents, address);
	struct extent *hole = extents->list + above - 1;

	if (above == 0 || !hole->hole || extent_end(hole) != address)
		return;
	extents->count--;
	memmove(hole, hole + 1, (extents->count - (above - 1)) * sizeof *hole);
}

/* How many are below an unknown address: inside of a hole it is not the hole's. */
static size_t extents_below(const struct extents *extents, uintptr_t address)
{
	size_t count = extents_above(extents, address);

	return count - (count > 0 && address < extent_end(&extents->list[count - 1]));
}

bool extents_hole_below(const struct extents *extents, uintptr_t address, uintptr_t *ret_end)
{
	size_t below = extents_below(extents, address);

	if (below == 0 || !extents->list[below - 1].hole)
		return false;
	*ret_end = extent_end(&extents->list[below - 1]);
	return true;
}

int extents_cut(struct extents *extents, uintptr_t start, uintptr_t end, bool more)
{
	size_t above = extents_above(extents, end - 1);
	struct extent hole = {start, end - start, 0, true};

	if (extents_reserve(extents, 2) < 0)
		return -ENOMEM;
	if (above == 0)
		return 0;
	hole.offset = extent_offset(&extents->list[above - 1], start);
	extents_remove(extents, start, end);
	if (more) {
		extents_empty_hole(extents, end);
		extents_insert(extents, hole);
	} else {
		extents_drop_hole(extents, start);
	}
	extents_join(extents);
	return 0;
}

int extents_copy(struct extents *extents, uintptr_t from, uintptr_t to, size_t length)
{
	size_t above = extents_above(extents, from);
	struct extents copies = {0};
	int err = 0;

	/* What has grown there unseen goes on from its beginning, too. */
	if (above > 0)
		err = extents_add(
			&copies, (struct extent){to, 0,
					 extent_offset(&extents->list[above - 1], from), true});
	for (size_t i = 0; i < extents->count && err == 0; i++) {
		struct extent part = extent_part(&extents->list[i], from, from + length);

		part.address = part.address - from + to;
		if (part.length > 0)
			err = extents_add(&copies, part);
	}
	if (err == 0)
		err = extents_reserve(extents, copies.count + 2);
	if (err == 0)
		extents_replace(extents, to, to + length, copies.list, copies.count);
	extents_finish(&copies);
	return err;
}

int extents_grow(struct extents *extents, uintptr_t address, size_t page_bytes)
{
	size_t count = extents_below(extents, address);
	uintptr_t end = address + page_bytes, from;
	struct extent below, grown;

	if (count == 0)
		return -ENOENT;
	if (extents_reserve(extents, 3) < 0)
		return -ENOMEM;
	below = extents->list[count - 1];
	from = extent_end(&below);
	grown = (struct extent){from, end - from, extent_offset(&below, from), false};
	extents_replace(extents, from, end, &grown, 1);
	return 0;
}

bool extents_find(const struct extents *extents, uintptr_t address, uint64_t *ret_offset)
{
	size_t above = extents_above(extents, address);
	const struct extent *extent = above > 0 ? &extents->list[above - 1] : NULL;

	if (!extent || extent->hole || address - extent->address >= extent->length)
		return false;
	*ret_offset = extent_offset(extent, address);
	return true;
}

bool extents_next(const struct extents *extents, struct range range, uintptr_t *cursor,
	struct range *ret_part, uintptr_t *ret_address)
{
	for (size_t i = 0; i < extents->count; i++) {
		const struct extent *extent = &extents->list[i];
		struct range part = range_intersect(
			range, (struct range){extent->offset, extent->offset + extent->length});
		uintptr_t address = extent->address + (uintptr_t)(part.start - extent->offset);

		if (extent->hole || range_empty(part) || address < *cursor)
			continue;
		*ret_part = part;
		*ret_address = address;
		*cursor = address + (uintptr_t)range_length(part);
		return true;
	}
	return false;
}
