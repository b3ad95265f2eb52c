/*
 * readahead_test.c - tables of accesses and what is asked for, and what holds for any history and
 * any conditions.
 */
#include "check.h"

#include "pages.h"
#include "readahead.h"

#define SIZE (UINT64_C(1) << 40)

static const struct readahead_conditions near_by = {.object_size = SIZE, .first_byte_ns = 50000};
static const struct readahead_conditions far_away = {
	.object_size = SIZE, .first_byte_ns = 10 * 1000 * 1000};

static struct readahead_plan plan_page(
	struct readahead *readahead, uint64_t page, const struct readahead_conditions *conditions)
{
	struct range wanted = {page * PAGE_BYTES, (page + 1) * PAGE_BYTES};
	struct readahead_plan plan = readahead_plan(readahead, wanted, conditions);

	assert_true(plan.first.start == wanted.start && plan.first.end >= wanted.end);
	return plan;
}

/* Pages that one page's want asks for, in both ranges. */
static uint64_t plan_pages(struct readahead *readahead, uint64_t page)
{
	struct readahead_plan plan = plan_page(readahead, page, &near_by);
	uint64_t bytes = range_length(plan.first);

	if (!range_empty(plan.ahead))
		bytes += range_length(plan.ahead);
	return bytes / PAGE_BYTES;
}

static void random_access_asks_for_what_is_wanted_only(void **state)
{
	struct readahead readahead = {0};

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(plan_pages(&readahead, (i * 7919 % 1000) * 100), 1);
}

static void reading_backwards_asks_for_what_is_wanted_only(void **state)
{
	struct readahead readahead = {0};

	(void)state;
	for (uint64_t page = 1000; page > 0; page--)
		assert_int_equal(plan_pages(&readahead, page), 1);
}

/*
 * A reader that touches each page in turn, and whose door reports those pages that were not asked
 * for, and the marked ones. The largest distance that it was asked ahead of the reader.
 */
static uint64_t read_on(struct readahead *readahead, uint64_t *page, uint64_t count,
	const struct readahead_conditions *conditions, uint64_t *ret_reports)
{
	uint64_t asked_to = *page, mark = UINT64_MAX, ahead_max = 0;

	for (uint64_t end = *page + count; *page < end; ++*page) {
		struct readahead_plan plan;

		if (*page < asked_to && *page * PAGE_BYTES != mark)
			continue;
		++*ret_reports;
		plan = plan_page(readahead, *page, conditions);
		if (plan.first.end / PAGE_BYTES > asked_to)
			asked_to = plan.first.end / PAGE_BYTES;
		if (!range_empty(plan.ahead)) {
			/* Nothing is asked for twice, and nothing is left out. */
			assert_true(plan.ahead.start == asked_to * PAGE_BYTES);
			asked_to = plan.ahead.end / PAGE_BYTES;
		}
		if (plan.mark != UINT64_MAX) {
			assert_true(plan.mark > *page * PAGE_BYTES);
			assert_true(plan.mark < asked_to * PAGE_BYTES);
			mark = plan.mark;
		}
		if (asked_to - *page > ahead_max)
			ahead_max = asked_to - *page;
	}
	return ahead_max;
}

static void a_sequential_reader_is_seldom_waited_for(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 1000, reports = 0, ahead;

	(void)state;
	ahead = read_on(&readahead, &page, 100000, &near_by, &reports);
	assert_true(ahead >= READAHEAD_NEAR / PAGE_BYTES);
	assert_true(ahead <= READAHEAD_NEAR / PAGE_BYTES + 1);
	/* A report for each half of the window, and a few while it grows. */
	assert_true(reports <= 100000 / (READAHEAD_NEAR / PAGE_BYTES / 2) + 20);
}

/* As for pages that are cached: little is asked for at once, and nothing is held back. */
static void a_stream_goes_on_behind_a_plan_that_was_cut(void **state)
{
	struct readahead readahead = {0};
	uint64_t asked_to = 0, reports = 0;
	struct readahead_plan plan;

	(void)state;
	for (uint64_t page = 0; page < 10000; page++) {
		if (page < asked_to)
			continue;
		reports++;
		plan = plan_page(&readahead, page, &far_away);
		asked_to = page + 1;
		if (range_length(plan.first) + range_length(plan.ahead) == PAGE_BYTES)
			continue;
		asked_to += 32;
		readahead_amend(&readahead, &plan, asked_to * PAGE_BYTES, UINT64_MAX);
		assert_true(plan.first.start == page * PAGE_BYTES);
		assert_true(plan.first.end <= asked_to * PAGE_BYTES);
		assert_true(plan.ahead.end <= asked_to * PAGE_BYTES);
	}
	assert_true(reports <= 10000 / 32 + 10);
	/* Where it has to be fetched, the window is as large as ever. */
	plan = plan_page(&readahead, asked_to, &far_away);
	assert_true(range_length(plan.first) + range_length(plan.ahead) > READAHEAD_NEAR);
}

static void a_distant_server_gets_a_larger_window_in_more_ranges(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0, ahead;

	(void)state;
	ahead = read_on(&readahead, &page, 100000, &far_away, &reports);
	assert_true(ahead > READAHEAD_NEAR / PAGE_BYTES);
	assert_true(ahead <= READAHEAD_WAYS * READAHEAD_NEAR / PAGE_BYTES + 1);
}

static void the_memory_limit_bounds_the_window(void **state)
{
	struct readahead_conditions tight = near_by;
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0;

	(void)state;
	tight.memory_bytes = UINT64_C(1) << 20;
	assert_true(read_on(&readahead, &page, 10000, &tight, &reports) <=
		    tight.memory_bytes / PAGE_BYTES + 1);
}

