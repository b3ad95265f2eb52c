/*
 * inline_test.c - pages that the touching thread fills itself (PAGEIN_INLINE).
 *
 * touch() of the other tests puts a handler of its own where the library's must be: here reads are
 * plain, or in a guard.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard.h"
#include "guarded.h"

#define SIZE (4 * 1024 * 1024 + 5)
#define PAGES (SIZE / PAGE + 1)

static const struct pagein_options cached = {
	.size = sizeof cached, .timeout_ms = 5000, .attempts = 1, .cache_bytes = 16 * 1024 * 1024};

static uint64_t requests(const struct session *session)
{
	return server_count(&session->server, "requests");
}

/* ---- who fills ------------------------------------------------------------------------------- */

static void a_cached_page_is_filled_by_who_touches_it(void **state)
{
	struct session session;
	struct pagein_stats stats;

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	assert_int_equal(compare(&session, 0, PAGES - 1), 0);
	stats = map_stats(session.map);
	/* The loop was asked for nothing, and knows of all. */
	assert_true(stats.faults == 0);
	assert_true(stats.fills == PAGES - 1);
	assert_true(stats.bytes_filled == (PAGES - 1) * PAGE);
	assert_true(stats.resident_bytes == (PAGES - 1) * PAGE);
	assert_true(requests(&session) == 0);
	/* The last one has zeros behind the object's bytes. */
	assert_int_equal(compare(&session, PAGES - 1, PAGES), 0);
	for (size_t i = SIZE; i < PAGES * PAGE; i++)
		assert_int_equal(session.bytes[i], 0);
	session_close(&session);
}

static void a_page_that_is_not_cached_comes_the_usual_way(void **state)
{
	static const struct pagein_options small = {
		.size = sizeof small, .timeout_ms = 5000, .cache_bytes = 1 << 20};
	static const struct pagein_options none = {.size = sizeof none, .timeout_ms = 5000};
	const struct pagein_options *options[] = {&small, &none};

	(void)state;
	for (size_t i = 0; i < array_len(options); i++) {
		struct session session;

		session_open_inline(&session, SIZE, options[i], 0);
		assert_int_equal(compare(&session, 100, 101), 0);
		assert_true(map_stats(session.map).faults > 0);
		assert_int_equal(compare(&session, 0, PAGES), 0);
		assert_true(requests(&session) > 0);
		/* A scan is read ahead of: its touches are told to the loop. */
		assert_true(requests(&session) < PAGES / 8);
		session_close(&session);
	}
}

static void dropped_pages_are_filled_again(void **state)
{
	struct session session;

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(compare(&session, 10, 200), 0);
		assert_true(map_stats(session.map).resident_bytes == 190 * PAGE);
		assert_int_equal(
			pagein_advise(session.map, 50 * PAGE, 100 * PAGE, PAGEIN_DONTNEED), 0);
		assert_true(map_stats(session.map).resident_bytes == 90 * PAGE);
		assert_int_equal(madvise((void *)session.bytes, PAGES * PAGE, MADV_DONTNEED), 0);
		assert_true(map_stats(session.map).resident_bytes == 0);
	}
	assert_true(map_stats(session.map).faults == 0);
	session_close(&session);
}

