/*
 * still_loop.c - see still_loop.h.
 *
 * Timers are an unsorted array, searched for the earliest: a target has a handful. Rejected: the
 * real loop with timers of zero, whose epoll_pwait2(2) and clock cost more than the code behind it,
 * and whose order is the kernel's.
 */
#include "still_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

#define FDS_MAX 16
#define CLOCK_START_NS (1000 * NS_PER_S) /* 0 is "never" in many a place */

struct loop {
	struct timers timers;
	size_t timer_count;
	struct loop_fd *fds[FDS_MAX];
	struct list posted;
	bool stop;
};

static uint64_t still_ns = CLOCK_START_NS;
static const struct loop *here; /* whose handler is on the stack; NULL: none, so that all are */

void (*still_run)(struct loop *loop);

/* ---- the clock ---------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ret);
	*ret = (struct timespec){(time_t)(still_ns / NS_PER_S), (long)(still_ns % NS_PER_S)};
	return 0;
}

void still_clock_reset(void)
{
	still_ns = CLOCK_START_NS;
}

/* ---- what a target lets happen ------------------------------------------------------------ */

static const struct loop *enter(const struct loop *loop)
{
	const struct loop *before = here;

	here = loop;
	return before;
}

static bool run_posted(struct loop *loop)
{
	const struct loop *before = enter(loop);
	bool any = !list_empty(&loop->posted);

	while (!list_empty(&loop->posted)) {
		struct loop_task *task = list_first(&loop->posted, struct loop_task, node);

		list_remove(&task->node);
		task->run(task);
	}
	here = before;
	return any;
}

/* The earliest until then; NULL: none. */
static struct loop_timer *next_timer(const struct loop *loop, uint64_t until_ns)
{
	struct loop_timer *first = loop->timers.first;

	return first && first->deadline_ns <= until_ns ? first : NULL;
}

static void run_timer(struct loop *loop, struct loop_timer *timer)
{
	const struct loop *before = enter(loop);

	if (timer->deadline_ns > still_ns)
		still_ns = timer->deadline_ns;
	loop_timer_cancel(loop, timer);
	timer->expired(timer);
	here = before;
}

void still_pass(struct loop *loop, uint64_t ns)
{
	uint64_t until_ns = still_ns + ns;
	struct loop_timer *timer;

	run_posted(loop);
	while ((timer = next_timer(loop, until_ns))) {
		run_timer(loop, timer);
		run_posted(loop);
	}
	still_ns = until_ns;
}

bool still_next(struct loop *loop)
{
	bool any = run_posted(loop);
	struct loop_timer *timer = next_timer(loop, UINT64_MAX);

	if (!timer)
		return any;
	run_timer(loop, timer);
	run_posted(loop);
	return true;
}

bool still_ready(struct loop *loop, int fd)
{
	const struct loop *before = enter(loop);
	size_t i = 0;

	while (i < FDS_MAX && !(loop->fds[i] && loop->fds[i]->fd == fd))
		i++;
	if (i < FDS_MAX)
		loop->fds[i]->ready(loop->fds[i], EPOLLIN);
	here = before;
	return i < FDS_MAX;
}

unsigned still_timers(const struct loop *loop)
{
	return (unsigned)loop->timer_count;
}

/* ---- loop.h ------------------------------------------------------------------------------- */

int loop_create(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof *loop);

	if (!loop)
		return -ENOMEM;
	list_init(&loop->posted);
	*ret = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	assert(!loop || (loop->timer_count == 0 && list_empty(&loop->posted)));
	free(loop);
}

int loop_run(struct loop *loop)
{
	while (!loop->stop)
		still_run(loop);
	loop->stop = false;
	return 0;
}

int loop_start(struct loop *loop, const char *name)
{
	(void)loop, (void)name;
	return 0;
}

void loop_join(struct loop *loop)
{
	run_posted(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
	list_append(&loop->posted, &task->node);
}

void loop_call(struct loop *loop, void (*function)(void *context), void *context)
{
	const struct loop *before;

	/* What was posted to another one was there first. */
	if (!loop_is_here(loop))
		run_posted(loop);
	before = enter(loop);
	function(context);
	here = before;
}

int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	(void)events;
	for (size_t i = 0; i < FDS_MAX; i++)
		if (!loop->fds[i]) {
			loop->fds[i] = fd;
			return 0;
		}
	return -ENOSPC;
}

int loop_add_prompt(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	return loop_add(loop, fd, events);
}

int loop_modify(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	(void)loop, (void)fd, (void)events;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_fd *fd)
{
	for (size_t i = 0; i < FDS_MAX; i++)
		if (loop->fds[i] == fd)
			loop->fds[i] = NULL;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns)
{
	loop_timer_cancel(loop, timer);
	timers_add(&loop->timers, timer, deadline_ns);
	loop->timer_count++;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->slot)
		return;
	timers_remove(&loop->timers, timer);
	loop->timer_count--;
}

void loop_set_spin(struct loop *loop, uint64_t spin_ns)
{
	(void)loop, (void)spin_ns;
}

bool loop_is_here(const struct loop *loop)
{
	return !here || here == loop;
}

void loop_assert_here(const struct loop *loop)
{
	assert(loop_is_here(loop));
}

unsigned loops_default(void)
{
	return 1;
}

int loop_own(struct loop *loop, int fd)
{
	(void)loop, (void)fd;
	return 0;
}

void loop_disown(struct loop *loop, int fd)
{
	(void)loop, (void)fd;
}

/* fork(2) is not a target's. */
void loop_hold(struct loop *loop)
{
	(void)loop;
	abort();
}

void loop_hold_working(struct loop *loop, bool (*function)(void *context), void *context)
{
	(void)loop, (void)function, (void)context;
	abort();
}

void loop_release(struct loop *loop)
{
	(void)loop;
	abort();
}

void loop_abandon(struct loop *loop)
{
	(void)loop;
	abort();
}
