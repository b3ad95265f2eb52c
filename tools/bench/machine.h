/* machine.h - the machine that was measured on. The main thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct bench_record;

/* Since the machine's start: seconds of CPUs. */
struct machine_use {
	double seconds; /* of the clock */
	double busy, stolen, own;
};

void machine_use_now(struct machine_use *ret);
/* Into the record, and a warning on stderr where it is too much to trust the figures. */
void machine_use_note(const struct machine_use *before, const struct machine_use *after,
	bool knows_others, struct bench_record *record);

/* What a read of the clock takes; there are two in each latency. */
double machine_clock_ns(void);
/* What it takes to write down all stages of one fault, which is in the latencies of runs for the
 * stages only: the others have no more than the clock's reads that the core needs anyway. */
double machine_stages_ns(void);

/* The CPU's name, "unknown" if it has none; the CPUs that this thread may run on, as "0,1". */
void machine_cpu(char *ret, size_t max);
void machine_placement(char *ret, size_t max);
