/*
 * populate_test.c - pages brought in and sent away on request.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define SIZE (3 * 1024 * 1024 + 123)
#define PAGES (SIZE / PAGE + 1)

static void populated_pages_do_not_fault(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_true(map_stats(session.map).resident_bytes == PAGES * (uint64_t)PAGE);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_true(map_stats(session.map).faults == 0);
	session_close(&session);
}

static void only_the_pages_of_the_range_are_populated(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, 300000, 100, -1), 0);
	assert_true(map_stats(session.map).resident_bytes == PAGE);
	assert_int_equal(pagein_populate(session.map, 300000, 5000, -1), 0);
	assert_true(map_stats(session.map).resident_bytes == 2 * PAGE);
	assert_int_equal(session_compare(&session, 73, 75), 0);
	assert_true(map_stats(session.map).faults == 0);
	session_close(&session);
}

static void a_large_object_is_populated_in_pieces(void **state)
{
	struct session session;
	size_t size = (72 << 20) + 1;

	(void)state;
	session_open(&session, size, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, size / PAGE + 1), 0);
	assert_true(map_stats(session.map).faults == 0);
	session_close(&session);
}

/*
 * Wherever readahead puts its mark, on the short last page, too: what is held back is filled. With
 * a slow server the marked page is on its way when it is populated.
 */
static void populate_marked_pages(const char *script)
{
	struct session session;

	session_open(&session, SIZE, NULL);
	server_script(&session.server, script);
	for (size_t pages = 20; pages < 40; pages++) {
		struct pagein_object *object;
		struct pagein_map *map;
		struct local local;
		const uint8_t *bytes;

		local_make(&local, &session.server, "short", pages * PAGE + 1, pages);
		assert_int_equal(
			pagein_open(server_url(&session.server, "short"), &quick_options, &object),
			0);
		assert_int_equal(pagein_map(object, 0, 0, 0, &map), 0);
		bytes = pagein_address(map);
		/* Two in a row are the beginning of a stream. */
		assert_int_equal(touch_compare(bytes + 10 * PAGE, local.bytes + 10 * PAGE, 1), 0);
		assert_int_equal(touch_compare(bytes + 11 * PAGE, local.bytes + 11 * PAGE, 1), 0);
		assert_int_equal(pagein_populate(map, 0, 0, 20000), 0);
		assert_int_equal(touch_compare(bytes, local.bytes, local.size), 0);
		pagein_unmap(map);
		pagein_close(object);
		local_finish(&local);
	}
	session_close(&session);
}

static void the_page_that_readahead_marks_is_populated(void **state)
{
	(void)state;
	populate_marked_pages("");
	populate_marked_pages("path=/short : rate=1M");
}

static void a_server_that_answers_in_chunks_serves(void **state)
{
	struct session session;
	size_t size = (40 << 20) + 1;

	(void)state;
	session_open(&session, size, NULL);
	server_script(&session.server, "path=/data : chunked");
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, size / PAGE + 1), 0);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_int_equal(session_compare(&session, 0, size / PAGE + 1), 0);
	session_close(&session);
}

static void populate_waits_no_longer_than_it_may(void **state)
{
	struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};
	struct session session;

	(void)state;
	session_open(&session, SIZE, &patient);
	server_script(&session.server, "path=/data : stall=0");
	assert_int_equal(pagein_populate(session.map, 100000, 100000, 0), -ETIMEDOUT);
	assert_int_equal(pagein_populate(session.map, 100000, 100000, 50), -ETIMEDOUT);
	/* The pages that came with pagein_open() need no server. */
	assert_int_equal(pagein_populate(session.map, 0, 10000, 0), 0);
	session_close(&session);
}

static void what_is_resident_needs_no_time(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 100000, -1), 0);
	server_kill(&session.server);
	assert_int_equal(pagein_populate(session.map, 0, 100000, 0), 0);
	session_close(&session);
}

static void populate_fails_without_a_signal(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(pagein_populate(session.map, 100000, 0, -1), -EACCES);
	/* The failure's own words, with its object and what the server has said. */
	assert_non_null(strstr(pagein_last_error(), "/data"));
	assert_non_null(strstr(pagein_last_error(), "403"));
	/* Nobody waited for them, so they are absent, not poisoned. */
	assert_true(map_stats(session.map).poisoned == 0);
	server_script(&session.server, "");
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void populate_of_a_range_outside_is_refused(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, SIZE + 1, 0, -1), -EINVAL);
	assert_int_equal(pagein_populate(session.map, 0, SIZE + 1, -1), -EINVAL);
	assert_int_equal(pagein_populate(session.map, 1, SIZE_MAX, -1), -EINVAL);
	assert_int_equal(pagein_populate(session.map, SIZE, 0, -1), 0);
	session_close(&session);
}

struct populator {
	pthread_t thread;
	struct session *session;
	size_t offset, length;
	int result;
};

static void *populate_in_thread(void *context)
{
	struct populator *self = context;

	self->result = pagein_populate(self->session->map, self->offset, self->length, -1);
	return NULL;
}

