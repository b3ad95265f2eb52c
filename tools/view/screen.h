/*
 * screen.h - the terminal: rows of cells, lines of words, keys. The only place that draws.
 *
 * One thread, which is the main one. The last two lines are the bar and the status line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cells.h"

#define ROWS_MAX 1024

enum screen_event {
	SCREEN_CHANGED = -1,   /* changed_fd has been written to; it is drained */
	SCREEN_RESIZED = -2,   /* columns and rows are others now */
	SCREEN_INTERRUPT = -3, /* Ctrl-C */
	SCREEN_GONE = -4,      /* a signal that ends us, or no terminal any more */
};

/* NULL, or why this terminal can't be used: neither it nor anything else has been touched. */
const char *screen_refusal(void);

/*
 * Takes the terminal, which is restored by screen_end(), by exit(3), and when a signal kills us.
 * Signals that concern it are blocked from then on, in threads that are made later, too.
 */
int screen_begin(void);
/* Gives it back; a signal that has ended us is raised again. NULL terminal is fine. */
void screen_end(void);

unsigned screen_columns(void);
unsigned screen_rows(void); /* without the last two */
bool screen_is_utf8(void);

/* A key as getch(3) has it, or enum screen_event. Waits. */
int screen_wait(int changed_fd);

/* A row's cells; bytes [mark, mark + mark_length) of the object are marked. */
void screen_row(unsigned y, const struct row *row, uint64_t mark, uint64_t mark_length);
/* A line of words, whoever has written them; marked: reversed. */
void screen_words(unsigned y, const char *words, bool is_marked);
void screen_clear_from(unsigned y);
/* The line before the last: enum pagein_state of each cell; here: the cell of what is shown. */
void screen_bar(const unsigned char *cells, unsigned count, unsigned here);
/* The last line; a prompt has the cursor behind it. */
void screen_status(const char *words, bool is_prompt);
void screen_show(void);
/* Everything is drawn anew. */
void screen_redraw(void);
