/*
 * histogram.c - a log-linear histogram, as HdrHistogram made it known.
 *
 * A value's bucket is its highest bit (the octave) and the 7 bits below that: a shift, no division
 * and no floating point. The 128 values below 128 are the first octave, with buckets of one value:
 *
 *    value    0 ... 127 | 128 ... 255 | 256,257 ... 510,511 | 512-515 ... 1020-1023 | ...
 *    bucket   0 ... 127 | 128 ... 255 | 256     ... 383     | 384     ... 511       | ...
 *
 * H1 count is the sum of all buckets   H2 min and max lie in the first and last bucket in use
 *
 * Owns nothing, no thread of its own, no lock. Percentiles read all 36 KiB: for reports, not for a
 * hot path. The libraries that exist (hdr_histogram) allocate, and are not in every Debian.
 */
#include <assert.h>
#include <string.h>

#include "histogram.h"

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

static unsigned bucket_of(uint64_t value)
{
	unsigned octave, bucket;

	if (value < SUB_COUNT)
		return (unsigned)value;
	octave = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	bucket = (octave << HISTOGRAM_SUB_BITS) + (unsigned)(value >> octave);
	assert(bucket < HISTOGRAM_BUCKETS);
	return bucket;
}

static uint64_t bucket_low(unsigned bucket)
{
	unsigned octave = bucket >> HISTOGRAM_SUB_BITS;

	if (octave)
		octave--;
	return (uint64_t)(bucket - (octave << HISTOGRAM_SUB_BITS)) << octave;
}

static uint64_t bucket_high(unsigned bucket)
{
	return bucket_low(bucket + 1) - 1;
}

void histogram_reset(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
}

void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
	if (value_ns > HISTOGRAM_MAX_NS)
		value_ns = HISTOGRAM_MAX_NS;
	if (!histogram->count || value_ns < histogram->min_ns)
		histogram->min_ns = value_ns;
	if (value_ns > histogram->max_ns)
		histogram->max_ns = value_ns;
	histogram->count++;
	histogram->sum_ns += value_ns;
	histogram->buckets[bucket_of(value_ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (!from->count)
		return;
	if (!into->count || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t histogram_count(const struct histogram *histogram)
{
	return histogram->count;
}

uint64_t histogram_min(const struct histogram *histogram)
{
	return histogram->count ? histogram->min_ns : 0;
}

uint64_t histogram_max(const struct histogram *histogram)
{
	return histogram->max_ns;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? (double)histogram->sum_ns / (double)histogram->count : 0;
}

/* From 1 to count: which value of the sorted ones is asked for. */
static uint64_t percentile_rank(uint64_t count, double percentile)
{
	double exact = percentile * (double)count / 100;
	uint64_t rank;

	if (!(exact > 1)) /* a NaN, too */
		return 1;
	if (percentile >= 100)
		return count;
	/* 17.6 % of 375 come out a little above 66, which is not to become the 67th. */
	exact *= 1 - 1e-12;
	rank = (uint64_t)exact;
	return rank + ((double)rank < exact);
}

uint64_t histogram_percentile(const struct histogram *histogram, double percentile)
{
	struct histogram_bucket bucket = {0};
	uint64_t rank = percentile_rank(histogram->count, percentile);
	uint64_t below = 0;

	if (rank == 1)
		return histogram_min(histogram);
	while (histogram_next(histogram, &bucket)) {
		below += bucket.count;
		if (below >= rank)
			return bucket.high_ns < histogram->max_ns ? bucket.high_ns
								  : histogram->max_ns;
	}
	return histogram->max_ns;
}

bool histogram_next(const struct histogram *histogram, struct histogram_bucket *bucket)
{
	while (bucket->next < HISTOGRAM_BUCKETS && !histogram->buckets[bucket->next])
		bucket->next++;
	if (bucket->next == HISTOGRAM_BUCKETS)
		return false;
	bucket->low_ns = bucket_low(bucket->next);
	bucket->high_ns = bucket_high(bucket->next);
	bucket->count = histogram->buckets[bucket->next++];
	return true;
}
