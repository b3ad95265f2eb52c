/*
 * loop_test.c - timers, descriptors and calls of the loop, on the test's thread and on its own.
 *
 * No test here waits for a time to be long enough: those that watch an idle loop can only fail when
 * it wakes up.
 */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

#define TIMERS 500
#define THREADS 8
#define CALLS 500

static struct loop *make_loop(void)
{
	struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	return loop;
}

/* ---- timers ------------------------------------------------------------------------------- */

struct test_timer {
	struct loop_timer timer;
	struct loop *loop;
	unsigned expired;
	struct loop_timer *other; /* cancelled, or moved to other_ns, by this one */
	uint64_t other_ns;
};

static uint64_t expired_ns[TIMERS]; /* deadlines, in the order of expiry */
static size_t expired_count;

static void note_expiry(struct loop_timer *timer)
{
	struct test_timer *self = container_of(timer, struct test_timer, timer);

	self->expired++;
	if (expired_count < TIMERS)
		expired_ns[expired_count] = timer->deadline_ns;
	expired_count++;
	if (self->other && self->other_ns)
		loop_timer_set(self->loop, self->other, self->other_ns);
	else if (self->other)
		loop_timer_cancel(self->loop, self->other);
}

static void stop_at_expiry(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct test_timer, timer)->loop);
}

/* Runs the loop until all timers up to now have expired. */
static void run_until_now(struct loop *loop)
{
	struct test_timer last = {.timer.expired = stop_at_expiry, .loop = loop};

	loop_timer_set(loop, &last.timer, clock_now_ns());
	assert_int_equal(loop_run(loop), 0);
}

static void timers_expire_in_the_order_of_their_deadlines(void **state)
{
	static struct test_timer timers[TIMERS];
	struct loop *loop = make_loop();
	uint64_t seed = 1, now_ns = clock_now_ns();
	size_t left = 0;

	(void)state;
	expired_count = 0;
	memset(timers, 0, sizeof timers);
	for (size_t i = 0; i < TIMERS; i++)
		timers[i] = (struct test_timer){.timer.expired = note_expiry, .loop = loop};
	/* Set, moved and cancelled at random, so that the heap is stirred. */
	for (size_t i = 0; i < 20 * TIMERS; i++) {
		struct loop_timer *timer = &timers[random_next(&seed) % TIMERS].timer;

		if (random_next(&seed) % 4 == 0)
			loop_timer_cancel(loop, timer);
		else
			loop_timer_set(loop, timer, now_ns - random_next(&seed) % 1000000);
	}
	for (size_t i = 0; i < TIMERS; i++)
		left += timers[i].timer.slot != 0;
	assert_true(left > 0);
	run_until_now(loop);
	assert_int_equal(expired_count, left);
	for (size_t i = 1; i < left; i++)
		assert_true(expired_ns[i - 1] <= expired_ns[i]);
	for (size_t i = 0; i < TIMERS; i++) {
		assert_true(timers[i].expired <= 1);
		assert_int_equal(timers[i].timer.slot, 0);
	}
	loop_destroy(loop);
}

static void a_timer_never_expires_before_its_deadline(void **state)
{
	struct loop *loop = make_loop();
	struct test_timer timer = {.timer.expired = stop_at_expiry, .loop = loop};
	uint64_t deadline_ns = clock_now_ns() + 3 * NS_PER_MS + 456789;

	(void)state;
	loop_timer_set(loop, &timer.timer, deadline_ns);
	loop_run(loop);
	assert_true(clock_now_ns() >= deadline_ns);
	loop_destroy(loop);
}

static void an_expiring_timer_may_cancel_the_next_one(void **state)
{
	struct loop *loop = make_loop();
	uint64_t now_ns = clock_now_ns();
	struct test_timer second = {.timer.expired = note_expiry, .loop = loop};
	struct test_timer first = {
		.timer.expired = note_expiry, .loop = loop, .other = &second.timer};

	(void)state;
	loop_timer_set(loop, &first.timer, now_ns - 2);
	loop_timer_set(loop, &second.timer, now_ns - 1);
	run_until_now(loop);
	assert_int_equal(first.expired, 1);
	assert_int_equal(second.expired, 0);
	loop_destroy(loop);
}

