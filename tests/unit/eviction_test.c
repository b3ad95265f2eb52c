/*
 * eviction_test.c - what a memory limit keeps its books in: the queue of runs, and the pages that
 * wait for a second chance.
 */
#include "check.h"
#include "pages.h"
#include "run_queue.h"
#include "second.h"

#define KEPT 50

/* Owners are compared, not looked into. */
static struct pagein_map *owner(uintptr_t number)
{
	return (struct pagein_map *)(number << 12);
}

/* ---- runs ----------------------------------------------------------------------------------- */

static void runs_come_out_in_the_order_in_which_they_went_in(void **state)
{
	struct run_queue queue = {0};
	uint64_t in = 0, out = 0, seed = 7;
	struct run run;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		if (random_next(&seed) % 5 < 3) {
			assert_true(run_queue_push(&queue, (struct run){in, 1, 3}));
			in++;
			assert_int_equal(run_queue_newest(&queue)->page, in - 1);
		} else if (run_queue_pop(&queue, &run)) {
			assert_int_equal(run.page, out);
			assert_int_equal(run.map, 3);
			out++;
		} else {
			assert_int_equal(in, out);
		}
		if (i % 100 == 0)
			run_queue_reserve(&queue);
	}
	while (run_queue_pop(&queue, &run))
		assert_int_equal(run.page, out++);
	assert_int_equal(in, out);
	assert_null(run_queue_newest(&queue));
	run_queue_finish(&queue);
}

static void the_newest_run_can_be_made_longer(void **state)
{
	struct run_queue queue = {0};
	struct run run;

	(void)state;
	assert_null(run_queue_newest(&queue));
	run_queue_push(&queue, (struct run){5, 1, 0});
	run_queue_newest(&queue)->pages += 3;
	assert_true(run_queue_pop(&queue, &run));
	assert_int_equal(run.pages, 4);
	assert_false(run_queue_pop(&queue, &run));
	run_queue_finish(&queue);
}

/* ---- second chances -------------------------------------------------------------------------- */

static void keep(struct second *second, uintptr_t number, uint64_t page, uint64_t bytes_max,
	struct pagein_map **ret_loser, uint64_t *ret_lost)
{
	uint8_t bytes[PAGE_BYTES];

	memset(bytes, (int)(number * 31 + page), sizeof bytes);
	assert_true(second_put(second, owner(number), page, bytes, bytes_max, ret_loser, ret_lost));
}

static void check_kept(const struct second *second, uintptr_t number, uint64_t page, bool kept)
{
	const uint8_t *bytes = second_find(second, owner(number), page);

	assert_int_equal(bytes != NULL, kept);
	if (kept)
		assert_int_equal(bytes[4095], (uint8_t)(number * 31 + page));
}

static void the_page_that_was_kept_for_longest_goes_first(void **state)
{
	struct pagein_map *loser;
	struct second second;
	uint64_t lost;

	(void)state;
	second_init(&second, KEPT);
	for (uint64_t page = 0; page < KEPT; page++) {
		keep(&second, 1 + page % 2, page, UINT64_MAX, &loser, &lost);
		assert_null(loser);
	}
	for (uint64_t page = 0; page < KEPT; page++) {
		keep(&second, 3, page, UINT64_MAX, &loser, &lost);
		assert_ptr_equal(loser, owner(1 + page % 2));
		assert_int_equal(lost, page);
		check_kept(&second, 1 + page % 2, page, false);
		check_kept(&second, 3, page, true);
	}
	assert_int_equal(second_bytes(&second), KEPT * PAGE_BYTES);
	second_finish(&second);
}

