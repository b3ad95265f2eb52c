/*
 * samples.c - every access of every run, as CSV: what the histograms were made of. On the main
 * thread. A field is a name of ours or a number: nothing wants quoting.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

static void write_run(FILE *file, const struct bench_cell *cell, uint64_t number)
{
	const struct bench_result *run = &cell->runs[number];

	for (uint64_t i = 0; run->samples && i < run->accesses; i++) {
		const struct bench_sample *sample = &run->samples[i];

		fprintf(file,
			"%s,%s,%s,%" PRIu64 ",%" PRIu32 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
			",%" PRIu64 "\n",
			cell->scenario, cell->engine->name, pattern_name(cell->pattern), number,
			sample->worker, sample->start_ns, sample->offset, sample->len,
			sample->latency_ns);
	}
}

static int write_all(const char *path, const struct bench_record *record)
{
	FILE *file = fopen(path, "we");
	bool failed;

	if (!file)
		return -errno;
	fprintf(file, "scenario,engine,pattern,run,thread,start_ns,offset,length,latency_ns\n");
	for (size_t i = 0; i < record->cell_count; i++)
		for (uint64_t run = 0; run < record->cells[i].count; run++)
			write_run(file, &record->cells[i], run);
	errno = EIO;
	failed = ferror(file);
	return fclose(file) != 0 || failed ? -errno : 0;
}

int bench_write_samples(const struct options *options, const struct bench_record *record)
{
	int err = write_all(options->samples, record);

	if (err < 0)
		fprintf(stderr, "pagein bench: --samples: %s: %s\n", options->samples,
			strerrordesc_np(-err));
	return err;
}