static void setting_a_set_timer_moves_it(void **state)
{
	struct loop *loop = make_loop();
	uint64_t now_ns = clock_now_ns();
	struct test_timer second = {.timer.expired = note_expiry, .loop = loop};
	struct test_timer first = {.timer.expired = note_expiry,
		.loop = loop,
		.other = &second.timer,
		.other_ns = now_ns + 3600 * NS_PER_S};

	(void)state;
	loop_timer_set(loop, &first.timer, now_ns - 2);
	loop_timer_set(loop, &second.timer, now_ns - 1);
	run_until_now(loop);
	assert_int_equal(second.expired, 0);
	assert_int_not_equal(second.timer.slot, 0);
	loop_timer_cancel(loop, &second.timer);
	loop_timer_cancel(loop, &second.timer);
	loop_destroy(loop);
}

/* ---- descriptors -------------------------------------------------------------------------- */

struct test_fd {
	struct loop_fd fd;
	struct loop *loop;
	unsigned calls;
	struct test_fd *other; /* removed and freed, or added, by this one */
	bool add;
	bool drain;
};

static void note_ready(struct loop_fd *fd, uint32_t events)
{
	struct test_fd *self = container_of(fd, struct test_fd, fd);
	uint64_t count;

	assert_true(events & EPOLLIN);
	self->calls++;
	if (self->drain)
		assert_int_equal(read(fd->fd, &count, sizeof count), sizeof count);
	if (!self->other)
		return;
	if (self->add) {
		loop_add(self->loop, &self->other->fd, EPOLLIN);
	} else {
		loop_remove(self->loop, &self->other->fd);
		close(self->other->fd.fd);
		/* A call of it would be seen by the sanitizers, and here. */
		memset(self->other, 0xff, sizeof *self->other);
		free(self->other);
	}
	self->other = NULL;
}

static struct test_fd *make_fd(struct loop *loop, unsigned count)
{
	struct test_fd *fd = calloc(1, sizeof *fd);

	assert_non_null(fd);
	fd->loop = loop;
	fd->fd.fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);
	fd->fd.ready = note_ready;
	assert_true(fd->fd.fd >= 0);
	return fd;
}

static void free_fd(struct test_fd *fd)
{
	close(fd->fd.fd);
	free(fd);
}

static void a_handler_may_remove_and_free_another_of_its_batch(void **state)
{
	struct loop *loop = make_loop();
	struct test_fd *a = make_fd(loop, 1), *b = make_fd(loop, 1);

	(void)state;
	/* Whichever comes first takes the other away. */
	a->other = b;
	b->other = a;
	loop_add(loop, &a->fd, EPOLLIN);
	loop_add(loop, &b->fd, EPOLLIN);
	run_until_now(loop);
	/* epoll reports in the order of readiness, which is that of loop_add(). */
	assert_int_equal(a->calls, 1);
	assert_null(a->other);
	loop_remove(loop, &a->fd);
	free_fd(a);
	loop_destroy(loop);
}

static void a_handler_may_add_a_descriptor(void **state)
{
	struct loop *loop = make_loop();
	struct test_fd *a = make_fd(loop, 1), *b = make_fd(loop, 1);

	(void)state;
	a->other = b;
	a->add = a->drain = b->drain = true;
	loop_add(loop, &a->fd, EPOLLIN);
	run_until_now(loop);
	run_until_now(loop);
	assert_int_equal(a->calls, 1);
	assert_int_equal(b->calls, 1);
	loop_remove(loop, &a->fd);
	loop_remove(loop, &b->fd);
	free_fd(a);
	free_fd(b);
	loop_destroy(loop);
}

static void what_a_handler_leaves_is_reported_again(void **state)
{
	struct loop *loop = make_loop();
	struct test_fd *a = make_fd(loop, 1);

	(void)state;
	loop_add(loop, &a->fd, EPOLLIN);
	for (unsigned i = 1; i <= 3; i++) {
		run_until_now(loop);
		assert_int_equal(a->calls, i);
	}
	loop_remove(loop, &a->fd);
	run_until_now(loop);
	assert_int_equal(a->calls, 3);
	free_fd(a);
	loop_destroy(loop);
}

static void more_descriptors_than_a_batch_are_all_served(void **state)
{
	struct loop *loop = make_loop();
	struct test_fd *fds[200];

	(void)state;
	for (size_t i = 0; i < array_len(fds); i++) {
		fds[i] = make_fd(loop, 1);
		fds[i]->drain = true;
		assert_int_equal(loop_add(loop, &fds[i]->fd, EPOLLIN), 0);
	}
	for (int i = 0; i < 6; i++)
		run_until_now(loop);
	for (size_t i = 0; i < array_len(fds); i++) {
		assert_int_equal(fds[i]->calls, 1);
		loop_remove(loop, &fds[i]->fd);
		free_fd(fds[i]);
	}
	loop_destroy(loop);
}

