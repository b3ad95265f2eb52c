/*
 * bench.h - what the parts of `pagein bench` share.
 *
 *	bench.c	the command: scenarios, one after another, and what is written of them
 *	suite.c	the scenarios of --suite
 *	scenario.c	one server, which engines, which patterns, how often, in turn
 *	workload.c	one run: its processes and threads, and what they bring home
 *	crew.c	one thread's accesses, and their times
 *	order.c	which accesses, in what order, and when;  replay.c	the recorded ones
 *	target.c	what is measured: a URL on some server, or one of our own
 *	summary.c	of all runs of a cell: the one in the middle, and how far they lie apart
 *	machine.c	where it was measured, and who else was busy there
 *	table.c, json.c, samples.c	what is shown and written
 *	html.c, chart.c, heat.c	pictures
 *	diff.c, rank.c	two records, and whether they differ by more than chance
 *	floor.c, uffd.c, file.c	the engines
 *
 * An engine shows the object's bytes either as memory or through pread(2). A worker touches, and
 * takes the time from just before the touch until the thread runs again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heat.h"
#include "histogram.h"
#include "options.h"
#include "order.h"
#include "origin.h"
#include "stages.h"

#define BENCH_ERROR_MAX 256

/* The object that all engines read. */
struct bench_target {
	char url[512];
	char host[256]; /* of the URL, for who opens sockets of his own */
	uint16_t port;
	char path[512];
	uint64_t size;
	bool embedded; /* the server is ours: its counters and its bytes are known */
	uint64_t seed; /* of the bytes, when embedded */
	struct origin_process origin;
};

/* ---- engines ------------------------------------------------------------------------------- */

/* What the engine and the one worker tell each other of a fault. */
struct bench_stages {
	_Atomic uint64_t awaited; /* where the worker touches; only that fill is written down */
	_Atomic uint64_t end_ns[STAGE_COUNT];
	_Atomic uint64_t count; /* goes up when the others are complete */
};

/* For figures of all stages: behind them is what they are together. */
#define STAGE_ALL STAGE_COUNT
#define STAGE_FIGURES (STAGE_COUNT + 1)

struct bench_engine;

/* One opened engine: cold, until a worker has touched it. */
struct bench_session {
	const struct bench_engine *engine;
	const struct bench_target *target;
	const struct options *options;
	const uint8_t *memory; /* NULL: through fd */
	int fd;
	uint64_t size;
	void *state;
	bool keep;                   /* samples and heat of the next run */
	struct bench_stages *stages; /* the engine fills them in, if it can and this is not NULL */
	char error[BENCH_ERROR_MAX];
};

struct bench_engine {
	const char *name;
	bool needs_path;
	bool has_stages;                  /* fills session->stages in */
	unsigned map_flags;               /* pagein_map()'s */
	const struct bench_engine *floor; /* what its figures are beside; NULL: it is a floor */
	/* Once for all runs, for what is slow: a mount. May be NULL. -errno, with session->error.
	 */
	int (*prepare)(struct bench_session *session, const struct options *options);
	void (*finish)(struct bench_session *session);
	/* For each run: cold, and ready for `pattern`. -errno, with session->error. */
	int (*open)(struct bench_session *session, enum pattern pattern);
	void (*close)(struct bench_session *session);
	/* After the accesses: -errno, with session->error, if the run was not what it is called.
	 * May be NULL. */
	int (*check)(struct bench_session *session);
	/* Which of `count` pages are in memory: 0 or not, in ret. May be NULL. -errno. */
	int (*resident)(
		struct bench_session *session, uint64_t first, uint64_t count, uint8_t *ret);
};

extern const struct bench_engine bench_floor, bench_floor_cached, bench_floor_inline, bench_uffd,
	bench_uffd_cached, bench_uffd_inline, bench_uffd_huge, bench_uffd_shared,
	bench_uffd_hugetlb, bench_fuse_read, bench_fuse_mmap, bench_path_read, bench_path_mmap;

/* What the command line says of S3, for the library; the strings stay the command line's. */
struct pagein_s3_options;
void bench_s3_options(const struct options *options, struct pagein_s3_options *ret);

/* ---- runs ---------------------------------------------------------------------------------- */

/* One access of a run. */
struct bench_sample {
	uint64_t offset;
	uint64_t len;
	uint64_t start_ns; /* since the run's start */
	uint64_t latency_ns;
	uint32_t worker; /* threads of all processes, numbered through */
};

