/*
 * extent.h - where in memory each part of a map lies. One extent when it is made; munmap(2) of a
 * part cuts, mremap(2) moves, as the kernel's events tell. Pure; not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "range.h"

struct extent {
	uintptr_t address;
	size_t length;
	uint64_t offset; /* in the object */
};

/* Sorted by address, disjoint. Zeroed memory is an empty one. */
struct extents {
	struct extent *list;
	size_t count;
	size_t max;
};

void extents_finish(struct extents *extents);

/* Adds one that overlaps none. -ENOMEM */
int extents_add(struct extents *extents, struct extent extent);

/* Takes the addresses [start, end) away. -ENOMEM when that splits one; nothing changed then. */
int extents_cut(struct extents *extents, uintptr_t start, uintptr_t end);

/* What lay at [from, from + length) lies at `to` now. -ENOMEM: parts may be gone. */
int extents_move(struct extents *extents, uintptr_t from, uintptr_t to, size_t length);

/* The object's offset that lies at address; false: none. */
bool extents_find(const struct extents *extents, uintptr_t address, uint64_t *ret_offset);

/*
 * The first piece of [range.start, range.end) of the object that lies in one extent: its part of
 * the range and its address. false: none of it lies anywhere.
 */
bool extents_place(const struct extents *extents, struct range range, struct range *ret_part,
	uintptr_t *ret_address);
