/*
 * events_test.c - what the kernel tells of a map's addresses, and what it does not tell: mremap(2)
 * that grows and that keeps both places, munmap(2) under transfers, MADV_DONTNEED under readers.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (64 * PAGE)

/* Moves the map to where it has SIZE free addresses behind it. */
static uint8_t *move_to_free_space(uint8_t *bytes, size_t length)
{
	uint8_t *space = mmap(NULL, length + SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *moved = mremap(bytes, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, space);

	assert_ptr_equal(moved, space);
	munmap(space + length, SIZE);
	return moved;
}

/* An object of 64 pages, of which the first 16 are mapped. */
static void open_quarter(struct session *session)
{
	session_start_server(session, SIZE);
	session_open_object(session, NULL);
	assert_int_equal(pagein_map(session->object, 0, 16 * PAGE, 0, &session->map), 0);
	session->bytes = move_to_free_space(pagein_address(session->map), 16 * PAGE);
}

static void a_map_that_grows_in_place_shows_more_of_the_object(void **state)
{
	struct session session;

	(void)state;
	open_quarter(&session);
	assert_int_equal(session_compare(&session, 3, 5), 0);
	assert_ptr_equal(mremap((void *)session.bytes, 16 * PAGE, 80 * PAGE, 0), session.bytes);
	/* Out of order: nothing was known of what lies between. */
	assert_int_equal(session_compare(&session, 40, 44), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	/* Past the object's end, as with a file. */
	assert_int_equal(touch(session.bytes + 70 * PAGE, NULL), SIGBUS);
	session_close(&session);
}

static void growth_that_was_never_touched_goes_with_the_map(void **state)
{
	struct session session;

	(void)state;
	open_quarter(&session);
	assert_ptr_equal(mremap((void *)session.bytes, 16 * PAGE, 53 * PAGE, 0), session.bytes);
	pagein_unmap(session.map);
	session.map = NULL;
	for (size_t i = 0; i < 53; i++)
		assert_int_equal(touch(session.bytes + i * PAGE, NULL), SIGSEGV);
	session_close(&session);
}

static void a_neighbours_memory_is_not_taken_for_growth(void **state)
{
	struct session session;
	uint8_t *neighbour;

	(void)state;
	open_quarter(&session);
	neighbour = mmap((void *)(session.bytes + 16 * PAGE), 4 * PAGE, PROT_READ | PROT_WRITE,
		MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	neighbour[0] = 7;
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(neighbour[0], 7);
	assert_int_equal(neighbour[3 * PAGE], 0);
	munmap(neighbour, 4 * PAGE);
	session_close(&session);
}

static void another_map_is_not_taken_for_growth(void **state)
{
	struct pagein_map *other;
	struct session session;
	uint8_t *bytes;

	(void)state;
	open_quarter(&session);
	assert_int_equal(pagein_map(session.object, 0, 16 * PAGE, 0, &other), 0);
	bytes = mremap(pagein_address(other), 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		(void *)(session.bytes + 16 * PAGE));
	assert_ptr_equal(bytes, session.bytes + 16 * PAGE);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(touch_compare(bytes, session.local.bytes, 16 * PAGE), 0);
	pagein_unmap(other);
	session_close(&session);
}

static void growth_and_move_at_once(void **state)
{
	struct session session;
	uint8_t *moved;

	(void)state;
	open_quarter(&session);
	assert_int_equal(session_compare(&session, 0, 4), 0);
	moved = mremap((void *)session.bytes, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	assert_ptr_not_equal(moved, MAP_FAILED);
	session.bytes = moved;
	assert_int_equal(session_compare(&session, 60, 64), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static void a_place_that_mremap_keeps_shows_the_same(void **state)
{
	struct session session;
	uint8_t *copy;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 20), 0);
	copy = mremap((void *)session.bytes, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	assert_ptr_not_equal(copy, MAP_FAILED);
	assert_int_equal(touch_compare(copy, session.local.bytes, SIZE), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	/* Advice is for both. */
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_int_equal(session_compare(&session, 10, 20), 0);
	assert_int_equal(touch_compare(copy, session.local.bytes, SIZE), 0);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(touch(copy, NULL), SIGSEGV);
	assert_int_equal(touch(session.bytes, NULL), SIGSEGV);
	session_close(&session);
}

static void munmap_of_a_part_cancels_what_was_under_way_for_it(void **state)
{
	static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 60000};
	struct toucher toucher;
	struct session session;

	(void)state;
	session_open(&session, SIZE, &patient);
	server_script(&session.server, "path=/data : stall=0");
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	toucher_start(&toucher, session.bytes + 40 * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	assert_true(process_stats().transfers > 0);
	assert_int_equal(munmap((void *)(session.bytes + 32 * PAGE), 32 * PAGE), 0);
	assert_int_equal(toucher_join(&toucher), SIGSEGV);
	assert_true(process_stats().transfers == 0);
	server_script(&session.server, "");
	assert_int_equal(session_compare(&session, 0, 32), 0);
	session_close(&session);
}

struct reader {
	pthread_t thread;
	const struct session *session;
	bool *end;
	int result;
};

static void *read_again_and_again(void *context)
{
	struct reader *self = context;

	while (self->result == 0 && !__atomic_load_n(self->end, __ATOMIC_ACQUIRE))
		self->result = session_compare(self->session, 0, 64);
	return NULL;
}

static void dontneed_under_readers(void **state)
{
	struct reader readers[8];
	struct session session;
	bool end = false;

	(void)state;
	session_open(&session, SIZE, NULL);
	for (size_t i = 0; i < array_len(readers); i++) {
		readers[i] = (struct reader){.session = &session, .end = &end};
		pthread_create(&readers[i].thread, NULL, read_again_and_again, &readers[i]);
	}
	for (uint64_t i = 0, seed = 1; i < 500; i++) {
		size_t first = random_next(&seed) % 64,
		       count = 1 + random_next(&seed) % (64 - first);

		assert_int_equal(madvise((void *)(session.bytes + first * PAGE), count * PAGE,
					 MADV_DONTNEED),
			0);
	}
	__atomic_store_n(&end, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
	}
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_that_grows_in_place_shows_more_of_the_object),
		cmocka_unit_test(growth_that_was_never_touched_goes_with_the_map),
		cmocka_unit_test(a_neighbours_memory_is_not_taken_for_growth),
		cmocka_unit_test(another_map_is_not_taken_for_growth),
		cmocka_unit_test(growth_and_move_at_once),
		cmocka_unit_test(a_place_that_mremap_keeps_shows_the_same),
		cmocka_unit_test(munmap_of_a_part_cancels_what_was_under_way_for_it),
		cmocka_unit_test(dontneed_under_readers),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
