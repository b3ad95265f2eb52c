/*
 * position.c - moves over rows, and knows what bytes that takes.
 *
 * A jump asks for the screen from the place on and for BACK_MIN before it, where most lines begin,
 * in one request. If none begins there, a second one reaches to where one must (sight.h): a jump
 * takes two first bytes at the most. Half as many bytes as the screen has cells are asked for at
 * first; few texts need more, binaries in text mode less. Nothing is fetched ahead.
 *
 * Invariant: top is the beginning of a row, or will be (snaps). Cost: each step lays out the line
 * that it goes over, 32 KiB at the most.
 */
#include "position.h"

#include <errno.h>
#include <stdio.h>

#define BACK_MIN PAGE_BYTES
#define PENDING_MAX 100000

void position_init(struct position *position, struct pages *pages, uint64_t size)
{
	position->pages = pages;
	position->size = size;
	position->top = position->bottom = 0;
	position->seeks_line = position->snaps = false;
	position->pending = 0;
	lines_init(&position->lines);
}

void position_shape(struct position *position, unsigned columns, unsigned rows)
{
	position->style.columns = columns;
	position->hex = hex_style(columns, position->size);
	position->rows = rows;
	position_go(position, position->top);
}

void position_go(struct position *position, uint64_t at)
{
	position->top = at < position->size ? at : position->size;
	position->seeks_line = false;
	position->pending = 0;
	position->tries = 0;
	position->snaps = true;
	/* The end is a place, but there is no byte to snap to. */
	if (position->top == position->size && position->size > 0)
		position_go_end(position);
}

void position_go_end(struct position *position)
{
	position->top = position->size;
	position->seeks_line = position->snaps = false;
	position->tries = 0;
	position->pending = -(int64_t)position->rows;
}

void position_go_line(struct position *position, uint64_t from, uint64_t skip)
{
	position_go(position, from);
	position->seeks_line = true;
	position->line_from = from;
	position->line_skip = skip;
}

