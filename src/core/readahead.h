/*
 * readahead.h - which ranges are worth asking for. Pure: history and measured conditions in, plan
 * out; no clock, no I/O.
 *
 * Streams and strides belong to an object or a map, not to a handle or a thread: many processes
 * that scan one mapping are many streams, and requests that come out of order within a window still
 * belong to theirs. A lone access gets just its pages, and is remembered. One right behind it makes
 * a stream, and that has a window: as far as it is asked for ahead of its reader. Three lone ones
 * at equal distances make a stride: pieces at that distance are asked for, and nothing between
 * them. Lone accesses never displace streams or strides, so that random accesses beside a scan
 * don't end it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "range.h"

#define READAHEAD_STREAMS 16
#define READAHEAD_STRIDES 16
#define READAHEAD_RECENT 32                     /* lone accesses: of 8 strides, 4 each */
#define READAHEAD_GAP (UINT64_C(16) << 10)      /* skipped by a reader that still goes on */
#define READAHEAD_START (UINT64_C(128) << 10)   /* first window of a stream */
#define READAHEAD_NEAR (UINT64_C(4) << 20)      /* largest window of a single connection */
#define READAHEAD_WAYS 16                       /* most ranges at once of a stream */
#define READAHEAD_CHUNK (UINT64_C(256) << 10)   /* shortest of several ranges */
#define READAHEAD_PIECES 64                     /* most that a stride is ahead of its reader */
#define READAHEAD_STEP_MAX (UINT64_C(16) << 20) /* longest distance of a stride's pieces */

enum readahead_advice { READAHEAD_NORMAL, READAHEAD_SEQUENTIAL, READAHEAD_RANDOM };

struct readahead_stream {
	uint64_t next;   /* one past what was asked for so far */
	uint64_t reader; /* one past what was read in order so far, as far as we were told */
	uint64_t mark;   /* the newest plan's */
	uint64_t window; /* bytes that it may be ahead of its reader; 0: the slot is free */
	uint64_t used;   /* readahead->tick when it last went on */
	uint64_t start;  /* its first window, without what was wanted */
	bool proved;     /* its reader has come into the second half of its first window */
};

/* Places are piece starts; a stride that goes backwards has a negative step. */
struct readahead_stride {
	int64_t step;    /* bytes from one piece to the next; 0: the slot is free */
	uint64_t length; /* bytes of a piece */
	uint64_t reader; /* the furthest piece read, as far as we were told */
	uint64_t next;   /* the first piece that was not asked for */
	uint64_t pieces; /* that it may be ahead of its reader */
	uint64_t used;   /* readahead->tick when it last went on */
};

/* An access that no stream took. */
struct readahead_lone {
	struct range range;
	bool may_continue; /* one right behind it makes a stream */
	bool may_repeat;   /* it may be one of three at equal distances */
};

/* Zeroed memory is one without history. */
struct readahead {
	enum readahead_advice advice;
	uint64_t tick;
	struct readahead_stream streams[READAHEAD_STREAMS];
	struct readahead_stride strides[READAHEAD_STRIDES];
	uint64_t recent_count; /* that ever were; the newest is at (recent_count - 1) % RECENT */
	struct readahead_lone recent[READAHEAD_RECENT];
};

struct readahead_conditions {
	uint64_t object_size;
	uint64_t first_byte_ns; /* from request to answer, as measured; 0: not known yet */
	uint64_t memory_bytes;  /* that all readers may have ahead, together; 0: no limit */
	/* Windows that are as long end at multiples of it, and marks are at such; 0: a page's. */
	uint64_t unit_bytes;
	bool absent; /* wanted is neither here nor on its way; false: it is, or nobody knows */
};

struct readahead_plan {
	/* Starts at wanted.start and holds wanted; what follows is ahead. Ends at a page's end or
	 * the object's. */
	struct range first;
	/* More that is worth having, behind what was asked for before; often empty. */
	struct range ahead;
	/* How often: ahead, and the same again stride_bytes further each time, in the order in
	 * which they will be read. 1 unless the reader leaves out what is between them. All lie
	 * inside the object. */
	uint64_t pieces;
	int64_t stride_bytes; /* negative: backwards */
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

/*
 * The newest plan is a stride's, and no more than `requests` can be asked for: the pieces behind
 * are left for later.
 */
void readahead_amend_stride(
	struct readahead *readahead, struct readahead_plan *plan, uint64_t requests);

/* `wanted` (not empty, page-aligned start) is needed. Records the access. */
struct readahead_plan readahead_plan(struct readahead *readahead, struct range wanted,
	const struct readahead_conditions *conditions);

/* One of the ranges that are ahead: index < plan->pieces; empty if nothing is. */
static inline struct range readahead_piece(const struct readahead_plan *plan, uint64_t index)
{
	uint64_t shift = (uint64_t)plan->stride_bytes * index; /* modulo 2^64: may be negative */

	return (struct range){plan->ahead.start + shift, plan->ahead.end + shift};
}
