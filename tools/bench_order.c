/*
 * bench_order.c - see bench_order.h. Owns nothing.
 *
 * Cost: 8 bytes for each place of the object, and 8 more for zipf's table of sums, which a draw is
 * looked up in: exact for any number of places, where the formula of YCSB (Gray et al., 1994) is
 * an approximation.
 */
#include "bench_order.h"

#include <math.h>
#include <stdlib.h>

#include "cleanup.h"

#define ZIPF_EXPONENT 0.99

/* xorshift64*: enough for an order. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t random_start(uint64_t seed)
{
	return seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* The first `count` of a shuffle of the places 0 to `places` - 1. */
static uint64_t *shuffled(uint64_t places, uint64_t count, uint64_t seed)
{
	uint64_t state = random_start(seed);
	uint64_t *order = calloc(places, sizeof *order);

	for (uint64_t i = 0; order && i < places; i++)
		order[i] = i;
	for (uint64_t i = 0; order && i < count && i < places; i++) {
		uint64_t j = i + random_next(&state) % (places - i);
		uint64_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
	return order;
}

static uint64_t *evenly_spaced(uint64_t count)
{
	uint64_t *order = calloc(count, sizeof *order);

	for (uint64_t i = 0; order && i < count; i++)
		order[i] = i;
	return order;
}

/* sums[r] is the weight of the ranks up to r; the first rank is 0. */
static double *zipf_sums(uint64_t ranks)
{
	double *sums = calloc(ranks, sizeof *sums), sum = 0;

	for (uint64_t i = 0; sums && i < ranks; i++)
		sums[i] = sum += pow((double)(i + 1), -ZIPF_EXPONENT);
	return sums;
}

/* The first rank whose sum is greater than `at`. */
static uint64_t zipf_rank(const double *sums, uint64_t ranks, double at)
{
	uint64_t low = 0, high = ranks - 1;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (sums[middle] > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static uint64_t *zipf(uint64_t places, uint64_t count, uint64_t seed)
{
	cleanup_free uint64_t *place_of = shuffled(places, places, seed);
	cleanup_free double *sums = zipf_sums(places);
	uint64_t *order = calloc(count, sizeof *order);
	uint64_t state = random_start(~seed);

	for (uint64_t i = 0; place_of && sums && order && i < count; i++) {
		/* 53 bits: a double's worth of [0, 1). */
		double draw = (double)(random_next(&state) >> 11) * 0x1p-53;

		order[i] = place_of[zipf_rank(sums, places, draw * sums[places - 1])];
	}
	if (!place_of || !sums)
		free(steal_pointer(&order));
	return order;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

uint64_t *bench_order(
	const struct options *options, enum pattern pattern, uint64_t size, uint64_t *ret_count)
{
	uint64_t unit = pattern == PATTERN_STRIDE ? options->stride_bytes : options->access_bytes;
	uint64_t places = divide_up(size, unit), count = lesser(options->count, places);
	uint64_t *order;

	switch (pattern) {
	case PATTERN_RANDOM:
		order = shuffled(places, count, options->seed);
		break;
	case PATTERN_ZIPF:
		count = options->count;
		order = zipf(places, count, options->seed);
		break;
	case PATTERN_SEQUENTIAL:
		count = places;
		order = evenly_spaced(count);
		break;
	default:
		order = evenly_spaced(count);
	}
	for (uint64_t i = 0; order && i < count; i++)
		order[i] *= unit;
	*ret_count = count;
	return order;
}
