/*
 * bench_order.h - which places of an object a run accesses, in what order. Pure; any thread.
 *
 *	random	`count` distinct places, in the order of a seeded shuffle
 *	sequential	all of the object, whatever `count` is
 *	stride	0, stride_bytes, 2 * stride_bytes, ..., `count` of them or to the object's end
 *	zipf	`count` places, the same ones again and again: the one of rank r with a probability
 *		that is proportional to 1 / r^0.99, as in YCSB; which is where is a seeded shuffle
 *
 * Places are multiples of access_bytes, but those of stride.
 */
#pragma once

#include "options.h"

/*
 * Offsets in an object of `size` bytes (not 0), to be freed by the caller; *ret_count is how many.
 * The same options give the same ones. NULL: out of memory.
 */
uint64_t *bench_order(
	const struct options *options, enum pattern pattern, uint64_t size, uint64_t *ret_count);
