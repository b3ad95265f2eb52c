/*
 * crew.h - one thread that accesses, and takes the time. What it brings home lies in memory that
 * its process shares with the bench's own.
 */
#pragma once

#include <pthread.h>

#include "bench.h"

/* What all workers of a run share, in all processes. */
struct crew {
	_Atomic uint64_t next; /* of accesses that have times: whoever is free takes the next one */
	_Atomic uint64_t start_ns;
	_Atomic bool called_off; /* before it started */
};

struct worker_result {
	uint64_t wrong;
	uint64_t end_ns;
	struct histogram latency;
};

struct worker {
	pthread_t thread;
	const struct bench_session *session;
	const struct bench_order *order;
	struct crew *crew;
	int go_fd;       /* ends when the run starts */
	uint32_t number; /* of `crew_size` */
	uint32_t crew_size;
	struct worker_result *result;
	struct bench_sample *samples; /* of the order's accesses; NULL: nobody wants them */
	uint8_t *buffer;              /* room for the longest access */
	uint64_t stages_seen;
	double *stages_us[STAGE_FIGURES]; /* of the order's accesses; NULL: nobody wants them */
};

/* Accesses everything that is its own once, without taking the time. */
void worker_warm(struct worker *worker);

/* A thread's function. */
void *worker_run(void *worker);
