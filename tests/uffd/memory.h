/*
 * memory.h - what the tests of a memory limit share: who says what is resident. The oracle is the
 * kernel: mincore(2), and Rss of the map's area in /proc/self/smaps.
 */
#pragma once

#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define MIB ((size_t)1 << 20)
#define SLACK MIB /* pagein.h: the limit holds within 1 MiB */

extern const struct pagein_options limit_1m, limit_4m;

/* The sanitizers' own mlock(2) does nothing. */
int lock(const void *start, size_t length);
int unlock(const void *start, size_t length);

/* Bytes of [start, start + length) that are in memory, as the kernel counts. */
size_t kernel_resident(const void *start, size_t length);

/* Rss of all areas that begin in [start, start + length). */
size_t smaps_rss(const void *start, size_t length);

/* What the limit is about. */
size_t taken(void);

/* Readahead and all that is on its way has arrived: the counters stand still. */
void settle(void);

/* The counters and the kernel agree. */
void check_exact(const struct session *session);

/* A thread that looks all the time how much is taken. */
struct sampler {
	pthread_t thread;
	_Atomic bool ended;
	size_t most;
};
void sampler_start(struct sampler *self);
size_t sampler_end(struct sampler *self);
