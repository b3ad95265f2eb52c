/*
 * threads_test.c - the table of threads that fault, by a clock that the test moves.
 */
#include "check.h"

#include "pages.h"
#include "threads.h"

static const struct range everything = {0, UINT64_MAX};

static struct pagein_thread_stats only(const struct threads *threads)
{
	struct pagein_thread_stats stats;

	assert_int_equal(threads_list(threads, &stats, 1), 1);
	return stats;
}

static void a_stall_lasts_from_the_fault_to_the_fill(void **state)
{
	struct pagein_thread_stats stats;
	struct threads threads;

	(void)state;
	threads_init(&threads, NULL);
	threads_begin(&threads, 7, 5 * PAGE_BYTES, 1000);
	/* Neighbours' fills are not its own. */
	threads_end(&threads, (struct range){0, 5 * PAGE_BYTES}, 50000);
	threads_end(&threads, (struct range){6 * PAGE_BYTES, 9 * PAGE_BYTES}, 50000);
	assert_true(only(&threads).faults == 1 && only(&threads).stalled_ns == 0);
	threads_end(&threads, (struct range){5 * PAGE_BYTES, 6 * PAGE_BYTES}, 101000);
	threads_end(&threads, everything, 999999);
	threads_begin(&threads, 7, 0, 200000);
	threads_end(&threads, everything, 230000);
	stats = only(&threads);
	assert_true(stats.tid == 7 && stats.faults == 2);
	assert_true(stats.stalled_ns == 130000 && stats.stalled_max_ns == 100000);
	assert_true(stats.stalls[7] == 1 && stats.stalls[5] == 1);
	threads_finish(&threads);
}

static void stalls_are_counted_by_powers_of_two(void **state)
{
	static const struct {
		uint64_t ns;
		unsigned bucket;
	} cases[] = {{0, 0}, {999, 0}, {1000, 1}, {1999, 1}, {2000, 2}, {3999, 2}, {4000, 3},
		{1023999, 10}, {1024000, 11}, {UINT64_C(1000) << 29, 30},
		{UINT64_C(1000) << 30, 31}, {UINT64_C(1) << 60, 31}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct threads threads;

		threads_init(&threads, NULL);
		threads_begin(&threads, 1, 0, 5);
		threads_end(&threads, everything, 5 + cases[i].ns);
		assert_true(only(&threads).stalls[cases[i].bucket] == 1);
		threads_finish(&threads);
	}
}

/* A signal makes a thread fault again, on the same page; a jump out of its handler on another. */
static void a_fault_that_comes_again_is_one_stall(void **state)
{
	struct pagein_thread_stats stats;
	struct threads threads;

	(void)state;
	threads_init(&threads, NULL);
	threads_begin(&threads, 1, 0, 0);
	threads_begin(&threads, 1, 0, 5000);
	threads_end(&threads, everything, 10000);
	stats = only(&threads);
	assert_true(stats.faults == 2 && stats.stalled_ns == 10000 && stats.stalls[4] == 1);
	threads_begin(&threads, 1, 0, 20000);
	threads_begin(&threads, 1, PAGE_BYTES, 30000);
	threads_end(&threads, (struct range){0, PAGE_BYTES}, 40000);
	threads_end(&threads, (struct range){PAGE_BYTES, 2 * PAGE_BYTES}, 50000);
	stats = only(&threads);
	assert_true(stats.faults == 4 && stats.stalled_ns == 30000 && stats.stalls[5] == 1);
	threads_finish(&threads);
}

static void who_faulted_last_comes_first(void **state)
{
	static const int32_t order[] = {3, 1, 2, 1, 65, 129, 3, 2};
	static const int32_t expected[] = {2, 3, 129, 65, 1};
	struct pagein_thread_stats stats[8];
	struct threads threads;

	(void)state;
	threads_init(&threads, NULL);
	assert_int_equal(threads_list(&threads, NULL, 0), 0);
	for (size_t i = 0; i < array_len(order); i++)
		threads_begin(&threads, order[i], 0, i);
	assert_int_equal(threads_list(&threads, NULL, 0), 5);
	assert_int_equal(threads_list(&threads, stats, array_len(stats)), 5);
	for (size_t i = 0; i < array_len(expected); i++)
		assert_int_equal(stats[i].tid, expected[i]);
	assert_int_equal(threads_list(&threads, stats, 2), 5);
	threads_finish(&threads);
}

/* 10,000 threads, of which some fault again and again: those that did last are known. */
static void the_oldest_gives_its_place_away(void **state)
{
	static struct pagein_thread_stats stats[PAGEIN_THREADS_MAX + 1];
	struct threads threads;
	unsigned count;

	(void)state;
	threads_init(&threads, NULL);
	for (int32_t tid = 100; tid < 10100; tid++) {
		threads_reserve(&threads);
		threads_begin(&threads, tid, (uint64_t)tid * PAGE_BYTES, 0);
		threads_begin(&threads, 1, 0, 0);
		threads_end(&threads, everything, 1000);
	}
	count = threads_list(&threads, stats, array_len(stats));
	assert_int_equal(count, PAGEIN_THREADS_MAX);
	assert_true(stats[0].tid == 1 && stats[0].faults == 10000);
	for (unsigned i = 1; i < count; i++)
		assert_true(stats[i].tid == 10100 - (int32_t)i && stats[i].faults == 1);
	threads_end(&threads, everything, 1000);
	assert_true(list_empty(&threads.waiting));
	threads_finish(&threads);
}

/* More than are kept otherwise: each has its deadline. */
static void whoever_waits_is_known(void **state)
{
	struct threads threads;
	uint64_t offset;

	(void)state;
	threads_init(&threads, NULL);
	assert_true(threads_longest(&threads, &offset) == 0);
	for (int32_t tid = 0; tid < 5000; tid++)
		assert_true(threads_begin(
			&threads, tid + 1, (uint64_t)tid * PAGE_BYTES, 1000 + (uint64_t)tid));
	assert_int_equal(threads_list(&threads, NULL, 0), PAGEIN_THREADS_MAX);
	/* A signal makes one fault again: it waits as long as before. */
	assert_true(threads_begin(&threads, 1, 0, 9000));
	for (uint64_t tid = 0; tid < 5000; tid++) {
		assert_true(threads_longest(&threads, &offset) == 1000 + tid);
		assert_true(offset == tid * PAGE_BYTES);
		threads_end(&threads, (struct range){offset, offset + PAGE_BYTES}, 9000);
	}
	assert_true(threads_longest(&threads, &offset) == 0);
	threads_finish(&threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stall_lasts_from_the_fault_to_the_fill),
		cmocka_unit_test(stalls_are_counted_by_powers_of_two),
		cmocka_unit_test(a_fault_that_comes_again_is_one_stall),
		cmocka_unit_test(who_faulted_last_comes_first),
		cmocka_unit_test(the_oldest_gives_its_place_away),
		cmocka_unit_test(whoever_waits_is_known),
	};

	return run_group(tests);
}
