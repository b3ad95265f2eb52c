/*
 * scenario.c - one server, asked by every engine in every pattern, several times in turn, so that a
 * machine whose speed drifts is slow for all of them. On the main thread; the engines make others.
 * Owns the sessions, which end with it; what came of them is the record's.
 *
 * Memory is touched before each run, since what a virtual machine charges for the first use of a
 * page is not what is measured. Stages are taken in runs of their own: writing them down would slow
 * the others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "machine.h"
#include "pagein.h"
#include "progress.h"
#include "replay.h"
#include "url.h"

#define WARM_MAX_BYTES (UINT64_C(4) << 30)
/* Sockets', staging, readahead. More would be most of what a suite takes. */
#define WARM_MARGIN_BYTES (UINT64_C(16) << 20)
#define STAGE_ACCESSES 500 /* of a run for the stages */

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

struct scenario {
	const char *name;
	const struct options *options;
	struct bench_record *record;
	size_t first_cell; /* of the record's: its own */
	struct bench_target target;
	struct bench_order trace;
	struct bench_session sessions[ENGINES];
	size_t session_count;
	struct progress progress;
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

/* The next of some names; NULL at their end. *ret: its engine, NULL if there is none. */
static const char *next_engine(const char *names, const struct bench_engine **ret)
{
	size_t len = strcspn(names, ",");

	if (*names == '\0')
		return NULL;
	*ret = find_engine(names, len);
	return names + len + (names[len] == ',');
}

int bench_check_engines(const char *names)
{
	const struct bench_engine *engine;
	size_t count = 0;

	for (const char *at = names, *next; (next = next_engine(at, &engine)) != NULL; at = next) {
		if (engine && ++count <= ENGINES)
			continue;
		fprintf(stderr, "pagein bench: --engine: '%.*s' is %s; choose from",
			(int)strcspn(at, ","), at, engine ? "one too many" : "none");
		for (size_t i = 0; i < ENGINES; i++)
			fprintf(stderr, " %s", all_engines[i]->name);
		fputc('\n', stderr);
		return -EINVAL;
	}
	return 0;
}

static int add_cell(struct scenario *scenario, struct bench_session *session, enum pattern pattern)
{
	struct bench_record *record = scenario->record;
	struct bench_cell *cell = &record->cells[record->cell_count];

	if (record->cell_count == BENCH_CELLS_MAX)
		return -E2BIG;
	record->cell_count++;
	*cell = (struct bench_cell){
		.scenario = scenario->name,
		.options = scenario->options,
		.engine = session->engine,
		.session = session,
		.pattern = pattern,
		.runs = calloc(scenario->options->runs, sizeof *cell->runs),
	};
	for (int i = 0; i < STAGE_FIGURES; i++) {
		cell->stages_us[i] = calloc(scenario->options->runs, sizeof(double));
		if (!cell->stages_us[i])
			return -ENOMEM;
	}
	return cell->runs ? 0 : -ENOMEM;
}

static int add_cells(struct scenario *scenario, struct bench_session *session)
{
	int err = 0;

	for (int pattern = 0; pattern < PATTERN_COUNT && err == 0; pattern++)
		if (scenario->options->patterns & 1U << pattern)
			err = add_cell(scenario, session, (enum pattern)pattern);
	return err;
}

/* An engine that does not work here says why, and has failed cells. */
static int prepare(struct scenario *scenario, const struct bench_engine *engine)
{
	struct bench_session *session = &scenario->sessions[scenario->session_count++];
	size_t first = scenario->record->cell_count;
	int err;

	*session = (struct bench_session){.engine = engine,
		.target = &scenario->target,
		.options = scenario->options,
		.fd = -1};
	err = add_cells(scenario, session);
	if (err < 0 || !engine->prepare || engine->prepare(session, scenario->options) == 0)
		return err;
	fprintf(stderr, "pagein bench: %s: %s\n", engine->name, session->error);
	if (session->state)
		engine->finish(session);
	scenario->session_count--;
	for (size_t i = first; i < scenario->record->cell_count; i++) {
		scenario->record->cells[i].session = NULL;
		scenario->record->cells[i].failed = true;
	}
	return 0;
}

static int prepare_all(struct scenario *scenario)
{
	const struct bench_engine *engine;
	const char *at = scenario->options->engines;
	int err = 0;

	while (err == 0 && (at = next_engine(at, &engine)) != NULL)
		err = prepare(scenario, engine);
	if (err < 0)
		fprintf(stderr, "pagein bench: %s\n",
			err == -E2BIG ? "too many engines and patterns" : strerrordesc_np(-err));
	return err;
}

/* ---- running ------------------------------------------------------------------------------ */

/*
 * As much memory as the run will fill, touched and given back: a virtual machine may have returned
 * free memory to its host a moment ago, and gets it back at 10 us a page.
 */
static void warm_memory(const struct scenario *scenario, enum pattern pattern, int advice)
{
	uint64_t len = scenario->target.size;
	uint64_t asked = scenario->options->count * scenario->options->access_bytes;
	volatile uint8_t *memory;

	if (pattern != PATTERN_SEQUENTIAL && pattern != PATTERN_REPLAY && asked < len)
		len = asked;
	len = (len < WARM_MAX_BYTES ? len : WARM_MAX_BYTES) + WARM_MARGIN_BYTES;
	memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	madvise((void *)memory, len, advice);
	for (uint64_t i = 0; i < len; i += 4096)
		memory[i] = 1;
	munmap((void *)memory, len);
}

/* options: the scenario's, or fewer accesses of the same. */
static int run_once(struct scenario *scenario, struct bench_cell *cell,
	const struct options *options, struct bench_result *ret)
{
	const struct bench_engine *engine = cell->engine;
	struct bench_order order;
	int err = bench_order_make(
		options, cell->pattern, &scenario->trace, scenario->target.size, &order);

	if (err == -ERANGE)
		snprintf(cell->session->error, BENCH_ERROR_MAX,
			"--trace: it reads behind the object's end");
	if (err < 0)
		return err;
	/* Small pages and huge ones come from different ends of what is free. */
	warm_memory(scenario, cell->pattern,
		engine->map_flags & PAGEIN_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	cell->session->options = options;
	cell->session->keep = (options->samples || options->html) && !cell->session->stages;
	err = bench_run(cell->session, cell->pattern, &order, ret);
	bench_order_free(&order);
	return err;
}

static void run_cell(struct scenario *scenario, struct bench_cell *cell)
{
	int err;

	if (cell->failed)
		return;
	cell->session->error[0] = '\0';
	err = run_once(scenario, cell, cell->options, &cell->runs[cell->count]);
	if (err == 0) {
		cell->count++;
		return;
	}
	cell->failed = true;
	fprintf(stderr, "pagein bench: %s %s: %s\n", cell->engine->name,
		pattern_name(cell->pattern),
		cell->session->error[0] ? cell->session->error : strerrordesc_np(-err));
}

/*
 * Many threads' stages can't be told apart, nor those of several faults in one access; and most of
 * a sequential run's accesses have none.
 */
static bool has_stages(const struct bench_cell *cell)
{
	const struct options *options = cell->options;

	return !cell->failed && cell->engine->has_stages && cell->pattern != PATTERN_SEQUENTIAL &&
	       options->threads == 1 && options->processes == 1 && !options->warm &&
	       options->access_bytes <= 4096;
}

static void run_stages(struct scenario *scenario, struct bench_cell *cell)
{
	static struct bench_result result;
	struct options fewer = *cell->options;
	struct bench_stages stages = {0};

	if (!has_stages(cell))
		return;
	if (fewer.count > STAGE_ACCESSES)
		fewer.count = STAGE_ACCESSES;
	cell->session->stages = &stages;
	if (run_once(scenario, cell, &fewer, &result) == 0) {
		for (int i = 0; i < STAGE_FIGURES; i++) {
			cell->stages_us[i][cell->stage_runs] = result.stages_us[i];
			cell->stages_sum_us[i] += result.stages_sum_us[i];
		}
		cell->stages_known += result.stages_known;
		cell->stage_runs++;
	}
	cell->session->stages = NULL;
}

static void run_all(struct scenario *scenario)
{
	struct bench_cell *cells = scenario->record->cells + scenario->first_cell;
	size_t count = scenario->record->cell_count - scenario->first_cell;
	/* Nobody sees the stages but in a file. */
	int kinds = scenario->options->json || scenario->options->html ? 2 : 1;

	progress_start(&scenario->progress, scenario->name[0] ? scenario->name : "bench", "runs",
		(uint64_t)kinds * count * scenario->options->runs);
	for (int kind = 0; kind < kinds; kind++)
		for (uint64_t run = 0; run < scenario->options->runs; run++)
			for (size_t i = 0; i < count; i++) {
				if (kind == 0)
					run_cell(scenario, &cells[i]);
				else
					run_stages(scenario, &cells[i]);
				progress_add(&scenario->progress, 1);
			}
	progress_end(&scenario->progress);
}

static void scenario_finish(struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->session_count; i++)
		if (scenario->sessions[i].engine->finish && scenario->sessions[i].state)
			scenario->sessions[i].engine->finish(&scenario->sessions[i]);
	for (size_t i = scenario->first_cell; i < scenario->record->cell_count; i++)
		scenario->record->cells[i].session = NULL;
	bench_order_free(&scenario->trace);
	bench_target_close(&scenario->target);
	free(scenario);
}

/* Who else is busy can be told apart from a server of our own only. */
static bool knows_others(const struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->session_count; i++)
		if (scenario->sessions[i].engine->needs_path)
			return false;
	return scenario->target.embedded;
}

