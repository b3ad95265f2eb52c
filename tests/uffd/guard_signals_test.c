/*
 * guard_signals_test.c - signals that are not the library's go where they went before it had a
 * handler. With the argument "without-poison" as on kernels before 6.6.
 */
#include "guarded.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uffd.h"

#define SIZE (2 * 1024 * 1024 + 5)

/* What the touch of a failed page raises. */
static int failed = SIGBUS;

static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 5000, .attempts = 1};

static volatile sig_atomic_t seen, seen_code, seen_blocked;
static void *volatile seen_address;
static _Thread_local sigjmp_buf back;

static void see(int number)
{
	sigset_t mask;

	seen++;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	seen_blocked = sigismember(&mask, number) + 2 * sigismember(&mask, SIGUSR2) +
		       4 * sigismember(&mask, SIGTERM);
}

static void plain_handler(int number)
{
	see(number);
	siglongjmp(back, 1);
}

static void returning_handler(int number)
{
	see(number);
}

static void info_handler(int number, siginfo_t *info, void *context)
{
	(void)context;
	seen_code = info->si_code;
	seen_address = info->si_addr;
	plain_handler(number);
}

static void set_handler(
	int number, void (*plain)(int), void (*info)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_flags = flags};

	if (info)
		action.sa_sigaction = info;
	else
		action.sa_handler = plain;
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(number, &action, NULL);
	seen = seen_code = seen_blocked = 0;
	seen_address = NULL;
}

/* A page of a file of its own that has become shorter since. */
static const volatile uint8_t *map_short_file(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	void *address;

	if (ftruncate(fd, 2 * PAGE) < 0)
		abort();
	address = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (ftruncate(fd, 0) < 0)
		abort();
	close(fd);
	return address;
}

/* 0: a handler has jumped back. */
static int touch_foreign(const volatile uint8_t *at)
{
	if (sigsetjmp(back, 1) != 0)
		return 0;
	return 1 + *at;
}

static int touch_short_file(void *context)
{
	const volatile uint8_t **at = context;

	*at = map_short_file();
	return touch_foreign(*at);
}

static int raise_it(void *context)
{
	return raise(*(int *)context);
}

static int do_nothing(void *context)
{
	(void)context;
	return 0;
}

/* Does as the guard does, but unguarded. The handler is ours by then. */
static int unguarded(int (*function)(void *), void *context)
{
	pagein_guard(do_nothing, NULL);
	return function(context);
}

static void a_handler_with_information_gets_foreign_faults(void **state)
{
	const volatile uint8_t *at;

	(void)state;
	for (int guarded = 0; guarded < 2; guarded++) {
		set_handler(SIGBUS, NULL, info_handler, SA_SIGINFO);
		guard_forget();
		assert_int_equal(guarded ? pagein_guard(touch_short_file, &at)
					 : unguarded(touch_short_file, &at),
			0);
		assert_int_equal(seen, 1);
		assert_int_equal(seen_code, BUS_ADRERR);
		assert_ptr_equal(seen_address, (void *)(uintptr_t)at);
		/* Its own signal and those of its sa_mask are blocked in it, and no others. */
		assert_int_equal(seen_blocked, 3);
	}
}

static void a_plain_handler_gets_foreign_faults(void **state)
{
	const volatile uint8_t *at;

	(void)state;
	for (int guarded = 0; guarded < 2; guarded++) {
		set_handler(SIGBUS, plain_handler, NULL, SA_NODEFER);
		guard_forget();
		assert_int_equal(guarded ? pagein_guard(touch_short_file, &at)
					 : unguarded(touch_short_file, &at),
			0);
		assert_int_equal(seen, 1);
		assert_int_equal(seen_blocked, 2);
	}
}

