/*
 * order.h - which places of an object a run accesses, in what order, and when. Pure; any thread.
 *
 *	random	`count` distinct places, in the order of a seeded permutation
 *	sequential	all of the object, whatever `count` is
 *	stride	0, stride_bytes, 2 * stride_bytes, ..., `count` of them or to the object's end
 *	zipf	`count` places, the same ones again and again: the one of rank r with a probability
 *		that is proportional to 1 / r^0.99, as in YCSB; a seeded permutation says which
 *		is where
 *	hotcold	`count` places: hot_accesses per cent of them are among hot_places per cent of
 *		all, which are anywhere (a seeded permutation), the others among the rest
 *	replay	what a trace says (replay.h), whatever `count` is
 *
 * Places are multiples of access_bytes, but those of stride and replay.
 */
#pragma once

#include "options.h"

/* One access. */
struct bench_access {
	uint64_t offset;
	uint64_t len;   /* at least 1, and within the object */
	uint64_t at_ns; /* when it shall begin, from the start of the run; 0: when there is time */
};

struct bench_order {
	struct bench_access *accesses;
	uint64_t count;
	uint64_t bytes; /* of all accesses */
};

/*
 * The accesses of a run over an object of `size` bytes (not 0); the same options give the same
 * ones. `trace` is replay's, with the times that it was recorded at, and NULL for other patterns.
 * With options->arrival they begin at times of a Poisson process of so many a second; without, and
 * without recorded_pace, they have no times.
 *
 * -ENOMEM; -ERANGE: an access of the trace ends behind the object.
 */
int bench_order_make(const struct options *options, enum pattern pattern,
	const struct bench_order *trace, uint64_t size, struct bench_order *ret);
void bench_order_free(struct bench_order *order);
