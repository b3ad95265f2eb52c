/*
 * pin_test.c - what is not evicted: ranges of populates, pinned and locked pages; and what
 * pagein_residency() tells.
 */
#include "memory.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* ---- populate and pins ----------------------------------------------------------------------- */

static void a_populate_larger_than_the_limit_is_refused(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 8 * MIB, &limit_4m);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), -ENOMEM);
	assert_non_null(strstr(pagein_last_error(), "memory limit"));
	assert_non_null(strstr(pagein_last_error(), "4194304"));
	assert_int_equal(pagein_populate(session.map, 0, 4 * MIB + 1, 50), -ENOMEM);
	assert_true(map_stats(session.map).faults == 0);
	assert_int_equal(session_compare(&session, 0, 8 * MIB / PAGE), 0);
	session_close(&session);
}

static void a_populate_of_the_limit_is_resident_at_its_end(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 12 * MIB, &limit_4m);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pagein_populate(session.map, i * 4 * MIB, 4 * MIB, -1), 0);
		assert_int_equal(kernel_resident(session.bytes + i * 4 * MIB, 4 * MIB), 4 * MIB);
		assert_true(taken() <= 4 * MIB + SLACK);
		check_exact(&session);
	}
	session_close(&session);
}

struct populater {
	pthread_t thread;
	struct pagein_map *map;
	size_t offset, length;
	int err;
	size_t missing;
};

static void *populate_again(void *context)
{
	struct populater *self = context;

	for (int i = 0; i < 10 && self->err == 0; i++)
		self->err = pagein_populate(self->map, self->offset, self->length, 30000);
	return NULL;
}

/* Four of 3 MiB each under 4 MiB: one at a time, and all of them end. */
static void populates_that_do_not_fit_together_wait_for_each_other(void **state)
{
	struct populater populaters[4];
	struct session session;
	struct sampler sampler;

	(void)state;
	session_open(&session, 12 * MIB, &limit_4m);
	sampler_start(&sampler);
	for (size_t i = 0; i < array_len(populaters); i++) {
		populaters[i] = (struct populater){
			.map = session.map, .offset = i * 2 * MIB, .length = 3 * MIB};
		pthread_create(&populaters[i].thread, NULL, populate_again, &populaters[i]);
	}
	for (size_t i = 0; i < array_len(populaters); i++) {
		pthread_join(populaters[i].thread, NULL);
		assert_int_equal(populaters[i].err, 0);
	}
	assert_true(sampler_end(&sampler) <= 4 * MIB + SLACK);
	check_exact(&session);
	session_close(&session);
}

static void a_populate_that_waits_for_room_can_time_out(void **state)
{
	struct populater slow;
	struct session session;

	(void)state;
	session_open(&session, 12 * MIB, &limit_4m);
	server_script(&session.server, "path=/data : delay=700ms");
	slow = (struct populater){.map = session.map, .length = 3 * MIB};
	pthread_create(&slow.thread, NULL, populate_again, &slow);
	while (process_stats().transfers == 0)
		usleep(1000);
	assert_int_equal(pagein_populate(session.map, 4 * MIB, 3 * MIB, 20), -ETIMEDOUT);
	server_script(&session.server, "");
	pthread_join(slow.thread, NULL);
	assert_int_equal(slow.err, 0);
	assert_int_equal(pagein_populate(session.map, 4 * MIB, 3 * MIB, -1), 0);
	session_close(&session);
}

static void willneed_of_more_than_the_limit_comes_to_an_end(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 12 * MIB, &limit_4m);
	server_reset_counts(&session.server);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED), 0);
	assert_int_equal(pagein_populate(session.map, 0, MIB, -1), 0);
	settle();
	assert_true(server_count(&session.server, "body_bytes") <= 3 * MIB);
	check_exact(&session);
	session_close(&session);
}

static void pinned_pages_stay(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &limit_4m);
	assert_int_equal(pagein_pin(session.map, MIB, 2 * MIB), 0);
	assert_int_equal(pagein_pin(session.map, MIB, 2 * MIB), 0);
	assert_true(map_stats(session.map).pinned_bytes == 2 * MIB);
	assert_int_equal(pagein_populate(session.map, MIB, 2 * MIB, -1), 0);
	for (int lap = 0; lap < 2; lap++)
		assert_int_equal(session_compare(&session, 4 * MIB / PAGE, 16 * MIB / PAGE), 0);
	assert_int_equal(kernel_resident(session.bytes + MIB, 2 * MIB), 2 * MIB);
	check_exact(&session);
	/* Pins do not nest; what was pinned goes like others. */
	assert_int_equal(pagein_unpin(session.map, 0, 0), 0);
	assert_true(map_stats(session.map).pinned_bytes == 0);
	assert_int_equal(session_compare(&session, 4 * MIB / PAGE, 16 * MIB / PAGE), 0);
	assert_int_equal(kernel_resident(session.bytes + MIB, 2 * MIB), 0);
	check_exact(&session);
	session_close(&session);
}

