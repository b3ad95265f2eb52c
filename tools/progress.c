/*
 * progress.c - see progress.h. Owns a line of the terminal.
 *
 * The time left is what is left at the rate so far: honest where the rate is even, and all else
 * would be a guess with more decimals.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define QUIET_NS NS_PER_S          /* what is over sooner needs no line */
#define PAUSE_NS (200 * NS_PER_MS) /* five lines a second can be read */

void progress_start(struct progress *progress, const char *what, const char *unit, uint64_t total)
{
	*progress = (struct progress){
		.what = what,
		.unit = unit,
		.total = total,
		.start_ns = clock_now_ns(),
		.is_on = isatty(STDERR_FILENO) == 1,
	};
}

static void show(struct progress *progress, uint64_t done, double seconds)
{
	bool is_bytes = strcmp(progress->unit, "bytes") == 0;
	double scale = is_bytes ? 1024 * 1024 : 1;
	double rate = (double)done / seconds;

	fprintf(stderr, "\r\033[K%s: %.0f", progress->what, (double)done / scale);
	if (progress->total > 0)
		fprintf(stderr, " of %.0f", (double)progress->total / scale);
	fprintf(stderr, " %s, %.1f a second", is_bytes ? "MiB" : progress->unit, rate / scale);
	if (progress->total > done && rate > 0)
		fprintf(stderr, ", %.0f s left", (double)(progress->total - done) / rate);
	fflush(stderr);
	progress->is_shown = true;
}

void progress_set(struct progress *progress, uint64_t done)
{
	uint64_t now_ns;

	if (!progress->is_on)
		return;
	now_ns = clock_now_ns();
	if (now_ns - progress->start_ns < QUIET_NS || now_ns - progress->shown_ns < PAUSE_NS)
		return;
	progress->shown_ns = now_ns;
	show(progress, done, (double)(now_ns - progress->start_ns) / NS_PER_S);
}

void progress_end(struct progress *progress)
{
	if (progress->is_shown)
		fprintf(stderr, "\r\033[K");
	progress->is_shown = false;
}
