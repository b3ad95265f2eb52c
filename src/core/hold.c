/*
 * hold.c - bytes that are held back until they are known to be right.
 *
 *	gathered --the digest expected--> published, page for page as ever
 *	     \--another--> again, by another connection, TRIES in all --> EIO, and the rest goes on
 *
 * On the loop; all state is the transfer's. What is gathered is a block, one for which the object
 * has a hash (hash_list.h), or an answer that says its own digest (Content-Digest). H1: no byte of
 * either is seen by anybody before its digest was compared. H2: a transfer's pages need not begin
 * and end where blocks do: all of the blocks they lie in is asked for, and what is not the
 * transfer's is dropped after the comparison. So the rules of object.h know nothing of all this.
 *
 * An answer cannot be longer than what is held: where one that says its digest is, the object asks
 * for less from then on.
 *
 * Cost: a reader waits for the block and not for the page; a block's memory for each transfer whose
 * bytes are coming, which stays with the free ones; one copy more; the hash, on the loop. Where
 * there is nothing to compare with: two tests for each recv(2).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hash_list.h"
#include "log.h"
#include "transfer_private.h"
#include "url.h"

#define HELD_MAX HASH_BLOCK_MAX
#define TRIES 3 /* a proxy or a memory that errs may be passed by; a wrong object never is */

struct range hold_range(const struct transfer *transfer)
{
	const struct object *object = transfer->object;
	const struct hash_list *hashes = object->hashes;
	struct range range = transfer_left(transfer);

	if (hashes) {
		range.start = hash_list_block(hashes, range.start).start;
		range.end = hash_list_block(hashes, range.end - 1).end;
		if (range_length(range) > EXCHANGE_BYTES_MAX)
			range.end = hash_list_block(hashes, range.start + EXCHANGE_BYTES_MAX).start;
	} else if (object->says_digests && range_length(range) > HELD_MAX) {
		range.end = range.start + HELD_MAX;
	}
	return range;
}

bool hold_applies(const struct transfer *transfer)
{
	const struct object *object = transfer->object;

	return object->hashes || (transfer->exchange.digest.kind != DIGEST_NONE &&
					 object->core->verify != VERIFY_OFF);
}

/* What the byte at `position` is compared with. */
static struct range hold_unit(const struct transfer *transfer, uint64_t position)
{
	const struct hash_list *hashes = transfer->object->hashes;

	return hashes ? hash_list_block(hashes, position) : transfer->exchange.range;
}

/* Room for the unit. false: too long, or out of memory. */
static bool hold_room(struct transfer *transfer, struct range unit)
{
	size_t length = (size_t)range_length(unit);

	if (length > HELD_MAX)
		return false;
	if (transfer->held && transfer->held_room >= length)
		return true;
	free(transfer->held);
	transfer->held = malloc(length);
	transfer->held_room = length;
	return transfer->held;
}

void *hold_buffer(struct transfer *transfer, size_t *len)
{
	uint64_t position = transfer_position(transfer);
	struct range unit = hold_unit(transfer, position);

	if (!hold_room(transfer, unit)) {
		/* Received all the same: hold_received() says what becomes of it. */
		*len = (size_t)STAGING_BYTES;
		return transfer->object->core->staging;
	}
	*len = (size_t)(unit.end - position);
	return transfer->held + (position - unit.start);
}

/* ---- the comparison ------------------------------------------------------------------------ */

/* The pages of a unit that are the transfer's, and still missing. */
static struct range hold_pages(const struct transfer *transfer, struct range unit)
{
	return range_intersect(unit, transfer_left(transfer));
}

