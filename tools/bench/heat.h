/*
 * heat.h - which parts of the object a run touched, and which of those that were fetched nobody
 * touched. In strips of HEAT_CELLS equal parts, however large the object is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HEAT_CELLS 512

struct bench_session;
struct bench_order;

/* Parts of a cell's pages, 0 to 1. */
struct bench_heat {
	float touched[HEAT_CELLS];
	float wasted[HEAT_CELLS]; /* resident, and not touched */
};

/* After the run, before the session is closed; NULL: the engine can't tell, or out of memory. */
struct bench_heat *bench_heat_take(struct bench_session *session, const struct bench_order *order);
