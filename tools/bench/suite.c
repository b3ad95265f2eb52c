/*
 * suite.c - the standard set: what one wants to know of a way to map remote data, in some minutes,
 * always in the same way, so that two records can be laid side by side.
 *
 * The scenarios are rows; what a row does not say is the command line's: runs, seed, pin, the
 * connections. A SOURCE is as near or as far as it is, and as large: of a server of others only the
 * near rows are run.
 *
 * It shall take less than five minutes. Five runs, the default, are what diff
 * needs to tell a change from chance. Of a run's accesses near, 2,000 are as many as a p99 of one
 * run wants; far, where 4 KiB take 10 ms whatever one does, 40 are enough for the median and the
 * stages.
 */
#include "suite.h"

#include <stdlib.h>

#define MS UINT64_C(1000000)
#define MIB (UINT64_C(1) << 20)
#define ONE(pattern) (1U << (pattern))

#define DOORS "uffd,fuse-read,fuse-mmap"

static const struct suite_row {
	const char *name;
	const char *engines;
	unsigned patterns;
	uint64_t access_bytes, count, threads, processes, arrival;
	uint64_t size_bytes, delay_ns, rate_bytes; /* of the embedded server */
} rows[] = {
	/* One thread, the latency of a cold page; everything there is beside its floor. */
	{"near, 4 KiB", "floor,floor-cached,floor-inline,uffd-cached,uffd-inline," DOORS,
		ONE(PATTERN_RANDOM), 4096, 2000, 1, 1, 0, 64 * MIB, 0, 0},
	{"near, 1 MiB", "floor," DOORS, ONE(PATTERN_RANDOM), MIB, 50, 1, 1, 0, 256 * MIB, 0, 0},
	{"near, all of it", "floor,uffd-huge,uffd-shared," DOORS, ONE(PATTERN_SEQUENTIAL), 4096, 0,
		1, 1, 0, 128 * MIB, 0, 0},
	{"near, mixed", DOORS, ONE(PATTERN_STRIDE) | ONE(PATTERN_ZIPF) | ONE(PATTERN_HOTCOLD), 4096,
		2000, 1, 1, 0, 256 * MIB, 0, 0},
	{"near, 16 threads", DOORS, ONE(PATTERN_RANDOM), 4096, 4000, 16, 1, 0, 256 * MIB, 0, 0},
	{"near, 4 processes", DOORS, ONE(PATTERN_RANDOM), 4096, 2000, 1, 4, 0, 256 * MIB, 0, 0},
	/* Far below what the machine can do: waits are the exception, and are seen. */
	{"near, 2000 arrivals a second", DOORS, ONE(PATTERN_RANDOM), 4096, 2000, 8, 1, 2000,
		256 * MIB, 0, 0},
	/* A store of objects in the same region. */
	{"10 ms, 80 MB/s, 4 KiB", "floor," DOORS, ONE(PATTERN_RANDOM), 4096, 40, 1, 1, 0, 64 * MIB,
		10 * MS, 80000000},
	{"10 ms, 80 MB/s, all of it", DOORS, ONE(PATTERN_SEQUENTIAL), 4096, 0, 1, 1, 0, 256 * MIB,
		10 * MS, 80000000},
	{"10 ms, 80 MB/s, 64 threads", DOORS, ONE(PATTERN_RANDOM), 4096, 3200, 64, 1, 0, 256 * MIB,
		10 * MS, 80000000},
};
#define ROWS (sizeof rows / sizeof *rows)

/* The cells point to their options, which live as long as the program's others. */
static struct options row_options[ROWS];

int bench_suite(const struct options *options, struct bench_record *record)
{
	int err = 0;

	for (size_t i = 0; i < ROWS && err == 0; i++) {
		struct options *use = &row_options[i];

		if (rows[i].delay_ns > 0 && options->operand_count > 0)
			continue;
		*use = *options;
		use->engines = rows[i].engines;
		use->patterns = rows[i].patterns;
		use->access_bytes = rows[i].access_bytes;
		use->count = rows[i].count;
		use->threads = rows[i].threads;
		use->processes = rows[i].processes;
		use->arrival = rows[i].arrival;
		use->size_bytes = rows[i].size_bytes;
		use->delay_ns = rows[i].delay_ns;
		use->rate_bytes = rows[i].rate_bytes;
		err = bench_scenario(rows[i].name, use, record);
	}
	return err;
}
