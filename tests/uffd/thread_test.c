/*
 * thread_test.c - which thread waited for a map, how often, and for how long.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "overlay.h"

#define THREADS 4
#define SIZE (2048 * PAGE)
#define DELAY_NS (3 * NS_PER_MS)

struct reader {
	pthread_t thread;
	const struct session *session;
	size_t first, count, step; /* pages */
	pid_t tid;
	uint64_t touching_ns; /* all of its touches */
	int result;           /* the first signal, or wrong byte */
};

static void *touch_pages(void *context)
{
	struct reader *reader = context;
	uint64_t start_ns = clock_now_ns();

	reader->tid = gettid();
	for (size_t i = 0; i < reader->count && reader->result == 0; i++) {
		size_t page = reader->first + i * reader->step;

		reader->result = session_compare(reader->session, page, page + 1);
	}
	reader->touching_ns = clock_now_ns() - start_ns;
	return NULL;
}

static struct pagein_thread_stats stats_of(struct pagein_map *map, pid_t tid)
{
	struct pagein_thread_stats stats[PAGEIN_THREADS_MAX];
	int count = pagein_thread_stats(map, stats, array_len(stats));

	for (int i = 0; i < count; i++)
		if (stats[i].tid == tid)
			return stats[i];
	fail_msg("thread %d is not known", (int)tid);
	return (struct pagein_thread_stats){0};
}

static uint64_t sum_of_stalls(const struct pagein_thread_stats *stats)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < PAGEIN_STALL_BUCKETS; i++)
		sum += stats->stalls[i];
	return sum;
}

/* Each in its own part, another number of pages; not where the probe has brought bytes along. */
static void each_threads_stalls_are_its_own(void **state)
{
	struct reader readers[THREADS];
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	assert_int_equal(pagein_thread_stats(session.map, NULL, 0), 0);
	server_script(&session.server, "path=/data : delay=3ms");
	for (size_t i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.session = &session,
			.first = 100 + 400 * i,
			.count = 5 * (i + 1),
			.step = 7};
		pthread_create(&readers[i].thread, NULL, touch_pages, &readers[i]);
	}
	for (size_t i = 0; i < THREADS; i++) {
		struct pagein_thread_stats stats;

		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
		stats = stats_of(session.map, readers[i].tid);
		assert_true(stats.faults >= readers[i].count);
		assert_true(sum_of_stalls(&stats) >= readers[i].count);
		/* Each waited at least as long as the server did, and all together no longer than
		 * the thread did. */
		assert_true(stats.stalled_ns >= readers[i].count * DELAY_NS);
		assert_true(stats.stalled_ns <= readers[i].touching_ns);
		assert_true(stats.stalled_max_ns >= DELAY_NS);
		assert_true(stats.stalled_max_ns <= stats.stalled_ns);
		for (size_t j = 0; j < 12; j++)
			assert_true(stats.stalls[j] == 0);
	}
	assert_int_equal(pagein_thread_stats(session.map, NULL, 0), THREADS);
	session_close(&session);
}

/* Its end is the signal. */
static void a_stall_ends_with_a_failure(void **state)
{
	const struct pagein_options options = {
		.size = sizeof options, .timeout_ms = 2000, .attempts = 1};
	struct pagein_thread_stats stats;
	struct session session;

	(void)state;
	session_open(&session, SIZE, &options);
	server_script(&session.server, "path=/data : delay=3ms status=500");
	assert_int_equal(touch(session.bytes + 100 * PAGE, NULL), SIGBUS);
	stats = stats_of(session.map, gettid());
	assert_true(stats.faults == 1 && sum_of_stalls(&stats) == 1);
	assert_true(stats.stalled_ns >= DELAY_NS);
	session_close(&session);
}

static void pages_that_are_there_cost_no_stall(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(session_compare(&session, 0, SIZE / PAGE), 0);
	assert_int_equal(pagein_thread_stats(session.map, NULL, 0), 0);
	session_close(&session);
}

static void a_write_to_a_clean_page_is_a_short_stall(void **state)
{
	struct pagein_thread_stats stats;
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, NULL);
	overlay_allow_async(false);
	assert_int_equal(pagein_map(session.object, 0, 0, PAGEIN_PRIVATE, &session.map), 0);
	overlay_allow_async(true);
	session.bytes = pagein_address(session.map);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	for (size_t page = 0; page < 10; page++)
		((uint8_t *)session.bytes)[page * PAGE]++;
	stats = stats_of(session.map, gettid());
	assert_true(stats.faults == 10 && sum_of_stalls(&stats) == 10);
	session_close(&session);
}

/* More threads than are known, one after another: the newest are. */
static void the_newest_threads_are_known(void **state)
{
	static struct pagein_thread_stats stats[PAGEIN_THREADS_MAX + 10];
	const size_t count = PAGEIN_THREADS_MAX + 10;
	struct reader reader = {.count = 1};
	struct session session;
	pid_t tids[PAGEIN_THREADS_MAX + 10];

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	reader.session = &session;
	for (size_t i = 0; i < count; i++) {
		reader.first = i * 5;
		pthread_create(&reader.thread, NULL, touch_pages, &reader);
		pthread_join(reader.thread, NULL);
		assert_int_equal(reader.result, 0);
		tids[i] = reader.tid;
	}
	assert_int_equal(pagein_thread_stats(session.map, stats, count), PAGEIN_THREADS_MAX);
	for (size_t i = 0; i < PAGEIN_THREADS_MAX; i++)
		assert_int_equal(stats[i].tid, tids[count - 1 - i]);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_threads_stalls_are_its_own),
		cmocka_unit_test(a_stall_ends_with_a_failure),
		cmocka_unit_test(pages_that_are_there_cost_no_stall),
		cmocka_unit_test(a_write_to_a_clean_page_is_a_short_stall),
		cmocka_unit_test(the_newest_threads_are_known),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
