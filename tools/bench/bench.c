/*
 * bench.c - `pagein bench`: the scenario of the command line, or those of the suite, and what is
 * written of them; or two records beside each other. On the main thread.
 *
 * --pin puts this process, the embedded server and the mounts onto one CPU: waking another, idle
 * CPU costs more than the whole path, so only pinned figures compare with pinned ones.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "commands.h"
#include "suite.h"

#define WORKERS_MAX 4096 /* threads of all processes of a run */

static void pin(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof cpus, &cpus) < 0)
		fprintf(stderr, "pagein bench: can't pin to CPU 0: %s\n", strerrordesc_np(errno));
}

/* What goes together; the values by themselves are the table's business. */
static bool options_are_whole(const struct options *options)
{
	bool replays = options->patterns & 1U << PATTERN_REPLAY;
	const struct {
		bool wrong;
		const char *why;
	} rows[] = {
		{replays && !options->trace, "the pattern replay wants --trace FILE"},
		{options->trace && !replays, "--trace is for --pattern replay"},
		{options->recorded_pace && !replays, "--recorded-pace is for --pattern replay"},
		{options->recorded_pace && options->arrival > 0,
			"--recorded-pace and --arrival are two answers to one question"},
		{options->recorded_pace && options->patterns != 1U << PATTERN_REPLAY,
			"--recorded-pace wants --pattern replay alone"},
		{options->threads * options->processes > WORKERS_MAX,
			"more than 4096 threads in all processes"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].wrong) {
			fprintf(stderr, "pagein bench: %s\n", rows[i].why);
			return false;
		}
	return bench_check_engines(options->engines) == 0;
}

static int write_files(const struct options *options, const struct bench_record *record)
{
	int err = 0;

	if (options->json)
		err = bench_write_json(options, record);
	if (options->samples && bench_write_samples(options, record) < 0)
		err = -EIO;
	if (options->html && bench_write_html(options, record) < 0)
		err = -EIO;
	if (options->svg && bench_write_svg(options, record) < 0)
		err = -EIO;
	return err;
}

static int bench_all(const struct options *options, struct bench_record *record)
{
	bool failed = false;
	int err;

	if (options->pin)
		pin();
	err = options->suite ? bench_suite(options, record) : bench_scenario("", options, record);
	bench_table(record);
	for (size_t i = 0; i < record->cell_count; i++) {
		failed |= record->cells[i].failed || record->cells[i].count == 0;
		for (uint64_t run = 0; run < record->cells[i].count; run++)
			failed |= record->cells[i].runs[run].wrong > 0;
	}
	if (record->cell_count > 0 && write_files(options, record) < 0)
		failed = true;
	return err < 0 || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void record_free(struct bench_record *record)
{
	for (size_t i = 0; i < record->cell_count; i++) {
		struct bench_cell *cell = &record->cells[i];

		for (uint64_t run = 0; run < cell->count; run++) {
			free(cell->runs[run].samples);
			free(cell->runs[run].heat);
		}
		for (int stage = 0; stage < STAGE_FIGURES; stage++)
			free(cell->stages_us[stage]);
		free(cell->runs);
	}
	free(record);
}

static int command_diff(const struct options *options)
{
	if (options->operand_count == 3)
		return bench_diff(options->operands[1], options->operands[2]);
	fprintf(stderr, "Usage: pagein bench diff BEFORE.json AFTER.json\n");
	return 2;
}

int command_bench(const struct options *options)
{
	struct bench_record *record;
	int status = EXIT_FAILURE;

	if (options->operand_count > 0 && strcmp(options->operands[0], "diff") == 0)
		return command_diff(options);
	if (options->operand_count > 1) {
		fprintf(stderr, "pagein bench: one SOURCE, please: '%s' is another\n",
			options->operands[1]);
		return EXIT_FAILURE;
	}
	record = calloc(1, sizeof *record);
	if (!record) {
		fprintf(stderr, "pagein bench: out of memory\n");
		return EXIT_FAILURE;
	}
	record->others_cpus = record->stolen_cpus = -1;
	if (options_are_whole(options))
		status = bench_all(options, record);
	record_free(record);
	return status;
}
