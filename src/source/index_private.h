/*
 * index_private.h - what the parts of the index reader share: index.c (the door, dates),
 * index_link.c (links and names), index_html.c, index_json.c and index_dav.c (one format each). For
 * those five files only, but for index_name_from_raw().
 */
#pragma once

#include "index.h"

struct index_reader {
	const struct index_page *page;
	index_entry_fn *entry;
	void *context;
	struct index_counts counts;
};

int index_html_read(struct index_reader *reader);
int index_json_read(struct index_reader *reader);
int index_dav_read(struct index_reader *reader);

/* A name and how to request it. */
struct index_name {
	char name[INDEX_NAME_MAX + 1];
	size_t name_length;
	char href[3 * INDEX_NAME_MAX + 2]; /* every byte as %XX, '/', NUL */
	bool is_dir;
};

enum index_link {
	INDEX_LINK_ENTRY,     /* of the page's directory; *ret is filled */
	INDEX_LINK_ELSEWHERE, /* navigation, or somewhere else */
	INDEX_LINK_UNUSABLE,  /* in the directory, but without a name we can show */
};

/* link: entities are decoded, percent-encoding is not. Not NUL-terminated. */
enum index_link index_link_resolve(
	const char *path, const char *link, size_t length, struct index_name *ret);

/* From a name that comes raw instead of as a link; false if it is not one to show. */
bool index_name_from_raw(const char *name, size_t length, bool is_dir, struct index_name *ret);

/* Counts the entry and hands it to the caller. 0, -E2BIG or the caller's own result. */
int index_report(struct index_reader *reader, const struct index_name *name, uint64_t size,
	time_t mtime, const char *etag);

/*
 * Reads a time in UTC at the start of text. pattern: %a %d %b %m %Y %H %M %S of strptime, English
 * and of fixed width; everything else stands for itself. Returns the bytes read; 0 when text does
 * not match.
 */
size_t index_time_read(const char *text, size_t length, const char *pattern, time_t *ret);
#define INDEX_HTTP_DATE "%a, %d %b %Y %H:%M:%S GMT"

/* A number that is a size, and nothing else. */
bool index_size_read(const char *text, size_t length, uint64_t *ret);

/* <ctype.h> without the caller's locale, and safe for a negative char. */
static inline bool ascii_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool ascii_alpha(char c)
{
	return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static inline bool ascii_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* lower must be in lower case. */
static inline bool ascii_equal(const char *text, size_t length, const char *lower)
{
	size_t i = 0;

	while (i < length && lower[i] && ascii_lower(text[i]) == lower[i])
		i++;
	return i == length && !lower[i];
}
