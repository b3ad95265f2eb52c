/*
 * transfer.c - one range of one object on its way.
 *
 *	waiting --get--> under way --all bytes--> gone
 *	   ^                |  \--gives up--> gone, wants told
 *	   \-----backoff----/
 *
 * Runs on the loop. T1 pages before `at` are published, those from `at` to the end are inflight in
 * the object's blocks and belong to this transfer. T2 `tail` holds the tail_len < 4096 bytes that
 * were received after `at` (pass-through only; a kept object has them in place).
 *
 * Where bytes land. An object that keeps its bytes gets them received straight into its blocks. One
 * that does not, in the core's one staging buffer: received, published by UFFDIO_COPY, received
 * over again, so that the copy reads from the L2 cache; the start of a page whose rest has not
 * arrived is saved in `tail` meanwhile. A want may offer a place of its own instead (want->place):
 * where its pages are made of what it received, the copy is saved. Rejected: a staging buffer for
 * each transfer, which streams through memory and costs a third of the throughput.
 *
 * Time. A transfer has core->timeout_ns for each page from the one before; attempts are repeated
 * from `at`, after a pause (backoff.h).
 *
 * Cost: no malloc (free list), no system call of its own.
 */
#include "transfer_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "clock.h"
#include "probe.h"

#define LAST_TRY_MS 20 /* with less time than this left, none is made */

struct transfer *transfer_of(struct list *node)
{
	return list_entry(node, struct transfer, node);
}

struct range transfer_left(const struct transfer *transfer)
{
	return (struct range){transfer->at, transfer->range.end};
}

/* ---- beginning and end --------------------------------------------------------------------- */

static struct transfer *transfer_take(struct core *core)
{
	struct transfer *transfer;

	if (list_empty(&core->free_transfers)) {
		transfer = malloc(sizeof *transfer);
		if (transfer)
			transfer->held = NULL;
		return transfer;
	}
	transfer = list_first(&core->free_transfers, struct transfer, node);
	list_remove(&transfer->node);
	return transfer;
}

static void transfer_release(struct core *core, struct transfer *transfer)
{
	list_prepend(&core->free_transfers, &transfer->node);
}

static uint64_t transfer_claim_bytes(const struct transfer *transfer)
{
	return transfer->object->keep == OBJECT_CACHES ? TRANSFER_CLAIM_BYTES : 0;
}

void transfer_end(struct transfer *transfer)
{
	struct core *core = transfer->object->core;

	core->blocks.claimed_bytes -= transfer_claim_bytes(transfer);
	loop_timer_cancel(core->loop, &transfer->timer);
	list_remove(&transfer->node);
	core->stats.transfers--;
	transfer->ended = true;
	if (!transfer->entered)
		transfer_release(core, transfer);
}

void transfer_stop_exchange(struct transfer *transfer)
{
	struct source *source = transfer->object->core->source;

	if (transfer->under_way)
		source->ops->get_cancel(source, &transfer->exchange);
	transfer->under_way = false;
}

void transfer_cancel(struct transfer *transfer)
{
	transfer_stop_exchange(transfer);
	object_forget(transfer->object, transfer_left(transfer));
	transfer_end(transfer);
}

void transfer_hurry(struct transfer *transfer)
{
	struct source *source = transfer->object->core->source;

	if (transfer->exchange.urgent)
		return;
	if (transfer->under_way)
		source->ops->get_hurry(source, &transfer->exchange);
	else
		transfer->exchange.urgent = true;
}

void transfer_pool_finish(struct core *core)
{
	list_for_each_safe (node, &core->free_transfers) {
		free(transfer_of(node)->held);
		free(transfer_of(node));
	}
}

/* ---- attempts ------------------------------------------------------------------------------ */

static uint64_t transfer_deadline_ns(const struct transfer *transfer)
{
	return transfer->progress_ns + transfer->object->core->timeout_ns;
}

