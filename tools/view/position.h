/*
 * position.h - which part of an object is on the screen, and how it moves. Knows no terminal.
 *
 * A position is the offset of the top row's first byte, and what is still to be done to it: a place
 * to snap to the row of, rows to go up or down. What can't be done yet, for want of bytes, is done
 * when they are there; so keys are never lost, and none waits.
 *
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cells.h"
#include "hex.h"
#include "lines.h"
#include "pages.h"
#include "sight.h"

struct position {
	struct pages *pages;
	uint64_t size;
	bool is_hex;
	struct text_style style;
	struct hex_style hex;
	unsigned rows;

	uint64_t top;
	uint64_t bottom; /* behind the last row, as it was laid out last */
	/* still to be done, in this order: */
	bool seeks_line;               /* the top is the line that begins... */
	uint64_t line_from, line_skip; /* ... so many newlines behind this */
	bool snaps;                    /* the top is the row in which it is now */
	int64_t pending;               /* rows down */
	/* what has to be fetched for that, and to fill the screen */
	bool misses_before, misses_behind;
	uint64_t before, behind;
	unsigned tries; /* how often more before it was needed */
	uint64_t asked; /* from where on, the last time */

	struct sight sight;
	struct lines lines;
};

void position_init(struct position *position, struct pages *pages, uint64_t size);
/* Another size of the screen, or another look. The top stays where it is. */
void position_shape(struct position *position, unsigned columns, unsigned rows);

void position_go(struct position *position, uint64_t at);
void position_go_end(struct position *position);
void position_go_line(struct position *position, uint64_t from, uint64_t skip);
void position_move(struct position *position, int64_t rows);

/* Begins anew with what the pages have; does what can be done of what is pending. */
void position_settle(struct position *position);
/*
 * Lays out the row that begins at *at, which becomes the next one's beginning. False: there is none
 * (the end), or it is not there yet; then row says so, or has the beginning of it.
 */
bool position_row(struct position *position, uint64_t *at, struct row *row);
/* Asks the pages for what is missing: after all rows were laid out. */
void position_want(struct position *position);
/* Of the top; 0: not known. */
uint64_t position_line(const struct position *position);
