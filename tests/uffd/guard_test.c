/*
 * guard_test.c - pagein_guard(): a page that can't be had is an errno. With the argument
 * "without-poison" as on kernels before 6.6.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard.h"
#include "uffd.h"

#define SIZE (2 * 1024 * 1024 + 5)
#define PAGES (SIZE / PAGE + 1)

/* What the touch of a failed page raises. */
static int failed = SIGBUS;

static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 5000, .attempts = 1};

/* cmocka has put its handlers where ours was. */
static void session_open_guarded(struct session *session)
{
	guard_forget();
	session_open(session, SIZE, &one_attempt);
	pagein_advise(session->map, 0, 0, PAGEIN_RANDOM);
}

/* Reads of memory, in a guard. */
struct reading {
	const volatile uint8_t *at;
	const uint8_t *expected;
	size_t length;
	bool went_on; /* behind the first byte */
};

static int read_all(void *context)
{
	struct reading *reading = context;

	for (size_t i = 0; i < reading->length; i++) {
		if (reading->at[i] != reading->expected[i])
			return 1;
		reading->went_on = true;
	}
	return 0;
}

/* 0: the pages are right; 1: they are not; -errno. */
static int guard_pages(const struct session *session, size_t first, size_t end)
{
	size_t to = end * PAGE < SIZE ? end * PAGE : SIZE;
	struct reading reading = {session->bytes + first * PAGE,
		session->local.bytes + first * PAGE, to - first * PAGE, false};
	int result = pagein_guard(read_all, &reading);

	assert_true(result == 0 || !reading.went_on || first + 1 < end);
	return result;
}

static int give_back(void *context)
{
	return *(int *)context;
}

static void it_gives_what_its_function_gives(void **state)
{
	int values[] = {0, 17, -5};

	(void)state;
	guard_forget();
	for (size_t i = 0; i < array_len(values); i++)
		assert_int_equal(pagein_guard(give_back, &values[i]), values[i]);
}

static void pages_that_can_be_had_are_read_as_ever(void **state)
{
	struct session session;

	(void)state;
	session_open_guarded(&session);
	assert_int_equal(guard_pages(&session, 0, PAGES), 0);
	session_close(&session);
}

