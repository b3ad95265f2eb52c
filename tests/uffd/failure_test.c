/*
 * failure_test.c - what a page shows that can't be fetched, why, and how it heals. With the
 * argument "without-poison" as on kernels before 6.6.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "uffd.h"

#define SIZE (2 * 1024 * 1024 + 5)
#define PAGES (SIZE / PAGE + 1)

/* What the touch of a failed page raises. */
static int failed = SIGBUS;

/* One attempt: tests that mean to see an error at once. */
static const struct pagein_options one_attempt = {
	.size = sizeof one_attempt, .timeout_ms = 5000, .attempts = 1};

static struct pagein_error error_at(struct session *session, size_t page)
{
	struct pagein_error error;

	assert_int_equal(pagein_error(session->map, session->bytes + page * PAGE + 17, &error), 0);
	assert_true(error.offset == page * PAGE);
	return error;
}

static const struct failure_case {
	const char *rule;
	int error;
	unsigned status;
} failure_cases[] = {
	{"status=401", EACCES, 401},
	{"status=403", EACCES, 403},
	{"status=429", EIO, 429},
	{"status=500", EIO, 500},
	{"status=503", EIO, 503},
	{"status=418", EIO, 418},
	{"ignore-range", ENOTSUP, 200},
	{"shift=4096", EPROTO, 206},
	{"content-range=\"bytes */2097157\"", EPROTO, 206},
	{"length=1", EPROTO, 206},
	{"gzip-label", EPROTO, 206},
	{"add-header=\"Content-Length: 5\"", EPROTO, 206},
	{"header-long=100000", EPROTO, 0},
	{"status-line=\"HTP/1.1 206 OK\"", EPROTO, 0},
	{"close", EIO, 0},
	{"cut-head=20", EIO, 0},
};

/* Each on a page of its own. */
static void check_cases(struct session *session)
{
	for (size_t i = 0; i < array_len(failure_cases); i++) {
		size_t page = 10 + 20 * i;
		struct pagein_error error;
		char rule[128];

		snprintf(rule, sizeof rule, "path=/data : %s", failure_cases[i].rule);
		server_script(&session->server, rule);
		if (touch(session->bytes + page * PAGE, NULL) != failed)
			fail_msg("%s: no signal", failure_cases[i].rule);
		error = error_at(session, page);
		if (error.error != failure_cases[i].error ||
			error.status != failure_cases[i].status)
			fail_msg("%s: error %d, status %u: %s", failure_cases[i].rule, error.error,
				error.status, error.message);
		assert_non_null(strstr(error.message, "/data"));
		/* It stays so until somebody asks for another try. */
		server_script(&session->server, "");
		assert_int_equal(touch(session->bytes + page * PAGE, NULL), failed);
		assert_int_equal(pagein_retry(session->map, page * PAGE, 1), 0);
		assert_int_equal(error_at(session, page).error, 0);
		assert_int_equal(session_compare(session, page, page + 1), 0);
	}
	assert_int_equal(session_compare(session, 0, PAGES), 0);
}

static void a_failed_page_raises_a_signal_and_tells_why(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	check_cases(&session);
	session_close(&session);
}

/* An answer in chunks is the sign to leave the lean way: connection.c. */
static void a_failed_page_is_the_same_through_the_fallback(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : chunked");
	assert_int_equal(session_compare(&session, PAGES - 2, PAGES - 1), 0);
	check_cases(&session);
	session_close(&session);
}

static void an_answer_in_chunks_is_read_another_way(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : chunked");
	assert_int_equal(session_compare(&session, 0, 100), 0);
	/* And so are all that follow, in chunks or not. */
	server_script(&session.server, "");
	assert_int_equal(session_compare(&session, 100, session.local.size / PAGE), 0);
	session_close(&session);
}

