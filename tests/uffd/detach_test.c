/*
 * detach_test.c - a map that is all there becomes its caller's memory; one that is not stays a map.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "map_private.h"

#define SIZE (3 * 1024 * 1024 + 77)
#define PAGES (SIZE / PAGE + 1)

static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 2000, .attempts = 1};

static void make_overlay(struct session *session)
{
	pagein_unmap(session->map);
	assert_int_equal(pagein_map(session->object, 0, 0, PAGEIN_PRIVATE, &session->map), 0);
	session->bytes = pagein_address(session->map);
}

/* Nothing of the library has a part in it any more. */
static void detach(struct session *session)
{
	void *address;

	if (pagein_detach(session->map, &address) < 0)
		fail_msg("%s", pagein_last_error());
	assert_ptr_equal(address, session->bytes);
	assert_true(count_pending_faults() <= 0);
	session->map = NULL;
}

static void check_detached(const struct session *session)
{
	static const uint8_t zeros[PAGE];

	assert_int_equal(session_compare(session, 0, PAGES), 0);
	assert_int_equal(touch_compare(session->bytes + SIZE, zeros, PAGES * PAGE - SIZE), 0);
}

static void a_map_outlives_its_object_and_server(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	/* Partly through faults, with pages held back for a stream. */
	assert_int_equal(session_compare(&session, 0, 100), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	detach(&session);
	pagein_close(session.object);
	session.object = NULL;
	server_kill(&session.server);
	check_detached(&session);
	/* Readable, as it was; and the caller's to change. */
	assert_int_equal(touch_write((void *)session.bytes, "x", 1), SIGSEGV);
	assert_int_equal(mprotect((void *)session.bytes, SIZE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(touch_write((void *)session.bytes, session.local.bytes, SIZE), 0);
	check_detached(&session);
	assert_int_equal(munmap((void *)session.bytes, PAGES * PAGE), 0);
	session_close(&session);
}

static void a_map_that_misses_a_page_stays(void **state)
{
	struct session session;
	void *address = NULL;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_detach(session.map, &address), -EBUSY);
	assert_non_null(strstr(pagein_last_error(), "offset 0 is not resident"));
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	/* One in the middle, whatever the library's hints say; then the last one. */
	assert_int_equal(madvise((void *)(session.bytes + 600 * PAGE), PAGE, MADV_DONTNEED), 0);
	assert_int_equal(pagein_detach(session.map, &address), -EBUSY);
	assert_non_null(strstr(pagein_last_error(), "offset 2457600 "));
	assert_int_equal(session_compare(&session, 600, 601), 0);
	assert_int_equal(
		madvise((void *)(session.bytes + (PAGES - 1) * PAGE), PAGE, MADV_DONTNEED), 0);
	assert_int_equal(pagein_detach(session.map, &address), -EBUSY);
	assert_null(address);
	/* It is a map as before. */
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	detach(&session);
	check_detached(&session);
	assert_int_equal(munmap((void *)session.bytes, PAGES * PAGE), 0);
	session_close(&session);
}

static void a_map_with_a_failed_page_stays(void **state)
{
	struct session session;
	void *address;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data range=400K-404K : status=500");
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), SIGBUS);
	assert_int_equal(pagein_populate(session.map, 0, 100 * PAGE, -1), 0);
	assert_int_equal(pagein_populate(session.map, 101 * PAGE, 0, -1), 0);
	assert_int_equal(pagein_detach(session.map, &address), -EBUSY);
	assert_non_null(strstr(pagein_last_error(), "offset 409600 "));
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), SIGBUS);
	server_script(&session.server, "");
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	detach(&session);
	check_detached(&session);
	assert_int_equal(munmap((void *)session.bytes, PAGES * PAGE), 0);
	session_close(&session);
}

static void an_overlay_keeps_what_was_written(void **state)
{
	static const bool modes[] = {true, false};

	(void)state;
	for (size_t i = 0; i < array_len(modes); i++) {
		struct session session;
		uint8_t *bytes;

		session_open(&session, SIZE, NULL);
		overlay_allow_async(modes[i]);
		make_overlay(&session);
		overlay_allow_async(true);
		bytes = (uint8_t *)session.bytes;
		bytes[5 * PAGE] ^= 1;
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		detach(&session);
		pagein_close(session.object);
		session.object = NULL;
		/* The first write to a page that was write-protected, and one that was not. */
		bytes[6 * PAGE] ^= 1;
		bytes[5 * PAGE] ^= 1;
		bytes[6 * PAGE] ^= 1;
		check_detached(&session);
		assert_int_equal(munmap(bytes, PAGES * PAGE), 0);
		session_close(&session);
	}
}

static void what_was_unmapped_need_not_be_there(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(munmap((void *)(session.bytes + 200 * PAGE), 100 * PAGE), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	detach(&session);
	assert_int_equal(session_compare(&session, 0, 200), 0);
	assert_int_equal(session_compare(&session, 300, PAGES), 0);
	assert_int_equal(munmap((void *)session.bytes, PAGES * PAGE), 0);
	session_close(&session);
}

static void a_map_that_was_moved_is_where_it_lies(void **state)
{
	struct session session;
	void *place;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 20), 0);
	place = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(mremap((void *)session.bytes, PAGES * PAGE, PAGES * PAGE,
				 MREMAP_MAYMOVE | MREMAP_FIXED, place),
		place);
	session.bytes = place;
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	detach(&session);
	check_detached(&session);
	assert_int_equal(munmap(place, PAGES * PAGE), 0);
	session_close(&session);
}

