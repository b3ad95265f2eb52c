/*
 * object_memory_test.c - objects that keep their bytes: what can be read in place, what is dropped,
 * and that memory stays within its limit, whoever shares it.
 */
#include "object_support.h"

#include <errno.h>

#include "budget.h"

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
	/* The older half makes room, in whole blocks. */
	ask(object, (struct range){20 * BLOCK, 40 * BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	assert_true(range_length(fake.gets[0]->range) == 2 * BLOCK);
	assert_false(object_present(object, (struct range){0, PAGE}));
	assert_true(object_present(object, (struct range){3 * BLOCK, 4 * BLOCK}));
	deliver_everything();
	object_destroy(object);
	finish_core();
}

/* Scans that were given up leave what was read ahead for them. */
static void readahead_that_nobody_came_for_makes_room(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 8 * BLOCK});
	object = make_object(256 * BLOCK, true);
	for (uint64_t i = 0; i < 64; i++) {
		struct range ahead = {i * 4 * BLOCK, i * 4 * BLOCK + 2 * BLOCK};

		ask(object, ahead, 0);
		deliver_everything();
		assert_true(object_present(object, ahead));
		assert_true(core_stats(core)->buffer_bytes <= 8 * BLOCK);
	}
	object_destroy(object);
	finish_core();
}

static void readahead_alone_asks_for_nothing_when_memory_is_full(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = BLOCK});
	object = make_object(64 * BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, BLOCK);
	deliver_everything();
	/* Nobody waits for any of it, and it begins in the middle of a block. */
	ask(object, (struct range){2 * BLOCK + 3 * PAGE, 3 * BLOCK}, 0);
	assert_int_equal(fake.count, 0);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void bytes_of_the_probe_save_the_first_request(void **state)
{
	static uint8_t bytes[4 * 4096];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
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
		object = make_object(size, (enum object_keep)(round % KEEPS));
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
				if (round % KEEPS != OBJECT_PASSES)
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

/* ---- one limit, several who fill it -------------------------------------------------------- */

static uint64_t buffers_of(struct core *of)
{
	return core_stats(of)->buffer_bytes;
}

/* All that is under way arrives at once: a page of each, and again. */
static uint64_t deliver_in_turns(struct core *one, struct core *other)
{
	uint64_t most = 0;

	while (fake.count > 0) {
		for (size_t i = fake.count; i-- > 0;) {
			struct exchange *get = fake.gets[i];
			uint64_t left = range_length(get->range) - get->received_bytes;
			uint64_t now;

			if (left <= PAGE)
				deliver_all(get);
			else
				deliver(get, PAGE);
			now = buffers_of(one) + (other ? buffers_of(other) : 0);
			most = now > most ? now : most;
		}
	}
	return most;
}

static void what_is_under_way_takes_its_room_from_the_beginning(void **state)
{
	struct object *objects[3];

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 8 * BLOCK});
	for (size_t i = 0; i < array_len(objects); i++) {
		objects[i] = make_object(64 * BLOCK, true);
		ask(objects[i], (struct range){0, 64 * BLOCK}, 0);
	}
	/* The first has taken all of it, though nothing has come yet. */
	assert_int_equal(fake.count, 1);
	assert_true(range_length(fake.gets[0]->range) == 8 * BLOCK);
	assert_true(deliver_in_turns(core, NULL) == 8 * BLOCK);
	for (size_t i = 0; i < array_len(objects); i++)
		object_destroy(objects[i]);
	finish_core();
}

static void room_that_is_no_whole_block_is_none(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 3 * BLOCK + 5 * PAGE});
	object = make_object(64 * BLOCK, true);
	ask(object, (struct range){3 * PAGE, 64 * BLOCK}, 0);
	assert_int_equal(fake.count, 1);
	assert_true(fake.gets[0]->range.end == 3 * BLOCK);
	deliver_everything();
	assert_true(buffers_of(core) == 3 * BLOCK);
	object_destroy(object);
	finish_core();
}

/* A block that is there for what was asked before costs nothing more. */
static void the_rest_of_a_block_is_free(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = BLOCK});
	object = make_object(64 * BLOCK, true);
	ask(object, (struct range){0, PAGE}, PAGE);
	ask(object, (struct range){PAGE, 5 * BLOCK}, 0);
	assert_int_equal(fake.count, 2);
	assert_true(fake.gets[1]->range.end == BLOCK);
	deliver_everything();
	assert_true(buffers_of(core) == BLOCK);
	object_destroy(object);
	finish_core();
}

static void cores_that_share_a_limit_keep_it_together(void **state)
{
	struct budget budget;

	(void)state;
	for (uint64_t blocks = 4; blocks < 40; blocks += 5) {
		struct core_options options = {.budget = &budget};
		struct object *object, *other_object;
		struct range range, other_range;
		struct core *other;

		budget_init(&budget, blocks * BLOCK, 2);
		make_core(options);
		other = make_other_core(options);
		object = make_object(64 * BLOCK, true);
		other_object = make_object_of(other, 64 * BLOCK, true);
		ask(object, (struct range){0, 64 * BLOCK}, PAGE);
		ask(other_object, (struct range){0, 64 * BLOCK}, PAGE);
		assert_int_equal(fake.count, 2);
		range = fake.gets[0]->range;
		other_range = fake.gets[1]->range;
		/* Who came second has its own part at least. */
		assert_true(range_length(other_range) >= align_down(budget.own_bytes, BLOCK));
		assert_true(deliver_in_turns(core, other) <= blocks * BLOCK);
		/* Nothing that was asked for had to go again. */
		assert_true(object_present(object, range));
		assert_true(object_present(other_object, other_range));
		object_destroy(object);
		object_destroy(other_object);
		finish_other_core(other);
		finish_core();
		assert_true(atomic_load(&budget.shared_used) == 0);
	}
}

