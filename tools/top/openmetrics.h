/*
 * openmetrics.h - figures as core/figures_text.c writes them: OpenMetrics 1.0 text, read strictly.
 *
 * One label at the most; no timestamps, no exemplars. What was written by somebody else may be
 * refused. Pure; any thread.
 */
#pragma once

#include <stddef.h>

#define SAMPLES_BYTES_MAX ((size_t)1 << 20) /* of a text: ten times the longest that we write */

struct sample {
	const char *name;  /* with its _total, _bucket, _sum or _count */
	const char *label; /* its name; NULL: it has none */
	const char *value; /* of the label; may be any text without control characters */
	double number;     /* not a NaN */
};

struct samples {
	char *text; /* which the strings are in */
	struct sample *list;
	size_t count;
};

/*
 * Of exactly length bytes. *ret_line is the line that it is about. -EINVAL: not such a text, or not
 * all of it; -ENOMEM.
 */
int samples_parse(const char *text, size_t length, struct samples *ret, unsigned *ret_line);
/* A zeroed one is fine. */
void samples_finish(struct samples *samples);

/* The first sample of that name, and with that value of its label (NULL: whatever it is); NULL:
 * there is none. */
const struct sample *samples_find(
	const struct samples *samples, const char *name, const char *value);

/* Its number, or 0. */
double samples_number(const struct samples *samples, const char *name, const char *value);
