/*
 * cache_test.c - fetched pages that are kept beside the maps: what is there needs no request, what
 * does not fit is fetched again, and either way every byte is the local file's.
 */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define MIB (1024 * 1024)
#define SIZE (3 * MIB + 123)
#define PAGES (SIZE / PAGE + 1)
#define BLOCK (256 * 1024)

/* Requests are counted: none is sent again because the machine is slow. */
static const struct pagein_options roomy = {
	.size = sizeof roomy, .timeout_ms = 30000, .cache_bytes = 64 * MIB, .hedge_percent = -1};
static const struct pagein_options small = {
	.size = sizeof small, .timeout_ms = 30000, .cache_bytes = 2 * MIB, .hedge_percent = -1};

static void drop_all(struct session *session)
{
	assert_int_equal(pagein_advise(session->map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_true(map_stats(session->map).resident_bytes == 0);
}

/* All of it is in the cache, and none of it in the map. */
static void session_open_cached(struct session *session)
{
	session_open(session, SIZE, &roomy);
	assert_int_equal(pagein_populate(session->map, 0, 0, -1), 0);
	drop_all(session);
	assert_true(process_stats().cached_bytes == (SIZE / BLOCK + 1) * (uint64_t)BLOCK);
}

/* ---- hits ---------------------------------------------------------------------------------- */

static void dropped_pages_come_back_without_a_request(void **state)
{
	struct session session;

	(void)state;
	session_open_cached(&session);
	server_reset_counts(&session.server);
	for (size_t page = PAGES; page-- > 0;)
		assert_int_equal(session_compare(&session, page, page + 1), 0);
	assert_true(server_count(&session.server, "requests") == 0);
	session_close(&session);
}

static void dropped_pages_come_back_without_a_server(void **state)
{
	struct session session;
	uint64_t seed = 3;

	(void)state;
	session_open_cached(&session);
	server_kill(&session.server);
	for (int i = 0; i < 2000; i++) {
		size_t page = random_next(&seed) % PAGES;

		assert_int_equal(session_compare(&session, page, page + 1), 0);
		if (i % 100 == 0)
			drop_all(&session);
	}
	session_close(&session);
}

static void pages_that_faults_and_readahead_fetched_are_kept_too(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &roomy);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	drop_all(&session);
	server_kill(&session.server);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void another_map_needs_no_request(void **state)
{
	struct pagein_map *other;
	struct session session;

	(void)state;
	session_open(&session, SIZE, &roomy);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	server_kill(&session.server);
	assert_int_equal(pagein_map(session.object, 10 * PAGE, 0, 0, &other), 0);
	assert_int_equal(touch_compare(pagein_address(other), session.local.bytes + 10 * PAGE,
				 pagein_length(other)),
		0);
	assert_int_equal(pagein_unmap(other), 0);
	session_close(&session);
}

static void a_map_after_another_needs_no_request(void **state)
{
	struct session session;

	(void)state;
	session_open_cached(&session);
	assert_int_equal(pagein_unmap(session.map), 0);
	server_kill(&session.server);
	session_map(&session);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_true(map_stats(session.map).faults == 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void without_the_option_nothing_is_kept(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_true(process_stats().cached_bytes == 0);
	session_close(&session);
}

static void a_scan_of_what_is_cached_faults_once_for_many_pages(void **state)
{
	struct pagein_stats stats;
	struct session session;

	(void)state;
	session_open_cached(&session);
	server_kill(&session.server);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	stats = map_stats(session.map);
	/* Once for 64 pages, or when the reader overtakes the filling of those. */
	assert_true(stats.faults <= PAGES / 4);
	session_close(&session);
}

static void what_is_missing_in_between_is_fetched_and_nothing_else(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &roomy);
	for (size_t page = 20; page < PAGES - 1; page += 3)
		assert_int_equal(pagein_populate(session.map, page * PAGE, PAGE, -1), 0);
	drop_all(&session);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	/* Each byte has come once, the first ones with the probe. */
	assert_true(server_count(&session.server, "body_bytes") <= SIZE);
	session_close(&session);
}

static void a_large_populate_from_the_cache_goes_in_steps(void **state)
{
	const struct pagein_options large = {.size = sizeof large, .cache_bytes = 64 * MIB};
	struct session session;

	(void)state;
	session_open(&session, 40 * MIB, &large);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	drop_all(&session);
	server_kill(&session.server);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	drop_all(&session);
	/* Unmapped in the middle. */
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED), 0);
	session_close(&session);
}

/* ---- the limit ----------------------------------------------------------------------------- */

static void a_scan_larger_than_the_cache_stays_within_its_limit(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &small);
	for (size_t page = 0; page < 16 * MIB / PAGE; page++) {
		assert_int_equal(session_compare(&session, page, page + 1), 0);
		/* What is waited for may exceed it by its own block. */
		if (page % 16 == 0)
			assert_true(process_stats().cached_bytes <= small.cache_bytes + BLOCK);
	}
	assert_true(process_stats().cached_bytes <= small.cache_bytes);
	/* What has been evicted is fetched again. */
	drop_all(&session);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	session_close(&session);
}