/* Of one run of one engine and pattern. */
struct bench_result {
	uint64_t accesses;
	uint64_t bytes_touched;
	uint64_t bytes_fetched; /* UINT64_MAX: not known */
	uint64_t requests;      /* likewise */
	uint64_t wrong;         /* accesses that saw other bytes than the object's */
	double seconds;
	/* Of the accesses whose stages are known: medians (negative: of none), and their sums. */
	double stages_us[STAGE_FIGURES];
	double stages_sum_us[STAGE_FIGURES];
	uint64_t stages_known;
	struct histogram latency;
	struct bench_sample *samples; /* `accesses` of them, by start; NULL: not kept */
	struct bench_heat *heat;      /* NULL: not kept, or not known */
};

/* One engine and one pattern in one scenario, and all runs of it. */
struct bench_cell {
	const char *scenario; /* "": the only one */
	const struct options *options;
	const struct bench_engine *engine;
	struct bench_session *session; /* while the scenario runs */
	enum pattern pattern;
	bool failed;
	struct bench_result *runs;
	uint64_t count;
	/* of runs of their own, with fewer accesses: of each stage, the medians of `stage_runs` */
	double *stages_us[STAGE_FIGURES];
	uint64_t stage_runs;
	double stages_sum_us[STAGE_FIGURES]; /* of all accesses in them that have stages */
	uint64_t stages_known;               /* ... and how many these are */
};

#define BENCH_CELLS_MAX 256

/* All that is known at the end. */
struct bench_record {
	struct bench_cell cells[BENCH_CELLS_MAX];
	size_t cell_count;
	char origin[512];   /* a URL, or "embedded" */
	double others_cpus; /* CPUs that other programs kept busy meanwhile; negative: not known */
	double stolen_cpus; /* ... that the hypervisor gave to others; likewise */
};

/* For engines: the fault that the worker waits for has gone through these stages. */
void bench_stages_tell(struct bench_stages *to, const struct fault_stages *stages);

/*
 * Is a run of the pattern judged by its median access, or else by its time as a whole? Only random
 * accesses are all of one kind; others find many of their pages, fetched ahead or before. At a
 * given rate of arrivals, the time as a whole says nothing.
 */
static inline bool bench_by_access(const struct options *options, enum pattern pattern)
{
	return pattern == PATTERN_RANDOM || options->arrival > 0 || options->recorded_pace;
}

/* target.c. -errno after one line on stderr. */
int bench_target_open(const struct options *options, struct bench_target *ret);
void bench_target_close(struct bench_target *target);
/* The server's counters: requests and body bytes since it started. false: not known. */
bool bench_target_counters(
	const struct bench_target *target, uint64_t *ret_requests, uint64_t *ret_bytes);

/*
 * workload.c: opens the session, in each of its processes, runs the accesses over it, and closes it
 * again. -errno, with session->error where there are words for it.
 */
int bench_run(struct bench_session *session, enum pattern pattern, const struct bench_order *order,
	struct bench_result *ret);

/* scenario.c: appends its cells to the record. -errno after lines on stderr; a cell that failed
 * says so itself, and is no error. */
int bench_scenario(const char *name, const struct options *options, struct bench_record *record);
/* Is there an engine of each of the names? -EINVAL after a line on stderr. */
int bench_check_engines(const char *names);

/* ---- what came of it ----------------------------------------------------------------------- */

/* summary.c: what is shown of a cell. */
struct bench_summary {
	const struct bench_result *median; /* by bench_by_access(); NULL: the cell has no run */
	uint64_t wrong;                    /* of all runs */
	/* How far from the median's figure any run's is, as a part of it. */
	double spread;
	double ratio; /* to its floor's figure in the same scenario; 0: it has none */
	double stages_us[STAGE_FIGURES];      /* medians; negative: not known */
	double stages_mean_us[STAGE_FIGURES]; /* the stages' are exactly all's; likewise */
};
void bench_summarise(const struct bench_record *record, const struct bench_cell *cell,
	struct bench_summary *ret);
/* Of `count` values, which it sorts; negative: there are none. */
double bench_median(double *values, uint64_t count);
/* What a run is judged by: microseconds of the median access, or seconds. */
double bench_judged(const struct bench_cell *cell, const struct bench_result *run);

/* table.c */
void bench_table(const struct bench_record *record);

/* json.c, samples.c, html.c: -errno after one line on stderr. */
int bench_write_json(const struct options *options, const struct bench_record *record);
int bench_write_samples(const struct options *options, const struct bench_record *record);
int bench_write_html(const struct options *options, const struct bench_record *record);
int bench_write_svg(const struct options *options, const struct bench_record *record);

/* diff.c: 0: no difference that is more than chance; 1: some; 2: trouble, after a line on stderr.
 */
int bench_diff(const char *before, const char *after);
