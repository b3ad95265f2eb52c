/*
 * table.c - the results, for people. On the main thread.
 *
 * One line a cell: the median run's percentiles, how far the runs lie apart, and how many times the
 * floor's figure it is. Then one for each cell whose stages were taken: their medians.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static void print_head(const char *scenario)
{
	if (scenario[0])
		printf("\n%s\n", scenario);
	printf("%-12s %-10s %8s %9s %9s %9s %9s %9s %6s %7s %7s %9s\n", "engine", "pattern",
		"accesses", "p50 us", "p90 us", "p99 us", "max us", "MB/s", "spread", "floor",
		"fetched", "requests");
}

static void print_row(const struct bench_cell *cell, const struct bench_summary *summary)
{
	const struct bench_result *run = summary->median;
	const struct histogram *latency = &run->latency;

	printf("%-12s %-10s %8llu %9.1f %9.1f %9.1f %9.1f %9.1f %5.0f%%", cell->engine->name,
		pattern_name(cell->pattern), (unsigned long long)run->accesses,
		us(histogram_percentile(latency, 50)), us(histogram_percentile(latency, 90)),
		us(histogram_percentile(latency, 99)), us(histogram_max(latency)),
		run->seconds > 0 ? (double)run->bytes_touched / run->seconds / 1e6 : 0,
		summary->spread * 100);
	if (summary->ratio > 0)
		printf(" %6.2fx", summary->ratio);
	else
		printf(" %7s", "-");
	if (run->bytes_fetched != UINT64_MAX)
		printf(" %6.2fx %9llu\n", (double)run->bytes_fetched / (double)run->bytes_touched,
			(unsigned long long)run->requests);
	else
		printf(" %7s %9s\n", "-", "-");
	if (summary->wrong > 0)
		printf("%-12s %-10s WRONG BYTES in %llu accesses\n", cell->engine->name,
			pattern_name(cell->pattern), (unsigned long long)summary->wrong);
}

/* Stages are taken if somebody wants them in a file. */
static void print_stages(const struct bench_record *record)
{
	bool is_first = true;

	for (size_t i = 0; i < record->cell_count; i++) {
		const struct bench_cell *cell = &record->cells[i];
		struct bench_summary summary;

		if (cell->stages_known == 0)
			continue;
		bench_summarise(record, cell, &summary);
		if (is_first) {
			printf("\n%-12s %-10s", "stages, us", "pattern");
			for (int stage = 0; stage < STAGE_COUNT; stage++)
				printf(" %10s", fault_stage_name((enum fault_stage)stage));
			printf(" %10s\n", "all");
		}
		is_first = false;
		printf("%-12s %-10s", cell->engine->name, pattern_name(cell->pattern));
		for (int stage = 0; stage < STAGE_FIGURES; stage++)
			printf(" %10.2f", summary.stages_us[stage]);
		printf("%s%s\n", cell->scenario[0] ? "  " : "", cell->scenario);
	}
}

void bench_table(const struct bench_record *record)
{
	const char *scenario = NULL;

	for (size_t i = 0; i < record->cell_count; i++) {
		const struct bench_cell *cell = &record->cells[i];
		struct bench_summary summary;

		if (!scenario || strcmp(scenario, cell->scenario) != 0)
			print_head(cell->scenario);
		scenario = cell->scenario;
		bench_summarise(record, cell, &summary);
		if (summary.median)
			print_row(cell, &summary);
	}
	print_stages(record);
	fflush(stdout);
}