/* Windows grow with the distance; what of them does not fit must not be waited for. */
/* In each direction and at several distances, through a cache that has no room for what is ahead.
 */
static void strides_and_backward_scans_go_through_a_small_cache(void **state)
{
	static const ptrdiff_t steps[] = {-1, -3, 8, -8, 20, 64, -64};
	struct session session;

	(void)state;
	session_open(&session, SIZE,
		&(struct pagein_options){
			.size = sizeof small, .timeout_ms = 2000, .cache_bytes = 1});
	server_script(&session.server, "path=/data : delay=1ms");
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		ptrdiff_t page = steps[i] < 0 ? PAGES - 1 : 0;

		for (; page >= 0 && page < PAGES; page += steps[i])
			assert_int_equal(
				session_compare(&session, (size_t)page, (size_t)page + 1), 0);
		drop_all(&session);
		assert_true(process_stats().cached_bytes <= MIB);
	}
	session_close(&session);
}

static void a_small_cache_of_a_distant_server_is_read_and_populated_to_the_end(void **state)
{
	const struct pagein_options tiny = {.size = sizeof tiny, .cache_bytes = 1};
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &tiny);
	server_script(&session.server, "path=/data : delay=5ms");
	assert_int_equal(session_compare(&session, 0, 8 * MIB / PAGE), 0);
	assert_int_equal(pagein_advise(session.map, 4 * MIB, 2 * MIB, PAGEIN_DONTNEED), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, 20000), 0);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	assert_true(process_stats().cached_bytes <= MIB);
	session_close(&session);
}

static void populating_more_than_the_cache_ends_within_its_limit(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 32 * MIB, &small);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_true(process_stats().cached_bytes <= small.cache_bytes);
	assert_true(map_stats(session.map).resident_bytes == 32 * MIB);
	session_close(&session);
}

static void a_tiny_limit_is_a_mebibyte(void **state)
{
	const struct pagein_options tiny = {.size = sizeof tiny, .cache_bytes = 1};
	struct session session;

	(void)state;
	session_open(&session, 4 * MIB, &tiny);
	assert_int_equal(session_compare(&session, 0, 4 * MIB / PAGE), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_true(process_stats().cached_bytes == MIB);
	session_close(&session);
}

static void objects_with_equal_options_share_the_limit(void **state)
{
	struct pagein_object *object;
	struct pagein_map *map;
	struct session session;

	(void)state;
	session_open(&session, 8 * MIB, &small);
	assert_int_equal(pagein_open(server_url(&session.server, "data"), &small, &object), 0);
	assert_int_equal(pagein_map(object, 0, 0, 0, &map), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(pagein_populate(map, 0, 0, -1), 0);
	assert_true(process_stats().cached_bytes <= small.cache_bytes);
	assert_int_equal(
		touch_compare(pagein_address(map), session.local.bytes, session.local.size), 0);
	pagein_unmap(map);
	pagein_close(object);
	session_close(&session);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void a_changed_object_keeps_its_cached_pages_and_fails_the_others(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &roomy);
	assert_int_equal(pagein_populate(session.map, 0, 100 * PAGE, -1), 0);
	drop_all(&session);
	local_overwrite(&session.local, 77);
	assert_int_equal(touch(session.bytes + 200 * PAGE, NULL), SIGBUS);
	assert_int_equal(session_compare(&session, 0, 50), 0);
	assert_int_equal(pagein_populate(session.map, 0, 100 * PAGE, -1), 0);
	assert_int_equal(session_compare(&session, 0, 100), 0);
	assert_int_equal(touch(session.bytes + 300 * PAGE, NULL), SIGBUS);
	session_close(&session);
}

static void a_page_that_failed_is_not_cached(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &roomy);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 200 * PAGE, NULL), SIGBUS);
	server_script(&session.server, "");
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

