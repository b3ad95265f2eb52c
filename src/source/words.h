/*
 * words.h - a line cut into words as a POSIX shell cuts it, with its quotes and backslashes and
 * nothing else: no variables, no globs, no comments (Python's shlex.split()). Pure; any thread.
 */
#pragma once

struct words {
	char **list; /* NULL behind the last, so that it is an argv */
	unsigned count;
	char *text; /* what they point into */
};

/* -EINVAL: a quote without its end, or a backslash with nothing behind it; -ENOMEM. */
int words_split(const char *line, struct words *ret);
/* A zeroed one is fine. */
void words_finish(struct words *words);