/* ---- calls from other threads ------------------------------------------------------------- */

struct test_task {
	struct loop_task task;
	size_t number;
};

static size_t task_order[CALLS];
static size_t task_count;

static void note_task(struct loop_task *task)
{
	task_order[task_count++] = container_of(task, struct test_task, task)->number;
}

static void do_nothing(void *context)
{
	(void)context;
}

static void posts_run_in_the_order_of_posting(void **state)
{
	static struct test_task tasks[CALLS];
	struct loop *loop = make_loop();

	(void)state;
	task_count = 0;
	assert_int_equal(loop_start(loop, "test"), 0);
	for (size_t i = 0; i < CALLS; i++) {
		tasks[i] = (struct test_task){.task.run = note_task, .number = i};
		loop_post(loop, &tasks[i].task);
	}
	loop_call(loop, do_nothing, NULL);
	assert_int_equal(task_count, CALLS);
	for (size_t i = 0; i < CALLS; i++)
		assert_int_equal(task_order[i], i);
	loop_stop(loop);
	loop_join(loop);
	loop_destroy(loop);
}

static void what_was_posted_before_the_stop_still_runs(void **state)
{
	static struct test_task tasks[CALLS];

	(void)state;
	for (int round = 0; round < 50; round++) {
		struct loop *loop = make_loop();

		task_count = 0;
		assert_int_equal(loop_start(loop, "test"), 0);
		for (size_t i = 0; i < 20; i++) {
			tasks[i] = (struct test_task){.task.run = note_task, .number = i};
			loop_post(loop, &tasks[i].task);
		}
		loop_stop(loop);
		loop_join(loop);
		assert_int_equal(task_count, 20);
		loop_destroy(loop);
	}
}

static struct {
	struct loop *loop;
	pthread_t thread;
	unsigned count; /* without a lock: that it is right shows that one thread counts */
	unsigned elsewhere;
} counted;

static void count_call(void *context)
{
	counted.elsewhere += !loop_is_here(counted.loop);
	counted.thread = pthread_self();
	counted.count++;
	*(unsigned *)context += 1;
	/* On the loop itself it is a plain call. */
	loop_call(counted.loop, do_nothing, NULL);
}

static void *call_often(void *context)
{
	for (unsigned i = 0; i < CALLS; i++) {
		unsigned returned = 0;

		loop_call(counted.loop, count_call, &returned);
		*(unsigned *)context += returned != 1 || loop_is_here(counted.loop);
	}
	return NULL;
}

static void calls_of_many_threads_run_on_the_loop_before_they_return(void **state)
{
	pthread_t threads[THREADS];
	unsigned wrong[THREADS] = {0};

	(void)state;
	memset(&counted, 0, sizeof counted);
	counted.loop = make_loop();
	assert_int_equal(loop_start(counted.loop, "test"), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, call_often, &wrong[i]);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(wrong[i], 0);
	}
	assert_int_equal(counted.count, THREADS * CALLS);
	assert_int_equal(counted.elsewhere, 0);
	assert_false(pthread_equal(counted.thread, pthread_self()));
	loop_stop(counted.loop);
	loop_join(counted.loop);
	loop_destroy(counted.loop);
}

static void a_call_on_a_loop_that_has_not_started_is_a_plain_call(void **state)
{
	unsigned returned = 0;

	(void)state;
	memset(&counted, 0, sizeof counted);
	counted.loop = make_loop();
	loop_call(counted.loop, count_call, &returned);
	assert_int_equal(returned, 1);
	assert_true(pthread_equal(counted.thread, pthread_self()));
	loop_destroy(counted.loop);
}

static void a_stopped_loop_can_run_again(void **state)
{
	struct loop *loop = make_loop();

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(loop_start(loop, "test"), 0);
		loop_call(loop, do_nothing, NULL);
		loop_stop(loop);
		loop_join(loop);
	}
	run_until_now(loop);
	loop_destroy(loop);
}

/* ---- its thread --------------------------------------------------------------------------- */

struct thread_facts {
	pid_t tid;
	sigset_t blocked;
	struct loop *loop;
	struct loop_timer *timer;
};

static void tell_thread(void *context)
{
	struct thread_facts *facts = context;

	facts->tid = gettid();
	pthread_sigmask(SIG_SETMASK, NULL, &facts->blocked);
	if (facts->timer)
		loop_timer_set(facts->loop, facts->timer, clock_now_ns() + 3600 * NS_PER_S);
}

