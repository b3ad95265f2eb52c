/*
 * bench.c - `pagein bench`: every asked engine over every asked pattern, several times in turn, so
 * that a machine whose speed drifts is slow for all of them; what is shown of each is its median
 * run. On the main thread; the engines make others.
 *
 * --pin puts this process, the embedded server and the mounts onto one CPU: waking another, idle
 * CPU costs more than the whole path, so only pinned figures compare with pinned ones. Memory is
 * touched before each run, since what a virtual machine charges for the first use of a page is not
 * what is measured.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "commands.h"
#include "pagein.h"

#define CELLS_MAX 64 /* engines times patterns */
#define WARM_MAX_BYTES (UINT64_C(4) << 30)

static const struct bench_engine *const all_engines[] = {
	&bench_floor,
	&bench_uffd,
	&bench_floor_cached,
	&bench_uffd_cached,
	&bench_floor_inline,
	&bench_uffd_inline,
	&bench_uffd_huge,
	&bench_uffd_shared,
	&bench_uffd_hugetlb,
	&bench_fuse_read,
	&bench_fuse_mmap,
	&bench_path_read,
	&bench_path_mmap,
};
#define ENGINES (sizeof all_engines / sizeof *all_engines)

/* One engine and one pattern, and all its runs. */
struct cell {
	struct bench_session *session;
	enum pattern pattern;
	bool failed;
	struct bench_result *runs;
	uint64_t count;
	double stages_us[STAGE_COUNT];
};

struct bench {
	const struct options *options;
	struct bench_target target;
	struct bench_session sessions[ENGINES];
	size_t session_count;
	struct cell cells[CELLS_MAX];
	size_t cell_count;
};

/* ---- choosing ----------------------------------------------------------------------------- */

static const struct bench_engine *find_engine(const char *name, size_t len)
{
	for (size_t i = 0; i < ENGINES; i++)
		if (strlen(all_engines[i]->name) == len &&
			memcmp(all_engines[i]->name, name, len) == 0)
			return all_engines[i];
	return NULL;
}

static int choose_engines(struct bench *bench, const struct bench_engine **ret, size_t *ret_count)
{
	const char *at = bench->options->engines;

	*ret_count = 0;
	while (*at) {
		size_t len = strcspn(at, ",");
		const struct bench_engine *engine = find_engine(at, len);

		if (!engine || *ret_count == ENGINES) {
			fprintf(stderr, "pagein bench: --engine: '%.*s' is none; choose from",
				(int)len, at);
			for (size_t i = 0; i < ENGINES; i++)
				fprintf(stderr, " %s", all_engines[i]->name);
			fputc('\n', stderr);
			return -EINVAL;
		}
		ret[(*ret_count)++] = engine;
		at += len + (at[len] == ',');
	}
	return 0;
}

static void add_cells(struct bench *bench, struct bench_session *session)
{
	for (int pattern = 0; pattern < PATTERN_COUNT; pattern++) {
		struct cell *cell = &bench->cells[bench->cell_count];

		if (!(bench->options->patterns & 1U << pattern))
			continue;
		*cell = (struct cell){.session = session, .pattern = (enum pattern)pattern};
		cell->runs = calloc(bench->options->runs, sizeof *cell->runs);
		cell->failed = !cell->runs;
		for (int i = 0; i < STAGE_COUNT; i++)
			cell->stages_us[i] = -1;
		bench->cell_count++;
	}
}

/* Sessions for the engines that work here; the others say why they don't. */
static void prepare(struct bench *bench, const struct bench_engine *const *engines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct bench_session *session = &bench->sessions[bench->session_count];

		*session = (struct bench_session){
			.engine = engines[i], .target = &bench->target, .fd = -1};
		if (engines[i]->prepare && engines[i]->prepare(session, bench->options) < 0) {
			fprintf(stderr, "pagein bench: %s: %s\n", engines[i]->name, session->error);
			if (session->state)
				engines[i]->finish(session);
			continue;
		}
		bench->session_count++;
		add_cells(bench, session);
	}
}

/* ---- running ------------------------------------------------------------------------------ */

/*
 * As much memory as the run will fill, touched and given back: a virtual machine may have returned
 * free memory to its host a moment ago, and gets it back at 10 us a page.
 */
static void warm_memory(const struct bench *bench, enum pattern pattern, int advice)
{
	uint64_t len = bench->target.size;
	volatile uint8_t *memory;

	if (pattern != PATTERN_SEQUENTIAL &&
		bench->options->count * bench->options->access_bytes < len)
		len = bench->options->count * bench->options->access_bytes;
	len = (len < WARM_MAX_BYTES ? len : WARM_MAX_BYTES) + (UINT64_C(64) << 20);
	memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	madvise((void *)memory, len, advice);
	for (uint64_t i = 0; i < len; i += 4096)
		memory[i] = 1;
	munmap((void *)memory, len);
}

