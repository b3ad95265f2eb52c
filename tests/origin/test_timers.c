/* test_timers.c - the heap of deadlines, against a search through all of them. */
#include "fixture.h"

#include <stdlib.h>

#include "timers.h"

enum { COUNT = 500, ROUNDS = 200000 };

static uint32_t next_random(uint32_t *random)
{
	*random = *random * 1664525 + 1013904223;
	return *random >> 8;
}

static uint64_t earliest(const struct timer *timers)
{
	uint64_t deadline_ns = UINT64_MAX;

	for (size_t i = 0; i < COUNT; i++)
		if (timers[i].slot && timers[i].deadline_ns < deadline_ns)
			deadline_ns = timers[i].deadline_ns;
	return deadline_ns;
}

static void test_first_is_the_earliest(void **state)
{
	static struct timer timers[COUNT];
	struct timers heap = {0};
	uint32_t random = 1;

	(void)state;
	assert_int_equal(origin_timers_reserve(&heap, COUNT), 0);
	for (int round = 0; round < ROUNDS; round++) {
		struct timer *timer = &timers[next_random(&random) % COUNT];
		const struct timer *first;

		if (next_random(&random) % 3)
			origin_timer_set(&heap, timer, next_random(&random) % 1000);
		else
			origin_timer_clear(&heap, timer);
		first = origin_timers_first(&heap);
		if (round % 16)
			continue;
		assert_int_equal(first ? first->deadline_ns : UINT64_MAX, earliest(timers));
	}
	origin_timers_finish(&heap);
}

static void test_they_come_out_in_order(void **state)
{
	static struct timer timers[COUNT];
	struct timers heap = {0};
	uint32_t random = 2;
	uint64_t last_ns = 0;

	(void)state;
	assert_null(origin_timers_first(&heap));
	assert_int_equal(origin_timers_reserve(&heap, COUNT), 0);
	for (size_t i = 0; i < COUNT; i++)
		origin_timer_set(&heap, &timers[i], next_random(&random));
	for (size_t i = 0; i < COUNT; i++) {
		struct timer *first = origin_timers_first(&heap);

		assert_true(first->deadline_ns >= last_ns);
		last_ns = first->deadline_ns;
		origin_timer_clear(&heap, first);
	}
	assert_null(origin_timers_first(&heap));
	origin_timers_finish(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_is_the_earliest),
		cmocka_unit_test(test_they_come_out_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
