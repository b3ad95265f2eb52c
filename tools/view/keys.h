/*
 * keys.h - which key does what: one table, for the pager and for its help. Pure.
 */
#pragma once

#include <stddef.h>

enum command {
	COMMAND_NONE,
	COMMAND_DOWN,
	COMMAND_UP,
	COMMAND_PAGE_DOWN,
	COMMAND_PAGE_UP,
	COMMAND_HALF_DOWN,
	COMMAND_HALF_UP,
	COMMAND_HOME,
	COMMAND_END,
	COMMAND_PERCENT,
	COMMAND_OFFSET,
	COMMAND_GOTO,
	COMMAND_SEARCH,
	COMMAND_SEARCH_BACK,
	COMMAND_AGAIN,
	COMMAND_AGAIN_BACK,
	COMMAND_MARK,
	COMMAND_MARK_GO,
	COMMAND_HEX,
	COMMAND_FOLD,
	COMMAND_LEFT,
	COMMAND_RIGHT,
	COMMAND_RETRY,
	COMMAND_REDRAW,
	COMMAND_INFO,
	COMMAND_HELP,
	COMMAND_QUIT,
	COMMAND_QUIT_ALL,
};

#define KEYS_OF_ROW 5

struct key_row {
	int keys[KEYS_OF_ROW]; /* as getch(3) gives them, up to a 0 */
	enum command command;  /* COMMAND_NONE: a line of the help only */
	const char *names;
	const char *help;
};

extern const struct key_row key_rows[];
extern const size_t key_row_count;

enum command key_command(int key);
