/*
 * diff.c - two records, and what differs between them by more than chance. On the main thread.
 *
 * Of each cell that both have, the runs' figures are compared by their ranks (rank.h), and so is
 * each stage: a change of a tenth in a stage is one of a hundredth in the whole, where noise hides
 * it. Where many figures are compared, some differ by chance; how many that would be is told.
 *
 * Rejected: a bound on the difference of the medians alone, as benchmarks have it. It says as much
 * about the bound as about the change.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "rank.h"

#define CHANCE 0.01 /* differences less likely than this by chance are told */
#define RUNS_MIN 5  /* of each side, to be able to: rank.h */
/*
 * Runs of one record share a process; two records of the same program on the same machine differ by
 * up to 4 % (where memory lies, the host's other guests), which no test of their runs sees. And
 * nothing shorter than two reads of the clock is a change.
 */
#define CHANGE_MIN 0.05
#define CHANGE_MIN_US 0.05

struct tally {
	size_t compared, differ, too_few;
};

/* ---- records ------------------------------------------------------------------------------- */

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);

	if (root && json_is_array(json_object_get(root, "runs")))
		return root;
	if (root)
		fprintf(stderr, "pagein bench diff: %s: no record of pagein bench --json\n", path);
	else if (error.line > 0)
		fprintf(stderr, "pagein bench diff: %s:%d: %s\n", path, error.line, error.text);
	else
		fprintf(stderr, "pagein bench diff: %s\n", error.text);
	json_decref(root);
	return NULL;
}

static bool is_same_cell(const json_t *a, const json_t *b)
{
	static const char *const names[] = {"scenario", "engine", "pattern", "access_bytes",
		"threads", "processes", "arrivals_per_s", "warm"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!json_equal(json_object_get(a, names[i]), json_object_get(b, names[i])))
			return false;
	return true;
}

static const json_t *find_cell(const json_t *root, const json_t *cell)
{
	const json_t *runs = json_object_get(root, "runs");

	for (size_t i = 0; i < json_array_size(runs); i++)
		if (is_same_cell(json_array_get(runs, i), cell))
			return json_array_get(runs, i);
	return NULL;
}

static void warn_of_other_places(const json_t *before, const json_t *after)
{
	static const char *const names[] = {
		"cpu", "cpus", "kernel", "placement", "pinned", "curl", "origin", "seed"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const json_t *a = json_object_get(json_object_get(before, "environment"), names[i]);
		const json_t *b = json_object_get(json_object_get(after, "environment"), names[i]);

		if (!json_equal(a, b))
			fprintf(stderr,
				"pagein bench diff: warning: the records differ in their %s\n",
				names[i]);
	}
}

/* ---- figures ------------------------------------------------------------------------------- */

struct figures {
	double values[RANK_MAX];
	size_t count;
};

static void take_figures(const json_t *array, struct figures *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < json_array_size(array) && i < RANK_MAX; i++)
		ret->values[ret->count++] = json_number_value(json_array_get(array, i));
}

/* A line, if there is something to say. */
static void compare(const json_t *cell, const char *what, const char *unit, const json_t *before,
	const json_t *after, struct tally *tally)
{
	static struct figures a, b;
	double was, is, chance, least;

	take_figures(before, &a);
	take_figures(after, &b);
	if (a.count == 0 && b.count == 0)
		return;
	if (a.count < RUNS_MIN || b.count < RUNS_MIN) {
		tally->too_few++;
		return;
	}
	tally->compared++;
	chance = rank_test(a.values, a.count, b.values, b.count);
	was = bench_median(a.values, a.count);
	is = bench_median(b.values, b.count);
	least = fmax(CHANGE_MIN * was, strcmp(unit, "us") == 0 ? CHANGE_MIN_US : 0);
	if (chance >= CHANCE || fabs(is - was) < least)
		return;
	tally->differ++;
	printf("%-26s %-12s %-10s %-10s %11.4g -> %9.4g %-2s %+6.1f%%  p = %.3f\n",
		json_string_value(json_object_get(cell, "scenario")),
		json_string_value(json_object_get(cell, "engine")),
		json_string_value(json_object_get(cell, "pattern")), what, was, is, unit,
		was > 0 ? (is - was) / was * 100 : 0, chance);
}

static void compare_cells(const json_t *before, const json_t *after, struct tally *tally)
{
	const json_t *a = json_object_get(before, "per_run"),
		     *b = json_object_get(after, "per_run");
	const char *judged = json_string_value(json_object_get(before, "judged_by")), *stage;
	json_t *stages = json_object_get(a, "stages_us"), *values;

	if (judged && strcmp(judged, "seconds") == 0)
		compare(before, "run", "s", json_object_get(a, judged), json_object_get(b, judged),
			tally);
	else
		compare(before, "p50", "us", json_object_get(a, "p50_us"),
			json_object_get(b, "p50_us"), tally);
	json_object_foreach(stages, stage, values)
	{
		compare(before, stage, "us", values,
			json_object_get(json_object_get(b, "stages_us"), stage), tally);
	}
}

static int diff(const json_t *before, const json_t *after)
{
	const json_t *runs = json_object_get(before, "runs");
	struct tally tally = {0};
	size_t unmatched = 0;

	warn_of_other_places(before, after);
	for (size_t i = 0; i < json_array_size(runs); i++) {
		const json_t *cell = json_array_get(runs, i), *other = find_cell(after, cell);

		if (other)
			compare_cells(cell, other, &tally);
		else
			unmatched++;
	}
	printf("%zu of %zu figures differ; %.1f would by chance", tally.differ, tally.compared,
		(double)tally.compared * CHANCE);
	if (tally.too_few > 0)
		printf("; %zu have fewer than %d runs, which can't show anything", tally.too_few,
			RUNS_MIN);
	if (unmatched > 0)
		printf("; %zu cells of the first record are not in the other", unmatched);
	printf("\n");
	if (tally.compared == 0) {
		fprintf(stderr, "pagein bench diff: there is nothing to compare\n");
		return 2;
	}
	return tally.differ > 0;
}

int bench_diff(const char *before, const char *after)
{
	json_t *a = load(before), *b = a ? load(after) : NULL;
	int status = b ? diff(a, b) : 2;

	json_decref(a);
	json_decref(b);
	return status;
}
