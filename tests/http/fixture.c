/* fixture.c - see fixture.h. */
#include "fixture.h"

#include "clock.h"
#include "scheme.h"

#define WAIT_MAX_MS 20000

void client_open(struct client *client, const struct source_options *options)
{
	static const struct source_options quick = {.timeout_ms = 1000};

	assert_int_equal(loop_create(&client->loop), 0);
	assert_int_equal(
		source_create(client->loop, options ? options : &quick, &client->source), 0);
}

void client_close(struct client *client)
{
	client->source->ops->destroy(client->source);
	loop_destroy(client->loop);
	client->source = NULL;
}

struct watch {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop_loop(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct watch, timer)->loop);
}

void client_wait(struct client *client, const bool *done)
{
	uint64_t limit_ns = clock_now_ns() + WAIT_MAX_MS * NS_PER_MS;

	while (!*done) {
		if (clock_now_ns() > limit_ns)
			fail_msg("nothing has happened for %d ms", WAIT_MAX_MS);
		client_run_for(client, 1);
	}
}

void client_run_for(struct client *client, unsigned ms)
{
	struct watch watch = {.timer.expired = stop_loop, .loop = client->loop};

	loop_timer_set(client->loop, &watch.timer, clock_now_ns() + ms * NS_PER_MS);
	assert_int_equal(loop_run(client->loop), 0);
	loop_timer_cancel(client->loop, &watch.timer);
}

/* ---- probes -------------------------------------------------------------------------------- */

static void probe_done(struct probe *probe, int err)
{
	struct probed *self = container_of(probe, struct probed, probe);

	self->done = true;
	self->err = err;
	if (err < 0)
		return;
	snprintf(self->effective_url, sizeof self->effective_url, "%s", probe->effective_url);
	self->bytes_len = probe->bytes_len;
	if (probe->bytes_len > 0)
		memcpy(self->bytes, probe->bytes, probe->bytes_len);
}

static void probe_start(struct client *client, struct probed *probed, struct probe probe)
{
	int err;

	probe.done = probe_done;
	*probed = (struct probed){.probe = probe, .client = client};
	err = client->source->ops->probe(client->source, &probed->probe);
	assert_false(probed->done);
	/* What can't even begin is told at once. */
	probed->done = err < 0;
	probed->err = err;
}

void client_probe_start(
	struct client *client, struct probed *probed, const char *url, bool head_only)
{
	probe_start(client, probed, (struct probe){.url = url, .head_only = head_only});
}

static int probe_wait(struct client *client, struct probed *probed)
{
	client_wait(client, &probed->done);
	if (probed->err < 0)
		assert_string_not_equal(probed->probe.error, "");
	return probed->err;
}

int client_probe(struct client *client, struct probed *probed, const char *url, bool head_only)
{
	client_probe_start(client, probed, url, head_only);
	return probe_wait(client, probed);
}

int client_probe_more(struct client *client, struct probed *probed, const char *url)
{
	probe_start(client, probed, (struct probe){.url = url, .bytes_wanted = PROBE_BYTES_MAX});
	return probe_wait(client, probed);
}

struct remote *client_pin(struct client *client, const char *url)
{
	static struct probed probed;
	struct remote *remote;

	if (client_probe(client, &probed, url, false) < 0)
		fail_msg("%s", probed.probe.error);
	assert_int_equal(client->source->ops->pin(client->source, probed.effective_url,
				 &probed.probe.version, &remote),
		0);
	return remote;
}

void client_unpin(struct client *client, struct remote *remote)
{
	client->source->ops->unpin(client->source, remote);
}

/* ---- gets ---------------------------------------------------------------------------------- */

static void *got_buffer(struct exchange *exchange, size_t *len)
{
	struct got *self = container_of(exchange, struct got, exchange);

	*len = (size_t)(range_length(exchange->range) - exchange->received_bytes);
	return self->bytes + exchange->received_bytes;
}

static void got_received(struct exchange *exchange, const void *data, size_t len)
{
	struct got *self = container_of(exchange, struct got, exchange);
	uint8_t *place = self->bytes + exchange->received_bytes - len;

	assert_true(exchange->received_bytes <= range_length(exchange->range));
	if (place != data)
		memcpy(place, data, len);
	self->pieces++;
	if (self->cancel_at > 0 && exchange->received_bytes >= self->cancel_at) {
		self->client->source->ops->get_cancel(self->client->source, exchange);
		/* Any use of it after this is seen. */
		memset(&self->exchange, 0xaa, sizeof self->exchange);
		self->done = true;
	}
}

static void got_done(struct exchange *exchange, int err)
{
	struct got *self = container_of(exchange, struct got, exchange);

	self->done = true;
	self->err = err;
}

static const struct exchange_ops got_ops = {
	.buffer = got_buffer,
	.received = got_received,
	.done = got_done,
};

void got_start(struct got *got, struct client *client, struct remote *remote, struct range range)
{
	uint64_t cancel_at = got->cancel_at;
	bool urgent = got->exchange.urgent;

	*got = (struct got){.client = client, .cancel_at = cancel_at};
	got->bytes = malloc((size_t)range_length(range));
	assert_non_null(got->bytes);
	got->exchange.remote = remote;
	got->exchange.range = range;
	got->exchange.ops = &got_ops;
	got->exchange.urgent = urgent;
	assert_int_equal(client->source->ops->get(client->source, &got->exchange), 0);
	assert_false(got->done);
}

int got_wait(struct got *got)
{
	client_wait(got->client, &got->done);
	if (got->err < 0)
		assert_string_not_equal(got->exchange.error, "");
	else if (got->cancel_at == 0)
		assert_true(got->exchange.received_bytes == range_length(got->exchange.range));
	return got->err;
}

void got_finish(struct got *got)
{
	free(got->bytes);
	got->bytes = NULL;
}

int client_get(
	struct client *client, struct remote *remote, struct range range, const struct local *local)
{
	struct got got = {0};
	int err;

	got_start(&got, client, remote, range);
	err = got_wait(&got);
	if (err == 0)
		assert_memory_equal(
			got.bytes, local->bytes + range.start, (size_t)range_length(range));
	got_finish(&got);
	return err;
}