static int transfer_attempt(struct transfer *transfer)
{
	struct source *source = transfer->object->core->source;
	int err;

	transfer->tail_len = 0;
	transfer->exchange.range = hold_range(transfer);
	transfer->exchange.queued_ns = 0;
	transfer->under_way = true;
	STAGE_PROBE(submit, transfer->exchange.range.start, range_length(transfer->exchange.range),
		transfer->object->remote);
	transfer->object->counts.requests++;
	err = source->ops->get(source, &transfer->exchange);
	if (err < 0)
		transfer->under_way = false;
	return err;
}

void transfer_restart(struct transfer *transfer)
{
	struct core *core = transfer->object->core;

	transfer_stop_exchange(transfer);
	core->stats.retries++;
	loop_timer_set(core->loop, &transfer->timer, clock_now_ns());
}

void transfer_give_up(struct transfer *transfer, const struct failure *failure)
{
	struct object *object = transfer->object;
	struct range left = transfer_left(transfer);
	struct failure copy = *failure;
	char error[SOURCE_ERROR_MAX];

	/* The words may be the exchange's own, and the wants may start another on this transfer. */
	memcpy(error, failure->error, strnlen(failure->error, sizeof error - 1) + 1);
	error[sizeof error - 1] = '\0';
	copy.error = error;
	transfer_stop_exchange(transfer);
	transfer_end(transfer);
	object_give_up(object, left, &copy);
}

/* The attempt failed with err: another now (true), later (true), or none (false). */
static bool transfer_try_again(struct transfer *transfer, int err)
{
	struct core *core = transfer->object->core;
	uint64_t now_ns = clock_now_ns();
	uint64_t pause_ms, left_ms;

	if (!transfer->exchange.again || err == -ENOMEM)
		return false;
	core->stats.retries++;
	if (transfer->exchange.at_no_cost)
		return transfer_attempt(transfer) == 0;
	if (++transfer->attempts >= core->attempts_max)
		return false;
	pause_ms = backoff_ms(transfer->attempts, &core->random);
	if (pause_ms < transfer->exchange.retry_after_ms)
		pause_ms = transfer->exchange.retry_after_ms;
	left_ms = transfer_deadline_ns(transfer) > now_ns
			  ? (transfer_deadline_ns(transfer) - now_ns) / NS_PER_MS
			  : 0;
	if (left_ms < LAST_TRY_MS || transfer->exchange.retry_after_ms >= left_ms)
		return false;
	/* Chance must not cost the tries that there is time for. */
	if (pause_ms > left_ms / 2)
		pause_ms = left_ms / 2;
	loop_timer_set(core->loop, &transfer->timer, now_ns + pause_ms * NS_PER_MS);
	return true;
}

