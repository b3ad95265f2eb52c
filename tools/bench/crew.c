/*
 * crew.c - one thread's accesses, and how long each takes.
 *
 * The order is made before the clock starts (order.c). An access of memory reads one byte of each
 * page it overlaps; one through a file is a pread(2). After the time is taken, the bytes seen are
 * compared with the generated ones, where the server is ours: a fast wrong answer is none.
 *
 * Closed loop: a worker's accesses are every crew_size-th; one begins when the last has ended, so a
 * slow one puts off those behind it, and they are not asked how long they would have waited
 * ("coordinated omission"). Open loop: accesses have times, and whoever is free takes the next.
 * Where all are busy then, the wait is part of the latency. Where one has slept until that time,
 * the clock starts when it wakes: how late a timer is, is not what is measured.
 *
 * What measuring costs: two reads of the clock an access, and in runs for the stages what machine.c
 * measures; a sample is 40 bytes more.
 */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "crew.h"
#include "pattern.h"
#include "probe.h"

#define PAGE 4096
#define COMPARED 16 /* bytes of each access */

/* What the first bytes of the access are, through the engine. */
static const uint8_t *access_bytes(struct worker *worker, const struct bench_access *access)
{
	const volatile uint8_t *memory = worker->session->memory;
	uint64_t end = access->offset + access->len;

	if (!memory)
		return pread(worker->session->fd, worker->buffer, (size_t)access->len,
			       (off_t)access->offset) == (ssize_t)access->len
			       ? worker->buffer
			       : NULL;
	for (uint64_t at = access->offset; at < end; at += PAGE - at % PAGE)
		(void)memory[at];
	return worker->session->memory + access->offset;
}

static bool bytes_are_right(
	const struct worker *worker, const uint8_t *bytes, const struct bench_access *access)
{
	const struct bench_target *target = worker->session->target;
	size_t compared = access->len < COMPARED ? (size_t)access->len : COMPARED;
	uint8_t expected[COMPARED];

	if (!bytes)
		return false;
	if (!target->embedded || worker->session->engine->needs_path)
		return true;
	pattern_fill(target->seed, access->offset, expected, compared);
	return memcmp(bytes, expected, compared) == 0;
}

void bench_stages_tell(struct bench_stages *to, const struct fault_stages *stages)
{
	for (int i = 0; i < STAGE_COUNT; i++)
		atomic_store_explicit(&to->end_ns[i], stages->end_ns[i], memory_order_relaxed);
	atomic_fetch_add(&to->count, 1);
}

/* Waits until the engine has written down this fault's stages; some faults have none. */
static void record_stages(struct worker *worker, uint64_t start_ns, uint64_t end_ns, uint64_t i)
{
	struct bench_stages *stages = worker->session->stages;
	uint64_t took_ns[STAGE_COUNT];
	struct fault_stages ends;

	for (int n = 0; n < 1000 && atomic_load(&stages->count) == worker->stages_seen; n++)
		sched_yield();
	if (atomic_load(&stages->count) == worker->stages_seen)
		return;
	worker->stages_seen = atomic_load(&stages->count);
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		ends.end_ns[stage] = stages->end_ns[stage];
	fault_stages_split(&ends, start_ns, end_ns, took_ns);
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		worker->stages_us[stage][i] = (double)took_ns[stage] / NS_PER_US;
	worker->stages_us[STAGE_ALL][i] = (double)(end_ns - start_ns) / NS_PER_US;
}

/* When the access begins, as far as its latency is concerned. */
static uint64_t wait_for_arrival(uint64_t due_ns)
{
	const struct timespec due = {
		.tv_sec = (time_t)(due_ns / NS_PER_S), .tv_nsec = (long)(due_ns % NS_PER_S)};

	if (clock_now_ns() >= due_ns)
		return due_ns;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
	return clock_now_ns();
}

static void access_one(struct worker *worker, uint64_t i, bool has_times, uint64_t run_ns)
{
	const struct bench_access *access = &worker->order->accesses[i];
	uint64_t start_ns, end_ns;
	const uint8_t *bytes;

	if (worker->session->stages)
		worker->session->stages->awaited = access->offset;
	start_ns = has_times ? wait_for_arrival(run_ns + access->at_ns) : clock_now_ns();
	bytes = access_bytes(worker, access);
	end_ns = clock_now_ns();
	STAGE_PROBE(resume, access->offset, access->len, worker->session->target);
	histogram_record(&worker->result->latency, end_ns - start_ns);
	if (worker->samples)
		worker->samples[i] = (struct bench_sample){access->offset, access->len,
			start_ns - run_ns, end_ns - start_ns, worker->number};
	if (!bytes_are_right(worker, bytes, access))
		worker->result->wrong++;
	if (worker->stages_us[0])
		record_stages(worker, start_ns, end_ns, i);
}

void worker_warm(struct worker *worker)
{
	for (uint64_t i = worker->number; i < worker->order->count; i += worker->crew_size)
		access_bytes(worker, &worker->order->accesses[i]);
}

void *worker_run(void *argument)
{
	struct worker *worker = argument;
	const struct options *options = worker->session->options;
	bool has_times = options->arrival > 0 || options->recorded_pace;
	uint64_t count = worker->order->count, run_ns;
	char none;

	/* Sleeps until an arrival end when they should, not 50 us later. */
	prctl(PR_SET_TIMERSLACK, 1);
	/* Ends, with nothing to read, for all at once. */
	while (read(worker->go_fd, &none, 1) < 0)
		;
	if (atomic_load(&worker->crew->called_off))
		return NULL;
	run_ns = atomic_load(&worker->crew->start_ns);
	if (has_times)
		for (uint64_t i; (i = atomic_fetch_add(&worker->crew->next, 1)) < count;)
			access_one(worker, i, true, run_ns);
	else
		for (uint64_t i = worker->number; i < count; i += worker->crew_size)
			access_one(worker, i, false, run_ns);
	worker->result->end_ns = clock_now_ns();
	return NULL;
}
