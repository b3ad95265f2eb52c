/* rank.h - do two handfuls of figures differ by more than chance? Pure; any thread. */
#pragma once

#include <stddef.h>

#define RANK_MAX 1000 /* figures of a side */

/*
 * The test of Mann and Whitney (1947), two-sided: how likely figures that come from one source
 * would be told apart by their order as clearly as these are. Nothing is supposed of how they are
 * distributed. Exact up to 20 of each side, by the normal approximation above; 1 where a side is
 * empty or has more than RANK_MAX. With 5 figures on each side that don't overlap it is 0.008, with
 * 3 it is 0.1: three runs can't show anything.
 */
double rank_test(const double *a, size_t a_count, const double *b, size_t b_count);
