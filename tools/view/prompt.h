/*
 * prompt.h - a line that is typed below the screen. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PROMPT_MAX 256

enum prompt_kind {
	PROMPT_NONE,
	PROMPT_GOTO,
	PROMPT_SEARCH,
	PROMPT_SEARCH_BACK,
	PROMPT_MARK,    /* one key, no line */
	PROMPT_MARK_GO, /* likewise */
};

enum prompt_result { PROMPT_GOES_ON, PROMPT_DONE, PROMPT_GIVEN_UP };

struct prompt {
	enum prompt_kind kind;
	size_t length;
	char text[PROMPT_MAX]; /* with a NUL */
};

void prompt_begin(struct prompt *prompt, enum prompt_kind kind);
/* A key; what it does not know it ignores. */
enum prompt_result prompt_key(struct prompt *prompt, int key);
