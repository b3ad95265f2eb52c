/*
 * workload.c - one run: processes, their threads, and what they bring home.
 *
 * This process is the first of the run's, and forks the others before it opens the engine: each
 * opens it for itself, cold. Threads wait at a pipe which nobody writes to: when this process
 * closes it, all of them go. Results and samples are in shared memory; a process that can't begin
 * says why on stderr, and dies, which calls the run off.
 *
 * Stages are known of one thread in one process only: they come from the engine, not from a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "crew.h"

/* A run, as each of its processes sees it. */
struct run {
	struct bench_session *session;
	enum pattern pattern;
	const struct bench_order *order;
	uint64_t threads; /* of a process */
	uint64_t processes;
	struct crew *crew;             /* shared */
	struct worker_result *results; /* shared: of all workers */
	struct bench_sample *samples;  /* shared, of all accesses; NULL: nobody wants them */
	int ready[2];                  /* a byte of each process that can begin */
	int go[2];                     /* closed when all are to begin */
	pid_t *children;
	uint64_t child_count;
};

static size_t samples_size(const struct run *run)
{
	return run->order->count * sizeof *run->samples;
}

static size_t results_size(const struct run *run)
{
	return sizeof *run->crew + run->threads * run->processes * sizeof *run->results;
}

static void *map_shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void run_finish(struct run *run)
{
	if (run->crew)
		munmap(run->crew, results_size(run));
	if (run->samples)
		munmap(run->samples, samples_size(run));
	for (int i = 0; i < 2; i++) {
		close_fd(&run->ready[i]);
		close_fd(&run->go[i]);
	}
	free(run->children);
}

static int run_init(struct run *run)
{
	bool keep_samples = run->session->keep;

	run->threads = run->session->options->threads;
	run->processes = run->session->options->processes;
	run->ready[0] = run->ready[1] = run->go[0] = run->go[1] = -1;
	run->children = calloc(run->processes, sizeof *run->children);
	run->crew = map_shared(results_size(run));
	if (keep_samples)
		run->samples = map_shared(samples_size(run));
	if (!run->children || !run->crew || (keep_samples && !run->samples))
		return -ENOMEM;
	run->results = (struct worker_result *)(run->crew + 1);
	if (pipe2(run->ready, O_CLOEXEC) < 0 || pipe2(run->go, O_CLOEXEC) < 0)
		return -errno;
	return 0;
}

/* ---- one process --------------------------------------------------------------------------- */

/* What one process has of a run. */
struct part {
	const struct run *run;
	struct worker *workers;
	uint64_t started;
};

static uint64_t longest_access(const struct bench_order *order)
{
	uint64_t longest = 0;

	for (uint64_t i = 0; i < order->count; i++)
		if (order->accesses[i].len > longest)
			longest = order->accesses[i].len;
	return longest;
}

static int worker_init(struct worker *worker, const struct run *run, uint64_t number)
{
	uint64_t count = run->order->count;

	*worker = (struct worker){
		.session = run->session,
		.order = run->order,
		.crew = run->crew,
		.go_fd = run->go[0],
		.number = (uint32_t)number,
		.crew_size = (uint32_t)(run->threads * run->processes),
		.result = &run->results[number],
		.samples = run->samples,
	};
	if (!run->session->memory)
		worker->buffer = malloc(longest_access(run->order));
	if (!run->session->memory && !worker->buffer)
		return -ENOMEM;
	for (int i = 0; i < STAGE_FIGURES && run->session->stages; i++) {
		worker->stages_us[i] = malloc(count * sizeof(double));
		if (!worker->stages_us[i])
			return -ENOMEM;
		for (uint64_t j = 0; j < count; j++)
			worker->stages_us[i][j] = -1;
	}
	return 0;
}

static void worker_finish(struct worker *worker)
{
	free(worker->buffer);
	for (int i = 0; i < STAGE_FIGURES; i++)
		free(worker->stages_us[i]);
}

/* Opens the engine, and has its threads wait for the run to start. */
static int part_start(struct part *part, const struct run *run, uint64_t process)
{
	struct bench_session *session = run->session;
	int err = session->engine->open(session, run->pattern);

	*part = (struct part){0};
	if (err < 0)
		return err;
	part->run = run;
	part->workers = calloc(run->threads, sizeof *part->workers);
	err = part->workers ? 0 : -ENOMEM;
	for (uint64_t i = 0; i < run->threads && err == 0; i++) {
		err = worker_init(&part->workers[i], run, process * run->threads + i);
		if (err == 0 && session->options->warm)
			worker_warm(&part->workers[i]);
	}
	for (; part->started < run->threads && err == 0; part->started += err == 0)
		err = -pthread_create(&part->workers[part->started].thread, NULL, worker_run,
			&part->workers[part->started]);
	return err;
}

/* Waits for its threads, which must have been let go. */
static int part_finish(struct part *part)
{
	struct bench_session *session;
	int err = 0;

	if (!part->run)
		return 0;
	session = part->run->session;
	for (uint64_t i = 0; i < part->started; i++)
		pthread_join(part->workers[i].thread, NULL);
	if (session->engine->check && !atomic_load(&part->run->crew->called_off))
		err = session->engine->check(session);
	session->engine->close(session);
	for (uint64_t i = 0; i < part->run->threads && part->workers; i++)
		worker_finish(&part->workers[i]);
	free(part->workers);
	return err;
}

