/*
 * readahead.h - which range is worth asking for. Pure: history in, plan out; no clock, no I/O.
 *
 * An object has a handful of streams, not one per handle or thread: many processes that scan one
 * mapping are many streams of one object, and requests that come out of order within a window
 * still belong to their stream. A wanted page that continues a stream gets a window, which doubles
 * from READAHEAD_START to READAHEAD_MAX as the stream goes on; any other gets what it asks for.
 */
#pragma once

#include <stdint.h>

#include "range.h"

#define READAHEAD_STREAMS 8
#define READAHEAD_START (UINT64_C(128) << 10)
#define READAHEAD_MAX (UINT64_C(4) << 20)

enum readahead_advice { READAHEAD_NORMAL, READAHEAD_SEQUENTIAL, READAHEAD_RANDOM };

struct readahead_stream {
	uint64_t start;  /* where the newest window began */
	uint64_t next;   /* one past what was asked for so far */
	uint64_t window; /* length of the newest window; 0: the slot is free */
	uint64_t used;   /* readahead->tick when it last went on */
};

/* Zeroed memory is one without history. */
struct readahead {
	enum readahead_advice advice;
	uint64_t tick;
	struct readahead_stream streams[READAHEAD_STREAMS];
};

/*
 * The range to ask for when `wanted` (not empty, page-aligned start) is needed: it starts at
 * wanted.start and holds wanted, ends at a page's end or at object_size, and is at most
 * wanted + READAHEAD_MAX long. Records the access.
 */
struct range readahead_plan(struct readahead *readahead, struct range wanted, uint64_t object_size);
