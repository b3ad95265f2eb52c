/*
 * timers.h - timers by their deadlines, in memory of their owners'. One thread.
 *
 * Nothing here can fail: setting a timer takes no memory, so a deadline is one that is kept.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A one-shot timer, embedded by its owner. Zeroed memory is a timer that is not set. */
struct loop_timer {
	uint64_t deadline_ns;
	struct loop_timer **slot; /* what points at it; NULL: it is not set */
	struct loop_timer *child; /* the first of those that are later, whose next: */
	struct loop_timer *next;
	void (*expired)(struct loop_timer *self);
};

/* Zeroed memory is a set without timers; it must not move. */
struct timers {
	struct loop_timer *first; /* the earliest; NULL: none */
};

/* The timer is not set. */
void timers_add(struct timers *timers, struct loop_timer *timer, uint64_t deadline_ns);
/* It may be any, or none. */
void timers_remove(struct timers *timers, struct loop_timer *timer);
