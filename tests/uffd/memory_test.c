/*
 * memory_test.c - maps under a memory limit: what is resident stays below it, whatever is done to
 * the maps; what is used often stays; and every byte is the local file's.
 */
#include "memory.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the limit ------------------------------------------------------------------------------- */

static void a_scan_larger_than_the_limit_stays_below_it(void **state)
{
	struct session session;
	struct sampler sampler;

	(void)state;
	session_open(&session, 48 * MIB, &limit_4m);
	sampler_start(&sampler);
	for (int lap = 0; lap < 2; lap++)
		for (size_t page = 0; page < 48 * MIB / PAGE; page += 64) {
			assert_int_equal(session_compare(&session, page, page + 64), 0);
			if (page % 1024 != 0)
				continue;
			/* The kernel counts page by page: nothing may move meanwhile. */
			settle();
			assert_true(smaps_rss(session.bytes, 48 * MIB) <= 4 * MIB + SLACK);
		}
	assert_true(sampler_end(&sampler) <= 4 * MIB + SLACK);
	check_exact(&session);
	assert_true(map_stats(session.map).evicted >= (2 * 48 - 6) * MIB / PAGE);
	/* A scan's pages get no second chance. */
	assert_true(map_stats(session.map).refilled < 100);
	session_close(&session);
}

static void a_scan_is_fetched_once(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 32 * MIB, &limit_4m);
	server_reset_counts(&session.server);
	assert_int_equal(session_compare(&session, 0, 32 * MIB / PAGE), 0);
	settle();
	assert_true(server_count(&session.server, "body_bytes") <= 33 * MIB);
	session_close(&session);
}

static void several_scans_of_a_distant_server_are_fetched_once(void **state)
{
	struct pagein_map *maps[3];
	struct session session;

	(void)state;
	session_open(&session, 12 * MIB, &limit_4m);
	server_script(&session.server, "path=/data : delay=3ms");
	for (size_t i = 0; i < array_len(maps); i++)
		assert_int_equal(pagein_map(session.object, 0, 0, 0, &maps[i]), 0);
	server_reset_counts(&session.server);
	for (size_t at = 0; at < 12 * MIB; at += 16 * PAGE)
		for (size_t i = 0; i < array_len(maps); i++)
			assert_int_equal(touch_compare((uint8_t *)pagein_address(maps[i]) + at,
						 session.local.bytes + at, 16 * PAGE),
				0);
	settle();
	assert_true(taken() <= 4 * MIB + SLACK);
	assert_true(server_count(&session.server, "body_bytes") <= (3 * 12 + 6) * MIB);
	for (size_t i = 0; i < array_len(maps); i++)
		pagein_unmap(maps[i]);
	session_close(&session);
}

static void maps_of_several_objects_share_the_limit(void **state)
{
	struct pagein_object *objects[4];
	struct pagein_map *maps[4];
	struct session session;
	struct sampler sampler;
	uint64_t seed = 5;

	(void)state;
	session_open(&session, 8 * MIB, &limit_4m);
	sampler_start(&sampler);
	for (size_t i = 0; i < array_len(maps); i++) {
		assert_int_equal(
			pagein_open(server_url(&session.server, "data"), &limit_4m, &objects[i]),
			0);
		assert_int_equal(pagein_map(objects[i], 0, 0, 0, &maps[i]), 0);
	}
	for (int i = 0; i < 6000; i++) {
		size_t at = random_next(&seed) % (8 * MIB / PAGE - 8) * PAGE;
		size_t length = (1 + random_next(&seed) % 8) * PAGE;

		assert_int_equal(touch_compare((uint8_t *)pagein_address(maps[i % 4]) + at,
					 session.local.bytes + at, length),
			0);
	}
	assert_true(sampler_end(&sampler) <= 4 * MIB + SLACK);
	settle();
	for (size_t i = 0; i < array_len(maps); i++) {
		assert_int_equal(map_stats(maps[i]).resident_bytes,
			kernel_resident(pagein_address(maps[i]), 8 * MIB));
		pagein_unmap(maps[i]);
		pagein_close(objects[i]);
	}
	session_close(&session);
}

