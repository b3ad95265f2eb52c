/*
 * bench.h - what the parts of `pagein bench` share.
 *
 *	bench.c	the command: which engines, which patterns, how often, the table
 *	bench_workload.c	the accesses of one run, and their times
 *	bench_order.c	which accesses, in what order
 *	bench_target.c	what is measured: a URL on some server, or one of our own
 *	bench_report.c	the table and the JSON
 *	bench_floor.c, bench_uffd.c, bench_file.c	the engines
 *
 * An engine shows the object's bytes either as memory or through pread(2). The workload touches,
 * and takes the time from just before the touch until the thread runs again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "options.h"
#include "origin.h"

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

/* Times of one fault's stages, clock_now_ns(); 0: not known. */
struct bench_stages {
	_Atomic uint64_t event_ns;
	_Atomic uint64_t submit_ns;
	_Atomic uint64_t first_byte_ns;
	_Atomic uint64_t last_byte_ns;
	_Atomic uint64_t fill_ns;
	_Atomic uint64_t count; /* goes up when the others are complete */
};

enum bench_stage {
	STAGE_EVENT,
	STAGE_SUBMIT,
	STAGE_FIRST_BYTE,
	STAGE_LAST_BYTE,
	STAGE_FILL,
	STAGE_RESUME,
	STAGE_COUNT,
};

struct bench_engine;

/* One opened engine: cold, until the workload has touched it. */
struct bench_session {
	const struct bench_engine *engine;
	const struct bench_target *target;
	const uint8_t *memory; /* NULL: through fd */
	int fd;
	uint64_t size;
	void *state;
	struct bench_stages *stages; /* the engine fills them in, if it can and this is not NULL */
	char error[BENCH_ERROR_MAX];
};

struct bench_engine {
	const char *name;
	bool needs_path;
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
};

extern const struct bench_engine bench_floor, bench_floor_cached, bench_floor_inline, bench_uffd,
	bench_uffd_cached, bench_uffd_inline, bench_uffd_huge, bench_uffd_shared,
	bench_uffd_hugetlb, bench_fuse_read, bench_fuse_mmap, bench_path_read, bench_path_mmap;

/* Of one run of one engine and pattern. */
struct bench_result {
	const struct bench_engine *engine;
	enum pattern pattern;
	uint64_t accesses;
	uint64_t bytes_touched;
	uint64_t bytes_fetched; /* UINT64_MAX: not known */
	uint64_t requests;      /* likewise */
	uint64_t wrong;         /* accesses that saw other bytes than the object's */
	double seconds;
	double stages_us[STAGE_COUNT]; /* medians; negative: not known */
	struct histogram latency;
};

const char *bench_pattern_name(enum pattern pattern);

/*
 * Is a run of the pattern judged by its median access, or else by its time as a whole? Only random
 * accesses are all of one kind; others find many of their pages, fetched ahead or before.
 */
static inline bool bench_by_access(enum pattern pattern)
{
	return pattern == PATTERN_RANDOM;
}

/* What the command line says of S3, for the library; the strings stay the command line's. */
struct pagein_s3_options;
void bench_s3_options(const struct options *options, struct pagein_s3_options *ret);

/* bench_target.c. -errno after one line on stderr. */
int bench_target_open(const struct options *options, struct bench_target *ret);
void bench_target_close(struct bench_target *target);
/* The server's counters: requests and body bytes since it started. false: not known. */
bool bench_target_counters(
	const struct bench_target *target, uint64_t *ret_requests, uint64_t *ret_bytes);

/* bench_workload.c: runs the accesses over an open session. 0 or -ENOMEM, -EAGAIN. */
int bench_run(struct bench_session *session, const struct options *options, enum pattern pattern,
	struct bench_result *ret);

/* bench_report.c */
void bench_table_head(void);
void bench_table_row(const struct bench_result *result, const struct bench_result *floor);
/* -errno after one line on stderr. */
int bench_write_json(const struct options *options, const struct bench_target *target,
	const struct bench_result *const *results, size_t count);
