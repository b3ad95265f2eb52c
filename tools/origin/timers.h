/*
 * timers.h - deadlines in a binary heap; one thread.
 *
 * A timer is a member of what it belongs to. Room is reserved when that is created, so that setting
 * and clearing never fail and never allocate; both cost O(log n).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct timer {
	uint64_t deadline_ns;
	size_t slot; /* in the heap, from 1; 0: not set */
};

struct timers {
	struct timer **heap;
	size_t count;
	size_t capacity;
};

int origin_timers_reserve(struct timers *timers, size_t count);
void origin_timers_finish(struct timers *timers);

/* Sets or moves it. */
void origin_timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns);
void origin_timer_clear(struct timers *timers, struct timer *timer);

/* The earliest one, NULL when none is set. */
struct timer *origin_timers_first(const struct timers *timers);
