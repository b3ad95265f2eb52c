/*
 * words.c - one pass over the line, which writes the words behind each other into a copy that is
 * as long as the line: a word never grows.
 *
 * Any thread. Rejected: wordexp(3), which expands variables and runs commands.
 */
#include "words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The quoted part at *at, its closing quote included. False: it has none. */
static bool quoted_take(const char **at, char **to)
{
	const char quote = *(*at)++;

	while (**at && **at != quote) {
		/* Between double quotes a backslash is one, but before these two. */
		if (quote == '"' && **at == '\\' && ((*at)[1] == '"' || (*at)[1] == '\\'))
			(*at)++;
		*(*to)++ = *(*at)++;
	}
	if (!**at)
		return false;
	(*at)++;
	return true;
}

static bool word_take(const char **at, char **to)
{
	while (**at && !is_space(**at)) {
		if (**at == '"' || **at == '\'') {
			if (!quoted_take(at, to))
				return false;
			continue;
		}
		if (**at == '\\' && !*++*at)
			return false;
		*(*to)++ = *(*at)++;
	}
	*(*to)++ = '\0';
	return true;
}

static int words_append(struct words *words, char *word)
{
	char **list = reallocarray(words->list, words->count + 2, sizeof *list);

	if (!list)
		return -ENOMEM;
	list[words->count++] = word;
	list[words->count] = NULL;
	words->list = list;
	return 0;
}

int words_split(const char *line, struct words *ret)
{
	/* Behind each word is a space in the line, or its end; "" is two quotes. */
	cleanup(words_finish) struct words words = {.text = malloc(strlen(line) + 1)};
	char *to = words.text;
	int err = words.text ? 0 : -ENOMEM;

	while (err == 0) {
		char *word = to;

		while (is_space(*line))
			line++;
		if (!*line)
			break;
		err = word_take(&line, &to) ? words_append(&words, word) : -EINVAL;
	}
	if (err == 0 && words.count == 0) {
		words.list = calloc(1, sizeof *words.list);
		err = words.list ? 0 : -ENOMEM;
	}
	if (err < 0)
		return err;
	*ret = words;
	words = (struct words){0};
	return 0;
}

void words_finish(struct words *words)
{
	free(words->list);
	free(words->text);
	*words = (struct words){0};
}
