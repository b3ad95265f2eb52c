/*
 * sim.h - traces of accesses, a model of a door and a network in virtual time, and what both cost.
 *
 * A trace is what readers touch; the model asks readahead_plan() whenever a door would be told of a
 * touch, and does what a door does with the plan. No clock, no I/O: the same run every time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "readahead.h"

#define SIM_READERS 8
#define SIM_CONNECTIONS 96
#define SIM_LOOP_NS 5000 /* the loop's work on a request; it does one after another */
#define SIM_NETWORKS 2
#define SIM_OBJECT (UINT64_C(4) << 30) /* bytes of the patterns' objects */

struct sim_access {
	uint64_t offset;
	uint32_t length; /* > 0 */
	uint32_t reader; /* < SIM_READERS; each does its accesses in order, and waits for them */
};

enum sim_door {
	SIM_MAP, /* pages; a touch of a resident one is told to nobody */
	SIM_FILE /* reads; each is told, unless the kernel has all of its pages from before */
};

struct sim_trace {
	enum sim_door door;
	uint64_t object_size;
	struct sim_access *list;
	size_t count, room;
};

struct sim_network {
	const char *name;
	uint64_t first_byte_ns; /* of an answer that waits behind no other */
	uint64_t page_ns;       /* one connection, a page */
	uint64_t link_page_ns;  /* all of them together, a page */
};
extern const struct sim_network sim_networks[SIM_NETWORKS]; /* near, far */

struct sim_cost {
	uint64_t requests;
	uint64_t fetched_bytes;
	uint64_t touched_bytes; /* distinct pages */
	uint64_t time_ns;       /* until the last reader has its last byte */
	uint64_t decisions;     /* calls of readahead_plan() */
	double decision_ns;     /* measured, not simulated: of one call */
};

/* Asserts: aborts when a plan breaks its promises, or a reader waits for what will not come. */
struct sim_cost sim_run(const struct sim_trace *trace, const struct sim_network *network,
	enum readahead_advice advice);

/*
 * What nobody who knows the whole trace can do better: no page but those that are touched, in the
 * fewest ranges, on all connections at once, for readers that take no time.
 */
struct sim_cost sim_optimum(const struct sim_trace *trace, const struct sim_network *network);

/* sim_patterns.c */
struct sim_pattern {
	const char *name;
	enum sim_door door;
	void (*generate)(struct sim_trace *trace, size_t accesses);
	/* What --check wants, near and far. */
	unsigned bytes_percent_max; /* fetched, of what is touched */
	unsigned request_kib_min;   /* on average */
};
extern const struct sim_pattern sim_patterns[];
extern const size_t sim_pattern_count;

/* Lines of "offset length", and comments that begin with "#"; false: not readable, or not so. */
bool sim_trace_load(struct sim_trace *trace, const char *path);
void sim_trace_add(struct sim_trace *trace, uint64_t offset, uint64_t length, unsigned reader);
