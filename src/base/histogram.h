/*
 * histogram.h - a log-linear histogram of latencies, in nanoseconds.
 *
 * Values up to one hour, each kept to within 1/128 (0.8 %) of itself; longer ones count as one
 * hour. A value below 256 ns is kept exactly. Zeroed memory is an empty histogram. Fixed size (36
 * KiB: too much for a small stack), no allocation, nothing to free, no errors.
 *
 * Not thread safe: each thread records into its own, and one merges them when the others are done.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HISTOGRAM_MAX_NS (UINT64_C(3600) * 1000000000)

/* An hour has 42 bits: 128 buckets below 128 ns, then 128 for each of 35 powers of two. */
#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_BUCKETS ((42 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

/* For histogram.c and for copying; read it through the functions. */
struct histogram {
	uint64_t count;
	uint64_t sum_ns; /* enough for 584 years of waiting */
	uint64_t min_ns; /* meaningless while count is 0 */
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);

/* O(1): a few instructions, two cache lines. */
void histogram_record(struct histogram *histogram, uint64_t value_ns);

/* Afterwards `into` is as if it had recorded the other's values, too. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* Of an empty histogram all of these are 0. */
uint64_t histogram_count(const struct histogram *histogram);
uint64_t histogram_min(const struct histogram *histogram); /* ns, exact */
uint64_t histogram_max(const struct histogram *histogram); /* ns, exact */
double histogram_mean(const struct histogram *histogram);  /* ns, exact */

/*
 * The smallest recorded value, in ns, which `percentile` percent of the values do not exceed
 * (nearest rank): never below the true one, and at most 1/128 above it. 0 and less is the minimum,
 * 100 and more the maximum. O(HISTOGRAM_BUCKETS).
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percentile);

/* A walk over the buckets that are not empty, upwards; start with a zeroed one. */
struct histogram_bucket {
	uint64_t low_ns;  /* first and */
	uint64_t high_ns; /* last value that counts here */
	uint64_t count;
	unsigned next; /* histogram.c's own */
};

/* False: there are no more. */
bool histogram_next(const struct histogram *histogram, struct histogram_bucket *bucket);