/* Somebody else may try it again meanwhile: the signal still has its reason. */
static void a_failed_page_that_is_asked_for_again_has_its_error(void **state)
{
	unsigned char state_of_page;
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : status=503");
	assert_int_equal(touch(session.bytes + 50 * PAGE, NULL), failed);
	server_script(&session.server, "path=/data : delay=1h");
	assert_int_equal(pagein_populate(session.map, 50 * PAGE, 1, 10), -ETIMEDOUT);
	assert_int_equal(touch(session.bytes + 50 * PAGE, NULL), failed);
	assert_int_equal(error_at(&session, 50).error, EIO);
	assert_int_equal(pagein_residency(session.map, 50 * PAGE, PAGE, &state_of_page), 0);
	assert_int_equal(state_of_page, PAGEIN_FAILED);
	/* What is on its way may come yet: nobody is raised by what was. */
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(error_at(&session, 50).error, 0);
	assert_int_equal(pagein_residency(session.map, 50 * PAGE, PAGE, &state_of_page), 0);
	assert_int_equal(state_of_page, PAGEIN_COMING);
	session_close(&session);
}

static void a_page_that_has_not_failed_has_no_error(void **state)
{
	struct pagein_error error;
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(error_at(&session, 3).error, 0);
	assert_int_equal(session_compare(&session, 3, 4), 0);
	assert_int_equal(error_at(&session, 3).error, 0);
	assert_int_equal(pagein_error(session.map, session.bytes - 1, &error), -EINVAL);
	assert_int_equal(pagein_error(session.map, session.bytes + PAGES * PAGE, &error), -EINVAL);
	session_close(&session);
}

static void a_system_call_gets_efault_from_a_failed_page(void **state)
{
	struct session session;
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), pipes[2];

	(void)state;
	close(fd);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(write(pipes[1], session.bytes + 100 * PAGE, 10), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(error_at(&session, 100).error, EACCES);
	session_close(&session);
	close(pipes[0]);
	close(pipes[1]);
}

static void even_pages_fail_and_odd_ones_arrive(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 64 * PAGE, &one_attempt);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	for (size_t page = 8; page < 64; page++) {
		server_script(&session.server, page % 2 ? "" : "path=/data : status=403");
		assert_int_equal(session_compare(&session, page, page + 1), page % 2 ? 0 : failed);
	}
	server_script(&session.server, "");
	assert_true(map_stats(session.map).poisoned == 28);
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static void a_past_the_end_page_does_not_change_another_pages_error(void **state)
{
	struct session session;
	struct pagein_map *map;

	(void)state;
	session_open(&session, 20 * PAGE, &one_attempt);
	assert_int_equal(pagein_map(session.object, 0, 40 * PAGE, 0, &map), 0);
	pagein_unmap(session.map);
	session.map = map;
	session.bytes = pagein_address(map);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 10 * PAGE, NULL), failed);
	assert_int_equal(error_at(&session, 10).error, EACCES);
	assert_int_equal(touch(session.bytes + 30 * PAGE, NULL), failed);
	assert_int_equal(error_at(&session, 30).error, ENXIO);
	assert_int_equal(error_at(&session, 10).status, 403);
	assert_int_equal(error_at(&session, 10).error, EACCES);
	session_close(&session);
}

static void a_successful_populate_heals(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), failed);
	server_script(&session.server, "");
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(error_at(&session, 100).error, 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void a_failed_populate_leaves_a_failed_page_failed(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), failed);
	server_script(&session.server, "path=/data : status=401");
	assert_int_equal(pagein_populate(session.map, 100 * PAGE, PAGE, -1), -EACCES);
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), failed);
	assert_int_equal(error_at(&session, 100).error, EACCES);
	assert_int_equal(error_at(&session, 100).status, 401);
	server_script(&session.server, "");
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 100, 101), 0);
	session_close(&session);
}

static void a_populate_that_runs_out_of_time_leaves_a_failed_page_failed(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), failed);
	/* One answer that comes after the populate has gone, and then says 403 again. */
	server_script(&session.server, "path=/data : delay=300ms status=403");
	assert_int_equal(pagein_populate(session.map, 100 * PAGE, PAGE, 0), -ETIMEDOUT);
	while (process_stats().transfers > 0)
		usleep(1000);
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), failed);
	assert_int_equal(error_at(&session, 100).error, EACCES);
	session_close(&session);
}

/* ---- another version ------------------------------------------------------------------------- */

