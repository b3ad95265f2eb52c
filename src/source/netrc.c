/*
 * netrc.c - one pass over the file's text, which is kept, since entries point into it.
 *
 * Any thread; owned by who parsed it. libcurl reads such files, too, and has no call for it but a
 * transfer: it would open the file again for each request, on a loop's thread, and keep the result
 * from the connections that are ours.
 */
#include "netrc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct netrc {
	char *text; /* words are cut out of it in place */
	size_t length;
	struct netrc_entry *entries;
	size_t count;
};

struct words {
	char *at, *end;
	unsigned line;
	bool fresh; /* nothing but blanks since the line began */
};

static void blanks_skip(struct words *words)
{
	for (; words->at < words->end; words->at++) {
		if (*words->at == '\n') {
			words->line++;
			words->fresh = true;
		} else if (*words->at == '#' && words->fresh) {
			char *newline = memchr(words->at, '\n', (size_t)(words->end - words->at));

			words->at = newline ? newline - 1 : words->end - 1;
		} else if (!strchr(" \t\r", *words->at) || *words->at == '\0') {
			return;
		}
	}
}

static char unescape(char c)
{
	return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

/* A quote that is never closed ends with its line. */
static char *quoted_take(struct words *words)
{
	char *word = ++words->at, *to = word;

	while (words->at < words->end && *words->at != '"' && *words->at != '\n') {
		if (*words->at == '\\' && words->at + 1 < words->end && words->at[1] != '\n')
			*to++ = unescape(*++words->at);
		else
			*to++ = *words->at;
		words->at++;
	}
	if (words->at == words->end || *words->at == '\n')
		return NULL;
	words->at++;
	*to = '\0';
	return word;
}

/* The next word, or NULL: there is none. The text has room for a NUL behind its end. */
static char *word_take(struct words *words)
{
	char *word;

	blanks_skip(words);
	words->fresh = false;
	if (words->at == words->end)
		return NULL;
	if (*words->at == '"')
		return quoted_take(words);
	word = words->at;
	while (words->at < words->end && *words->at != '\0' && !strchr(" \t\r\n", *words->at))
		words->at++;
	if (words->at < words->end && *words->at == '\n') {
		words->line++;
		words->fresh = true;
	}
	if (words->at < words->end)
		*words->at++ = '\0';
	return word;
}

/* The rest of the line, and all up to an empty one, which may be the next: as libcurl has it. */
static void macro_skip(struct words *words)
{
	bool is_empty = false;

	while (words->at < words->end && !is_empty) {
		char *newline = memchr(words->at, '\n', (size_t)(words->end - words->at));
		char *end = newline ? newline : words->end;

		/* Not fresh: still in the line of the macro's name. */
		is_empty = words->fresh &&
			   (end == words->at || (end == words->at + 1 && *words->at == '\r'));
		words->fresh = true;
		words->line += newline != NULL;
		words->at = newline ? newline + 1 : end;
	}
}

static struct netrc_entry *entry_add(struct netrc *netrc, const char *machine)
{
	struct netrc_entry *grown = reallocarray(
		netrc->entries, netrc->count + 1, sizeof *netrc->entries);

	if (!grown)
		return NULL;
	netrc->entries = grown;
	grown[netrc->count] = (struct netrc_entry){.machine = machine};
	return &grown[netrc->count++];
}

static int netrc_read(struct netrc *netrc, struct words *words)
{
	static const char *const with_value[] = {
		"machine", "login", "password", "account", "macdef"};
	struct netrc_entry *entry = NULL;
	const char *word, *value = NULL;

	while ((word = word_take(words))) {
		size_t kind = 0, kinds = sizeof with_value / sizeof *with_value;

		while (kind < kinds && strcmp(word, with_value[kind]) != 0)
			kind++;
		if (kind < kinds && !(value = word_take(words)))
			return -EINVAL;
		if (kind == 0 || strcmp(word, "default") == 0) {
			entry = entry_add(netrc, kind == 0 ? value : NULL);
			if (!entry)
				return -ENOMEM;
		} else if (kind == 4) {
			macro_skip(words);
		} else if (kind == kinds || !entry) {
			return -EINVAL;
		} else if (kind < 3) {
			*(kind == 1 ? &entry->login : &entry->password) = value;
		}
	}
	return words->at < words->end ? -EINVAL : 0;
}

int netrc_parse(const char *text, size_t length, struct netrc **ret, unsigned *ret_line)
{
	struct netrc *netrc;
	struct words words;
	int err;

	*ret_line = 0;
	if (length > NETRC_BYTES_MAX)
		return -E2BIG;
	netrc = calloc(1, sizeof *netrc);
	if (!netrc || !(netrc->text = calloc(1, length + 1))) {
		free(netrc);
		return -ENOMEM;
	}
	memcpy(netrc->text, text, length);
	netrc->length = length;
	words = (struct words){netrc->text, netrc->text + length, 1, true};
	err = netrc_read(netrc, &words);
	*ret_line = words.line;
	if (err < 0)
		netrc_destroy(netrc);
	else
		*ret = netrc;
	return err;
}

void netrc_destroy(struct netrc *netrc)
{
	if (!netrc)
		return;
	explicit_bzero(netrc->text, netrc->length);
	free(netrc->text);
	free(netrc->entries);
	free(netrc);
}

const struct netrc_entry *netrc_find(
	const struct netrc *netrc, const char *machine, const char *login)
{
	const struct netrc_entry *otherwise = NULL;

	for (size_t i = 0; i < netrc->count; i++) {
		const struct netrc_entry *entry = &netrc->entries[i];

		if (login && (!entry->login || strcmp(entry->login, login) != 0))
			continue;
		if (!entry->machine)
			otherwise = otherwise ? otherwise : entry;
		else if (strcasecmp(entry->machine, machine) == 0)
			return entry;
	}
	return otherwise;
}
