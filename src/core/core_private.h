/* core_private.h - what the files of core/ share about the core. */
#pragma once

#include "block.h"
#include "budget.h"
#include "core.h"
#include "ranking.h"

/* Received into, published from, and received into again: small enough to stay in the L2 cache. */
#define STAGING_BYTES (UINT64_C(128) << 10)

struct core {
	struct loop *loop;
	struct source *source;
	unsigned attempts_max;
	uint64_t timeout_ns;
	uint64_t deadline_ns;
	enum verify verify;
	struct core_stats stats;
	struct spread queue, first_byte, body; /* of transfers: enum figure_spread */
	struct ranking ranking;
	struct budget budget; /* its own, if it shares none */
	struct block_pool blocks;
	struct list free_transfers;
	uint64_t random; /* of the backoff's jitter: xorshift */
	uint8_t *staging;
	struct trace_ring *trace; /* NULL: nobody wants to know */
};
