/*
 * html.c - the record as one page with pictures, which needs nothing but itself: no script, no
 * font, no network; or as one picture. On the main thread.
 *
 * For each scenario a table and the stages of a fault; for each of its patterns how the latencies
 * are distributed, with the floor's drawn in, how fast the run went on, and where the object was
 * touched and fetched. Latencies are of all runs, the rest is the median run's.
 *
 * Whoever reads it by ear, in print or without colours has the tables, and words on each chart.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "bench.h"
#include "chart.h"
#include "cleanup.h"
#include "html.h"
#include "machine.h"

#define RATE_BINS 60 /* points of a run's throughput */

static const char *const page_style =
	"body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
	"max-width:84rem;margin:auto;padding:1rem}\n"
	"h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.5rem}h3{font-size:1rem}\n"
	".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));"
	"gap:1rem}\n"
	"figure{margin:0;break-inside:avoid}figcaption{font-weight:600;font-size:.9rem}\n"
	"svg{width:100%;height:auto;display:block}\n"
	".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;"
	"font-variant-numeric:tabular-nums}\n"
	"td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--grid);"
	"white-space:nowrap}td:first-child,th:first-child,td:nth-child(2),th:nth-child(2)"
	"{text-align:left}\n"
	"dl{display:grid;grid-template-columns:auto 1fr;gap:.1rem 1rem;font-size:.85rem}"
	"dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
	/* A chart is 640 units wide: on a phone, half of a pixel each. */
	"@media(max-width:40rem){svg text{font-size:19px}}\n"
	"@media print{body{max-width:none}.wide{overflow:visible}}\n";

/* Of charts, in the page or alone. */
static const char *const chart_style =
	":root{color-scheme:light dark;--ink:#1b1b1b;--soft:#6b6b6b;--grid:#d9d9d9;--paper:#fff}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#a5a5a5;--grid:#3c3c3c;"
	"--paper:#161616}}\n"
	"svg{background:var(--paper);font-family:system-ui,sans-serif}\n"
	"svg text{font-size:13px;fill:var(--ink)}\n"
	".grid{stroke:var(--grid);fill:none}.axis{stroke:var(--soft);fill:none}\n"
	".line{fill:none;stroke-width:2.2}.box{stroke:var(--paper);stroke-width:.5}\n"
	/* The floors are grey and dashed; the others' colours are those of Okabe and Ito. */
	".line.s0{stroke:#777;stroke-dasharray:7 4}.line.s1{stroke:#777;stroke-dasharray:2 3}"
	".line.s2{stroke:#777;stroke-dasharray:9 3 2 3}\n"
	".box.s0,.box.s1,.box.s2{fill:#777}\n"
	".line.s3{stroke:#0072b2}.line.s4{stroke:#d55e00}.line.s5{stroke:#009e73}"
	".line.s6{stroke:#cc79a7}.line.s7{stroke:#e69f00}.line.s8{stroke:#56b4e9}"
	".line.s9{stroke:#b2a200}.line.s10{stroke:#8a5a2b}.line.s11{stroke:#5b3fa0}"
	".line.s12{stroke:#b00020}\n"
	".box.s3{fill:#0072b2}.box.s4{fill:#d55e00}.box.s5{fill:#009e73}.box.s6{fill:#cc79a7}"
	".box.s7{fill:#e69f00}.box.s8{fill:#56b4e9}.box.s9{fill:#b2a200}.box.s10{fill:#8a5a2b}"
	".box.s11{fill:#5b3fa0}.box.s12{fill:#b00020}\n";

struct page {
	FILE *out;
	bool is_picture; /* one chart, and nothing around it */
	const struct options *options;
	const struct bench_record *record;
};

/* Cells of one scenario, and of one pattern of it. */
struct group {
	const struct bench_cell *cells[BENCH_CELLS_MAX];
	size_t count;
};

/* The cells that were measured with these options, and in this pattern unless it is PATTERN_COUNT.
 */
static struct group group_of(
	const struct bench_record *record, const struct options *options, enum pattern pattern)
{
	struct group group = {.count = 0};

	for (size_t i = 0; i < record->cell_count; i++) {
		const struct bench_cell *cell = &record->cells[i];

		if (cell->options == options && cell->count > 0 &&
			(pattern == PATTERN_COUNT || cell->pattern == pattern))
			group.cells[group.count++] = cell;
	}
	return group;
}