static void a_populated_page_raises_nothing(void **state)
{
	struct session session;
	uint64_t fills;

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	assert_int_equal(compare(&session, 10, 20), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	fills = map_stats(session.map).fills;
	assert_int_equal(compare(&session, 0, PAGES), 0);
	assert_true(map_stats(session.map).fills == fills);
	assert_true(map_stats(session.map).faults == 0);
	assert_true(map_stats(session.map).resident_bytes == PAGES * PAGE);
	session_close(&session);
}

static void a_system_call_needs_populated_pages(void **state)
{
	struct session session;
	int fd;

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	fd = memfd_create("sink", MFD_CLOEXEC);
	assert_int_equal(write(fd, session.bytes + 100 * PAGE, PAGE), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pagein_populate(session.map, 100 * PAGE, PAGE, -1), 0);
	assert_int_equal(write(fd, session.bytes + 100 * PAGE, PAGE), PAGE);
	close(fd);
	session_close(&session);
}

static void errno_is_as_it_was(void **state)
{
	struct session session;

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	errno = 4711;
	assert_int_equal(session.bytes[77 * PAGE], session.local.bytes[77 * PAGE]);
	assert_int_equal(errno, 4711);
	session_close(&session);
}

/* ---- failures ------------------------------------------------------------------------------- */

static atomic_int seen;
static _Atomic(void *) seen_address;
static _Thread_local sigjmp_buf back;

static void see(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	seen++;
	seen_address = info->si_addr;
	siglongjmp(back, 1);
}

static void set_handler(int number)
{
	struct sigaction action = {.sa_sigaction = see, .sa_flags = SA_SIGINFO};

	sigaction(number, &action, NULL);
	seen = 0;
}

static bool raises(const volatile uint8_t *address)
{
	if (sigsetjmp(back, 1) != 0)
		return true;
	(void)*address;
	return false;
}

static void a_failed_page_is_sigbus_or_the_guards(void **state)
{
	struct pagein_error error;
	struct session session;
	struct pagein_map *map;

	(void)state;
	set_handler(SIGBUS);
	session_open_inline(&session, SIZE,
		&(struct pagein_options){.size = sizeof cached, .timeout_ms = 5000, .attempts = 1},
		0);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	server_script(&session.server, "path=/data : status=403");
	assert_true(raises(session.bytes + 100 * PAGE + 3));
	assert_int_equal(seen, 1);
	assert_ptr_equal(seen_address, session.bytes + 100 * PAGE + 3);
	assert_int_equal(pagein_error(session.map, session.bytes + 100 * PAGE, &error), 0);
	assert_int_equal(error.error, EACCES);
	assert_int_equal(error.status, 403);
	assert_int_equal(compare(&session, 100, 101), -EACCES);
	assert_int_equal(compare(&session, 200, 201), -EACCES);
	/* It stays so until somebody asks for another try. */
	server_script(&session.server, "");
	assert_true(raises(session.bytes + 100 * PAGE));
	assert_int_equal(pagein_retry(session.map, 100 * PAGE, 1), 0);
	assert_int_equal(compare(&session, 100, 101), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(compare(&session, 0, PAGES), 0);
	assert_int_equal(pagein_map(session.object, 0, SIZE + 9 * PAGE, PAGEIN_INLINE, &map), 0);
	assert_int_equal(
		compare_at(&session, (uint8_t *)pagein_address(map) + (PAGES + 3) * PAGE, 0, 1),
		-ENXIO);
	pagein_unmap(map);
	session_close(&session);
}

/* Memory that is none of ours, just above a map: the loop is asked, for it might have grown. */
static void a_foreign_sigbus_next_to_a_map_is_passed_on(void **state)
{
	struct session session;
	uint8_t *place, *end;
	int fd;

	(void)state;
	set_handler(SIGBUS);
	session_open_inline(&session, SIZE, &cached, 0);
	fd = memfd_create("short", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	/* Behind a place that the map is moved to. */
	place = mmap(NULL, (PAGES + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	end = place + PAGES * PAGE;
	assert_ptr_equal(mmap(end, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), end);
	assert_ptr_equal(mremap((void *)session.bytes, PAGES * PAGE, PAGES * PAGE,
				 MREMAP_MAYMOVE | MREMAP_FIXED, place),
		place);
	session.bytes = place;
	assert_int_equal(compare(&session, 0, PAGES), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_true(raises(end + 5));
	assert_int_equal(seen, 1);
	assert_ptr_equal(seen_address, end + 5);
	munmap(end, PAGE);
	close(fd);
	session_close(&session);
}

/* ---- moved, grown and unmapped memory ---------------------------------------------------------
 */

/* Parts change their places; a page that was looked up before must not land in what came after. */
static void moved_parts_show_their_own_bytes(void **state)
{
	const size_t part = 64;
	struct session session;
	uint8_t *places[4];

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	for (size_t i = 0; i < array_len(places); i++)
		places[i] = (uint8_t *)session.bytes + i * part * PAGE;
	for (size_t round = 0; round < 200; round++) {
		/* One part moves over another, which is gone, and its place is left. */
		uint8_t *spare = mmap(
			NULL, part * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		size_t which = round % array_len(places);

		assert_ptr_equal(mremap(places[which], part * PAGE, part * PAGE,
					 MREMAP_MAYMOVE | MREMAP_FIXED, spare),
			spare);
		places[which] = spare;
		for (size_t i = 0; i < array_len(places); i++) {
			size_t page = i * part + round % part;

			assert_int_equal(
				compare_at(&session, spare + (page % part) * PAGE,
					which * part + page % part, which * part + page % part + 1),
				0);
			assert_int_equal(compare_at(&session, places[i] + (page % part) * PAGE,
						 page, page + 1),
				0);
		}
		if (round % 8 == 7)
			assert_int_equal(madvise(spare, part * PAGE, MADV_DONTNEED), 0);
	}
	session_close(&session);
}

static void grown_memory_shows_what_follows(void **state)
{
	struct session session;
	struct pagein_map *map;
	uint8_t *place, *bytes;

	(void)state;
	session_open_inline(&session, SIZE, &cached, 0);
	assert_int_equal(pagein_map(session.object, 0, 100 * PAGE, PAGEIN_INLINE, &map), 0);
	place = mmap(NULL, 300 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bytes = mremap(
		pagein_address(map), 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	assert_ptr_equal(bytes, place);
	munmap(place + 100 * PAGE, 200 * PAGE);
	bytes = mremap(place, 100 * PAGE, 300 * PAGE, 0);
	if (bytes == MAP_FAILED)
		skip_because("somebody has mapped the addresses behind the map");
	assert_int_equal(compare_at(&session, bytes + 250 * PAGE, 250, 300), 0);
	assert_int_equal(compare_at(&session, bytes, 0, 300), 0);
	pagein_unmap(map);
	session_close(&session);
}

struct reader {
	pthread_t thread;
	const volatile uint8_t *address;
	bool jumped;
	int byte;
	atomic_bool ended;
};

static void *read_one(void *context)
{
	struct reader *reader = context;

	if (sigsetjmp(back, 1) == 0)
		reader->byte = *reader->address;
	else
		reader->jumped = true;
	reader->ended = true;
	return NULL;
}

static void wait_until_asked(const struct session *session, uint64_t faults)
{
	if (!wait_for_faults(session->map, faults))
		fail_msg("nobody waits");
}

/* Waits for a server that is gone, in the handler. */
static void session_open_stalled(struct session *session, struct reader *readers, size_t count)
{
	/* Starting a server is a fork(2), and ThreadSanitizer lets no child make threads. */
	static const struct pagein_options plain = {
		.size = sizeof plain, .timeout_ms = 3000, .attempts = 1, .fork = PAGEIN_FORK_DENY};

	session_open_inline(session, SIZE, &plain, PAGEIN_WAIT);
	pagein_advise(session->map, 0, 0, PAGEIN_RANDOM);
	server_kill(&session->server);
	for (size_t i = 0; i < count; i++) {
		readers[i] = (struct reader){.address = session->bytes + (100 + 3 * i) * PAGE};
		pthread_create(&readers[i].thread, NULL, read_one, &readers[i]);
	}
	wait_until_asked(session, count);
}

static void an_unmap_ends_the_wait_in_the_handler(void **state)
{
	struct reader readers[6];
	struct session session;

	(void)state;
	set_handler(SIGSEGV);
	session_open_stalled(&session, readers, array_len(readers));
	pagein_unmap(session.map);
	session.map = NULL;
	for (size_t i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_true(readers[i].jumped);
	}
	assert_int_equal(seen, array_len(readers));
	server_restart(&session.server);
	session_close(&session);
}

static void a_munmap_ends_the_wait_in_the_handler(void **state)
{
	struct reader readers[6];
	struct session session;

	(void)state;
	set_handler(SIGSEGV);
	session_open_stalled(&session, readers, array_len(readers));
	munmap((void *)(session.bytes + 100 * PAGE), 50 * PAGE);
	for (size_t i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_true(readers[i].jumped);
	}
	server_restart(&session.server);
	assert_int_equal(compare(&session, 150, PAGES), 0);
	session_close(&session);
}

static void who_waits_in_the_handler_goes_on_when_the_server_is_back(void **state)
{
	struct reader readers[6];
	struct session session;

	(void)state;
	session_open_stalled(&session, readers, array_len(readers));
	server_restart(&session.server);
	for (size_t i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].byte, session.local.bytes[(100 + 3 * i) * PAGE]);
	}
	session_close(&session);
}

/* ---- signals ------------------------------------------------------------------------------- */

static atomic_int usr1;
static atomic_bool jumps;

static void on_usr1(int number)
{
	(void)number;
	usr1++;
	if (jumps)
		siglongjmp(back, 1);
}

static void set_usr1(void)
{
	struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};

	usr1 = 0;
	jumps = false;
	sigaction(SIGUSR1, &action, NULL);
}

static void a_signal_is_handled_while_a_page_is_waited_for(void **state)
{
	struct reader readers[2];
	struct session session;

	(void)state;
	set_usr1();
	session_open_stalled(&session, readers, array_len(readers));
	for (int i = 1; i <= 5; i++) {
		pthread_kill(readers[0].thread, SIGUSR1);
		while (usr1 < i)
			usleep(1000);
	}
	assert_false(readers[0].ended);
	/* One may even jump away from the touch. */
	jumps = true;
	pthread_kill(readers[1].thread, SIGUSR1);
	pthread_join(readers[1].thread, NULL);
	assert_true(readers[1].jumped);
	assert_false(readers[0].ended);
	server_restart(&session.server);
	pthread_join(readers[0].thread, NULL);
	assert_int_equal(readers[0].byte, session.local.bytes[100 * PAGE]);
	session_close(&session);
}

static void *read_on_a_small_stack(void *context)
{
	struct session *session = context;
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + (WITH_SANITIZER ? 65536 : 1024);
	size_t mapped = (size + PAGE - 1) / PAGE * PAGE + PAGE;
	uint8_t *memory = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = memory + mapped - size, .ss_size = size};
	stack_t off = {.ss_flags = SS_DISABLE};
	intptr_t wrong;

	mprotect(memory + PAGE, mapped - PAGE, PROT_READ | PROT_WRITE);
	wrong = sigaltstack(&stack, NULL);
	/* Cached ones, and the last, which the loop has to fill. */
	wrong |= compare(session, 0, PAGES);
	sigaltstack(&off, NULL);
	munmap(memory, mapped);
	return (void *)wrong;
}

static void a_small_alternate_stack_is_enough(void **state)
{
	struct session session;
	pthread_t thread;
	void *wrong;

	(void)state;
	signal(SIGBUS, SIG_DFL);
	session_open_inline(&session, SIZE, &cached, 0);
	pthread_create(&thread, NULL, read_on_a_small_stack, &session);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	assert_true(map_stats(session.map).faults == 1);
	session_close(&session);
}

static int compare_in_child(void *context)
{
	struct session *session = context;

	/* run_in_child() has taken the handler away. */
	guard_forget();
	return compare(session, 0, PAGES) == 0 ? 0 : 1;
}

static void a_child_reads_on(void **state)
{
	struct session session;

	(void)state;
	if (WITH_TSAN)
		skip_because("ThreadSanitizer lets no child of threads make threads");
	session_open_inline(&session, SIZE, &cached, 0);
	assert_int_equal(compare(&session, 10, 100), 0);
	assert_int_equal(run_in_child(compare_in_child, &session), 0);
	assert_int_equal(compare(&session, 0, PAGES), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cached_page_is_filled_by_who_touches_it),
		cmocka_unit_test(a_page_that_is_not_cached_comes_the_usual_way),
		cmocka_unit_test(dropped_pages_are_filled_again),
		cmocka_unit_test(a_populated_page_raises_nothing),
		cmocka_unit_test(a_system_call_needs_populated_pages),
		cmocka_unit_test(errno_is_as_it_was),
		cmocka_unit_test(a_failed_page_is_sigbus_or_the_guards),
		cmocka_unit_test(a_foreign_sigbus_next_to_a_map_is_passed_on),
		cmocka_unit_test(moved_parts_show_their_own_bytes),
		cmocka_unit_test(grown_memory_shows_what_follows),
		cmocka_unit_test(an_unmap_ends_the_wait_in_the_handler),
		cmocka_unit_test(a_munmap_ends_the_wait_in_the_handler),
		cmocka_unit_test(who_waits_in_the_handler_goes_on_when_the_server_is_back),
		cmocka_unit_test(a_signal_is_handled_while_a_page_is_waited_for),
		cmocka_unit_test(a_small_alternate_stack_is_enough),
		cmocka_unit_test(a_child_reads_on),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
