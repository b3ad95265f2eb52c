/*
 * bench_order_test.c - the places that `pagein bench` accesses.
 */
#include <errno.h>

#include "check.h"

#include "order.h"

#define PLACES 1000
#define SIZE (PLACES * UINT64_C(4096) - 100)

static struct options options(uint64_t count, uint64_t seed)
{
	return (struct options){
		.access_bytes = 4096,
		.stride_bytes = 65536,
		.count = count,
		.hot_places = 10,
		.hot_accesses = 90,
		.seed = seed,
	};
}

static struct bench_order order_with(const struct options *use, enum pattern pattern, uint64_t size)
{
	struct bench_order order;
	uint64_t bytes = 0;

	assert_int_equal(bench_order_make(use, pattern, NULL, size, &order), 0);
	for (uint64_t i = 0; i < order.count; i++) {
		assert_true(order.accesses[i].offset < size);
		assert_in_range(order.accesses[i].len, 1, size - order.accesses[i].offset);
		bytes += order.accesses[i].len;
	}
	assert_true(bytes == order.bytes);
	return order;
}

static struct bench_order order_of(
	enum pattern pattern, uint64_t asked, uint64_t seed, uint64_t size)
{
	struct options use = options(asked, seed);

	return order_with(&use, pattern, size);
}

static void every_pattern_stays_within_any_object(void **state)
{
	static const uint64_t sizes[] = {1, 4096, 4097, 65536, 65537, SIZE};

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++)
		for (int pattern = 0; pattern < PATTERN_REPLAY; pattern++)
			for (uint64_t asked = 1; asked < 5000; asked *= 3) {
				struct bench_order order = order_of(
					(enum pattern)pattern, asked, 1, sizes[i]);

				assert_true(order.count > 0);
				bench_order_free(&order);
			}
}

static void random_places_are_distinct(void **state)
{
	struct bench_order order = order_of(PATTERN_RANDOM, 2 * PLACES, 1, SIZE);
	bool seen[PLACES] = {false};

	(void)state;
	assert_true(order.count == PLACES);
	for (uint64_t i = 0; i < order.count; i++) {
		assert_true(order.accesses[i].offset % 4096 == 0);
		assert_false(seen[order.accesses[i].offset / 4096]);
		seen[order.accesses[i].offset / 4096] = true;
	}
	bench_order_free(&order);
}

static void sequential_is_all_of_the_object(void **state)
{
	struct bench_order order = order_of(PATTERN_SEQUENTIAL, 7, 1, SIZE);

	(void)state;
	assert_true(order.count == PLACES);
	for (uint64_t i = 0; i < order.count; i++)
		assert_true(order.accesses[i].offset == i * 4096);
	bench_order_free(&order);
}

static void a_stride_goes_to_the_count_or_to_the_end(void **state)
{
	struct bench_order order = order_of(PATTERN_STRIDE, 10, 1, SIZE);

	(void)state;
	assert_true(order.count == 10);
	for (uint64_t i = 0; i < order.count; i++)
		assert_true(order.accesses[i].offset == i * 65536);
	bench_order_free(&order);
	order = order_of(PATTERN_STRIDE, 10 * PLACES, 1, SIZE);
	assert_true(order.count == (SIZE + 65535) / 65536);
	bench_order_free(&order);
}

/* How often each place was drawn, the most frequent first. */
static void count_draws(const struct bench_order *order, uint64_t draws[PLACES])
{
	memset(draws, 0, PLACES * sizeof *draws);
	for (uint64_t i = 0; i < order->count; i++)
		draws[order->accesses[i].offset / 4096]++;
	for (size_t i = 1; i < PLACES; i++)
		for (size_t j = i; j > 0 && draws[j] > draws[j - 1]; j--) {
			uint64_t swap = draws[j];

			draws[j] = draws[j - 1];
			draws[j - 1] = swap;
		}
}

static void zipf_draws_each_rank_as_often_as_it_should(void **state)
{
	struct bench_order order = order_of(PATTERN_ZIPF, 1000000, 1, SIZE);
	uint64_t draws[PLACES];

	(void)state;
	assert_true(order.count == 1000000);
	count_draws(&order, draws);
	/* The sum of 1 / r^0.99 over 1000 ranks is 7.73: ranks 1, 2, 10, 100 and 1000. */
	assert_in_range(draws[0], 128000, 131000);
	assert_in_range(draws[1], 64000, 66500);
	assert_in_range(draws[9], 12900, 13600);
	assert_in_range(draws[99], 1280, 1450);
	assert_in_range(draws[999], 80, 150);
	bench_order_free(&order);
}

