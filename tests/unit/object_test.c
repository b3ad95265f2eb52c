/*
 * object_test.c - objects, blocks and transfers over a source that does what the test says.
 *
 * http_source_create() is defined here, so that the core gets a source without any network: it
 * keeps the exchanges it was given, and bytes arrive when a test delivers them. The byte at offset
 * i of the object is pattern(i). The loop runs only where a test waits for a timer.
 */
#include "check.h"

#include <errno.h>

#include "clock.h"
#include "core.h"
#include "loop.h"
#include "object.h"

#define GETS_MAX 512
#define BLOCK BLOCK_BYTES
#define PAGE PAGE_BYTES

/* ---- the source ---------------------------------------------------------------------------- */

static struct fake {
	struct source source;
	struct exchange *gets[GETS_MAX]; /* under way, in the order of submission */
	size_t count;
	unsigned submitted, cancelled, pinned;
	int refuse; /* what get returns from now on */
} fake;

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 131 + (offset >> 12) * 7 + (offset >> 20));
}

static int fake_get(struct source *source, struct exchange *exchange)
{
	(void)source;
	assert_false(range_empty(exchange->range));
	assert_true(range_length(exchange->range) <= EXCHANGE_BYTES_MAX);
	assert_true(exchange->range.end <= exchange->remote->version.size);
	if (fake.refuse)
		return fake.refuse;
	assert_true(fake.count < GETS_MAX);
	exchange->received_bytes = 0;
	exchange->status = 0;
	exchange->again = exchange->at_no_cost = false;
	exchange->retry_after_ms = 0;
	exchange->submit_ns = clock_now_ns();
	fake.gets[fake.count++] = exchange;
	fake.submitted++;
	return 0;
}

static void fake_forget(struct exchange *exchange)
{
	size_t i = 0;

	while (i < fake.count && fake.gets[i] != exchange)
		i++;
	assert_true(i < fake.count);
	memmove(&fake.gets[i], &fake.gets[i + 1], (fake.count - i - 1) * sizeof *fake.gets);
	fake.count--;
}

static void fake_get_cancel(struct source *source, struct exchange *exchange)
{
	(void)source;
	fake_forget(exchange);
	fake.cancelled++;
}

static void fake_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source;
	exchange->urgent = true;
}

static void fake_unpin(struct source *source, struct remote *remote)
{
	(void)source;
	free(remote);
	fake.pinned--;
}

static void fake_destroy(struct source *source)
{
	(void)source;
	assert_int_equal(fake.count, 0);
}

static const struct source_ops fake_ops = {
	.destroy = fake_destroy,
	.get = fake_get,
	.get_cancel = fake_get_cancel,
	.get_hurry = fake_get_hurry,
	.unpin = fake_unpin,
};

int http_source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	(void)options;
	fake = (struct fake){.source = {.ops = &fake_ops, .loop = loop}};
	*ret = &fake.source;
	return 0;
}

/* len bytes arrive, in pieces as the buffers have room for. Stops when the exchange is cancelled.
 */
static void deliver(struct exchange *exchange, uint64_t len)
{
	unsigned cancelled = fake.cancelled;

	while (len > 0 && fake.cancelled == cancelled) {
		uint64_t at = exchange->range.start + exchange->received_bytes;
		size_t room;
		uint8_t *buffer = exchange->ops->buffer(exchange, &room);
		size_t part = len < room ? (size_t)len : room;

		assert_true(room > 0);
		for (size_t i = 0; i < part; i++)
			buffer[i] = pattern(at + i);
		exchange->received_bytes += part;
		len -= part;
		exchange->ops->received(exchange, buffer, part);
	}
}

/* The same from memory that is not the exchange's buffer, as the bytes that come with the head are.
 */
static void deliver_elsewhere(struct exchange *exchange, size_t len)
{
	uint64_t at = exchange->range.start + exchange->received_bytes;
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(at + i);
	exchange->received_bytes += len;
	exchange->ops->received(exchange, bytes, len);
	free(bytes);
}

static void end(struct exchange *exchange, int err, bool again)
{
	fake_forget(exchange);
	exchange->again = again;
	if (err < 0)
		snprintf(exchange->error, sizeof exchange->error, "get: fake: %d", err);
	exchange->ops->done(exchange, err);
}

