/*
 * budget.h - one memory limit for several cores, each on a loop of its own.
 *
 * Half of it is shared, first come, first served; the other half is divided evenly, so that no core
 * can be starved by the leftovers of others. The only core has all of it. What a core holds up to
 * its own part costs no atomic operation.
 *
 * Threads: budget_init() before the cores are made; the rest from the loop of the core whose
 * *held it is, with one atomic counter between them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t max_bytes;
	uint64_t own_bytes;    /* of each core, whatever the others hold */
	uint64_t shared_bytes; /* the rest */
	_Atomic uint64_t shared_used;
};

/* cores: how many will use it, at least 1. */
static inline void budget_init(struct budget *budget, uint64_t max_bytes, unsigned cores)
{
	budget->max_bytes = max_bytes;
	budget->own_bytes = cores > 1 ? max_bytes / 2 / cores : max_bytes;
	budget->shared_bytes = max_bytes - cores * budget->own_bytes;
	atomic_init(&budget->shared_used, 0);
}

static inline uint64_t budget_beyond(const struct budget *budget, uint64_t held)
{
	return held > budget->own_bytes ? held - budget->own_bytes : 0;
}

/* A core that holds `before` bytes holds `after` from now on. */
static inline void budget_move(struct budget *budget, uint64_t before, uint64_t after)
{
	uint64_t change = budget_beyond(budget, after) - budget_beyond(budget, before);

	if (change != 0)
		atomic_fetch_add_explicit(&budget->shared_used, change, memory_order_relaxed);
}

/* Bytes that a core that holds so many may still take. */
static inline uint64_t budget_room(const struct budget *budget, uint64_t held)
{
	uint64_t own = held < budget->own_bytes ? budget->own_bytes - held : 0;
	uint64_t used = atomic_load_explicit(&budget->shared_used, memory_order_relaxed);

	return own + (used < budget->shared_bytes ? budget->shared_bytes - used : 0);
}

/* Should a core that holds so many give back what it does not need? */
static inline bool budget_is_short(const struct budget *budget, uint64_t held)
{
	uint64_t used = atomic_load_explicit(&budget->shared_used, memory_order_relaxed);

	return held > budget->own_bytes && used > budget->shared_bytes / 4 * 3;
}