static void hot_places_are_few_and_get_most(void **state)
{
	struct bench_order order = order_of(PATTERN_HOTCOLD, 1000000, 1, SIZE);
	uint64_t draws[PLACES];

	(void)state;
	count_draws(&order, draws);
	/* 900 draws of each of the hundred hot ones; 111.1 of each of the others. */
	assert_in_range(draws[0], 9000, 9500);
	assert_in_range(draws[99], 8500, 9000);
	assert_in_range(draws[100], 111, 170);
	assert_in_range(draws[999], 60, 111);
	bench_order_free(&order);
}

static void all_places_may_be_hot_and_none_too(void **state)
{
	struct options use = options(1000, 1);

	(void)state;
	for (use.hot_places = 0; use.hot_places <= 100; use.hot_places += 50)
		for (use.hot_accesses = 0; use.hot_accesses <= 100; use.hot_accesses += 50) {
			struct bench_order order = order_with(&use, PATTERN_HOTCOLD, SIZE);

			assert_true(order.count == 1000);
			bench_order_free(&order);
		}
}

static void a_seed_repeats_an_order_and_another_gives_another(void **state)
{
	static const enum pattern seeded[] = {PATTERN_RANDOM, PATTERN_ZIPF, PATTERN_HOTCOLD};

	(void)state;
	for (size_t i = 0; i < array_len(seeded); i++) {
		struct bench_order one = order_of(seeded[i], 500, 1, SIZE);
		struct bench_order same = order_of(seeded[i], 500, 1, SIZE);
		struct bench_order other = order_of(seeded[i], 500, 2, SIZE);
		size_t size = 500 * sizeof *one.accesses;

		assert_memory_equal(one.accesses, same.accesses, size);
		assert_memory_not_equal(one.accesses, other.accesses, size);
		bench_order_free(&one);
		bench_order_free(&same);
		bench_order_free(&other);
	}
}

static void places_of_a_huge_object_cost_no_memory_for_it(void **state)
{
	struct bench_order order = order_of(PATTERN_RANDOM, 1000, 1, UINT64_C(1) << 62);

	(void)state;
	assert_true(order.count == 1000);
	bench_order_free(&order);
}

static void arrivals_come_at_their_rate_and_by_chance(void **state)
{
	struct options use = options(1000000, 1);
	struct bench_order order;
	uint64_t last_ns = 0, close = 0, size = 1000000 * UINT64_C(4096);

	(void)state;
	use.arrival = 1000;
	order = order_with(&use, PATTERN_RANDOM, size);
	for (uint64_t i = 0; i < order.count; i++) {
		assert_true(order.accesses[i].at_ns >= last_ns);
		close += order.accesses[i].at_ns - last_ns < 100000;
		last_ns = order.accesses[i].at_ns;
	}
	/* 1000 s; 1 - exp(-0.1) of them within a tenth of the mean. */
	assert_in_range(last_ns / 1000000000, 995, 1005);
	assert_in_range(close, 94000, 96500);
	bench_order_free(&order);
}

static void a_trace_is_replayed_as_it_is(void **state)
{
	struct bench_access recorded[] = {{100, 1, 0}, {5, 5000, 7000}, {SIZE - 1, 1, 9000}};
	struct bench_order trace = {.accesses = recorded, .count = 3}, order;
	struct options use = options(1, 1);

	(void)state;
	use.recorded_pace = true;
	assert_int_equal(bench_order_make(&use, PATTERN_REPLAY, &trace, SIZE, &order), 0);
	assert_memory_equal(order.accesses, recorded, sizeof recorded);
	assert_true(order.count == 3 && order.bytes == 5002);
	bench_order_free(&order);
	use.recorded_pace = false;
	assert_int_equal(bench_order_make(&use, PATTERN_REPLAY, &trace, SIZE, &order), 0);
	assert_true(order.accesses[2].at_ns == 0);
	bench_order_free(&order);
	assert_int_equal(bench_order_make(&use, PATTERN_REPLAY, &trace, SIZE - 1, &order), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pattern_stays_within_any_object),
		cmocka_unit_test(random_places_are_distinct),
		cmocka_unit_test(sequential_is_all_of_the_object),
		cmocka_unit_test(a_stride_goes_to_the_count_or_to_the_end),
		cmocka_unit_test(zipf_draws_each_rank_as_often_as_it_should),
		cmocka_unit_test(hot_places_are_few_and_get_most),
		cmocka_unit_test(all_places_may_be_hot_and_none_too),
		cmocka_unit_test(places_of_a_huge_object_cost_no_memory_for_it),
		cmocka_unit_test(arrivals_come_at_their_rate_and_by_chance),
		cmocka_unit_test(a_trace_is_replayed_as_it_is),
		cmocka_unit_test(a_seed_repeats_an_order_and_another_gives_another),
	};

	return run_group(tests);
}