/* What a map that is gone had is nobody's, and the next one's pages come and go. */
static void maps_come_and_go(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 8 * MIB, &limit_1m);
	for (int i = 0; i < 30; i++) {
		struct pagein_map *map;

		assert_int_equal(pagein_map(session.object, 0, 0, 0, &map), 0);
		for (size_t at = 0; at < 8 * MIB; at += 37 * PAGE)
			assert_int_equal(touch_compare((uint8_t *)pagein_address(map) + at,
						 session.local.bytes + at, PAGE),
				0);
		assert_true(taken() <= MIB + SLACK);
		assert_int_equal(pagein_unmap(map), 0);
		assert_true(process_stats().resident_bytes == 0);
	}
	session_close(&session);
}

/* ---- second chances -------------------------------------------------------------------------- */

/* Pages that lie too far apart and too unevenly to be a stream or a stride. */
static size_t far_page(size_t i)
{
	return i * 17 + i % 3 * 5 + i % 7 * 3;
}

static void a_page_touched_alone_comes_back_without_a_request(void **state)
{
	const size_t count = MIB / PAGE * 15 / 16; /* of the limit: some have been evicted */
	struct session session;

	(void)state;
	session_open(&session, 32 * MIB, &limit_1m);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(session_compare(&session, far_page(i), far_page(i) + 1), 0);
	assert_true(map_stats(session.map).evicted == 0);
	for (size_t i = count; i < count + 40; i++)
		assert_int_equal(session_compare(&session, far_page(i), far_page(i) + 1), 0);
	assert_true(map_stats(session.map).evicted > 0);
	server_kill(&session.server);
	/* Not the very oldest: the limit has no room for them. */
	for (size_t i = 60; i < 100; i++)
		assert_int_equal(session_compare(&session, far_page(i), far_page(i) + 1), 0);
	assert_true(map_stats(session.map).refilled > 0);
	assert_true(taken() <= MIB + SLACK);
	check_exact(&session);
	session_close(&session);
}

static void a_populate_takes_second_chances_too(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 32 * MIB, &limit_1m);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(session_compare(&session, far_page(i), far_page(i) + 1), 0);
	server_kill(&session.server);
	for (size_t i = 60; i < 90; i++)
		assert_int_equal(pagein_populate(session.map, far_page(i) * PAGE, PAGE, -1), 0);
	assert_true(map_stats(session.map).refilled > 0);
	session_close(&session);
}

static void dontneed_drops_second_chances_too(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 32 * MIB, &limit_1m);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(session_compare(&session, far_page(i), far_page(i) + 1), 0);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_true(map_stats(session.map).resident_bytes == 0);
	assert_int_equal(kernel_resident(session.bytes, 32 * MIB), 0);
	server_reset_counts(&session.server);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(session_compare(&session, far_page(i), far_page(i) + 1), 0);
	assert_int_equal(server_count(&session.server, "requests"), 300);
	session_close(&session);
}

/* ---- Zipf ------------------------------------------------------------------------------------ */

#define ZIPF_PAGES (256 * MIB / PAGE)
#define ZIPF_TOUCHES 60000
#define ZIPF_LIMIT (16 * MIB)

/* An LRU of `max` pages, simulated: how many of the touches it would have had. */
static size_t lru_hits(const uint32_t *trace, size_t count, size_t pages, size_t max)
{
	uint32_t *older = malloc((pages + 1) * sizeof *older);
	uint32_t *newer = malloc((pages + 1) * sizeof *newer);
	uint8_t *in = calloc(pages, 1);
	uint32_t head = (uint32_t)pages;
	size_t held = 0, hits = 0;

	older[head] = newer[head] = head;
	for (size_t i = 0; i < count; i++) {
		uint32_t page = trace[i];

		if (in[page]) {
			hits++;
			newer[older[page]] = newer[page];
			older[newer[page]] = older[page];
		} else if (held == max) {
			uint32_t oldest = newer[head];

			in[oldest] = 0;
			newer[head] = newer[oldest];
			older[newer[oldest]] = head;
		} else {
			held++;
		}
		in[page] = 1;
		older[page] = older[head];
		newer[page] = head;
		newer[older[head]] = page;
		older[head] = page;
	}
	free(older);
	free(newer);
	free(in);
	return hits;
}

