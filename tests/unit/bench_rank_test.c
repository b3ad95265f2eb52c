/*
 * bench_rank_test.c - the test of Mann and Whitney, by which `pagein bench diff` tells a change
 * from chance; the values are those of the published tables, and of counting by hand.
 */
#include <math.h>

#include "check.h"

#include "rank.h"

static void check_near(double value, double expected)
{
	if (fabs(value - expected) > 1e-4)
		fail_msg("%f, not %f", value, expected);
}

static void figures_that_do_not_overlap_are_as_unlikely_as_counting_says(void **state)
{
	static const double low[] = {1, 2, 3, 4, 5}, high[] = {6, 7, 8, 9, 10};

	(void)state;
	/* Two of the n + m over n orders. */
	check_near(rank_test(low, 5, high, 5), 2.0 / 252);
	check_near(rank_test(high, 5, low, 5), 2.0 / 252);
	check_near(rank_test(low, 3, high, 3), 2.0 / 20);
	check_near(rank_test(low, 2, high, 5), 2.0 / 21);
	check_near(rank_test(low, 1, high, 1), 1);
}

static void figures_that_overlap_are_likely(void **state)
{
	static const double a[] = {1, 3, 5, 7, 9}, b[] = {2, 4, 6, 8, 10};

	(void)state;
	/* U = 10 of 25: 0.6905 in the table of the exact test. */
	check_near(rank_test(a, 5, b, 5), 0.6905);
	check_near(rank_test(a, 5, a, 5), 1);
}

static void the_tables_critical_values_are_ours(void **state)
{
	double a[10], b[10];

	(void)state;
	/* n = m = 10, 5 % two-sided: U = 23 is significant, U = 24 is not. */
	for (int i = 0; i < 10; i++)
		a[i] = i < 8 ? i : 100 + i;
	for (int i = 0; i < 10; i++)
		b[i] = 50 + i;
	/* Two of a's are above all of b's: U = 20. */
	assert_true(rank_test(a, 10, b, 10) < 0.05);
	b[0] = b[1] = b[2] = 6.5;
	/* ... and one more above three: U = 23. */
	assert_true(rank_test(a, 10, b, 10) < 0.05);
	b[3] = 6.5;
	assert_true(rank_test(a, 10, b, 10) > 0.05);
}

static void many_figures_go_by_the_normal_distribution(void **state)
{
	double a[30], b[30];

	(void)state;
	for (int i = 0; i < 30; i++) {
		a[i] = i;
		b[i] = i + 0.5;
	}
	assert_true(rank_test(a, 30, b, 30) > 0.8);
	for (int i = 0; i < 30; i++)
		b[i] = i + 20;
	assert_true(rank_test(a, 30, b, 30) < 1e-6);
}

static void nothing_can_be_said_of_no_figures(void **state)
{
	static const double some[] = {1, 2, 3};

	(void)state;
	check_near(rank_test(NULL, 0, some, 3), 1);
	check_near(rank_test(some, 3, some, RANK_MAX + 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_that_do_not_overlap_are_as_unlikely_as_counting_says),
		cmocka_unit_test(figures_that_overlap_are_likely),
		cmocka_unit_test(the_tables_critical_values_are_ours),
		cmocka_unit_test(many_figures_go_by_the_normal_distribution),
		cmocka_unit_test(nothing_can_be_said_of_no_figures),
	};

	return run_group(tests);
}