/* mremap(2) tells nobody of growth in place: pages there are missing, too. */
static void check_growth(struct session *session, unsigned flags)
{
	const size_t length = 100 * PAGE;
	struct pagein_map *map;
	uint8_t *bytes, *place;
	void *address;

	assert_int_equal(pagein_map(session->object, 0, length, flags, &map), 0);
	/* Where there is room behind it. */
	place = mmap(NULL, 2 * length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bytes = mremap(pagein_address(map), length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	assert_ptr_equal(bytes, place);
	assert_int_equal(munmap(place + length, length), 0);
	assert_int_equal(pagein_populate(map, 0, 0, -1), 0);
	assert_ptr_equal(mremap(bytes, length, 2 * length, 0), bytes);
	assert_int_equal(pagein_detach(map, &address), -EBUSY);
	assert_non_null(strstr(pagein_last_error(), "offset 409600 "));
	assert_int_equal(touch_compare(bytes, session->local.bytes, 2 * length), 0);
	if (flags & PAGEIN_PRIVATE) {
		/* What has looked for growth has left it an overlay. */
		assert_int_equal(pagein_dirty(map, 0, 0, NULL, 0), 0);
		assert_int_equal(touch_write(bytes + length - 1, bytes + length - 1, 1), 0);
		assert_int_equal(pagein_dirty(map, 0, 0, NULL, 0), 1);
	}
	assert_int_equal(pagein_detach(map, &address), 0);
	assert_ptr_equal(address, bytes);
	assert_int_equal(touch_compare(bytes, session->local.bytes, 2 * length), 0);
	assert_int_equal(munmap(bytes, 2 * length), 0);
}

static void growth_that_nobody_was_told_of_must_be_there(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	check_growth(&session, 0);
	check_growth(&session, PAGEIN_PRIVATE);
	overlay_allow_async(false);
	check_growth(&session, PAGEIN_PRIVATE);
	overlay_allow_async(true);
	session_close(&session);
}

static void pages_past_the_end_can_not_be_detached(void **state)
{
	struct session session;
	struct pagein_map *map;
	void *address;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_map(session.object, 0, SIZE + 2 * PAGE, 0, &map), 0);
	assert_int_equal(pagein_populate(map, 0, 0, -1), 0);
	assert_int_equal(pagein_detach(map, &address), -EINVAL);
	assert_int_equal(touch_compare(pagein_address(map), session.local.bytes, SIZE), 0);
	assert_int_equal(touch((uint8_t *)pagein_address(map) + PAGES * PAGE, NULL), SIGBUS);
	pagein_unmap(map);
	session_close(&session);
}

static int compare_in_child(void *context)
{
	return session_compare(context, 0, PAGES) != 0;
}

static void a_child_inherits_it(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	detach(&session);
	assert_int_equal(run_in_child(compare_in_child, &session), 0);
	check_detached(&session);
	assert_int_equal(munmap((void *)session.bytes, PAGES * PAGE), 0);
	session_close(&session);
}

static void an_empty_map_has_no_memory(void **state)
{
	struct session session;
	void *address = &session;

	(void)state;
	session_open(&session, 0, NULL);
	assert_int_equal(pagein_detach(session.map, &address), 0);
	assert_null(address);
	session.map = NULL;
	session_close(&session);
}

/* ---- while others read ------------------------------------------------------------------------
 */

struct reader {
	pthread_t thread;
	const struct session *session;
	atomic_bool *end;
	size_t rounds;
	int result; /* the first that is not 0 */
};

static void *read_on(void *context)
{
	struct reader *reader = context;

	while (!atomic_load(reader->end) && reader->result == 0) {
		reader->result = session_compare(reader->session, 0, PAGES);
		reader->rounds++;
	}
	return NULL;
}

static void readers_notice_nothing(void **state)
{
	struct reader readers[4];
	atomic_bool end = false;
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	for (size_t i = 0; i < array_len(readers); i++) {
		readers[i] = (struct reader){.session = &session, .end = &end};
		pthread_create(&readers[i].thread, NULL, read_on, &readers[i]);
	}
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	detach(&session);
	usleep(20000);
	atomic_store(&end, true);
	for (size_t i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
		assert_true(readers[i].rounds > 0);
	}
	assert_int_equal(munmap((void *)session.bytes, PAGES * PAGE), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_outlives_its_object_and_server),
		cmocka_unit_test(a_map_that_misses_a_page_stays),
		cmocka_unit_test(a_map_with_a_failed_page_stays),
		cmocka_unit_test(an_overlay_keeps_what_was_written),
		cmocka_unit_test(what_was_unmapped_need_not_be_there),
		cmocka_unit_test(a_map_that_was_moved_is_where_it_lies),
		cmocka_unit_test(growth_that_nobody_was_told_of_must_be_there),
		cmocka_unit_test(pages_past_the_end_can_not_be_detached),
		cmocka_unit_test(a_child_inherits_it),
		cmocka_unit_test(an_empty_map_has_no_memory),
		cmocka_unit_test(readers_notice_nothing),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