/* Ranks by the weights of exponent 0.99, scattered over the pages. */
static uint32_t *zipf_trace(size_t pages, size_t count)
{
	double *sums = malloc(pages * sizeof *sums), sum = 0;
	uint32_t *trace = malloc(count * sizeof *trace);
	uint64_t seed = 99;

	for (size_t i = 0; i < pages; i++)
		sums[i] = sum += pow((double)(i + 1), -0.99);
	for (size_t i = 0; i < count; i++) {
		double draw = (double)(random_next(&seed) >> 11) * 0x1p-53 * sum;
		size_t low = 0, high = pages - 1;

		while (low < high) {
			size_t middle = (low + high) / 2;

			if (sums[middle] > draw)
				high = middle;
			else
				low = middle + 1;
		}
		/* An odd factor: every page is one rank's. */
		trace[i] = (uint32_t)(low * 0x9e3779b1U % pages);
	}
	free(sums);
	return trace;
}

/*
 * A sixteenth of the object, as 64 MiB are of 1 GiB. What the limit holds besides what was asked
 * for, and all that a request brought in vain, counts against it. The second half is judged, when
 * it is full.
 */
static void zipf_touches_hit_nearly_as_often_as_lru(void **state)
{
	uint32_t *trace = zipf_trace(ZIPF_PAGES, 2 * ZIPF_TOUCHES);
	const struct pagein_options options = {.size = sizeof options, .memory = ZIPF_LIMIT};
	size_t best, first, missed = 0;
	struct session session;
	uint64_t requests;

	(void)state;
	session_open(&session, ZIPF_PAGES * PAGE, &options);
	for (size_t i = 0; i < 2 * ZIPF_TOUCHES; i++) {
		if (i == ZIPF_TOUCHES)
			server_reset_counts(&session.server);
		missed += session.bytes[trace[i] * (size_t)PAGE] !=
			  session.local.bytes[trace[i] * (size_t)PAGE];
	}
	assert_int_equal(missed, 0);
	requests = server_count(&session.server, "requests");
	first = lru_hits(trace, ZIPF_TOUCHES, ZIPF_PAGES, ZIPF_LIMIT / PAGE);
	best = lru_hits(trace, 2 * ZIPF_TOUCHES, ZIPF_PAGES, ZIPF_LIMIT / PAGE) - first;
	print_message(
		"hits of %d: %zu, LRU %zu\n", ZIPF_TOUCHES, ZIPF_TOUCHES - (size_t)requests, best);
	assert_true(ZIPF_TOUCHES - requests + ZIPF_TOUCHES / 20 >= best);
	assert_true(taken() <= ZIPF_LIMIT + SLACK);
	free(trace);
	session_close(&session);
}

/* ---- what is done to the memory -------------------------------------------------------------- */

static void dropped_and_moved_and_cut_maps_stay_exact(void **state)
{
	const size_t size = 16 * MIB;
	struct session session;
	uint8_t *moved;

	(void)state;
	session_open(&session, size, &limit_4m);
	assert_int_equal(session_compare(&session, 0, size / PAGE), 0);
	/* Not noticed before the touch. */
	assert_int_equal(madvise((void *)(uintptr_t)session.bytes, size, MADV_DONTNEED), 0);
	assert_int_equal(session_compare(&session, 0, size / PAGE), 0);
	check_exact(&session);
	moved = mremap((void *)(uintptr_t)session.bytes, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	assert_ptr_not_equal(moved, MAP_FAILED);
	session.bytes = moved;
	check_exact(&session);
	assert_int_equal(session_compare(&session, 0, size / PAGE), 0);
	check_exact(&session);
	assert_true(taken() <= 4 * MIB + SLACK);
	/* Its last quarter, which is what is resident now. */
	assert_int_equal(munmap(moved + size * 3 / 4, size / 4), 0);
	settle();
	assert_int_equal(map_stats(session.map).resident_bytes, smaps_rss(moved, size * 3 / 4));
	assert_int_equal(session_compare(&session, 0, size * 3 / 4 / PAGE), 0);
	settle();
	assert_int_equal(map_stats(session.map).resident_bytes, smaps_rss(moved, size * 3 / 4));
	session_close(&session);
}

static void a_pin_ends_with_what_is_unmapped(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 8 * MIB, &limit_4m);
	assert_int_equal(pagein_populate(session.map, 4 * MIB, 2 * MIB, -1), 0);
	assert_int_equal(pagein_pin(session.map, 4 * MIB, 2 * MIB), 0);
	assert_int_equal(munmap((void *)(uintptr_t)(session.bytes + 5 * MIB), 2 * MIB), 0);
	assert_int_equal(map_stats(session.map).pinned_bytes, MIB);
	assert_int_equal(session_compare(&session, 0, 5 * MIB / PAGE), 0);
	session_close(&session);
}