static void a_signal_that_was_sent_is_passed_on(void **state)
{
	int number = SIGBUS;

	(void)state;
	set_handler(SIGBUS, returning_handler, NULL, 0);
	guard_forget();
	assert_int_equal(pagein_guard(raise_it, &number), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(unguarded(raise_it, &number), 0);
	assert_int_equal(seen, 2);
	kill(getpid(), SIGBUS);
	while (seen < 3)
		usleep(1000);
}

static void a_signal_that_was_ignored_is_ignored(void **state)
{
	int number = SIGBUS;

	(void)state;
	set_handler(SIGBUS, SIG_IGN, NULL, 0);
	guard_forget();
	assert_int_equal(pagein_guard(raise_it, &number), 0);
	assert_int_equal(unguarded(raise_it, &number), 0);
}

/* In children: these end it. */
static int die_touching(void *context)
{
	const volatile uint8_t *at;

	signal(SIGBUS, context);
	guard_forget();
	return unguarded(touch_short_file, &at);
}

static int die_touching_guarded(void *context)
{
	const volatile uint8_t *at;

	signal(SIGBUS, context);
	guard_forget();
	return pagein_guard(touch_short_file, &at);
}

static int die_raising(void *context)
{
	int number = SIGBUS;

	(void)context;
	guard_forget();
	return pagein_guard(raise_it, &number);
}

static int die_of_the_second(void *context)
{
	int number = SIGBUS;

	(void)context;
	set_handler(SIGBUS, returning_handler, NULL, (int)SA_RESETHAND);
	guard_forget();
	if (unguarded(raise_it, &number) != 0 || seen != 1)
		return 1;
	raise(number);
	return 2;
}

static void without_a_handler_the_process_dies_as_ever(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(die_touching, SIG_DFL), 128 + SIGBUS);
	assert_int_equal(run_in_child(die_touching_guarded, SIG_DFL), 128 + SIGBUS);
	/* A fault can't be ignored. */
	assert_int_equal(run_in_child(die_touching, SIG_IGN), 128 + SIGBUS);
	assert_int_equal(run_in_child(die_raising, NULL), 128 + SIGBUS);
}

static void a_handler_for_one_time_is_called_once(void **state)
{
	(void)state;
	assert_int_equal(run_in_child(die_of_the_second, NULL), 128 + SIGBUS);
}

static void a_failed_page_outside_of_a_guard_reaches_the_application(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	set_handler(failed, NULL, info_handler, SA_SIGINFO);
	guard_forget();
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(compare(&session, 100, 101), -EACCES);
	assert_int_equal(seen, 0);
	assert_int_equal(touch_foreign(session.bytes + 100 * PAGE + 7), 0);
	assert_int_equal(seen, 1);
	assert_ptr_equal(seen_address, session.bytes + 100 * PAGE + 7);
	session_close(&session);
}

static int touch_in_guard(void *context)
{
	return touch_foreign(context);
}

/* PROT_NONE that is the application's own is not a failed page. */
static void a_page_that_the_application_has_closed_is_its_own(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	set_handler(SIGSEGV, plain_handler, NULL, 0);
	guard_forget();
	assert_int_equal(compare(&session, 50, 52), 0);
	assert_int_equal(mprotect((void *)(session.bytes + 50 * PAGE), PAGE, PROT_NONE), 0);
	assert_int_equal(pagein_guard(touch_in_guard, (void *)(session.bytes + 50 * PAGE)), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(mprotect((void *)(session.bytes + 50 * PAGE), PAGE, PROT_READ), 0);
	session_close(&session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_with_information_gets_foreign_faults),
		cmocka_unit_test(a_plain_handler_gets_foreign_faults),
		cmocka_unit_test(a_signal_that_was_sent_is_passed_on),
		cmocka_unit_test(a_signal_that_was_ignored_is_ignored),
		cmocka_unit_test(without_a_handler_the_process_dies_as_ever),
		cmocka_unit_test(a_handler_for_one_time_is_called_once),
		cmocka_unit_test(a_failed_page_outside_of_a_guard_reaches_the_application),
		cmocka_unit_test(a_page_that_the_application_has_closed_is_its_own),
	};

	if (argc > 1 && strcmp(argv[1], "without-poison") == 0) {
		uffd_features_off = UFFD_FEATURE_POISON;
		failed = SIGSEGV;
	}
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
