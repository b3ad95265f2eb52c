/*
 * manifest_load.c - one object from its first byte to its last, into a table of names.
 *
 *	probe --its first bytes--> get of the next range --> ... --> done
 *	                              \--a fault that may pass--> pause --> the rest of that range
 *
 * Runs on the loop; owned by a manifest of manifest.c. The text is parsed as it comes, some hundred
 * lines between two events of others. One range at a time: what is long here is the parsing.
 *
 * Rejected: a request for the whole text. It would be one more way to fetch, with its own limits
 * and repetitions, and only for servers without ranges, which have no objects that could be
 * listed.
 */
#include "manifest_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "cleanup.h"
#include "clock.h"

#define BUFFER_BYTES ((size_t)64 << 10)

static int load_fail(struct manifest_load *load, int err, const char *words)
{
	snprintf(load->reason, sizeof load->reason, "%s", words);
	return err;
}

/* Of a source's "operation: url: reason" only the reason: the URL is told by who knows its name. */
static const char *reason_of(const char *error)
{
	const char *last = strstr(error, "://");

	last = last ? strstr(last, ": ") : NULL;
	return last ? last + 2 : error;
}

static void load_parse(struct manifest_load *load, const char *bytes, size_t length)
{
	load->at += length;
	if (load->err == 0)
		load->err = manifest_table_add(load->table, bytes, length);
}

/* Nothing more is to come. */
static void load_end(struct manifest_load *load, int err)
{
	if (err == 0)
		err = load->err;
	if (err == 0)
		err = manifest_table_end(load->table);
	if (load->reason[0] == '\0' && err < 0) {
		const char *words = manifest_table_error(load->table);

		load_fail(load, err, *words ? words : strerror(-err));
	}
	load->done(load, err);
}

static void *load_buffer(struct exchange *exchange, size_t *len)
{
	*len = BUFFER_BYTES;
	return container_of(exchange, struct manifest_load, exchange)->buffer;
}

static void load_received(struct exchange *exchange, const void *data, size_t len)
{
	load_parse(container_of(exchange, struct manifest_load, exchange), data, len);
}

static int load_next(struct manifest_load *load)
{
	struct exchange *exchange = &load->exchange;
	uint64_t size = load->remote->version.size;
	int err;

	exchange->range = (struct range){load->at, size};
	if (range_length(exchange->range) > EXCHANGE_BYTES_MAX)
		exchange->range.end = load->at + EXCHANGE_BYTES_MAX;
	exchange->urgent = true;
	load->gets = true;
	err = load->source->ops->get(load->source, exchange);
	if (err < 0)
		load->gets = false;
	return err;
}

static bool load_try_again(struct manifest_load *load)
{
	uint64_t pause_ms;

	if (!load->exchange.again || ++load->attempts == SOURCE_ATTEMPTS)
		return false;
	pause_ms = load->exchange.at_no_cost ? 0 : backoff_ms(load->attempts, &load->random);
	loop_timer_set(load->source->loop, &load->timer, clock_now_ns() + pause_ms * NS_PER_MS);
	return true;
}

static void load_got(struct exchange *exchange, int err)
{
	struct manifest_load *load = container_of(exchange, struct manifest_load, exchange);

	load->gets = false;
	if (exchange->received_bytes > 0)
		load->attempts = 0;
	if (err < 0 && load->err == 0) {
		if (load_try_again(load))
			return;
		load_fail(load, err, reason_of(exchange->error));
	} else if (load->err == 0 && load->at < load->remote->version.size) {
		err = load_next(load);
		if (err == 0)
			return;
	}
	load_end(load, err);
}

static const struct exchange_ops load_ops = {
	.buffer = load_buffer,
	.received = load_received,
	.done = load_got,
};

/* Also the end of one that needed no get. */
static void load_timer_expired(struct loop_timer *timer)
{
	struct manifest_load *load = container_of(timer, struct manifest_load, timer);
	int err = 0;

	if (load->err == 0 && load->at < load->remote->version.size) {
		err = load_next(load);
		if (err == 0)
			return;
	}
	load_end(load, err);
}

static int load_open(struct manifest_load *load, const struct probe *probe)
{
	struct source *source = load->source;
	int err;

	if (probe->version.size > MANIFEST_BYTES_MAX)
		return load_fail(load, -EFBIG, "more than 4 GiB");
	load->buffer = malloc(BUFFER_BYTES);
	if (!load->buffer)
		return -ENOMEM;
	err = source->ops->pin(source, probe->effective_url, &probe->version, &load->remote);
	if (err < 0)
		return err;
	load->exchange.remote = load->remote;
	load->exchange.ops = &load_ops;
	load_parse(load, probe->bytes, probe->bytes_len);
	loop_timer_set(source->loop, &load->timer, clock_now_ns());
	return 0;
}

static void load_probed(struct probe *probe, int err)
{
	struct manifest_load *load = container_of(probe, struct manifest_load, probe);

	load->probes = false;
	if (err < 0)
		load_fail(load, err, reason_of(probe->error));
	else
		err = load_open(load, probe);
	if (err < 0)
		load_end(load, err);
}

int manifest_load_start(struct manifest_load *load)
{
	int err;

	load->probe = (struct probe){.url = load->url, .done = load_probed};
	load->timer.expired = load_timer_expired;
	load->random = clock_now_ns() | 1;
	err = load->source->ops->probe(load->source, &load->probe);
	load->probes = err == 0;
	if (err < 0)
		load_fail(load, err,
			load->probe.error[0] ? reason_of(load->probe.error) : strerror(-err));
	return err;
}

void manifest_load_finish(struct manifest_load *load)
{
	struct source *source = load->source;

	if (!source)
		return;
	loop_timer_cancel(source->loop, &load->timer);
	if (load->probes)
		source->ops->probe_cancel(source, &load->probe);
	if (load->gets)
		source->ops->get_cancel(source, &load->exchange);
	source->ops->unpin(source, load->remote);
	free(load->buffer);
	*load = (struct manifest_load){.source = NULL};
}
