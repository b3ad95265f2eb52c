/*
 * cells.h - bytes of an object as what a terminal may be shown: cells, and rows of them. Pure; any
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

#define COLUMNS_MAX 1024 /* of a terminal; what is right of them stays empty */
#define CELL_TEXT_MAX 5  /* a character and what combines with it: CCHARW_MAX of ncurses */
#define GLYPH_TEXT_MAX 12

/* How bytes become text. */
struct text_style {
	unsigned columns; /* of a row */
	unsigned left;    /* columns that are cut off; 0 if folded */
	bool is_folded;   /* a long line goes on in the next row; else it is cut */
	bool is_utf8;     /* else each byte from 0x80 on is shown as <XX> */
};

enum cell_kind {
	CELL_PLAIN,
	CELL_ESCAPE, /* a part of ^[, <9b>, <U+202E> and the like */
	CELL_FRAME,  /* of the row, not of the object: offsets, reasons */
	CELL_BAD,    /* in place of a byte that is not to be had */
};

struct cell {
	uint64_t at; /* the byte in the object that it shows; not of a CELL_FRAME */
	enum cell_kind kind;
	unsigned columns; /* 1 or 2 */
	wchar_t text[CELL_TEXT_MAX + 1];
};

/* One row of the screen. */
struct row {
	size_t count;
	unsigned columns; /* of all cells */
	struct cell cells[COLUMNS_MAX];
};

/* What one character, or one byte that is none, looks like. */
struct glyph {
	unsigned bytes;   /* that it takes: 1 to 4 */
	unsigned columns; /* 0: combines with what is before it */
	bool is_escape;
	wchar_t text[GLYPH_TEXT_MAX];
};

/* Of bytes[0 .. length), length > 0; neither newlines nor tabs have a meaning here. */
void glyph_read(const uint8_t *bytes, size_t length, bool is_utf8, struct glyph *ret);

/*
 * Fills row with the first row of a line: bytes[0 .. length), of which the first is the object's
 * byte `at`, and which has a newline at its very end or nowhere. Returns how many bytes it has
 * taken: length in the line's last row, and of a cut line; never 0 unless length is.
 */
size_t text_row(const struct text_style *style, const uint8_t *bytes, size_t length, uint64_t at,
	struct row *row);

/* Adds words of the pager's own. */
void row_words(struct row *row, unsigned columns, enum cell_kind kind, const char *words);
/* Adds a cell if there is room; columns are the row's limit. */
bool row_cell(struct row *row, unsigned columns, uint64_t at, enum cell_kind kind, wchar_t text);
