/*
 * range.h - half-open ranges of bytes, [start, end), and the page and block arithmetic on them.
 *
 * Every range in pagein is half-open. HTTP's inclusive last byte is known in one function only:
 * range_http_last().
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t start;
	uint64_t end;
};

static inline uint64_t range_length(struct range range)
{
	return range.end - range.start;
}

static inline bool range_empty(struct range range)
{
	return range.start >= range.end;
}

/* The bytes that both have; empty (start >= end) when there are none. */
static inline struct range range_intersect(struct range a, struct range b)
{
	return (struct range){
		.start = a.start > b.start ? a.start : b.start,
		.end = a.end < b.end ? a.end : b.end,
	};
}

static inline bool range_overlaps(struct range a, struct range b)
{
	return !range_empty(range_intersect(a, b));
}

static inline bool range_contains(struct range outer, struct range inner)
{
	return outer.start <= inner.start && inner.end <= outer.end;
}

/* The last byte's position, as RFC 9110 section 14.1.2 writes a range: "bytes=start-last". */
static inline uint64_t range_http_last(struct range range)
{
	assert(!range_empty(range));
	return range.end - 1;
}

/* alignment must be a power of two. */
static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return align_down(value + alignment - 1, alignment);
}