static void many_threads_populate_at_once(void **state)
{
	struct populator threads[8];
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	for (size_t i = 0; i < array_len(threads); i++) {
		threads[i] = (struct populator){
			.session = &session, .offset = i * 100000, .length = 1000000};
		pthread_create(&threads[i].thread, NULL, populate_in_thread, &threads[i]);
	}
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	for (size_t i = 0; i < array_len(threads); i++) {
		pthread_join(threads[i].thread, NULL);
		assert_int_equal(threads[i].result, 0);
	}
	session_close(&session);
}

/* ---- advice -------------------------------------------------------------------------------- */

static void willneed_fetches_without_being_waited_for(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED), 0);
	/* Joins what is under way. */
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_true(map_stats(session.map).faults == 0);
	assert_true(map_stats(session.map).bytes_filled == PAGES * (uint64_t)PAGE);
	session_close(&session);
}

static void a_map_may_go_while_willneed_is_at_work(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 16 << 20, NULL);
	server_script(&session.server, "path=/data : rate=100K");
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED), 0);
	session_close(&session);
}

static void dontneed_drops_pages_and_the_next_touch_fetches_them_again(void **state)
{
	struct pagein_stats before, after;
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	pagein_populate(session.map, 0, 0, -1);
	before = process_stats();
	assert_int_equal(pagein_advise(session.map, 100 * PAGE, 50 * PAGE, PAGEIN_DONTNEED), 0);
	assert_true(map_stats(session.map).resident_bytes == (PAGES - 50) * (uint64_t)PAGE);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	after = process_stats();
	assert_true(after.bytes_fetched - before.bytes_fetched == 50 * PAGE);
	session_close(&session);
}

static void advice_random_fetches_only_what_is_touched(void **state)
{
	struct pagein_stats before, after;
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	before = process_stats();
	for (size_t page = 100; page < 120; page++)
		assert_int_equal(session_compare(&session, page, page + 1), 0);
	after = process_stats();
	assert_true(after.bytes_fetched - before.bytes_fetched == 20 * PAGE);
	session_close(&session);
}

static void sequential_reading_needs_few_requests(void **state)
{
	struct pagein_stats before, after;
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	before = process_stats();
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	after = process_stats();
	assert_true(after.requests - before.requests <= 20);
	/* Every byte comes once; the first ones came with pagein_open(). */
	assert_true(after.bytes_fetched - before.bytes_fetched <= SIZE);
	session_close(&session);
}

static void unknown_advice_is_refused(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, -1), -EINVAL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED + 1), -EINVAL);
	assert_int_equal(pagein_advise(session.map, SIZE + 1, 0, PAGEIN_WILLNEED), -EINVAL);
	session_close(&session);
}

struct dropper {
	struct session *session;
	size_t wrong;
	bool *end;
	uint64_t seed;
};

static void *read_until_told(void *context)
{
	struct dropper *self = context;

	while (!__atomic_load_n(self->end, __ATOMIC_RELAXED)) {
		size_t page = random_next(&self->seed) % PAGES;

		self->wrong += session_compare(self->session, page, page + 3) != 0;
	}
	return NULL;
}

static void pages_may_be_dropped_under_eight_reading_threads(void **state)
{
	struct dropper droppers[8];
	pthread_t threads[8];
	struct session session;
	bool end = false;
	uint64_t seed = 8;

	(void)state;
	session_open(&session, SIZE, NULL);
	for (size_t i = 0; i < array_len(threads); i++) {
		droppers[i] = (struct dropper){.session = &session, .end = &end, .seed = i + 1};
		pthread_create(&threads[i], NULL, read_until_told, &droppers[i]);
	}
	for (int i = 0; i < 300; i++) {
		size_t offset = random_next(&seed) % SIZE;
		size_t length = random_next(&seed) % (SIZE - offset) + 1;

		assert_int_equal(pagein_advise(session.map, offset, length, PAGEIN_DONTNEED), 0);
	}
	__atomic_store_n(&end, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < array_len(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(droppers[i].wrong, 0);
	}
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(populated_pages_do_not_fault),
		cmocka_unit_test(only_the_pages_of_the_range_are_populated),
		cmocka_unit_test(a_large_object_is_populated_in_pieces),
		cmocka_unit_test(the_page_that_readahead_marks_is_populated),
		cmocka_unit_test(a_server_that_answers_in_chunks_serves),
		cmocka_unit_test(populate_waits_no_longer_than_it_may),
		cmocka_unit_test(what_is_resident_needs_no_time),
		cmocka_unit_test(populate_fails_without_a_signal),
		cmocka_unit_test(populate_of_a_range_outside_is_refused),
		cmocka_unit_test(many_threads_populate_at_once),
		cmocka_unit_test(willneed_fetches_without_being_waited_for),
		cmocka_unit_test(a_map_may_go_while_willneed_is_at_work),
		cmocka_unit_test(dontneed_drops_pages_and_the_next_touch_fetches_them_again),
		cmocka_unit_test(advice_random_fetches_only_what_is_touched),
		cmocka_unit_test(sequential_reading_needs_few_requests),
		cmocka_unit_test(unknown_advice_is_refused),
		cmocka_unit_test(pages_may_be_dropped_under_eight_reading_threads),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
