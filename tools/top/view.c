/*
 * view.c - see view.h.
 *
 * What is shown is in tables: of plain figures, of stages, of what has a label. A row whose figure
 * the snapshot does not have is left out, so that mounts and processes share them. Rates and
 * quantiles are of the time between two snapshots, if there are two, totals are since the
 * beginning.
 *
 * Names are others' words: what a terminal could take for a command is shown as '?'.
 */
#include "view.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define LINE_BYTES 512

/* Lines of a screen: no wider, and no more, than it is. */
struct lines {
	FILE *to;
	unsigned width, left;
	bool bounded;
};

/* ---- words -------------------------------------------------------------------------------- */

/* As much of it as has room in so many columns, one for each character. */
static void put_cut(FILE *to, const char *text, size_t columns)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t left = strlen(text);

	for (; left > 0 && columns > 0; columns--) {
		uint32_t character = '?';
		size_t length = utf8_read(at, left, &character);
		bool is_text = length > 0 && character >= ' ' &&
			       !(character >= 0x7f && character < 0xa0);

		if (length == 0)
			length = 1;
		if (is_text)
			fwrite(at, 1, length, to);
		else
			putc('?', to);
		at += length;
		left -= length;
	}
}

__attribute__((format(printf, 2, 3))) static void put_line(
	struct lines *lines, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;

	if (lines->bounded && lines->left == 0)
		return;
	lines->left--;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	for (size_t length = strlen(line); length > 0 && line[length - 1] == ' ';)
		line[--length] = '\0';
	put_cut(lines->to, line, lines->width ? lines->width : sizeof line);
	putc('\n', lines->to);
}

#define WORD_MAX 32

/* 1234567 as 1,234,567. */
static const char *count_word(double number, char to[WORD_MAX])
{
	char digits[WORD_MAX];
	int length = snprintf(digits, sizeof digits, "%.0f", number < 1e18 ? number : 1e18);
	char *end = to;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*end++ = ',';
		*end++ = digits[i];
	}
	*end = '\0';
	return to;
}

/* In powers of 1,000, as prices and networks are. */
static const char *bytes_word(double bytes, char to[WORD_MAX])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	unsigned unit = 0;

	for (; bytes >= 999.5 && unit < 6; unit++)
		bytes /= 1000;
	snprintf(to, WORD_MAX, unit > 0 && bytes < 99.95 ? "%.1f %s" : "%.0f %s", bytes,
		units[unit]);
	return to;
}