/* However the other one is, and whatever it has left lying about. */
static void a_core_fills_its_own_part_beside_a_greedy_one(void **state)
{
	struct budget budget;
	struct core_options options = {.budget = &budget};
	struct object *object, *greedy_object;
	struct core *greedy;

	(void)state;
	budget_init(&budget, 16 * BLOCK, 2);
	make_core(options);
	greedy = make_other_core(options);
	object = make_object(64 * BLOCK, true);
	greedy_object = make_object_of(greedy, 64 * BLOCK, true);
	/* More than the limit, as only those who wait may. */
	ask(greedy_object, (struct range){0, 40 * BLOCK}, 40 * BLOCK);
	deliver_everything();
	for (uint64_t i = 0; i < 20; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, PAGE);
		deliver_everything();
		assert_true(buffers_of(core) <= 4 * BLOCK);
		if (i == 3)
			assert_true(object_present(object, (struct range){0, 4 * BLOCK}));
	}
	object_destroy(greedy_object);
	object_destroy(object);
	finish_other_core(greedy);
	finish_core();
	assert_true(atomic_load(&budget.shared_used) == 0);
}

/* Spare buffers of one core are no reason to throw away what another, or it itself, has. */
static void spare_buffers_go_before_bytes_do(void **state)
{
	struct budget budget;
	struct core_options options = {.budget = &budget};
	struct object *object, *greedy_object;
	struct test_want want;
	struct core *greedy;

	(void)state;
	budget_init(&budget, 32 * BLOCK, 2);
	make_core(options);
	greedy = make_other_core(options);
	object = make_object(64 * BLOCK, true);
	greedy_object = make_object_of(greedy, 64 * BLOCK, true);
	ask(object, (struct range){0, 24 * BLOCK}, 24 * BLOCK);
	deliver_everything();
	object_drop(object, (struct range){2 * BLOCK, 24 * BLOCK});
	assert_true(buffers_of(core) == 2 * BLOCK);
	/* What may stay for the next window, and not more. */
	assert_true(atomic_load(&budget.shared_used) > 0);
	assert_true(atomic_load(&budget.shared_used) <= budget.shared_bytes / 4 * 3);
	add_want(&want, greedy_object, 0, 40 * BLOCK);
	ask(greedy_object, (struct range){0, 40 * BLOCK}, 40 * BLOCK);
	deliver_everything();
	/* The limit is exceeded by what is waited for, and this core has spare ones beyond its own
	 * part. */
	ask(object, (struct range){30 * BLOCK, 31 * BLOCK}, BLOCK);
	deliver_everything();
	assert_true(object_present(object, (struct range){0, 2 * BLOCK}));
	assert_true(object_present(object, (struct range){30 * BLOCK, 31 * BLOCK}));
	object_remove_want(greedy_object, &want.want);
	object_destroy(greedy_object);
	object_destroy(object);
	finish_other_core(greedy);
	finish_core();
	assert_true(atomic_load(&budget.shared_used) == 0);
}

/* Streams come and go on both; at the end nobody holds anything. */
static void random_use_by_two_cores_ends_at_zero(void **state)
{
	uint64_t seed = 23;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct budget budget;
		struct core_options options = {.budget = &budget};
		struct object *objects[4];
		struct core *other;

		budget_init(&budget, (4 + random_next(&seed) % 12) * BLOCK, 2);
		make_core(options);
		other = make_other_core(options);
		for (size_t i = 0; i < array_len(objects); i++)
			objects[i] = make_object_of(i % 2 ? core : other, 32 * BLOCK, true);
		for (int step = 0; step < 300; step++) {
			struct object *object = objects[random_next(&seed) % array_len(objects)];
			uint64_t start = random_next(&seed) % (32 * BLOCK / PAGE) * PAGE;
			struct range range = {start, start + random_next(&seed) % (6 * BLOCK) + 1};
			struct exchange *get = fake.count
						       ? fake.gets[random_next(&seed) % fake.count]
						       : NULL;

			switch (random_next(&seed) % 5) {
			case 0:
			case 1:
				/* Nobody waits: all of it is readahead. */
				if (fake.count < GETS_MAX / 4)
					ask(object, range, 0);
				break;
			case 2:
				object_drop(object, range);
				break;
			case 3:
				if (get && range_length(get->range) - get->received_bytes > PAGE)
					deliver(get, PAGE);
				break;
			case 4:
				if (get)
					deliver_all(get);
				break;
			}
			assert_true(buffers_of(core) + buffers_of(other) <= budget.max_bytes);
		}
		for (size_t i = 0; i < array_len(objects); i++)
			object_destroy(objects[i]);
		finish_other_core(other);
		finish_core();
		assert_true(atomic_load(&budget.shared_used) == 0);
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
		cmocka_unit_test(readahead_that_nobody_came_for_makes_room),
		cmocka_unit_test(readahead_alone_asks_for_nothing_when_memory_is_full),
		cmocka_unit_test(bytes_of_the_probe_save_the_first_request),
		cmocka_unit_test(random_fetches_drops_and_faults_leave_nothing_behind),
		cmocka_unit_test(what_is_under_way_takes_its_room_from_the_beginning),
		cmocka_unit_test(room_that_is_no_whole_block_is_none),
		cmocka_unit_test(the_rest_of_a_block_is_free),
		cmocka_unit_test(cores_that_share_a_limit_keep_it_together),
		cmocka_unit_test(a_core_fills_its_own_part_beside_a_greedy_one),
		cmocka_unit_test(spare_buffers_go_before_bytes_do),
		cmocka_unit_test(random_use_by_two_cores_ends_at_zero),
	};

	return run_group(tests);
}
