/*
 * spread.h - how long things took, in few buckets: for figures that are read while they grow.
 *
 * Six buckets for each power of ten from 1 us to 70 s, with bounds that people can read; a value
 * counts in the first whose bound it does not exceed, as OpenMetrics has it. 400 bytes; zeroed
 * memory is an empty one. base/histogram.h is exact to 0.8%, and 36 KiB. Not thread-safe.
 */
#pragma once

#include <stdint.h>

#define SPREAD_BOUNDS 48 /* and one bucket behind the last bound */

struct spread {
	uint64_t counts[SPREAD_BOUNDS + 1];
	uint64_t sum_ns;
};

/* The bound of a bucket, in ns; UINT64_MAX of the last. */
uint64_t spread_bound_ns(unsigned bucket);

/* Some 5 ns. */
void spread_record(struct spread *spread, uint64_t value_ns);

/* Afterwards `into` is as if it had recorded the other's values, too. */
void spread_add(struct spread *into, const struct spread *from);

uint64_t spread_count(const struct spread *spread);