/* ---- threads ------------------------------------------------------------------------------- */

struct wanderer {
	pthread_t thread;
	const struct session *session;
	struct pagein_map *map; /* all of the object */
	uint64_t seed;
	size_t pages, wrong;
};

static void *touch_at_random(void *context)
{
	struct wanderer *self = context;
	const uint8_t *bytes = pagein_address(self->map);

	for (int i = 0; i < 1500; i++) {
		size_t page = random_next(&self->seed) % (self->pages - 3);
		size_t count = 1 + random_next(&self->seed) % 3;

		if (random_next(&self->seed) % 50 == 0)
			pagein_advise(self->map, page * PAGE, MIB, PAGEIN_DONTNEED);
		self->wrong += touch_compare(bytes + page * PAGE,
				       self->session->local.bytes + page * PAGE, count * PAGE) != 0;
	}
	return NULL;
}

/* Two maps of one object, four threads on each, and a cache of an eighth of it. */
static void threads_see_right_bytes_while_the_cache_evicts(void **state)
{
	struct wanderer wanderers[8];
	struct pagein_map *other;
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &small);
	assert_int_equal(pagein_map(session.object, 0, 0, 0, &other), 0);
	for (size_t i = 0; i < array_len(wanderers); i++) {
		wanderers[i] = (struct wanderer){.session = &session,
			.map = i % 2 ? other : session.map,
			.seed = i + 1,
			.pages = 16 * MIB / PAGE};
		pthread_create(&wanderers[i].thread, NULL, touch_at_random, &wanderers[i]);
	}
	for (size_t i = 0; i < array_len(wanderers); i++) {
		pthread_join(wanderers[i].thread, NULL);
		assert_int_equal(wanderers[i].wrong, 0);
	}
	assert_int_equal(pagein_unmap(other), 0);
	/* Nothing is on its way any more but readahead: that, too, must come to an end. */
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_true(process_stats().cached_bytes <= small.cache_bytes);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dropped_pages_come_back_without_a_request),
		cmocka_unit_test(dropped_pages_come_back_without_a_server),
		cmocka_unit_test(pages_that_faults_and_readahead_fetched_are_kept_too),
		cmocka_unit_test(another_map_needs_no_request),
		cmocka_unit_test(a_map_after_another_needs_no_request),
		cmocka_unit_test(without_the_option_nothing_is_kept),
		cmocka_unit_test(a_scan_of_what_is_cached_faults_once_for_many_pages),
		cmocka_unit_test(what_is_missing_in_between_is_fetched_and_nothing_else),
		cmocka_unit_test(a_large_populate_from_the_cache_goes_in_steps),
		cmocka_unit_test(strides_and_backward_scans_go_through_a_small_cache),
		cmocka_unit_test(a_scan_larger_than_the_cache_stays_within_its_limit),
		cmocka_unit_test(
			a_small_cache_of_a_distant_server_is_read_and_populated_to_the_end),
		cmocka_unit_test(populating_more_than_the_cache_ends_within_its_limit),
		cmocka_unit_test(a_tiny_limit_is_a_mebibyte),
		cmocka_unit_test(objects_with_equal_options_share_the_limit),
		cmocka_unit_test(a_changed_object_keeps_its_cached_pages_and_fails_the_others),
		cmocka_unit_test(a_page_that_failed_is_not_cached),
		cmocka_unit_test(threads_see_right_bytes_while_the_cache_evicts),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
