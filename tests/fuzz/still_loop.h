/*
 * still_loop.h - a loop that stands still: nothing happens on it but what a target lets happen.
 *
 * still_loop.c defines the functions of loop.h, and clock_gettime(2) (--wrap), so that real code
 * runs in one thread, in virtual time, and the same input does the same again. There is no epoll: a
 * descriptor is ready when the target says so. Of several loops one is at work at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

/* At a time of its own, for each input anew. */
void still_clock_reset(void);

/* All that is due in the next ns of virtual time, in the order of deadlines; what is posted first.
 */
void still_pass(struct loop *loop, uint64_t ns);

/* The next timer, however late that is. false: none is set, and nothing was posted. */
bool still_next(struct loop *loop);

/* Is a descriptor with this handler added? Then it is called. */
bool still_ready(struct loop *loop, int fd);

/* What the target does while loop_run() runs: called again and again until loop_stop(). */
extern void (*still_run)(struct loop *loop);

/* How many timers are set. */
unsigned still_timers(const struct loop *loop);
