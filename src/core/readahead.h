/*
 * readahead.h - which ranges are worth asking for. Pure: history and measured conditions in, plan
 * out; no clock, no I/O.
 *
 * Streams belong to an object or a map, not to a handle or a thread: many processes that scan one
 * mapping are many streams, and requests that come out of order within a window still belong to
 * theirs. A lone access is a candidate, and gets just its pages. An access that continues a
 * candidate makes it a stream, and that has a window: as far as it is asked for ahead of its
 * reader. Candidates never displace streams, so that random accesses beside a scan don't end it.
 */
#pragma once

#include <stdint.h>

#include "range.h"

#define READAHEAD_STREAMS 16
#define READAHEAD_CANDIDATES 16
#define READAHEAD_START (UINT64_C(128) << 10) /* first window of a stream */
#define READAHEAD_NEAR (UINT64_C(4) << 20)    /* largest window of a single connection */
#define READAHEAD_WAYS 16                     /* most ranges at once of a stream */
#define READAHEAD_CHUNK (UINT64_C(256) << 10) /* shortest of several ranges */

enum readahead_advice { READAHEAD_NORMAL, READAHEAD_SEQUENTIAL, READAHEAD_RANDOM };

struct readahead_stream {
	uint64_t next;   /* one past what was asked for so far */
	uint64_t reader; /* one past what was read in order so far, as far as we were told */
	uint64_t mark;   /* the newest plan's */
	uint64_t window; /* bytes that it may be ahead of its reader; 0: the slot is free */
	uint64_t used;   /* readahead->tick when it last went on */
};

struct readahead_candidate {
	uint64_t end; /* of the lone access; 0: the slot is free */
	uint64_t used;
};

/* Zeroed memory is one without history. */
struct readahead {
	enum readahead_advice advice;
	uint64_t tick;
	struct readahead_stream streams[READAHEAD_STREAMS];
	struct readahead_candidate candidates[READAHEAD_CANDIDATES];
};

struct readahead_conditions {
	uint64_t object_size;
	uint64_t first_byte_ns; /* from request to answer, as measured; 0: not known yet */
	uint64_t memory_bytes;  /* that one stream may have ahead; 0: as much as it likes */
};

struct readahead_plan {
	/* Starts at wanted.start and holds wanted; what follows is ahead. Ends at a page's end or
	 * the object's. */
	struct range first;
	/* More that is ahead, behind what was asked for before; often empty. */
	struct range ahead;
	/* Longer ranges are worth splitting into such of this length, to be asked for at once. */
	uint64_t chunk_bytes;
	/* The page whose touch should be reported next, where the door can choose: in the middle of
	 * what is ahead. UINT64_MAX: none. */
	uint64_t mark;
};

/*
 * The newest plan, which it changes, ends at `end` already (a page's start, not before the end of
 * what is wanted), and has its mark elsewhere; its stream goes on from there.
 */
void readahead_amend(
	struct readahead *readahead, struct readahead_plan *plan, uint64_t end, uint64_t mark);

/* `wanted` (not empty, page-aligned start) is needed. Records the access. */
struct readahead_plan readahead_plan(struct readahead *readahead, struct range wanted,
	const struct readahead_conditions *conditions);
