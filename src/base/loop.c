/*
 * loop.c - epoll, timers, and a queue of calls from other threads with its eventfd.
 *
 * Owned by the thread that runs it. Only `posted`, `stop` and the eventfd are touched by others:
 * the list under `lock`, which is never held over a call of anybody's.
 *
 * Invariants: `data.ptr` of a batch's unhandled event is NULL once its loop_fd was removed, so that
 * a handler may remove, and free, any other.
 *
 * Prompt descriptors are in two epolls: in the one that the loop sleeps in, and in one of their
 * own, which is asked when the handlers of a batch have been at work for PROMPT_NS. A fault then
 * waits for one connection's bytes, not for those of all that have some.
 *
 * Cost: an idle loop sleeps in epoll_pwait2(2) without a timeout: no wake-ups. A round is one
 * epoll_pwait2; a descriptor is armed once, not per event; setting a timer is no system call.
 *
 * Rejected: timerfd (two more system calls a round); EPOLLET and EPOLLONESHOT (a forgotten re-arm
 * is a hang, and level-triggered costs nothing when handlers read what there is).
 */
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "fd_bits.h"
#include "signals.h"

#define BATCH_MAX 64
#define PROMPT_NS (50 * NS_PER_US)
#define SPIN_MISSES_MAX 8

struct batch {
	struct epoll_event events[BATCH_MAX];
	int len;
	int next;
};

struct loop {
	int epoll_fd;
	int prompt_fd;         /* the epoll of the prompt ones */
	struct loop_fd wakeup; /* the eventfd */
	bool started;
	bool no_pwait2; /* the kernel or a seccomp filter refuses epoll_pwait2(2) */
	bool has_thread;
	pthread_t joinable;
	_Atomic pthread_t thread; /* who runs it; set by itself */
	pthread_mutex_t lock;     /* guards posted; the innermost lock */
	struct list posted;
	atomic_bool stop;

	struct loop_task hold_task;
	pthread_cond_t hold_changed; /* of the next two, under lock */
	bool held;
	bool hold_wanted;
	bool (*hold_work)(void *context); /* NULL: none */
	void *hold_context;

	struct fd_bits owned;

	struct timers timers;

	uint64_t spin_ns;
	unsigned spin_misses; /* spins in a row that found nothing */
	unsigned spin_skips;  /* rounds until the next one */

	struct batch batch;  /* of a round */
	struct batch prompt; /* taken in between */
	uint64_t prompt_ns;  /* when the prompt ones were last looked at */
};

static void loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so the loop is as good as awake. */
	while (write(loop->wakeup.fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void loop_run_tasks(struct loop *loop);

static void loop_wakeup_ready(struct loop_fd *fd, uint32_t events)
{
	uint64_t count;

	(void)events;
	if (read(fd->fd, &count, sizeof count) < 0)
		assert(errno == EAGAIN || errno == EINTR);
	loop_run_tasks(container_of(fd, struct loop, wakeup));
}

int loop_create(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof *loop);
	int err;

	if (!loop)
		return -ENOMEM;
	list_init(&loop->posted);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->hold_changed, NULL);
	loop->wakeup.ready = loop_wakeup_ready;
	loop->wakeup.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->prompt_fd = epoll_create1(EPOLL_CLOEXEC);
	err = loop->wakeup.fd < 0 || loop->epoll_fd < 0 || loop->prompt_fd < 0 ? -errno : 0;
	if (err == 0)
		err = loop_add(loop, &loop->wakeup, EPOLLIN);
	if (err < 0) {
		loop_destroy(loop);
		return err;
	}
	*ret = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->started);
	assert(list_empty(&loop->posted));
	close_fd(&loop->prompt_fd);
	close_fd(&loop->epoll_fd);
	close_fd(&loop->wakeup.fd);
	pthread_cond_destroy(&loop->hold_changed);
	pthread_mutex_destroy(&loop->lock);
	fd_bits_finish(&loop->owned);
	free(loop);
}

