/*
 * huge_test.c - PAGEIN_HUGE: the same bytes in huge pages, or without them where the kernel, the
 * server, or what the application does to the memory leaves no other choice.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uffd.h"

#define UNIT (2 << 20)
#define UNIT_PAGES (UNIT / PAGE)
#define UNITS 4
#define SIZE (UNITS * UNIT + 3 * PAGE + 5)
#define PAGES (SIZE / PAGE + 1)

/* Nothing fails here because a machine is busy. */
static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};
static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 20000, .attempts = 1};

static void open_huge(struct session *session, const struct pagein_options *options)
{
	session_start_server(session, SIZE);
	session_open_object(session, options ? options : &patient);
	session_map_as(session, PAGEIN_HUGE);
}

/* Can this kernel make huge pages of a map now? */
static bool is_possible(void)
{
	struct uffd_access access;
	char words[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

	uffd_probe(&access);
	if (fd < 0 || read(fd, words, sizeof words - 1) < 0)
		return false;
	close(fd);
	return (access.features & UFFD_FEATURE_MOVE) && !strstr(words, "[never]");
}

/* A figure of /proc/self/smaps, of all areas that [address, address + length) overlaps: bytes. */
static size_t smaps_bytes(const void *address, size_t length, const char *name)
{
	uintptr_t start = (uintptr_t)address, end = start + length;
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long from, to, kib;
	size_t name_len = strlen(name), sum = 0;
	bool inside = false;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from < end && to > start;
		else if (inside && strncmp(line, name, name_len) == 0 &&
			 sscanf(line + name_len, ": %lu kB", &kib) == 1)
			sum += kib * 1024;
	fclose(file);
	return sum;
}

static void populated_units_are_huge_pages(void **state)
{
	struct session session;
	struct pagein_stats stats;

	(void)state;
	if (!is_possible())
		skip_because("no UFFDIO_MOVE, or transparent huge pages are off");
	open_huge(&session, NULL);
	assert_true((uintptr_t)session.bytes % UNIT == 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	stats = map_stats(session.map);
	/* The kernel may be out of whole huge pages, and the first page came with the probe. */
	assert_true(stats.huge_fills + stats.fallbacks == UNITS);
	assert_true(stats.huge_fills > 0);
	assert_true(smaps_bytes(session.bytes, SIZE, "AnonHugePages") == stats.huge_fills * UNIT);
	assert_true(stats.resident_bytes == PAGES * (uint64_t)PAGE);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_true(map_stats(session.map).faults == 0);
	session_close(&session);
}

static void readers_in_order_see_the_right_bytes(void **state)
{
	static const int advice[] = {PAGEIN_NORMAL, PAGEIN_SEQUENTIAL, PAGEIN_RANDOM};

	(void)state;
	for (size_t i = 0; i < array_len(advice); i++) {
		struct session session;

		open_huge(&session, NULL);
		assert_int_equal(pagein_advise(session.map, 0, 0, advice[i]), 0);
		for (size_t page = 0; page < PAGES; page++)
			assert_int_equal(session_compare(&session, page, page + 1), 0);
		session_close(&session);
	}
}

static void every_offset_and_length_will_do(void **state)
{
	static const size_t places[][2] = {{0, 100}, {PAGE, 0}, {5 * PAGE, UNIT},
		{UNIT - PAGE, UNIT + 2 * PAGE}, {UNIT, UNIT}, {3 * UNIT + PAGE, 0}};

	(void)state;
	for (size_t i = 0; i < array_len(places); i++) {
		size_t offset = places[i][0], length = places[i][1];
		struct session session;
		struct pagein_map *map;

		open_huge(&session, NULL);
		assert_int_equal(pagein_map(session.object, offset, length, PAGEIN_HUGE, &map), 0);
		length = pagein_length(map);
		/* So that the object's units lie where huge pages can. */
		assert_true(((uintptr_t)pagein_address(map) - offset) % UNIT == 0);
		assert_int_equal(pagein_populate(map, 0, 0, -1), 0);
		assert_int_equal(
			touch_compare(pagein_address(map), session.local.bytes + offset, length),
			0);
		pagein_unmap(map);
		session_close(&session);
	}
}

static void a_unit_with_a_hole_is_completed_page_by_page(void **state)
{
	struct session session;

	(void)state;
	if (!is_possible())
		skip_because("no UFFDIO_MOVE, or transparent huge pages are off");
	open_huge(&session, NULL);
	/* Lone faults take their page and no more. */
	assert_int_equal(session_compare(&session, UNIT_PAGES + 100, UNIT_PAGES + 101), 0);
	assert_true(map_stats(session.map).resident_bytes == PAGE);
	assert_true(map_stats(session.map).fallbacks == 0);
	assert_int_equal(pagein_populate(session.map, UNIT, UNIT, -1), 0);
	assert_true(map_stats(session.map).huge_fills == 0);
	assert_true(map_stats(session.map).fallbacks == 1);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void who_waits_in_a_unit_gets_its_page_at_once(void **state)
{
	struct session session;

	(void)state;
	open_huge(&session, NULL);
	/* A unit takes 20 seconds; its first pages are here long before. */
	server_script(&session.server, "path=/data : rate=100K\n");
	assert_int_equal(pagein_advise(session.map, UNIT, UNIT, PAGEIN_WILLNEED), 0);
	assert_int_equal(session_compare(&session, UNIT_PAGES, UNIT_PAGES + 2), 0);
	assert_true(map_stats(session.map).huge_fills == 0);
	assert_true(process_stats().transfers > 0);
	server_script(&session.server, "");
	pagein_unmap(session.map);
	session.map = NULL;
	session_close(&session);
}

static void an_error_in_a_unit_spoils_its_own_pages_only(void **state)
{
	size_t first = UNIT_PAGES + 200;
	struct session session;

	(void)state;
	open_huge(&session, &one_attempt);
	/* A lone page there, so that what follows is a request of its own. */
	assert_int_equal(session_compare(&session, first - 1, first), 0);
	server_script(&session.server, "path=/data range=2916352- : status=500\n");
	assert_int_equal(pagein_populate(session.map, UNIT, UNIT, -1), -EIO);
	assert_int_equal(session_compare(&session, UNIT_PAGES, first), 0);
	assert_int_equal(touch(session.bytes + first * PAGE, NULL), SIGBUS);
	server_script(&session.server, "");
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void a_cut_connection_in_a_unit_is_repaired(void **state)
{
	struct session session;

	(void)state;
	open_huge(&session, NULL);
	server_script(&session.server, "path=/data first=3 : truncate=700001 reset\n");
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void dropped_units_are_fetched_again(void **state)
{
	struct session session;

	(void)state;
	open_huge(&session, NULL);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
		/* All of it; a part that splits a huge page; and behind the library's back. */
		assert_int_equal(pagein_advise(session.map, (size_t)round * 5 * PAGE,
					 round == 1 ? UNIT : 0, PAGEIN_DONTNEED),
			0);
		assert_int_equal(
			madvise((void *)(session.bytes + UNIT), 40 * PAGE, MADV_DONTNEED), 0);
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
	}
	session_close(&session);
}

/* What an application may do to a part of the memory, before and after it is populated. */
static void lock_part(uint8_t *bytes)
{
	/* A small one, whatever the limit is: the area's flags count. */
	assert_int_equal(mlock2(bytes + UNIT, PAGE, MLOCK_ONFAULT), 0);
}

static void protect_part(uint8_t *bytes)
{
	assert_int_equal(mprotect(bytes + UNIT + 7 * PAGE, 3 * PAGE, PROT_READ), 0);
}

static void exclude_part(uint8_t *bytes)
{
	assert_int_equal(madvise(bytes + UNIT, UNIT, MADV_NOHUGEPAGE), 0);
}

static void collapse_part(uint8_t *bytes)
{
	/* Whether the kernel likes to is not asked. */
	(void)madvise(bytes + UNIT, UNIT, 25 /* MADV_COLLAPSE */);
}

static void parts_may_be_treated_differently(void **state)
{
	static void (*const treatments[])(uint8_t * bytes) = {
		lock_part, protect_part, exclude_part, collapse_part};

	(void)state;
	for (size_t i = 0; i < 2 * array_len(treatments); i++) {
		struct session session;
		bool before = i % 2;

		open_huge(&session, NULL);
		if (!before)
			assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		treatments[i / 2]((uint8_t *)session.bytes);
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
		session_close(&session);
	}
}

static void parts_may_be_unmapped_and_moved(void **state)
{
	(void)state;
	for (int populated = 0; populated < 2; populated++) {
		struct session session;
		uint8_t *place, *moved;

		open_huge(&session, NULL);
		if (populated)
			assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		/* In the middle of a unit, and by an odd number of pages. */
		assert_int_equal(munmap((void *)(session.bytes + 100 * PAGE), 9 * PAGE), 0);
		place = mmap(NULL, UNIT + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(place, MAP_FAILED);
		moved = mremap((void *)(session.bytes + UNIT + PAGE), UNIT, UNIT,
			MREMAP_MAYMOVE | MREMAP_FIXED, place + PAGE);
		assert_ptr_not_equal(moved, MAP_FAILED);
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(session_compare(&session, 0, 100), 0);
		assert_int_equal(session_compare(&session, 109, UNIT_PAGES + 1), 0);
		assert_int_equal(touch_compare(moved, session.local.bytes + UNIT + PAGE, UNIT), 0);
		assert_int_equal(session_compare(&session, 2 * UNIT_PAGES + 1, PAGES), 0);
		munmap(place, PAGE);
		session_close(&session);
	}
}

/* What is written is the process's own, for as long as the page stays. */
static void pages_may_be_written(void **state)
{
	struct session session;
	uint8_t *bytes;

	(void)state;
	open_huge(&session, NULL);
	bytes = (uint8_t *)session.bytes;
	assert_int_equal(pagein_populate(session.map, 0, UNIT, -1), 0);
	bytes[5] = (uint8_t)~bytes[5];
	bytes[UNIT + 5] = 77; /* the first touch of its page */
	assert_int_equal(bytes[5], (uint8_t)~session.local.bytes[5]);
	assert_int_equal(bytes[UNIT + 5], 77);
	assert_int_equal(bytes[UNIT + 6], session.local.bytes[UNIT + 6]);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void without_the_kernels_help_it_is_a_map_like_others(void **state)
{
	struct session session;

	(void)state;
	uffd_features_off = UFFD_FEATURE_MOVE;
	open_huge(&session, NULL);
	uffd_features_off = 0;
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_true(map_stats(session.map).huge_fills == 0);
	assert_true(map_stats(session.map).fallbacks == 1);
	session_close(&session);
}

/* From the cache the bytes come by a copy into the unit. */
static void a_cache_fills_units_too(void **state)
{
	const struct pagein_options options = {
		.size = sizeof options, .timeout_ms = 20000, .cache_bytes = 16 * UNIT};
	struct session session;

	(void)state;
	open_huge(&session, &options);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
		assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	}
	session_close(&session);
}

struct wanderer {
	pthread_t thread;
	struct session *session;
	uint64_t seed;
	int result;
};

static void *touch_at_random(void *context)
{
	struct wanderer *wanderer = context;

	for (int i = 0; i < 400 && wanderer->result == 0; i++) {
		size_t page = random_next(&wanderer->seed) % PAGES;

		wanderer->result = session_compare(wanderer->session, page, page + 1);
	}
	return NULL;
}

static void threads_touch_while_it_is_populated_and_dropped(void **state)
{
	struct wanderer wanderers[4];
	struct session session;

	(void)state;
	open_huge(&session, NULL);
	for (size_t i = 0; i < array_len(wanderers); i++) {
		wanderers[i] = (struct wanderer){.session = &session, .seed = i + 1};
		pthread_create(&wanderers[i].thread, NULL, touch_at_random, &wanderers[i]);
	}
	for (int round = 0; round < 10; round++) {
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	}
	for (size_t i = 0; i < array_len(wanderers); i++) {
		pthread_join(wanderers[i].thread, NULL);
		assert_int_equal(wanderers[i].result, 0);
	}
	session_close(&session);
}

static void kinds_of_memory_exclude_each_other(void **state)
{
	static const unsigned flags[] = {PAGEIN_HUGE | PAGEIN_SHARED, PAGEIN_HUGE | PAGEIN_HUGETLB,
		PAGEIN_SHARED | PAGEIN_HUGETLB, PAGEIN_HUGE | PAGEIN_SHARED | PAGEIN_HUGETLB};
	struct session session;

	(void)state;
	open_huge(&session, NULL);
	for (size_t i = 0; i < array_len(flags); i++) {
		struct pagein_map *map;

		assert_int_equal(pagein_map(session.object, 0, 0, flags[i], &map), -EINVAL);
		assert_non_null(strstr(pagein_last_error(), "exclude each other"));
		assert_int_equal(
			pagein_map(session.object, 0, 0, flags[i] | 1U << 31, &map), -EINVAL);
		assert_non_null(strstr(pagein_last_error(), "unknown flags 0x80000000"));
	}
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(populated_units_are_huge_pages),
		cmocka_unit_test(readers_in_order_see_the_right_bytes),
		cmocka_unit_test(every_offset_and_length_will_do),
		cmocka_unit_test(a_unit_with_a_hole_is_completed_page_by_page),
		cmocka_unit_test(who_waits_in_a_unit_gets_its_page_at_once),
		cmocka_unit_test(an_error_in_a_unit_spoils_its_own_pages_only),
		cmocka_unit_test(a_cut_connection_in_a_unit_is_repaired),
		cmocka_unit_test(dropped_units_are_fetched_again),
		cmocka_unit_test(parts_may_be_treated_differently),
		cmocka_unit_test(parts_may_be_unmapped_and_moved),
		cmocka_unit_test(pages_may_be_written),
		cmocka_unit_test(without_the_kernels_help_it_is_a_map_like_others),
		cmocka_unit_test(a_cache_fills_units_too),
		cmocka_unit_test(threads_touch_while_it_is_populated_and_dropped),
		cmocka_unit_test(kinds_of_memory_exclude_each_other),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
