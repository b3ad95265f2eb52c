/*
 * wait_test.c - maps that wait until the network is back (PAGEIN_WAIT).
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define SIZE (2 * 1024 * 1024 + 5)
#define PAGES (SIZE / PAGE + 1)

/*
 * Gives up at once: what waits then waits by the map's policy. Starting a server is a fork(2), and
 * ThreadSanitizer lets no child of threads make threads.
 */
static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 3000, .attempts = 1, .fork = PAGEIN_FORK_DENY};

static void session_open_waiting(struct session *session)
{
	session_start_server(session, SIZE);
	session_open_object(session, &one_attempt);
	assert_int_equal(pagein_map(session->object, 0, 0, PAGEIN_WAIT, &session->map), 0);
	session->bytes = pagein_address(session->map);
	pagein_advise(session->map, 0, 0, PAGEIN_RANDOM);
}

static bool still_waits(struct toucher *toucher)
{
	return !__atomic_load_n(&toucher->ended, __ATOMIC_ACQUIRE);
}

/* Until so many requests have been tried in vain since `before`. */
static void wait_for_retries(uint64_t before, uint64_t count)
{
	for (int ms = 0; ms < 30000 && process_stats().retries < before + count; ms++)
		usleep(1000);
	assert_true(process_stats().retries >= before + count);
}

static void a_thread_goes_on_when_the_server_is_back(void **state)
{
	struct toucher touchers[4];
	struct session session;
	uint64_t before;

	(void)state;
	session_open_waiting(&session);
	before = process_stats().retries;
	server_kill(&session.server);
	for (size_t i = 0; i < array_len(touchers); i++)
		toucher_start(&touchers[i], session.bytes + (100 + 50 * i) * PAGE);
	/* More than one round for each. */
	wait_for_retries(before, 3 * array_len(touchers));
	for (size_t i = 0; i < array_len(touchers); i++)
		assert_true(still_waits(&touchers[i]));
	assert_true(map_stats(session.map).poisoned == 0);
	server_restart(&session.server);
	for (size_t i = 0; i < array_len(touchers); i++) {
		assert_int_equal(toucher_join(&touchers[i]), 0);
		assert_int_equal(touchers[i].byte, session.local.bytes[(100 + 50 * i) * PAGE]);
	}
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void a_server_that_is_unwell_is_waited_for(void **state)
{
	static const char *const rules[] = {
		"path=/data : status=503", "path=/data : reset", "path=/data : stall=0"};

	(void)state;
	for (size_t i = 0; i < array_len(rules); i++) {
		struct toucher toucher;
		struct session session;
		uint64_t before;

		session_open_waiting(&session);
		before = process_stats().requests;
		server_script(&session.server, rules[i]);
		toucher_start(&toucher, session.bytes + 100 * PAGE);
		while (process_stats().requests < before + 2)
			usleep(1000);
		assert_true(still_waits(&toucher));
		server_script(&session.server, "");
		assert_int_equal(toucher_join(&toucher), 0);
		session_close(&session);
	}
}

static void what_does_not_pass_fails_at_once(void **state)
{
	static const struct {
		const char *rule;
		int error;
	} cases[] = {
		{"path=/data : status=403", EACCES},
		{"path=/data : status=404", ESTALE},
		{"path=/data : ignore-range", ENOTSUP},
		{"path=/data : shift=4096", EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct pagein_error error;
		struct session session;

		session_open_waiting(&session);
		server_script(&session.server, cases[i].rule);
		assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), SIGBUS);
		assert_int_equal(pagein_error(session.map, session.bytes + 100 * PAGE, &error), 0);
		assert_int_equal(error.error, cases[i].error);
		session_close(&session);
	}
}

/* A page that waits for the network learns that the object has changed meanwhile. */
static void a_wait_ends_with_an_error_that_does_not_pass(void **state)
{
	struct toucher toucher;
	struct session session;
	uint64_t before;

	(void)state;
	session_open_waiting(&session);
	before = process_stats().requests;
	server_script(&session.server, "path=/data : status=503");
	toucher_start(&toucher, session.bytes + 100 * PAGE);
	while (process_stats().requests < before + 2)
		usleep(1000);
	local_overwrite(&session.local, 3);
	server_script(&session.server, "");
	assert_int_equal(toucher_join(&toucher), SIGBUS);
	session_close(&session);
}

static void a_populate_waits_as_long_as_its_timeout(void **state)
{
	struct session session;

	(void)state;
	session_open_waiting(&session);
	server_kill(&session.server);
	assert_int_equal(pagein_populate(session.map, 0, 0, 1500), -ETIMEDOUT);
	server_restart(&session.server);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void *populate_all(void *context)
{
	return (void *)(intptr_t)pagein_populate(context, 0, 0, -1);
}

static void a_populate_without_a_timeout_goes_on_when_the_server_is_back(void **state)
{
	struct session session;
	pthread_t thread;
	uint64_t before;
	void *result;

	(void)state;
	session_open_waiting(&session);
	before = process_stats().retries;
	server_kill(&session.server);
	pthread_create(&thread, NULL, populate_all, session.map);
	wait_for_retries(before, 4);
	server_restart(&session.server);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void an_unmap_ends_the_wait_with_sigsegv(void **state)
{
	struct toucher touchers[3];
	struct session session;
	uint64_t before;

	(void)state;
	session_open_waiting(&session);
	before = process_stats().retries;
	server_kill(&session.server);
	for (size_t i = 0; i < array_len(touchers); i++)
		toucher_start(&touchers[i], session.bytes + (100 + i) * PAGE);
	wait_for_retries(before, 2);
	pagein_unmap(session.map);
	session.map = NULL;
	for (size_t i = 0; i < array_len(touchers); i++) {
		assert_int_equal(toucher_join(&touchers[i]), SIGSEGV);
	}
	server_restart(&session.server);
	session_close(&session);
}

/* What was only read ahead is not asked for again and again. */
static void nobody_waits_for_what_was_read_ahead(void **state)
{
	struct session session;
	uint64_t requests;

	(void)state;
	session_open_waiting(&session);
	server_script(&session.server, "path=/data : status=503");
	pagein_advise(session.map, 100 * PAGE, 10 * PAGE, PAGEIN_WILLNEED);
	while ((requests = process_stats().requests) < 2)
		usleep(1000);
	server_script(&session.server, "");
	assert_int_equal(pagein_populate(session.map, 100 * PAGE, 10 * PAGE, -1), 0);
	assert_int_equal(session_compare(&session, 100, 110), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_goes_on_when_the_server_is_back),
		cmocka_unit_test(a_server_that_is_unwell_is_waited_for),
		cmocka_unit_test(what_does_not_pass_fails_at_once),
		cmocka_unit_test(a_wait_ends_with_an_error_that_does_not_pass),
		cmocka_unit_test(a_populate_waits_as_long_as_its_timeout),
		cmocka_unit_test(a_populate_without_a_timeout_goes_on_when_the_server_is_back),
		cmocka_unit_test(an_unmap_ends_the_wait_with_sigsegv),
		cmocka_unit_test(nobody_waits_for_what_was_read_ahead),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
