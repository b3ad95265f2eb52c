/* test_pattern.c - the bytes of generated objects. */
#include "fixture.h"

#include <string.h>

#include "pattern.h"

/* The definition in pattern.h, written once more. */
static unsigned char byte_at(uint64_t seed, uint64_t offset)
{
	uint64_t x = offset / 8 * UINT64_C(0xd1342543de82ef95) +
		     seed * UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
	return (unsigned char)(x >> offset % 8 * 8);
}

static void test_matches_definition(void **state)
{
	unsigned char buf[300];

	(void)state;
	pattern_fill(7, 1000, buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], byte_at(7, 1000 + i));
}

static void test_is_independent_of_offset(void **state)
{
	static unsigned char whole[4096 + 64];
	unsigned char part[4096];

	(void)state;
	pattern_fill(3, 0, whole, sizeof(whole));
	for (size_t offset = 0; offset < 20; offset++) {
		for (size_t len = 0; len < 70; len++) {
			memset(part, 0xee, sizeof(part));
			pattern_fill(3, offset, part, len);
			assert_memory_equal(part, whole + offset, len);
			assert_int_equal(part[len], 0xee);
		}
		pattern_fill(3, offset, part, sizeof(part));
		assert_memory_equal(part, whole + offset, sizeof(part));
	}
}

static void test_reaches_the_largest_offset(void **state)
{
	unsigned char buf[40];
	uint64_t offset = INT64_MAX - sizeof(buf);

	(void)state;
	pattern_fill(0, offset, buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], byte_at(0, offset + i));
}

static void test_differs_by_seed_and_page(void **state)
{
	unsigned char a[4096], b[4096];

	(void)state;
	pattern_fill(0, 0, a, sizeof(a));
	pattern_fill(1, 0, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	pattern_fill(0, 4096, b, sizeof(b));
	for (size_t i = 0; i < sizeof(a); i += 8)
		assert_memory_not_equal(a + i, b + i, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches_definition),
		cmocka_unit_test(test_is_independent_of_offset),
		cmocka_unit_test(test_reaches_the_largest_offset),
		cmocka_unit_test(test_differs_by_seed_and_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