/* An engine has one style on all charts: floors the first three, others as they appear. */
static unsigned style_of(const struct bench_record *record, const struct bench_engine *engine)
{
	static const char *const floors[] = {"floor", "floor-cached", "floor-inline"};
	const struct bench_engine *seen[CHART_STYLES] = {NULL};
	unsigned next = 3;

	for (unsigned i = 0; i < 3; i++)
		if (strcmp(engine->name, floors[i]) == 0)
			return i;
	for (size_t i = 0; i < record->cell_count; i++) {
		const struct bench_engine *other = record->cells[i].engine;
		bool is_new = strncmp(other->name, "floor", 5) != 0;

		for (unsigned j = 3; j < next; j++)
			is_new &= seen[j] != other;
		if (is_new && other == engine)
			return next;
		if (is_new && next < CHART_STYLES - 1)
			seen[next++] = other;
	}
	return CHART_STYLES - 1;
}

static void merged(const struct bench_cell *cell, struct histogram *ret)
{
	histogram_reset(ret);
	for (uint64_t run = 0; run < cell->count; run++)
		histogram_merge(ret, &cell->runs[run].latency);
}

/* ---- latencies ----------------------------------------------------------------------------- */

/* From the shortest to the longest, but for so many at each end, as powers of ten: us. */
static struct chart_axis latency_axis(const struct group *group, double percent_left_out)
{
	struct chart_axis axis = {.label = "latency, us", .low = 1e9, .high = 0, .is_log = true};

	for (size_t i = 0; i < group->count; i++)
		for (uint64_t run = 0; run < group->cells[i]->count; run++) {
			const struct histogram *latency = &group->cells[i]->runs[run].latency;

			axis.low = fmin(axis.low,
				(double)histogram_percentile(latency, percent_left_out) / 1000);
			axis.high = fmax(axis.high,
				(double)histogram_percentile(latency, 100 - percent_left_out) /
					1000);
		}
	axis.low = pow(10, floor(log10(fmax(axis.low, 0.01))));
	axis.high = pow(10, ceil(log10(fmax(axis.high, axis.low * 1.01))));
	return axis;
}

static void draw_distribution(struct page *page, const struct group *group)
{
	static struct histogram all;
	struct chart_axis share = {.label = "accesses, %", .low = 0, .high = 100};
	struct chart chart;

	chart_begin(&chart, page->out, page->is_picture ? chart_style : NULL,
		"Accesses that are over after so long",
		latency_axis(group, page->is_picture ? 2 : 0), share, group->count);
	for (size_t i = 0; i < group->count; i++) {
		struct histogram_bucket bucket = {0};
		double below = 0, shown = -1;

		merged(group->cells[i], &all);
		chart_line_begin(&chart, group->cells[i]->engine->name,
			style_of(page->record, group->cells[i]->engine));
		chart_line_to(&chart, (double)histogram_min(&all) / 1000, 0);
		while (histogram_next(&all, &bucket)) {
			below += (double)bucket.count * 100 / (double)histogram_count(&all);
			/* Half a unit of the picture and less is not seen. */
			if (below - shown > 0.2 || below > 99.9)
				chart_line_to(&chart, (double)bucket.high_ns / 1000, shown = below);
		}
		chart_line_end(&chart);
	}
	chart_end(&chart);
}

/* The tail, stretched: each nine has as much room as the one before. */
static void draw_percentiles(struct page *page, const struct group *group)
{
	static const struct chart_tick ticks[] = {
		{0, "0"}, {1, "90"}, {2, "99"}, {3, "99.9"}, {4, "99.99"}};
	static struct histogram all;
	struct chart_axis nines = {.label = "percentile",
		.low = 0,
		.high = 4,
		.ticks = ticks,
		.tick_count = sizeof ticks / sizeof *ticks};
	struct chart chart;

	chart_begin(&chart, page->out, NULL, "Latency by percentile", nines, latency_axis(group, 0),
		group->count);
	for (size_t i = 0; i < group->count; i++) {
		merged(group->cells[i], &all);
		chart_line_begin(&chart, group->cells[i]->engine->name,
			style_of(page->record, group->cells[i]->engine));
		/* Beyond the last access's there is nothing that was measured. */
		for (int step = 0; step <= 80; step++) {
			double at = step / 20.0;

			if (pow(10, at) > (double)histogram_count(&all))
				break;
			chart_line_to(&chart, at,
				(double)histogram_percentile(&all, 100 - 100 / pow(10, at)) / 1000);
		}
		chart_line_end(&chart);
	}
	chart_end(&chart);
}

