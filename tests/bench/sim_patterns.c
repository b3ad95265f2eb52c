/*
 * sim_patterns.c - what readers of remote objects do, as traces; and traces from files.
 *
 * Each pattern makes about as many accesses as it is asked for, of 4 KiB, unless its name's reader
 * is known for another size. Fixed seeds: the same trace every time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"
#include "sim.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define PAGES (SIM_OBJECT / PAGE_BYTES)
#define READ_BYTES (128 * KIB) /* of the kernel, for a reader in order */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void add_page(struct sim_trace *trace, uint64_t page, unsigned reader)
{
	sim_trace_add(trace, page * PAGE_BYTES % trace->object_size, PAGE_BYTES, reader);
}

/* ---- in order ----------------------------------------------------------------------------- */

static void sequential(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, i, 0);
}

static void backwards(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, PAGES - 1 - i % PAGES, 0);
}

/* Eight places of one thread, in turn. */
static void sequential_8(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, i % 8 * (PAGES / 8) + i / 8, 0);
}

/* Eight threads that share one scan, a page each in turn. */
static void turns_8(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, i, i % 8);
}

/* Two threads' scans of the same, one 128 KiB behind the other. */
static void near_2(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses / 2; i++) {
		add_page(trace, i, 0);
		add_page(trace, i + 128 * KIB / PAGE_BYTES, 1);
	}
}

/* As the kernel's readahead sends them: neighbours may change places. */
static void read_in_order(
	struct sim_trace *trace, uint64_t start, size_t reads, unsigned reader, uint64_t *seed)
{
	for (size_t i = 0; i < reads; i += 2) {
		unsigned swap = next_random(seed) % 4 == 0;

		for (unsigned j = 0; j < 2; j++)
			sim_trace_add(trace,
				(start + (i + (j ^ swap)) * READ_BYTES) % trace->object_size,
				READ_BYTES, reader);
	}
}

static void reads(struct sim_trace *trace, size_t accesses)
{
	uint64_t seed = 11;

	read_in_order(trace, 0, accesses * PAGE_BYTES / READ_BYTES, 0, &seed);
}

/* Eight processes, each with its eighth of the object. */
static void reads_8(struct sim_trace *trace, size_t accesses)
{
	uint64_t seed = 12;

	for (unsigned i = 0; i < 8; i++)
		read_in_order(trace, i * (SIM_OBJECT / 8), accesses * PAGE_BYTES / READ_BYTES / 8,
			i, &seed);
}

/* ---- at random ---------------------------------------------------------------------------- */

static void random_in(struct sim_trace *trace, size_t accesses, uint64_t pages, unsigned reader)
{
	uint64_t seed = 7;

	for (size_t i = 0; i < accesses; i++)
		add_page(trace, next_random(&seed) % pages, reader);
}

static void random_pages(struct sim_trace *trace, size_t accesses)
{
	random_in(trace, accesses, PAGES, 0);
}

/* 2,000 touches of 1 GiB. */
static void random_2000(struct sim_trace *trace, size_t accesses)
{
	random_in(trace, accesses < 2000 ? accesses : 2000, 1024 * MIB / PAGE_BYTES, 0);
}

/* So small an object that accidents are frequent. */
static void random_small(struct sim_trace *trace, size_t accesses)
{
	random_in(trace, accesses < 2000 ? accesses : 2000, 64 * MIB / PAGE_BYTES, 0);
}

/* The n-th most popular page is touched 1/n as often as the first; they lie anywhere. */
static void zipf(struct sim_trace *trace, size_t accesses)
{
	uint64_t seed = 5;

	for (size_t i = 0; i < accesses; i++) {
		uint64_t scale = UINT64_C(1) << next_random(&seed) % 21;
		uint64_t rank = next_random(&seed) % scale;

		add_page(trace, rank * UINT64_C(0x9E3779B1) % PAGES, 0);
	}
}

/* Records of two pages, anywhere: each looks like the beginning of a scan. */
static void records(struct sim_trace *trace, size_t accesses)
{
	uint64_t seed = 23;

	for (size_t i = 0; i < accesses; i += 2)
		sim_trace_add(
			trace, next_random(&seed) % (PAGES - 1) * PAGE_BYTES, 2 * PAGE_BYTES, 0);
}

static void random_beside_scan(struct sim_trace *trace, size_t accesses)
{
	sequential(trace, accesses - accesses / 16);
	random_in(trace, accesses / 16, PAGES, 1);
}

/* ---- at equal distances ------------------------------------------------------------------- */

/* The page of the i-th access of who goes through `span` bytes by steps, and again one page on. */
static uint64_t column(uint64_t i, uint64_t step, uint64_t span)
{
	uint64_t rows = span / step;

	return i % rows * (step / PAGE_BYTES) + i / rows % (step / PAGE_BYTES);
}

static void stride_64k(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, column(i, 64 * KIB, SIM_OBJECT), 0);
}

static void stride_1m(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, column(i, MIB, SIM_OBJECT), 0);
}

static void stride_back(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, PAGES - 1 - column(i, MIB, SIM_OBJECT), 0);
}

