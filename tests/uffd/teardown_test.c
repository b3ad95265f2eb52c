/*
 * teardown_test.c - maps that go, wholly or in part, while threads wait in them.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"

#define SIZE (64 * PAGE)

/* Longer than any test here may take. */
static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 60000};

/* A map of 64 pages of which the server gives none but the first four. */
static void open_stalled(struct session *session)
{
	session_open(session, SIZE, &patient);
	server_script(&session->server, "path=/data : stall=0");
}

static void unmap_ends_waiting_threads_with_sigsegv(void **state)
{
	struct toucher touchers[8];
	struct session session;

	(void)state;
	open_stalled(&session);
	for (size_t i = 0; i < array_len(touchers); i++)
		toucher_start(&touchers[i], session.bytes + (10 + i / 2) * PAGE);
	assert_true(wait_for_faults(session.map, array_len(touchers)));
	pagein_unmap(session.map);
	session.map = NULL;
	for (size_t i = 0; i < array_len(touchers); i++)
		assert_int_equal(toucher_join(&touchers[i]), SIGSEGV);
	session_close(&session);
}

static void unmap_cancels_what_is_under_way(void **state)
{
	struct session session;

	(void)state;
	open_stalled(&session);
	pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_true(process_stats().transfers == 0);
	session_close(&session);
}

static void object_and_map_may_go_in_either_order(void **state)
{
	(void)state;
	for (int map_first = 0; map_first < 2; map_first++) {
		struct session session;

		session_open(&session, SIZE, NULL);
		assert_int_equal(session_compare(&session, 0, 8), 0);
		if (map_first) {
			pagein_unmap(session.map);
			session.map = NULL;
		} else {
			pagein_close(session.object);
			session.object = NULL;
			/* The map lives on, and fetches. */
			assert_int_equal(session_compare(&session, 0, 64), 0);
		}
		session_close(&session);
	}
}

static void maps_and_objects_go_in_every_order(void **state)
{
	uint64_t seed = 12;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct pagein_object *objects[3];
		struct pagein_map *maps[3][3];
		struct session session;
		unsigned left = 0xfff;

		session_start_server(&session, SIZE);
		for (size_t i = 0; i < 3; i++) {
			const struct pagein_options options = {
				.size = sizeof options, .connections = 1 + (unsigned)i % 2};

			assert_int_equal(pagein_open(server_url(&session.server, "data"), &options,
						 &objects[i]),
				0);
			for (size_t j = 0; j < 3; j++) {
				assert_int_equal(pagein_map(objects[i], 0, 0, 0, &maps[i][j]), 0);
				assert_int_equal(
					touch((uint8_t *)pagein_address(maps[i][j]) + 20 * PAGE,
						NULL),
					0);
			}
		}
		while (left) {
			unsigned pick = (unsigned)(random_next(&seed) % 12);

			if (!(left >> pick & 1))
				continue;
			if (pick < 3)
				pagein_close(objects[pick]);
			else
				pagein_unmap(maps[pick / 3 - 1][pick % 3]);
			left &= ~(1U << pick);
		}
		session_close(&session);
	}
}

/* ---- the application's own calls on the addresses ------------------------------------------ */

static void madvise_dontneed_is_obeyed(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	assert_int_equal(madvise((void *)(session.bytes + 8 * PAGE), 16 * PAGE, MADV_DONTNEED), 0);
	assert_true(map_stats(session.map).resident_bytes == 48 * PAGE);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	assert_true(map_stats(session.map).resident_bytes == 64 * PAGE);
	session_close(&session);
}

static void munmap_of_a_part_leaves_the_rest(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 16, 24), 0);
	assert_int_equal(munmap((void *)(session.bytes + 20 * PAGE), 10 * PAGE), 0);
	assert_int_equal(touch(session.bytes + 20 * PAGE, NULL), SIGSEGV);
	assert_int_equal(session_compare(&session, 0, 20), 0);
	assert_int_equal(session_compare(&session, 30, 64), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	session_close(&session);
}

static void munmap_ends_waiting_threads_with_sigsegv(void **state)
{
	struct toucher gone, stays;
	struct session session;

	(void)state;
	open_stalled(&session);
	toucher_start(&gone, session.bytes + 20 * PAGE);
	toucher_start(&stays, session.bytes + 40 * PAGE);
	assert_true(wait_for_faults(session.map, 2));
	assert_int_equal(munmap((void *)(session.bytes + 16 * PAGE), 8 * PAGE), 0);
	assert_int_equal(toucher_join(&gone), SIGSEGV);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(toucher_join(&stays), SIGSEGV);
	session_close(&session);
}

/* Memory of somebody else's at an address that was a map's. */
static uint8_t *take_over(const uint8_t *address, size_t length)
{
	uint8_t *memory = mmap((void *)address, length, PROT_READ | PROT_WRITE,
		MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_equal(memory, address);
	memset(memory, 0x5a, length);
	return memory;
}

static void check_untouched(const uint8_t *memory, size_t length)
{
	for (size_t i = 0; i < length; i++)
		assert_int_equal(memory[i], 0x5a);
}

static void nothing_lands_in_what_is_mapped_there_next(void **state)
{
	struct session session;
	uint8_t *memory;

	(void)state;
	session_open(&session, SIZE, NULL);
	server_script(&session.server, "path=/data : delay=100ms");
	pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED);
	memory = take_over(session.bytes + 20 * PAGE, 10 * PAGE);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	check_untouched(memory, 10 * PAGE);
	assert_int_equal(session_compare(&session, 0, 20), 0);
	assert_int_equal(session_compare(&session, 30, 64), 0);
	/* Nor does any advice or the end of the map reach it. */
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	check_untouched(memory, 10 * PAGE);
	assert_int_equal(session_compare(&session, 0, 20), 0);
	pagein_unmap(session.map);
	session.map = NULL;
	check_untouched(memory, 10 * PAGE);
	munmap(memory, 10 * PAGE);
	session_close(&session);
}

