/*
 * order.c - see order.h. Owns nothing.
 *
 * Cost: 24 bytes an access. A permutation needs no memory, so that random places of a TiB cost no
 * more than those of a MiB; zipf has a table of 8 bytes a place, sums which a draw is looked up in:
 * exact for any number of places, where the formula of YCSB (Gray et al., 1994) is an
 * approximation.
 */
#include "order.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "cleanup.h"

#define ZIPF_EXPONENT 0.99
#define ROUNDS 4 /* of the permutation: enough for an order */

/* xorshift64*: enough for draws. */
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

/* 53 bits: a double's worth of [0, 1). */
static double random_fraction(uint64_t *state)
{
	return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* splitmix64's last steps. */
static uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/*
 * The i-th of a permutation of 0 to places - 1: a Feistel network over the next even number of
 * bits, walked on until it is below `places` again, which takes less than four steps on average.
 */
static uint64_t permute(uint64_t i, uint64_t places, uint64_t seed)
{
	unsigned bits = places > 1 ? 64 - (unsigned)__builtin_clzll(places - 1) : 1;
	unsigned half = (bits + 1) / 2;
	uint64_t mask = (UINT64_C(1) << half) - 1;

	do {
		uint64_t left = i >> half, right = i & mask;

		for (unsigned round = 0; round < ROUNDS; round++) {
			uint64_t next = left ^
					(scramble(right + random_start(seed + round)) & mask);

			left = right;
			right = next;
		}
		i = left << half | right;
	} while (i >= places);
	return i;
}

/* ---- the patterns: each gives the place of every access ------------------------------------ */

struct places {
	const struct options *options;
	uint64_t count;     /* there are so many places */
	uint64_t state;     /* of draws */
	double *zipf_sums;  /* by rank */
	uint64_t hot_count; /* places, the first of the permutation */
};

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

static uint64_t place_zipf(struct places *places)
{
	double draw = random_fraction(&places->state) * places->zipf_sums[places->count - 1];

	return permute(zipf_rank(places->zipf_sums, places->count, draw), places->count,
		places->options->seed);
}

static uint64_t place_hotcold(struct places *places)
{
	uint64_t hot = places->hot_count, cold = places->count - hot;
	uint64_t draw = random_next(&places->state) >> 8;
	bool is_hot = random_fraction(&places->state) * 100 < (double)places->options->hot_accesses;

	return permute(is_hot || cold == 0 ? draw % hot : hot + draw % cold, places->count,
		places->options->seed);
}

static uint64_t place_of(struct places *places, enum pattern pattern, uint64_t i)
{
	switch (pattern) {
	case PATTERN_RANDOM:
		return permute(i, places->count, places->options->seed);
	case PATTERN_ZIPF:
		return place_zipf(places);
	case PATTERN_HOTCOLD:
		return place_hotcold(places);
	default:
		return i;
	}
}

/* ---- an order ------------------------------------------------------------------------------ */

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static uint64_t accesses_of(const struct options *options, enum pattern pattern, uint64_t places)
{
	switch (pattern) {
	case PATTERN_SEQUENTIAL:
		return places;
	case PATTERN_ZIPF:
	case PATTERN_HOTCOLD:
		return options->count;
	default:
		return lesser(options->count, places);
	}
}

static int order_generate(
	const struct options *options, enum pattern pattern, uint64_t size, struct bench_order *ret)
{
	uint64_t unit = pattern == PATTERN_STRIDE ? options->stride_bytes : options->access_bytes;
	struct places places = {.options = options,
		.count = divide_up(size, unit),
		.state = random_start(~options->seed)};
	cleanup_free double *sums = pattern == PATTERN_ZIPF ? zipf_sums(places.count) : NULL;

	if (pattern == PATTERN_ZIPF && !sums)
		return -ENOMEM;
	places.zipf_sums = sums;
	/* At least one, however small the object is: 10 % of 64-bit counts, without overflow. */
	places.hot_count = places.count / 100 * options->hot_places +
			   places.count % 100 * options->hot_places / 100;
	places.hot_count += places.hot_count == 0;
	ret->count = accesses_of(options, pattern, places.count);
	ret->accesses = calloc(ret->count, sizeof *ret->accesses);
	if (!ret->accesses)
		return -ENOMEM;
	for (uint64_t i = 0; i < ret->count; i++) {
		uint64_t offset = place_of(&places, pattern, i) * unit;

		ret->accesses[i] = (struct bench_access){
			.offset = offset, .len = lesser(options->access_bytes, size - offset)};
	}
	return 0;
}

static int order_replay(const struct bench_order *trace, uint64_t size, struct bench_order *ret)
{
	ret->count = trace->count;
	ret->accesses = calloc(trace->count, sizeof *ret->accesses);
	if (!ret->accesses)
		return -ENOMEM;
	for (uint64_t i = 0; i < trace->count; i++) {
		ret->accesses[i] = trace->accesses[i];
		if (trace->accesses[i].offset >= size ||
			trace->accesses[i].len > size - trace->accesses[i].offset)
			return -ERANGE;
	}
	return 0;
}

/* Arrivals of a Poisson process: what many who don't know of each other make together. */
static void order_arrive(const struct options *options, struct bench_order *order)
{
	uint64_t state = random_start(options->seed ^ UINT64_C(0xa5a5a5a5));
	double at_ns = 0;

	for (uint64_t i = 0; i < order->count; i++) {
		at_ns -= log1p(-random_fraction(&state)) * 1e9 / (double)options->arrival;
		order->accesses[i].at_ns = (uint64_t)at_ns;
	}
}

int bench_order_make(const struct options *options, enum pattern pattern,
	const struct bench_order *trace, uint64_t size, struct bench_order *ret)
{
	int err;

	*ret = (struct bench_order){0};
	err = pattern == PATTERN_REPLAY ? order_replay(trace, size, ret)
					: order_generate(options, pattern, size, ret);
	if (err < 0) {
		bench_order_free(ret);
		return err;
	}
	for (uint64_t i = 0; i < ret->count; i++) {
		ret->bytes += ret->accesses[i].len;
		if (!options->recorded_pace)
			ret->accesses[i].at_ns = 0;
	}
	if (options->arrival > 0)
		order_arrive(options, ret);
	return 0;
}

void bench_order_free(struct bench_order *order)
{
	free(order->accesses);
	*order = (struct bench_order){0};
}