static void a_failed_page_stays_failed(void **state)
{
	struct pagein_error error;
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &limit_1m);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 700 * PAGE, NULL), SIGBUS);
	server_script(&session.server, "");
	assert_int_equal(session_compare(&session, 0, 700), 0);
	assert_int_equal(session_compare(&session, 701, 16 * MIB / PAGE), 0);
	assert_int_equal(touch(session.bytes + 700 * PAGE, NULL), SIGBUS);
	assert_int_equal(pagein_error(session.map, session.bytes + 700 * PAGE, &error), 0);
	assert_int_equal(error.error, EACCES);
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 700, 701), 0);
	session_close(&session);
}

static void a_cache_beside_the_limit_has_its_own(void **state)
{
	const struct pagein_options both = {
		.size = sizeof both, .memory = 2 * MIB, .cache_bytes = 32 * MIB};
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &both);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	settle();
	server_kill(&session.server);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	assert_true(map_stats(session.map).resident_bytes <= 2 * MIB + SLACK);
	check_exact(&session);
	session_close(&session);
}

/* ---- options --------------------------------------------------------------------------------- */

static void open_with(const struct server *server, const char *variable,
	const struct pagein_options *options, int expected)
{
	struct pagein_object *object = NULL;

	setenv("PAGEIN_MEMORY", variable, 1);
	assert_int_equal(pagein_open(server_url(server, "data"), options, &object), expected);
	unsetenv("PAGEIN_MEMORY");
	pagein_close(object);
}

static void a_malformed_variable_is_refused(void **state)
{
	static const char *const malformed[] = {"x", "64X", "64MB", "-1", " 64M", "64 M", "+5",
		"1.5G", "18446744073709551616", "16777216T", "M"};
	static const char *const fine[] = {"0", "", "1", "1048576", "64M", "4K", "2T", "1G"};
	const struct pagein_options explicit = {.size = sizeof explicit, .memory = MIB};
	struct session session;

	(void)state;
	session_open(&session, MIB, NULL);
	for (size_t i = 0; i < array_len(malformed); i++) {
		open_with(&session.server, malformed[i], NULL, -EINVAL);
		assert_non_null(strstr(pagein_last_error(), "PAGEIN_MEMORY"));
		/* It is the default only. */
		open_with(&session.server, malformed[i], &explicit, 0);
	}
	for (size_t i = 0; i < array_len(fine); i++)
		open_with(&session.server, fine[i], NULL, 0);
	session_close(&session);
}

static void the_variable_is_the_default(void **state)
{
	const struct pagein_options none = {.size = sizeof none, .memory = PAGEIN_NO_LIMIT};
	struct session session;

	(void)state;
	setenv("PAGEIN_MEMORY", "1", 1);
	session_open(&session, 4 * MIB, NULL);
	assert_int_equal(session_compare(&session, 0, 4 * MIB / PAGE), 0);
	assert_true(taken() <= MIB + SLACK);
	assert_true(map_stats(session.map).resident_bytes > MIB / 2);
	session_close(&session);
	session_open(&session, 4 * MIB, &none);
	unsetenv("PAGEIN_MEMORY");
	assert_int_equal(session_compare(&session, 0, 4 * MIB / PAGE), 0);
	assert_true(map_stats(session.map).resident_bytes == 4 * MIB);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scan_larger_than_the_limit_stays_below_it),
		cmocka_unit_test(a_scan_is_fetched_once),
		cmocka_unit_test(several_scans_of_a_distant_server_are_fetched_once),
		cmocka_unit_test(maps_of_several_objects_share_the_limit),
		cmocka_unit_test(maps_come_and_go),
		cmocka_unit_test(a_page_touched_alone_comes_back_without_a_request),
		cmocka_unit_test(a_populate_takes_second_chances_too),
		cmocka_unit_test(dontneed_drops_second_chances_too),
		cmocka_unit_test(zipf_touches_hit_nearly_as_often_as_lru),
		cmocka_unit_test(dropped_and_moved_and_cut_maps_stay_exact),
		cmocka_unit_test(a_pin_ends_with_what_is_unmapped),
		cmocka_unit_test(a_failed_page_stays_failed),
		cmocka_unit_test(a_cache_beside_the_limit_has_its_own),
		cmocka_unit_test(a_malformed_variable_is_refused),
		cmocka_unit_test(the_variable_is_the_default),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
