/*
 * pace.h - when the bytes of a slow answer may leave. Pure policy: the clock goes in, a plan comes
 * out. One thread.
 */
#pragma once

#include <stdint.h>

/* Belongs to a connection, and outlasts its answers: the rate is that of the link. */
struct pace {
	uint64_t rate;      /* bytes a second; 0: any */
	uint64_t byte_ns;   /* one byte each time this has passed; 0: no */
	uint64_t due_ns;    /* when the last piece was due */
	uint64_t allowance; /* bytes which may leave now */
};

/* An answer begins. Without a rate everything may leave at once. */
void origin_pace_start(struct pace *pace, uint64_t rate, uint64_t byte_ns, uint64_t now_ns);

/*
 * Allows the next piece, when the last one is spent: of `left` bytes, after `position` of the same
 * answer. Returns when it may leave, which may be past.
 */
uint64_t origin_pace_next(struct pace *pace, uint64_t position, uint64_t left, uint64_t now_ns);

void origin_pace_spend(struct pace *pace, uint64_t count);