static void a_failed_page_is_its_errno(void **state)
{
	static const struct {
		const char *rule;
		int error;
	} cases[] = {
		{"status=403", EACCES},
		{"status=404", ESTALE},
		{"status=500", EIO},
		{"ignore-range", ENOTSUP},
		{"shift=4096", EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct pagein_error error;
		struct session session;
		char rule[64];

		session_open_guarded(&session);
		snprintf(rule, sizeof rule, "path=/data : %s", cases[i].rule);
		server_script(&session.server, rule);
		assert_int_equal(guard_pages(&session, 100, 101), -cases[i].error);
		assert_int_equal(pagein_error(session.map, session.bytes + 100 * PAGE, &error), 0);
		assert_int_equal(error.error, cases[i].error);
		/* And again, without a request. */
		server_reset_counts(&session.server);
		assert_int_equal(guard_pages(&session, 100, 101), -cases[i].error);
		assert_true(server_count(&session.server, "requests") <= 1);
		session_close(&session);
	}
}

static void a_failed_page_heals(void **state)
{
	struct session session;

	(void)state;
	session_open_guarded(&session);
	server_script(&session.server, "path=/data : status=403");
	for (size_t page = 100; page < 110; page += 3)
		assert_int_equal(guard_pages(&session, page, page + 1), -EACCES);
	server_script(&session.server, "");
	assert_int_equal(pagein_retry(session.map, 100 * PAGE, 4 * PAGE), 0);
	assert_int_equal(guard_pages(&session, 100, 106), 0);
	assert_int_equal(guard_pages(&session, 106, 107), -EACCES);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(guard_pages(&session, 0, PAGES), 0);
	session_close(&session);
}

static void a_page_past_the_end_is_enxio(void **state)
{
	struct session session;
	struct pagein_map *map;
	struct reading reading;

	(void)state;
	session_open_guarded(&session);
	assert_int_equal(pagein_map(session.object, 0, SIZE + 20 * PAGE, 0, &map), 0);
	reading = (struct reading){(uint8_t *)pagein_address(map) + (PAGES + 10) * PAGE,
		session.local.bytes, 1, false};
	assert_int_equal(pagein_guard(read_all, &reading), -ENXIO);
	pagein_unmap(map);
	session_close(&session);
}

struct nest {
	struct session *session;
	int inner;
};

static int guard_inside(void *context)
{
	struct nest *nest = context;

	nest->inner = guard_pages(nest->session, 100, 101);
	/* Behind the inner one the outer one is in charge again. */
	return guard_pages(nest->session, 0, 1) == 0
		       ? *(const volatile uint8_t *)(nest->session->bytes + 200 * PAGE)
		       : 1;
}

static void guards_nest(void **state)
{
	struct session session;
	struct nest nest = {&session, 0};

	(void)state;
	session_open_guarded(&session);
	assert_int_equal(guard_pages(&session, 0, 1), 0);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(pagein_guard(guard_inside, &nest), -EACCES);
	assert_int_equal(nest.inner, -EACCES);
	session_close(&session);
}

struct guarded_thread {
	pthread_t thread;
	struct session *session;
	size_t page;
	int wrong;
};

static void *guard_many_times(void *context)
{
	struct guarded_thread *self = context;

	for (size_t i = 0; i < 300; i++) {
		size_t page = self->page + i % 2;

		/* Odd pages are there, even ones are not. */
		self->wrong += guard_pages(self->session, page, page + 1) !=
			       (page % 2 ? 0 : -EACCES);
	}
	return NULL;
}

static void each_thread_has_guards_of_its_own(void **state)
{
	struct guarded_thread threads[8];
	struct session session;

	(void)state;
	session_open_guarded(&session);
	for (size_t page = 101; page < 120; page += 2)
		assert_int_equal(guard_pages(&session, page, page + 1), 0);
	server_script(&session.server, "path=/data : status=403");
	for (size_t i = 0; i < array_len(threads); i++) {
		threads[i] = (struct guarded_thread){.session = &session, .page = 100 + 2 * i};
		pthread_create(&threads[i].thread, NULL, guard_many_times, &threads[i]);
	}
	for (size_t i = 0; i < array_len(threads); i++) {
		pthread_join(threads[i].thread, NULL);
		assert_int_equal(threads[i].wrong, 0);
	}
	session_close(&session);
}

/* ---- while maps come, go and move -------------------------------------------------------------
 */

/* Its map moves; every touch of it fails, wherever it lies. */
static void *guard_moving_maps(void *context)
{
	struct guarded_thread *self = context;
	const size_t length = 16 * PAGE;
	struct pagein_map *map;

	for (size_t i = 0; i < 40 && self->wrong == 0; i++) {
		struct reading reading = {.expected = self->session->local.bytes, .length = 1};
		uint8_t *place, *bytes;

		if (pagein_map(self->session->object, 100 * PAGE, length, 0, &map) < 0) {
			self->wrong++;
			break;
		}
		bytes = pagein_address(map);
		reading.at = bytes + i % 16 * PAGE;
		self->wrong += pagein_guard(read_all, &reading) != -EACCES;
		/* Without poison the kernel may refuse to move what is in pieces. */
		place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mremap(bytes, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place)
			bytes = place;
		reading.at = bytes + i % 16 * PAGE;
		self->wrong += pagein_guard(read_all, &reading) != -EACCES;
		reading.at = bytes + (i + 5) % 16 * PAGE;
		self->wrong += pagein_guard(read_all, &reading) != -EACCES;
		pagein_unmap(map);
		if (bytes != place)
			munmap(place, length);
	}
	return NULL;
}

static void failed_pages_are_known_wherever_they_lie(void **state)
{
	struct guarded_thread threads[6];
	struct session session;

	(void)state;
	session_open_guarded(&session);
	server_script(&session.server, "path=/data : status=403");
	for (size_t i = 0; i < array_len(threads); i++) {
		threads[i] = (struct guarded_thread){.session = &session};
		pthread_create(&threads[i].thread, NULL, guard_moving_maps, &threads[i]);
	}
	for (size_t i = 0; i < array_len(threads); i++) {
		pthread_join(threads[i].thread, NULL);
		assert_int_equal(threads[i].wrong, 0);
	}
	session_close(&session);
}

static int do_nothing(void *context)
{
	(void)context;
	return 0;
}

/* ---- what is left alone ------------------------------------------------------------------------
 */

static void nobody_has_a_handler_without_asking(void **state)
{
	struct sigaction action;
	struct session session;

	(void)state;
	guard_forget();
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	session_start_server(&session, SIZE);
	session_open_object(&session, NULL);
	session_map(&session);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	sigaction(SIGBUS, NULL, &action);
	assert_ptr_equal(action.sa_handler, SIG_DFL);
	pagein_guard(do_nothing, NULL);
	sigaction(SIGBUS, NULL, &action);
	assert_ptr_not_equal(action.sa_handler, SIG_DFL);
	/* Only where failed pages raise it. */
	sigaction(SIGSEGV, NULL, &action);
	assert_int_equal(action.sa_handler == SIG_DFL, failed == SIGBUS);
	session_close(&session);
}

static void the_mask_is_as_it_was(void **state)
{
	struct session session;
	sigset_t before, after;

	(void)state;
	session_open_guarded(&session);
	server_script(&session.server, "path=/data : status=403");
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(guard_pages(&session, 100, 101), -EACCES);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int number = 1; number < 32; number++)
		assert_int_equal(sigismember(&before, number), sigismember(&after, number));
	sigemptyset(&before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	session_close(&session);
}

static void a_system_call_gets_efault_and_goes_on(void **state)
{
	struct session session;
	int pipes[2];

	(void)state;
	session_open_guarded(&session);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(write(pipes[1], session.bytes + 100 * PAGE, 10), -1);
	assert_int_equal(errno, EFAULT);
	close(pipes[0]);
	close(pipes[1]);
	session_close(&session);
}

/* ---- small alternate stacks ---------------------------------------------------------------------
 */

static void *guard_on_a_small_stack(void *context)
{
	struct guarded_thread *self = context;
	/* The least that the kernel needs for a frame, and a kilobyte. */
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + (WITH_SANITIZER ? 65536 : 1024);
	size_t mapped = (size + PAGE - 1) / PAGE * PAGE + PAGE;
	uint8_t *memory = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* It ends where the memory does, and what is below it is none. */
	stack_t stack = {.ss_sp = memory + mapped - size, .ss_size = size},
		off = {.ss_flags = SS_DISABLE};

	mprotect(memory + PAGE, mapped - PAGE, PROT_READ | PROT_WRITE);
	if (sigaltstack(&stack, NULL) < 0)
		self->wrong++;
	for (size_t i = 0; i < 10; i++)
		self->wrong += guard_pages(self->session, 100 + i, 101 + i) != -EACCES;
	sigaltstack(&off, NULL);
	munmap(memory, mapped);
	return NULL;
}

static void a_small_alternate_stack_is_enough(void **state)
{
	struct guarded_thread thread;
	struct session session;

	(void)state;
	/* Where no handler was, ours uses the alternate stack. */
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	session_open_guarded(&session);
	server_script(&session.server, "path=/data : status=403");
	thread = (struct guarded_thread){.session = &session};
	pthread_create(&thread.thread, NULL, guard_on_a_small_stack, &thread);
	pthread_join(thread.thread, NULL);
	assert_int_equal(thread.wrong, 0);
	session_close(&session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_gives_what_its_function_gives),
		cmocka_unit_test(pages_that_can_be_had_are_read_as_ever),
		cmocka_unit_test(a_failed_page_is_its_errno),
		cmocka_unit_test(a_failed_page_heals),
		cmocka_unit_test(a_page_past_the_end_is_enxio),
		cmocka_unit_test(guards_nest),
		cmocka_unit_test(each_thread_has_guards_of_its_own),
		cmocka_unit_test(failed_pages_are_known_wherever_they_lie),
		cmocka_unit_test(nobody_has_a_handler_without_asking),
		cmocka_unit_test(the_mask_is_as_it_was),
		cmocka_unit_test(a_system_call_gets_efault_and_goes_on),
		cmocka_unit_test(a_small_alternate_stack_is_enough),
	};

	if (argc > 1 && strcmp(argv[1], "without-poison") == 0) {
		uffd_features_off = UFFD_FEATURE_POISON;
		failed = SIGSEGV;
	}
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
