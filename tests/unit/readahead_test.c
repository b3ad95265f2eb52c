/*
 * readahead_test.c - tables of accesses and what is asked for, and what holds for any history.
 */
#include "check.h"

#include "pages.h"
#include "readahead.h"

#define SIZE (UINT64_C(1) << 30)

static struct range page_at(uint64_t number)
{
	return (struct range){number * PAGE_BYTES, (number + 1) * PAGE_BYTES};
}

/* Pages that one page's want asks for. */
static uint64_t plan_pages(struct readahead *readahead, uint64_t page)
{
	struct range plan = readahead_plan(readahead, page_at(page), SIZE);

	assert_true(plan.start == page * PAGE_BYTES);
	return range_length(plan) / PAGE_BYTES;
}

static void random_access_asks_for_what_is_wanted_only(void **state)
{
	struct readahead readahead = {0};

	(void)state;
	/* Far apart: more than the gap of a stream. */
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(plan_pages(&readahead, (i * 7919 % 1000) * 100), 1);
}

static void sequential_access_doubles_its_window_up_to_the_limit(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 1000, window = READAHEAD_START / PAGE_BYTES;

	(void)state;
	assert_int_equal(plan_pages(&readahead, page++), 1);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(plan_pages(&readahead, page), window);
		page += window;
		window = 2 * window < READAHEAD_MAX / PAGE_BYTES ? 2 * window
								 : READAHEAD_MAX / PAGE_BYTES;
	}
}

static void a_want_inside_the_window_opens_nothing(void **state)
{
	struct readahead readahead = {0};

	(void)state;
	plan_pages(&readahead, 10);
	assert_int_equal(plan_pages(&readahead, 11), 32);
	for (uint64_t page = 12; page < 42; page++)
		assert_int_equal(plan_pages(&readahead, page), 1);
	/* The end of the window is its continuation. */
	assert_int_equal(plan_pages(&readahead, 43), 64);
}

static void requests_in_disorder_stay_one_stream(void **state)
{
	struct readahead readahead = {0};

	(void)state;
	plan_pages(&readahead, 100);
	assert_int_equal(plan_pages(&readahead, 101), 32);
	/* The next window is opened from a little behind its beginning, then one comes late. */
	assert_int_equal(plan_pages(&readahead, 136), 64);
	assert_int_equal(plan_pages(&readahead, 134), 1);
	assert_int_equal(plan_pages(&readahead, 133), 1);
	assert_int_equal(plan_pages(&readahead, 200), 128);
}

static void eight_streams_grow_side_by_side(void **state)
{
	struct readahead readahead = {0};
	uint64_t next[READAHEAD_STREAMS], window = 32;

	(void)state;
	for (uint64_t i = 0; i < READAHEAD_STREAMS; i++) {
		next[i] = i * 20000;
		assert_int_equal(plan_pages(&readahead, next[i]++), 1);
	}
	for (int round = 0; round < 4; round++, window *= 2)
		for (uint64_t i = 0; i < READAHEAD_STREAMS; i++) {
			assert_int_equal(plan_pages(&readahead, next[i]), window);
			next[i] += window;
		}
}

static void a_ninth_stream_takes_the_place_of_the_oldest(void **state)
{
	struct readahead readahead = {0};

	(void)state;
	for (uint64_t i = 0; i < READAHEAD_STREAMS; i++)
		plan_pages(&readahead, i * 20000);
	for (uint64_t i = 1; i < READAHEAD_STREAMS; i++)
		assert_int_equal(plan_pages(&readahead, i * 20000 + 1), 32);
	plan_pages(&readahead, 250000);
	assert_int_equal(plan_pages(&readahead, 250001), 32);
	/* Stream 0 is forgotten, stream 1 is not. */
	assert_int_equal(plan_pages(&readahead, 20033), 64);
	assert_int_equal(plan_pages(&readahead, 1), 1);
}

static void advice_random_never_reads_ahead(void **state)
{
	struct readahead readahead = {.advice = READAHEAD_RANDOM};

	(void)state;
	for (uint64_t page = 0; page < 100; page++)
		assert_int_equal(plan_pages(&readahead, page), 1);
}

static void advice_sequential_reads_ahead_at_once(void **state)
{
	struct readahead readahead = {.advice = READAHEAD_SEQUENTIAL};

	(void)state;
	assert_int_equal(plan_pages(&readahead, 500), 32);
	assert_int_equal(plan_pages(&readahead, 532), 64);
}

static void the_window_ends_with_the_object(void **state)
{
	struct readahead readahead = {.advice = READAHEAD_SEQUENTIAL};
	struct range plan = readahead_plan(&readahead, page_at(3), 5 * PAGE_BYTES + 17);

	(void)state;
	assert_true(plan.start == 3 * PAGE_BYTES && plan.end == 5 * PAGE_BYTES + 17);
	plan = readahead_plan(&readahead, page_at(5), 5 * PAGE_BYTES + 17);
	assert_true(plan.start == 5 * PAGE_BYTES && plan.end == 5 * PAGE_BYTES + 17);
}

static struct range any_wanted(uint64_t *seed, uint64_t size, uint64_t last)
{
	uint64_t pages = (size + PAGE_BYTES - 1) / PAGE_BYTES;
	uint64_t page = random_next(seed) % pages;
	struct range wanted;

	/* Near the last one, mostly. */
	if (random_next(seed) % 4)
		page = (last + random_next(seed) % 40) % pages;
	wanted.start = page * PAGE_BYTES;
	wanted.end = wanted.start + 1 + random_next(seed) % (64 * PAGE_BYTES);
	if (wanted.end > size)
		wanted.end = size;
	return wanted;
}

static void a_plan_always_holds_what_is_wanted(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct readahead readahead = {.advice = (enum readahead_advice)(round % 3)};
		uint64_t size = 1 + random_next(&seed) % (UINT64_C(1) << (12 + round % 24));
		uint64_t last = 0;

		for (int i = 0; i < 2000; i++) {
			struct range wanted = any_wanted(&seed, size, last);
			struct range plan = readahead_plan(&readahead, wanted, size);

			assert_true(plan.start == wanted.start);
			assert_true(plan.end >= wanted.end);
			assert_true(plan.end % PAGE_BYTES == 0 || plan.end == size);
			assert_true(plan.end <= size);
			assert_true(plan.end <= align_up(wanted.end, PAGE_BYTES) + READAHEAD_MAX);
			last = plan.end / PAGE_BYTES;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_access_asks_for_what_is_wanted_only),
		cmocka_unit_test(sequential_access_doubles_its_window_up_to_the_limit),
		cmocka_unit_test(a_want_inside_the_window_opens_nothing),
		cmocka_unit_test(requests_in_disorder_stay_one_stream),
		cmocka_unit_test(eight_streams_grow_side_by_side),
		cmocka_unit_test(a_ninth_stream_takes_the_place_of_the_oldest),
		cmocka_unit_test(advice_random_never_reads_ahead),
		cmocka_unit_test(advice_sequential_reads_ahead_at_once),
		cmocka_unit_test(the_window_ends_with_the_object),
		cmocka_unit_test(a_plan_always_holds_what_is_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