static void a_changed_object_gives_old_bytes_or_estale(void **state)
{
	static const char *const rules[] = {"", "path=/data : ignore-conditions"};

	(void)state;
	for (size_t i = 0; i < array_len(rules); i++) {
		struct session session;

		session_open(&session, SIZE, NULL);
		server_script(&session.server, rules[i]);
		pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
		assert_int_equal(session_compare(&session, 100, 110), 0);
		local_overwrite(&session.local, 3);
		assert_int_equal(touch(session.bytes + 200 * PAGE, NULL), failed);
		assert_int_equal(error_at(&session, 200).error, ESTALE);
		assert_int_equal(error_at(&session, 200).status, i == 0 ? 412 : 206);
		assert_int_equal(pagein_populate(session.map, 0, 0, -1), -ESTALE);
		/* Trying again does not make it another version. */
		assert_int_equal(pagein_retry(session.map, 0, 0), 0);
		assert_int_equal(touch(session.bytes + 200 * PAGE, NULL), failed);
		assert_int_equal(error_at(&session, 200).error, ESTALE);
		/* Every page shows the old bytes, or none. */
		for (size_t page = 0; page < PAGES; page += 10) {
			int result = session_compare(&session, page, page + 1);

			assert_true(result == 0 || result == failed);
		}
		assert_int_equal(session_compare(&session, 100, 110), 0);
		session_close(&session);
	}
}

static void an_object_that_is_gone_is_stale(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	unlink(session.local.path);
	assert_int_equal(touch(session.bytes + 200 * PAGE, NULL), failed);
	assert_int_equal(error_at(&session, 200).error, ESTALE);
	assert_int_equal(error_at(&session, 200).status, 404);
	session_close(&session);
}

/* ---- faults that pass --------------------------------------------------------------------------
 */

static void faults_that_pass_are_not_seen(void **state)
{
	static const char *const rules[] = {
		"path=/data every=2 : status=503",
		"path=/data every=2 : reset",
		"path=/data every=3 : truncate=10000 reset",
		"path=/data every=3 : truncate=5000",
		"path=/data every=2 : no-keepalive",
		"path=/data : close-after=1ms",
		"path=/data : http10",
		"path=/data every=4 : cut-head=30",
		"path=/data : delay=5ms interim=3",
	};
	const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};

	(void)state;
	for (size_t i = 0; i < array_len(rules); i++) {
		struct session session;

		session_open(&session, SIZE, &patient);
		server_script(&session.server, rules[i]);
		if (session_compare(&session, 0, PAGES) != 0)
			fail_msg("%s", rules[i]);
		session_close(&session);
	}
}

static void a_server_may_be_gone_for_two_seconds(void **state)
{
	/* A server's start is a fork(2), and ThreadSanitizer lets no child of threads make some. */
	const struct pagein_options patient = {.size = sizeof patient,
		.timeout_ms = 60000,
		.attempts = 30,
		.fork = PAGEIN_FORK_DENY};
	struct session session;
	pid_t helper;

	(void)state;
	session_open(&session, SIZE, &patient);
	assert_int_equal(session_compare(&session, 0, 20), 0);
	server_kill(&session.server);
	helper = session.server.pid;
	assert_int_equal(helper, 0);
	pagein_advise(session.map, 0, 0, PAGEIN_WILLNEED);
	usleep(2000000);
	server_restart(&session.server);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void a_stalled_server_is_an_error_in_time(void **state)
{
	static const char *const rules[] = {"path=/data : stall=0", "path=/data : delay=1h",
		"path=/data : stall=100", "path=/data : one-byte-per=100ms"};

	(void)state;
	for (size_t i = 0; i < array_len(rules); i++) {
		const struct pagein_options options = {.size = sizeof options, .timeout_ms = 600};
		struct session session;
		uint64_t start_ns;

		session_open(&session, SIZE, &options);
		server_script(&session.server, rules[i]);
		start_ns = clock_now_ns();
		assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), failed);
		/* Far above, for a machine that is busy; a hang is what this is about. */
		assert_true(clock_now_ns() - start_ns < 20 * NS_PER_S);
		assert_int_equal(error_at(&session, 100).error, ETIMEDOUT);
		session_close(&session);
	}
}

static struct pagein_stats stats_now(void)
{
	struct pagein_stats stats;

	assert_int_equal(pagein_stats(NULL, &stats), 0);
	return stats;
}

