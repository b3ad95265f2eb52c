/*
 * backoff.h - how long to wait before the next attempt: full jitter, between nothing and a limit
 * that doubles from BACKOFF_MIN_MS to BACKOFF_MAX_MS. Those who failed together don't come back
 * together. Pure, but for the state of the random numbers.
 */
#pragma once

#include <stdint.h>

#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 20000

/* attempts: that have failed, at least 1; *random: any number but 0, xorshift's state. */
static inline uint64_t backoff_ms(unsigned attempts, uint64_t *random)
{
	uint64_t most = BACKOFF_MIN_MS;

	for (unsigned i = 1; i < attempts && most < BACKOFF_MAX_MS; i++)
		most *= 2;
	if (most > BACKOFF_MAX_MS)
		most = BACKOFF_MAX_MS;
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % (most + 1);
}