static void transfer_timer_expired(struct loop_timer *timer)
{
	struct transfer *transfer = container_of(timer, struct transfer, timer);
	struct loop *loop = transfer->object->core->loop;
	struct failure failure = {
		.err = -ETIMEDOUT, .passes = true, .error = "get: nothing arrived in time"};
	uint64_t deadline_ns = transfer_deadline_ns(transfer);

	if (clock_now_ns() >= deadline_ns) {
		if (transfer->exchange.error[0] != '\0')
			failure.error = transfer->exchange.error;
		transfer_give_up(transfer, &failure);
		return;
	}
	if (!transfer->under_way)
		failure.err = transfer_attempt(transfer);
	else
		failure.err = 0;
	failure.passes = false;
	failure.error = "get: out of memory";
	if (failure.err < 0)
		transfer_give_up(transfer, &failure);
	else
		loop_timer_set(loop, timer, deadline_ns);
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* The place of a kept object's byte; NULL: out of memory. The block exists: T1. */
static uint8_t *transfer_place(struct transfer *transfer, uint64_t position, size_t *ret_room)
{
	struct object *object = transfer->object;
	struct block *block = object_find_block(object, position / BLOCK_BYTES);
	uint64_t offset = position % BLOCK_BYTES;

	assert(block);
	if (block_need_data(&object->core->blocks, block) < 0)
		return NULL;
	*ret_room = (size_t)(BLOCK_BYTES - offset);
	return block->data + offset;
}

/* Where a want would like the bytes from `at` on to be received; NULL: nowhere. */
static uint8_t *transfer_want_place(const struct transfer *transfer, size_t *ret_room)
{
	list_for_each (node, &transfer->object->wants) {
		struct want *want = list_entry(node, struct want, node);

		if (want->place && transfer->at >= want->range.start &&
			transfer->at < want->range.end)
			return want->place(want, transfer->at, ret_room);
	}
	return NULL;
}

static void *transfer_buffer(struct exchange *exchange, size_t *len)
{
	struct transfer *transfer = container_of(exchange, struct transfer, exchange);
	struct core *core = transfer->object->core;
	void *place = NULL;

	if (hold_applies(transfer))
		return hold_buffer(transfer, len);
	if (transfer->object->keep != OBJECT_PASSES)
		place = transfer_place(transfer, transfer_position(transfer), len);
	if (place)
		return place;
	/* What can't be placed is received all the same: transfer_keep() fails it. */
	transfer->base = core->staging;
	if (transfer->object->keep == OBJECT_PASSES)
		place = transfer_want_place(transfer, len);
	if (place)
		transfer->base = place;
	if (!place || *len > STAGING_BYTES)
		*len = (size_t)STAGING_BYTES;
	*len -= transfer->tail_len;
	return transfer->base + transfer->tail_len;
}

/* Of a transfer's first bytes. No clock is read for it, and whoever waited for them goes on
 * already; a source without a server tells no times. */
static void core_count_stages(
	struct core *core, uint64_t wished_ns, const struct fault_stages *stages)
{
	uint64_t sent_ns = stages->end_ns[STAGE_CONNECT];
	uint64_t first_byte_ns = stages->end_ns[STAGE_FIRST_BYTE];

	if (sent_ns < wished_ns || first_byte_ns < sent_ns)
		return;
	spread_record(&core->queue, sent_ns - wished_ns);
	spread_record(&core->first_byte, first_byte_ns - sent_ns);
}

bool transfer_publish(struct transfer *transfer, const uint8_t *bytes, uint64_t len)
{
	const struct exchange *exchange = &transfer->exchange;
	struct core *core = transfer->object->core;
	const bool is_first = transfer->at == transfer->range.start;
	const uint64_t wished_ns = transfer->progress_ns;
	uint64_t now_ns = clock_now_ns();
	bool goes_on;
	struct arrival arrival = {
		.range = {transfer->at, transfer->at + len},
		.bytes = bytes,
		.stages.end_ns =
			{
				[STAGE_SUBMIT] = exchange->queued_ns ? exchange->queued_ns
								     : exchange->sent_ns,
				[STAGE_CONNECT] = exchange->sent_ns,
				[STAGE_FIRST_BYTE] = exchange->first_byte_ns,
				[STAGE_LAST_BYTE] = now_ns,
			},
	};

	STAGE_PROBE(last_byte, transfer->at, len, transfer->object->remote);
	if (object_check(transfer->object, arrival.range, bytes) < 0) {
		transfer_give_up(transfer, object_stale(transfer->object));
		return false;
	}
	transfer->at += len;
	transfer->progress_ns = now_ns;
	goes_on = object_publish(transfer->object, &arrival) && !transfer->ended;
	if (is_first)
		core_count_stages(core, wished_ns, &arrival.stages);
	return goes_on;
}

/* How many of the bytes from `at` to `end` are whole pages; the object's last page may be short. */
static uint64_t whole_pages(const struct transfer *transfer, uint64_t end)
{
	if (end < object_size(transfer->object))
		end = align_down(end, PAGE_BYTES);
	return end > transfer->at ? end - transfer->at : 0;
}

static void transfer_receive_passing(struct transfer *transfer, const uint8_t *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t have = transfer->tail_len + len;
	uint64_t whole = whole_pages(transfer, transfer->at + have);

	if (transfer->tail_len > 0) {
		assert(data == transfer->base + transfer->tail_len);
		memcpy(transfer->base, transfer->tail, transfer->tail_len);
		bytes = transfer->base;
	}
	transfer->tail_len = (size_t)(have - whole);
	memcpy(transfer->tail, bytes + whole, transfer->tail_len);
	if (whole > 0)
		transfer_publish(transfer, bytes, whole);
}

/* Copies what did not come in place. false: out of memory. */
static bool transfer_store(
	struct transfer *transfer, const uint8_t *data, size_t len, uint64_t position)
{
	while (len > 0) {
		size_t room, part;
		uint8_t *place = transfer_place(transfer, position, &room);

		if (!place)
			return false;
		part = len < room ? len : room;
		if (place == data)
			return true;
		memcpy(place, data, part);
		data += part;
		len -= part;
		position += part;
	}
	return true;
}

bool transfer_keep(struct transfer *transfer, const uint8_t *data, size_t len, uint64_t end)
{
	uint64_t whole;

	if (!transfer_store(transfer, data, len, end - len)) {
		struct failure failure = {.err = -ENOMEM, .error = "get: out of memory"};

		transfer_give_up(transfer, &failure);
		return false;
	}
	/* One block at a time: its bytes are in one piece. */
	while ((whole = whole_pages(transfer, end)) > 0) {
		size_t room = 0;
		uint8_t *place = transfer_place(transfer, transfer->at, &room);

		assert(place); /* the bytes are in it */
		if (!transfer_publish(transfer, place, whole < room ? whole : room))
			return false;
	}
	return true;
}

static void transfer_received(struct exchange *exchange, const void *data, size_t len)
{
	struct transfer *transfer = container_of(exchange, struct transfer, exchange);
	struct core *core = transfer->object->core;

	transfer->entered = true;
	transfer->object->counts.fetched_bytes += len;
	if (hold_applies(transfer))
		hold_received(transfer, data, len);
	else if (transfer->object->keep != OBJECT_PASSES)
		(void)transfer_keep(transfer, data, len, transfer_position(transfer));
	else
		transfer_receive_passing(transfer, data, len);
	transfer->entered = false;
	if (transfer->ended)
		transfer_release(core, transfer);
}

static void transfer_done(struct exchange *exchange, int err)
{
	struct transfer *transfer = container_of(exchange, struct transfer, exchange);
	struct failure failure = {
		.err = err,
		.status = exchange->status,
		.passes = exchange->again,
		.error = exchange->error,
	};

	transfer->under_way = false;
	if (exchange->status == 206)
		object_note_first_byte(
			transfer->object, exchange->first_byte_ns - exchange->sent_ns);
	if (err == 0 && transfer->at == transfer->range.end) {
		/* That of its last page is when it was last published. */
		if (transfer->progress_ns >= exchange->first_byte_ns)
			spread_record(&transfer->object->core->body,
				transfer->progress_ns - exchange->first_byte_ns);
		transfer_end(transfer);
	} else if (err == 0) {
		/* hold_range() could not ask for all of it at once. */
		failure.err = transfer_attempt(transfer);
		failure.error = "get: out of memory";
		if (failure.err < 0)
			transfer_give_up(transfer, &failure);
	} else if (!transfer_try_again(transfer, err)) {
		transfer_give_up(transfer, &failure);
	}
}

static const struct exchange_ops transfer_ops = {
	.buffer = transfer_buffer,
	.received = transfer_received,
	.done = transfer_done,
};

int transfer_start(struct object *object, struct range range, bool urgent)
{
	struct core *core = object->core;
	struct transfer *transfer = transfer_take(core);
	int err;

	if (!transfer)
		return -ENOMEM;
	/* Not the tail: 4 KiB of zeros for nothing. */
	memset(transfer, 0, offsetof(struct transfer, tail));
	transfer->object = object;
	transfer->range = range;
	transfer->at = range.start;
	transfer->exchange.remote = object->remote;
	transfer->exchange.ops = &transfer_ops;
	transfer->exchange.urgent = urgent;
	transfer->timer.expired = transfer_timer_expired;
	transfer->progress_ns = clock_now_ns();
	err = transfer_attempt(transfer);
	if (err == 0) {
		list_append(&object->transfers, &transfer->node);
		core->stats.transfers++;
		core->blocks.claimed_bytes += transfer_claim_bytes(transfer);
		loop_timer_set(core->loop, &transfer->timer, transfer_deadline_ns(transfer));
		return 0;
	}
	transfer_release(core, transfer);
	return err;
}
