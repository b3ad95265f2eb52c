/*
 * histogram_test.c - the histogram against the sorted array of all its values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "histogram.h"

#define VALUES 100000

static struct histogram histogram, other;
static uint64_t values[VALUES];

static uint64_t random_next(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Distributions that look like latencies, and some that don't. Never above the maximum. */
static uint64_t value_uniform(size_t i)
{
	(void)i;
	return random_next() % HISTOGRAM_MAX_NS + 1;
}

static uint64_t value_every_scale(size_t i)
{
	(void)i;
	return (random_next() >> 23 >> random_next() % 41) % HISTOGRAM_MAX_NS;
}

static uint64_t value_two_humps(size_t i)
{
	return i % 1000 ? 20000 + random_next() % 1500 : 10000000 + random_next() % 40000000;
}

static uint64_t value_small(size_t i)
{
	return i % 300;
}

static uint64_t value_one(size_t i)
{
	(void)i;
	return 33500;
}

static uint64_t (*const distributions[])(size_t i) = {
	value_uniform, value_every_scale, value_two_humps, value_small, value_one};

#define DISTRIBUTIONS (sizeof(distributions) / sizeof(distributions[0]))

/*
 * Percentiles in units of a hundredth of a percent, so that the rank is exact in integers. In
 * floating point, 17.6 % of 375 values are a little more than 66 of them.
 */
static uint64_t exact_percentile(size_t count, unsigned hundredths)
{
	size_t rank = (count * hundredths + 9999) / 10000;

	return values[rank ? rank - 1 : 0];
}

static void percentiles_check(size_t count)
{
	static const unsigned hundredths[] = {
		0, 1, 10, 100, 1760, 2500, 5000, 5010, 9000, 9900, 9990, 9999, 10000};

	qsort(values, count, sizeof(values[0]), compare);
	for (size_t i = 0; i < sizeof(hundredths) / sizeof(hundredths[0]); i++) {
		uint64_t exact = exact_percentile(count, hundredths[i]);
		uint64_t got = histogram_percentile(&histogram, (double)hundredths[i] / 100);

		if (got < exact || got > exact + exact / 128)
			fail_msg("%u/100 %% of %zu: %ju, exactly %ju", hundredths[i], count,
				(uintmax_t)got, (uintmax_t)exact);
	}
	assert_int_equal(histogram_percentile(&histogram, 0), values[0]);
	assert_int_equal(histogram_percentile(&histogram, 100), values[count - 1]);
}

static void fill(uint64_t (*value)(size_t i), size_t count)
{
	histogram_reset(&histogram);
	for (size_t i = 0; i < count; i++) {
		values[i] = value(i);
		histogram_record(&histogram, values[i]);
	}
}

static void percentiles(void **state)
{
	static const size_t counts[] = {1, 2, 3, 10, 99, 100, 375, 1000, 1001, VALUES};

	(void)state;
	for (size_t i = 0; i < DISTRIBUTIONS; i++)
		for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++) {
			fill(distributions[i], counts[j]);
			percentiles_check(counts[j]);
		}
}

static void summary(void **state)
{
	(void)state;
	for (size_t i = 0; i < DISTRIBUTIONS; i++) {
		double sum = 0;

		fill(distributions[i], VALUES);
		for (size_t j = 0; j < VALUES; j++)
			sum += (double)values[j];
		qsort(values, VALUES, sizeof(values[0]), compare);
		assert_int_equal(histogram_count(&histogram), VALUES);
		assert_int_equal(histogram_min(&histogram), values[0]);
		assert_int_equal(histogram_max(&histogram), values[VALUES - 1]);
		assert_true(histogram_mean(&histogram) >= sum / VALUES * (1 - 1e-9));
		assert_true(histogram_mean(&histogram) <= sum / VALUES * (1 + 1e-9));
	}
}