static void many_streams_go_on_side_by_side(void **state)
{
	struct readahead readahead = {0};
	uint64_t pages[READAHEAD_STREAMS], reports = 0;

	(void)state;
	for (uint64_t i = 0; i < READAHEAD_STREAMS; i++) {
		pages[i] = i * 1000000;
		read_on(&readahead, &pages[i], 2, &near_by, &reports);
	}
	/* The stream is known: an access right behind its window extends it. */
	for (uint64_t i = 0; i < READAHEAD_STREAMS; i++) {
		assert_true(readahead.streams[i].window > 0);
		assert_true(plan_pages(&readahead, readahead.streams[i].next / PAGE_BYTES) > 1);
	}
}

static void random_accesses_do_not_end_a_stream(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0, seed = 3;

	(void)state;
	read_on(&readahead, &page, 1000, &near_by, &reports);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(plan_pages(&readahead,
					 1000000 + random_next(&seed) % 1000 * 100 + 100000 * i),
			1);
	assert_true(plan_pages(&readahead, readahead.streams[0].next / PAGE_BYTES) > 32);
}

static void requests_in_disorder_stay_one_stream(void **state)
{
	const uint64_t request = UINT64_C(128) << 10;
	struct readahead readahead = {0};
	uint64_t asked = 0;

	(void)state;
	/* As FUSE sends them, neighbours changing places. */
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t start = (i ^ 1) * request;
		struct readahead_plan plan = readahead_plan(
			&readahead, (struct range){start, start + request}, &near_by);
		uint64_t end = range_empty(plan.ahead) ? plan.first.end : plan.ahead.end;

		asked = end > asked ? end : asked;
		if (i > 4)
			assert_true(asked >= start + 2 * request);
	}
	assert_true(readahead.streams[0].window > 0 && readahead.streams[1].window == 0);
}

static void random_accesses_do_not_grow_a_stream_that_they_hit(void **state)
{
	const uint64_t pages = 1 << 18, accesses = 20000;
	struct readahead_conditions conditions = far_away;
	struct readahead readahead = {0};
	uint64_t seed = 5, asked = 0;

	(void)state;
	conditions.object_size = pages * PAGE_BYTES;
	for (uint64_t i = 0; i < accesses; i++) {
		struct readahead_plan plan = plan_page(
			&readahead, random_next(&seed) % pages, &conditions);

		asked += range_length(plan.first);
		asked += range_empty(plan.ahead) ? 0 : range_length(plan.ahead);
	}
	assert_true(asked <= accesses * PAGE_BYTES * 5 / 4);
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
	assert_true(plan_pages(&readahead, 500) >= READAHEAD_START / PAGE_BYTES);
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

static void check_plan(const struct readahead_plan *plan, struct range wanted,
	const struct readahead_conditions *conditions)
{
	uint64_t size = conditions->object_size, end = plan->first.end;

	assert_true(plan->first.start == wanted.start);
	assert_true(plan->first.end >= wanted.end && plan->first.end <= size);
	assert_true(plan->first.end % PAGE_BYTES == 0 || plan->first.end == size);
	assert_true(plan->chunk_bytes >= PAGE_BYTES);
	if (!range_empty(plan->ahead)) {
		assert_true(plan->ahead.start % PAGE_BYTES == 0);
		assert_true(plan->ahead.start >= plan->first.end);
		assert_true(plan->ahead.end % PAGE_BYTES == 0 || plan->ahead.end == size);
		assert_true(plan->ahead.end <= size);
		end = plan->ahead.end;
	}
	assert_true(end <= align_up(wanted.end, PAGE_BYTES) + READAHEAD_WAYS * READAHEAD_NEAR);
	if (plan->mark != UINT64_MAX)
		assert_true(plan->mark % PAGE_BYTES == 0 && plan->mark < size);
}

static void a_plan_always_holds_what_is_wanted(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct readahead readahead = {.advice = (enum readahead_advice)(round % 3)};
		struct readahead_conditions conditions = {
			.object_size = 1 + random_next(&seed) % (UINT64_C(1) << (12 + round % 24)),
		};
		uint64_t last = 0;

		for (int i = 0; i < 2000; i++) {
			struct range wanted = any_wanted(&seed, conditions.object_size, last);
			struct readahead_plan plan;

			/* The server comes and goes, and memory does. */
			if (random_next(&seed) % 8 == 0)
				conditions.first_byte_ns = random_next(&seed) % 20000000;
			if (random_next(&seed) % 8 == 0)
				conditions.memory_bytes = random_next(&seed) % 10000000;
			plan = readahead_plan(&readahead, wanted, &conditions);
			check_plan(&plan, wanted, &conditions);
			last = plan.first.end / PAGE_BYTES;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_access_asks_for_what_is_wanted_only),
		cmocka_unit_test(reading_backwards_asks_for_what_is_wanted_only),
		cmocka_unit_test(a_sequential_reader_is_seldom_waited_for),
		cmocka_unit_test(a_stream_goes_on_behind_a_plan_that_was_cut),
		cmocka_unit_test(a_distant_server_gets_a_larger_window_in_more_ranges),
		cmocka_unit_test(the_memory_limit_bounds_the_window),
		cmocka_unit_test(many_streams_go_on_side_by_side),
		cmocka_unit_test(random_accesses_do_not_end_a_stream),
		cmocka_unit_test(requests_in_disorder_stay_one_stream),
		cmocka_unit_test(random_accesses_do_not_grow_a_stream_that_they_hit),
		cmocka_unit_test(advice_random_never_reads_ahead),
		cmocka_unit_test(advice_sequential_reads_ahead_at_once),
		cmocka_unit_test(a_plan_always_holds_what_is_wanted),
	};

	return run_group(tests);
}
