/*
 * prompt.c - edits a line: characters as the terminal sends their bytes, Backspace takes a whole
 * one.
 */
#include "prompt.h"

#include <curses.h>

#define CONTROL(letter) ((letter)&0x1f)
#define ESCAPE 0x1b

void prompt_begin(struct prompt *prompt, enum prompt_kind kind)
{
	prompt->kind = kind;
	prompt->length = 0;
	prompt->text[0] = '\0';
}

static void prompt_erase(struct prompt *prompt)
{
	bool is_rest = true;

	while (is_rest && prompt->length > 0)
		is_rest = (prompt->text[--prompt->length] & 0xc0) == 0x80;
	prompt->text[prompt->length] = '\0';
}

enum prompt_result prompt_key(struct prompt *prompt, int key)
{
	if (key == '\n' || key == KEY_ENTER)
		return PROMPT_DONE;
	if (key == ESCAPE || key == CONTROL('G'))
		return PROMPT_GIVEN_UP;
	if (key == KEY_BACKSPACE || key == 0x7f || key == '\b') {
		if (prompt->length == 0)
			return PROMPT_GIVEN_UP;
		prompt_erase(prompt);
	} else if (key == CONTROL('U')) {
		prompt->length = 0;
		prompt->text[0] = '\0';
	} else if (key >= ' ' && key <= 0xff && prompt->length + 1 < PROMPT_MAX) {
		prompt->text[prompt->length++] = (char)key;
		prompt->text[prompt->length] = '\0';
	}
	return PROMPT_GOES_ON;
}
