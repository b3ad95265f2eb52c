/*
 * loop.h - one thread, one epoll: descriptors, timers, and calls from other threads.
 *
 * Everything that pagein does between an event and its answer happens on a loop's thread, so that
 * what a loop owns needs no lock. Handlers never wait: no blocking call, no disk, no DNS, no lock
 * that an application can hold, no touch of memory whose faults this loop serves.
 *
 * Threads: loop_create() and loop_destroy() belong to one controlling thread; loop_call(),
 * loop_post() and loop_stop() may be called from any; everything else only on the loop's own
 * thread while it runs (loop_assert_here), or before it has started.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "list.h"
#include "timers.h"

struct loop;

/* A descriptor that the loop watches; the owner embeds it and keeps it alive while it is added. */
struct loop_fd {
	int fd;
	/* events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR as epoll_wait(2) reports them. */
	void (*ready)(struct loop_fd *self, uint32_t events);
};

/* A call on its way to the loop. */
struct loop_task {
	struct list node;
	void (*run)(struct loop_task *self);
};

/* 0, or -EMFILE, -ENFILE, -ENOMEM from epoll_create1(2) and eventfd(2). */
int loop_create(struct loop **ret);

/* The loop must not run; whatever is still added is forgotten, not closed. NULL is fine. */
void loop_destroy(struct loop *loop);

/*
 * Serves until loop_stop(). loop_run() uses the calling thread; loop_start() makes a thread with
 * all signals blocked, and loop_join() waits until it has stopped. -EAGAIN: no thread to be had.
 */
int loop_run(struct loop *loop);
int loop_start(struct loop *loop, const char *name);
void loop_join(struct loop *loop);

/* Ends loop_run() after the current handler. Any thread; async-signal-safe. */
void loop_stop(struct loop *loop);

/* Runs the task on the loop soon, in the order of posting; the caller goes on. Any thread. */
void loop_post(struct loop *loop, struct loop_task *task);

/*
 * Runs function(context) on the loop and returns when it has returned; on the loop's own thread,
 * and on a loop that has not started, it is a plain call. Any thread; a loop that is being stopped
 * still runs what was posted before.
 */
void loop_call(struct loop *loop, void (*function)(void *context), void *context);

/*
 * Holds the loop between two handlers, and lets it go on: what it owns stands still meanwhile, for
 * fork(2). Not on the loop; one holder at a time. In the child of a fork its memory is as it stood
 * there, without a thread: loop_abandon() closes its descriptors and those that it owns
 * (loop_own()). Nothing else may be done with it; its memory is lost.
 */
void loop_hold(struct loop *loop);
/* Meanwhile its thread calls function(context), which may wait, until that is false. */
void loop_hold_working(struct loop *loop, bool (*function)(void *context), void *context);
void loop_release(struct loop *loop);
void loop_abandon(struct loop *loop);

/*
 * A descriptor that a child of fork(2) has no use for, and which would keep a connection open that
 * the parent has closed. loop_disown() before it is closed. -ENOMEM: it will stay open there.
 */
int loop_own(struct loop *loop, int fd);
void loop_disown(struct loop *loop, int fd);

/*
 * How many loops are worth having: one less than the CPUs that this process may use, since those
 * who read need one, too; at least 1, LOOPS_MAX at the most.
 */
#define LOOPS_MAX 4
unsigned loops_default(void);

/* Level-triggered. 0 or -errno of epoll_ctl(2); -ENOSPC: fs.epoll.max_user_watches. */
int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events);
/*
 * The same for a descriptor that tells of somebody who waits: it is looked at between the handlers
 * of others, so that its events wait behind one of them, not behind all that have something to do.
 * The handler may be called once more for what it has taken already: it must not wait for more, and
 * its events can't be modified.
 */
int loop_add_prompt(struct loop *loop, struct loop_fd *fd, uint32_t events);
int loop_modify(struct loop *loop, struct loop_fd *fd, uint32_t events);
/* The handler is not called any more, not even for events that epoll has already reported. */
void loop_remove(struct loop *loop, struct loop_fd *fd);

/*
 * Calls timer->expired once, at or soon after deadline_ns of clock_now_ns(). Setting a set timer
 * moves it. It takes no memory.
 */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * Before it sleeps, the loop looks for events for up to spin_ns (0, the default: not at all): the
 * wake-up of a CPU that sleeps may cost more than a near server's answer takes. It spins only as
 * long as that is usually successful, and lets others have the CPU in between. Before the loop
 * starts.
 */
void loop_set_spin(struct loop *loop, uint64_t spin_ns);

/* Is the caller the thread that this loop runs on (or has the loop not started)? */
bool loop_is_here(const struct loop *loop);
void loop_assert_here(const struct loop *loop);