/* In time for nobody else: a deadline would be half a minute away. */
static void a_stalled_answer_comes_by_a_second_request(void **state)
{
	static const char *const rules[] = {
		"path=/data first=1 : delay=1h", "path=/data first=1 : stall=100"};

	(void)state;
	for (size_t i = 0; i < array_len(rules); i++) {
		const struct pagein_options options = {
			.size = sizeof options, .timeout_ms = 100000};
		struct pagein_stats before = stats_now(), after;
		struct session session;

		session_open(&session, SIZE, &options);
		server_script(&session.server, rules[i]);
		assert_int_equal(session_compare(&session, 100, 101), 0);
		after = stats_now();
		assert_int_equal(after.hedges - before.hedges, 1);
		assert_int_equal(after.requests - before.requests, 2);
		/* What stalled in its middle was given up, not raced. */
		assert_int_equal(after.hedges_won - before.hedges_won, i == 0);
		session_close(&session);
	}
}

static void *touch_in_thread(void *context)
{
	return (void *)(intptr_t)touch(context, NULL);
}

static void all_who_wait_for_a_page_learn_of_its_failure(void **state)
{
	pthread_t threads[8];
	struct session session;
	void *result;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : delay=200ms status=403");
	for (size_t i = 0; i < array_len(threads); i++)
		pthread_create(&threads[i], NULL, touch_in_thread,
			(void *)(session.bytes + 100 * PAGE + i));
	for (size_t i = 0; i < array_len(threads); i++) {
		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, failed);
	}
	session_close(&session);
}

static int heal_in_child(void *context)
{
	struct session *session = context;
	unsigned char state;

	if (touch(session->bytes + 40 * PAGE, NULL) != failed)
		return 2;
	if (pagein_residency(session->map, 40 * PAGE, PAGE, &state) != 0 || state != PAGEIN_FAILED)
		return 3;
	server_script(&session->server, "");
	return pagein_retry(session->map, 0, 0) == 0 ? session_compare(session, 0, PAGES) : 4;
}

/* What raises the signal is in the child, and what was to replace it is not. */
static void what_is_tried_again_has_failed_in_a_child(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &one_attempt);
	server_script(&session.server, "path=/data : status=403");
	assert_int_equal(touch(session.bytes + 40 * PAGE, NULL), failed);
	server_script(&session.server, "path=/data : delay=20s");
	assert_int_equal(pagein_populate(session.map, 40 * PAGE, PAGE, 10), -ETIMEDOUT);
	assert_int_equal(run_in_child(heal_in_child, &session), 0);
	session_close(&session);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_page_raises_a_signal_and_tells_why),
		cmocka_unit_test(a_failed_page_is_the_same_through_the_fallback),
		cmocka_unit_test(an_answer_in_chunks_is_read_another_way),
		cmocka_unit_test(a_failed_page_that_is_asked_for_again_has_its_error),
		cmocka_unit_test(a_page_that_has_not_failed_has_no_error),
		cmocka_unit_test(a_system_call_gets_efault_from_a_failed_page),
		cmocka_unit_test(even_pages_fail_and_odd_ones_arrive),
		cmocka_unit_test(a_past_the_end_page_does_not_change_another_pages_error),
		cmocka_unit_test(a_successful_populate_heals),
		cmocka_unit_test(a_failed_populate_leaves_a_failed_page_failed),
		cmocka_unit_test(a_populate_that_runs_out_of_time_leaves_a_failed_page_failed),
		cmocka_unit_test(a_changed_object_gives_old_bytes_or_estale),
		cmocka_unit_test(an_object_that_is_gone_is_stale),
		cmocka_unit_test(faults_that_pass_are_not_seen),
		cmocka_unit_test(a_server_may_be_gone_for_two_seconds),
		cmocka_unit_test(a_stalled_server_is_an_error_in_time),
		cmocka_unit_test(a_stalled_answer_comes_by_a_second_request),
		cmocka_unit_test(all_who_wait_for_a_page_learn_of_its_failure),
		cmocka_unit_test(what_is_tried_again_has_failed_in_a_child),
	};

	if (argc > 1 && strcmp(argv[1], "without-poison") == 0) {
		uffd_features_off = UFFD_FEATURE_POISON;
		failed = SIGSEGV;
	}
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
