/*
 * keys.c - the keys, after less(1) where it has them.
 */
#include "keys.h"

#include <curses.h>

#define CONTROL(letter) ((letter)&0x1f)

/* clang-format off */
const struct key_row key_rows[] = {
	{{'j', 'e', KEY_DOWN, '\n', KEY_ENTER}, COMMAND_DOWN,
		"j e Down Enter", "a row down (with a number before: so many)"},
	{{'k', 'y', KEY_UP}, COMMAND_UP,
		"k y Up", "a row up"},
	{{' ', 'f', KEY_NPAGE, CONTROL('F')}, COMMAND_PAGE_DOWN,
		"Space f PgDn ^F", "a screen down"},
	{{'b', KEY_PPAGE, CONTROL('B')}, COMMAND_PAGE_UP,
		"b PgUp ^B", "a screen up"},
	{{'d', CONTROL('D')}, COMMAND_HALF_DOWN,
		"d ^D", "half a screen down"},
	{{'u', CONTROL('U')}, COMMAND_HALF_UP,
		"u ^U", "half a screen up"},
	{{'g', '<', KEY_HOME}, COMMAND_HOME,
		"g < Home", "to the beginning; Ng: to line N, if it is known"},
	{{'G', '>', KEY_END}, COMMAND_END,
		"G > End", "to the end; NG: as Ng"},
	{{'p', '%'}, COMMAND_PERCENT,
		"Np N%", "to N per cent of the object"},
	{{'P'}, COMMAND_OFFSET,
		"NP", "to offset N"},
	{{':'}, COMMAND_GOTO,
		":", "to 4096, 0x1000, 10K, 2G, +1M, -0x20, 12.5%, L120 (line), 'a (mark), $ (end)"},
	{{'/'}, COMMAND_SEARCH,
		"/", "search forward; Tab: for text, a regular expression, bytes (1b5b)"},
	{{'?'}, COMMAND_SEARCH_BACK,
		"?", "search backward; Ctrl-C ends a search"},
	{{'n'}, COMMAND_AGAIN,
		"n", "search again"},
	{{'N'}, COMMAND_AGAIN_BACK,
		"N", "search again, the other way"},
	{{'m'}, COMMAND_MARK,
		"m LETTER", "set a bookmark"},
	{{'\''}, COMMAND_MARK_GO,
		"' LETTER", "to a bookmark; '': to where the last jump was from"},
	{{'x', '\t'}, COMMAND_HEX,
		"x Tab", "hexadecimal, or text"},
	{{'S'}, COMMAND_FOLD,
		"S", "fold long lines, or cut them"},
	{{KEY_LEFT}, COMMAND_LEFT,
		"Left", "cut lines: half a screen to the left"},
	{{KEY_RIGHT}, COMMAND_RIGHT,
		"Right", "cut lines: half a screen to the right"},
	{{'r'}, COMMAND_RETRY,
		"r", "fetch anew what could not be fetched"},
	{{'R', CONTROL('L')}, COMMAND_REDRAW,
		"R ^L", "draw the screen anew"},
	{{'='}, COMMAND_INFO,
		"=", "all that is known, at length"},
	{{'h', 'H', KEY_F(1)}, COMMAND_HELP,
		"h H F1", "this list"},
	{{'q'}, COMMAND_QUIT,
		"q", "quit; back to the directory, if the object was chosen there"},
	{{'Q'}, COMMAND_QUIT_ALL,
		"Q", "quit"},
	{{0}, COMMAND_NONE,
		"in a directory", "Enter: open; Backspace, u: the directory above"},
	{{0}, COMMAND_NONE,
		"the bar", "the whole object: . absent  ~ on its way  # here  ! failed"},
};
/* clang-format on */

const size_t key_row_count = sizeof(key_rows) / sizeof(*key_rows);

enum command key_command(int key)
{
	for (size_t i = 0; i < key_row_count; i++)
		for (size_t j = 0; j < KEYS_OF_ROW && key_rows[i].keys[j]; j++)
			if (key_rows[i].keys[j] == key)
				return key_rows[i].command;
	return COMMAND_NONE;
}
