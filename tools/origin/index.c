/*
 * index.c - directory listings, byte for byte those of nginx with autoindex_exact_size on.
 *
 * One thread; reads the whole directory and sorts it, for each request. nginx's format is the one
 * that listing clients know: names are cut at 50 columns in the text but not in the link, hidden
 * files are left out, directories come first, times are UTC.
 */
#include "index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "html.h"
#include "httpdate.h"

#define NAME_WIDTH 50

struct entry {
	char *name;
	bool directory;
	bool regular;
	uint64_t size;
	time_t modified;
};

struct listing {
	size_t count;
	size_t capacity;
	struct entry *entries;
};

static void listing_finish(struct listing *listing)
{
	for (size_t i = 0; i < listing->count; i++)
		free(listing->entries[i].name);
	free(listing->entries);
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static void close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

static int listing_append(struct listing *listing, const char *name, const struct stat *st)
{
	if (listing->count == listing->capacity) {
		size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
		struct entry *entries = reallocarray(listing->entries, capacity, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		listing->entries = entries;
		listing->capacity = capacity;
	}
	listing->entries[listing->count] = (struct entry){
		.name = strdup(name),
		.directory = S_ISDIR(st->st_mode),
		.regular = S_ISREG(st->st_mode),
		.size = (uint64_t)st->st_size,
		.modified = st->st_mtime,
	};
	return listing->entries[listing->count++].name ? 0 : -ENOMEM;
}

static int entry_compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->directory != b->directory)
		return a->directory ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int listing_read(int directory_fd, struct listing *listing)
{
	int fd cleanup_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory cleanup(close_directory) = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *dirent;

	if (!directory)
		return -errno;
	steal_fd(&fd);
	while ((dirent = readdir(directory))) {
		struct stat st;
		int err;

		if (dirent->d_name[0] == '.')
			continue;
		/* A dangling link is shown as itself. */
		if (fstatat(directory_fd, dirent->d_name, &st, 0) < 0 &&
			fstatat(directory_fd, dirent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		err = listing_append(listing, dirent->d_name, &st);
		if (err)
			return err;
	}
	if (listing->count)
		qsort(listing->entries, listing->count, sizeof(*listing->entries), entry_compare);
	return 0;
}

static void put_link(FILE *out, const char *name)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || strchr("-._~", c);

		fprintf(out, plain ? "%c" : "%%%02X", c);
	}
}

static void put_html_entry(FILE *out, const struct entry *entry)
{
	size_t len = strlen(entry->name);
	struct tm tm = {.tm_mday = 1, .tm_year = 70};

	fputs("<a href=\"", out);
	put_link(out, entry->name);
	fputs(entry->directory ? "/\">" : "\">", out);
	if (len > NAME_WIDTH) {
		html_put(out, entry->name, NAME_WIDTH - 3);
		fputs("..&gt;</a>", out);
	} else {
		html_put(out, entry->name, len);
		if (entry->directory && len < NAME_WIDTH)
			putc('/', out);
		fputs("</a>", out);
		len += entry->directory;
		fprintf(out, "%*s", len < NAME_WIDTH ? (int)(NAME_WIDTH - len) : 0, "");
	}
	gmtime_r(&entry->modified, &tm);
	fprintf(out, " %02d-%s-%d %02d:%02d ", tm.tm_mday, origin_month_name(tm.tm_mon),
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min);
	if (entry->directory)
		fprintf(out, "%19s\r\n", "-");
	else
		fprintf(out, "%19ju\r\n", (uintmax_t)entry->size);
}

static void write_html(FILE *out, const char *path, const struct listing *listing)
{
	fputs("<html>\r\n<head><title>Index of ", out);
	html_put(out, path, strlen(path));
	fputs("</title></head>\r\n<body>\r\n<h1>Index of ", out);
	html_put(out, path, strlen(path));
	fputs("</h1><hr><pre><a href=\"../\">../</a>\r\n", out);
	for (size_t i = 0; i < listing->count; i++)
		put_html_entry(out, &listing->entries[i]);
	fputs("</pre><hr></body>\r\n</html>\r\n", out);
}

static void put_json_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f')
			fprintf(out, "\\%c", "btn?fr"[c - '\b']);
		else if (c < ' ')
			fprintf(out, "\\u%04X", c);
		else
			putc(c, out);
	}
}

static void write_json(FILE *out, const struct listing *listing)
{
	fputs("[", out);
	for (size_t i = 0; i < listing->count; i++) {
		const struct entry *entry = &listing->entries[i];
		const char *type = entry->directory ? "directory"
				   : entry->regular ? "file"
						    : "other";
		char date[ORIGIN_DATE_SIZE];

		origin_date_format(entry->modified, date);
		fputs(i ? ",\r\n{ \"name\":\"" : "\r\n{ \"name\":\"", out);
		put_json_text(out, entry->name);
		fprintf(out, "\", \"type\":\"%s\", \"mtime\":\"%s\"", type, date);
		if (entry->regular)
			fprintf(out, ", \"size\":%ju", (uintmax_t)entry->size);
		fputs(" }", out);
	}
	fputs("\r\n]", out);
}

int origin_index_write(
	int directory_fd, const char *path, bool json, char **ret, size_t *ret_length)
{
	struct listing listing cleanup(listing_finish) = {0};
	char *text cleanup_free = NULL;
	FILE *out cleanup(close_stream) = NULL;
	size_t length;
	int err = listing_read(directory_fd, &listing);

	if (err)
		return err;
	out = open_memstream(&text, &length);
	if (!out)
		return -errno;
	if (json)
		write_json(out, &listing);
	else
		write_html(out, path, &listing);
	/* The text and its length are valid only now; closing may move it no more. */
	if (fflush(out) == EOF)
		return -ENOMEM;
	fclose(steal_pointer(&out));
	*ret = steal_pointer(&text);
	*ret_length = length;
	return 0;
}
