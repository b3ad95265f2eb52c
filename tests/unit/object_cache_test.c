/*
 * object_cache_test.c - objects that cache: what stays, what is evicted, and what readahead may
 * take.
 */
#include "object_support.h"

/* A map is one want over all of its life. */
static void a_cache_stays_within_its_limit_though_all_of_it_is_wanted(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, OBJECT_CACHES);
	add_want(&want, object, 0, 64 * BLOCK);
	for (uint64_t i = 0; i < 64; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
		assert_true(core_stats(core)->buffer_bytes <= 4 * BLOCK);
	}
	assert_true(want.bytes == 64 * BLOCK);
	assert_true(object_present(object, (struct range){60 * BLOCK, 64 * BLOCK}));
	assert_false(object_present(object, (struct range){59 * BLOCK, 60 * BLOCK}));
	object_remove_want(object, &want.want);
	/* It outlives its want. */
	assert_true(object_present(object, (struct range){60 * BLOCK, 64 * BLOCK}));
	object_destroy(object);
	finish_core();
}

static void a_full_cache_leaves_readahead_its_room(void **state)
{
	struct range ahead = {10 * BLOCK, 30 * BLOCK};
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, OBJECT_CACHES);
	ask(object, (struct range){0, 4 * BLOCK}, 4 * BLOCK);
	deliver_everything();
	assert_true(core_stats(core)->buffer_bytes == 4 * BLOCK);
	/* What has been told is spare; each request takes two blocks, before its first byte. */
	assert_true(object_limit_requests(object, ahead, BLOCK).end == 12 * BLOCK);
	assert_true(object_limit_requests(object, ahead, UINT64_MAX).end == 30 * BLOCK);
	ask(object, (struct range){5 * BLOCK, 9 * BLOCK}, PAGE);
	assert_true(object_limit_requests(object, ahead, BLOCK).end == 11 * BLOCK);
	ask(object, (struct range){40 * BLOCK, 40 * BLOCK + PAGE}, PAGE);
	assert_true(range_empty(object_limit_requests(object, ahead, BLOCK)));
	ask(object, (struct range){50 * BLOCK, 50 * BLOCK + PAGE}, PAGE);
	assert_true(range_empty(object_limit_requests(object, ahead, BLOCK)));
	deliver_everything();
	assert_true(core_stats(core)->buffer_bytes == 4 * BLOCK);
	assert_true(object_limit_requests(object, ahead, BLOCK).end == 12 * BLOCK);
	object_destroy(object);
	finish_core();
}

static void what_readers_wait_for_exceeds_a_cache_only_while_they_wait(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 2 * BLOCK});
	object = make_object(64 * BLOCK, OBJECT_CACHES);
	for (uint64_t i = 0; i < 8; i++)
		ask(object, (struct range){i * BLOCK, i * BLOCK + 2 * PAGE}, 2 * PAGE);
	for (uint64_t i = 0; i < 8; i++)
		deliver(fake.gets[i], PAGE);
	assert_true(core_stats(core)->buffer_bytes == 8 * BLOCK);
	deliver_everything();
	assert_true(core_stats(core)->buffer_bytes == 2 * BLOCK);
	object_destroy(object);
	finish_core();
}

static void cancelled_transfers_leave_a_cache_within_its_limit(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 2 * BLOCK});
	object = make_object(64 * BLOCK, OBJECT_CACHES);
	add_want(&want, object, 0, 64 * BLOCK);
	for (uint64_t i = 0; i < 8; i++)
		ask(object, (struct range){i * BLOCK, i * BLOCK + 2 * PAGE}, 2 * PAGE);
	for (uint64_t i = 0; i < 8; i++)
		deliver(fake.gets[i], PAGE);
	object_remove_want(object, &want.want);
	assert_int_equal(fake.cancelled, 8);
	assert_true(core_stats(core)->buffer_bytes == 2 * BLOCK);
	assert_true(object_present(object, (struct range){7 * BLOCK, 7 * BLOCK + PAGE}));
	object_destroy(object);
	finish_core();
}

static void what_is_touched_again_outlives_a_scan(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, OBJECT_CACHES);
	assert_null(object_touch(object, 3 * PAGE));
	for (uint64_t i = 0; i < 64; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
		assert_int_equal(*object_touch(object, 3 * PAGE), pattern(3 * PAGE));
	}
	/* And goes when it is not. */
	for (uint64_t i = 1; i < 9; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
	}
	assert_null(object_touch(object, 3 * PAGE));
	object_destroy(object);
	finish_core();
}

static void what_is_touched_goes_when_nothing_else_is_left(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 40 * BLOCK});
	object = make_object(64 * BLOCK, OBJECT_CACHES);
	for (uint64_t i = 0; i < 64; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
		assert_non_null(object_touch(object, i * BLOCK));
	}
	assert_true(core_stats(core)->buffer_bytes == 40 * BLOCK);
	object_destroy(object);
	finish_core();
}

static void how_much_of_a_range_may_be_told_at_once(void **state)
{
	struct range whole = {PAGE, 8 * BLOCK};
	struct object *object;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(8 * BLOCK, OBJECT_CACHES);
	assert_true(object_limit_present(object, whole, PAGE).end == 8 * BLOCK);
	ask(object, (struct range){0, 4 * PAGE}, PAGE);
	ask(object, (struct range){BLOCK, BLOCK + 4 * PAGE}, PAGE);
	deliver_everything();
	/* Three in the first block, without the page that the range leaves out. */
	assert_true(object_limit_present(object, whole, 7 * PAGE).end == 8 * BLOCK);
	assert_true(object_limit_present(object, whole, 6 * PAGE).end == BLOCK + 3 * PAGE);
	assert_true(object_limit_present(object, whole, 3 * PAGE).end == BLOCK);
	assert_true(object_limit_present(object, whole, 2 * PAGE).end == 3 * PAGE);
	/* Nothing of a block that is there. */
	assert_true(range_empty(object_limit_present(object, (struct range){PAGE, PAGE}, PAGE)));
	object_destroy(object);
	finish_core();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_stays_within_its_limit_though_all_of_it_is_wanted),
		cmocka_unit_test(a_full_cache_leaves_readahead_its_room),
		cmocka_unit_test(what_readers_wait_for_exceeds_a_cache_only_while_they_wait),
		cmocka_unit_test(cancelled_transfers_leave_a_cache_within_its_limit),
		cmocka_unit_test(what_is_touched_again_outlives_a_scan),
		cmocka_unit_test(what_is_touched_goes_when_nothing_else_is_left),
		cmocka_unit_test(how_much_of_a_range_may_be_told_at_once),
	};

	return run_group(tests);
}