static const char *time_word(double seconds, char to[WORD_MAX])
{
	if (seconds < 0)
		return strcpy(to, "-");
	if (isinf(seconds))
		return strcpy(to, "> 70 s");
	if (seconds < 1e-3)
		snprintf(to, WORD_MAX, "%.3g us", seconds * 1e6);
	else if (seconds < 1)
		snprintf(to, WORD_MAX, "%.3g ms", seconds * 1e3);
	else
		snprintf(to, WORD_MAX, "%.3g s", seconds);
	return to;
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* A second; what has begun anew has begun at zero. */
static double rate_of(const struct view *view, const char *name, const char *value)
{
	double now = samples_number(view->now, name, value);
	double before = samples_number(view->before, name, value);

	return view->seconds > 0 ? (now >= before ? now - before : now) / view->seconds : 0;
}

/* In seconds and up to its bucket's bound: how many. */
static double bucket_change(const struct sample *sample, const struct samples *before)
{
	return before ? sample->number - samples_number(before, sample->name, sample->value)
		      : sample->number;
}

double view_quantile(
	const struct samples *now, const struct samples *before, const char *family, double part)
{
	char name[WORD_MAX + 32];
	const struct sample *last;
	double count;

	snprintf(name, sizeof name, "%s_bucket", family);
	last = samples_find(now, name, "+Inf");
	count = last ? bucket_change(last, before) : 0;
	if (count <= 0)
		return -1;
	for (size_t i = 0; i < now->count; i++) {
		const struct sample *sample = &now->list[i];

		if (strcmp(sample->name, name) == 0 && sample->value &&
			bucket_change(sample, before) >= part * count)
			return sample == last ? INFINITY : strtod(sample->value, NULL);
	}
	return INFINITY;
}

/* ---- plain figures ------------------------------------------------------------------------ */

enum kind { COUNT, BYTES, GAUGE_COUNT, GAUGE_BYTES };

static const struct {
	const char *words;
	const char *name;
	enum kind kind;
} plain[] = {
	{"reads", "pagein_reads_total", COUNT},
	{"  answered at once", "pagein_read_hits_total", COUNT},
	{"  failed", "pagein_read_failures_total", COUNT},
	{"  delivered", "pagein_read_bytes_total", BYTES},
	{"faults", "pagein_faults_total", COUNT},
	{"  filled at once", "pagein_fault_hits_total", COUNT},
	{"  failed pages", "pagein_poisoned_pages_total", COUNT},
	{"fills", "pagein_fills_total", COUNT},
	{"  filled", "pagein_filled_bytes_total", BYTES},
	{"evicted pages", "pagein_evicted_pages_total", COUNT},
	{"  came back", "pagein_refilled_pages_total", COUNT},
	{"requests", "pagein_requests_total", COUNT},
	{"  fetched", "pagein_fetched_bytes_total", BYTES},
	{"  tried again", "pagein_retries_total", COUNT},
	{"  second ones", "pagein_hedges_total", COUNT},
	{"  second ones first", "pagein_hedges_won_total", COUNT},
	{"other requests", "pagein_questions_total", COUNT},
	{"  fetched", "pagein_question_bytes_total", BYTES},
	{"connections opened", "pagein_connections_opened_total", COUNT},
	{"  open", "pagein_connections", GAUGE_COUNT},
	{"ranges on their way", "pagein_transfers", GAUGE_COUNT},
	{"memory for blocks", "pagein_cached_bytes", GAUGE_BYTES},
	{"open files", "pagein_open_files", GAUGE_COUNT},
	{"maps", "pagein_maps", GAUGE_COUNT},
	{"  resident", "pagein_resident_bytes", GAUGE_BYTES},
};

static void put_plain(struct lines *lines, const struct view *view)
{
	put_line(lines, "%-22s %16s %16s", "", "total", view->before ? "a second" : "");
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		const struct sample *sample = samples_find(view->now, plain[i].name, NULL);
		bool is_bytes = plain[i].kind == BYTES || plain[i].kind == GAUGE_BYTES;
		bool has_rate = view->before && plain[i].kind <= BYTES;
		double rate = has_rate ? rate_of(view, plain[i].name, NULL) : 0;
		char total_word[WORD_MAX], rate_word[WORD_MAX];

		if (!sample)
			continue;
		put_line(lines, "%-22s %16s %16s", plain[i].words,
			is_bytes ? bytes_word(sample->number, total_word)
				 : count_word(sample->number, total_word),
			!has_rate  ? ""
			: is_bytes ? bytes_word(rate, rate_word)
				   : count_word(rate, rate_word));
	}
}

/* ---- what follows from them --------------------------------------------------------------- */

static double both(const struct samples *samples, const char *of_mounts, const char *of_processes)
{
	return samples_number(samples, of_mounts, NULL) +
	       samples_number(samples, of_processes, NULL);
}

/* Of what was used: what was fetched for it, and how much of it took no request. */
static void put_ratios(struct lines *lines, const struct samples *now)
{
	double used = both(now, "pagein_read_bytes_total", "pagein_filled_bytes_total");
	double fetched = both(now, "pagein_fetched_bytes_total", "pagein_question_bytes_total");
	double uses = both(now, "pagein_reads_total", "pagein_faults_total");
	double hits = both(now, "pagein_read_hits_total", "pagein_fault_hits_total");

	if (uses > 0)
		put_line(lines, "%-22s %15.1f%%", "hit ratio", 100 * hits / uses);
	if (used > 0)
		put_line(lines, "%-22s %15.2fx", "amplification", fetched / used);
}

static double cost_of(const struct view *view, double requests, double bytes)
{
	return (requests / 1e3 * (double)view->price_request +
		       bytes / 1e9 * (double)view->price_gb) /
	       1e6;
}

