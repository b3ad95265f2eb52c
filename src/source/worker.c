/*
 * worker.c - a few threads and two queues.
 *
 *	idle --start--> queued --a thread--> worked on --> done --the loop--> idle, ended()
 *	                   \---------drop-------\-----------/--> dropped()
 *
 * Owned by a source, on its loop's thread. `lock` guards the queues and the states of jobs, and is
 * held for a few instructions: the loop never waits for work. An eventfd tells the loop of what is
 * done: it is readable as long as `done` holds a job, and is written and read under the lock, so
 * that no job's word is read away with that of the one before. Signals are blocked in the threads.
 *
 * Cost: two switches of threads a job, some 20 us. Rejected: io_uring, which many containers forbid
 * and which has no readdir; loop_post(), whose tasks outlive their source.
 */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "loop.h"
#include "signals.h"

#define THREADS_LIMIT 16

struct worker {
	struct loop *loop;
	struct loop_fd event;
	pthread_t threads[THREADS_LIMIT];
	unsigned threads_max, count;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t come;  /* a job, or the end */
	struct list queue, done;
	unsigned idle, queued; /* threads that wait, jobs in the queue */
	bool ends;
};

static void job_finish(struct worker *worker, struct job *job)
{
	bool is_dropped;

	pthread_mutex_lock(&worker->lock);
	is_dropped = job->is_dropped;
	if (!is_dropped) {
		job->state = JOB_DONE;
		list_append(&worker->done, &job->node);
		while (eventfd_write(worker->event.fd, 1) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&worker->lock);
	if (is_dropped)
		job->dropped(job);
}

static struct job *job_take(struct worker *worker)
{
	struct job *job = NULL;

	pthread_mutex_lock(&worker->lock);
	worker->idle++;
	while (list_empty(&worker->queue) && !worker->ends)
		pthread_cond_wait(&worker->come, &worker->lock);
	worker->idle--;
	if (!list_empty(&worker->queue)) {
		job = list_first(&worker->queue, struct job, node);
		list_remove(&job->node);
		worker->queued--;
		job->state = JOB_WORKED_ON;
	}
	pthread_mutex_unlock(&worker->lock);
	return job;
}

static void *worker_run(void *context)
{
	struct worker *worker = context;
	struct job *job;

	while ((job = job_take(worker))) {
		job->work(job);
		job_finish(worker, job);
	}
	return NULL;
}

static struct job *job_collect(struct worker *worker)
{
	struct job *job = NULL;
	eventfd_t count;

	pthread_mutex_lock(&worker->lock);
	if (!list_empty(&worker->done)) {
		job = list_first(&worker->done, struct job, node);
		list_remove(&job->node);
		job->state = JOB_IDLE;
	}
	if (list_empty(&worker->done))
		(void)eventfd_read(worker->event.fd, &count);
	pthread_mutex_unlock(&worker->lock);
	return job;
}

/* One at a time: what it is told of may be the end of the worker. */
static void event_ready(struct loop_fd *fd, uint32_t events)
{
	struct worker *worker = container_of(fd, struct worker, event);
	struct job *job = job_collect(worker);

	(void)events;
	if (job)
		job->ended(job);
}

int worker_create(struct loop *loop, unsigned threads_max, struct worker **ret)
{
	struct worker *worker = calloc(1, sizeof *worker);
	int err = 0;

	assert(threads_max > 0 && threads_max <= THREADS_LIMIT);
	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	worker->threads_max = threads_max;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->come, NULL);
	list_init(&worker->queue);
	list_init(&worker->done);
	worker->event.ready = event_ready;
	worker->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event.fd < 0)
		err = -errno;
	else
		err = loop_add(loop, &worker->event, EPOLLIN);
	if (err < 0) {
		close_fd(&worker->event.fd);
		free(worker);
		return err;
	}
	*ret = worker;
	return 0;
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	assert(list_empty(&worker->queue) && list_empty(&worker->done));
	worker->ends = true;
	pthread_cond_broadcast(&worker->come);
	pthread_mutex_unlock(&worker->lock);
	for (unsigned i = 0; i < worker->count; i++)
		pthread_join(worker->threads[i], NULL);
	loop_remove(worker->loop, &worker->event);
	close(worker->event.fd);
	pthread_cond_destroy(&worker->come);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

static int thread_add(struct worker *worker)
{
	sigset_t before;
	int err;

	signals_block(&before);
	err = pthread_create(&worker->threads[worker->count], NULL, worker_run, worker);
	signals_restore(&before);
	worker->count += err == 0;
	return -err;
}

int worker_start(struct worker *worker, struct job *job)
{
	bool is_busy;
	int err = 0;

	loop_assert_here(worker->loop);
	assert(job->state == JOB_IDLE);
	pthread_mutex_lock(&worker->lock);
	is_busy = worker->idle <= worker->queued;
	pthread_mutex_unlock(&worker->lock);
	if (is_busy && worker->count < worker->threads_max)
		err = thread_add(worker);
	if (worker->count == 0)
		return err;
	pthread_mutex_lock(&worker->lock);
	job->state = JOB_QUEUED;
	list_append(&worker->queue, &job->node);
	worker->queued++;
	pthread_cond_signal(&worker->come);
	pthread_mutex_unlock(&worker->lock);
	return 0;
}

void worker_drop(struct worker *worker, struct job *job)
{
	bool is_worked_on;

	pthread_mutex_lock(&worker->lock);
	is_worked_on = job->state == JOB_WORKED_ON;
	job->is_dropped = true;
	worker->queued -= job->state == JOB_QUEUED;
	if (job->state == JOB_QUEUED || job->state == JOB_DONE)
		list_remove(&job->node);
	pthread_mutex_unlock(&worker->lock);
	if (!is_worked_on)
		job->dropped(job);
}
