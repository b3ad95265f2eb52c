/*
 * stages_test.c - a fault's stages, whenever they were stamped, are together exactly as long as the
 * fault was.
 */
#include "check.h"

#include "stages.h"

static uint64_t sum_of(const uint64_t took_ns[STAGE_COUNT])
{
	uint64_t sum = 0;

	for (int i = 0; i < STAGE_COUNT; i++)
		sum += took_ns[i];
	return sum;
}

static void each_stage_is_from_the_end_of_the_one_before(void **state)
{
	static const struct fault_stages stages = {.end_ns = {1010, 1030, 1060, 1100, 1150, 1210}};
	uint64_t took_ns[STAGE_COUNT];

	(void)state;
	fault_stages_split(&stages, 1000, 1280, took_ns);
	for (int i = 0; i < STAGE_COUNT; i++)
		assert_int_equal(took_ns[i], (i + 1) * 10);
}

static void what_is_not_known_takes_no_time(void **state)
{
	static const struct fault_stages stages = {
		.end_ns[STAGE_EVENT] = 1010, .end_ns[STAGE_LAST_BYTE] = 1015};
	uint64_t took_ns[STAGE_COUNT];

	(void)state;
	fault_stages_split(&stages, 1000, 1020, took_ns);
	assert_int_equal(took_ns[STAGE_EVENT], 10);
	assert_int_equal(
		took_ns[STAGE_SUBMIT] + took_ns[STAGE_CONNECT] + took_ns[STAGE_FIRST_BYTE], 0);
	assert_int_equal(took_ns[STAGE_LAST_BYTE], 5);
	assert_int_equal(took_ns[STAGE_FILL], 0);
	assert_int_equal(took_ns[STAGE_RESUME], 5);
}

/* The page was on its way before it was touched; the thread went on before its fill returned. */
static void what_is_outside_of_the_fault_does_not_count(void **state)
{
	static const struct fault_stages stages = {.end_ns = {1010, 500, 510, 900, 1050, 1300}};
	uint64_t took_ns[STAGE_COUNT];

	(void)state;
	fault_stages_split(&stages, 1000, 1200, took_ns);
	assert_int_equal(took_ns[STAGE_EVENT], 10);
	assert_int_equal(took_ns[STAGE_FIRST_BYTE], 0);
	assert_int_equal(took_ns[STAGE_LAST_BYTE], 40);
	assert_int_equal(took_ns[STAGE_FILL], 150);
	assert_int_equal(took_ns[STAGE_RESUME], 0);
}

static void together_they_are_all_of_it_whatever_was_stamped(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		uint64_t start_ns = random_next(&seed) % 1000;
		uint64_t end_ns = start_ns + random_next(&seed) % 1000;
		uint64_t took_ns[STAGE_COUNT];
		struct fault_stages stages;

		for (int i = 0; i < STAGE_COUNT; i++)
			stages.end_ns[i] = random_next(&seed) % 2500;
		fault_stages_split(&stages, start_ns, end_ns, took_ns);
		assert_int_equal(sum_of(took_ns), end_ns - start_ns);
	}
}

static void each_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < STAGE_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(fault_stage_name((enum fault_stage)i),
				fault_stage_name((enum fault_stage)j));
	assert_string_equal(fault_stage_name(STAGE_EVENT), "event");
	assert_string_equal(fault_stage_name(STAGE_RESUME), "resume");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_stage_is_from_the_end_of_the_one_before),
		cmocka_unit_test(what_is_not_known_takes_no_time),
		cmocka_unit_test(what_is_outside_of_the_fault_does_not_count),
		cmocka_unit_test(together_they_are_all_of_it_whatever_was_stamped),
		cmocka_unit_test(each_has_a_name_of_its_own),
	};

	return run_group(tests);
}