static void empty(void **state)
{
	struct histogram_bucket bucket = {0};

	(void)state;
	histogram_reset(&histogram);
	assert_int_equal(histogram_count(&histogram), 0);
	assert_int_equal(histogram_min(&histogram), 0);
	assert_int_equal(histogram_max(&histogram), 0);
	assert_true(histogram_mean(&histogram) == 0);
	assert_int_equal(histogram_percentile(&histogram, 50), 0);
	assert_int_equal(histogram_percentile(&histogram, 100), 0);
	assert_false(histogram_next(&histogram, &bucket));
}

/* Around each power of two a value lands in a bucket that holds it and is narrow enough. */
static void bucket_edges(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		for (int step = -1; step <= 1; step++) {
			struct histogram_bucket bucket = {0};
			uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
			uint64_t kept = value < HISTOGRAM_MAX_NS ? value : HISTOGRAM_MAX_NS;

			histogram_reset(&histogram);
			histogram_record(&histogram, value);
			assert_int_equal(histogram_max(&histogram), kept);
			assert_true(histogram_next(&histogram, &bucket));
			assert_int_equal(bucket.count, 1);
			assert_true(bucket.low_ns <= kept && kept <= bucket.high_ns);
			assert_true(bucket.high_ns - bucket.low_ns <= bucket.low_ns / 128);
			assert_false(histogram_next(&histogram, &bucket));
		}
}

/* The walk goes upwards, without overlap or empty buckets, and has every value in its bucket. */
static void walk(void **state)
{
	struct histogram_bucket bucket = {0};
	uint64_t previous = 0;
	size_t at = 0;

	(void)state;
	fill(value_every_scale, VALUES);
	qsort(values, VALUES, sizeof(values[0]), compare);
	while (histogram_next(&histogram, &bucket)) {
		assert_true(!at || bucket.low_ns > previous);
		assert_true(bucket.count > 0 && at + bucket.count <= VALUES);
		assert_true(values[at] >= bucket.low_ns);
		at += bucket.count;
		assert_true(values[at - 1] <= bucket.high_ns);
		previous = bucket.high_ns;
	}
	assert_int_equal(at, VALUES);
}

/* Buckets leave no gap: neighbouring values are in the same bucket or in adjoining ones. */
static void no_gaps(void **state)
{
	uint64_t expected = 0;

	(void)state;
	while (expected <= HISTOGRAM_MAX_NS) {
		struct histogram_bucket bucket = {0};

		histogram_reset(&histogram);
		histogram_record(&histogram, expected);
		assert_true(histogram_next(&histogram, &bucket));
		assert_int_equal(bucket.low_ns, expected);
		expected = bucket.high_ns + 1;
	}
}

static void merge(void **state)
{
	double sum = 0;

	(void)state;
	histogram_reset(&histogram);
	histogram_reset(&other);
	for (size_t i = 0; i < VALUES; i++) {
		values[i] = value_two_humps(i);
		sum += (double)values[i];
		histogram_record(i % 3 ? &histogram : &other, values[i]);
	}
	histogram_merge(&histogram, &other);
	assert_int_equal(histogram_count(&histogram), VALUES);
	assert_true(histogram_mean(&histogram) == sum / VALUES);
	percentiles_check(VALUES);
	assert_int_equal(histogram_min(&histogram), values[0]);
	assert_int_equal(histogram_max(&histogram), values[VALUES - 1]);
}

/* An empty one has no minimum to give, and takes the other's. */
static void merge_empty(void **state)
{
	(void)state;
	histogram_reset(&histogram);
	histogram_reset(&other);
	histogram_record(&other, 700);
	histogram_merge(&histogram, &other);
	assert_int_equal(histogram_min(&histogram), 700);
	histogram_reset(&other);
	histogram_merge(&histogram, &other);
	assert_int_equal(histogram_min(&histogram), 700);
	assert_int_equal(histogram_count(&histogram), 1);
	assert_int_equal(histogram_percentile(&histogram, 50), 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles),
		cmocka_unit_test(summary),
		cmocka_unit_test(empty),
		cmocka_unit_test(bucket_edges),
		cmocka_unit_test(walk),
		cmocka_unit_test(no_gaps),
		cmocka_unit_test(merge),
		cmocka_unit_test(merge_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
