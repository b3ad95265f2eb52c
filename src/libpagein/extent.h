/*
 * extent.h - where in memory each part of a map lies. One extent when it is made; munmap(2) of a
 * part cuts, mremap(2) copies and grows, as the kernel's events and faults tell. One page of the
 * object may lie at several addresses. Pure; not thread-safe.
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
	bool hole;       /* nothing is here any more; but see extent.c */
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

/*
 * Takes the addresses [start, end) away; more: there is memory of the map at `end`. -ENOMEM:
 * nothing changed.
 */
int extents_cut(struct extents *extents, uintptr_t start, uintptr_t end, bool more);

/*
 * What lies at [from, from + length) lies at `to`, too, instead of what was known of there.
 * -ENOMEM: parts may be missing.
 */
int extents_copy(struct extents *extents, uintptr_t from, uintptr_t to, size_t length);

/*
 * There is memory at the page `address`, of which nothing was known: what is below has grown to the
 * page's end. -ENOENT: nothing is below; -ENOMEM.
 */
int extents_grow(struct extents *extents, uintptr_t address, size_t page_bytes);

/* Is a hole the nearest that is below the address, and where does it end? */
bool extents_hole_below(const struct extents *extents, uintptr_t address, uintptr_t *ret_end);
/* What a hole that ends at `end` said of what is behind it is over. */
void extents_drop_hole(struct extents *extents, uintptr_t end);

/* The object's offset that lies at address; false: none. */
bool extents_find(const struct extents *extents, uintptr_t address, uint64_t *ret_offset);

/*
 * The next piece of the object's range that lies anywhere, in the order of addresses: its part of
 * the range and its address. *cursor is 0 at first; extents may change between the calls.
 */
bool extents_next(const struct extents *extents, struct range range, uintptr_t *cursor,
	struct range *ret_part, uintptr_t *ret_address);
