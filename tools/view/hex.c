/*
 * hex.c - 0001f40  48 65 6c 6c 6f 20 77 6f  72 6c 64 0a 1b 5b 31 6d  Hello world..[1m
 *
 * Pure. As many bytes a row as fit, a power of two, so that a row begins where one looks for it; a
 * gap behind each eighth. Of an object of less than 256 TiB 16 fit into 80 columns.
 */
#include "hex.h"

#include <stdio.h>

#define DIGITS_MIN 8
#define BYTES_MAX 32

static unsigned width_of(unsigned digits, unsigned bytes)
{
	return digits + 2 + 3 * bytes + (bytes - 1) / 8 + 1 + bytes;
}

struct hex_style hex_style(unsigned columns, uint64_t size)
{
	struct hex_style style = {columns, DIGITS_MIN, BYTES_MAX};

	while (style.digits < 16 && (size > 0 ? size - 1 : 0) >> 4 * style.digits)
		style.digits++;
	while (style.bytes > 1 && width_of(style.digits, style.bytes) > columns)
		style.bytes /= 2;
	return style;
}

static void cell_words(struct row *row, const struct hex_style *style, uint64_t at,
	enum cell_kind kind, const char *words)
{
	while (*words)
		row_cell(row, style->columns, at, kind, (unsigned char)*words++);
}

void hex_row(const struct hex_style *style, const uint8_t *bytes, size_t length, uint64_t at,
	const char *words, struct row *row)
{
	char text[24];

	row->count = row->columns = 0;
	snprintf(text, sizeof text, "%0*llx ", (int)style->digits, (unsigned long long)at);
	row_words(row, style->columns, CELL_FRAME, text);
	for (unsigned i = 0; i < style->bytes; i++) {
		row_words(row, style->columns, CELL_FRAME, i > 0 && i % 8 == 0 ? "  " : " ");
		if (i >= length) {
			row_words(row, style->columns, CELL_FRAME, "  ");
			continue;
		}
		snprintf(text, sizeof text, "%02x", words ? 0 : bytes[i]);
		cell_words(row, style, at + i, words ? CELL_BAD : CELL_PLAIN, words ? "??" : text);
	}
	row_words(row, style->columns, CELL_FRAME, "  ");
	if (words)
		row_words(row, style->columns, CELL_BAD, words);
	for (unsigned i = 0; !words && i < length && i < style->bytes; i++) {
		bool is_plain = bytes[i] >= 0x20 && bytes[i] < 0x7f;

		row_cell(row, style->columns, at + i, is_plain ? CELL_PLAIN : CELL_ESCAPE,
			is_plain ? bytes[i] : L'.');
	}
}
