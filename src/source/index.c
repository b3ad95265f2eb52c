/*
 * index.c - the door of the index reader: chooses the format, enforces the limits, reads dates.
 *
 * Owns nothing: a reader lives on the caller's stack, on the caller's thread. One pass over the
 * page, linear in its length whatever the bytes are; memory besides the page is a few kilobytes for
 * HTML and one array element at a time for JSON.
 *
 * libxml2's HTML parser was considered: it builds a tree of a 64 MiB page, repairs what it meets,
 * and is one more large library to trust with hostile bytes, for the sake of one attribute of one
 * tag.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "index_private.h"

enum format { FORMAT_NONE, FORMAT_HTML, FORMAT_JSON, FORMAT_DAV };

static const struct {
	const char *type;
	enum format format;
} content_types[] = {
	{"text/html", FORMAT_HTML},
	{"application/xhtml+xml", FORMAT_HTML},
	{"application/json", FORMAT_JSON},
	{"application/xml", FORMAT_DAV},
	{"text/xml", FORMAT_DAV},
};

static enum format format_of_type(const char *type)
{
	size_t length = strcspn(type, "; \t");

	for (size_t i = 0; i < sizeof(content_types) / sizeof(content_types[0]); i++)
		if (ascii_equal(type, length, content_types[i].type))
			return content_types[i].format;
	return FORMAT_NONE;
}

static enum format format_of_bytes(const char *bytes, size_t length)
{
	size_t i = 0;

	while (i < length && ascii_space(bytes[i]))
		i++;
	if (i == length)
		return FORMAT_NONE;
	return bytes[i] == '[' || bytes[i] == '{' ? FORMAT_JSON : FORMAT_HTML;
}

int index_parse(const struct index_page *page, index_entry_fn *entry, void *context,
	struct index_counts *ret_counts)
{
	struct index_reader reader = {.page = page, .entry = entry, .context = context};
	enum format format;
	int result = -EPROTO;

	assert(page->path[0] == '/' && page->path[strlen(page->path) - 1] == '/');
	format = page->content_type ? format_of_type(page->content_type)
				    : format_of_bytes(page->bytes, page->length);
	if (page->length > INDEX_PAGE_MAX)
		result = -EFBIG;
	else if (!page->length)
		result = -EPROTO;
	else if (format == FORMAT_HTML)
		result = index_html_read(&reader);
	else if (format == FORMAT_JSON)
		result = index_json_read(&reader);
	else if (format == FORMAT_DAV)
		result = index_dav_read(&reader);
	if (ret_counts)
		*ret_counts = reader.counts;
	return result;
}

int index_report(struct index_reader *reader, const struct index_name *name, uint64_t size,
	time_t mtime, const char *etag)
{
	struct index_entry entry = {
		.name = name->name,
		.name_length = name->name_length,
		.href = name->href,
		.is_dir = name->is_dir,
		.size = name->is_dir ? INDEX_SIZE_UNKNOWN : size,
		.mtime = mtime,
		.etag = etag,
	};

	if (reader->counts.entries == INDEX_ENTRIES_MAX)
		return -E2BIG;
	reader->counts.entries++;
	return reader->entry(&entry, reader->context);
}

/* strptime(3) would follow the caller's locale and wants a NUL behind the text. */
static bool digits_read(const char *text, size_t length, size_t width, int *ret)
{
	int value = 0;

	if (length < width)
		return false;
	for (size_t i = 0; i < width; i++) {
		if (!ascii_digit(text[i]))
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*ret = value;
	return true;
}

static bool month_read(const char *text, size_t length, int *ret)
{
	static const char *const months[] = {
		"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};

	for (int i = 0; length >= 3 && i < 12; i++) {
		if (ascii_equal(text, 3, months[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* Returns the field's width; 0 when it does not match. */
static size_t field_read(const char *text, size_t length, char field, struct tm *ret)
{
	switch (field) {
	case 'a':
		return length >= 3 ? 3 : 0;
	case 'b':
		return month_read(text, length, &ret->tm_mon) ? 3 : 0;
	case 'm':
		if (!digits_read(text, length, 2, &ret->tm_mon) || ret->tm_mon-- == 0)
			return 0;
		return ret->tm_mon < 12 ? 2 : 0;
	case 'd':
		return digits_read(text, length, 2, &ret->tm_mday) ? 2 : 0;
	case 'Y':
		return digits_read(text, length, 4, &ret->tm_year) ? 4 : 0;
	case 'H':
		return digits_read(text, length, 2, &ret->tm_hour) ? 2 : 0;
	case 'M':
		return digits_read(text, length, 2, &ret->tm_min) ? 2 : 0;
	default:
		assert(field == 'S');
		return digits_read(text, length, 2, &ret->tm_sec) ? 2 : 0;
	}
}

size_t index_time_read(const char *text, size_t length, const char *pattern, time_t *ret)
{
	struct tm broken = {0};
	int day, hour;
	size_t used = 0;
	time_t result;

	for (; *pattern; pattern++) {
		size_t width = used < length && text[used] == *pattern;

		if (*pattern == '%')
			width = field_read(text + used, length - used, *++pattern, &broken);
		if (!width)
			return 0;
		used += width;
	}
	broken.tm_year -= 1900;
	day = broken.tm_mday;
	hour = broken.tm_hour;
	if (broken.tm_min > 59 || broken.tm_sec > 59)
		return 0;
	result = timegm(&broken);
	/* timegm() turns the 30th of February into the 1st or 2nd of March. */
	if (broken.tm_mday != day || broken.tm_hour != hour)
		return 0;
	*ret = result;
	return used;
}

bool index_size_read(const char *text, size_t length, uint64_t *ret)
{
	uint64_t size = 0;

	for (size_t i = 0; i < length; i++)
		if (!ascii_digit(text[i]) || __builtin_mul_overflow(size, 10, &size) ||
			__builtin_add_overflow(size, (uint64_t)(text[i] - '0'), &size))
			return false;
	if (length == 0 || size > INT64_MAX)
		return false;
	*ret = size;
	return true;
}
