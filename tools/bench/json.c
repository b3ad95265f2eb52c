/*
 * json.c - the record, for programs. On the main thread.
 *
 * The names are an interface: other programs read them. Times are in the unit of their name; null
 * is what nobody knows. A cell's figures are those of its median run; what all runs said stands in
 * "per_run", and the histogram is of all of them together: its lines are the first and the last
 * nanosecond of a bucket, and how many accesses were in it, so that records can be merged by
 * adding.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "machine.h"
#include "url.h"

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static json_t *known_integer(uint64_t value)
{
	return value == UINT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static json_t *known_real(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

/* ---- a cell -------------------------------------------------------------------------------- */

static json_t *latency_json(const struct histogram *latency)
{
	static const struct {
		const char *name;
		double percentile;
	} rows[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p995", 99.5}, {"p999", 99.9}};
	json_t *json = json_object();

	json_object_set_new(json, "min", json_real(us(histogram_min(latency))));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		json_object_set_new(json, rows[i].name,
			json_real(us(histogram_percentile(latency, rows[i].percentile))));
	json_object_set_new(json, "max", json_real(us(histogram_max(latency))));
	return json;
}

static json_t *stages_json(const double stages_us[STAGE_FIGURES])
{
	json_t *json = json_object();

	for (unsigned i = 0; i < STAGE_COUNT; i++)
		json_object_set_new(
			json, fault_stage_name((enum fault_stage)i), known_real(stages_us[i]));
	return json;
}

/* Medians don't add up, means do: the stages' are exactly "all"'s. */
static json_t *stages_together_json(
	const struct bench_cell *cell, const struct bench_summary *summary)
{
	json_t *json = json_object(), *means = stages_json(summary->stages_mean_us);

	json_object_set_new(means, "all", known_real(summary->stages_mean_us[STAGE_ALL]));
	json_object_set_new(json, "accesses", json_integer((json_int_t)cell->stages_known));
	json_object_set_new(json, "p50_us", known_real(summary->stages_us[STAGE_ALL]));
	json_object_set_new(json, "mean_us", means);
	return json;
}

static json_t *per_run_json(const struct bench_cell *cell)
{
	json_t *json = json_object(), *seconds = json_array(), *p50 = json_array();
	json_t *stages = json_object();

	for (uint64_t run = 0; run < cell->count; run++) {
		json_array_append_new(seconds, json_real(cell->runs[run].seconds));
		json_array_append_new(
			p50, json_real(us(histogram_percentile(&cell->runs[run].latency, 50))));
	}
	for (unsigned i = 0; i < STAGE_COUNT; i++) {
		json_t *medians = json_array();

		for (uint64_t run = 0; run < cell->stage_runs; run++)
			if (cell->stages_us[i][run] >= 0)
				json_array_append_new(medians, json_real(cell->stages_us[i][run]));
		json_object_set_new(stages, fault_stage_name((enum fault_stage)i), medians);
	}
	json_object_set_new(json, "seconds", seconds);
	json_object_set_new(json, "p50_us", p50);
	json_object_set_new(json, "stages_us", stages);
	return json;
}

static json_t *histogram_json(const struct bench_cell *cell)
{
	static struct histogram all;
	struct histogram_bucket bucket = {0};
	json_t *json = json_array();

	histogram_reset(&all);
	for (uint64_t run = 0; run < cell->count; run++)
		histogram_merge(&all, &cell->runs[run].latency);
	while (histogram_next(&all, &bucket))
		json_array_append_new(
			json, json_pack("[III]", (json_int_t)bucket.low_ns,
				      (json_int_t)bucket.high_ns, (json_int_t)bucket.count));
	return json;
}

/* What makes it comparable with another record's. */
static void set_what(json_t *json, const struct bench_cell *cell)
{
	const struct options *options = cell->options;

	json_object_set_new(json, "scenario", json_string(cell->scenario));
	json_object_set_new(json, "engine", json_string(cell->engine->name));
	json_object_set_new(json, "pattern", json_string(pattern_name(cell->pattern)));
	json_object_set_new(json, "access_bytes", json_integer((json_int_t)options->access_bytes));
	json_object_set_new(json, "threads", json_integer((json_int_t)options->threads));
	json_object_set_new(json, "processes", json_integer((json_int_t)options->processes));
	json_object_set_new(json, "arrivals_per_s",
		options->arrival ? json_integer((json_int_t)options->arrival) : json_null());
	json_object_set_new(json, "warm", json_boolean(options->warm));
}

static json_t *cell_json(const struct bench_record *record, const struct bench_cell *cell)
{
	struct bench_summary summary;
	const struct bench_result *run;
	json_t *json;

	bench_summarise(record, cell, &summary);
	run = summary.median;
	if (!run)
		return NULL;
	json = json_object();
	set_what(json, cell);
	json_object_set_new(json, "faults", json_integer((json_int_t)run->accesses));
	json_object_set_new(json, "bytes_touched", json_integer((json_int_t)run->bytes_touched));
	json_object_set_new(json, "bytes_fetched", known_integer(run->bytes_fetched));
	json_object_set_new(json, "requests", known_integer(run->requests));
	json_object_set_new(json, "wrong", json_integer((json_int_t)summary.wrong));
	json_object_set_new(json, "seconds", json_real(run->seconds));
	json_object_set_new(json, "mb_per_s",
		json_real(run->seconds > 0 ? (double)run->bytes_touched / run->seconds / 1e6 : 0));
	json_object_set_new(json, "latency_us", latency_json(&run->latency));
	json_object_set_new(json, "stages_us", stages_json(summary.stages_us));
	json_object_set_new(json, "stages", stages_together_json(cell, &summary));
	json_object_set_new(json, "judged_by",
		json_string(bench_by_access(cell->options, cell->pattern) ? "p50_us" : "seconds"));
	json_object_set_new(json, "spread", json_real(summary.spread));
	json_object_set_new(
		json, "floor_ratio", summary.ratio > 0 ? json_real(summary.ratio) : json_null());
	json_object_set_new(json, "per_run", per_run_json(cell));
	json_object_set_new(json, "histogram_ns", histogram_json(cell));
	return json;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static json_t *environment_json(const struct options *options, const struct bench_record *record)
{
	json_t *json = json_object();
	struct utsname kernel;
	time_t now = time(NULL);
	char cpu[256], placement[1024], date[32];
	struct tm utc;

	uname(&kernel);
	machine_cpu(cpu, sizeof cpu);
	machine_placement(placement, sizeof placement);
	gmtime_r(&now, &utc);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
	json_object_set_new(json, "date", json_string(date));
	json_object_set_new(json, "pagein", json_string(PAGEIN_VERSION));
	json_object_set_new(json, "kernel", json_string(kernel.release));
	json_object_set_new(json, "cpu", json_string(cpu));
	json_object_set_new(json, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(json, "placement", json_string(placement));
	json_object_set_new(json, "pinned", json_boolean(options->pin));
	json_object_set_new(json, "curl", json_string(url_library().version));
	json_object_set_new(json, "tls", json_string(url_library().tls));
	json_object_set_new(json, "origin", json_string(record->origin));
	json_object_set_new(json, "seed", json_integer((json_int_t)options->seed));
	json_object_set_new(json, "clock_ns", json_real(machine_clock_ns()));
	json_object_set_new(json, "stages_ns", json_real(machine_stages_ns()));
	json_object_set_new(json, "others_cpus", known_real(record->others_cpus));
	json_object_set_new(json, "stolen_cpus", known_real(record->stolen_cpus));
	return json;
}

int bench_write_json(const struct options *options, const struct bench_record *record)
{
	json_t *root = json_object(), *runs = json_array();
	int err = 0;

	for (size_t i = 0; i < record->cell_count; i++) {
		json_t *cell = cell_json(record, &record->cells[i]);

		if (cell)
			json_array_append_new(runs, cell);
	}
	json_object_set_new(root, "environment", environment_json(options, record));
	json_object_set_new(root, "runs", runs);
	if (json_dump_file(root, options->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0)
		err = errno ? -errno : -EIO;
	json_decref(root);
	if (err < 0)
		fprintf(stderr, "pagein bench: --json: %s: %s\n", options->json,
			strerrordesc_np(-err));
	return err;
}
