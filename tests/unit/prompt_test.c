/*
 * prompt_test.c - descriptors of those who wait are looked at between the handlers of others.
 *
 * What a test checks is the order of handlers. Those of ordinary descriptors take longer than a
 * prompt one may be kept waiting, so that the order does not depend on the machine's speed.
 */
#include "check.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

#define BUSY_NS (60 * NS_PER_US) /* longer than others may keep a prompt one waiting */
#define ORDER_MAX 32

/* What was handled, in order: a letter each. */
static char order[ORDER_MAX + 1];
static size_t order_len;

struct prompt_fd {
	struct loop_fd fd;
	struct loop *loop;
	char name;
	unsigned taken;           /* times that there was something to read */
	bool busy;                /* for BUSY_NS */
	struct prompt_fd *raised; /* becomes readable meanwhile */
	struct prompt_fd *removed, *freed, *added;
};

static void raise_fd(const struct prompt_fd *fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd->fd.fd, &one, sizeof one), sizeof one);
}

static void note_in_order(struct loop_fd *fd, uint32_t events)
{
	struct prompt_fd *self = container_of(fd, struct prompt_fd, fd);
	uint64_t end_ns = clock_now_ns() + BUSY_NS, count;

	assert_true(events & EPOLLIN);
	/* A prompt one may be called for what it has taken already, and finds nothing then. */
	if (read(fd->fd, &count, sizeof count) == sizeof count) {
		self->taken++;
		if (order_len < ORDER_MAX)
			order[order_len++] = self->name;
	}
	if (self->raised)
		raise_fd(self->raised);
	self->raised = NULL;
	if (self->removed)
		loop_remove(self->loop, &self->removed->fd);
	if (self->added)
		assert_int_equal(loop_add_prompt(self->loop, &self->added->fd, EPOLLIN), 0);
	self->removed = self->added = NULL;
	if (self->freed) {
		loop_remove(self->loop, &self->freed->fd);
		close(self->freed->fd.fd);
		memset(self->freed, 0xff, sizeof *self->freed);
		free(self->freed);
	}
	self->freed = NULL;
	while (self->busy && clock_now_ns() < end_ns)
		;
}

static struct loop *make_loop(void)
{
	struct loop *loop;

	assert_int_equal(loop_create(&loop), 0);
	return loop;
}

static struct loop *round_of;

static void end_round(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(round_of);
}

/* What is ready now, and what comes to the prompt ones meanwhile. */
static void run_round(struct loop *loop)
{
	struct loop_timer timer = {.expired = end_round};

	round_of = loop;
	loop_timer_set(loop, &timer, clock_now_ns());
	assert_int_equal(loop_run(loop), 0);
}

static struct prompt_fd *make_ordered(struct loop *loop, char name, bool prompt, bool ready)
{
	struct prompt_fd *fd = calloc(1, sizeof *fd);
	int err;

	assert_non_null(fd);
	fd->loop = loop;
	fd->name = name;
	fd->busy = !prompt;
	fd->fd.fd = eventfd(ready, EFD_CLOEXEC | EFD_NONBLOCK);
	fd->fd.ready = note_in_order;
	err = prompt ? loop_add_prompt(loop, &fd->fd, EPOLLIN) : loop_add(loop, &fd->fd, EPOLLIN);
	assert_int_equal(err, 0);
	return fd;
}

static void free_ordered(struct prompt_fd *fd)
{
	loop_remove(fd->loop, &fd->fd);
	close(fd->fd.fd);
	free(fd);
}

static const char *run_in_order(struct loop *loop)
{
	order_len = 0;
	memset(order, 0, sizeof order);
	run_round(loop);
	return order;
}

static void a_prompt_descriptor_is_handled_between_others(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *p = make_ordered(loop, 'p', true, false);
	struct prompt_fd *a = make_ordered(loop, 'a', false, true);
	struct prompt_fd *b = make_ordered(loop, 'b', false, true);
	struct prompt_fd *c = make_ordered(loop, 'c', false, true);

	(void)state;
	a->raised = p;
	assert_string_equal(run_in_order(loop), "apbc");
	/* And again, later in the batch. */
	raise_fd(a);
	raise_fd(b);
	raise_fd(c);
	b->raised = p;
	assert_string_equal(run_in_order(loop), "abpc");
	free_ordered(p);
	free_ordered(a);
	free_ordered(b);
	free_ordered(c);
	loop_destroy(loop);
}

/* The same one that is not prompt has to wait for the next round. */
static void any_other_descriptor_waits_for_the_round_to_end(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *other = make_ordered(loop, 'o', false, false);
	struct prompt_fd *a = make_ordered(loop, 'a', false, true);
	struct prompt_fd *b = make_ordered(loop, 'b', false, true);

	(void)state;
	a->raised = other;
	assert_string_equal(run_in_order(loop), "ab");
	assert_string_equal(run_in_order(loop), "o");
	free_ordered(other);
	free_ordered(a);
	free_ordered(b);
	loop_destroy(loop);
}

/* Asleep, the loop is woken by a prompt one as by any other. */
static void a_prompt_descriptor_alone_is_handled(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *p = make_ordered(loop, 'p', true, true);

	(void)state;
	assert_string_equal(run_in_order(loop), "p");
	raise_fd(p);
	assert_string_equal(run_in_order(loop), "p");
	free_ordered(p);
	loop_destroy(loop);
}

