/*
 * glance.c - prints an object that fits on one screen, as its pager would show it. Main thread.
 *
 * What can't fit is not fetched: a row takes a byte at least, and shows a few for each column. What
 * can't be had is the pager's to show.
 */
#include "glance.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cells.h"
#include "cleanup.h"
#include "hex.h"
#include "opening.h"
#include "pagein.h"
#include "pager.h"
#include "sight.h"

#define BYTES_OF_COLUMN 4 /* UTF-8's longest; what combines with others is an exception */

struct glance {
	struct text_style style;
	struct hex_style hex;
	bool is_hex;
	const uint8_t *from; /* the map */
	struct sight sight;
	struct row row;
};

static int sight_fill(void *argument)
{
	struct glance *glance = argument;

	memcpy(glance->sight.bytes, glance->from, glance->sight.length);
	return 0;
}

/* Fills glance->row; returns where the next one begins. */
static uint64_t row_next(struct glance *glance, uint64_t at)
{
	struct sight *sight = &glance->sight;
	uint64_t end = sight->size;

	if (glance->is_hex) {
		hex_row(&glance->hex, sight_at(sight, at), (size_t)(end - at), at, NULL,
			&glance->row);
		return end - at < glance->hex.bytes ? end : at + glance->hex.bytes;
	}
	(void)line_end(sight, at, &end);
	return at +
	       text_row(&glance->style, sight_at(sight, at), (size_t)(end - at), at, &glance->row);
}

static bool glance_fits(struct glance *glance, unsigned rows)
{
	unsigned count = 0;

	for (uint64_t at = 0; at < glance->sight.size && count <= rows; count++)
		at = row_next(glance, at);
	return count <= rows;
}

static void glance_rows(struct glance *glance)
{
	for (uint64_t at = 0; at < glance->sight.size;) {
		at = row_next(glance, at);
		for (size_t i = 0; i < glance->row.count; i++)
			printf("%ls", glance->row.cells[i].text);
		putchar('\n');
	}
}

bool glance_print(const struct opened *opened, const struct pager_look *look)
{
	cleanup_free struct glance *glance = calloc(1, sizeof *glance);
	size_t size = pagein_length(opened->map);
	struct winsize window = {0};
	unsigned columns, rows;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
	columns = window.ws_col < COLUMNS_MAX ? window.ws_col : COLUMNS_MAX;
	rows = window.ws_row;
	if (!glance || rows < 2 || columns == 0 || size > sizeof glance->sight.bytes ||
		size > (size_t)rows * columns * BYTES_OF_COLUMN)
		return false;
	glance->style = (struct text_style){.columns = columns,
		.is_folded = !look->is_cut,
		.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
	glance->is_hex = look->is_hex;
	glance->hex = hex_style(columns, size);
	glance->from = pagein_address(opened->map);
	glance->sight.size = glance->sight.length = size;
	memset(glance->sight.states, PAGE_READY, sizeof glance->sight.states);
	if (size > 0 && (pagein_populate(opened->map, 0, 0, -1) < 0 ||
				pagein_guard(sight_fill, glance) < 0))
		return false;
	if (!glance_fits(glance, rows - 1))
		return false;
	glance_rows(glance);
	return true;
}