static void deliver_all(struct exchange *exchange)
{
	deliver(exchange, range_length(exchange->range) - exchange->received_bytes);
	end(exchange, 0, false);
}

static void deliver_everything(void)
{
	while (fake.count > 0)
		deliver_all(fake.gets[0]);
}

/* In ranges as long as may be. */
static int ask(struct object *object, struct range range, uint64_t urgent)
{
	return object_fetch(object, range, urgent, UINT64_MAX);
}

/* ---- wants --------------------------------------------------------------------------------- */

struct test_want {
	struct want want;
	struct object *object;
	uint64_t bytes;  /* that arrived */
	uint64_t failed; /* bytes that failed */
	int err;
	unsigned arrivals;
	struct want *remove;     /* removed at the next arrival */
	struct object **destroy; /* destroyed then */
	struct range drop;       /* dropped then */
	struct range fetch;      /* fetched then */
};

static void want_arrived(struct want *want, const struct arrival *arrival)
{
	struct test_want *self = container_of(want, struct test_want, want);
	const uint8_t *bytes = arrival->bytes;

	assert_true(arrival->range.start % PAGE == 0);
	assert_true(
		arrival->range.end % PAGE == 0 || arrival->range.end == object_size(self->object));
	for (uint64_t i = 0; i < range_length(arrival->range); i++)
		if (bytes[i] != pattern(arrival->range.start + i))
			fail_msg("byte %llu is wrong",
				(unsigned long long)(arrival->range.start + i));
	self->bytes += range_length(range_intersect(arrival->range, want->range));
	self->arrivals++;
	if (!range_empty(self->drop))
		object_drop(self->object, self->drop);
	if (!range_empty(self->fetch)) {
		struct range fetch = self->fetch;

		self->fetch = (struct range){0, 0};
		assert_int_equal(ask(self->object, fetch, PAGE), 0);
	}
	if (self->remove)
		object_remove_want(self->object, self->remove);
	self->remove = NULL;
	if (self->destroy)
		object_destroy(*self->destroy);
}

static void want_failed(struct want *want, struct range range, const struct failure *failure)
{
	struct test_want *self = container_of(want, struct test_want, want);

	assert_true(failure->err < 0);
	assert_non_null(failure->error);
	self->failed += range_length(range);
	self->err = failure->err;
}

static void add_want(struct test_want *self, struct object *object, uint64_t start, uint64_t end_at)
{
	*self = (struct test_want){
		.want.range = {start, end_at},
		.want.arrived = want_arrived,
		.want.failed = want_failed,
		.object = object,
	};
	object_add_want(object, &self->want);
}

/* ---- fixture ------------------------------------------------------------------------------- */

static struct loop *loop;
static struct core *core;

static void make_core(struct core_options options)
{
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(core_create(loop, &options, &core), 0);
}

/* Nothing may be left of anything. */
static void finish_core(void)
{
	const struct core_stats *stats = core_stats(core);

	assert_true(stats->transfers == 0);
	assert_true(stats->objects == 0);
	assert_true(stats->blocks == 0);
	assert_true(stats->buffer_bytes == 0);
	assert_int_equal(fake.count, 0);
	assert_int_equal(fake.pinned, 0);
	core_destroy(core);
	loop_destroy(loop);
}

static struct object *make_object(uint64_t size, bool keep)
{
	struct remote *remote = calloc(1, sizeof *remote);
	struct object *object;

	assert_non_null(remote);
	remote->source = &fake.source;
	remote->version.size = size;
	fake.pinned++;
	assert_int_equal(object_create(core, remote, keep, &object), 0);
	return object;
}

struct limit {
	struct loop_timer timer;
	bool *until;
	uint64_t end_ns;
};

static bool submitted_again(unsigned before)
{
	return fake.submitted > before;
}

