/*
 * cells.c - what of an object's bytes a terminal is shown, and how they fill rows.
 *
 * Pure. Nothing that a terminal could obey gets through: control characters, of C0 as ^X, of C1
 * and bytes that are no UTF-8 as <XX>, and as <U+XXXX> all that is invisible or would change the
 * look of other characters: formats, bidi controls, fillers, tags, variation selectors, line
 * separators, and what libc knows no width of. Combining characters share the cell of what is
 * before them, as many as ncurses takes; others, and those at the beginning of a row, are shown as
 * <U+XXXX>, too.
 *
 * UTF-8 is read by utf8_read() and not by mbrtowc(3): strict, without state, and the same in every
 * locale. Invariant: a row takes at least one byte, so that walking over rows always ends; one that
 * is too narrow for an escape shows the beginning of it. Cost: a row is laid out in one pass over
 * its bytes; of a cut line all bytes are walked over.
 */
#include "cells.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "utf8.h"

#define TAB_COLUMNS 8

/* Characters with a width that nobody sees, or that act on others. Ascending. */
static const struct {
	uint32_t first, last;
} invisible[] = {
	{0x00ad, 0x00ad},   /* soft hyphen */
	{0x034f, 0x034f},   /* grapheme joiner */
	{0x061c, 0x061c},   /* Arabic letter mark */
	{0x115f, 0x1160},   /* Hangul fillers */
	{0x17b4, 0x17b5},   /* Khmer inherent vowels */
	{0x180b, 0x180f},   /* Mongolian selectors and vowel separator */
	{0x200b, 0x200f},   /* zero width space, joiners, direction marks */
	{0x2028, 0x202e},   /* separators, bidi embeddings and overrides */
	{0x2060, 0x206f},   /* word joiner, bidi isolates, deprecated formats */
	{0x3164, 0x3164},   /* Hangul filler */
	{0xfe00, 0xfe0f},   /* variation selectors */
	{0xfeff, 0xfeff},   /* byte order mark */
	{0xffa0, 0xffa0},   /* halfwidth Hangul filler */
	{0xfff0, 0xfffb},   /* unassigned formats, annotations */
	{0x1bca0, 0x1bca3}, /* shorthand formats */
	{0x1d173, 0x1d17a}, /* musical formats */
	{0xe0000, 0xe0fff}, /* tags, variation selectors */
};

static bool is_invisible(uint32_t code)
{
	for (size_t i = 0; i < sizeof(invisible) / sizeof(*invisible); i++)
		if (code <= invisible[i].last)
			return code >= invisible[i].first;
	return false;
}

/* A control character as ^X, a byte as <XX>, another character as <U+XXXX>. */
static void glyph_escape(struct glyph *glyph, uint32_t code, bool is_byte)
{
	char text[GLYPH_TEXT_MAX];
	int length;

	if (is_byte && code < 0x80)
		length = snprintf(text, sizeof text, "^%c", (int)(code ^ 0x40));
	else
		length = snprintf(text, sizeof text, is_byte ? "<%02x>" : "<U+%04X>", code);
	for (int i = 0; i <= length; i++)
		glyph->text[i] = (unsigned char)text[i];
	glyph->columns = (unsigned)length;
	glyph->is_escape = true;
}

void glyph_read(const uint8_t *bytes, size_t length, bool is_utf8, struct glyph *ret)
{
	uint32_t code = *bytes;
	unsigned count = is_utf8 && code >= 0x80 ? (unsigned)utf8_read(bytes, length, &code) : 0;
	int width;

	*ret = (struct glyph){.bytes = count ? count : 1, .columns = 1, .text = {(wchar_t)code}};
	if (count == 0) {
		if (code >= 0x80 || code < 0x20 || code == 0x7f)
			glyph_escape(ret, code, true);
		return;
	}
	width = code < 0xa0 || is_invisible(code) ? -1 : wcwidth((wchar_t)code);
	if (width < 0)
		glyph_escape(ret, code, false);
	else
		ret->columns = (unsigned)width;
}

/* ---- rows --------------------------------------------------------------------------------- */

bool row_cell(struct row *row, unsigned columns, uint64_t at, enum cell_kind kind, wchar_t text)
{
	if (row->columns >= columns || row->count >= COLUMNS_MAX)
		return false;
	row->cells[row->count++] = (struct cell){
		.at = at, .kind = kind, .columns = 1, .text = {text}};
	row->columns++;
	return true;
}

void row_words(struct row *row, unsigned columns, enum cell_kind kind, const char *words)
{
	while (*words && row_cell(row, columns, 0, kind, (unsigned char)*words))
		words++;
}

/* Does the character go with the one before it? */
static bool row_combine(struct row *row, const struct glyph *glyph)
{
	struct cell *cell = row->count > 0 ? &row->cells[row->count - 1] : NULL;
	size_t length = cell ? wcslen(cell->text) : 0;

	if (!cell || cell->kind != CELL_PLAIN || cell->text[0] == L' ' || length >= CELL_TEXT_MAX)
		return false;
	cell->text[length] = glyph->text[0];
	return true;
}

/* Where a glyph goes: position is its column in the line, of which style->left are cut off. */
static void row_put(struct row *row, const struct text_style *style, const struct glyph *glyph,
	unsigned position, uint64_t at)
{
	enum cell_kind kind = glyph->is_escape ? CELL_ESCAPE : CELL_PLAIN;

	if (!glyph->is_escape && glyph->columns == 2 && glyph->text[0] != L' ') {
		/* Half of a wide character is a blank. */
		if (position < style->left || row->columns + 2 > style->columns) {
			if (position + 1 >= style->left)
				row_cell(row, style->columns, at, kind, L' ');
			return;
		}
		row_cell(row, style->columns, at, kind, glyph->text[0]);
		row->cells[row->count - 1].columns = 2;
		row->columns++;
		return;
	}
	for (unsigned i = 0; i < glyph->columns; i++)
		if (position + i >= style->left)
			row_cell(row, style->columns, at, kind,
				glyph->text[glyph->is_escape ? i : 0]);
}

static void glyph_next(const struct text_style *style, const uint8_t *bytes, size_t length,
	unsigned position, struct glyph *ret)
{
	if (*bytes == '\t') {
		*ret = (struct glyph){.bytes = 1, .text = L" "};
		ret->columns = TAB_COLUMNS - position % TAB_COLUMNS;
	} else {
		glyph_read(bytes, length, style->is_utf8, ret);
	}
}

size_t text_row(const struct text_style *style, const uint8_t *bytes, size_t length, uint64_t at,
	struct row *row)
{
	size_t used = 0;
	unsigned position = 0;

	row->count = row->columns = 0;
	while (used < length && bytes[used] != '\n') {
		bool is_tab = bytes[used] == '\t';
		struct glyph glyph;

		glyph_next(style, bytes + used, length - used, position, &glyph);
		if (glyph.columns == 0) {
			if (row_combine(row, &glyph) || position < style->left) {
				used += glyph.bytes;
				continue;
			}
			glyph_escape(&glyph, (uint32_t)glyph.text[0], false);
		}
		if (style->is_folded && position > 0 && position + glyph.columns > style->columns &&
			!(is_tab && position < style->columns))
			return used;
		row_put(row, style, &glyph, position, at + used);
		position += glyph.columns;
		used += glyph.bytes;
	}
	return used + (used < length);
}
