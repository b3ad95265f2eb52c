/*
 * bench_order_test.c - the places that `pagein bench` accesses.
 */
#include "check.h"

#include "bench_order.h"

#define PLACES 1000
#define SIZE (PLACES * UINT64_C(4096) - 100)

static struct options options(uint64_t count, uint64_t seed)
{
	return (struct options){
		.access_bytes = 4096, .stride_bytes = 65536, .count = count, .seed = seed};
}

static uint64_t *order_of(
	enum pattern pattern, uint64_t asked, uint64_t seed, uint64_t size, uint64_t *ret_count)
{
	struct options use = options(asked, seed);
	uint64_t *order = bench_order(&use, pattern, size, ret_count);

	assert_non_null(order);
	for (uint64_t i = 0; i < *ret_count; i++)
		assert_true(order[i] < size);
	return order;
}

static void every_pattern_stays_within_any_object(void **state)
{
	static const uint64_t sizes[] = {1, 4096, 4097, 65536, 65537, SIZE};
	uint64_t count;

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++)
		for (int pattern = 0; pattern < PATTERN_COUNT; pattern++)
			for (uint64_t asked = 1; asked < 5000; asked *= 3) {
				free(order_of((enum pattern)pattern, asked, 1, sizes[i], &count));
				assert_true(count > 0);
			}
}

static void random_places_are_distinct(void **state)
{
	uint64_t count, *order = order_of(PATTERN_RANDOM, 2 * PLACES, 1, SIZE, &count);
	bool seen[PLACES] = {false};

	(void)state;
	assert_true(count == PLACES);
	for (uint64_t i = 0; i < count; i++) {
		assert_true(order[i] % 4096 == 0);
		assert_false(seen[order[i] / 4096]);
		seen[order[i] / 4096] = true;
	}
	free(order);
}

static void sequential_is_all_of_the_object(void **state)
{
	uint64_t count, *order = order_of(PATTERN_SEQUENTIAL, 7, 1, SIZE, &count);

	(void)state;
	assert_true(count == PLACES);
	for (uint64_t i = 0; i < count; i++)
		assert_true(order[i] == i * 4096);
	free(order);
}

static void a_stride_goes_to_the_count_or_to_the_end(void **state)
{
	uint64_t count, *order = order_of(PATTERN_STRIDE, 10, 1, SIZE, &count);

	(void)state;
	assert_true(count == 10);
	for (uint64_t i = 0; i < count; i++)
		assert_true(order[i] == i * 65536);
	free(order);
	free(order_of(PATTERN_STRIDE, 10 * PLACES, 1, SIZE, &count));
	assert_true(count == (SIZE + 65535) / 65536);
}

/* How often each place was drawn, the most frequent first. */
static void count_draws(const uint64_t *order, uint64_t count, uint64_t draws[PLACES])
{
	memset(draws, 0, PLACES * sizeof *draws);
	for (uint64_t i = 0; i < count; i++)
		draws[order[i] / 4096]++;
	for (size_t i = 1; i < PLACES; i++)
		for (size_t j = i; j > 0 && draws[j] > draws[j - 1]; j--) {
			uint64_t swap = draws[j];

			draws[j] = draws[j - 1];
			draws[j - 1] = swap;
		}
}

static void zipf_draws_each_rank_as_often_as_it_should(void **state)
{
	uint64_t count, *order = order_of(PATTERN_ZIPF, 1000000, 1, SIZE, &count);
	uint64_t draws[PLACES];

	(void)state;
	assert_true(count == 1000000);
	count_draws(order, count, draws);
	/* The sum of 1 / r^0.99 over 1000 ranks is 7.73: ranks 1, 2, 10, 100 and 1000. */
	assert_in_range(draws[0], 128000, 131000);
	assert_in_range(draws[1], 64000, 66500);
	assert_in_range(draws[9], 12900, 13600);
	assert_in_range(draws[99], 1280, 1450);
	assert_in_range(draws[999], 80, 150);
	free(order);
}

static void a_seed_repeats_an_order_and_another_gives_another(void **state)
{
	static const enum pattern seeded[] = {PATTERN_RANDOM, PATTERN_ZIPF};
	uint64_t count;

	(void)state;
	for (size_t i = 0; i < array_len(seeded); i++) {
		uint64_t *one = order_of(seeded[i], 500, 1, SIZE, &count);
		uint64_t *same = order_of(seeded[i], 500, 1, SIZE, &count);
		uint64_t *other = order_of(seeded[i], 500, 2, SIZE, &count);

		assert_memory_equal(one, same, count * sizeof *one);
		assert_memory_not_equal(one, other, count * sizeof *one);
		free(one);
		free(same);
		free(other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pattern_stays_within_any_object),
		cmocka_unit_test(random_places_are_distinct),
		cmocka_unit_test(sequential_is_all_of_the_object),
		cmocka_unit_test(a_stride_goes_to_the_count_or_to_the_end),
		cmocka_unit_test(zipf_draws_each_rank_as_often_as_it_should),
		cmocka_unit_test(a_seed_repeats_an_order_and_another_gives_another),
	};

	return run_group(tests);
}