static void put_cost(struct lines *lines, const struct view *view)
{
	double total, rate = 0;

	if (view->price_request == 0 && view->price_gb == 0)
		return;
	total = cost_of(view, both(view->now, "pagein_requests_total", "pagein_questions_total"),
		both(view->now, "pagein_fetched_bytes_total", "pagein_question_bytes_total"));
	if (view->before)
		rate = cost_of(view,
			rate_of(view, "pagein_requests_total", NULL) +
				rate_of(view, "pagein_questions_total", NULL),
			rate_of(view, "pagein_fetched_bytes_total", NULL) +
				rate_of(view, "pagein_question_bytes_total", NULL));
	if (view->before)
		put_line(lines, "%-22s %16.6f %14.6f/h", "price", total, rate * 3600);
	else
		put_line(lines, "%-22s %16.6f", "price", total);
}

static void put_stages(struct lines *lines, const struct view *view)
{
	static const struct {
		const char *words, *family, *count;
	} stages[] = {
		{"wait", "pagein_wait_seconds", "pagein_wait_seconds_count"},
		{"queue", "pagein_queue_seconds", "pagein_queue_seconds_count"},
		{"first byte", "pagein_first_byte_seconds", "pagein_first_byte_seconds_count"},
		{"body", "pagein_body_seconds", "pagein_body_seconds_count"},
	};

	put_line(lines, "%s", "");
	put_line(lines, "%-22s %16s %16s %16s", "", "times", "p50 up to", "p99 up to");
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
		double p50 = view_quantile(view->now, view->before, stages[i].family, 0.5);
		double p99 = view_quantile(view->now, view->before, stages[i].family, 0.99);
		char count_to[WORD_MAX], p50_to[WORD_MAX], p99_to[WORD_MAX];

		put_line(lines, "%-22s %16s %16s %16s", stages[i].words,
			count_word(samples_number(view->now, stages[i].count, NULL), count_to),
			time_word(p50, p50_to), time_word(p99, p99_to));
	}
}

/* ---- objects and threads ------------------------------------------------------------------ */

/* The samples of the first family say which there are, and in which order. */
static void put_objects(struct lines *lines, const struct view *view)
{
	const struct samples *now = view->now;
	bool first = true;

	for (size_t i = 0; i < now->count; i++) {
		const struct sample *sample = &now->list[i];
		double used, fetched;
		char words[4][WORD_MAX];

		if (strcmp(sample->name, "pagein_object_uses_total") != 0 || !sample->value)
			continue;
		if (first) {
			put_line(lines, "%s", "");
			put_line(lines, "%10s %9s %9s %9s %7s %8s %6s  %s", "uses", "used",
				view->before ? "a second" : "", "fetched", "ampl.", "requests",
				"failed", "object");
		}
		first = false;
		used = samples_number(now, "pagein_object_used_bytes_total", sample->value);
		fetched = samples_number(now, "pagein_object_fetched_bytes_total", sample->value);
		snprintf(words[3], WORD_MAX, used > 0 ? "%.2fx" : "-",
			fetched / (used > 0 ? used : 1));
		put_line(lines, "%10.0f %9s %9s %9s %7s %8.0f %6.0f  %s", sample->number,
			bytes_word(used, words[0]),
			view->before ? bytes_word(rate_of(view, "pagein_object_used_bytes_total",
							  sample->value),
					       words[1])
				     : "",
			bytes_word(fetched, words[2]), words[3],
			samples_number(now, "pagein_object_requests_total", sample->value),
			samples_number(now, "pagein_object_failures_total", sample->value),
			sample->value);
	}
}

static void put_threads(struct lines *lines, const struct view *view)
{
	bool first = true;

	for (size_t i = 0; i < view->now->count; i++) {
		const struct sample *sample = &view->now->list[i];
		double stalled;
		char words[WORD_MAX];

		if (strcmp(sample->name, "pagein_thread_faults_total") != 0 || !sample->value)
			continue;
		if (first) {
			put_line(lines, "%s", "");
			put_line(lines, "%10s %10s %12s", "thread", "faults", "stalled");
		}
		first = false;
		stalled = samples_number(
			view->now, "pagein_thread_stalled_seconds_total", sample->value);
		put_line(lines, "%10s %10.0f %12s", sample->value, sample->number,
			time_word(stalled, words));
	}
}

void view_print(const struct view *view, FILE *to)
{
	struct lines lines = {to, view->width, view->height, view->height > 0};

	put_plain(&lines, view);
	put_ratios(&lines, view->now);
	put_cost(&lines, view);
	put_stages(&lines, view);
	put_objects(&lines, view);
	put_threads(&lines, view);
}