/* These pages are given up, and the transfer goes on behind them. */
static void hold_skip(struct transfer *transfer, struct range unit)
{
	struct range pages = hold_pages(transfer, unit);
	struct failure failure = {.err = -EIO, .error = transfer->exchange.error};
	char words[SOURCE_ERROR_MAX];

	/* The exchange's own may be another's when the wants have been told. */
	failure.error = strcpy(words, transfer->exchange.error);
	log_error("%s", words);
	transfer->mismatches = 0;
	transfer->at = pages.end;
	if (!object_give_up(transfer->object, pages, &failure) || transfer->ended)
		return;
	if (transfer->at < transfer->range.end)
		transfer_restart(transfer);
	else
		transfer_end(transfer);
}

static void hold_refuse(struct transfer *transfer, struct range unit, const struct digest *expected,
	const struct digest *seen)
{
	struct exchange *exchange = &transfer->exchange;
	const struct hash_list *hashes = transfer->object->hashes;
	char want[DIGEST_TEXT_MAX], have[DIGEST_TEXT_MAX], block[32] = "";

	if (hashes)
		snprintf(block, sizeof block, "block %llu, ",
			(unsigned long long)(unit.start / hashes->block_bytes));
	/* The beginning of a long hash is enough to look for. */
	snprintf(exchange->error, sizeof exchange->error,
		"get: %.90s: %sbytes %llu-%llu: expected %.32s, seen %.32s",
		url_tell(exchange->remote->url).text, block, (unsigned long long)unit.start,
		(unsigned long long)range_http_last(unit), digest_print(expected, want),
		digest_print(seen, have));
	transfer_stop_exchange(transfer);
	if (++transfer->mismatches < TRIES)
		transfer_restart(transfer);
	else
		hold_skip(transfer, unit);
}

/* All of a unit has come. false: the exchange, or the transfer, has ended. */
static bool hold_settle(struct transfer *transfer, struct range unit)
{
	struct failure failure = {.err = -ENOMEM, .error = "get: out of memory"};
	struct range pages = hold_pages(transfer, unit);
	const uint8_t *bytes = transfer->held + (pages.start - unit.start);
	struct digest expected = transfer->exchange.digest, seen;

	if (transfer->object->hashes)
		hash_list_digest(transfer->object->hashes, unit.start, &expected);
	if (digest_make(expected.kind, transfer->held, (size_t)range_length(unit), &seen) < 0) {
		transfer_give_up(transfer, &failure);
		return false;
	}
	if (!digest_same(&expected, &seen)) {
		hold_refuse(transfer, unit, &expected, &seen);
		return false;
	}
	transfer->mismatches = 0;
	if (transfer->object->keep == OBJECT_PASSES)
		return transfer_publish(transfer, bytes, range_length(pages));
	return transfer_keep(transfer, bytes, (size_t)range_length(pages), pages.end);
}

/* ---- gathering ---------------------------------------------------------------------------- */

/* No room for all of it. */
static void hold_fail(struct transfer *transfer, struct range unit)
{
	struct failure failure = {.err = -ENOMEM, .error = "get: out of memory"};

	if (range_length(unit) > HELD_MAX && !transfer->object->says_digests) {
		transfer->object->says_digests = true;
		transfer_restart(transfer);
	} else {
		transfer_give_up(transfer, &failure);
	}
}

void hold_received(struct transfer *transfer, const uint8_t *data, size_t len)
{
	uint64_t at = transfer_position(transfer) - len;

	/* A deadline is from page to page, as of bytes that are not held back. */
	if (at / PAGE_BYTES != (at + len) / PAGE_BYTES)
		transfer->progress_ns = clock_now_ns();
	while (len > 0) {
		struct range unit = hold_unit(transfer, at);
		uint8_t *place;
		size_t part;

		if (!hold_room(transfer, unit)) {
			hold_fail(transfer, unit);
			return;
		}
		part = (size_t)(unit.end - at < len ? unit.end - at : len);
		place = transfer->held + (at - unit.start);
		if (place != data)
			memcpy(place, data, part);
		at += part;
		data += part;
		len -= part;
		if (at == unit.end && !hold_settle(transfer, unit))
			return;
	}
}
