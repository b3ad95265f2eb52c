/*
 * spread.c - see spread.h. Owns nothing; whoever owns the struct counts and reads.
 *
 * A bound is found by halving a table: six comparisons. Rejected: powers of two (nobody reads
 * 0.016777216), and a scan, which is what base/histogram.h's 4,608 buckets would take each time
 * that they are read.
 */
#include "spread.h"

/* 1, 1.5, 2, 3, 5 and 7 times 1, 10, 100... us: neighbours are 1.4 to 1.7 apart. */
#define DECADE(ns) (ns), (ns) / 2 * 3, (ns)*2, (ns)*3, (ns)*5, (ns)*7

static const uint64_t bounds_ns[SPREAD_BOUNDS] = {
	DECADE(UINT64_C(1000)),
	DECADE(UINT64_C(10000)),
	DECADE(UINT64_C(100000)),
	DECADE(UINT64_C(1000000)),
	DECADE(UINT64_C(10000000)),
	DECADE(UINT64_C(100000000)),
	DECADE(UINT64_C(1000000000)),
	DECADE(UINT64_C(10000000000)),
};

uint64_t spread_bound_ns(unsigned bucket)
{
	return bucket < SPREAD_BOUNDS ? bounds_ns[bucket] : UINT64_MAX;
}

void spread_record(struct spread *spread, uint64_t value_ns)
{
	unsigned first = 0, count = SPREAD_BOUNDS;

	while (count > 0) {
		unsigned half = count / 2;

		if (value_ns <= bounds_ns[first + half]) {
			count = half;
		} else {
			first += half + 1;
			count -= half + 1;
		}
	}
	spread->counts[first]++;
	spread->sum_ns += value_ns;
}

void spread_add(struct spread *into, const struct spread *from)
{
	for (unsigned i = 0; i <= SPREAD_BOUNDS; i++)
		into->counts[i] += from->counts[i];
	into->sum_ns += from->sum_ns;
}

uint64_t spread_count(const struct spread *spread)
{
	uint64_t count = 0;

	for (unsigned i = 0; i <= SPREAD_BOUNDS; i++)
		count += spread->counts[i];
	return count;
}