/* Eight places of one thread, in turn. */
static void strides_8(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, i % 8 * (PAGES / 8) + column(i / 8, 64 * KIB, SIM_OBJECT / 8), 0);
}

/* Rows of 1 MiB, of which eight fields are read. */
static void columns_8(struct sim_trace *trace, size_t accesses)
{
	for (size_t i = 0; i < accesses; i++)
		add_page(trace, column(i / 8, MIB, SIM_OBJECT) + i % 8 * 20, 0);
}

/* ---- file formats ------------------------------------------------------------------------- */

/* A header, then tensors of 1 to 32 MiB in any order, each in order. */
static void safetensors(struct sim_trace *trace, size_t accesses)
{
	const uint64_t slots = SIM_OBJECT / (32 * MIB);
	uint64_t seed = 17;

	sim_trace_add(trace, 0, 100 * KIB, 0);
	for (uint64_t i = 0; trace->count < accesses; i++) {
		uint64_t page = (i * 37 + 5) % slots * (32 * MIB / PAGE_BYTES) + 25;
		uint64_t pages = (1 + next_random(&seed) % 31) * (MIB / PAGE_BYTES);

		for (uint64_t j = 0; j < pages && trace->count < accesses; j++)
			add_page(trace, page + j, 0);
		if (i == slots)
			break;
	}
}

/* The footer, then two of eight columns of each row group, in reads of 64 KiB. */
static void parquet(struct sim_trace *trace, size_t accesses)
{
	const uint64_t group = 64 * MIB, chunk = group / 8, read = 64 * KIB;
	uint64_t reads_left = accesses * PAGE_BYTES / read;

	sim_trace_add(trace, SIM_OBJECT - 64 * KIB, 64 * KIB, 0);
	for (uint64_t at = 0; at < SIM_OBJECT && reads_left > 0; at += group)
		for (uint64_t i = 0; i < 2 * chunk / read && reads_left > 0; i++, reads_left--)
			sim_trace_add(
				trace, at + (i < chunk / read ? 2 : 4) * chunk + i * read, read, 0);
}

/* A root, 64 inner pages, leaves anywhere; one lookup in four goes on through four leaves. */
static void btree(struct sim_trace *trace, size_t accesses)
{
	uint64_t seed = 31;

	while (trace->count < accesses) {
		uint64_t leaf = next_random(&seed) % (PAGES - 4);
		uint64_t leaves = next_random(&seed) % 4 == 0 ? 4 : 1;

		add_page(trace, 0, 0);
		add_page(trace, 1 + leaf * 64 / PAGES * 1024, 0);
		for (uint64_t i = 0; i < leaves; i++)
			add_page(trace, leaf + i, 0);
	}
}

const struct sim_pattern sim_patterns[] = {
	{"sequential", SIM_MAP, sequential, 110, 512},
	{"backwards", SIM_MAP, backwards, 105, 96},
	{"sequential-8", SIM_MAP, sequential_8, 160, 512},
	{"turns-8", SIM_MAP, turns_8, 110, 256},
	{"near-2", SIM_MAP, near_2, 120, 256},
	{"reads", SIM_FILE, reads, 110, 512},
	{"reads-8", SIM_FILE, reads_8, 110, 192},
	{"random", SIM_MAP, random_pages, 105, 4},
	{"random-2000", SIM_MAP, random_2000, 105, 4},
	{"random-small", SIM_MAP, random_small, 140, 4},
	{"zipf", SIM_MAP, zipf, 105, 4},
	{"records", SIM_MAP, records, 150, 4},
	{"random+scan", SIM_MAP, random_beside_scan, 115, 32},
	{"stride-64k", SIM_MAP, stride_64k, 105, 4},
	{"stride-1m", SIM_MAP, stride_1m, 105, 4},
	{"stride-back", SIM_MAP, stride_back, 105, 4},
	{"strides-8", SIM_MAP, strides_8, 105, 4},
	{"columns-8", SIM_MAP, columns_8, 105, 4},
	{"stride-read", SIM_FILE, stride_1m, 105, 4},
	{"safetensors", SIM_MAP, safetensors, 300, 512},
	{"parquet", SIM_FILE, parquet, 190, 128},
	{"btree", SIM_MAP, btree, 240, 4},
};
const size_t sim_pattern_count = sizeof sim_patterns / sizeof *sim_patterns;

/* ---- recorded ----------------------------------------------------------------------------- */

static bool trace_line(struct sim_trace *trace, const char *line)
{
	uint64_t offset, length;
	char *end;

	if (*line == '#' || *line == '\n')
		return true;
	offset = strtoull(line, &end, 10);
	length = strtoull(end, &end, 10);
	if (*end != '\n' || length == 0 || length > UINT32_MAX || offset > UINT64_C(1) << 40)
		return false;
	sim_trace_add(trace, offset, length, 0);
	if (offset + length > trace->object_size)
		trace->object_size = align_up(offset + length, PAGE_BYTES);
	return true;
}

bool sim_trace_load(struct sim_trace *trace, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool good = file != NULL;

	while (good && fgets(line, sizeof line, file))
		good = trace_line(trace, line);
	if (file)
		fclose(file);
	return good && trace->count > 0;
}