unsigned loops_default(void)
{
	cpu_set_t cpus;
	int count = 1;

	/* EINVAL: more CPUs than a cpu_set_t counts. */
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		count = CPU_COUNT(&cpus);
	else if (errno == EINVAL)
		count = LOOPS_MAX;
	count = count > 1 ? count - 1 : 1;
	return count < LOOPS_MAX ? (unsigned)count : LOOPS_MAX;
}

void loop_set_spin(struct loop *loop, uint64_t spin_ns)
{
	assert(!loop->started);
	loop->spin_ns = spin_ns;
}

bool loop_is_here(const struct loop *loop)
{
	return !loop->started || loop->thread == pthread_self();
}

void loop_assert_here(const struct loop *loop)
{
	assert(loop_is_here(loop));
}

/* ---- timers ------------------------------------------------------------------------------- */

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns)
{
	loop_timer_cancel(loop, timer);
	timers_add(&loop->timers, timer, deadline_ns);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	loop_assert_here(loop);
	timers_remove(&loop->timers, timer);
}

static void loop_run_timers(struct loop *loop)
{
	uint64_t now_ns;

	if (!loop->timers.first)
		return;
	now_ns = clock_now_ns();
	while (loop->timers.first && loop->timers.first->deadline_ns <= now_ns) {
		struct loop_timer *timer = loop->timers.first;

		loop_timer_cancel(loop, timer);
		timer->expired(timer);
	}
}

/* ---- descriptors -------------------------------------------------------------------------- */

static int loop_control(
	struct loop *loop, int epoll_fd, int operation, struct loop_fd *fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = fd};

	loop_assert_here(loop);
	return epoll_ctl(epoll_fd, operation, fd->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	return loop_control(loop, loop->epoll_fd, EPOLL_CTL_ADD, fd, events);
}

int loop_add_prompt(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	int err = loop_control(loop, loop->prompt_fd, EPOLL_CTL_ADD, fd, events);

	if (err == 0)
		err = loop_add(loop, fd, events);
	if (err < 0)
		loop_remove(loop, fd);
	return err;
}

int loop_modify(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	return loop_control(loop, loop->epoll_fd, EPOLL_CTL_MOD, fd, events);
}

static void batch_remove(struct batch *batch, const struct loop_fd *fd)
{
	for (int i = batch->next; i < batch->len; i++)
		if (batch->events[i].data.ptr == fd)
			batch->events[i].data.ptr = NULL;
}

void loop_remove(struct loop *loop, struct loop_fd *fd)
{
	/* ENOENT: it was never prompt. EBADF: its owner (libcurl) closed it first; then epoll has
	 * forgotten it too. */
	(void)loop_control(loop, loop->epoll_fd, EPOLL_CTL_DEL, fd, 0);
	(void)loop_control(loop, loop->prompt_fd, EPOLL_CTL_DEL, fd, 0);
	batch_remove(&loop->batch, fd);
	batch_remove(&loop->prompt, fd);
}

/* ---- calls from other threads ------------------------------------------------------------- */

void loop_post(struct loop *loop, struct loop_task *task)
{
	bool first;

	pthread_mutex_lock(&loop->lock);
	first = list_empty(&loop->posted);
	list_append(&loop->posted, &task->node);
	pthread_mutex_unlock(&loop->lock);
	if (first)
		loop_wake(loop);
}

static struct loop_task *loop_take_task(struct loop *loop)
{
	struct loop_task *task = NULL;

	pthread_mutex_lock(&loop->lock);
	if (!list_empty(&loop->posted)) {
		task = list_first(&loop->posted, struct loop_task, node);
		list_remove(&task->node);
	}
	pthread_mutex_unlock(&loop->lock);
	return task;
}

static void loop_run_tasks(struct loop *loop)
{
	struct loop_task *task;

	while ((task = loop_take_task(loop)))
		task->run(task);
}

struct loop_call_task {
	struct loop_task task;
	void (*function)(void *context);
	void *context;
	pthread_mutex_t lock;
	pthread_cond_t returned;
	bool done;
};

static void loop_call_run(struct loop_task *task)
{
	struct loop_call_task *call = container_of(task, struct loop_call_task, task);

	call->function(call->context);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	pthread_cond_signal(&call->returned);
	pthread_mutex_unlock(&call->lock);
}

