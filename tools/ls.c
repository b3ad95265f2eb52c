/*
 * ls.c - `pagein ls SOURCE`: the names in a directory, sorted by their bytes, one a line; of an
 * object its own. Main thread; one request for a directory and, for -l, a HEAD for each object
 * whose size or time the directory does not tell.
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
#include "text.h"

struct line {
	char *name; /* a directory's with its '/' */
	char *href; /* behind the directory's URL; NULL: an object alone */
	uint64_t size;
	int64_t mtime_s;
};

struct lines {
	struct line *list;
	size_t count, room;
};

static int lines_add(struct lines *lines, const char *name, const char *href, bool is_dir,
	uint64_t size, int64_t mtime_s)
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
	if (text_print(&line->name, "%s%s", name, is_dir ? "/" : "") < 0)
		return -ENOMEM;
	line->href = href ? strdup(href) : NULL;
	lines->count++;
	return href && !line->href ? -ENOMEM : 0;
}

static int entry_add(const struct index_entry *entry, void *context)
{
	int64_t mtime_s = entry->mtime == INDEX_MTIME_UNKNOWN ? -1 : (int64_t)entry->mtime;

	return lines_add(context, entry->name, entry->href, entry->is_dir, entry->size, mtime_s);
}

static void lines_finish(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++) {
		free(lines->list[i].name);
		free(lines->list[i].href);
	}
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

static int object_add(struct lines *lines, const struct place *place)
{
	cleanup_free char *name = object_name(place->url);

	if (!name)
		return -ENOMEM;
	return lines_add(lines, name, NULL, false, place->version.size, place->version.mtime_s);
}

/* ---- what the directory does not tell ----------------------------------------------------- */

static bool is_told(const struct line *line)
{
	return !line->href || line->name[strlen(line->name) - 1] == '/' ||
	       (line->size != INDEX_SIZE_UNKNOWN && line->mtime_s != -1);
}

static int inquiry_make(struct inquiry *inquiry, const struct place *place, const struct line *line)
{
	/* A query asks for another presentation of the page, and does not go with the names. */
	int directory = (int)strcspn(place->url, "?#");

	*inquiry = (struct inquiry){.url = NULL};
	return text_print(&inquiry->url, "%.*s%s", directory, place->url, line->href);
}

/* EXIT_SUCCESS, or what some server has said was told. */
static int line_complete(struct line *line, struct inquiry *inquiry)
{
	int status = EXIT_SUCCESS;

	if (inquiry->err < 0) {
		status = place_complain("ls", inquiry->url, inquiry->reason);
	} else {
		line->size = inquiry->version.size;
		if (line->mtime_s == -1)
			line->mtime_s = inquiry->version.mtime_s;
	}
	free(inquiry->url);
	free(inquiry->location);
	return status;
}

static int lines_complete(struct place *place, struct lines *lines)
{
	struct inquiry *inquiries = calloc(lines->count + 1, sizeof *inquiries);
	size_t count = 0, next = 0;
	int status = EXIT_SUCCESS, err = inquiries ? 0 : -ENOMEM;

	for (size_t i = 0; i < lines->count && err == 0; i++)
		if (!is_told(&lines->list[i]))
			err = inquiry_make(&inquiries[count++], place, &lines->list[i]);
	progress_end(&place->progress);
	progress_start(&place->progress, "ls", "objects", count);
	place->counts_answers = true;
	if (err == 0)
		err = place_inquire(place, inquiries, count);
	for (size_t i = 0; i < lines->count && err == 0 && next < count; i++)
		if (!is_told(&lines->list[i]))
			status |= line_complete(&lines->list[i], &inquiries[next++]);
	/* Those that nobody answered. */
	for (; next < count; next++) {
		free(inquiries[next].url);
		free(inquiries[next].location);
	}
	free(inquiries);
	return err < 0 ? place_complain("ls", place->url, strerror(-err)) : status;
}

int command_ls(const struct options *options)
{
	struct place place cleanup(place_finish);
	struct lines lines cleanup(lines_finish) = {0};
	int status = EXIT_SUCCESS;
	int err = place_find(&place, "ls", options->operands[0], options);

	if (err == 0 && (options->manifest || options->hashes))
		return manifest_write(&place, options->operands[0], options->hashes);
	if (err == 0)
		err = place.is_directory ? place_list(&place, entry_add, &lines)
					 : object_add(&lines, &place);
	if (err < 0)
		return place_complain("ls", options->operands[0],
			place.reason[0] ? place.reason : strerror(-err));
	if (options->long_format)
		status = lines_complete(&place, &lines);
	if (lines.count > 0)
		qsort(lines.list, lines.count, sizeof *lines.list, line_compare);
	progress_end(&place.progress);
	lines_print(&lines, options->long_format);
	return status;
}
