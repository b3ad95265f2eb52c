/*
 * figures_text.c - figures as OpenMetrics 1.0 text, which the older format's readers (Prometheus's
 * textfile collector) understand as well: types other than counter, gauge and histogram they do
 * not.
 *
 * Pure, on whatever thread has the struct; some 20 KiB through a stream in memory, so this is for
 * those who ask. Numbers are written with a '.', whatever the application's locale says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures_private.h"

#define NS_DIGITS 9

/* "1.5", "0.00002", "12": exactly, and no locale has a part in it. */
static void put_seconds(FILE *to, uint64_t ns)
{
	uint64_t rest = ns % 1000000000;
	int digits = NS_DIGITS;

	fprintf(to, "%" PRIu64 ".", ns / 1000000000);
	while (digits > 1 && rest % 10 == 0) {
		rest /= 10;
		digits--;
	}
	fprintf(to, "%0*" PRIu64, digits, rest);
}

/* A label's value, with the escapes that the format has; it has no line feed (name_clean()). */
static void put_label(FILE *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', to);
		putc(*value, to);
	}
}

static void put_head(
	FILE *to, const char *name, const char *type, const char *unit, const char *help)
{
	fprintf(to, "# TYPE %s %s\n", name, type);
	if (*unit)
		fprintf(to, "# UNIT %s %s\n", name, unit);
	fprintf(to, "# HELP %s %s\n", name, help);
}

static void put_plain(FILE *to, const struct figures *figures)
{
	for (unsigned i = 0; i < FIGURE_COUNT; i++) {
		const struct figure_row *row = &figure_rows[i];

		if (!(row->doors & 1u << figures->door))
			continue;
		put_head(to, row->name, row->type == COUNTER ? "counter" : "gauge", row->unit,
			row->help);
		fprintf(to, "%s%s %" PRIu64 "\n", row->name, row->type == COUNTER ? "_total" : "",
			figures->values[i]);
	}
}

static void put_spread(FILE *to, const struct spread_row *row, const struct spread *spread)
{
	uint64_t below = 0;

	put_head(to, row->name, "histogram", "seconds", row->help);
	for (unsigned i = 0; i < SPREAD_BOUNDS; i++) {
		below += spread->counts[i];
		fprintf(to, "%s_bucket{le=\"", row->name);
		put_seconds(to, spread_bound_ns(i));
		fprintf(to, "\"} %" PRIu64 "\n", below);
	}
	below += spread->counts[SPREAD_BOUNDS];
	fprintf(to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", row->name, below, row->name);
	put_seconds(to, spread->sum_ns);
	fprintf(to, "\n%s_count %" PRIu64 "\n", row->name, below);
}

static uint64_t number_at(const void *counts, size_t offset)
{
	return *(const uint64_t *)((const char *)counts + offset);
}

static void put_objects(FILE *to, const struct figures *figures)
{
	for (unsigned i = 0; i < OBJECT_ROWS; i++) {
		const struct object_row *row = &figures_object_rows[i];

		put_head(to, row->name, "counter", row->unit, row->help);
		for (unsigned k = 0; k < figures->object_count && k < FIGURES_OBJECTS; k++) {
			const struct named_figures *object = &figures->objects[k];

			fprintf(to, "%s_total{object=\"", row->name);
			put_label(to, object->name);
			fprintf(to, "\"} %" PRIu64 "\n", number_at(&object->counts, row->offset));
		}
	}
}

static void put_threads(FILE *to, const struct figures *figures)
{
	for (unsigned i = 0; i < THREAD_ROWS; i++) {
		const struct thread_row *row = &figures_thread_rows[i];

		put_head(to, row->name, "counter", row->unit, row->help);
		for (unsigned k = 0; k < figures->thread_count && k < FIGURES_THREADS; k++) {
			const struct thread_figures *thread = &figures->threads[k];
			uint64_t number = number_at(thread, row->offset);

			fprintf(to, "%s_total{tid=\"%" PRId32 "\"} ", row->name, thread->tid);
			if (row->is_ns)
				put_seconds(to, number);
			else
				fprintf(to, "%" PRIu64, number);
			putc('\n', to);
		}
	}
}

static int by_use(const void *left, const void *right)
{
	const struct named_figures *a = left, *b = right;

	if (a->counts.used_bytes != b->counts.used_bytes)
		return a->counts.used_bytes < b->counts.used_bytes ? 1 : -1;
	return strcmp(a->name, b->name);
}

static int by_stall(const void *left, const void *right)
{
	const struct thread_figures *a = left, *b = right;

	if (a->stalled_ns != b->stalled_ns)
		return a->stalled_ns < b->stalled_ns ? 1 : -1;
	return (a->tid > b->tid) - (a->tid < b->tid);
}

int figures_print(struct figures *figures, char **ret, size_t *ret_length)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, ret_length);
	bool failed;

	if (!to)
		return -ENOMEM;
	qsort(figures->objects, figures->object_count, sizeof *figures->objects, by_use);
	qsort(figures->threads, figures->thread_count, sizeof *figures->threads, by_stall);
	put_plain(to, figures);
	for (unsigned i = 0; i < SPREAD_COUNT; i++)
		put_spread(to, &figures_spread_rows[i], &figures->spreads[i]);
	put_objects(to, figures);
	if (figures->door == FIGURES_PROCESS)
		put_threads(to, figures);
	fputs("# EOF\n", to);
	failed = ferror(to);
	if (fclose(to) != 0 || failed) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}
