/*
 * pages_test.c - range arithmetic and page masks, against bits that are set one by one.
 */
#include "check.h"

#include "pages.h"

static uint64_t slow_mask(uint64_t index, struct range range)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < BLOCK_PAGES; i++) {
		uint64_t start = index * BLOCK_BYTES + i * PAGE_BYTES;

		if (start < range.end && start + PAGE_BYTES > range.start)
			mask |= UINT64_C(1) << i;
	}
	return mask;
}

static void page_mask_sets_a_run_of_bits(void **state)
{
	(void)state;
	for (unsigned first = 0; first < BLOCK_PAGES; first++)
		for (unsigned count = 1; first + count <= BLOCK_PAGES; count++) {
			uint64_t slow = 0;

			for (unsigned i = first; i < first + count; i++)
				slow |= UINT64_C(1) << i;
			assert_true(page_mask(first, count) == slow);
		}
}

static void a_mask_has_a_bit_for_each_page_that_the_range_touches(void **state)
{
	static const int64_t nudges[] = {-1, 0, 1};

	(void)state;
	for (uint64_t first = 0; first < BLOCK_PAGES; first += 3)
		for (uint64_t end = first + 1; end <= BLOCK_PAGES + 2; end++)
			for (size_t i = 0; i < 9; i++) {
				struct range range = {
					3 * BLOCK_BYTES + first * PAGE_BYTES +
						(uint64_t)nudges[i % 3],
					3 * BLOCK_BYTES + end * PAGE_BYTES +
						(uint64_t)nudges[i / 3],
				};

				assert_true(block_range_mask(3, range) == slow_mask(3, range));
			}
}

static void a_range_over_many_blocks_fills_those_inside(void **state)
{
	struct range range = {5 * PAGE_BYTES, 3 * BLOCK_BYTES + 1};

	(void)state;
	assert_true(block_range_mask(0, range) == ~UINT64_C(0) << 5);
	assert_true(block_range_mask(1, range) == ~UINT64_C(0));
	assert_true(block_range_mask(2, range) == ~UINT64_C(0));
	assert_true(block_range_mask(3, range) == 1);
}

/* Takes all runs, and checks that they are the lowest, maximal, and together the whole. */
static void check_runs(uint64_t mask)
{
	uint64_t left = mask, seen = 0;
	unsigned end = 0;

	while (left) {
		uint64_t before = left;
		unsigned count, first = mask_take_run(&left, &count);

		assert_true(count >= 1 && first + count <= BLOCK_PAGES);
		assert_true(seen == 0 || first > end);
		assert_int_equal(first, __builtin_ctzll(before));
		for (unsigned i = first; i < first + count; i++)
			assert_true(mask >> i & 1);
		end = first + count;
		assert_true(end == BLOCK_PAGES || !(mask >> end & 1));
		assert_true(left == (before & ~page_mask(first, count)));
		seen |= page_mask(first, count);
	}
	assert_true(seen == mask);
}

static void runs_are_taken_from_the_lowest_up(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (uint64_t pattern = 1; pattern < 1 << 16; pattern++) {
		check_runs(pattern);
		check_runs(pattern << 24);
		check_runs(pattern << 48);
		check_runs(~pattern);
		check_runs(~(pattern << 48));
	}
	check_runs(~UINT64_C(0));
	check_runs(UINT64_C(1) << 63);
	for (int i = 0; i < 100000; i++)
		check_runs(random_next(&seed) | 1);
}

static void ranges_intersect_as_sets_do(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 8 * 8 * 8 * 8; i++) {
		struct range a = {i % 8, i / 8 % 8}, b = {i / 64 % 8, i / 512};
		struct range both = range_intersect(a, b);
		bool any = false, inside = true;

		if (range_empty(a) || range_empty(b))
			continue;
		for (uint64_t at = 0; at < 8; at++) {
			bool in_a = at >= a.start && at < a.end, in_b = at >= b.start && at < b.end;

			assert_int_equal(in_a && in_b, at >= both.start && at < both.end);
			any |= in_a && in_b;
			inside &= !in_b || in_a;
		}
		assert_int_equal(range_overlaps(a, b), any);
		assert_int_equal(range_contains(a, b), inside);
	}
}

static void alignment_goes_to_the_next_multiple(void **state)
{
	(void)state;
	assert_true(align_down(4095, 4096) == 0 && align_up(4095, 4096) == 4096);
	assert_true(align_down(4096, 4096) == 4096 && align_up(4096, 4096) == 4096);
	assert_true(align_down(4097, 4096) == 4096 && align_up(4097, 4096) == 8192);
	assert_true(align_up(0, 4096) == 0);
}

static void the_last_byte_of_http_is_inside(void **state)
{
	(void)state;
	assert_true(range_http_last((struct range){0, 1}) == 0);
	assert_true(range_http_last((struct range){4096, 8192}) == 8191);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_mask_sets_a_run_of_bits),
		cmocka_unit_test(a_mask_has_a_bit_for_each_page_that_the_range_touches),
		cmocka_unit_test(a_range_over_many_blocks_fills_those_inside),
		cmocka_unit_test(runs_are_taken_from_the_lowest_up),
		cmocka_unit_test(ranges_intersect_as_sets_do),
		cmocka_unit_test(alignment_goes_to_the_next_multiple),
		cmocka_unit_test(the_last_byte_of_http_is_inside),
	};

	return run_group(tests);
}
