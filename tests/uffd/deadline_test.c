/*
 * deadline_test.c - touches of pages of a server that never stops sending, and never gets there.
 *
 * A page comes each half second, far within pagein_options.timeout_ms; the page that is touched
 * would come after a minute or more.
 */
#include "guarded.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "clock.h"

#define SIZE (2 << 20)
#define PAGES (SIZE / PAGE)
#define FAR 300 /* the page */
#define DEADLINE_MS 1500
#define LIMIT_S 20 /* far above, for a machine that is busy */

/* ThreadSanitizer lets no child of threads make threads, and a restarted server is one. */
static const struct pagein_options dripping = {
	.size = sizeof dripping,
	.timeout_ms = 60000,
	.deadline_ms = DEADLINE_MS,
	.hedge_percent = -1,
	.fork = PAGEIN_FORK_DENY,
};

/* All of the object is on its way, a page each half second. */
static void session_open_dripping(struct session *session, unsigned flags)
{
	session_start_server(session, SIZE);
	session_open_object(session, &dripping);
	session_map_as(session, flags);
	server_script(&session->server, "path=/data : rate=8K");
	assert_int_equal(pagein_advise(session->map, 0, 0, PAGEIN_WILLNEED), 0);
	assert_true(process_stats().transfers > 0);
}

/* What is on its way breaks off, and comes anew as fast as it can. */
static void server_mend(struct session *session)
{
	server_kill(&session->server);
	server_restart(&session->server);
}

static void assert_late(const struct session *session, size_t page)
{
	struct pagein_error error;

	assert_int_equal(pagein_error(session->map, session->bytes + page * PAGE, &error), 0);
	assert_int_equal(error.error, ETIMEDOUT);
	assert_non_null(strstr(error.message, "within 1500 ms"));
}

static void a_touch_ends_whatever_arrives(void **state)
{
	struct session session;
	uint64_t began_ns, lasted_ns;

	(void)state;
	session_open_dripping(&session, 0);
	assert_int_equal(touch(session.bytes, NULL), 0);
	began_ns = clock_now_ns();
	assert_int_equal(touch(session.bytes + FAR * PAGE, NULL), SIGBUS);
	lasted_ns = clock_now_ns() - began_ns;
	assert_true(lasted_ns >= DEADLINE_MS * NS_PER_MS && lasted_ns < LIMIT_S * NS_PER_S);
	assert_late(&session, FAR);
	assert_int_equal(map_stats(session.map).poisoned, 1);
	/* For others it goes on. */
	assert_true(process_stats().transfers > 0);
	server_mend(&session);
	assert_int_equal(pagein_retry(session.map, FAR * PAGE, PAGE), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

/* Nobody's end is another's. */
static void who_began_later_waits_longer(void **state)
{
	struct toucher first, second;
	struct session session;
	uint64_t began_ns;

	(void)state;
	session_open_dripping(&session, 0);
	toucher_start(&first, session.bytes + FAR * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	usleep(DEADLINE_MS * 1000 * 2 / 3);
	began_ns = clock_now_ns();
	toucher_start(&second, session.bytes + (FAR - 1) * PAGE);
	assert_int_equal(toucher_join(&first), SIGBUS);
	assert_late(&session, FAR);
	server_mend(&session);
	/* Its bytes, unless this machine took longer than it may wait. */
	if (toucher_join(&second) != 0)
		assert_true(clock_now_ns() - began_ns >= DEADLINE_MS * NS_PER_MS);
	session_close(&session);
}

#define CROWD (PAGEIN_THREADS_MAX + 44)

static void everybody_is_told(void **state)
{
	static struct toucher crowd[CROWD];
	struct session session;

	(void)state;
	session_open_dripping(&session, 0);
	for (size_t i = 0; i < CROWD; i++)
		toucher_start(&crowd[i], session.bytes + (PAGES - 1 - i) * PAGE);
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(toucher_join(&crowd[i]), SIGBUS);
	session_close(&session);
}

static void on_signal(int number)
{
	(void)number;
}

struct reader {
	pthread_t thread;
	const struct session *session;
	int result;
	bool ended;
};

static void *read_guarded(void *context)
{
	struct reader *reader = context;

	reader->result = compare(reader->session, FAR, FAR + 1);
	__atomic_store_n(&reader->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Its touch is asked about anew after each. */
static void signals_do_not_begin_a_wait_anew(void **state)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct session session;
	struct reader reader = {.session = &session};
	uint64_t began_ns = clock_now_ns();

	(void)state;
	guard_forget();
	sigaction(SIGUSR1, &action, NULL);
	session_open_dripping(&session, PAGEIN_INLINE);
	assert_int_equal(pthread_create(&reader.thread, NULL, read_guarded, &reader), 0);
	while (!__atomic_load_n(&reader.ended, __ATOMIC_ACQUIRE)) {
		assert_true(clock_now_ns() - began_ns < LIMIT_S * NS_PER_S);
		pthread_kill(reader.thread, SIGUSR1);
		usleep(50000);
	}
	pthread_join(reader.thread, NULL);
	assert_int_equal(reader.result, -ETIMEDOUT);
	assert_late(&session, FAR);
	session_close(&session);
}

static void who_is_to_wait_for_the_network_does(void **state)
{
	struct session session;
	struct toucher toucher;

	(void)state;
	session_open_dripping(&session, PAGEIN_WAIT);
	toucher_start(&toucher, session.bytes + FAR * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	usleep(DEADLINE_MS * 1000 * 2);
	assert_false(__atomic_load_n(&toucher.ended, __ATOMIC_ACQUIRE));
	server_mend(&session);
	assert_int_equal(toucher_join(&toucher), 0);
	session_close(&session);
}

/* It has a limit of its own. */
static void a_populate_may_last_longer(void **state)
{
	struct session session;

	(void)state;
	session_open_dripping(&session, 0);
	assert_int_equal(pagein_populate(session.map, 0, 6 * PAGE, -1), 0);
	assert_int_equal(session_compare(&session, 0, 6), 0);
	assert_int_equal(pagein_populate(session.map, 0, FAR * PAGE, DEADLINE_MS / 3), -ETIMEDOUT);
	assert_int_equal(map_stats(session.map).poisoned, 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_touch_ends_whatever_arrives),
		cmocka_unit_test(who_began_later_waits_longer),
		cmocka_unit_test(everybody_is_told),
		cmocka_unit_test(signals_do_not_begin_a_wait_anew),
		cmocka_unit_test(who_is_to_wait_for_the_network_does),
		cmocka_unit_test(a_populate_may_last_longer),
	};

	if (userfaultfd_is_missing())
		return 77;
	return run_group(tests);
}