static void more_prompt_descriptors_than_a_batch_are_all_handled(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *a = make_ordered(loop, 'a', false, true);
	struct prompt_fd *fds[200];

	(void)state;
	for (size_t i = 0; i < array_len(fds); i++)
		fds[i] = make_ordered(loop, 'p', true, true);
	for (int i = 0; i < 6; i++) {
		run_round(loop);
		raise_fd(a);
	}
	for (size_t i = 0; i < array_len(fds); i++) {
		assert_int_equal(fds[i]->taken, 1);
		free_ordered(fds[i]);
	}
	free_ordered(a);
	loop_destroy(loop);
}

/* Which is in the batch that its handler interrupts: ordinary, prompt, or itself. */
static void a_prompt_handler_may_remove_and_free_others(void **state)
{
	(void)state;
	for (int prompt = 0; prompt < 2; prompt++) {
		struct loop *loop = make_loop();
		struct prompt_fd *p = make_ordered(loop, 'p', true, false);
		struct prompt_fd *a = make_ordered(loop, 'a', false, true);
		struct prompt_fd *b = make_ordered(loop, 'b', prompt, !prompt);
		struct prompt_fd *c = make_ordered(loop, 'c', false, true);

		/* Both prompt ones are ready before a is done, p first. */
		a->raised = p;
		if (prompt)
			p->raised = b;
		p->freed = b;
		assert_string_equal(run_in_order(loop), "apc");
		free_ordered(p);
		free_ordered(a);
		free_ordered(c);
		loop_destroy(loop);
	}
}

/* Both are reported in one look; whichever comes first takes the other away. */
static void a_prompt_handler_may_free_another_of_its_batch(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *p = make_ordered(loop, 'p', true, false);
	struct prompt_fd *q = make_ordered(loop, 'q', true, false);
	struct prompt_fd *a = make_ordered(loop, 'a', false, true);
	struct prompt_fd *b = make_ordered(loop, 'b', false, true);

	(void)state;
	raise_fd(p);
	raise_fd(q);
	/* Out of the main batch, that they be met in the prompt one. */
	p->freed = q;
	q->freed = p;
	a->busy = b->busy = true;
	run_in_order(loop);
	assert_int_equal(order_len, 3);
	assert_true(!strchr(order, 'p') != !strchr(order, 'q'));
	free_ordered(strchr(order, 'p') ? p : q);
	free_ordered(a);
	free_ordered(b);
	loop_destroy(loop);
}

/* The main batch still has its event when it is gone. */
static void a_prompt_descriptor_may_be_freed_before_its_turn(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *a = make_ordered(loop, 'a', false, true);
	struct prompt_fd *b = make_ordered(loop, 'b', false, true);
	struct prompt_fd *p = make_ordered(loop, 'p', true, true);

	(void)state;
	a->freed = p;
	assert_string_equal(run_in_order(loop), "ab");
	free_ordered(a);
	free_ordered(b);
	loop_destroy(loop);
}

static void a_prompt_descriptor_may_remove_itself_and_come_back(void **state)
{
	struct loop *loop = make_loop();
	struct prompt_fd *p = make_ordered(loop, 'p', true, false);
	struct prompt_fd *a = make_ordered(loop, 'a', false, true);
	struct prompt_fd *b = make_ordered(loop, 'b', false, true);
	struct prompt_fd *c = make_ordered(loop, 'c', false, true);

	(void)state;
	/* Gone from both epolls: ready, and not called. */
	a->raised = p;
	p->removed = p;
	b->raised = p;
	assert_string_equal(run_in_order(loop), "apbc");
	assert_string_equal(run_in_order(loop), "");
	/* It is still readable when it comes back, and prompt again. */
	raise_fd(a);
	raise_fd(b);
	a->added = p;
	assert_string_equal(run_in_order(loop), "apb");
	/* Adding it as an ordinary one makes it that. */
	loop_remove(loop, &p->fd);
	assert_int_equal(loop_add(loop, &p->fd, EPOLLIN), 0);
	raise_fd(a);
	raise_fd(b);
	a->raised = p;
	assert_string_equal(run_in_order(loop), "ab");
	assert_string_equal(run_in_order(loop), "p");
	free_ordered(p);
	free_ordered(a);
	free_ordered(b);
	free_ordered(c);
	loop_destroy(loop);
}

static void a_prompt_descriptor_that_epoll_refuses_is_an_error(void **state)
{
	struct loop *loop = make_loop();
	struct loop_fd closed = {.fd = -1, .ready = note_in_order};

	(void)state;
	assert_int_equal(loop_add_prompt(loop, &closed, EPOLLIN), -EBADF);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prompt_descriptor_is_handled_between_others),
		cmocka_unit_test(any_other_descriptor_waits_for_the_round_to_end),
		cmocka_unit_test(a_prompt_descriptor_alone_is_handled),
		cmocka_unit_test(more_prompt_descriptors_than_a_batch_are_all_handled),
		cmocka_unit_test(a_prompt_handler_may_remove_and_free_others),
		cmocka_unit_test(a_prompt_handler_may_free_another_of_its_batch),
		cmocka_unit_test(a_prompt_descriptor_may_be_freed_before_its_turn),
		cmocka_unit_test(a_prompt_descriptor_may_remove_itself_and_come_back),
		cmocka_unit_test(a_prompt_descriptor_that_epoll_refuses_is_an_error),
	};

	return run_group(tests);
}
