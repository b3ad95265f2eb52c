/*
 * address.h - which address is which map's, for signal handlers: a fault's signal says where, and
 * the handler has to know whose that is without a lock, while other threads map, unmap and move.
 *
 * Threads: address_find(), address_leave() and address_is_changing() from any, also in a signal
 * handler; the rest from any thread, but not in a handler.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "extent.h"

struct map_face;

/* Where an address lies. */
struct address_place {
	struct map_face *face;
	bool known;      /* else it is only the nearest above the map's: memory that has grown */
	uint64_t offset; /* known: of the object */
};

/* The map that shows this address; it stays until address_leave(). false: none does. */
bool address_find(uintptr_t address, struct address_place *ret);
void address_leave(struct map_face *face);

/*
 * A number that is another one when anything in the table has changed. The first waits before, for
 * a second at the most, while loops apply what the kernel has told them of moved and
 * unmapped memory.
 */
uint64_t address_settle(void);
uint64_t address_sequence(void);

/* The face lies at these extents (without holes), and no more where it was. -ENOMEM: not all. */
int address_show(struct map_face *face, const struct extents *extents);
/* Nowhere. Returns when no handler is between address_find() and address_leave() for it. */
void address_hide(struct map_face *face);

/* Around reading a map's events and applying them. */
void address_change_begin(void);
void address_change_end(void);

/*
 * Holds what writes back, with signals blocked: around fork(2), so that the child finds the table
 * whole; and for others who have a little to guard, and would need a lock that fork(2) waits for. A
 * leaf.
 */
void address_hold(void);
void address_release(void);
