/*
 * face.h - what a signal handler may know of a map. It outlives the map: faces are never freed,
 * but taken for other maps.
 *
 * Threads: face_fill() in a signal handler, between address_find() and address_leave(); taking
 * and giving back on any; the rest on the loop.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ask.h"
#include "borrow.h"
#include "uffd.h"

struct pagein_map;

/* Pages that were filled in handlers, of one of the object's blocks. */
struct face_block {
	_Atomic uint64_t pages;
	_Atomic uint32_t next; /* on the stack of those that have some */
};

/* As many as a map holds back at the most. */
#define FACE_HELD_MAX 33

struct map_face {
	atomic_uint users; /* handlers that look at it now: address.c */
	/* Closed: nobody fills, for what is where is about to change. */
	atomic_bool gate;
	bool fills; /* handlers may fill pages: PAGEIN_INLINE */
	struct pagein_map *map;
	struct asks *asks; /* of the map's loop */
	struct uffd uffd;
	struct borrow *cache;
	uint64_t first_block; /* of the object's, to which blocks[0] belongs */
	size_t block_count;
	struct face_block *blocks;
	_Atomic uint32_t newest;              /* of those that have pages: its index + 1 */
	_Atomic uint64_t filled;              /* pages, since the loop asked last */
	_Atomic uint64_t held[FACE_HELD_MAX]; /* offset + 1 of pages that the loop holds back */
	struct map_face *next_free;
};

/* Fills the page at the address with the object's page at offset, if that is cached and may be
 * done here and now. */
bool face_fill(struct map_face *face, uintptr_t page, uint64_t offset);

/* An empty one; NULL: out of memory. */
struct map_face *face_take(void);
/* Handlers may fill pages of these blocks of the object. -ENOMEM */
int face_allow_fills(struct map_face *face, uint64_t first_block, uint64_t block_count);
/* No user is left. NULL is fine. */
void face_give_back(struct map_face *face);

/* false: a handler is filling this very moment, and the gate stays closed. Never waits. */
bool face_close_gate(struct map_face *face);
void face_open_gate(struct map_face *face);

/*
 * The next block of the object in which handlers have filled pages since it was last asked for, and
 * which. false: there is none.
 */
bool face_next_filled(struct map_face *face, uint64_t *ret_block, uint64_t *ret_pages);
/* Pages filled since this was last asked. */
uint64_t face_count(struct map_face *face);

/* A touch of this page is to be told to the loop, or not any more. */
void face_hold(struct map_face *face, uint64_t offset);
void face_release(struct map_face *face, uint64_t offset);
