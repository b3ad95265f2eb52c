/*
 * summary.c - what is shown of a cell. Any thread, after the runs. Owns nothing.
 *
 * The median of several runs is shown, and how far the farthest of them lies from it: with so few
 * runs a deviation would promise a distribution that nobody knows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cleanup.h"

double bench_judged(const struct bench_cell *cell, const struct bench_result *run)
{
	return bench_by_access(cell->options, cell->pattern)
		       ? (double)histogram_percentile(&run->latency, 50) / 1000
		       : run->seconds;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, uint64_t count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	return count ? values[count / 2] : -1;
}

static const struct bench_result *median_run(const struct bench_cell *cell)
{
	cleanup_free double *figures = calloc(cell->count + 1, sizeof *figures);
	double median;

	if (!figures || cell->count == 0)
		return NULL;
	for (uint64_t i = 0; i < cell->count; i++)
		figures[i] = bench_judged(cell, &cell->runs[i]);
	median = bench_median(figures, cell->count);
	for (uint64_t i = 0; i < cell->count; i++)
		if (!(bench_judged(cell, &cell->runs[i]) < median) &&
			!(bench_judged(cell, &cell->runs[i]) > median))
			return &cell->runs[i];
	return NULL;
}

static double spread_of(const struct bench_cell *cell, double median)
{
	double farthest = 0;

	for (uint64_t i = 0; i < cell->count; i++)
		farthest = fmax(farthest, fabs(bench_judged(cell, &cell->runs[i]) - median));
	return median > 0 ? farthest / median : 0;
}

/* The same in the floor's cell; NULL: there is none, or it has failed. */
static const struct bench_cell *find_floor(
	const struct bench_record *record, const struct bench_cell *cell)
{
	const struct bench_engine *floor = cell->engine->floor ? cell->engine->floor : cell->engine;

	for (size_t i = 0; i < record->cell_count; i++)
		if (record->cells[i].engine == floor && record->cells[i].count > 0 &&
			record->cells[i].pattern == cell->pattern &&
			record->cells[i].options == cell->options)
			return &record->cells[i];
	return NULL;
}

void bench_summarise(
	const struct bench_record *record, const struct bench_cell *cell, struct bench_summary *ret)
{
	const struct bench_cell *floor = find_floor(record, cell);
	const struct bench_result *floor_run = floor ? median_run(floor) : NULL;

	*ret = (struct bench_summary){.median = median_run(cell)};
	for (uint64_t i = 0; i < cell->count; i++)
		ret->wrong += cell->runs[i].wrong;
	if (ret->median)
		ret->spread = spread_of(cell, bench_judged(cell, ret->median));
	if (ret->median && floor_run && bench_judged(floor, floor_run) > 0)
		ret->ratio = bench_judged(cell, ret->median) / bench_judged(floor, floor_run);
	for (int i = 0; i < STAGE_FIGURES; i++) {
		cleanup_free double *values = calloc(cell->stage_runs + 1, sizeof *values);

		ret->stages_us[i] = -1;
		ret->stages_mean_us[i] = cell->stages_known > 0 ? cell->stages_sum_us[i] /
									  (double)cell->stages_known
								: -1;
		if (!values)
			continue;
		memcpy(values, cell->stages_us[i], cell->stage_runs * sizeof *values);
		ret->stages_us[i] = bench_median(values, cell->stage_runs);
	}
}