static void look_again(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* Runs the loop until an exchange was submitted, or no transfer is left. */
static bool wait_for_attempt(unsigned before)
{
	struct loop_timer timer = {.expired = look_again};

	while (!submitted_again(before) && core_stats(core)->transfers > 0) {
		loop_timer_set(loop, &timer, clock_now_ns() + NS_PER_MS);
		loop_run(loop);
	}
	return submitted_again(before);
}

/* ---- fetching ------------------------------------------------------------------------------ */

static void one_transfer_for_each_absent_run(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	/* Pages 10 and 70, which the fetch over them leaves alone: three runs. */
	assert_int_equal(ask(object, (struct range){10 * PAGE, 11 * PAGE}, PAGE), 0);
	assert_int_equal(ask(object, (struct range){70 * PAGE, 71 * PAGE}, PAGE), 0);
	assert_int_equal(fake.count, 2);
	assert_int_equal(ask(object, (struct range){0, 2 * BLOCK}, PAGE), 0);
	assert_int_equal(fake.count, 5);
	assert_true(fake.gets[2]->range.start == 0 && fake.gets[2]->range.end == 10 * PAGE);
	assert_true(fake.gets[3]->range.start == 11 * PAGE && fake.gets[3]->range.end == 70 * PAGE);
	assert_true(fake.gets[4]->range.start == 71 * PAGE && fake.gets[4]->range.end == 2 * BLOCK);
	/* All is in flight: asking again starts nothing. */
	assert_int_equal(ask(object, (struct range){0, 2 * BLOCK}, PAGE), 0);
	assert_int_equal(fake.count, 5);
	deliver_everything();
	assert_true(want.bytes == 2 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_want_that_joins_readahead_hurries_it(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	assert_int_equal(ask(object, (struct range){0, BLOCK}, 0), 0);
	assert_int_equal(ask(object, (struct range){2 * BLOCK, 3 * BLOCK}, 0), 0);
	assert_false(fake.gets[0]->urgent || fake.gets[1]->urgent);
	/* Somebody waits for a page in the middle of the second; its readahead joins the first. */
	assert_int_equal(ask(object, (struct range){2 * BLOCK + 5 * PAGE, 3 * BLOCK}, PAGE), 0);
	assert_int_equal(fake.count, 2);
	assert_true(fake.gets[1]->urgent);
	assert_false(fake.gets[0]->urgent);
	deliver_everything();
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_long_run_is_cut_into_exchanges_of_the_longest_length(void **state)
{
	struct object *object;
	struct test_want want;
	uint64_t size = 2 * EXCHANGE_BYTES_MAX + 5 * PAGE + 1;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(size, false);
	add_want(&want, object, 0, size);
	assert_int_equal(ask(object, (struct range){PAGE, size}, 2 * PAGE), 0);
	assert_int_equal(fake.count, 3);
	assert_true(fake.gets[0]->range.start == PAGE && fake.gets[2]->range.end == size);
	assert_true(fake.gets[0]->urgent && !fake.gets[1]->urgent);
	deliver_everything();
	assert_true(want.bytes == size - PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_run_is_cut_into_chunks_when_that_is_asked_for(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	assert_int_equal(object_fetch(object, (struct range){PAGE, 3 * BLOCK}, PAGE, BLOCK), 0);
	assert_int_equal(fake.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(fake.gets[i]->urgent, i == 0);
	assert_true(fake.gets[0]->range.end == PAGE + BLOCK);
	deliver_everything();
	assert_true(want.bytes == 3 * BLOCK - PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void the_request_never_asks_past_the_objects_end(void **state)
{
	static const uint64_t sizes[] = {1, PAGE - 1, PAGE, PAGE + 1, BLOCK - 1, BLOCK, BLOCK + 1};

	(void)state;
	make_core((struct core_options){0});
	for (size_t i = 0; i < array_len(sizes); i++)
		for (int keep = 0; keep < 2; keep++) {
			struct object *object = make_object(sizes[i], keep);
			struct test_want want;

			add_want(&want, object, 0, 2 * BLOCK);
			ask(object, (struct range){0, 2 * BLOCK}, 2 * BLOCK);
			assert_int_equal(fake.count, 1);
			assert_true(fake.gets[0]->range.end == sizes[i]);
			deliver_everything();
			assert_true(want.bytes == sizes[i]);
			assert_int_equal(object_present(object, (struct range){0, sizes[i]}), keep);
			object_remove_want(object, &want.want);
			object_destroy(object);
		}
	finish_core();
}

static void pages_are_published_as_they_arrive(void **state)
{
	for (int keep = 0; keep < 2; keep++) {
		struct object *object;
		struct test_want want;

		(void)state;
		make_core((struct core_options){0});
		object = make_object(BLOCK, keep);
		add_want(&want, object, 0, BLOCK);
		ask(object, (struct range){3 * PAGE, 6 * PAGE}, PAGE);
		deliver(fake.gets[0], PAGE - 1);
		assert_true(want.bytes == 0);
		deliver(fake.gets[0], 1);
		assert_true(want.bytes == PAGE);
		deliver_elsewhere(fake.gets[0], PAGE / 2);
		assert_true(want.bytes == PAGE);
		deliver(fake.gets[0], PAGE);
		assert_true(want.bytes == 2 * PAGE);
		deliver_all(fake.gets[0]);
		assert_true(want.bytes == 3 * PAGE);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void bytes_are_right_however_they_are_cut(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (int round = 0; round < 60; round++) {
		uint64_t size = 1 + random_next(&seed) % (3 * BLOCK);
		struct object *object;
		struct test_want want;

		make_core((struct core_options){0});
		object = make_object(size, round % 2);
		add_want(&want, object, 0, size);
		ask(object, (struct range){0, size}, PAGE);
		/* The first piece comes with the head, later ones by the exchange's buffer. */
		deliver_elsewhere(fake.gets[0],
			(size_t)(1 + random_next(&seed) % (size < 16000 ? size : 16000)));
		while (fake.gets[0]->received_bytes < size) {
			uint64_t left = size - fake.gets[0]->received_bytes;
			uint64_t most = 1 + random_next(&seed) % 40000;

			deliver(fake.gets[0], left < most ? left : most);
		}
		end(fake.gets[0], 0, false);
		assert_true(want.bytes == size);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void a_page_goes_to_every_want_that_overlaps_it(void **state)
{
	struct object *object;
	struct test_want wants[3];

	(void)state;
	make_core((struct core_options){0});
	object = make_object(BLOCK, false);
	add_want(&wants[0], object, 0, BLOCK);
	add_want(&wants[1], object, PAGE, 2 * PAGE);
	add_want(&wants[2], object, 2 * PAGE, BLOCK);
	ask(object, (struct range){0, 2 * PAGE}, PAGE);
	deliver_everything();
	assert_true(wants[0].bytes == 2 * PAGE);
	assert_true(wants[1].bytes == PAGE);
	assert_true(wants[2].bytes == 0);
	for (size_t i = 0; i < 3; i++)
		object_remove_want(object, &wants[i].want);
	object_destroy(object);
	finish_core();
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void the_last_want_takes_its_transfers_with_it(void **state)
{
	struct object *object;
	struct test_want wants[2];

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&wants[0], object, 0, 2 * BLOCK);
	add_want(&wants[1], object, BLOCK, 4 * BLOCK);
	ask(object, (struct range){0, PAGE}, PAGE);
	ask(object, (struct range){BLOCK, BLOCK + PAGE}, PAGE);
	ask(object, (struct range){3 * BLOCK, 4 * BLOCK}, PAGE);
	deliver(fake.gets[2], 5 * PAGE + 17);
	object_remove_want(object, &wants[0].want);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(fake.count, 2);
	object_remove_want(object, &wants[1].want);
	assert_int_equal(fake.cancelled, 3);
	assert_true(core_stats(core)->transfers == 0 && core_stats(core)->blocks == 0);
	object_destroy(object);
	finish_core();
}

static void an_object_that_keeps_its_bytes_lets_its_transfers_finish(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	object_remove_want(object, &want.want);
	assert_int_equal(fake.cancelled, 0);
	deliver_everything();
	assert_true(object_present(object, (struct range){0, BLOCK}));
	object_destroy(object);
	finish_core();
}

static void an_object_may_be_destroyed_from_inside_an_arrival(void **state)
{
	for (int keep = 0; keep < 2; keep++)
		for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
			struct object *object;
			struct test_want want;

			(void)state;
			make_core((struct core_options){0});
			object = make_object(2 * BLOCK, keep);
			add_want(&want, object, 0, 2 * BLOCK);
			ask(object, (struct range){0, BLOCK}, PAGE);
			ask(object, (struct range){BLOCK, 2 * BLOCK}, PAGE);
			want.remove = &want.want;
			want.destroy = &object;
			if (elsewhere)
				deliver_elsewhere(fake.gets[0], 3 * PAGE + 5);
			else
				deliver(fake.gets[0], BLOCK);
			assert_int_equal(want.arrivals, 1);
			assert_int_equal(fake.count, 0);
			finish_core();
		}
}

static void a_want_may_remove_any_other_while_it_is_told(void **state)
{
	for (int first = 0; first < 3; first++)
		for (int removed = 0; removed < 3; removed++) {
			struct object *object;
			struct test_want wants[3];

			(void)state;
			make_core((struct core_options){0});
			object = make_object(BLOCK, true);
			for (size_t i = 0; i < 3; i++)
				add_want(&wants[i], object, 0, BLOCK);
			ask(object, (struct range){0, 2 * PAGE}, PAGE);
			wants[first].remove = &wants[removed].want;
			deliver(fake.gets[0], PAGE);
			/* Those before were told already; itself and those behind it are told, or
			 * not. */
			for (int i = 0; i < 3; i++)
				assert_int_equal(
					wants[i].arrivals, i == removed && i > first ? 0 : 1);
			deliver_everything();
			for (int i = 0; i < 3; i++)
				if (i != removed)
					object_remove_want(object, &wants[i].want);
			object_destroy(object);
			finish_core();
		}
}

static void a_want_may_fetch_while_it_is_told(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	ask(object, (struct range){0, PAGE}, PAGE);
	want.fetch = (struct range){0, 4 * BLOCK};
	deliver_everything();
	/* Page 0 had been passed on by then, so it was absent again. */
	assert_true(want.bytes == 4 * BLOCK + PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_want_may_drop_its_own_pages_while_it_is_told(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	want.drop = (struct range){0, BLOCK};
	ask(object, (struct range){0, 3 * PAGE}, PAGE);
	deliver(fake.gets[0], 2 * PAGE + 5);
	assert_false(object_present(object, (struct range){0, PAGE}));
	deliver_everything();
	assert_true(want.bytes == 3 * PAGE);
	assert_true(core_stats(core)->buffer_bytes == 0);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

/* ---- failures ------------------------------------------------------------------------------ */

static void a_final_error_is_told_to_those_who_wait(void **state)
{
	struct object *object;
	struct test_want wants[2];

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&wants[0], object, 0, 2 * BLOCK);
	add_want(&wants[1], object, 2 * BLOCK, 4 * BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	deliver(fake.gets[0], 2 * PAGE + 100);
	end(fake.gets[0], -EACCES, false);
	assert_int_equal(wants[0].err, -EACCES);
	assert_true(wants[0].bytes == 2 * PAGE && wants[0].failed == BLOCK - 2 * PAGE);
	assert_true(wants[1].failed == 0);
	/* The pages are absent again. */
	ask(object, (struct range){0, BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	object_remove_want(object, &wants[0].want);
	object_remove_want(object, &wants[1].want);
	object_destroy(object);
	finish_core();
}

static void a_passing_fault_goes_on_where_it_stopped(void **state)
{
	for (int keep = 0; keep < 2; keep++) {
		struct object *object;
		struct test_want want;
		unsigned before;

		(void)state;
		make_core((struct core_options){0});
		object = make_object(BLOCK, keep);
		add_want(&want, object, 0, BLOCK);
		ask(object, (struct range){0, BLOCK}, PAGE);
		deliver(fake.gets[0], 5 * PAGE + 1000);
		before = fake.submitted;
		end(fake.gets[0], -EIO, true);
		assert_true(wait_for_attempt(before));
		assert_true(fake.gets[0]->range.start == 5 * PAGE);
		deliver_everything();
		assert_true(want.bytes == BLOCK && want.failed == 0);
		assert_true(core_stats(core)->retries == 1);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void a_closed_idle_connection_costs_no_attempt(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.attempts_max = 1});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	for (int i = 0; i < 5; i++) {
		fake.gets[0]->at_no_cost = true;
		end(fake.gets[0], -EIO, true);
		assert_int_equal(fake.count, 1);
	}
	deliver_everything();
	assert_true(want.bytes == BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void it_gives_up_after_so_many_attempts(void **state)
{
	struct object *object;
	struct test_want want;
	unsigned attempts = 1;

	(void)state;
	make_core((struct core_options){.attempts_max = 3, .timeout_ms = 60000});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	for (;;) {
		unsigned before = fake.submitted;

		end(fake.gets[0], -EIO, true);
		if (!wait_for_attempt(before))
			break;
		attempts++;
	}
	assert_int_equal(attempts, 3);
	assert_int_equal(want.err, -EIO);
	assert_true(want.failed == BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void it_gives_up_when_nothing_arrives_in_time(void **state)
{
	struct object *object;
	struct test_want want;
	uint64_t start_ns = clock_now_ns();

	(void)state;
	make_core((struct core_options){.timeout_ms = 50});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	assert_false(wait_for_attempt(fake.submitted));
	assert_int_equal(want.err, -ETIMEDOUT);
	assert_true(clock_now_ns() - start_ns >= 50 * NS_PER_MS);
	assert_int_equal(fake.cancelled, 1);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void the_server_is_asked_no_sooner_than_it_wants(void **state)
{
	struct object *object;
	struct test_want want;
	uint64_t start_ns;
	unsigned before;

	(void)state;
	make_core((struct core_options){.timeout_ms = 60000});
	object = make_object(BLOCK, false);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	before = fake.submitted;
	start_ns = clock_now_ns();
	fake.gets[0]->retry_after_ms = 700; /* more than the first pause's longest, 500 */
	end(fake.gets[0], -EIO, true);
	assert_true(wait_for_attempt(before));
	assert_true(clock_now_ns() - start_ns >= 700 * NS_PER_MS);
	deliver_everything();
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_changed_object_is_not_asked_for_any_more(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	ask(object, (struct range){0, BLOCK}, PAGE);
	end(fake.gets[0], -ESTALE, false);
	assert_int_equal(want.err, -ESTALE);
	assert_int_equal(ask(object, (struct range){BLOCK, 2 * BLOCK}, PAGE), -ESTALE);
	assert_int_equal(object_stale(object)->err, -ESTALE);
	assert_string_equal(object_stale(object)->error, "get: fake: -116");
	assert_int_equal(fake.count, 0);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_source_without_memory_leaves_nothing_behind(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(4 * BLOCK, false);
	add_want(&want, object, 0, 4 * BLOCK);
	fake.refuse = -ENOMEM;
	assert_int_equal(ask(object, (struct range){0, 3 * BLOCK}, PAGE), -ENOMEM);
	assert_true(core_stats(core)->transfers == 0 && core_stats(core)->blocks == 0);
	fake.refuse = 0;
	assert_int_equal(ask(object, (struct range){0, 3 * BLOCK}, PAGE), 0);
	deliver_everything();
	assert_true(want.bytes == 3 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

/* ---- kept bytes ---------------------------------------------------------------------------- */

static void kept_bytes_are_told_at_once(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(2 * BLOCK, true);
	add_want(&want, object, 0, 2 * BLOCK);
	ask(object, (struct range){PAGE, BLOCK + PAGE}, PAGE);
	deliver_everything();
	want.bytes = 0;
	ask(object, (struct range){0, 2 * BLOCK}, 2 * BLOCK);
	assert_true(want.bytes == BLOCK);
	assert_int_equal(fake.count, 2);
	deliver_everything();
	assert_true(want.bytes == 2 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void kept_bytes_can_be_read_in_place(void **state)
{
	struct object *object;
	struct iovec iov[4];
	struct range range = {PAGE + 100, 2 * BLOCK + 50};
	uint64_t at = range.start;
	size_t count;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(3 * BLOCK, true);
	ask(object, (struct range){0, 3 * BLOCK}, 3 * BLOCK);
	deliver_everything();
	assert_int_equal(object_iov_max(range), 3);
	count = object_iov(object, range, iov);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < iov[i].iov_len; j++, at++)
			assert_int_equal(((uint8_t *)iov[i].iov_base)[j], pattern(at));
	assert_true(at == range.end);
	object_destroy(object);
	finish_core();
}

static void dropping_takes_whole_pages_only(void **state)
{
	struct object *object;
	uint64_t size = BLOCK + 100;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(size, true);
	ask(object, (struct range){0, size}, size);
	deliver_everything();
	object_drop(object, (struct range){1, 3 * PAGE - 1});
	assert_true(object_present(object, (struct range){0, PAGE}));
	assert_false(object_present(object, (struct range){PAGE, 2 * PAGE}));
	assert_true(object_present(object, (struct range){2 * PAGE, BLOCK}));
	/* The last page is whole when its bytes are. */
	object_drop(object, (struct range){BLOCK, size});
	assert_false(object_present(object, (struct range){BLOCK, size}));
	object_drop(object, (struct range){0, size});
	assert_true(core_stats(core)->blocks == 0 && core_stats(core)->buffer_bytes == 0);
	object_destroy(object);
	finish_core();
}

static void memory_stays_within_its_limit(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, true);
	for (uint64_t i = 0; i < 64; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
		assert_true(core_stats(core)->buffer_bytes <= 4 * BLOCK);
	}
	/* The oldest went first. */
	assert_true(object_present(object, (struct range){60 * BLOCK, 64 * BLOCK}));
	assert_false(object_present(object, (struct range){59 * BLOCK, 60 * BLOCK}));
	object_destroy(object);
	finish_core();
}

static void what_is_wanted_is_not_evicted(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 2 * BLOCK});
	object = make_object(64 * BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	for (uint64_t i = 0; i < 8; i++) {
		ask(object, (struct range){i * BLOCK, (i + 1) * BLOCK}, BLOCK);
		deliver_everything();
	}
	assert_true(object_present(object, (struct range){0, BLOCK}));
	assert_true(core_stats(core)->buffer_bytes <= 2 * BLOCK);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void readahead_takes_only_the_room_that_is_left(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 4 * BLOCK});
	object = make_object(64 * BLOCK, true);
	ask(object, (struct range){0, 20 * BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	assert_true(range_length(fake.gets[0]->range) <= 4 * BLOCK + PAGE);
	deliver_everything();
	/* The older half makes room. */
	ask(object, (struct range){20 * BLOCK, 40 * BLOCK}, PAGE);
	assert_int_equal(fake.count, 1);
	assert_true(range_length(fake.gets[0]->range) == 2 * BLOCK + PAGE);
	assert_false(object_present(object, (struct range){0, PAGE}));
	assert_true(object_present(object, (struct range){3 * BLOCK, 4 * BLOCK}));
	deliver_everything();
	object_destroy(object);
	finish_core();
}

/* Scans that were given up leave what was read ahead for them. */
static void readahead_that_nobody_came_for_makes_room(void **state)
{
	struct object *object;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = 8 * BLOCK});
	object = make_object(256 * BLOCK, true);
	for (uint64_t i = 0; i < 64; i++) {
		struct range ahead = {i * 4 * BLOCK, i * 4 * BLOCK + 2 * BLOCK};

		ask(object, ahead, 0);
		deliver_everything();
		assert_true(object_present(object, ahead));
		assert_true(core_stats(core)->buffer_bytes <= 8 * BLOCK);
	}
	object_destroy(object);
	finish_core();
}

static void readahead_alone_asks_for_nothing_when_memory_is_full(void **state)
{
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){.memory_max_bytes = BLOCK});
	object = make_object(64 * BLOCK, true);
	add_want(&want, object, 0, BLOCK);
	ask(object, (struct range){0, BLOCK}, BLOCK);
	deliver_everything();
	/* Nobody waits for any of it, and it begins in the middle of a block. */
	ask(object, (struct range){2 * BLOCK + 3 * PAGE, 3 * BLOCK}, 0);
	assert_int_equal(fake.count, 0);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void bytes_of_the_probe_save_the_first_request(void **state)
{
	static uint8_t bytes[4 * 4096];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	for (int keep = 0; keep < 2; keep++) {
		struct object *object;
		struct test_want want;

		make_core((struct core_options){0});
		object = make_object(BLOCK, keep);
		assert_int_equal(object_seed(object, bytes, sizeof bytes), 0);
		add_want(&want, object, 0, BLOCK);
		ask(object, (struct range){PAGE, 3 * PAGE}, PAGE);
		assert_int_equal(fake.count, 0);
		assert_true(want.bytes == 2 * PAGE);
		/* Those that were passed on are gone, unless the object keeps them. */
		ask(object, (struct range){0, 4 * PAGE}, PAGE);
		assert_int_equal(fake.count, keep ? 0 : 1);
		deliver_everything();
		assert_true(want.bytes == 6 * PAGE);
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

static void random_fetches_drops_and_faults_leave_nothing_behind(void **state)
{
	uint64_t seed = 17;

	(void)state;
	for (int round = 0; round < 40; round++) {
		uint64_t size = 1 + random_next(&seed) % (20 * BLOCK);
		struct object *object;
		struct test_want want;

		make_core((struct core_options){.memory_max_bytes = 3 * BLOCK});
		object = make_object(size, round % 2);
		add_want(&want, object, 0, size);
		for (int step = 0; step < 300; step++) {
			uint64_t a = random_next(&seed) % size,
				 len = random_next(&seed) % (3 * BLOCK);
			struct range range = {a, a + len + 1 < size ? a + len + 1 : size};
			struct exchange *get = fake.count
						       ? fake.gets[random_next(&seed) % fake.count]
						       : NULL;
			uint64_t left = get ? range_length(get->range) - get->received_bytes : 0;

			switch (random_next(&seed) % 6) {
			case 0:
			case 1:
				if (fake.count < GETS_MAX / 4)
					ask(object, range, random_next(&seed) % (len + 1) + 1);
				break;
			case 2:
				if (round % 2)
					object_drop(object, range);
				break;
			case 3:
				if (get && left > 0)
					deliver(get, 1 + random_next(&seed) % left);
				break;
			case 4:
				if (get)
					deliver_all(get);
				break;
			case 5:
				if (get && left > 0)
					end(get, -EACCES, false);
				break;
			}
		}
		object_remove_want(object, &want.want);
		object_destroy(object);
		finish_core();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_transfer_for_each_absent_run),
		cmocka_unit_test(a_want_that_joins_readahead_hurries_it),
		cmocka_unit_test(a_long_run_is_cut_into_exchanges_of_the_longest_length),
		cmocka_unit_test(a_run_is_cut_into_chunks_when_that_is_asked_for),
		cmocka_unit_test(the_request_never_asks_past_the_objects_end),
		cmocka_unit_test(pages_are_published_as_they_arrive),
		cmocka_unit_test(bytes_are_right_however_they_are_cut),
		cmocka_unit_test(a_page_goes_to_every_want_that_overlaps_it),
		cmocka_unit_test(the_last_want_takes_its_transfers_with_it),
		cmocka_unit_test(an_object_that_keeps_its_bytes_lets_its_transfers_finish),
		cmocka_unit_test(an_object_may_be_destroyed_from_inside_an_arrival),
		cmocka_unit_test(a_want_may_remove_any_other_while_it_is_told),
		cmocka_unit_test(a_want_may_fetch_while_it_is_told),
		cmocka_unit_test(a_want_may_drop_its_own_pages_while_it_is_told),
		cmocka_unit_test(a_final_error_is_told_to_those_who_wait),
		cmocka_unit_test(a_passing_fault_goes_on_where_it_stopped),
		cmocka_unit_test(a_closed_idle_connection_costs_no_attempt),
		cmocka_unit_test(it_gives_up_after_so_many_attempts),
		cmocka_unit_test(it_gives_up_when_nothing_arrives_in_time),
		cmocka_unit_test(the_server_is_asked_no_sooner_than_it_wants),
		cmocka_unit_test(a_changed_object_is_not_asked_for_any_more),
		cmocka_unit_test(a_source_without_memory_leaves_nothing_behind),
		cmocka_unit_test(kept_bytes_are_told_at_once),
		cmocka_unit_test(kept_bytes_can_be_read_in_place),
		cmocka_unit_test(dropping_takes_whole_pages_only),
		cmocka_unit_test(memory_stays_within_its_limit),
		cmocka_unit_test(what_is_wanted_is_not_evicted),
		cmocka_unit_test(readahead_takes_only_the_room_that_is_left),
		cmocka_unit_test(readahead_that_nobody_came_for_makes_room),
		cmocka_unit_test(readahead_alone_asks_for_nothing_when_memory_is_full),
		cmocka_unit_test(bytes_of_the_probe_save_the_first_request),
		cmocka_unit_test(random_fetches_drops_and_faults_leave_nothing_behind),
	};

	return run_group(tests);
}