static void it_grows_no_further_than_it_may(void **state)
{
	struct pagein_map *loser;
	struct second second;
	uint64_t lost;

	(void)state;
	second_init(&second, KEPT);
	for (uint64_t page = 0; page < KEPT; page++)
		keep(&second, 1, page, 10 * PAGE_BYTES, &loser, &lost);
	assert_int_equal(second_bytes(&second), 10 * PAGE_BYTES);
	check_kept(&second, 1, KEPT - 11, false);
	check_kept(&second, 1, KEPT - 10, true);
	/* Not even by one that may not grow at all. */
	keep(&second, 2, 0, 0, &loser, &lost);
	assert_ptr_equal(loser, owner(1));
	assert_int_equal(second_bytes(&second), 10 * PAGE_BYTES);
	second_finish(&second);
}

static void memory_of_dropped_pages_is_used_again_and_given_back(void **state)
{
	struct pagein_map *loser;
	struct second second;
	uint64_t lost;

	(void)state;
	second_init(&second, KEPT);
	for (uint64_t page = 0; page < 20; page++)
		keep(&second, 1, page, UINT64_MAX, &loser, &lost);
	for (uint64_t page = 0; page < 20; page += 2)
		second_drop(&second, owner(1), page);
	assert_int_equal(second_bytes(&second), 20 * PAGE_BYTES);
	for (uint64_t page = 0; page < 20; page++)
		check_kept(&second, 1, page, page % 2);
	keep(&second, 2, 7, 0, &loser, &lost);
	assert_null(loser);
	assert_int_equal(second_bytes(&second), 20 * PAGE_BYTES);
	/* Nine spare ones, then the oldest. */
	for (int i = 0; i < 9; i++) {
		assert_true(second_shrink(&second, &loser, &lost));
		assert_null(loser);
	}
	assert_true(second_shrink(&second, &loser, &lost));
	assert_ptr_equal(loser, owner(1));
	assert_int_equal(lost, 1);
	while (second_shrink(&second, &loser, &lost))
		;
	assert_int_equal(second_bytes(&second), 0);
	check_kept(&second, 2, 7, false);
	keep(&second, 2, 7, UINT64_MAX, &loser, &lost);
	check_kept(&second, 2, 7, true);
	second_finish(&second);
}

static void without_room_nothing_is_kept(void **state)
{
	struct pagein_map *loser;
	struct second second;
	uint64_t lost;

	(void)state;
	second_init(&second, 0);
	assert_false(second_put(&second, owner(1), 1, "", UINT64_MAX, &loser, &lost));
	assert_null(second_find(&second, owner(1), 1));
	assert_false(second_shrink(&second, &loser, &lost));
	second_finish(&second);
}

/* Against a plain table: a million operations on pages of many owners. */
static void it_agrees_with_a_plain_table(void **state)
{
	static uint8_t model[8][64];
	struct pagein_map *loser;
	struct second second;
	uint64_t lost, seed = 3;

	(void)state;
	second_init(&second, KEPT);
	for (int i = 0; i < 1000000; i++) {
		uintptr_t number = 1 + random_next(&seed) % 7;
		uint64_t page = random_next(&seed) % 64;

		assert_int_equal(
			second_find(&second, owner(number), page) != NULL, model[number][page]);
		if (model[number][page]) {
			check_kept(&second, number, page, true);
			second_drop(&second, owner(number), page);
			model[number][page] = 0;
		} else {
			keep(&second, number, page, UINT64_MAX, &loser, &lost);
			model[number][page] = 1;
			if (loser)
				model[(uintptr_t)loser >> 12][lost] = 0;
		}
		if (i % 1000 == 0 && second_shrink(&second, &loser, &lost) && loser)
			model[(uintptr_t)loser >> 12][lost] = 0;
	}
	second_finish(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_come_out_in_the_order_in_which_they_went_in),
		cmocka_unit_test(the_newest_run_can_be_made_longer),
		cmocka_unit_test(the_page_that_was_kept_for_longest_goes_first),
		cmocka_unit_test(it_grows_no_further_than_it_may),
		cmocka_unit_test(memory_of_dropped_pages_is_used_again_and_given_back),
		cmocka_unit_test(without_room_nothing_is_kept),
		cmocka_unit_test(it_agrees_with_a_plain_table),
	};

	return run_group(tests);
}
