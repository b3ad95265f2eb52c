/*
 * choose.c - the list of a directory, and that of the keys. Main thread; nothing is fetched here.
 */
#include "choose.h"

#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "index.h"
#include "keys.h"
#include "opening.h"
#include "screen.h"
#include "status.h"

struct list {
	const struct opened *opened;
	unsigned first, current; /* the row at the top, the chosen one */
};

static void list_draw(struct list *list, const char *message)
{
	unsigned rows = screen_rows(), count = (unsigned)list->opened->count, y = 0;
	char line[1200], size[16];

	if (list->current < list->first)
		list->first = list->current;
	if (list->current >= list->first + rows)
		list->first = list->current - rows + 1;
	for (; y < rows && list->first + y < count; y++) {
		const struct opened_name *name = &list->opened->names[list->first + y];
		bool is_known = name->size != INDEX_SIZE_UNKNOWN;

		snprintf(line, sizeof line, "%9s  %s",
			is_known ? status_bytes(name->size, size) : "-", name->name);
		screen_words(y, line, list->first + y == list->current);
	}
	screen_clear_from(y);
	screen_words(rows, "", false);
	snprintf(line, sizeof line, "%.400s  %u/%u  Enter: open  u: above  q: quit  h: keys",
		list->opened->source, count > 0 ? list->current + 1 : 0, count);
	screen_status(*message ? message : line, false);
	screen_show();
}

static void list_move(struct list *list, int64_t by)
{
	int64_t to = (int64_t)list->current + by, last = (int64_t)list->opened->count - 1;

	to = to > last ? last : to;
	list->current = to < 0 ? 0 : (unsigned)to;
}

/* How far a key moves in the list; 0: it does not. */
static int64_t command_rows(enum command command)
{
	int64_t rows = screen_rows();

	switch (command) {
	case COMMAND_DOWN:
		return 1;
	case COMMAND_UP:
		return -1;
	case COMMAND_PAGE_DOWN:
		return rows;
	case COMMAND_PAGE_UP:
		return -rows;
	case COMMAND_HALF_DOWN:
		return rows / 2;
	case COMMAND_HOME:
		return INT32_MIN;
	case COMMAND_END:
		return INT32_MAX;
	default:
		return 0;
	}
}

enum list_choice list_choose(
	const struct opened *opened, int changed_fd, const char *message, unsigned *index)
{
	struct list list = {.opened = opened, .current = *index};

	list_move(&list, 0);
	for (;;) {
		int key;
		enum command command;

		list_draw(&list, message);
		key = screen_wait(changed_fd);
		command = key > 0 ? key_command(key) : COMMAND_NONE;
		*index = list.current;
		if (key == SCREEN_CHANGED)
			continue;
		message = "";
		if (key == SCREEN_GONE)
			return LIST_GONE;
		if ((key == '\n' || key == KEY_ENTER) && opened->count > 0)
			return LIST_OPEN;
		if (key == KEY_BACKSPACE || key == 0x7f || key == '\b' || key == 'u')
			return LIST_ABOVE;
		if (command == COMMAND_QUIT || command == COMMAND_QUIT_ALL)
			return LIST_QUIT;
		if (command == COMMAND_HELP)
			help_show(changed_fd);
		if (command == COMMAND_REDRAW)
			screen_redraw();
		list_move(&list, command_rows(command));
	}
}

void help_show(int changed_fd)
{
	int key = SCREEN_CHANGED;

	for (unsigned first = 0; key == SCREEN_CHANGED || key == SCREEN_RESIZED;) {
		unsigned rows = screen_rows(), y = 0;
		char line[160];

		for (; y < rows && first + y < key_row_count; y++) {
			snprintf(line, sizeof line, "%-15s %s", key_rows[first + y].names,
				key_rows[first + y].help);
			screen_words(y, line, false);
		}
		screen_clear_from(y);
		screen_words(rows, "", false);
		screen_status(first + y < key_row_count ? "Space: more; any other key: back"
							: "any key: back",
			false);
		screen_show();
		key = screen_wait(changed_fd);
		if (key == ' ' && first + y < key_row_count) {
			first += y;
			key = SCREEN_CHANGED;
		}
	}
}
