/*
 * sight.h - a stretch of an object as far as it has been fetched, and where its lines begin and
 * end. Pure; a sight belongs to one thread.
 *
 * A line ends with its newline, at the end of the object, where a page is not to be had, and, if it
 * is longer than LINE_CUT_BYTES, at a multiple of that which has no newline in as many bytes before
 * it. So whether a line begins somewhere is decided by what is near, and no line is longer than
 * twice as much, whatever the object is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096
#define LINE_CUT_BYTES 16384
/* What a move may look at: a line before, and a screen behind it. */
#define SIGHT_PAGES 64

enum page_state {
	PAGE_ABSENT, /* or on its way */
	PAGE_READY,
	PAGE_FAILED,
};

struct sight {
	uint64_t size;  /* of the object */
	uint64_t start; /* a multiple of PAGE_BYTES */
	size_t length;  /* of bytes; up to the object's end */
	uint8_t bytes[SIGHT_PAGES * PAGE_BYTES];
	uint8_t states[SIGHT_PAGES]; /* enum page_state */
	uint64_t missing;            /* after -EAGAIN: a byte that has to be fetched first */
};

/* PAGE_ABSENT outside of the sight. */
enum page_state sight_state(const struct sight *sight, uint64_t at);
/* A byte of a page that is ready. */
const uint8_t *sight_at(const struct sight *sight, uint64_t at);

/*
 * The end of the line in which the byte at is: behind its newline. A failed page is a line of its
 * own. Where what follows has not been fetched it ends there, with -EAGAIN.
 */
int line_end(struct sight *sight, uint64_t at, uint64_t *ret_end);

/* The beginning of the line in which the byte at is. -EAGAIN: it is not known yet */
int line_start(struct sight *sight, uint64_t at, uint64_t *ret_start);
