/*
 * extent.c - a small sorted array: a map is one extent until its owner cuts or moves it, so every
 * search is a scan.
 */
#include "extent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void extents_finish(struct extents *extents)
{
	free(extents->list);
	*extents = (struct extents){0};
}

static int extents_reserve(struct extents *extents, size_t more)
{
	size_t max = extents->max ? extents->max : 1;
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

int extents_add(struct extents *extents, struct extent extent)
{
	size_t i = extents->count;

	if (extents_reserve(extents, 1) < 0)
		return -ENOMEM;
	for (; i > 0 && extents->list[i - 1].address > extent.address; i--)
		extents->list[i] = extents->list[i - 1];
	extents->list[i] = extent;
	extents->count++;
	return 0;
}

/* The part of an extent that lies in [start, end); its length is 0 if none does. */
static struct extent extent_part(const struct extent *extent, uintptr_t start, uintptr_t end)
{
	uintptr_t extent_end = extent->address + extent->length;
	uintptr_t from = start > extent->address ? start : extent->address;
	uintptr_t to = end < extent_end ? end : extent_end;

	if (from >= to)
		return (struct extent){0};
	return (struct extent){from, to - from, extent->offset + (from - extent->address)};
}

int extents_cut(struct extents *extents, uintptr_t start, uintptr_t end)
{
	/* At most one is split in two. */
	if (extents_reserve(extents, 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < extents->count;) {
		struct extent whole = extents->list[i];
		struct extent left = extent_part(&whole, 0, start);
		struct extent right = extent_part(&whole, end, UINTPTR_MAX);
		size_t keep = (left.length > 0) + (size_t)(right.length > 0);

		memmove(&extents->list[i + keep], &extents->list[i + 1],
			(extents->count - i - 1) * sizeof whole);
		extents->count = extents->count - 1 + keep;
		if (left.length > 0)
			extents->list[i++] = left;
		if (right.length > 0)
			extents->list[i++] = right;
	}
	return 0;
}

int extents_move(struct extents *extents, uintptr_t from, uintptr_t to, size_t length)
{
	struct extents moved = {0};
	int err = 0;

	for (size_t i = 0; i < extents->count && err == 0; i++) {
		struct extent part = extent_part(&extents->list[i], from, from + length);

		part.address = part.address - from + to;
		if (part.length > 0)
			err = extents_add(&moved, part);
	}
	if (err == 0)
		err = extents_cut(extents, from, from + length);
	for (size_t i = 0; i < moved.count && err == 0; i++)
		err = extents_add(extents, moved.list[i]);
	extents_finish(&moved);
	return err;
}

bool extents_find(const struct extents *extents, uintptr_t address, uint64_t *ret_offset)
{
	for (size_t i = 0; i < extents->count; i++) {
		const struct extent *extent = &extents->list[i];

		if (address >= extent->address && address - extent->address < extent->length) {
			*ret_offset = extent->offset + (address - extent->address);
			return true;
		}
	}
	return false;
}

bool extents_place(const struct extents *extents, struct range range, struct range *ret_part,
	uintptr_t *ret_address)
{
	bool found = false;

	for (size_t i = 0; i < extents->count; i++) {
		const struct extent *extent = &extents->list[i];
		struct range part = range_intersect(
			range, (struct range){extent->offset, extent->offset + extent->length});

		if (range_empty(part) || (found && part.start >= ret_part->start))
			continue;
		*ret_part = part;
		*ret_address = extent->address + (uintptr_t)(part.start - extent->offset);
		found = true;
	}
	return found;
}