/* A line of /proc/self/task/TID/status. */
static void thread_status(pid_t tid, const char *name, char *ret, size_t max)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)tid);
	file = fopen(path, "re");
	assert_non_null(file);
	*ret = '\0';
	while (fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0)
			snprintf(ret, max, "%s", line + strlen(name) + 1);
	fclose(file);
	assert_true(*ret);
}

static void assert_sleeps(pid_t tid)
{
	char value[128], before[128];

	/* Until it has gone to sleep after what the test did last; the test's limit bounds this. */
	do {
		usleep(1000);
		thread_status(tid, "State:", value, sizeof value);
	} while (!strchr(value, 'S'));
	thread_status(tid, "voluntary_ctxt_switches:", before, sizeof before);
	usleep(200000);
	thread_status(tid, "voluntary_ctxt_switches:", value, sizeof value);
	assert_string_equal(value, before);
}

static void an_idle_loop_does_not_wake_up(void **state)
{
	struct thread_facts facts = {.loop = make_loop()};

	(void)state;
	assert_int_equal(loop_start(facts.loop, "test"), 0);
	loop_call(facts.loop, tell_thread, &facts);
	usleep(10000);
	assert_sleeps(facts.tid);
	loop_stop(facts.loop);
	loop_join(facts.loop);
	loop_destroy(facts.loop);
}

static void a_loop_with_a_distant_timer_does_not_wake_up(void **state)
{
	struct loop_timer timer = {.expired = note_expiry};
	struct thread_facts facts = {.loop = make_loop(), .timer = &timer};

	(void)state;
	assert_int_equal(loop_start(facts.loop, "test"), 0);
	loop_call(facts.loop, tell_thread, &facts);
	usleep(10000);
	assert_sleeps(facts.tid);
	loop_stop(facts.loop);
	loop_join(facts.loop);
	loop_destroy(facts.loop);
}

static void its_thread_blocks_all_signals(void **state)
{
	struct thread_facts facts = {.loop = make_loop()};
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGPROF, SIGALRM};

	(void)state;
	assert_int_equal(loop_start(facts.loop, "test"), 0);
	loop_call(facts.loop, tell_thread, &facts);
	for (size_t i = 0; i < array_len(signals); i++)
		assert_true(sigismember(&facts.blocked, signals[i]));
	loop_stop(facts.loop);
	loop_join(facts.loop);
	loop_destroy(facts.loop);
}

static void readers_are_left_a_cpu_and_few_loops_are_enough(void **state)
{
	int cpus;
	cpu_set_t before, one;
	size_t first = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
	cpus = CPU_COUNT(&before) > 1 ? CPU_COUNT(&before) - 1 : 1;
	assert_int_equal(loops_default(), cpus < LOOPS_MAX ? cpus : LOOPS_MAX);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	assert_int_equal(loops_default(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void nothing_happens_to_a_null_loop(void **state)
{
	(void)state;
	loop_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_expire_in_the_order_of_their_deadlines),
		cmocka_unit_test(a_timer_never_expires_before_its_deadline),
		cmocka_unit_test(an_expiring_timer_may_cancel_the_next_one),
		cmocka_unit_test(setting_a_set_timer_moves_it),
		cmocka_unit_test(a_handler_may_remove_and_free_another_of_its_batch),
		cmocka_unit_test(a_handler_may_add_a_descriptor),
		cmocka_unit_test(what_a_handler_leaves_is_reported_again),
		cmocka_unit_test(more_descriptors_than_a_batch_are_all_served),
		cmocka_unit_test(posts_run_in_the_order_of_posting),
		cmocka_unit_test(what_was_posted_before_the_stop_still_runs),
		cmocka_unit_test(calls_of_many_threads_run_on_the_loop_before_they_return),
		cmocka_unit_test(a_call_on_a_loop_that_has_not_started_is_a_plain_call),
		cmocka_unit_test(a_stopped_loop_can_run_again),
		cmocka_unit_test(an_idle_loop_does_not_wake_up),
		cmocka_unit_test(a_loop_with_a_distant_timer_does_not_wake_up),
		cmocka_unit_test(its_thread_blocks_all_signals),
		cmocka_unit_test(readers_are_left_a_cpu_and_few_loops_are_enough),
		cmocka_unit_test(nothing_happens_to_a_null_loop),
	};

	return run_group(tests);
}
