/*
 * chart.h - a chart as inline SVG: axes, linear or logarithmic, lines, bars. One thread; it writes
 * to a stdio stream, whose errors are the caller's to find.
 *
 * Nothing in it needs a script or another file. Lengths scale with the page; words stay readable on
 * a phone, as a chart is drawn for a column of 640 units and not for a wide page.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct chart_axis {
	const char *label;
	double low, high; /* low < high; of a logarithmic one, above 0 */
	bool is_log;
	/* Words at places of the axis; NULL: powers of ten, or round numbers. */
	const struct chart_tick {
		double at;
		const char *text;
	} * ticks;
	size_t tick_count;
};

struct chart {
	FILE *out;
	struct chart_axis x, y;
	unsigned entries; /* of the legend, so far */
	double left;      /* of the plot */
	bool line_is_open;
	bool is_alone;
};

/*
 * style: what a picture that stands alone takes its colours from; NULL: it is part of a page. The
 * title is also what a reader of the page aloud hears; `keys` entries of a legend come later.
 */
void chart_begin(struct chart *chart, FILE *out, const char *style, const char *title,
	struct chart_axis x, struct chart_axis y, size_t keys);

/* style: which of CHART_STYLES; points outside the axes are put at their ends. */
#define CHART_STYLES 13
void chart_line_begin(struct chart *chart, const char *name, unsigned style);
void chart_line_to(struct chart *chart, double x, double y);
void chart_line_end(struct chart *chart);

/* From (x0, y0) to (x1, y1), with words for who points at it. */
void chart_box(struct chart *chart, double x0, double y0, double x1, double y1, unsigned style,
	const char *words);
/* An entry of the legend for boxes. */
void chart_key(struct chart *chart, const char *name, unsigned style);

void chart_end(struct chart *chart);
