/*
 * stride.h - readahead.c's part for accesses at equal distances. Pure; on the loop.
 */
#pragma once

#include "readahead.h"

/* The stride whose next pieces, or one of the last, this access is; NULL: none. */
struct readahead_stride *stride_find(struct readahead *readahead, struct range wanted);

/*
 * Makes a stride of this access and two lone ones before it, in the place of the one that has been
 * still for longest; NULL: there are no such two.
 */
struct readahead_stride *stride_detect(struct readahead *readahead, struct range wanted);

/* The stride has come to this access: if less than half of what it may be ahead is left, more. */
void stride_advance(struct readahead_stride *stride, struct range wanted,
	const struct readahead_conditions *conditions, struct readahead_plan *plan);

/* Of its newest plan only so many requests can be made. */
void stride_cut(struct readahead_stride *stride, struct readahead_plan *plan, uint64_t requests);