static int scenario_run(struct scenario *scenario)
{
	struct machine_use before, after;
	int err = 0;

	if (scenario->options->patterns & 1U << PATTERN_REPLAY)
		err = trace_load(scenario->options->trace, scenario->options->trace_object,
			&scenario->trace);
	if (err == 0)
		err = bench_target_open(scenario->options, &scenario->target);
	if (err == 0)
		err = prepare_all(scenario);
	if (err < 0)
		return err;
	machine_use_now(&before);
	run_all(scenario);
	machine_use_now(&after);
	machine_use_note(&before, &after, knows_others(scenario), scenario->record);
	return 0;
}

int bench_scenario(const char *name, const struct options *options, struct bench_record *record)
{
	struct scenario *scenario = calloc(1, sizeof *scenario);
	int err;

	if (!scenario) {
		fprintf(stderr, "pagein bench: out of memory\n");
		return -ENOMEM;
	}
	scenario->name = name;
	scenario->options = options;
	scenario->record = record;
	scenario->first_cell = record->cell_count;
	err = scenario_run(scenario);
	if (record->origin[0] == '\0')
		url_tell_in(scenario->target.embedded ? "embedded" : scenario->target.url,
			record->origin, sizeof record->origin);
	scenario_finish(scenario);
	return err;
}