static int run_once(struct bench *bench, struct cell *cell, struct bench_result *ret)
{
	struct bench_session *session = cell->session;
	uint64_t requests[2], bytes[2];
	bool counted;
	int err;

	/* Small pages and huge ones come from different ends of what is free. */
	warm_memory(bench, cell->pattern,
		session->engine->map_flags & PAGEIN_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	err = session->engine->open(session, cell->pattern);
	if (err < 0)
		return err;
	counted = bench_target_counters(&bench->target, &requests[0], &bytes[0]);
	err = bench_run(session, bench->options, cell->pattern, ret);
	if (err == 0 && session->engine->check)
		err = session->engine->check(session);
	counted = counted && bench_target_counters(&bench->target, &requests[1], &bytes[1]);
	session->engine->close(session);
	ret->requests = counted && !session->engine->needs_path ? requests[1] - requests[0]
								: UINT64_MAX;
	ret->bytes_fetched = counted && !session->engine->needs_path ? bytes[1] - bytes[0]
								     : UINT64_MAX;
	return err;
}

static void run_cell(struct bench *bench, struct cell *cell)
{
	int err;

	if (cell->failed)
		return;
	err = run_once(bench, cell, &cell->runs[cell->count]);
	if (err == 0) {
		cell->count++;
		return;
	}
	cell->failed = true;
	fprintf(stderr, "pagein bench: %s %s: %s\n", cell->session->engine->name,
		bench_pattern_name(cell->pattern),
		cell->session->error[0] ? cell->session->error : strerrordesc_np(-err));
}

/* A run of its own: writing the stages down would slow the others. */
static void run_stages(struct bench *bench, struct cell *cell)
{
	static struct bench_result result;
	struct bench_stages stages = {0};

	if (cell->failed || cell->pattern == PATTERN_SEQUENTIAL || bench->options->threads > 1)
		return;
	cell->session->stages = &stages;
	if (run_once(bench, cell, &result) == 0)
		memcpy(cell->stages_us, result.stages_us, sizeof cell->stages_us);
	cell->session->stages = NULL;
}

/* ---- showing ------------------------------------------------------------------------------ */

static int compare_runs(const void *a, const void *b)
{
	const struct bench_result *x = *(const struct bench_result *const *)a;
	const struct bench_result *y = *(const struct bench_result *const *)b;
	double left = x->seconds, right = y->seconds;

	if (bench_by_access(x->pattern)) {
		left = (double)histogram_percentile(&x->latency, 50);
		right = (double)histogram_percentile(&y->latency, 50);
	}
	return (left > right) - (left < right);
}

/* The run in the middle, by what the pattern is about; wrong bytes of any run are not forgotten. */
static struct bench_result *median_run(struct cell *cell)
{
	struct bench_result **order = calloc(cell->count + 1, sizeof *order), *median;
	uint64_t wrong = 0;

	if (!order || cell->count == 0) {
		free(order);
		return NULL;
	}
	for (uint64_t i = 0; i < cell->count; i++) {
		order[i] = &cell->runs[i];
		wrong += cell->runs[i].wrong;
	}
	qsort(order, cell->count, sizeof *order, compare_runs);
	median = order[cell->count / 2];
	free(order);
	median->wrong = wrong;
	memcpy(median->stages_us, cell->stages_us, sizeof cell->stages_us);
	return median;
}

/* The floor of a result among those before it, NULL: none. */
static const struct bench_result *find_floor(
	const struct bench_result *const *results, size_t count, const struct bench_result *result)
{
	const struct bench_engine *floor = result->engine->floor ? result->engine->floor
								 : result->engine;

	for (size_t i = 0; i < count; i++)
		if (results[i]->engine == floor && results[i]->pattern == result->pattern)
			return results[i];
	return NULL;
}

static int report(struct bench *bench)
{
	const struct bench_result *results[CELLS_MAX];
	size_t count = 0;
	bool wrong = false;

	bench_table_head();
	for (size_t i = 0; i < bench->cell_count; i++) {
		struct bench_result *result = median_run(&bench->cells[i]);

		if (!result)
			continue;
		wrong |= result->wrong > 0;
		results[count++] = result;
		bench_table_row(result, find_floor(results, count, result));
	}
	if (bench->options->json &&
		bench_write_json(bench->options, &bench->target, results, count) < 0)
		return EXIT_FAILURE;
	return wrong || count < bench->cell_count || count == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void bench_free(struct bench *bench)
{
	for (size_t i = 0; i < bench->session_count; i++)
		if (bench->sessions[i].engine->finish)
			bench->sessions[i].engine->finish(&bench->sessions[i]);
	for (size_t i = 0; i < bench->cell_count; i++)
		free(bench->cells[i].runs);
	bench_target_close(&bench->target);
	free(bench);
}

static void pin(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof cpus, &cpus) < 0)
		fprintf(stderr, "pagein bench: can't pin to CPU 0: %s\n", strerrordesc_np(errno));
}

static int bench_all(struct bench *bench)
{
	const struct bench_engine *engines[ENGINES];
	size_t count;

	if (choose_engines(bench, engines, &count) < 0)
		return EXIT_FAILURE;
	if (bench->options->pin)
		pin();
	if (bench_target_open(bench->options, &bench->target) < 0)
		return EXIT_FAILURE;
	prepare(bench, engines, count);
	for (uint64_t run = 0; run < bench->options->runs; run++)
		for (size_t i = 0; i < bench->cell_count; i++)
			run_cell(bench, &bench->cells[i]);
	for (size_t i = 0; i < bench->cell_count; i++)
		run_stages(bench, &bench->cells[i]);
	return report(bench);
}

int command_bench(const struct options *options)
{
	struct bench *bench = calloc(1, sizeof *bench);
	int status;

	if (!bench) {
		fprintf(stderr, "pagein bench: out of memory\n");
		return EXIT_FAILURE;
	}
	bench->options = options;
	status = bench_all(bench);
	bench_free(bench);
	return status;
}