void position_move(struct position *position, int64_t rows)
{
	position->pending += rows;
	if (position->pending > PENDING_MAX)
		position->pending = PENDING_MAX;
	if (position->pending < -PENDING_MAX)
		position->pending = -PENDING_MAX;
	position->tries = 0;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* So that the line at this byte, and the one before it, are in sight. */
static void sight_cover(struct position *position, uint64_t at)
{
	const struct sight *sight = &position->sight;
	uint64_t end = sight->start + sight->length, margin = UINT64_C(3) * LINE_CUT_BYTES;
	bool begins = sight->start == 0 || (at >= sight->start && at - sight->start >= margin);

	if (!begins || (end != sight->size && (end < at || end - at < margin)))
		pages_look(position->pages, at, &position->sight);
}

static void miss_before(struct position *position)
{
	position->misses_before = true;
	position->before = position->sight.missing;
}

static void miss_behind(struct position *position, uint64_t at)
{
	position->misses_behind = true;
	position->behind = at;
}

static uint64_t hex_begin(const struct position *position, uint64_t at)
{
	return at - at % position->hex.bytes;
}

/* Why a page is not shown, for its first row. */
static void failed_row(struct position *position, uint64_t at, struct row *row)
{
	char reason[PAGES_REASON_MAX], words[PAGES_REASON_MAX + 64];

	pages_reason(position->pages, at, reason);
	snprintf(words, sizeof words, "[unreadable at 0x%llx: %s; r retries]",
		(unsigned long long)at, reason);
	row_words(row, position->style.columns, CELL_BAD, words);
}

static void waiting_row(const struct position *position, uint64_t at, struct row *row)
{
	char words[64];

	snprintf(words, sizeof words, "[waiting for 0x%llx]", (unsigned long long)at);
	row_words(row, position->style.columns, CELL_FRAME, words);
}

/* Rows are aligned, pages too: a row is of one page. */
static bool hex_row_at(struct position *position, uint64_t *at, struct row *row)
{
	uint64_t left = position->size - *at;
	size_t length = left < position->hex.bytes ? (size_t)left : position->hex.bytes;
	enum page_state state = sight_state(&position->sight, *at);
	char reason[PAGES_REASON_MAX] = "";

	if (state == PAGE_ABSENT) {
		miss_behind(position, *at);
		waiting_row(position, *at, row);
		return false;
	}
	if (state == PAGE_FAILED && (*at % PAGE_BYTES == 0 || *at == position->top))
		pages_reason(position->pages, *at, reason);
	hex_row(&position->hex,
		state == PAGE_READY ? sight_at(&position->sight, *at) : (const uint8_t *)"", length,
		*at, state == PAGE_READY ? NULL : reason, row);
	*at += length;
	return true;
}

/* line_end: of what is known of the line. Returns where the next row begins. */
static uint64_t text_row_at(
	const struct position *position, uint64_t at, uint64_t line_end, struct row *row)
{
	size_t length = (size_t)(line_end - at);
	size_t used = text_row(&position->style, sight_at(&position->sight, at), length, at, row);

	return at + used;
}

bool position_row(struct position *position, uint64_t *at, struct row *row)
{
	struct sight *sight = &position->sight;
	uint64_t start = *at, end;
	int err;

	row->count = row->columns = 0;
	if (start >= position->size)
		return false;
	sight_cover(position, start);
	if (position->is_hex)
		return hex_row_at(position, at, row);
	err = line_end(sight, start, &end);
	if (err < 0 && end == start) {
		miss_behind(position, start);
		waiting_row(position, start, row);
		return false;
	}
	*at = end;
	if (sight_state(sight, start) == PAGE_FAILED) {
		failed_row(position, start, row);
		return true;
	}
	*at = text_row_at(position, start, end, row);
	/* The row may go on where the known part of its line ends. */
	if (err < 0 && *at == end) {
		miss_behind(position, end);
		return false;
	}
	return true;
}

/* The row of the line from start on in which the byte at is. */
static uint64_t row_of(struct position *position, uint64_t start, uint64_t at)
{
	static struct row row;
	uint64_t next = start, end;

	if (!position->style.is_folded || sight_state(&position->sight, start) != PAGE_READY)
		return start;
	(void)line_end(&position->sight, start, &end);
	while (next <= at && next < end) {
		start = next;
		next = text_row_at(position, start, end, &row);
	}
	return start;
}

/* The beginning of the row in which the byte is. -EAGAIN */
static int row_begin(struct position *position, uint64_t at, uint64_t *ret)
{
	uint64_t start;
	int err;

	if (position->is_hex) {
		*ret = hex_begin(position, at);
		return 0;
	}
	sight_cover(position, at);
	/* To know the row takes the byte itself, too. */
	position->sight.missing = at;
	err = sight_state(&position->sight, at) == PAGE_ABSENT
		      ? -EAGAIN
		      : line_start(&position->sight, at, &start);
	if (err < 0) {
		miss_before(position);
		return err;
	}
	*ret = row_of(position, start, at);
	return 0;
}

/* ---- moves ---------------------------------------------------------------------------------- */

static int line_seek(struct position *position)
{
	while (position->line_skip > 0 && position->line_from < position->size) {
		uint64_t page_end = (position->line_from | (PAGE_BYTES - 1)) + 1;

		sight_cover(position, position->line_from);
		if (sight_state(&position->sight, position->line_from) == PAGE_ABSENT) {
			miss_behind(position, position->line_from);
			return -EAGAIN;
		}
		page_end = page_end < position->size ? page_end : position->size;
		if (sight_state(&position->sight, position->line_from) == PAGE_FAILED) {
			position->line_from = page_end;
			continue;
		}
		for (; position->line_from < page_end && position->line_skip > 0;
			position->line_from++)
			position->line_skip -= *sight_at(&position->sight, position->line_from) ==
					       '\n';
	}
	position_go(position, position->line_from);
	return 0;
}

/* Down, unless the end is on the screen. */
static int row_down(struct position *position)
{
	static struct row row;
	uint64_t bottom = position->bottom, top = position->top;

	if (bottom >= position->size) {
		position->pending = 0;
		return 0;
	}
	if (!position_row(position, &bottom, &row) || !position_row(position, &top, &row))
		return -EAGAIN;
	position->bottom = bottom;
	position->top = top;
	position->pending--;
	return 0;
}

static int row_up(struct position *position)
{
	int err;

	if (position->top == 0) {
		position->pending = 0;
		return 0;
	}
	err = row_begin(position, position->top - 1, &position->top);
	if (err == 0)
		position->pending++;
	return err;
}

/* Where the screen ends, for row_down(). -EAGAIN: that can't be told yet */
static int bottom_find(struct position *position)
{
	static struct row row;

	position->bottom = position->top;
	for (unsigned y = 0; y < position->rows && position->bottom < position->size; y++)
		if (!position_row(position, &position->bottom, &row))
			return -EAGAIN;
	return 0;
}

void position_settle(struct position *position)
{
	int err = 0;

	position->misses_before = position->misses_behind = false;
	if (position->size == 0)
		return;
	pages_look(position->pages, position->top, &position->sight);
	if (position->seeks_line)
		err = line_seek(position);
	if (err == 0 && position->snaps) {
		err = row_begin(position, position->top, &position->top);
		position->snaps = err < 0;
	}
	while (err == 0 && position->pending < 0)
		err = row_up(position);
	if (err == 0 && position->pending > 0)
		err = bottom_find(position);
	while (err == 0 && position->pending > 0)
		err = row_down(position);
	sight_cover(position, position->top);
	lines_feed(&position->lines, &position->sight);
}

/* ---- what is fetched ------------------------------------------------------------------------ */

static uint64_t screen_bytes(const struct position *position)
{
	uint64_t cells = (uint64_t)position->rows * position->style.columns;

	if (position->is_hex)
		return (uint64_t)position->rows * position->hex.bytes;
	return cells / 2 > PAGE_BYTES ? cells / 2 : PAGE_BYTES;
}

/* From where on, for something before the top; the same as long as that is on its way. */
static uint64_t before_start(struct position *position)
{
	uint64_t at = position->before, cut = at & ~(uint64_t)(LINE_CUT_BYTES - 1);
	uint64_t most = (uint64_t)position->tries * LINE_CUT_BYTES;

	if (position->tries > 0 && at >= position->asked)
		return position->asked;
	if (position->tries++ == 0)
		position->asked = at > BACK_MIN ? at - BACK_MIN : 0;
	else
		position->asked = cut > most ? cut - most : 0;
	position->asked -= position->asked % PAGE_BYTES;
	return position->asked;
}

void position_want(struct position *position)
{
	uint64_t start = position->top, end = position->top + screen_bytes(position);

	if (position->seeks_line && position->misses_behind) {
		start = position->line_from;
		end = start + position->lines.spacing;
	} else if (position->misses_behind && position->behind >= end) {
		end = position->behind + PAGE_BYTES;
	} else if (!position->misses_behind) {
		end = start;
	}
	if (position->misses_before) {
		uint64_t before = before_start(position);

		start = before < start ? before : start;
		end = position->before >= end ? position->before + 1 : end;
	}
	/* What is there is not fetched again; with nothing missing nothing is wanted. */
	pages_want(position->pages, start, end);
}

uint64_t position_line(const struct position *position)
{
	uint64_t line;

	return lines_number(&position->lines, &position->sight, position->top, &line) == 0 ? line
											   : 0;
}
