/* failed_test.c - what has failed a moment ago, in virtual time. */
#include "failed.h"

#include <errno.h>

#include "check.h"

#define PAGE(n) ((struct range){(n)*4096, ((n) + 1) * 4096})

static void it_is_known_for_a_moment(void **state)
{
	struct failed failed = {0};

	(void)state;
	assert_int_equal(failed_find(&failed, PAGE(5), 0), 0);
	failed_note(&failed, PAGE(5), -EIO, 100);
	assert_int_equal(failed_find(&failed, PAGE(5), 100), -EIO);
	assert_int_equal(failed_find(&failed, PAGE(5), 100 + FAILED_NS - 1), -EIO);
	assert_int_equal(failed_find(&failed, PAGE(5), 100 + FAILED_NS), 0);
	assert_int_equal(failed_find(&failed, PAGE(4), 100), 0);
	assert_int_equal(failed_find(&failed, PAGE(6), 100), 0);
	assert_int_equal(failed_find(&failed, (struct range){0, 6 * 4096}, 100), -EIO);
}

/* In any order, however many, and the kernel comes back for the first. */
static void reads_that_fail_together_are_one(void **state)
{
	struct failed failed = {0};

	(void)state;
	for (uint64_t i = 0; i < 100; i += 2)
		failed_note(&failed, (struct range){PAGE(i).start, PAGE(i + 1).end}, -ETIMEDOUT, i);
	for (uint64_t i = 300; i > 200; i--)
		failed_note(&failed, PAGE(i), -ETIMEDOUT, i);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(failed_find(&failed, PAGE(i), 400), -ETIMEDOUT);
	for (uint64_t i = 201; i <= 300; i++)
		assert_int_equal(failed_find(&failed, PAGE(i), 400), -ETIMEDOUT);
	assert_int_equal(failed_find(&failed, PAGE(100), 400), 0);
	assert_int_equal(failed_find(&failed, PAGE(200), 400), 0);
}

static void others_do_not_become_part_of_it(void **state)
{
	struct failed failed = {0};

	(void)state;
	failed_note(&failed, PAGE(1), -EIO, 0);
	failed_note(&failed, PAGE(2), -EACCES, 0);
	failed_note(&failed, PAGE(2), -EIO, FAILED_NS);
	assert_int_equal(failed_find(&failed, PAGE(1), FAILED_NS), 0);
	assert_int_equal(failed_find(&failed, PAGE(2), FAILED_NS), -EIO);
}

static void the_oldest_goes(void **state)
{
	struct failed failed = {0};

	(void)state;
	for (uint64_t i = 0; i <= FAILED_MAX; i++)
		failed_note(&failed, PAGE(10 * i), -EIO, i);
	assert_int_equal(failed_find(&failed, PAGE(0), 10), 0);
	for (uint64_t i = 1; i <= FAILED_MAX; i++)
		assert_int_equal(failed_find(&failed, PAGE(10 * i), 10), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_known_for_a_moment),
		cmocka_unit_test(reads_that_fail_together_are_one),
		cmocka_unit_test(others_do_not_become_part_of_it),
		cmocka_unit_test(the_oldest_goes),
	};

	return run_group(tests);
}