/* ---- stages -------------------------------------------------------------------------------- */

static double stages_sum(const double stages_us[STAGE_FIGURES])
{
	double sum = 0;

	for (int i = 0; i < STAGE_COUNT; i++)
		sum += fmax(stages_us[i], 0);
	return sum;
}

static void draw_stack(
	struct chart *chart, const char *engine, double row, const double stages_us[STAGE_FIGURES])
{
	double at = 0;
	char words[192];

	for (unsigned i = 0; i < STAGE_COUNT; i++) {
		if (stages_us[i] <= 0)
			continue;
		snprintf(words, sizeof words, "%s, %s: %.2f us until %s", engine,
			fault_stage_name((enum fault_stage)i), stages_us[i],
			fault_stage_words((enum fault_stage)i));
		chart_box(chart, at, row + 0.15, at + stages_us[i], row + 0.85, 3 + i, words);
		at += stages_us[i];
	}
}

/* One bar for each cell of random accesses whose stages are known. */
static void draw_stages(struct page *page, const struct group *group)
{
	const struct bench_cell *known[CHART_STYLES];
	struct bench_summary summaries[CHART_STYLES];
	struct chart_tick ticks[CHART_STYLES];
	struct chart_axis time = {.label = "us, medians", .low = 0, .high = 0},
			  rows = {.label = ""};
	struct chart chart;
	size_t count = 0;

	for (size_t i = 0; i < group->count && count < CHART_STYLES; i++) {
		bench_summarise(page->record, group->cells[i], &summaries[count]);
		if (stages_sum(summaries[count].stages_us) <= 0)
			continue;
		time.high = fmax(time.high, stages_sum(summaries[count].stages_us) * 1.05);
		known[count++] = group->cells[i];
	}
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		ticks[i] = (struct chart_tick){(double)(count - i) - 0.5, known[i]->engine->name};
	rows.high = (double)count;
	rows.ticks = ticks;
	rows.tick_count = count;
	chart_begin(&chart, page->out, NULL, "Where a fault's time goes", time, rows, STAGE_COUNT);
	for (size_t i = 0; i < count; i++)
		draw_stack(&chart, known[i]->engine->name, (double)(count - i - 1),
			summaries[i].stages_us);
	for (unsigned i = 0; i < STAGE_COUNT; i++)
		chart_key(&chart, fault_stage_name((enum fault_stage)i), 3 + i);
	chart_end(&chart);
}

/* ---- the run as it went -------------------------------------------------------------------- */

static void bin_run(const struct bench_result *run, double seconds, double ret_mb_per_s[RATE_BINS])
{
	double width = seconds / RATE_BINS;

	memset(ret_mb_per_s, 0, RATE_BINS * sizeof *ret_mb_per_s);
	for (uint64_t i = 0; i < run->accesses; i++) {
		const struct bench_sample *sample = &run->samples[i];
		double end = (double)(sample->start_ns + sample->latency_ns) / 1e9;
		size_t bin = (size_t)fmin(end / width, RATE_BINS - 1);

		ret_mb_per_s[bin] += (double)sample->len / width / 1e6;
	}
}

static void draw_rate(struct page *page, const struct group *group)
{
	static double rates[CHART_STYLES][RATE_BINS];
	struct bench_summary summaries[CHART_STYLES];
	struct chart_axis time = {.label = "seconds", .low = 0, .high = 0};
	struct chart_axis rate = {.label = "MB/s", .low = 0, .high = 1e-6};
	size_t count = group->count < CHART_STYLES ? group->count : CHART_STYLES;
	struct chart chart;

	for (size_t i = 0; i < count; i++) {
		bench_summarise(page->record, group->cells[i], &summaries[i]);
		if (!summaries[i].median->samples)
			return;
		time.high = fmax(time.high, summaries[i].median->seconds);
		bin_run(summaries[i].median, summaries[i].median->seconds, rates[i]);
		for (size_t bin = 0; bin < RATE_BINS; bin++)
			rate.high = fmax(rate.high, rates[i][bin]);
	}
	chart_begin(&chart, page->out, NULL, "Throughput of the median run", time, rate, count);
	for (size_t i = 0; i < count; i++) {
		double width = summaries[i].median->seconds / RATE_BINS;

		chart_line_begin(&chart, group->cells[i]->engine->name,
			style_of(page->record, group->cells[i]->engine));
		for (size_t bin = 0; bin < RATE_BINS; bin++)
			chart_line_to(&chart, ((double)bin + 0.5) * width, rates[i][bin]);
		chart_line_end(&chart);
	}
	chart_end(&chart);
}