static void all_of_the_limit_may_be_pinned_and_others_get_on(void **state)
{
	struct session session;
	struct sampler sampler;

	(void)state;
	session_open(&session, 16 * MIB, &limit_4m);
	assert_int_equal(pagein_pin(session.map, 0, 4 * MIB), 0);
	assert_int_equal(pagein_populate(session.map, 0, 4 * MIB, -1), 0);
	assert_int_equal(pagein_pin(session.map, 4 * MIB, 1), -ENOMEM);
	assert_non_null(strstr(pagein_last_error(), "memory limit"));
	assert_int_equal(pagein_populate(session.map, 4 * MIB, 1, -1), -ENOMEM);
	assert_int_equal(pagein_pin(session.map, 0, 16 * MIB + 1), -EINVAL);
	sampler_start(&sampler);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	assert_true(sampler_end(&sampler) <= 4 * MIB + SLACK);
	assert_int_equal(kernel_resident(session.bytes, 4 * MIB), 4 * MIB);
	session_close(&session);
}

static void locked_pages_stay(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &limit_4m);
	assert_int_equal(lock(session.bytes + 64 * PAGE, 100 * PAGE), 0);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	assert_int_equal(kernel_resident(session.bytes + 64 * PAGE, 100 * PAGE), 100 * PAGE);
	check_exact(&session);
	assert_true(taken() <= 4 * MIB + SLACK);
	assert_int_equal(unlock(session.bytes + 64 * PAGE, 100 * PAGE), 0);
	for (int lap = 0; lap < 3; lap++)
		assert_int_equal(session_compare(&session, 4 * MIB / PAGE, 16 * MIB / PAGE), 0);
	assert_int_equal(kernel_resident(session.bytes + 64 * PAGE, 100 * PAGE), 0);
	session_close(&session);
}

/* ---- residency ------------------------------------------------------------------------------- */

static void residency_tells_each_page(void **state)
{
	static unsigned char states[8 * MIB / PAGE + 1];
	struct session session;

	(void)state;
	session_open(&session, 8 * MIB - 5000, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 2 * PAGE, -1), 0);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 5 * PAGE, NULL), SIGBUS);
	server_script(&session.server, "path=/data : delay=1s");
	assert_int_equal(pagein_advise(session.map, 1000 * PAGE, PAGE, PAGEIN_WILLNEED), 0);
	states[pagein_length(session.map) / PAGE + 1] = 77;
	assert_int_equal(pagein_residency(session.map, 0, 0, states), 0);
	assert_int_equal(states[0], PAGEIN_RESIDENT);
	assert_int_equal(states[1], PAGEIN_RESIDENT);
	assert_int_equal(states[5], PAGEIN_FAILED);
	assert_int_equal(states[1000], PAGEIN_COMING);
	assert_int_equal(states[999], PAGEIN_ABSENT);
	assert_int_equal(states[pagein_length(session.map) / PAGE], PAGEIN_ABSENT);
	assert_int_equal(states[pagein_length(session.map) / PAGE + 1], 77);
	assert_int_equal(pagein_residency(session.map, 999 * PAGE + 5, PAGE, states), 0);
	assert_int_equal(states[0], PAGEIN_ABSENT);
	assert_int_equal(states[1], PAGEIN_COMING);
	assert_int_equal(pagein_residency(session.map, 1, 8 * MIB, states), -EINVAL);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_populate_larger_than_the_limit_is_refused),
		cmocka_unit_test(a_populate_of_the_limit_is_resident_at_its_end),
		cmocka_unit_test(populates_that_do_not_fit_together_wait_for_each_other),
		cmocka_unit_test(a_populate_that_waits_for_room_can_time_out),
		cmocka_unit_test(willneed_of_more_than_the_limit_comes_to_an_end),
		cmocka_unit_test(pinned_pages_stay),
		cmocka_unit_test(all_of_the_limit_may_be_pinned_and_others_get_on),
		cmocka_unit_test(locked_pages_stay),
		cmocka_unit_test(residency_tells_each_page),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
