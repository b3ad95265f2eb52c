/*
 * transfer_private.h - what transfer.c and hold.c share: a transfer. For those two files only; all
 * on the core's loop.
 */
#pragma once

#include "loop.h"
#include "transfer.h"

struct transfer {
	struct exchange exchange;
	struct list node; /* object's transfers, or the core's free ones */
	struct object *object;
	struct range range;
	uint64_t at;
	unsigned attempts;   /* that failed by themselves */
	unsigned mismatches; /* of the block at `at`, one after the other: hold.c */
	bool under_way;      /* the source has the exchange */
	bool entered;        /* publishing: its end waits for that */
	bool ended;
	uint64_t progress_ns;    /* when it started, or last published */
	struct loop_timer timer; /* the next attempt, or the deadline */
	uint8_t *base; /* the newest buffer: where the byte at `at` goes (pass-through only) */
	size_t tail_len;
	uint8_t tail[PAGE_BYTES];
	/* What is held back until it is known to be right; stays with a free transfer. */
	uint8_t *held;
	size_t held_room;
};

/* Where the next byte of the exchange belongs in the object. */
static inline uint64_t transfer_position(const struct transfer *transfer)
{
	return transfer->exchange.range.start + transfer->exchange.received_bytes;
}

/* ---- transfer.c --------------------------------------------------------------------------- */

/* Ends it; the wants of what is left are told. */
void transfer_give_up(struct transfer *transfer, const struct failure *failure);
/* The exchange, if there is one, is cancelled. */
void transfer_stop_exchange(struct transfer *transfer);
/* The exchange is cancelled, and its connection with it; the rest is asked for anew, soon. */
void transfer_restart(struct transfer *transfer);
/* Takes it from its object, all of it being done. */
void transfer_end(struct transfer *transfer);
/* Publishes from `at` on, `len` bytes. The wants may end the transfer; false if one did. */
bool transfer_publish(struct transfer *transfer, const uint8_t *bytes, uint64_t len);
/* The same for an object that keeps its bytes: those at data lie before `end`, and maybe in their
 * blocks already. */
bool transfer_keep(struct transfer *transfer, const uint8_t *data, size_t len, uint64_t end);

/* ---- hold.c: see there -------------------------------------------------------------------- */

/* What to ask for, so that all of what is left, or its beginning, comes. */
struct range hold_range(const struct transfer *transfer);
/* Is what this exchange brings held back? Known when its first byte is. */
bool hold_applies(const struct transfer *transfer);
/* exchange_ops, for what is held back. */
void *hold_buffer(struct transfer *transfer, size_t *len);
void hold_received(struct transfer *transfer, const uint8_t *data, size_t len);
