/*
 * context_figures.c - what one context adds to the process's figures.
 *
 * On the context's loop. What is counted for them alone stands in struct context_counts; the rest
 * is counted anyway, for pagein_stats().
 */
#include "figures.h"

#include <stdlib.h>

#include "map_limit.h"

static void add_map_stats(const struct pagein_stats *stats, struct figures *to)
{
	to->values[FIGURE_FAULTS] += stats->faults;
	to->values[FIGURE_FILLS] += stats->fills;
	to->values[FIGURE_FILLED_BYTES] += stats->bytes_filled;
	to->values[FIGURE_ZERO_PAGES] += stats->zero_pages;
	to->values[FIGURE_POISONED_PAGES] += stats->poisoned;
	to->values[FIGURE_EVICTED_PAGES] += stats->evicted;
	to->values[FIGURE_REFILLED_PAGES] += stats->refilled;
	to->values[FIGURE_HUGE_FILLS] += stats->huge_fills;
	to->values[FIGURE_HUGE_FALLBACKS] += stats->fallbacks;
	to->values[FIGURE_MAPS] += stats->maps;
	to->values[FIGURE_RESIDENT_BYTES] += stats->resident_bytes;
	to->values[FIGURE_PINNED_BYTES] += stats->pinned_bytes;
}

void context_add_figures(struct context *context, struct figures *to)
{
	const struct context_counts *counts = context_counts(context);

	core_add_figures(context_core(context), to);
	add_map_stats(context_map_stats(context), to);
	to->values[FIGURE_FAULT_HITS] += counts->fault_hits;
	spread_add(&to->spreads[SPREAD_WAIT], &counts->wait);
	if (context_limit(context))
		to->values[FIGURE_CACHED_BYTES] += limit_second_bytes(context_limit(context));
	list_for_each (node, &context_roll(context)->maps)
		threads_add_figures(&list_entry(node, struct pagein_map, node)->threads, to);
	if (counts->threads)
		figures_add(to, counts->threads);
}

/* A map goes: who has waited for it has done so all the same. */
void context_keep_threads(struct context *context, const struct threads *threads)
{
	struct figures *kept = context_counts(context)->threads;

	if (kept)
		threads_add_figures(threads, kept);
}