void loop_call(struct loop *loop, void (*function)(void *context), void *context)
{
	struct loop_call_task call = {
		.task.run = loop_call_run,
		.function = function,
		.context = context,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.returned = PTHREAD_COND_INITIALIZER,
	};

	if (loop_is_here(loop)) {
		function(context);
		return;
	}
	loop_post(loop, &call.task);
	pthread_mutex_lock(&call.lock);
	while (!call.done)
		pthread_cond_wait(&call.returned, &call.lock);
	pthread_mutex_unlock(&call.lock);
}

/* ---- fork(2) ------------------------------------------------------------------------------- */

static void loop_work_held(struct loop *loop)
{
	bool (*work)(void *context) = loop->hold_work;
	void *context = loop->hold_context;
	bool more;

	pthread_mutex_unlock(&loop->lock);
	more = work(context);
	pthread_mutex_lock(&loop->lock);
	if (!more)
		loop->hold_work = NULL;
}

static void loop_stand_still(struct loop_task *task)
{
	struct loop *loop = container_of(task, struct loop, hold_task);

	pthread_mutex_lock(&loop->lock);
	loop->held = true;
	pthread_cond_broadcast(&loop->hold_changed);
	while (loop->hold_wanted || loop->hold_work)
		if (loop->hold_work)
			loop_work_held(loop);
		else
			pthread_cond_wait(&loop->hold_changed, &loop->lock);
	loop->held = false;
	pthread_cond_broadcast(&loop->hold_changed);
	pthread_mutex_unlock(&loop->lock);
}

static void loop_await_held(struct loop *loop, bool held)
{
	pthread_mutex_lock(&loop->lock);
	while (loop->held != held)
		pthread_cond_wait(&loop->hold_changed, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
}

void loop_hold(struct loop *loop)
{
	assert(!loop_is_here(loop));
	loop->hold_wanted = true;
	loop->hold_task.run = loop_stand_still;
	loop_post(loop, &loop->hold_task);
	loop_await_held(loop, true);
}

void loop_hold_working(struct loop *loop, bool (*function)(void *context), void *context)
{
	pthread_mutex_lock(&loop->lock);
	loop->hold_work = function;
	loop->hold_context = context;
	pthread_cond_broadcast(&loop->hold_changed);
	pthread_mutex_unlock(&loop->lock);
}

void loop_release(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->hold_wanted = false;
	pthread_cond_broadcast(&loop->hold_changed);
	pthread_mutex_unlock(&loop->lock);
	/* The task is free to be posted again. */
	loop_await_held(loop, false);
}

int loop_own(struct loop *loop, int fd)
{
	loop_assert_here(loop);
	return fd_bits_add(&loop->owned, fd);
}

void loop_disown(struct loop *loop, int fd)
{
	loop_assert_here(loop);
	fd_bits_remove(&loop->owned, fd);
}

void loop_abandon(struct loop *loop)
{
	fd_bits_close(&loop->owned);
	close_fd(&loop->prompt_fd);
	close_fd(&loop->epoll_fd);
	close_fd(&loop->wakeup.fd);
}

/* ---- running ------------------------------------------------------------------------------ */

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	loop_wake(loop);
}

/* The time until the next timer: false for "for ever". */
static bool loop_timeout(const struct loop *loop, struct timespec *ret)
{
	const struct loop_timer *first = loop->timers.first;
	uint64_t now_ns, left_ns;

	if (!first)
		return false;
	now_ns = clock_now_ns();
	left_ns = first->deadline_ns > now_ns ? first->deadline_ns - now_ns : 0;
	ret->tv_sec = (time_t)(left_ns / NS_PER_S);
	ret->tv_nsec = (long)(left_ns % NS_PER_S);
	return true;
}

static int loop_poll(struct loop *loop, const struct timespec *timeout)
{
	if (!loop->no_pwait2) {
		long count = syscall(SYS_epoll_pwait2, loop->epoll_fd, loop->batch.events,
			BATCH_MAX, timeout, NULL, (size_t)0);

		if (count >= 0 || (errno != ENOSYS && errno != EPERM))
			return (int)count;
		loop->no_pwait2 = true;
	}
	/* Whole milliseconds, rounded up: late by one rather than awake too early. */
	return epoll_wait(loop->epoll_fd, loop->batch.events, BATCH_MAX,
		timeout ? (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000)
			: -1);
}

