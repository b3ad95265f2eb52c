/*
 * object_test.c - objects and transfers over a source that does what the test says: what is asked
 * for, who is told, and what happens when it fails.
 */
#include "object_support.h"

#include <errno.h>

#include "clock.h"

/* ---- fetching ------------------------------------------------------------------------------ */

static void one_transfer_for_each_absent_run(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	/* Pages 10 and 70, which the fetch over them leaves alone: three runs. */
	assert_int_equal(ask(object, (struct range){10 * PAGE, 11 * PAGE}, PAGE), 0);
	assert_int_equal(ask(object, (struct range){70 * PAGE, 71 * PAGE}, PAGE), 0);
	assert_int_equal(fake.count, 2);
	assert_int_equal(ask(object, (struct range){0, 2 * BLOCK}, PAGE), 0);
	assert_int_equal(fake.count, 5);
	assert_true(fake.gets[2]->range.start == 0 && fake.gets[2]->range.end == 10 * PAGE);
	assert_true(fake.gets[3]->range.start == 11 * PAGE && fake.gets[3]->range.end == 70 * PAGE);
	assert_true(fake.gets[4]->range.start == 71 * PAGE && fake.gets[4]->range.end == 2 * BLOCK);
	/* All is in flight: asking again starts nothing. */
	assert_int_equal(ask(object, (struct range){0, 2 * BLOCK}, PAGE), 0);
	assert_int_equal(fake.count, 5);
	deliver_everything();
	assert_true(want.bytes == 2 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_want_that_joins_readahead_hurries_it(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	assert_int_equal(ask(object, (struct range){0, BLOCK}, 0), 0);
	assert_int_equal(ask(object, (struct range){2 * BLOCK, 3 * BLOCK}, 0), 0);
	assert_false(fake.gets[0]->urgent || fake.gets[1]->urgent);
	/* Somebody waits for a page in the middle of the second; its readahead joins the first. */
	assert_int_equal(ask(object, (struct range){2 * BLOCK + 5 * PAGE, 3 * BLOCK}, PAGE), 0);
	assert_int_equal(fake.count, 2);
	assert_true(fake.gets[1]->urgent);
	assert_false(fake.gets[0]->urgent);
	deliver_everything();
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_long_run_is_cut_into_exchanges_of_the_longest_length(void **state)
{
	struct object *object;
	struct test_want want;
	uint64_t size = 2 * EXCHANGE_BYTES_MAX + 5 * PAGE + 1;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(size, false);
	add_want(&want, object, 0, size);
	assert_int_equal(ask(object, (struct range){PAGE, size}, 2 * PAGE), 0);
	assert_int_equal(fake.count, 3);
	assert_true(fake.gets[0]->range.start == PAGE && fake.gets[2]->range.end == size);
	assert_true(fake.gets[0]->urgent && !fake.gets[1]->urgent);
	deliver_everything();
	assert_true(want.bytes == size - PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_run_is_cut_into_chunks_when_that_is_asked_for(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	assert_int_equal(object_fetch(object, (struct range){PAGE, 3 * BLOCK}, PAGE, BLOCK), 0);
	assert_int_equal(fake.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(fake.gets[i]->urgent, i == 0);
	assert_true(fake.gets[0]->range.end == PAGE + BLOCK);
	deliver_everything();
	assert_true(want.bytes == 3 * BLOCK - PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void the_request_never_asks_past_the_objects_end(void **state)
{
	static const uint64_t sizes[] = {1, PAGE - 1, PAGE, PAGE + 1, BLOCK - 1, BLOCK, BLOCK + 1};

	(void)state;
	make_core((struct core_options){0});
	for (size_t i = 0; i < array_len(sizes); i++)
		for (enum object_keep keep = 0; keep < KEEPS; keep++) {
			struct object *object = make_object(sizes[i], keep);
			struct test_want want;

			add_want(&want, object, 0, 2 * BLOCK);
			ask(object, (struct range){0, 2 * BLOCK}, 2 * BLOCK);
			assert_int_equal(fake.count, 1);
			assert_true(fake.gets[0]->range.end == sizes[i]);
			deliver_everything();
			assert_true(want.bytes == sizes[i]);
			assert_int_equal(object_present(object, (struct range){0, sizes[i]}),
				keep != OBJECT_PASSES);
			object_remove_want(object, &want.want);
			object_destroy(object);
		}
	finish_core();
}

static void pages_are_published_as_they_arrive(void **state)
{
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object;
		struct test_want want;

		(void)state;
		make_core((struct core_options){0});
		object = make_object(BLOCK, keep);
		add_want(&want, object, 0, BLOCK);
		ask(object, (struct range){3 * PAGE, 6 * PAGE}, PAGE);
		deliver(fake.gets[0], PAGE - 1);
		assert_true(want.bytes == 0);
		deliver(fake.gets[0], 1);
		assert_true(want.bytes == PAGE);
		deliver_elsewhere(fake.gets[0], PAGE / 2);
		assert_true(want.bytes == PAGE);
		deliver(fake.gets[0], PAGE);
		assert_true(want.bytes == 2 * PAGE);
		deliver_all(fake.gets[0]);
		assert_true(want.bytes == 3 * PAGE);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void bytes_are_right_however_they_are_cut(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (int round = 0; round < 60; round++) {
		uint64_t size = 1 + random_next(&seed) % (3 * BLOCK);
		struct object *object;
		struct test_want want;

		make_core((struct core_options){0});
		object = make_object(size, (enum object_keep)(round % KEEPS));
		add_want(&want, object, 0, size);
		ask(object, (struct range){0, size}, PAGE);
		/* The first piece comes with the head, later ones by the exchange's buffer. */
		deliver_elsewhere(fake.gets[0],
			(size_t)(1 + random_next(&seed) % (size < 16000 ? size : 16000)));
		while (fake.gets[0]->received_bytes < size) {
			uint64_t left = size - fake.gets[0]->received_bytes;
			uint64_t most = 1 + random_next(&seed) % 40000;

			deliver(fake.gets[0], left < most ? left : most);
		}
		end(fake.gets[0], 0, false);
		assert_true(want.bytes == size);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void a_page_goes_to_every_want_that_overlaps_it(void **state)
{
	struct object *object;
	struct test_want wants[3];

	(void)state;
	make_core((struct core_options){0});
	object = make_object(BLOCK, false);
	add_want(&wants[0], object, 0, BLOCK);
	add_want(&wants[1], object, PAGE, 2 * PAGE);
	add_want(&wants[2], object, 2 * PAGE, BLOCK);
	ask(object, (struct range){0, 2 * PAGE}, PAGE);
	deliver_everything();
	assert_true(wants[0].bytes == 2 * PAGE);
	assert_true(wants[1].bytes == PAGE);
	assert_true(wants[2].bytes == 0);
	for (size_t i = 0; i < 3; i++)
		object_remove_want(object, &wants[i].want);
	object_destroy(object);
	finish_core();
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void the_last_want_takes_its_transfers_with_it(void **state)
{
	struct object *object;
	struct test_want wants[2];

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&wants[0], object, 0, 2 * BLOCK);
	add_want(&wants[1], object, BLOCK, 4 * BLOCK);
	ask(object, (struct range){0, PAGE}, PAGE);
	ask(object, (struct range){BLOCK, BLOCK + PAGE}, PAGE);
	ask(object, (struct range){3 * BLOCK, 4 * BLOCK}, PAGE);
	deliver(fake.gets[2], 5 * PAGE + 17);
	object_remove_want(object, &wants[0].want);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(fake.count, 2);
	object_remove_want(object, &wants[1].want);
	assert_int_equal(fake.cancelled, 3);
	assert_true(core_stats(core)->transfers == 0 && core_stats(core)->blocks == 0);
	object_destroy(object);
	finish_core();
}

static void an_object_that_keeps_its_bytes_lets_its_transfers_finish(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	object_remove_want(object, &want.want);
	assert_int_equal(fake.cancelled, 0);
	deliver_everything();
	assert_true(object_present(object, (struct range){0, BLOCK}));
	object_destroy(object);
	finish_core();
}

static void an_object_may_be_destroyed_from_inside_an_arrival(void **state)
{
	for (enum object_keep keep = 0; keep < KEEPS; keep++)
		for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
			struct object *object;
			struct test_want want;

			(void)state;
			make_core((struct core_options){0});
			object = make_object(2 * BLOCK, keep);
			add_want(&want, object, 0, 2 * BLOCK);
			ask(object, (struct range){0, BLOCK}, PAGE);
			ask(object, (struct range){BLOCK, 2 * BLOCK}, PAGE);
			want.remove = &want.want;
			want.destroy = &object;
			if (elsewhere)
				deliver_elsewhere(fake.gets[0], 3 * PAGE + 5);
			else
				deliver(fake.gets[0], BLOCK);
			assert_int_equal(want.arrivals, 1);
			assert_int_equal(fake.count, 0);
			finish_core();
		}
}

static void a_want_may_remove_any_other_while_it_is_told(void **state)
{
	for (int first = 0; first < 3; first++)
		for (int removed = 0; removed < 3; removed++) {
			struct object *object;
			struct test_want wants[3];

			(void)state;
			make_core((struct core_options){0});
			object = make_object(BLOCK, true);
			for (size_t i = 0; i < 3; i++)
				add_want(&wants[i], object, 0, BLOCK);
			ask(object, (struct range){0, 2 * PAGE}, PAGE);
			wants[first].remove = &wants[removed].want;
			deliver(fake.gets[0], PAGE);
			/* Those before were told already; itself and those behind it are told, or
			 * not. */
			for (int i = 0; i < 3; i++)
				assert_int_equal(
					wants[i].arrivals, i == removed && i > first ? 0 : 1);
			deliver_everything();
			for (int i = 0; i < 3; i++)
				if (i != removed)
					object_remove_want(object, &wants[i].want);
			object_destroy(object);
			finish_core();
		}
}

static void a_want_may_fetch_while_it_is_told(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	ask(object, (struct range){0, PAGE}, PAGE);
	want.fetch = (struct range){0, 4 * BLOCK};
	deliver_everything();
	/* Page 0 had been passed on by then, so it was absent again. */
	assert_true(want.bytes == 4 * BLOCK + PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_want_may_drop_its_own_pages_while_it_is_told(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	want.drop = (struct range){0, BLOCK};
	ask(object, (struct range){0, 3 * PAGE}, PAGE);
	deliver(fake.gets[0], 2 * PAGE + 5);
	assert_false(object_present(object, (struct range){0, PAGE}));
	deliver_everything();
	assert_true(want.bytes == 3 * PAGE);
	assert_true(core_stats(core)->buffer_bytes == 0);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

/* ---- failures ------------------------------------------------------------------------------ */

static void a_final_error_is_told_to_those_who_wait(void **state)
{
	struct object *object;
	struct test_want wants[2];

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&wants[0], object, 0, 2 * BLOCK);
	add_want(&wants[1], object, 2 * BLOCK, 4 * BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	deliver(fake.gets[0], 2 * PAGE + 100);
	end(fake.gets[0], -EACCES, false);
	assert_int_equal(wants[0].err, -EACCES);
	assert_true(wants[0].bytes == 2 * PAGE && wants[0].failed == BLOCK - 2 * PAGE);
	assert_true(wants[1].failed == 0);
	/* The pages are absent again. */
	ask(object, (struct range){0, BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	object_remove_want(object, &wants[0].want);
	object_remove_want(object, &wants[1].want);
	object_destroy(object);
	finish_core();
}

static void a_passing_fault_goes_on_where_it_stopped(void **state)
{
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object;
		struct test_want want;
		unsigned before;

		(void)state;
		make_core((struct core_options){0});
		object = make_object(BLOCK, keep);
		add_want(&want, object, 0, BLOCK);
		ask(object, (struct range){0, BLOCK}, PAGE);
		deliver(fake.gets[0], 5 * PAGE + 1000);
		before = fake.submitted;
		end(fake.gets[0], -EIO, true);
		assert_true(wait_for_attempt(before));
		assert_true(fake.gets[0]->range.start == 5 * PAGE);
		deliver_everything();
		assert_true(want.bytes == BLOCK && want.failed == 0);
		assert_true(core_stats(core)->retries == 1);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void a_closed_idle_connection_costs_no_attempt(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.attempts_max = 1});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	for (int i = 0; i < 5; i++) {
		fake.gets[0]->at_no_cost = true;
		end(fake.gets[0], -EIO, true);
		assert_int_equal(fake.count, 1);
	}
	deliver_everything();
	assert_true(want.bytes == BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void it_gives_up_after_so_many_attempts(void **state)
{
	struct object *object;
	struct test_want want;
	unsigned attempts = 1;

	(void)state;
	make_core((struct core_options){.attempts_max = 3, .timeout_ms = 60000});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	for (;;) {
		unsigned before = fake.submitted;

		end(fake.gets[0], -EIO, true);
		if (!wait_for_attempt(before))
			break;
		attempts++;
	}
	assert_int_equal(attempts, 3);
	assert_int_equal(want.err, -EIO);
	assert_true(want.failed == BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void it_gives_up_when_nothing_arrives_in_time(void **state)
{
	struct object *object;
	struct test_want want;
	uint64_t start_ns = clock_now_ns();

	(void)state;
	make_core((struct core_options){.timeout_ms = 50});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	assert_false(wait_for_attempt(fake.submitted));
	assert_int_equal(want.err, -ETIMEDOUT);
	assert_true(clock_now_ns() - start_ns >= 50 * NS_PER_MS);
	assert_int_equal(fake.cancelled, 1);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static struct test_want *late_want;
static unsigned late_count;

static uint64_t want_late(struct want *want, uint64_t due_ns, const struct failure *failure)
{
	struct test_want *self = container_of(want, struct test_want, want);

	late_count++;
	assert_ptr_equal(self, late_want);
	assert_true(due_ns <= clock_now_ns());
	want->failed(want, want->range, failure);
	return 0;
}

/* However steadily pages come; and the transfer goes on for whoever comes next. */
static void whoever_waits_is_told_at_the_deadline(void **state)
{
	struct test_want want, other;
	struct object *object;
	uint64_t began_ns;

	(void)state;
	make_core((struct core_options){.timeout_ms = 60000, .deadline_ms = 50});
	object = make_object(2 * BLOCK, OBJECT_KEEPS);
	late_want = &want;
	late_count = 0;
	add_want(&want, object, 0, 2 * BLOCK);
	add_want(&other, object, 0, 2 * BLOCK);
	want.want.late = want_late;
	began_ns = clock_now_ns();
	assert_int_equal(ask(object, (struct range){0, 2 * BLOCK}, 2 * BLOCK), 0);
	object_begin_wait(object, &want.want, began_ns);
	/* A second one while the first waits changes nothing. */
	object_begin_wait(object, &want.want, began_ns + NS_PER_S);
	while (late_count == 0) {
		if (fake.gets[0]->received_bytes < BLOCK)
			deliver(fake.gets[0], PAGE);
		run_for_ms(1);
	}
	assert_true(clock_now_ns() - began_ns >= 50 * NS_PER_MS);
	assert_true(want.err == -ETIMEDOUT && other.failed == 0);
	object_remove_want(object, &want.want);
	deliver_everything();
	assert_true(other.bytes == 2 * BLOCK);
	/* Who is removed is not asked any more. */
	add_want(&want, object, 0, 2 * BLOCK);
	want.want.late = want_late;
	object_begin_wait(object, &want.want, clock_now_ns());
	object_remove_want(object, &want.want);
	run_for_ms(100);
	assert_int_equal(late_count, 1);
	object_remove_want(object, &other.want);
	object_destroy(object);
	finish_core();
}

static void the_server_is_asked_no_sooner_than_it_wants(void **state)
{
	struct object *object;
	struct test_want want;
	uint64_t start_ns;
	unsigned before;

	(void)state;
	make_core((struct core_options){.timeout_ms = 60000});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	before = fake.submitted;
	start_ns = clock_now_ns();
	fake.gets[0]->retry_after_ms = 700; /* more than the first pause's longest, 500 */
	end(fake.gets[0], -EIO, true);
	assert_true(wait_for_attempt(before));
	assert_true(clock_now_ns() - start_ns >= 700 * NS_PER_MS);
	deliver_everything();
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_changed_object_is_not_asked_for_any_more(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	end(fake.gets[0], -ESTALE, false);
	assert_int_equal(want.err, -ESTALE);
	assert_int_equal(ask(object, (struct range){BLOCK, 2 * BLOCK}, PAGE), -ESTALE);
	assert_int_equal(object_stale(object)->err, -ESTALE);
	assert_string_equal(object_stale(object)->error, "get: fake: -116");
	assert_int_equal(fake.count, 0);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_source_without_memory_leaves_nothing_behind(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	fake.refuse = -ENOMEM;
	assert_int_equal(ask(object, (struct range){0, 3 * BLOCK}, PAGE), -ENOMEM);
	assert_true(core_stats(core)->transfers == 0 && core_stats(core)->blocks == 0);
	fake.refuse = 0;
	assert_int_equal(ask(object, (struct range){0, 3 * BLOCK}, PAGE), 0);
	deliver_everything();
	assert_true(want.bytes == 3 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_transfer_for_each_absent_run),
		cmocka_unit_test(a_want_that_joins_readahead_hurries_it),
		cmocka_unit_test(a_long_run_is_cut_into_exchanges_of_the_longest_length),
		cmocka_unit_test(a_run_is_cut_into_chunks_when_that_is_asked_for),
		cmocka_unit_test(the_request_never_asks_past_the_objects_end),
		cmocka_unit_test(pages_are_published_as_they_arrive),
		cmocka_unit_test(bytes_are_right_however_they_are_cut),
		cmocka_unit_test(a_page_goes_to_every_want_that_overlaps_it),
		cmocka_unit_test(the_last_want_takes_its_transfers_with_it),
		cmocka_unit_test(an_object_that_keeps_its_bytes_lets_its_transfers_finish),
		cmocka_unit_test(an_object_may_be_destroyed_from_inside_an_arrival),
		cmocka_unit_test(a_want_may_remove_any_other_while_it_is_told),
		cmocka_unit_test(a_want_may_fetch_while_it_is_told),
		cmocka_unit_test(a_want_may_drop_its_own_pages_while_it_is_told),
		cmocka_unit_test(a_final_error_is_told_to_those_who_wait),
		cmocka_unit_test(a_passing_fault_goes_on_where_it_stopped),
		cmocka_unit_test(a_closed_idle_connection_costs_no_attempt),
		cmocka_unit_test(it_gives_up_after_so_many_attempts),
		cmocka_unit_test(it_gives_up_when_nothing_arrives_in_time),
		cmocka_unit_test(whoever_waits_is_told_at_the_deadline),
		cmocka_unit_test(the_server_is_asked_no_sooner_than_it_wants),
		cmocka_unit_test(a_changed_object_is_not_asked_for_any_more),
		cmocka_unit_test(a_source_without_memory_leaves_nothing_behind),
	};

	return run_group(tests);
}
