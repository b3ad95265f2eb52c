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

#define QUIET_NS NS_PER_S /* what is over sooner needs no line */

static struct progress *shown; /* whose line stands on the terminal */

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

void progress_start_beside(
	struct progress *progress, const char *what, const char *unit, uint64_t total)
{
	progress_start(progress, what, unit, total);
	progress->is_on &= isatty(STDOUT_FILENO) != 1;
}

static void show(struct progress *progress, double seconds)
{
	bool is_bytes = strcmp(progress->unit, "bytes") == 0;
	double scale = is_bytes ? 1024 * 1024 : 1, done = (double)progress->done;
	double rate = done / seconds;

	fprintf(stderr, "\r\033[K%s: ", progress->what);
	if (progress->done == 0)
		fprintf(stderr, "waiting for %.0f s", seconds);
	else
		fprintf(stderr, "%.0f", done / scale);
	if (progress->done > 0 && progress->total > 0)
		fprintf(stderr, " of %.0f", (double)progress->total / scale);
	if (progress->done > 0)
		fprintf(stderr, " %s, %.1f a second", is_bytes ? "MiB" : progress->unit,
			rate / scale);
	if (progress->done > 0 && progress->total > progress->done)
		fprintf(stderr, ", %.0f s left", ((double)progress->total - done) / rate);
	fflush(stderr);
	progress->is_shown = true;
	shown = progress;
}

void progress_add(struct progress *progress, uint64_t more)
{
	uint64_t now_ns;

	progress->done += more;
	if (!progress->is_on)
		return;
	now_ns = clock_now_ns();
	if (now_ns - progress->start_ns < QUIET_NS ||
		now_ns - progress->shown_ns < PROGRESS_PAUSE_NS)
		return;
	progress->shown_ns = now_ns;
	show(progress, (double)(now_ns - progress->start_ns) / NS_PER_S);
}

void progress_end(struct progress *progress)
{
	if (progress->is_shown)
		fprintf(stderr, "\r\033[K");
	progress->is_shown = false;
	if (shown == progress)
		shown = NULL;
}

void progress_hide(void)
{
	if (shown)
		progress_end(shown);
}
