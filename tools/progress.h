/*
 * progress.h - how far something is that takes long: one line on stderr, with its rate and the time
 * that is left, after a second, and only where stderr is a terminal. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;
	const char *unit; /* "bytes" are shown as MiB */
	uint64_t total;   /* 0: not known */
	uint64_t start_ns, shown_ns;
	bool is_on, is_shown;
};

/* The strings must live until progress_end(). */
void progress_start(struct progress *progress, const char *what, const char *unit, uint64_t total);

/* `done` of the total. Cheap: a read of the clock. */
void progress_set(struct progress *progress, uint64_t done);

/* Wipes the line out, if there is one. Other words on stderr want that, too. */
void progress_end(struct progress *progress);
