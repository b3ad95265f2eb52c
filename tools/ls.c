/*
 * ls.c - `pagein ls SOURCE`: the names in a directory, sorted by their bytes, one a line; of an
 * object its own. Main thread; one request for a directory.
 *
 * On a terminal control characters are shown as '?', so that a name can't speak to it; elsewhere
 * names are what they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "index.h"
#include "options.h"
#include "remote.h"

struct line {
	char *name; /* a directory's with its '/' */
	uint64_t size;
	int64_t mtime_s;
};

struct lines {
	struct line *list;
	size_t count, room;
};

static int lines_add(
	struct lines *lines, const char *name, bool is_dir, uint64_t size, int64_t mtime_s)
{
	struct line *line;

	if (lines->count == lines->room) {
		size_t room = lines->room ? 2 * lines->room : 64;
		struct line *grown = reallocarray(lines->list, room, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		lines->list = grown;
		lines->room = room;
	}
	line = &lines->list[lines->count];
	*line = (struct line){.size = size, .mtime_s = mtime_s};
	if (asprintf(&line->name, "%s%s", name, is_dir ? "/" : "") < 0)
		return -ENOMEM;
	lines->count++;
	return 0;
}

static int entry_add(const struct index_entry *entry, void *context)
{
	int64_t mtime_s = entry->mtime == INDEX_MTIME_UNKNOWN ? -1 : (int64_t)entry->mtime;

	return lines_add(context, entry->name, entry->is_dir, entry->size, mtime_s);
}

static void lines_finish(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->list[i].name);
	free(lines->list);
}

static int line_compare(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->name, ((const struct line *)b)->name);
}

/* ---- printing ----------------------------------------------------------------------------- */

/* C0, DEL, and C1 as UTF-8 has it; *ret_length is what it takes in text. */
static bool is_control(const unsigned char *text, size_t *ret_length)
{
	*ret_length = text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f ? 2 : 1;
	return *ret_length == 2 || text[0] < 0x20 || text[0] == 0x7f;
}

static void name_print(const char *name, bool to_terminal)
{
	const unsigned char *at = (const unsigned char *)name;

	if (!to_terminal)
		fputs(name, stdout);
	for (size_t length; to_terminal && *at; at += length)
		putchar(is_control(at, &length) ? '?' : *at);
	putchar('\n');
}

static char *size_text(uint64_t size, char to[24])
{
	if (size == INDEX_SIZE_UNKNOWN)
		return strcpy(to, "-");
	snprintf(to, 24, "%" PRIu64, size);
	return to;
}

static void lines_print(const struct lines *lines, bool long_format)
{
	bool to_terminal = isatty(STDOUT_FILENO);
	char size[24], time[TIME_TEXT_MAX];
	size_t width = 1;

	for (size_t i = 0; i < lines->count; i++) {
		size_t length = strlen(size_text(lines->list[i].size, size));

		width = length > width ? length : width;
	}
	for (size_t i = 0; i < lines->count; i++) {
		const struct line *line = &lines->list[i];

		/* A page may have a link twice. */
		if (i > 0 && line_compare(line - 1, line) == 0)
			continue;
		if (long_format)
			printf("%*s %-20s ", (int)width, size_text(line->size, size),
				time_text(line->mtime_s, time));
		name_print(line->name, to_terminal);
	}
}

/* ---- an object ---------------------------------------------------------------------------- */

/* Decodes in place what can be decoded. */
static void percent_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned byte;

		if (sscanf(text, "%%%2x", &byte) == 1 &&
			strspn(text + 1, "0123456789abcdefABCDEF") >= 2 && byte != 0) {
			*to++ = (char)byte;
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* The last name of its URL's path. */
static int object_add(struct lines *lines, const struct place *place)
{
	cleanup_free char *path = strndup(place->url, strcspn(place->url, "?#"));
	char *name;

	if (!path)
		return -ENOMEM;
	name = strrchr(path, '/') + 1;
	percent_decode(name);
	return lines_add(lines, name, false, place->version.size, place->version.mtime_s);
}

int command_ls(const struct options *options)
{
	struct place place cleanup(place_finish);
	struct lines lines cleanup(lines_finish) = {0};
	int err = place_find(&place, options->operands[0], options);

	if (err == 0)
		err = place.is_directory ? place_list(&place, entry_add, &lines)
					 : object_add(&lines, &place);
	if (err < 0)
		return place_complain("ls", options->operands[0],
			place.reason[0] ? place.reason : strerror(-err));
	if (lines.count > 0)
		qsort(lines.list, lines.count, sizeof *lines.list, line_compare);
	lines_print(&lines, options->long_format);
	return EXIT_SUCCESS;
}
