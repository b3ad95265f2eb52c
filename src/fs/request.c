/*
 * request.c - the pool of waiting requests, and what happens when their callers are interrupted.
 *
 * Owned by one loop's thread. Requests are made of chunks that live as long as the mount, so that
 * an interrupt, which the main loop is told of, may still mark one that its own loop answers
 * meanwhile.
 *
 * Interrupts. The kernel tells of a signal to a process that waits for us (FUSE_INTERRUPT) once,
 * and whatever the signal was. EINTR is only right when the process is being killed: to anything
 * else a page that could not be read is a bus error, so that one SIGALRM would end a program that
 * maps a file. So an interrupted request stays, and its thread's pending signals are looked at, now
 * and then as long as it waits, since a kill that comes later is not told any more. A mount whose
 * requests are not interrupted sets no timer. A caller in a PID namespace that we can't see (pid
 * 0) waits until the bytes or the deadline come.
 *
 * Rejected: EINTR at once (see above); answering FUSE_INTERRUPT with EAGAIN, which the kernel
 * repeats immediately, again and again.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fs_private.h"

#define LOOK_AGAIN_NS (100 * NS_PER_MS)
#define CHUNK_REQUESTS 64
#define STATUS_MAX 4096 /* bytes; SigPnd stands in the first 1,500 */

struct chunk {
	struct list node;
	struct request requests[CHUNK_REQUESTS];
};

void waiters_resume(struct list *waiters, int err)
{
	struct list now;

	list_init(&now);
	list_splice(&now, waiters);
	while (!list_empty(&now)) {
		struct waiter *waiter = list_first(&now, struct waiter, node);

		list_remove(&waiter->node);
		waiter->resume(waiter, err);
	}
}

/* SIGKILL is pending for each thread of a process that any fatal signal is ending. */
static bool is_killed(pid_t thread)
{
	cleanup_fd int fd = -1;
	char path[32], status[STATUS_MAX];
	const char *pending;
	ssize_t length;

	if (thread <= 0)
		return false;
	snprintf(path, sizeof path, "/proc/%d/status", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
	if (length <= 0)
		return false;
	status[length] = '\0';
	pending = strstr(status, "\nSigPnd:");
	return pending && strtoull(pending + 8, NULL, 16) & (1ULL << (SIGKILL - 1));
}

static void request_end(struct request *request, int err)
{
	list_remove(&request->waiter.node);
	request->interrupted = request->killed = false;
	request->waiter.resume(&request->waiter, err);
}

static struct request *requests_killed(struct requests *requests)
{
	list_for_each (node, &requests->live) {
		struct request *request = list_entry(node, struct request, live);

		if (request->killed)
			return request;
	}
	return NULL;
}

static void requests_look(struct requests *requests)
{
	struct request *killed;
	bool again = false;

	list_for_each (node, &requests->live) {
		struct request *request = list_entry(node, struct request, live);

		if (!request->interrupted)
			continue;
		request->killed = is_killed(fuse_req_ctx(request->fuse)->pid);
		again |= !request->killed;
	}
	/* The end of one may be the end of others: begin anew after each. */
	while ((killed = requests_killed(requests)))
		request_end(killed, -EINTR);
	if (again)
		loop_timer_set(requests->loop, &requests->timer, clock_now_ns() + LOOK_AGAIN_NS);
}

static void requests_timer_expired(struct loop_timer *timer)
{
	requests_look(container_of(timer, struct requests, timer));
}

static void requests_run_look(struct loop_task *task)
{
	struct requests *requests = container_of(task, struct requests, look);

	atomic_store(&requests->look_is_posted, false);
	requests_look(requests);
}

/*
 * On the main loop. libfuse holds the request's lock here, so that it can't be answered at once. It
 * may have been answered by its own loop, and be another's by now: that one is looked at in vain.
 */
static void request_interrupted(fuse_req_t fuse, void *context)
{
	struct request *request = context;
	struct requests *requests = request->requests;

	(void)fuse;
	request->interrupted = true;
	if (!atomic_exchange(&requests->look_is_posted, true))
		loop_post(requests->loop, &requests->look);
}

void requests_init(struct requests *requests, struct fs *fs, struct loop *loop)
{
	requests->fs = fs;
	requests->loop = loop;
	list_init(&requests->live);
	list_init(&requests->free);
	list_init(&requests->chunks);
	requests->timer.expired = requests_timer_expired;
	requests->look.run = requests_run_look;
}

void requests_finish(struct requests *requests)
{
	assert(list_empty(&requests->live));
	loop_timer_cancel(requests->loop, &requests->timer);
	while (!list_empty(&requests->chunks)) {
		struct chunk *chunk = list_first(&requests->chunks, struct chunk, node);

		list_remove(&chunk->node);
		free(chunk);
	}
}

void requests_end(struct requests *requests, int err)
{
	while (!list_empty(&requests->live))
		request_end(list_first(&requests->live, struct request, live), err);
}

static bool requests_grow(struct requests *requests)
{
	struct chunk *chunk = calloc(1, sizeof *chunk);

	if (!chunk)
		return false;
	list_append(&requests->chunks, &chunk->node);
	for (size_t i = 0; i < CHUNK_REQUESTS; i++) {
		chunk->requests[i].requests = requests;
		list_append(&requests->free, &chunk->requests[i].live);
	}
	return true;
}

struct request *request_create(struct requests *requests, fuse_req_t fuse, struct inode *inode,
	void (*resume)(struct waiter *self, int err))
{
	struct request *request;

	if (list_empty(&requests->free) && !requests_grow(requests))
		return NULL;
	request = list_first(&requests->free, struct request, live);
	list_remove(&request->live);
	list_append(&requests->live, &request->live);
	list_init(&request->waiter.node);
	request->interrupted = request->killed = false;
	request->waiter.resume = resume;
	request->fs = requests->fs;
	request->fuse = fuse;
	request->inode = inode ? inode_get(inode) : NULL;
	request->started_ns = clock_now_ns();
	request->watched = false;
	return request;
}

void request_destroy(struct request *request)
{
	assert(list_empty(&request->waiter.node));
	list_remove(&request->live);
	/* The one that was used last: its memory is warm. */
	list_prepend(&request->requests->free, &request->live);
	if (request->inode)
		inode_put(&request->fs->tree, request->inode);
	request->inode = NULL;
}

void request_watch(struct request *request)
{
	if (request->watched)
		return;
	request->watched = true;
	fuse_req_interrupt_func(request->fuse, request_interrupted, request);
}
