/*
 * progress.h - how far something is that takes long: one line on stderr, with its rate and the time
 * that is left, after a second, and only where stderr is a terminal. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

struct progress {
	const char *what;
	const char *unit; /* "bytes" are shown as MiB */
	uint64_t total;   /* 0: not known */
	uint64_t done;
	uint64_t start_ns, shown_ns;
	bool is_on, is_shown;
};

#define PROGRESS_PAUSE_NS (200 * NS_PER_MS) /* five lines a second can be read */

/* The strings must live until progress_end(). One at a time: it is the terminal's last line. */
void progress_start(struct progress *progress, const char *what, const char *unit, uint64_t total);

/* The same for who writes to stdout meanwhile: never where that is a terminal, too. */
void progress_start_beside(
	struct progress *progress, const char *what, const char *unit, uint64_t total);

/* So many more are done: of nothing for long, who waits should say 0 every PROGRESS_PAUSE_NS.
 * Cheap: a read of the clock. */
void progress_add(struct progress *progress, uint64_t more);

/* Wipes the line out, if there is one. */
void progress_end(struct progress *progress);
/* The same of whichever there is, for who has other words for stderr; it may come again. */
void progress_hide(void);
