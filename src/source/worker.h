/*
 * worker.h - threads for what would make a loop wait: reads of local files and directories.
 *
 * A job is handed over, worked on by some thread, and comes back: ended() is called on the loop.
 * Jobs of one owner may be worked on at the same time, and come back in any order. Everything but
 * work() is for the loop's thread.
 */
#pragma once

#include <stdbool.h>

#include "list.h"

struct loop;
struct worker;

enum job_state { JOB_IDLE, JOB_QUEUED, JOB_WORKED_ON, JOB_DONE };

/* Embedded by its owner, who allocates it with malloc(3). */
struct job {
	/* On a worker's thread, without any lock: may block, must not touch what the loop owns. */
	void (*work)(struct job *self);
	/* On the loop; may hand it over again, or free it. */
	void (*ended)(struct job *self);
	/* Frees it; called instead of ended() if it was dropped, on the loop or a worker's thread.
	 */
	void (*dropped)(struct job *self);
	/* the worker's own */
	struct list node;
	enum job_state state;
	bool is_dropped;
};

/* threads_max: made as they are needed. -ENOMEM, and what eventfd(2) and epoll_ctl(2) say. */
int worker_create(struct loop *loop, unsigned threads_max, struct worker **ret);
/* Waits for what is being worked on. No job may be left that was not dropped. NULL is fine. */
void worker_destroy(struct worker *worker);

/* 0, and ended() follows, not from inside this call; -EAGAIN: there is no thread to be had. */
int worker_start(struct worker *worker, struct job *job);

/* Nobody wants it any more: dropped() follows, now or when its work is done. */
void worker_drop(struct worker *worker, struct job *job);