/* Neighbours that look alike are one box. */
static void draw_strip(struct chart *chart, const float *shares, double low, double high,
	unsigned box_style, const char *words)
{
	for (size_t i = 0, end; i < HEAT_CELLS; i = end) {
		double share = round((double)shares[i] * 8) / 8;

		for (end = i + 1; end < HEAT_CELLS && round((double)shares[end] * 8) / 8 == share;)
			end++;
		if (shares[i] > 0)
			chart_box(chart, (double)i, low, (double)end,
				low + (high - low) * fmax(share, 0.125), box_style, words);
	}
}

static void draw_heat(struct page *page, const struct group *group)
{
	const struct bench_heat *heats[CHART_STYLES];
	struct chart_tick ticks[CHART_STYLES];
	struct chart_axis rows = {.label = ""};
	static const struct chart_tick ends[] = {{0, "0"}, {HEAT_CELLS, "end"}};
	struct chart_axis place = {.label = "the object's pages",
		.low = 0,
		.high = HEAT_CELLS,
		.ticks = ends,
		.tick_count = 2};
	struct chart chart;
	size_t count = 0;

	for (size_t i = 0; i < group->count && count < CHART_STYLES; i++) {
		struct bench_summary summary;

		bench_summarise(page->record, group->cells[i], &summary);
		if (!summary.median->heat)
			continue;
		heats[count] = summary.median->heat;
		ticks[count++] = (struct chart_tick){0, group->cells[i]->engine->name};
	}
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		ticks[i].at = (double)(count - i) - 0.5;
	rows.high = (double)count;
	rows.ticks = ticks;
	rows.tick_count = count;
	chart_begin(&chart, page->out, NULL,
		"Pages in memory afterwards: touched, and fetched for nothing", place, rows, 2);
	for (size_t i = 0; i < count; i++) {
		double low = (double)(count - i - 1);

		draw_strip(&chart, heats[i]->touched, low + 0.5, low + 0.95, 3, "touched");
		draw_strip(&chart, heats[i]->wasted, low + 0.05, low + 0.5, 4, "not touched");
	}
	chart_key(&chart, "touched", 3);
	chart_key(&chart, "fetched, not touched", 4);
	chart_end(&chart);
}

/* ---- tables -------------------------------------------------------------------------------- */

static void write_row(struct page *page, const struct bench_cell *cell)
{
	struct bench_summary summary;
	const struct bench_result *run;

	bench_summarise(page->record, cell, &summary);
	run = summary.median;
	fprintf(page->out, "<tr><td>%s<td>%s<td>%llu", cell->engine->name,
		pattern_name(cell->pattern), (unsigned long long)run->accesses);
	for (size_t i = 0; i < 4; i++) {
		static const double percentiles[] = {50, 90, 99, 100};

		fprintf(page->out, "<td>%.1f",
			(double)histogram_percentile(&run->latency, percentiles[i]) / 1000);
	}
	fprintf(page->out, "<td>%.1f<td>%.0f %%",
		run->seconds > 0 ? (double)run->bytes_touched / run->seconds / 1e6 : 0,
		summary.spread * 100);
	if (summary.ratio > 0)
		fprintf(page->out, "<td>%.2f", summary.ratio);
	else
		fprintf(page->out, "<td>-");
	if (run->bytes_fetched != UINT64_MAX)
		fprintf(page->out, "<td>%.2f<td>%llu\n",
			(double)run->bytes_fetched / (double)run->bytes_touched,
			(unsigned long long)run->requests);
	else
		fprintf(page->out, "<td>-<td>-\n");
}

static void write_table(struct page *page, const struct group *group)
{
	fprintf(page->out,
		"<div class=\"wide\"><table><thead><tr><th>engine<th>pattern<th>accesses<th>p50 us"
		"<th>p90 us<th>p99 us<th>max us<th>MB/s<th>spread<th>x floor<th>x touched"
		"<th>requests</thead><tbody>\n");
	for (size_t i = 0; i < group->count; i++)
		write_row(page, group->cells[i]);
	fprintf(page->out, "</tbody></table></div>\n");
}

