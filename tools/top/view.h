/*
 * view.h - what `pagein top` shows of one snapshot, or of two with a time between them. Pure, but
 * that it writes to a stream.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "openmetrics.h"

struct view {
	const struct samples *now;
	const struct samples *before; /* NULL: there is only one, and no rates */
	double seconds;               /* between the two */
	uint64_t price_request;       /* of 1,000 requests, in millionths; 0: not told */
	uint64_t price_gb;            /* of 1,000,000,000 bytes, likewise */
	unsigned width, height;       /* of the screen; 0: as much as there is */
};

void view_print(const struct view *view, FILE *to);

/*
 * The time, in seconds, that `part` (0 to 1) of the values of a histogram did not exceed: the bound
 * of the bucket in which it lies, INFINITY behind the last; before NULL: of all. -1: there are no
 * values.
 */
double view_quantile(
	const struct samples *now, const struct samples *before, const char *family, double part);