/* In a child; its exit status says whether it could. */
static int child_run(struct run *run, uint64_t process)
{
	struct part part;
	int err, ended;

	close_fd(&run->ready[0]);
	close_fd(&run->go[1]);
	err = part_start(&part, run, process);
	if (err == 0 && write(run->ready[1], "", 1) != 1)
		err = -errno;
	close_fd(&run->ready[1]);
	if (err < 0)
		atomic_store(&run->crew->called_off, true);
	ended = part_finish(&part);
	if (err == 0)
		err = ended;
	if (err < 0)
		fprintf(stderr, "pagein bench: %s: process %llu: %s\n", run->session->engine->name,
			(unsigned long long)process,
			run->session->error[0] ? run->session->error : strerrordesc_np(-err));
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- all of them --------------------------------------------------------------------------- */

static int children_start(struct run *run)
{
	while (run->child_count < run->processes - 1) {
		pid_t child = fork();

		if (child < 0)
			return -errno;
		if (child == 0)
			_exit(child_run(run, run->child_count + 1));
		run->children[run->child_count++] = child;
	}
	return 0;
}

static int children_finish(struct run *run)
{
	int err = 0, status;

	for (uint64_t i = 0; i < run->child_count; i++)
		if (waitpid(run->children[i], &status, 0) != run->children[i] || status != 0)
			err = -ECHILD;
	if (err < 0)
		snprintf(run->session->error, BENCH_ERROR_MAX, "one of its processes has failed");
	return err;
}

/* All children have said that they are ready, or are dead. */
static int wait_until_ready(struct run *run)
{
	uint64_t ready = 0;
	char bytes[64];
	ssize_t n;

	close_fd(&run->ready[1]);
	run->ready[1] = -1;
	while ((n = read(run->ready[0], bytes, sizeof bytes)) != 0)
		if (n > 0)
			ready += (uint64_t)n;
		else if (errno != EINTR)
			return -errno;
	return ready == run->child_count ? 0 : -ECHILD;
}

static void go(struct run *run, bool called_off)
{
	if (called_off)
		atomic_store(&run->crew->called_off, true);
	atomic_store(&run->crew->start_ns, clock_now_ns());
	close_fd(&run->go[1]);
	run->go[1] = -1;
}

/* Of the accesses that have some. */
static void collect_stages(double *values[STAGE_FIGURES], uint64_t count, struct bench_result *ret)
{
	for (int i = 0; i < STAGE_FIGURES; i++) {
		uint64_t known = 0;

		ret->stages_us[i] = -1;
		for (uint64_t j = 0; values[i] && j < count; j++)
			if (values[i][j] >= 0) {
				ret->stages_sum_us[i] += values[i][j];
				values[i][known++] = values[i][j];
			}
		ret->stages_known = known;
		if (values[i])
			ret->stages_us[i] = bench_median(values[i], known);
	}
}

static int compare_samples(const void *a, const void *b)
{
	uint64_t x = ((const struct bench_sample *)a)->start_ns;
	uint64_t y = ((const struct bench_sample *)b)->start_ns;

	return (x > y) - (x < y);
}

static int collect(const struct run *run, const struct part *part, struct bench_result *ret)
{
	uint64_t end_ns = run->crew->start_ns;

	ret->accesses = run->order->count;
	ret->bytes_touched = run->order->bytes;
	for (uint64_t i = 0; i < run->threads * run->processes; i++) {
		histogram_merge(&ret->latency, &run->results[i].latency);
		ret->wrong += run->results[i].wrong;
		if (run->results[i].end_ns > end_ns)
			end_ns = run->results[i].end_ns;
	}
	ret->seconds = (double)(end_ns - run->crew->start_ns) / NS_PER_S;
	collect_stages(part->workers[0].stages_us, run->order->count, ret);
	if (!run->samples)
		return 0;
	/* Of several processes, each has memory of its own. */
	if (run->processes == 1)
		ret->heat = bench_heat_take(run->session, run->order);
	ret->samples = malloc(samples_size(run));
	if (!ret->samples)
		return -ENOMEM;
	memcpy(ret->samples, run->samples, samples_size(run));
	qsort(ret->samples, ret->accesses, sizeof *ret->samples, compare_samples);
	return 0;
}

/* From when all are ready until all have ended. */
static int run_all(struct run *run, struct part *part, struct bench_result *ret)
{
	const struct bench_session *session = run->session;
	uint64_t requests[2], bytes[2];
	bool counted = !session->engine->needs_path &&
		       bench_target_counters(session->target, &requests[0], &bytes[0]);
	int err;

	go(run, false);
	for (; part->started > 0; part->started--)
		pthread_join(part->workers[part->started - 1].thread, NULL);
	err = children_finish(run);
	counted = counted && bench_target_counters(session->target, &requests[1], &bytes[1]);
	ret->requests = counted ? requests[1] - requests[0] : UINT64_MAX;
	ret->bytes_fetched = counted ? bytes[1] - bytes[0] : UINT64_MAX;
	return err < 0 ? err : collect(run, part, ret);
}

int bench_run(struct bench_session *session, enum pattern pattern, const struct bench_order *order,
	struct bench_result *ret)
{
	struct run run = {.session = session, .pattern = pattern, .order = order};
	struct part part = {0};
	int err = run_init(&run), ended;

	*ret = (struct bench_result){.requests = UINT64_MAX, .bytes_fetched = UINT64_MAX};
	session->error[0] = '\0';
	if (err == 0)
		err = children_start(&run);
	if (err == 0)
		err = part_start(&part, &run, 0);
	if (err == 0)
		err = wait_until_ready(&run);
	if (err == 0) {
		err = run_all(&run, &part, ret);
	} else if (run.go[1] >= 0) {
		go(&run, true);
		ended = children_finish(&run);
		err = ended < 0 ? ended : err;
	}
	ended = part_finish(&part);
	run_finish(&run);
	return err < 0 ? err : ended;
}
