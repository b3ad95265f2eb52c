/* test_pace.c - the pacing of slow answers, simulated: no time passes here. */
#include "fixture.h"

#include "clock.h"
#include "pace.h"

/* Sends len bytes with timers that are late by late_ns; returns when the last of them left. */
static uint64_t simulate(struct pace *pace, uint64_t len, uint64_t now_ns, uint64_t late_ns)
{
	uint64_t position = 0;

	while (position < len) {
		uint64_t due_ns = origin_pace_next(pace, position, len - position, now_ns);

		if (due_ns > now_ns)
			now_ns = due_ns + late_ns;
		position += pace->allowance;
		origin_pace_spend(pace, pace->allowance);
	}
	return now_ns;
}

static void assert_near(uint64_t value, uint64_t expected, uint64_t tolerance)
{
	assert_in_range(value, expected - tolerance, expected + tolerance);
}

static void test_rates_are_kept(void **state)
{
	static const uint64_t rates[] = {1, 100, 1000000, 80000000, UINT64_C(10000000000)};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct pace pace = {0};

		origin_pace_start(&pace, rates[i], 0, NS_PER_S);
		/* Ten seconds' worth. */
		assert_near(simulate(&pace, 10 * rates[i], NS_PER_S, 0), 11 * NS_PER_S, NS_PER_MS);
	}
}

static void test_late_timers_cost_nothing(void **state)
{
	struct pace pace = {0};

	(void)state;
	origin_pace_start(&pace, 80000000, 0, NS_PER_S);
	assert_near(
		simulate(&pace, 80000000, NS_PER_S, 3 * NS_PER_MS), 2 * NS_PER_S, 4 * NS_PER_MS);
}

/* The rate is the connection's: many small answers are no faster than a large one. */
static void test_answers_share_the_rate(void **state)
{
	struct pace pace = {0};
	uint64_t now_ns = NS_PER_S;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		origin_pace_start(&pace, 1000000, 0, now_ns);
		now_ns = simulate(&pace, 1000, now_ns, 0);
	}
	assert_near(now_ns, 2 * NS_PER_S, NS_PER_MS);
}

static void test_first_bytes_come_early(void **state)
{
	struct pace pace = {0};
	uint64_t due_ns;

	(void)state;
	origin_pace_start(&pace, 80000000, 0, NS_PER_S);
	due_ns = origin_pace_next(&pace, 0, 1 << 20, NS_PER_S);
	assert_int_equal(pace.allowance, 4096);
	assert_int_equal(due_ns - NS_PER_S, 51200);
}

/* After a second in which the client took nothing, it does not get that second's bytes at once. */
static void test_a_slow_client_makes_up_for_little(void **state)
{
	struct pace pace = {0};
	uint64_t sent = 0;

	(void)state;
	origin_pace_start(&pace, 1000000, 0, NS_PER_S);
	origin_pace_next(&pace, 0, 1 << 30, NS_PER_S);
	for (;;) {
		origin_pace_spend(&pace, pace.allowance);
		if (origin_pace_next(&pace, 1 << 20, 1 << 30, 2 * NS_PER_S) > 2 * NS_PER_S)
			break;
		sent += pace.allowance;
	}
	assert_in_range(sent, 1, 30000);
}

static void test_one_byte_per(void **state)
{
	struct pace pace = {0};

	(void)state;
	origin_pace_start(&pace, 0, NS_PER_S, 0);
	assert_int_equal(origin_pace_next(&pace, 0, 5, 0), NS_PER_S);
	assert_int_equal(pace.allowance, 1);
	origin_pace_spend(&pace, 1);
	assert_int_equal(simulate(&pace, 4, NS_PER_S, 0), 5 * NS_PER_S);
}

static void test_unlimited(void **state)
{
	struct pace pace = {0};

	(void)state;
	origin_pace_start(&pace, 0, 0, 0);
	origin_pace_spend(&pace, UINT64_C(1) << 40);
	assert_int_equal(pace.allowance, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates_are_kept),
		cmocka_unit_test(test_late_timers_cost_nothing),
		cmocka_unit_test(test_answers_share_the_rate),
		cmocka_unit_test(test_first_bytes_come_early),
		cmocka_unit_test(test_a_slow_client_makes_up_for_little),
		cmocka_unit_test(test_one_byte_per),
		cmocka_unit_test(test_unlimited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
