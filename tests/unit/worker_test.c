/*
 * worker_test.c - jobs that come back to the loop, each of them, however they meet.
 */
#include "check.h"

#include <pthread.h>

#include "loop.h"
#include "worker.h"

#define CHAINS 3
#define ROUNDS 20000

struct chain {
	struct job job;
	struct loop *loop;
	struct worker *worker;
	unsigned left;
	unsigned *running; /* of all chains */
	pthread_barrier_t *meet;
};

static void work_nothing(struct job *job)
{
	(void)job;
}

static void work_meet(struct job *job)
{
	pthread_barrier_wait(container_of(job, struct chain, job)->meet);
}

static void never(struct job *job)
{
	(void)job;
	fail_msg("a job was dropped that nobody dropped");
}

static void start_again(struct job *job)
{
	struct chain *chain = container_of(job, struct chain, job);

	if (--chain->left > 0)
		assert_int_equal(worker_start(chain->worker, job), 0);
	else if (--*chain->running == 0)
		loop_stop(chain->loop);
}

/* Runs chains of jobs, each started by the end of the one before, until all have ended. */
static void run_chains(void (*work)(struct job *), unsigned threads, unsigned rounds)
{
	unsigned running = CHAINS;
	struct chain chains[CHAINS];
	struct worker *worker;
	pthread_barrier_t meet;
	struct loop *loop;

	pthread_barrier_init(&meet, NULL, CHAINS);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(worker_create(loop, threads, &worker), 0);
	for (unsigned i = 0; i < CHAINS; i++) {
		chains[i] = (struct chain){
			.job = {.work = work, .ended = start_again, .dropped = never},
			.loop = loop,
			.worker = worker,
			.left = rounds,
			.running = &running,
			.meet = &meet,
		};
		assert_int_equal(worker_start(worker, &chains[i].job), 0);
	}
	assert_int_equal(loop_run(loop), 0);
	worker_destroy(worker);
	loop_destroy(loop);
	pthread_barrier_destroy(&meet);
	assert_int_equal(running, 0);
}

/* The word of a job that ends while the one before is collected was once lost. */
static void every_job_comes_back(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= CHAINS; threads++)
		run_chains(work_nothing, threads, ROUNDS);
}

/* A job never waits behind another while there may be more threads. */
static void jobs_that_wait_for_each_other_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		run_chains(work_meet, CHAINS, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_comes_back),
		cmocka_unit_test(jobs_that_wait_for_each_other_end),
	};

	return run_group(tests);
}
