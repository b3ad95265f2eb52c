/*
 * simulate.c - what readahead costs and brings, for many patterns, near and far, beside the
 * optimum; in virtual time.
 *
 * A line is a pattern on a network: requests, bytes and time, each followed by how many times the
 * optimum's that is; how many times longer it takes without readahead; how many accesses the policy
 * was told of, and the real nanoseconds that it took to decide on one. --check asserts what must
 * hold, and is the unit test. Nothing depends on this machine's speed, but for the last column.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define ACCESSES 1000000      /* unless --accesses says otherwise */
#define CHECK_ACCESSES 200000 /* of --check: so many that the ends of scans count for little */
#define FAIR_ACCESSES 1000000 /* ... and the beginnings of eight */
#define FAIR_PERCENT 80       /* of the throughput of one */

static const struct option options[] = {
	{"accesses", required_argument, NULL, 'a'}, /* of each pattern */
	{"pattern", required_argument, NULL, 'p'},  /* this one only */
	{"trace", required_argument, NULL, 't'},    /* a file of "offset length" lines instead */
	{"check", no_argument, NULL, 'c'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: simulate [--accesses N] [--pattern NAME] [--trace FILE] [--check]\n";

/* Many readers, and one of the same total. */
static const struct {
	const char *many, *one;
} fair[] = {
	{"sequential-8", "sequential"},
	{"turns-8", "sequential"},
	{"reads-8", "reads"},
	{"strides-8", "stride-64k"},
};

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* ---- tables ------------------------------------------------------------------------------- */

static void show_head(void)
{
	printf("%-13s %-4s %9s %7s %8s %6s %9s %7s %7s %8s %5s\n", "pattern", "net", "requests",
		"(x)", "MiB", "(x)", "ms", "(x)", "without", "told", "ns");
}

static void show(const char *name, const struct sim_trace *trace, const struct sim_network *network)
{
	struct sim_cost cost = sim_run(trace, network, READAHEAD_NORMAL);
	struct sim_cost without = sim_run(trace, network, READAHEAD_RANDOM);
	struct sim_cost best = sim_optimum(trace, network);

	printf("%-13s %-4s %9" PRIu64 " %7.1f %8.1f %6.2f %9.0f %7.2f %7.1f %8" PRIu64 " %5.0f\n",
		name, network->name, cost.requests, ratio(cost.requests, best.requests),
		(double)cost.fetched_bytes / (1 << 20),
		ratio(cost.fetched_bytes, best.fetched_bytes), (double)cost.time_ns / 1e6,
		ratio(cost.time_ns, best.time_ns), ratio(without.time_ns, cost.time_ns),
		cost.decisions, cost.decision_ns);
}

static const struct sim_pattern *find_pattern(const char *name)
{
	for (size_t i = 0; i < sim_pattern_count; i++)
		if (!strcmp(sim_patterns[i].name, name))
			return &sim_patterns[i];
	return NULL;
}

static struct sim_trace generate(const struct sim_pattern *pattern, size_t accesses)
{
	struct sim_trace trace = {.door = pattern->door, .object_size = SIM_OBJECT};

	pattern->generate(&trace, accesses);
	return trace;
}

static void show_pattern(const struct sim_pattern *pattern, size_t accesses)
{
	struct sim_trace trace = generate(pattern, accesses);

	for (size_t i = 0; i < SIM_NETWORKS; i++)
		show(pattern->name, &trace, &sim_networks[i]);
	free(trace.list);
}

static int show_patterns(const char *name, size_t accesses)
{
	const struct sim_pattern *only = name ? find_pattern(name) : NULL;

	if (name && !only) {
		fprintf(stderr, "simulate: %s: no such pattern\n", name);
		return EXIT_FAILURE;
	}
	show_head();
	for (size_t i = 0; i < sim_pattern_count; i++)
		if (!only || only == &sim_patterns[i])
			show_pattern(&sim_patterns[i], accesses);
	return EXIT_SUCCESS;
}

static int show_trace(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct sim_trace trace = {.door = SIM_FILE};

	if (!sim_trace_load(&trace, path)) {
		fprintf(stderr, "simulate: %s: not a trace\n", path);
		return EXIT_FAILURE;
	}
	show_head();
	for (size_t i = 0; i < SIM_NETWORKS; i++)
		show(slash ? slash + 1 : path, &trace, &sim_networks[i]);
	free(trace.list);
	return EXIT_SUCCESS;
}

/* ---- what must hold ----------------------------------------------------------------------- */

/* The number of limits that are exceeded; sim_run() has seen to the rest. */
static int check_pattern(const struct sim_pattern *pattern, const struct sim_network *network)
{
	struct sim_trace trace = generate(pattern, CHECK_ACCESSES);
	struct sim_cost cost = sim_run(&trace, network, READAHEAD_NORMAL);
	struct sim_cost best = sim_optimum(&trace, network);
	double bytes = 100 * ratio(cost.fetched_bytes, best.fetched_bytes);
	double per_request = ratio(cost.fetched_bytes, cost.requests) / 1024;
	int failures = 0;

	free(trace.list);
	if (cost.touched_bytes != best.touched_bytes || bytes > pattern->bytes_percent_max)
		failures += printf("%s, %s: fetched %.0f%% of %" PRIu64 " bytes; at most %u%%\n",
				    pattern->name, network->name, bytes, best.touched_bytes,
				    pattern->bytes_percent_max) > 0;
	if (per_request < pattern->request_kib_min)
		failures += printf("%s, %s: %.0f KiB a request; at least %u\n", pattern->name,
				    network->name, per_request, pattern->request_kib_min) > 0;
	return failures;
}

/* Touched bytes a second. */
static double throughput(const char *name, const struct sim_network *network)
{
	struct sim_trace trace = generate(find_pattern(name), FAIR_ACCESSES);
	struct sim_cost cost = sim_run(&trace, network, READAHEAD_NORMAL);

	free(trace.list);
	return ratio(cost.touched_bytes, cost.time_ns);
}

static int check_fair(const char *many, const char *one, const struct sim_network *network)
{
	double percent = 100 * throughput(many, network) / throughput(one, network);

	printf("%s, %s: %.0f%% of the throughput of %s\n", many, network->name, percent, one);
	return percent < FAIR_PERCENT;
}

static int check(void)
{
	int failures = 0;

	for (size_t i = 0; i < SIM_NETWORKS; i++) {
		for (size_t j = 0; j < sim_pattern_count; j++)
			failures += check_pattern(&sim_patterns[j], &sim_networks[i]);
		for (size_t j = 0; j < sizeof fair / sizeof *fair; j++)
			failures += check_fair(fair[j].many, fair[j].one, &sim_networks[i]);
	}
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *pattern = NULL, *trace = NULL;
	size_t accesses = ACCESSES;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			accesses = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			pattern = optarg;
			break;
		case 't':
			trace = optarg;
			break;
		case 'c':
			return check();
		default:
			fputs(usage, stderr);
			return EXIT_FAILURE;
		}
	}
	return trace ? show_trace(trace) : show_patterns(pattern, accesses);
}
