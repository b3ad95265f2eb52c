/*
 * chart.c - see chart.h. Owns nothing.
 *
 * A plot of 640 by 300 units, its axes' words around it, the legend below, in three columns. Styles
 * are classes (s0, s1, ...) that the page gives colours; html.c has them.
 */
#include "chart.h"

#include <math.h>
#include <string.h>

#include "html.h"

#define LEFT_OF_NUMBERS 72.0
#define LEFT_OF_WORDS 132.0
#define RIGHT 606.0
#define TOP 12.0
#define BOTTOM 250.0
#define LEGEND_TOP 312.0
#define LEGEND_COLUMNS 3
#define LEGEND_ROW 20.0
#define TICKS_ABOUT 5

/* 0 at the axis' low end, 1 at its high one. */
static double share_of(const struct chart_axis *axis, double value)
{
	double low = axis->low, high = axis->high;

	value = fmin(fmax(value, low), high);
	if (axis->is_log)
		return log(value / low) / log(high / low);
	return (value - low) / (high - low);
}

static double x_of(const struct chart *chart, double value)
{
	return chart->left + share_of(&chart->x, value) * (RIGHT - chart->left);
}

static double y_of(const struct chart *chart, double value)
{
	return BOTTOM - share_of(&chart->y, value) * (BOTTOM - TOP);
}

/* ---- axes ---------------------------------------------------------------------------------- */

static void tick_x(const struct chart *chart, double value, const char *text)
{
	double x = x_of(chart, value);

	fprintf(chart->out,
		"<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
		"text-anchor=\"middle\">%s</text>\n",
		x, TOP, BOTTOM, x, BOTTOM + 18, text);
}

static void tick_y(const struct chart *chart, double value, const char *text)
{
	double y = y_of(chart, value);

	fprintf(chart->out,
		"<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
		"text-anchor=\"end\">%s</text>\n",
		chart->left, y, RIGHT, chart->left - 6, y + 4, text);
}

typedef void tick_fn(const struct chart *chart, double value, const char *text);

static void tick_number(const struct chart *chart, double value, tick_fn *tick)
{
	char text[32];

	if (value >= 1e6)
		snprintf(text, sizeof text, "%gM", value / 1e6);
	else if (value >= 1e4)
		snprintf(text, sizeof text, "%gk", value / 1e3);
	else
		snprintf(text, sizeof text, "%g", value);
	tick(chart, value, text);
}

/* Steps of 1, 2 or 5 times a power of ten. */
static double round_step(double range)
{
	static const double steps[] = {1, 2, 5, 10};
	double rough = range / TICKS_ABOUT, power = pow(10, floor(log10(rough)));

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (steps[i] * power >= rough)
			return steps[i] * power;
	return 10 * power;
}

/* Powers of ten, and where there are few of them what is between. */
static void log_ticks(const struct chart *chart, const struct chart_axis *axis, tick_fn *tick)
{
	static const double between[] = {1, 2, 5};
	size_t count = axis->high / axis->low > 1000 ? 1 : 3;

	for (int power = (int)ceil(log10(axis->low) - 1e-9); pow(10, power) <= axis->high * 1.001;
		power++)
		for (size_t i = 0; i < count; i++)
			if (pow(10, power) * between[i] <= axis->high * 1.001)
				tick_number(chart, pow(10, power) * between[i], tick);
}

static void axis_ticks(const struct chart *chart, const struct chart_axis *axis, tick_fn *tick)
{
	double step;

	for (size_t i = 0; i < axis->tick_count; i++)
		tick(chart, axis->ticks[i].at, axis->ticks[i].text);
	if (axis->ticks)
		return;
	if (axis->is_log) {
		log_ticks(chart, axis, tick);
		return;
	}
	step = round_step(axis->high - axis->low);
	for (long n = (long)ceil(axis->low / step); (double)n * step <= axis->high + step * 1e-9;
		n++)
		tick_number(chart, (double)n * step, tick);
}

void chart_begin(struct chart *chart, FILE *out, const char *style, const char *title,
	struct chart_axis x, struct chart_axis y, size_t keys)
{
	size_t rows = (keys + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;

	*chart = (struct chart){
		.out = out,
		.x = x,
		.y = y,
		.is_alone = style != NULL,
		.left = y.ticks ? LEFT_OF_WORDS : LEFT_OF_NUMBERS,
	};
	if (!style) {
		fprintf(out, "<figure><figcaption>");
		html_put(out, title, strlen(title));
		fprintf(out, "</figcaption>");
	}
	fprintf(out, "<svg%s viewBox=\"0 0 640 %.0f\" role=\"img\" aria-label=\"",
		style ? " xmlns=\"http://www.w3.org/2000/svg\"" : "",
		LEGEND_TOP + (double)rows * LEGEND_ROW);
	html_put(out, title, strlen(title));
	fprintf(out, "\">\n");
	if (style)
		fprintf(out, "<style>\n%s</style>\n", style);
	axis_ticks(chart, &chart->x, tick_x);
	axis_ticks(chart, &chart->y, tick_y);
	fprintf(out,
		"<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
		"text-anchor=\"middle\">%s</text>\n",
		chart->left, TOP, BOTTOM, RIGHT, (chart->left + RIGHT) / 2, BOTTOM + 40, x.label);
	fprintf(out,
		"<text transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
		(TOP + BOTTOM) / 2, y.label);
}

/* ---- what is drawn ------------------------------------------------------------------------- */

void chart_key(struct chart *chart, const char *name, unsigned style)
{
	double x = chart->left + (double)(chart->entries % LEGEND_COLUMNS) * 178;
	unsigned row = chart->entries / LEGEND_COLUMNS;
	double y = LEGEND_TOP + (double)row * LEGEND_ROW;

	chart->entries++;
	fprintf(chart->out,
		"<path class=\"line s%u\" d=\"M%.1f %.1fh24\"/><text x=\"%.1f\" y=\"%.1f\">", style,
		x, y, x + 30, y + 4);
	html_put(chart->out, name, strlen(name));
	fprintf(chart->out, "</text>\n");
}

void chart_line_begin(struct chart *chart, const char *name, unsigned style)
{
	chart_key(chart, name, style);
	fprintf(chart->out, "<path class=\"line s%u\" d=\"", style);
	chart->line_is_open = false;
}

void chart_line_to(struct chart *chart, double x, double y)
{
	fprintf(chart->out, "%c%.1f %.1f", chart->line_is_open ? 'L' : 'M', x_of(chart, x),
		y_of(chart, y));
	chart->line_is_open = true;
}

void chart_line_end(struct chart *chart)
{
	fprintf(chart->out, "\"/>\n");
}

void chart_box(struct chart *chart, double x0, double y0, double x1, double y1, unsigned style,
	const char *words)
{
	double left = x_of(chart, x0), right = x_of(chart, x1);
	double top = y_of(chart, y1), bottom = y_of(chart, y0);

	fprintf(chart->out,
		"<rect class=\"box s%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
		style, left, top, right - left, bottom - top);
	html_put(chart->out, words, strlen(words));
	fprintf(chart->out, "</title></rect>\n");
}

void chart_end(struct chart *chart)
{
	fprintf(chart->out, chart->is_alone ? "</svg>\n" : "</svg></figure>\n");
}
