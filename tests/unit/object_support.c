/*
 * object_support.c - the source, the wants and the core of object_support.h.
 */
#include "object_support.h"

#include <errno.h>

#include "clock.h"
#include "loop.h"

/* ---- the source ---------------------------------------------------------------------------- */

struct fake fake;

uint8_t pattern(uint64_t offset)
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
	exchange_reset(exchange);
	exchange->sent_ns = clock_now_ns();
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

int http_source_create(struct loop *on, const struct source_options *options, struct source **ret)
{
	(void)options;
	if (fake.source.loop != on)
		fake = (struct fake){
			.source = {.ops = &fake_ops, .loop = on}, .url = "http://fake/object"};
	*ret = &fake.source;
	return 0;
}

static void fill(uint8_t *bytes, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(at + i);
	if (fake.wrong > 0 && fake.wrong_at >= at && fake.wrong_at < at + len) {
		bytes[fake.wrong_at - at] ^= 1;
		fake.wrong--;
	}
}

void deliver(struct exchange *exchange, uint64_t len)
{
	unsigned cancelled = fake.cancelled;

	while (len > 0 && fake.cancelled == cancelled) {
		uint64_t at = exchange->range.start + exchange->received_bytes;
		size_t room;
		uint8_t *buffer = exchange->ops->buffer(exchange, &room);
		size_t part = len < room ? (size_t)len : room;

		assert_true(room > 0);
		fill(buffer, at, part);
		exchange->received_bytes += part;
		len -= part;
		exchange->ops->received(exchange, buffer, part);
	}
}

void deliver_elsewhere(struct exchange *exchange, size_t len)
{
	uint64_t at = exchange->range.start + exchange->received_bytes;
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	fill(bytes, at, len);
	exchange->received_bytes += len;
	exchange->ops->received(exchange, bytes, len);
	free(bytes);
}

void end(struct exchange *exchange, int err, bool again)
{
	fake_forget(exchange);
	exchange->again = again;
	if (err < 0)
		snprintf(exchange->error, sizeof exchange->error, "get: fake: %d", err);
	exchange->ops->done(exchange, err);
}

void deliver_all(struct exchange *exchange)
{
	deliver(exchange, range_length(exchange->range) - exchange->received_bytes);
	end(exchange, 0, false);
}

void deliver_everything(void)
{
	while (fake.count > 0)
		deliver_all(fake.gets[0]);
}

int ask(struct object *object, struct range range, uint64_t urgent)
{
	return object_fetch(object, range, urgent, UINT64_MAX);
}

/* ---- wants --------------------------------------------------------------------------------- */

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

void add_want(struct test_want *self, struct object *object, uint64_t start, uint64_t end_at)
{
	*self = (struct test_want){
		.want.range = {start, end_at},
		.want.arrived = want_arrived,
		.want.failed = want_failed,
		.object = object,
	};
	object_add_want(object, &self->want);
}

/* ---- the core ------------------------------------------------------------------------------ */

struct core *core;
static struct loop *loop;

void make_core(struct core_options options)
{
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(core_create(loop, &options, &core), 0);
}

struct core *make_other_core(struct core_options options)
{
	struct core *other;

	assert_int_equal(core_create(loop, &options, &other), 0);
	return other;
}

void finish_other_core(struct core *other)
{
	const struct core_stats *stats = core_stats(other);

	assert_true(stats->transfers == 0);
	assert_true(stats->objects == 0);
	assert_true(stats->blocks == 0);
	assert_true(stats->buffer_bytes == 0);
	core_destroy(other);
}

void finish_core(void)
{
	finish_other_core(core);
	assert_int_equal(fake.count, 0);
	assert_int_equal(fake.pinned, 0);
	fake.source.loop = NULL;
	loop_destroy(loop);
}

static struct object *make_object_here(
	struct core *of, const struct version *version, enum object_keep keep)
{
	struct remote *remote = calloc(1, sizeof *remote);
	struct object *object;

	assert_non_null(remote);
	remote->source = &fake.source;
	remote->url = fake.url;
	remote->version = *version;
	fake.pinned++;
	assert_int_equal(object_create(of, remote, keep, &object), 0);
	return object;
}

struct object *make_object_of(struct core *of, uint64_t size, enum object_keep keep)
{
	return make_object_here(of, &(struct version){.size = size}, keep);
}

struct object *make_object_like(const struct version *version, enum object_keep keep)
{
	return make_object_here(core, version, keep);
}

struct object *make_object(uint64_t size, enum object_keep keep)
{
	return make_object_of(core, size, keep);
}

static bool submitted_again(unsigned before)
{
	return fake.submitted > before;
}

static void look_again(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

void run_for_ms(unsigned ms)
{
	struct loop_timer timer = {.expired = look_again};

	loop_timer_set(loop, &timer, clock_now_ns() + ms * NS_PER_MS);
	loop_run(loop);
}

bool wait_for_attempt(unsigned before)
{
	struct loop_timer timer = {.expired = look_again};

	while (!submitted_again(before) && core_stats(core)->transfers > 0) {
		loop_timer_set(loop, &timer, clock_now_ns() + NS_PER_MS);
		loop_run(loop);
	}
	return submitted_again(before);
}
