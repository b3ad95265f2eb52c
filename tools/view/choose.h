/*
 * choose.h - a directory's names, to choose from. Main thread.
 */
#pragma once

struct opened;

enum list_choice {
	LIST_OPEN,  /* *ret_index */
	LIST_ABOVE, /* the directory above this one */
	LIST_QUIT,
	LIST_GONE, /* a signal, or no terminal any more */
};

/* index: the name to begin at. message: words for the last line, or "". */
enum list_choice list_choose(
	const struct opened *opened, int changed_fd, const char *message, unsigned *index);
/* The keys, until one is pressed. */
void help_show(int changed_fd);