/* Events that come within spin_ns; 0: none has. */
static int loop_spin(struct loop *loop)
{
	static const struct timespec now = {0, 0};
	uint64_t end_ns;
	int count;

	if (loop->spin_skips > 0) {
		loop->spin_skips--;
		return 0;
	}
	end_ns = clock_now_ns() + loop->spin_ns;
	if (loop->timers.first && loop->timers.first->deadline_ns < end_ns)
		end_ns = loop->timers.first->deadline_ns;
	while ((count = loop_poll(loop, &now)) == 0 && clock_now_ns() < end_ns)
		sched_yield();
	if (count != 0) {
		loop->spin_misses = 0;
		return count;
	}
	/* Twice as long a pause after each miss: 2, 4, ... 256 rounds. */
	if (loop->spin_misses < SPIN_MISSES_MAX)
		loop->spin_misses++;
	loop->spin_skips = 1U << loop->spin_misses;
	return 0;
}

static int loop_wait(struct loop *loop)
{
	struct timespec timeout;
	int count = loop->spin_ns > 0 ? loop_spin(loop) : 0;

	if (count != 0)
		return count;
	return loop_poll(loop, loop_timeout(loop, &timeout) ? &timeout : NULL);
}

static bool batch_handle_next(struct batch *batch)
{
	struct epoll_event *event;
	struct loop_fd *fd;

	if (batch->next >= batch->len)
		return false;
	event = &batch->events[batch->next++];
	fd = event->data.ptr;
	if (fd)
		fd->ready(fd, event->events);
	return true;
}

/* Those who wait come first, when others have been at work for long enough. */
static void loop_look_at_prompt(struct loop *loop)
{
	uint64_t now_ns = clock_now_ns();

	if (now_ns - loop->prompt_ns < PROMPT_NS)
		return;
	loop->prompt_ns = now_ns;
	loop->prompt.next = 0;
	loop->prompt.len = epoll_wait(loop->prompt_fd, loop->prompt.events, BATCH_MAX, 0);
	while (batch_handle_next(&loop->prompt))
		;
	loop->prompt.len = 0;
}

static int loop_round(struct loop *loop)
{
	struct batch *batch = &loop->batch;
	int count = loop_wait(loop);

	if (count < 0 && errno != EINTR)
		return -errno;
	batch->len = count > 0 ? count : 0;
	batch->next = 0;
	if (batch->len > 1)
		loop->prompt_ns = clock_now_ns();
	while (batch_handle_next(batch))
		if (batch->next < batch->len)
			loop_look_at_prompt(loop);
	batch->len = 0;
	loop_run_timers(loop);
	return 0;
}

static int loop_serve(struct loop *loop)
{
	int err = 0;

	while (err == 0 && !atomic_load_explicit(&loop->stop, memory_order_relaxed))
		err = loop_round(loop);
	loop_run_tasks(loop);
	return err;
}

int loop_run(struct loop *loop)
{
	int err;

	assert(!loop->started);
	loop->thread = pthread_self();
	loop->started = true;
	err = loop_serve(loop);
	loop->started = false;
	atomic_store(&loop->stop, false);
	return err;
}

static void *loop_thread(void *context)
{
	struct loop *loop = context;

	loop->thread = pthread_self();
	loop_serve(loop);
	return NULL;
}

int loop_start(struct loop *loop, const char *name)
{
	sigset_t before;
	int err;

	assert(!loop->started);
	signals_block(&before);
	loop->started = true;
	loop->thread = 0;
	err = pthread_create(&loop->joinable, NULL, loop_thread, loop);
	signals_restore(&before);
	if (err != 0) {
		loop->started = false;
		return -err;
	}
	loop->has_thread = true;
	pthread_setname_np(loop->joinable, name);
	return 0;
}

void loop_join(struct loop *loop)
{
	if (!loop->has_thread)
		return;
	pthread_join(loop->joinable, NULL);
	loop->has_thread = false;
	loop->started = false;
	atomic_store(&loop->stop, false);
}
