/*
 * object_memory_test.c - objects that keep their bytes: what can be read in place, what is dropped,
 * and that memory stays within its limit, whoever shares it.
 */
#include "object_support.h"

#include <errno.h>

/* ---- kept bytes ---------------------------------------------------------------------------- */

static void kept_bytes_are_told_at_once(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(2 * BLOCK, true);
	add_want(&want, object, 0, 2 * BLOCK);
	ask(object, (struct range){PAGE, BLOCK + PAGE}, PAGE);
	deliver_everything();
	want.bytes = 0;
	ask(object, (struct range){0, 2 * BLOCK}, 2 * BLOCK);
	assert_true(want.bytes == BLOCK);
	assert_int_equal(fake.count, 2);
	deliver_everything();
	assert_true(want.bytes == 2 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void kept_bytes_can_be_read_in_place(void **state)
{
	struct object *object;
	struct iovec iov[4];
	struct range range = {PAGE + 100, 2 * BLOCK + 50};
	uint64_t at = range.start;
	size_t count;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(3 * BLOCK, true);
	ask(object, (struct range){0, 3 * BLOCK}, 3 * BLOCK);
	deliver_everything();
	assert_int_equal(object_iov_max(range), 3);
	count = object_iov(object, range, iov);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < iov[i].iov_len; j++, at++)
			assert_int_equal(((uint8_t *)iov[i].iov_base)[j], pattern(at));
	assert_true(at == range.end);
	object_destroy(object);
	finish_core();
}

static void dropping_takes_whole_pages_only(void **state)
{
	struct object *object;
	uint64_t size = BLOCK + 100;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(size, true);
	ask(object, (struct range){0, size}, size);
	deliver_everything();
	object_drop(object, (struct range){1, 3 * PAGE - 1});
	assert_true(object_present(object, (struct range){0, PAGE}));
	assert_false(object_present(object, (struct range){PAGE, 2 * PAGE}));
	assert_true(object_present(object, (struct range){2 * PAGE, BLOCK}));
	/* The last page is whole when its bytes are. */
	object_drop(object, (struct range){BLOCK, size});
	assert_false(object_present(object, (struct range){BLOCK, size}));
	object_drop(object, (struct range){0, size});
	assert_true(core_stats(core)->blocks == 0 && core_stats(core)->buffer_bytes == 0);
	object_destroy(object);
	finish_core();
}

static void memory_stays_within_its_limit(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, true);
	for (uint64_t i = 0; i < 64; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
		assert_true(core_stats(core)->buffer_bytes <= 4 * BLOCK);
	}
	/* The oldest went first. */
	assert_true(object_present(object, (struct range){60 * BLOCK, 64 * BLOCK}));
	assert_false(object_present(object, (struct range){59 * BLOCK, 60 * BLOCK}));
	object_destroy(object);
	finish_core();
}

static void what_is_wanted_is_not_evicted(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 2 * BLOCK});
	object = make_object(64 * BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	for (uint64_t i = 0; i < 8; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
	}
	assert_true(object_present(object, (struct range){0, BLOCK}));
	assert_true(core_stats(core)->buffer_bytes <= 2 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void readahead_takes_only_the_room_that_is_left(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, true);
	ask(object, (struct range){0, 20 * BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	assert_true(range_length(fake.gets[0]->range) <= 4 * BLOCK + PAGE);
	deliver_everything();
	/* Nothing is left: the wanted page alone. */
	ask(object, (struct range){20 * BLOCK + 3 * PAGE, 40 * BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	assert_true(range_length(fake.gets[0]->range) == PAGE);
	deliver_everything();
	object_destroy(object);
	finish_core();
}

static void readahead_alone_asks_for_nothing_when_memory_is_full(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = BLOCK});
	object = make_object(64 * BLOCK, true);
	ask(object, (struct range){0, BLOCK}, BLOCK);
	deliver_everything();
	/* Nobody waits for any of it, and it begins in the middle of a block. */
	ask(object, (struct range){2 * BLOCK + 3 * PAGE, 3 * BLOCK}, 0);
	assert_int_equal(fake.count, 0);
	object_destroy(object);
	finish_core();
}

static void bytes_of_the_probe_save_the_first_request(void **state)
{
	static uint8_t bytes[4 * 4096];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	for (int keep = 0; keep < 2; keep++) {
		struct object *object;
		struct test_want want;

		make_core((struct core_options){0});
		object = make_object(BLOCK, keep);
		assert_int_equal(object_seed(object, bytes, sizeof bytes), 0);
		add_want(&want, object, 0, BLOCK);
		ask(object, (struct range){PAGE, 3 * PAGE}, PAGE);
		assert_int_equal(fake.count, 0);
		assert_true(want.bytes == 2 * PAGE);
		/* Those that were passed on are gone, unless the object keeps them. */
		ask(object, (struct range){0, 4 * PAGE}, PAGE);
		assert_int_equal(fake.count, keep ? 0 : 1);
		deliver_everything();
		assert_true(want.bytes == 6 * PAGE);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void random_fetches_drops_and_faults_leave_nothing_behind(void **state)
{
	uint64_t seed = 17;

	(void)state;
	for (int round = 0; round < 40; round++) {
		uint64_t size = 1 + random_next(&seed) % (20 * BLOCK);
		struct object *object;
		struct test_want want;

		make_core((struct core_options){.memory_max_bytes = 3 * BLOCK});
		object = make_object(size, round % 2);
		add_want(&want, object, 0, size);
		for (int step = 0; step < 300; step++) {
			uint64_t a = random_next(&seed) % size,
				 len = random_next(&seed) % (3 * BLOCK);
			struct range range = {a, a + len + 1 < size ? a + len + 1 : size};
			struct exchange *get = fake.count
						       ? fake.gets[random_next(&seed) % fake.count]
						       : NULL;
			uint64_t left = get ? range_length(get->range) - get->received_bytes : 0;

			switch (random_next(&seed) % 6) {
			case 0:
			case 1:
				if (fake.count < GETS_MAX / 4)
					ask(object, range, random_next(&seed) % (len + 1) + 1);
				break;
			case 2:
				if (round % 2)
					object_drop(object, range);
				break;
			case 3:
				if (get && left > 0)
					deliver(get, 1 + random_next(&seed) % left);
				break;
			case 4:
				if (get)
					deliver_all(get);
				break;
			case 5:
				if (get && left > 0)
					end(get, -EACCES, false);
				break;
			}
		}
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_bytes_are_told_at_once),
		cmocka_unit_test(kept_bytes_can_be_read_in_place),
		cmocka_unit_test(dropping_takes_whole_pages_only),
		cmocka_unit_test(memory_stays_within_its_limit),
		cmocka_unit_test(what_is_wanted_is_not_evicted),
		cmocka_unit_test(readahead_takes_only_the_room_that_is_left),
		cmocka_unit_test(readahead_alone_asks_for_nothing_when_memory_is_full),
		cmocka_unit_test(bytes_of_the_probe_save_the_first_request),
		cmocka_unit_test(random_fetches_drops_and_faults_leave_nothing_behind),
	};

	return run_group(tests);
}