static void write_term(FILE *out, const char *term, const char *text)
{
	fprintf(out, "<dt>%s<dd>", term);
	html_put(out, text, strlen(text));
	fputc('\n', out);
}

static void write_environment(struct page *page)
{
	char text[1024], cpus[512];
	struct utsname kernel;
	time_t now = time(NULL);
	struct tm utc;

	uname(&kernel);
	gmtime_r(&now, &utc);
	fprintf(page->out, "<dl>");
	strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
	write_term(page->out, "measured", text);
	write_term(page->out, "pagein", PAGEIN_VERSION);
	write_term(page->out, "server", page->record->origin);
	machine_cpu(text, sizeof text);
	write_term(page->out, "CPU", text);
	machine_placement(cpus, sizeof cpus);
	snprintf(text, sizeof text, "%.500s%s", cpus, page->options->pin ? ", pinned" : "");
	write_term(page->out, "on CPUs", text);
	write_term(page->out, "kernel", kernel.release);
	snprintf(text, sizeof text, "%.2f CPUs", page->record->others_cpus);
	write_term(
		page->out, "others kept busy", page->record->others_cpus < 0 ? "not known" : text);
	fprintf(page->out, "</dl>\n");
}

/* ---- the page ------------------------------------------------------------------------------ */

static void write_scenario(struct page *page, const struct bench_cell *first)
{
	struct group all = group_of(page->record, first->options, PATTERN_COUNT);
	const char *title = first->scenario[0] ? first->scenario : "Results";

	fprintf(page->out, "<section><h2>");
	html_put(page->out, title, strlen(title));
	fprintf(page->out, "</h2>\n");
	write_table(page, &all);
	for (int pattern = 0; pattern < PATTERN_COUNT; pattern++) {
		struct group group = group_of(page->record, first->options, (enum pattern)pattern);

		if (group.count == 0)
			continue;
		fprintf(page->out, "<h3>%s</h3>\n<div class=\"charts\">\n",
			pattern_name((enum pattern)pattern));
		draw_distribution(page, &group);
		draw_percentiles(page, &group);
		if (pattern == PATTERN_RANDOM)
			draw_stages(page, &group);
		draw_rate(page, &group);
		draw_heat(page, &group);
		fprintf(page->out, "</div>\n");
	}
	fprintf(page->out, "</section>\n");
}

static void write_page(struct page *page)
{
	const struct options *last = NULL;

	fprintf(page->out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		"<title>pagein bench</title>\n<style>\n%s%s</style></head><body>\n"
		"<h1>From fault to fill</h1>\n",
		chart_style, page_style);
	write_environment(page);
	fprintf(page->out,
		"<p>An access is a touch of memory, or a read of a file, of bytes that are elsewhere. The "
		"floors are what the network and the kernel charge, with nothing in between. Latencies "
		"are of all runs; tables show the median run, and how far another was from it.</p>\n");
	for (size_t i = 0; i < page->record->cell_count; i++) {
		const struct bench_cell *cell = &page->record->cells[i];

		if (cell->options != last && cell->count > 0) {
			write_scenario(page, cell);
			last = cell->options;
		}
	}
	fprintf(page->out, "</body></html>\n");
}

/* The random accesses' distribution, or what else the first scenario has. */
static void write_picture(struct page *page)
{
	const struct bench_cell *first = &page->record->cells[0];
	struct group group = group_of(page->record, first->options, PATTERN_RANDOM);

	if (group.count == 0)
		group = group_of(page->record, first->options, first->pattern);
	if (group.count > 0)
		draw_distribution(page, &group);
}

static int write_file(const char *option, const char *path, struct page *page)
{
	int err;

	page->out = fopen(path, "we");
	err = page->out ? 0 : -errno;
	if (page->out) {
		if (page->is_picture)
			write_picture(page);
		else
			write_page(page);
		errno = EIO;
		err = ferror(page->out) ? -errno : 0;
		if (fclose(page->out) != 0 && err == 0)
			err = -errno;
	}
	if (err < 0)
		fprintf(stderr, "pagein bench: %s: %s: %s\n", option, path, strerrordesc_np(-err));
	return err;
}

int bench_write_html(const struct options *options, const struct bench_record *record)
{
	struct page page = {.options = options, .record = record};

	return write_file("--html", options->html, &page);
}

int bench_write_svg(const struct options *options, const struct bench_record *record)
{
	struct page page = {.is_picture = true, .options = options, .record = record};

	return write_file("--svg", options->svg, &page);
}
