/*
 * bench_workload.c - the accesses of a run, by how many threads, and how long each takes.
 *
 * The order is made before the clock starts (bench_order.c). An access of memory reads one byte of
 * each page it overlaps; one through a file is a pread(2). After the time is taken, the bytes seen
 * are compared with the generated ones, where the server is ours: a fast wrong answer is none.
 *
 * What measuring costs: two reads of the clock an access, some 50 ns.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_order.h"
#include "cleanup.h"
#include "clock.h"
#include "pattern.h"

#define PAGE 4096
#define COMPARED 16 /* bytes of each access */

const char *bench_pattern_name(enum pattern pattern)
{
	static const char *const names[PATTERN_COUNT] = {
		[PATTERN_RANDOM] = "random",
		[PATTERN_SEQUENTIAL] = "sequential",
		[PATTERN_STRIDE] = "stride",
		[PATTERN_ZIPF] = "zipf",
	};

	return names[pattern];
}

/* ---- one thread ---------------------------------------------------------------------------- */

struct worker {
	pthread_t thread;
	struct bench_session *session;
	const uint64_t *order;
	uint64_t first, step, count; /* this thread's accesses: first, first + step, ... */
	uint64_t access_bytes;
	uint8_t *buffer;
	uint64_t wrong;
	struct bench_stages *stages;
	uint64_t stage_sum; /* completions seen */
	double *stage_us[STAGE_COUNT];
	struct histogram latency;
};

/* What the first bytes of the access are, through the engine. */
static const uint8_t *access_bytes(struct worker *worker, uint64_t offset, uint64_t len)
{
	const volatile uint8_t *memory = worker->session->memory;

	if (!memory)
		return pread(worker->session->fd, worker->buffer, (size_t)len, (off_t)offset) ==
				       (ssize_t)len
			       ? worker->buffer
			       : NULL;
	for (uint64_t at = offset; at < offset + len; at += PAGE - at % PAGE)
		(void)memory[at];
	return worker->session->memory + offset;
}

static bool bytes_are_right(
	const struct worker *worker, const uint8_t *bytes, uint64_t offset, uint64_t len)
{
	uint8_t expected[COMPARED];
	size_t compared = len < COMPARED ? (size_t)len : COMPARED;

	if (!bytes)
		return false;
	if (!worker->session->target->embedded || worker->session->engine->needs_path)
		return true;
	pattern_fill(worker->session->target->seed, offset, expected, compared);
	return memcmp(bytes, expected, compared) == 0;
}

/* Waits until the engine has written down this fault's stages; some faults have none. */
static void record_stages(
	struct worker *worker, uint64_t start_ns, uint64_t end_ns, uint64_t access)
{
	const struct bench_stages *stages = worker->stages;
	uint64_t times[STAGE_COUNT + 1];

	for (int i = 0; i < 1000 && atomic_load(&stages->count) == worker->stage_sum; i++)
		sched_yield();
	if (atomic_load(&stages->count) == worker->stage_sum)
		return;
	worker->stage_sum = atomic_load(&stages->count);
	times[0] = start_ns;
	times[1] = stages->event_ns;
	times[2] = stages->submit_ns;
	times[3] = stages->first_byte_ns;
	times[4] = stages->last_byte_ns;
	times[5] = stages->fill_ns;
	times[6] = end_ns;
	for (int i = 0; i < STAGE_COUNT; i++)
		worker->stage_us[i][access] = ((double)times[i + 1] - (double)times[i]) / NS_PER_US;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	uint64_t size = worker->session->size;

	for (uint64_t i = worker->first; i < worker->count; i += worker->step) {
		uint64_t offset = worker->order[i];
		uint64_t len = size - offset < worker->access_bytes ? size - offset
								    : worker->access_bytes;
		uint64_t start_ns = clock_now_ns();
		const uint8_t *bytes = access_bytes(worker, offset, len);
		uint64_t end_ns = clock_now_ns();

		histogram_record(&worker->latency, end_ns - start_ns);
		if (!bytes_are_right(worker, bytes, offset, len))
			worker->wrong++;
		if (worker->stages)
			record_stages(worker, start_ns, end_ns, i);
	}
	return NULL;
}

/* ---- all of them --------------------------------------------------------------------------- */

static int worker_init(struct worker *worker, struct bench_session *session,
	const struct options *options, const uint64_t *order, uint64_t count)
{
	worker->session = session;
	worker->order = order;
	worker->count = count;
	worker->step = options->threads;
	worker->access_bytes = options->access_bytes;
	worker->buffer = malloc(options->access_bytes);
	worker->stages = options->threads == 1 ? session->stages : NULL;
	for (int i = 0; i < STAGE_COUNT && worker->stages; i++) {
		worker->stage_us[i] = malloc(count * sizeof(double));
		for (uint64_t j = 0; worker->stage_us[i] && j < count; j++)
			worker->stage_us[i][j] = -1;
		if (!worker->stage_us[i])
			return -ENOMEM;
	}
	return worker->buffer ? 0 : -ENOMEM;
}

static void worker_finish(struct worker *worker)
{
	free(worker->buffer);
	for (int i = 0; i < STAGE_COUNT; i++)
		free(worker->stage_us[i]);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of_known(double *values, uint64_t count)
{
	uint64_t known = 0;

	for (uint64_t i = 0; i < count; i++)
		if (values[i] >= 0)
			values[known++] = values[i];
	qsort(values, known, sizeof *values, compare_doubles);
	return known ? values[known / 2] : -1;
}

static void collect(struct worker *workers, uint64_t threads, struct bench_result *ret)
{
	histogram_reset(&ret->latency);
	for (uint64_t i = 0; i < threads; i++) {
		histogram_merge(&ret->latency, &workers[i].latency);
		ret->wrong += workers[i].wrong;
	}
	for (int i = 0; i < STAGE_COUNT; i++)
		ret->stages_us[i] = workers[0].stages ? median_of_known(workers[0].stage_us[i],
								workers[0].count)
						      : -1;
}

/* Starts all but the first, which is the calling thread. */
static int run_threads(struct worker *workers, uint64_t threads)
{
	uint64_t started = 1;
	int err = 0;

	for (; started < threads && err == 0; started++)
		err = pthread_create(&workers[started].thread, NULL, worker_run, &workers[started]);
	if (err != 0)
		started--;
	else
		worker_run(&workers[0]);
	for (uint64_t i = 1; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	return -err;
}

int bench_run(struct bench_session *session, const struct options *options, enum pattern pattern,
	struct bench_result *ret)
{
	cleanup_free uint64_t *order = NULL;
	struct worker *workers = calloc(options->threads, sizeof *workers);
	uint64_t count = 0, start_ns;
	int err = workers ? 0 : -ENOMEM;

	order = bench_order(options, pattern, session->size, &count);
	if (!order)
		err = -ENOMEM;
	for (uint64_t i = 0; i < options->threads && err == 0; i++) {
		workers[i].first = i;
		err = worker_init(&workers[i], session, options, order, count);
	}
	if (err == 0) {
		*ret = (struct bench_result){.engine = session->engine, .pattern = pattern};
		start_ns = clock_now_ns();
		err = run_threads(workers, options->threads);
		ret->seconds = (double)(clock_now_ns() - start_ns) / NS_PER_S;
		ret->accesses = count;
		ret->bytes_touched = pattern == PATTERN_SEQUENTIAL ? session->size
								   : count * options->access_bytes;
		collect(workers, options->threads, ret);
	}
	for (uint64_t i = 0; workers && i < options->threads; i++)
		worker_finish(&workers[i]);
	free(workers);
	return err;
}