static void a_moved_map_goes_on_at_its_new_place(void **state)
{
	struct pagein_error error;
	struct session session;
	uint8_t *old, *moved, *memory;

	(void)state;
	session_open(&session, SIZE, &patient);
	old = (uint8_t *)session.bytes;
	assert_int_equal(session_compare(&session, 10, 20), 0);
	moved = mremap(old, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	assert_ptr_not_equal(moved, MAP_FAILED);
	memory = take_over(old, SIZE);
	session.bytes = moved;
	assert_int_equal(session_compare(&session, 0, 40), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	assert_int_equal(pagein_error(session.map, moved + 5 * PAGE, &error), 0);
	assert_true(error.offset == 5 * PAGE);
	assert_int_equal(pagein_error(session.map, old, &error), -EINVAL);
	/* DONTNEED follows it, too. */
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_true(map_stats(session.map).resident_bytes == 0);
	check_untouched(memory, SIZE);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	pagein_unmap(session.map);
	session.map = NULL;
	check_untouched(memory, SIZE);
	munmap(memory, SIZE);
	assert_int_equal(touch(moved, NULL), SIGSEGV);
	session_close(&session);
}

static void mremap_ends_threads_that_wait_at_the_old_place(void **state)
{
	struct toucher toucher;
	struct session session;
	uint8_t *moved;

	(void)state;
	open_stalled(&session);
	toucher_start(&toucher, session.bytes + 20 * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	moved = mremap((void *)session.bytes, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	assert_ptr_not_equal(moved, MAP_FAILED);
	assert_int_equal(toucher_join(&toucher), SIGSEGV);
	session_close(&session);
}

static void pages_that_mremap_adds_raise_sigbus(void **state)
{
	struct session session;
	uint8_t *grown;

	(void)state;
	session_open(&session, SIZE, NULL);
	grown = mremap((void *)session.bytes, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(grown, MAP_FAILED);
	session.bytes = grown;
	assert_int_equal(session_compare(&session, 0, 64), 0);
	assert_int_equal(touch(grown + SIZE, NULL), SIGBUS);
	assert_int_equal(touch(grown + 2 * SIZE - 1, NULL), SIGBUS);
	pagein_unmap(session.map);
	session.map = NULL;
	munmap(grown + SIZE, SIZE);
	session_close(&session);
}

/* A part of the object grows beyond its end, and is touched there first. */
static void pages_that_mremap_adds_before_the_end_are_the_objects(void **state)
{
	const size_t pages = (SIZE + PAGE - 1) / PAGE;
	struct pagein_map *map;
	struct session session;
	uint8_t *grown;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_map(session.object, 0, PAGE, 0, &map), 0);
	grown = mremap(pagein_address(map), PAGE, (pages + 2) * PAGE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(grown, MAP_FAILED);
	assert_int_equal(touch(grown + (pages + 1) * PAGE, NULL), SIGBUS);
	assert_int_equal(touch_compare(grown, session.local.bytes, SIZE), 0);
	pagein_unmap(map);
	session_close(&session);
}

static void mprotect_of_a_part_changes_no_byte(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(mprotect((void *)(session.bytes + 7 * PAGE), 3 * PAGE, PROT_NONE), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(mprotect((void *)(session.bytes + 7 * PAGE), 3 * PAGE, PROT_READ), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

/* ---- signals ------------------------------------------------------------------------------- */

static void do_nothing(int number)
{
	(void)number;
}

static void a_signal_does_not_disturb_a_waiting_thread(void **state)
{
	struct sigaction action = {.sa_handler = do_nothing}, before;
	struct toucher toucher;
	struct session session;

	(void)state;
	sigaction(SIGUSR1, &action, &before);
	session_open(&session, SIZE, NULL);
	server_script(&session.server, "path=/data : delay=300ms");
	toucher_start(&toucher, session.bytes + 20 * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	for (int i = 0; i < 20; i++) {
		pthread_kill(toucher.thread, SIGUSR1);
		usleep(5000);
	}
	assert_int_equal(toucher_join(&toucher), 0);
	assert_int_equal(toucher.byte, session.local.bytes[20 * PAGE]);
	session_close(&session);
	sigaction(SIGUSR1, &before, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmap_ends_waiting_threads_with_sigsegv),
		cmocka_unit_test(unmap_cancels_what_is_under_way),
		cmocka_unit_test(object_and_map_may_go_in_either_order),
		cmocka_unit_test(maps_and_objects_go_in_every_order),
		cmocka_unit_test(madvise_dontneed_is_obeyed),
		cmocka_unit_test(munmap_of_a_part_leaves_the_rest),
		cmocka_unit_test(munmap_ends_waiting_threads_with_sigsegv),
		cmocka_unit_test(nothing_lands_in_what_is_mapped_there_next),
		cmocka_unit_test(a_moved_map_goes_on_at_its_new_place),
		cmocka_unit_test(mremap_ends_threads_that_wait_at_the_old_place),
		cmocka_unit_test(pages_that_mremap_adds_raise_sigbus),
		cmocka_unit_test(pages_that_mremap_adds_before_the_end_are_the_objects),
		cmocka_unit_test(mprotect_of_a_part_changes_no_byte),
		cmocka_unit_test(a_signal_does_not_disturb_a_waiting_thread),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
