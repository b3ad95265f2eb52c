/*
 * request.c - the pool of waiting requests, and what happens when their callers are interrupted.
 *
 * Owned by the loop's thread. Requests are made of chunks that live as long as the mount.
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
	list_remove(&request->interrupted);
	request->waiter.resume(&request->waiter, err);
}

static void requests_look(struct loop_timer *timer)
{
	struct requests *requests = container_of(timer, struct requests, timer);
	struct fs *fs = container_of(requests, struct fs, requests);

	list_for_each_safe (node, &requests->interrupted) {
		struct request *request = list_entry(node, struct request, interrupted);

		if (is_killed(fuse_req_ctx(request->fuse)->pid))
			request_end(request, -EINTR);
	}
	if (!list_empty(&requests->interrupted))
		loop_timer_set(fs->loop, timer, clock_now_ns() + LOOK_AGAIN_NS);
}

/* libfuse holds the request's lock here, so that it can't be answered at once. */
static void request_interrupted(fuse_req_t fuse, void *context)
{
	struct request *request = context;
	struct fs *fs = request->fs;

	(void)fuse;
	list_remove(&request->interrupted);
	list_append(&fs->requests.interrupted, &request->interrupted);
	loop_timer_set(fs->loop, &fs->requests.timer, clock_now_ns());
}

void requests_init(struct requests *requests)
{
	list_init(&requests->live);
	list_init(&requests->free);
	list_init(&requests->chunks);
	list_init(&requests->interrupted);
	requests->timer.expired = requests_look;
}

void requests_finish(struct requests *requests, struct loop *loop)
{
	assert(list_empty(&requests->live));
	loop_timer_cancel(loop, &requests->timer);
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
	for (size_t i = 0; i < CHUNK_REQUESTS; i++)
		list_append(&requests->free, &chunk->requests[i].live);
	return true;
}

struct request *request_create(struct fs *fs, fuse_req_t fuse, struct inode *inode,
	void (*resume)(struct waiter *self, int err))
{
	struct requests *requests = &fs->requests;
	struct request *request;

	if (list_empty(&requests->free) && !requests_grow(requests))
		return NULL;
	request = list_first(&requests->free, struct request, live);
	list_remove(&request->live);
	list_append(&requests->live, &request->live);
	list_init(&request->waiter.node);
	list_init(&request->interrupted);
	request->waiter.resume = resume;
	request->fs = fs;
	request->fuse = fuse;
	request->inode = inode_get(inode);
	request->started_ns = clock_now_ns();
	request->watched = false;
	return request;
}

void request_destroy(struct request *request)
{
	struct requests *requests = &request->fs->requests;

	assert(list_empty(&request->waiter.node));
	list_remove(&request->interrupted);
	list_remove(&request->live);
	list_prepend(&requests->free, &request->live); /* its memory is warm */
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
