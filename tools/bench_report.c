/*
 * bench_report.c - the results, as a table for people and as JSON for programs.
 *
 * The names in the JSON are an interface: other programs read them.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "url.h"

static const double percentiles[] = {50, 90, 99, 99.5, 99.9};

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static double mb_per_s(const struct bench_result *result)
{
	return result->seconds > 0 ? (double)result->bytes_touched / result->seconds / 1e6 : 0;
}

void bench_table_head(void)
{
	printf("%-12s %-10s %8s %9s %9s %9s %9s %9s %7s %7s %9s\n", "engine", "pattern", "accesses",
		"p50 us", "p90 us", "p99 us", "max us", "MB/s", "floor", "fetched", "requests");
}

/* floor: the same pattern's result of the engine's floor in these runs, or NULL. */
void bench_table_row(const struct bench_result *result, const struct bench_result *floor)
{
	const struct histogram *latency = &result->latency;
	double ratio = 0;

	if (floor && !bench_by_access(result->pattern))
		ratio = result->seconds / floor->seconds;
	else if (floor)
		ratio = (double)histogram_percentile(latency, 50) /
			(double)histogram_percentile(&floor->latency, 50);
	printf("%-12s %-10s %8llu %9.1f %9.1f %9.1f %9.1f %9.1f", result->engine->name,
		bench_pattern_name(result->pattern), (unsigned long long)result->accesses,
		us(histogram_percentile(latency, 50)), us(histogram_percentile(latency, 90)),
		us(histogram_percentile(latency, 99)), us(histogram_max(latency)),
		mb_per_s(result));
	if (ratio > 0)
		printf(" %6.2fx", ratio);
	else
		printf(" %7s", "-");
	if (result->bytes_fetched != UINT64_MAX)
		printf(" %6.2fx %9llu\n",
			(double)result->bytes_fetched / (double)result->bytes_touched,
			(unsigned long long)result->requests);
	else
		printf(" %7s %9s\n", "-", "-");
	if (result->wrong > 0)
		printf("%-12s %-10s WRONG BYTES in %llu accesses\n", result->engine->name,
			bench_pattern_name(result->pattern), (unsigned long long)result->wrong);
	fflush(stdout);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static json_t *known_integer(uint64_t value)
{
	return value == UINT64_MAX ? json_null() : json_integer((json_int_t)value);
}

static json_t *latency_json(const struct histogram *latency)
{
	static const char *const names[] = {"p50", "p90", "p99", "p995", "p999"};
	json_t *json = json_object();

	json_object_set_new(json, "min", json_real(us(histogram_min(latency))));
	for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
		json_object_set_new(json, names[i],
			json_real(us(histogram_percentile(latency, percentiles[i]))));
	json_object_set_new(json, "max", json_real(us(histogram_max(latency))));
	return json;
}

/* null where the engine can't tell. */
static json_t *stages_json(const struct bench_result *result)
{
	static const char *const names[STAGE_COUNT] = {
		[STAGE_EVENT] = "event",
		[STAGE_SUBMIT] = "submit",
		[STAGE_FIRST_BYTE] = "first_byte",
		[STAGE_LAST_BYTE] = "last_byte",
		[STAGE_FILL] = "fill",
		[STAGE_RESUME] = "resume",
	};
	json_t *json = json_object();

	for (int i = 0; i < STAGE_COUNT; i++)
		json_object_set_new(json, names[i],
			result->stages_us[i] < 0 ? json_null() : json_real(result->stages_us[i]));
	return json;
}

static json_t *result_json(const struct options *options, const struct bench_result *result)
{
	json_t *json = json_object();

	json_object_set_new(json, "engine", json_string(result->engine->name));
	json_object_set_new(json, "pattern", json_string(bench_pattern_name(result->pattern)));
	json_object_set_new(json, "access_bytes", json_integer((json_int_t)options->access_bytes));
	json_object_set_new(json, "threads", json_integer((json_int_t)options->threads));
	json_object_set_new(json, "faults", json_integer((json_int_t)result->accesses));
	json_object_set_new(json, "bytes_touched", json_integer((json_int_t)result->bytes_touched));
	json_object_set_new(json, "bytes_fetched", known_integer(result->bytes_fetched));
	json_object_set_new(json, "requests", known_integer(result->requests));
	json_object_set_new(json, "wrong", json_integer((json_int_t)result->wrong));
	json_object_set_new(json, "seconds", json_real(result->seconds));
	json_object_set_new(json, "mb_per_s", json_real(mb_per_s(result)));
	json_object_set_new(json, "latency_us", latency_json(&result->latency));
	json_object_set_new(json, "stages_us", stages_json(result));
	return json;
}

static void cpu_model(char *ret, size_t max)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret, max, "unknown");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
			snprintf(ret, max, "%s", strchr(line, ':') + 2);
			ret[strcspn(ret, "\n")] = '\0';
			break;
		}
	if (file)
		fclose(file);
}

static json_t *environment_json(const struct options *options, const struct bench_target *target)
{
	json_t *json = json_object();
	struct utsname kernel;
	char cpu[256];

	uname(&kernel);
	cpu_model(cpu, sizeof cpu);
	json_object_set_new(json, "kernel", json_string(kernel.release));
	json_object_set_new(json, "cpu", json_string(cpu));
	json_object_set_new(json, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(json, "curl", json_string(url_library().version));
	json_object_set_new(
		json, "origin", json_string(target->embedded ? "embedded" : target->url));
	json_object_set_new(json, "pinned", json_boolean(options->pin));
	return json;
}

int bench_write_json(const struct options *options, const struct bench_target *target,
	const struct bench_result *const *results, size_t count)
{
	json_t *root = json_object(), *runs = json_array();
	int err = 0;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(runs, result_json(options, results[i]));
	json_object_set_new(root, "environment", environment_json(options, target));
	json_object_set_new(root, "runs", runs);
	if (json_dump_file(root, options->json, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0)
		err = errno ? -errno : -EIO;
	json_decref(root);
	if (err < 0)
		fprintf(stderr, "pagein bench: %s: %s\n", options->json, strerrordesc_np(-err));
	return err;
}
