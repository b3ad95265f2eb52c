/*
 * hugetlb_test.c - PAGEIN_HUGETLB: pages of 2 MiB from a pool. Reserves four of them where it may,
 * and gives them back; else a skip that says why.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "uffd.h"

#define UNIT (2 << 20)
#define UNIT_PAGES (UNIT / PAGE)
#define MAP_PAGES 4
#define POOL MAP_PAGES
#define SIZE (3 * UNIT + 5 * PAGE + 7) /* MAP_PAGES */
#define PAGES (SIZE / PAGE + 1)

static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};
static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 20000, .attempts = 1};

static const char pool_path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
static const char free_path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
static const char reserved_path[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages";

static long read_number(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	return fd >= 0 && read(fd, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : -1;
}

static bool write_number(const char *path, long number)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && dprintf(fd, "%ld\n", number) > 0;
}

static long pool_before;

/* true: so many pages are free. */
static bool pool_fill(void)
{
	pool_before = read_number(pool_path);
	if (pool_before < 0 || !write_number(pool_path, pool_before + POOL))
		return false;
	return read_number(free_path) - read_number(reserved_path) >= POOL;
}

static void open_hugetlb(struct session *session, const struct pagein_options *options)
{
	session_start_server(session, SIZE);
	session_open_object(session, options ? options : &patient);
	session_map_as(session, PAGEIN_HUGETLB);
	/* To the end of the last small page; the rest of the huge one is zero. */
	assert_true((uintptr_t)session->bytes % UNIT == 0);
}

static void every_byte_is_the_files(void **state)
{
	static const uint8_t zeros[PAGE];

	(void)state;
	for (int populated = 0; populated < 2; populated++) {
		struct session session;

		open_hugetlb(&session, NULL);
		if (populated)
			assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
		assert_true(map_stats(session.map).huge_fills == MAP_PAGES);
		assert_int_equal(
			touch_compare(session.bytes + MAP_PAGES * UNIT - PAGE, zeros, PAGE), 0);
		session_close(&session);
	}
}

static void a_touch_brings_two_mib(void **state)
{
	struct session session;

	(void)state;
	open_hugetlb(&session, NULL);
	assert_int_equal(session_compare(&session, UNIT_PAGES + 77, UNIT_PAGES + 78), 0);
	assert_true(map_stats(session.map).resident_bytes == UNIT);
	assert_true(map_stats(session.map).faults == 1);
	assert_int_equal(session_compare(&session, UNIT_PAGES, 2 * UNIT_PAGES), 0);
	assert_true(map_stats(session.map).faults == 1);
	session_close(&session);
}

static void dropped_pages_are_fetched_again(void **state)
{
	struct session session;

	(void)state;
	open_hugetlb(&session, NULL);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
		/* The page that holds this one. */
		assert_int_equal(
			pagein_advise(session.map, UNIT + 5 * PAGE, PAGE, PAGEIN_DONTNEED), 0);
		assert_true(map_stats(session.map).resident_bytes == (PAGES - UNIT_PAGES) * PAGE);
		assert_int_equal(session_compare(&session, 0, PAGES), 0);
		assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	}
	session_close(&session);
}

static void an_error_spoils_the_whole_page(void **state)
{
	struct pagein_error error;
	struct session session;

	(void)state;
	open_hugetlb(&session, &one_attempt);
	server_script(&session.server, "path=/data range=2M-4M : truncate=300000 reset\n");
	assert_int_equal(touch(session.bytes + UNIT, NULL), SIGBUS);
	assert_int_equal(touch(session.bytes + 2 * UNIT - 1, NULL), SIGBUS);
	assert_int_equal(pagein_error(session.map, session.bytes + 2 * UNIT - 1, &error), 0);
	assert_int_equal(error.error, ECONNRESET);
	assert_int_equal(session_compare(&session, 0, UNIT_PAGES), 0);
	server_script(&session.server, "");
	assert_int_equal(pagein_retry(session.map, UNIT + 9 * PAGE, 1), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

/* Not mremap(2): the kernel (6.18) loses what it has reserved of the pool then, for good. */
static void parts_may_be_unmapped(void **state)
{
	struct session session;

	(void)state;
	open_hugetlb(&session, NULL);
	assert_int_equal(session_compare(&session, 0, 1), 0);
	assert_int_equal(munmap((void *)session.bytes, UNIT), 0);
	assert_int_equal(munmap((void *)(session.bytes + 2 * UNIT), UNIT), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, UNIT_PAGES, 2 * UNIT_PAGES), 0);
	assert_int_equal(session_compare(&session, 3 * UNIT_PAGES, PAGES), 0);
	session_close(&session);
}

/* Dropped pages may be gone for good: then it is an error, not a fault that never ends. */
static void a_pool_that_shrinks_fails_what_is_dropped(void **state)
{
	struct pagein_error error;
	struct session session;

	(void)state;
	open_hugetlb(&session, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(pagein_advise(session.map, 0, UNIT, PAGEIN_DONTNEED), 0);
	assert_true(write_number(pool_path, 0));
	/* Whether the page is still reserved is the kernel's business. */
	assert_int_equal(pagein_error(session.map, session.bytes, &error), 0);
	assert_int_equal(error.error, 0);
	if (touch_compare(session.bytes, session.local.bytes, UNIT) != 0) {
		assert_int_equal(touch(session.bytes, NULL), SIGBUS);
		assert_int_equal(pagein_error(session.map, session.bytes, &error), 0);
		assert_int_equal(error.error, ENOMEM);
	}
	assert_true(write_number(pool_path, pool_before + POOL));
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void what_can_not_be_mapped_is_refused_with_words(void **state)
{
	struct session session;
	struct pagein_map *map;

	(void)state;
	open_hugetlb(&session, NULL);
	assert_int_equal(pagein_map(session.object, PAGE, 0, PAGEIN_HUGETLB, &map), -EINVAL);
	assert_non_null(strstr(pagein_last_error(), "2097152"));
	/* The rest of the pool is too small, unless there was one before. */
	if (read_number(free_path) - read_number(reserved_path) < MAP_PAGES) {
		assert_int_equal(pagein_map(session.object, 0, 0, PAGEIN_HUGETLB, &map), -ENOMEM);
		assert_non_null(strstr(pagein_last_error(), "vm.nr_hugepages"));
	}
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_the_files),
		cmocka_unit_test(a_touch_brings_two_mib),
		cmocka_unit_test(dropped_pages_are_fetched_again),
		cmocka_unit_test(an_error_spoils_the_whole_page),
		cmocka_unit_test(parts_may_be_unmapped),
		cmocka_unit_test(a_pool_that_shrinks_fails_what_is_dropped),
		cmocka_unit_test(what_can_not_be_mapped_is_refused_with_words),
	};
	int status = 77;

	if (userfaultfd_is_missing())
		return 77;
	if (pool_fill())
		status = run_group(tests);
	else
		fprintf(stderr, "skipped: no pool of huge pages: needs root, and %d of them free\n",
			POOL);
	if (pool_before >= 0)
		write_number(pool_path, pool_before);
	return status;
}
