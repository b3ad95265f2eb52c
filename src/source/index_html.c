/*
 * index_html.c - the entries of an HTML page: every `<a href=...>`, with the date and the size that
 * nginx writes behind it.
 *
 * Not an HTML parser: a scanner that knows tags, attributes, comments and raw text, so that it does
 * not see a link where a browser would see none. It keeps one link pending, from `<a>` to its
 * `</a>`:
 *
 *    none --<a href> of an entry--> pending --</a>, <a> or the end: read details, report--> none
 *
 * The name comes from the link, never from the text, which nginx cuts after 50 characters.
 * The scan only moves forward, so that it is linear; what it remembers are pointers into the page.
 */
#include <errno.h>
#include <string.h>

#include "index_private.h"

/* A longer link can't be of an entry, unless the page's path alone is longer than any server takes.
 */
#define LINK_MAX 8192

struct scan {
	const char *at;
	const char *end;
};

struct tag {
	const char *name;
	size_t name_length;
	bool closing;
	const char *href; /* NULL: none */
	size_t href_length;
};

static size_t scan_left(const struct scan *scan)
{
	return (size_t)(scan->end - scan->at);
}

static void spaces_skip(struct scan *scan)
{
	while (scan->at < scan->end && ascii_space(*scan->at))
		scan->at++;
}

static bool word_ends(char c)
{
	return ascii_space(c) || c == '/' || c == '>';
}

/* After the '='. An unquoted value may hold slashes: `href=dir/`. False: the page ends in it. */
static bool value_read(struct scan *scan, const char **ret_value, size_t *ret_length)
{
	const char *close;

	spaces_skip(scan);
	if (scan->at < scan->end && (*scan->at == '"' || *scan->at == '\'')) {
		char quote = *scan->at++;

		close = memchr(scan->at, quote, scan_left(scan));
		if (!close)
			return false;
	} else {
		close = scan->at;
		while (close < scan->end && !ascii_space(*close) && *close != '>')
			close++;
	}
	*ret_value = scan->at;
	*ret_length = (size_t)(close - scan->at);
	scan->at = close < scan->end && (*close == '"' || *close == '\'') ? close + 1 : close;
	return true;
}

/* False: the page ends in it. */
static bool attribute_read(struct scan *scan, struct tag *tag)
{
	const char *name = scan->at++; /* even a '=' starts a name here, says HTML */
	const char *value = NULL;
	size_t name_length, value_length = 0;

	while (scan->at < scan->end && !word_ends(*scan->at) && *scan->at != '=')
		scan->at++;
	name_length = (size_t)(scan->at - name);
	spaces_skip(scan);
	if (scan->at < scan->end && *scan->at == '=') {
		scan->at++;
		if (!value_read(scan, &value, &value_length))
			return false;
	}
	if (value && !tag->href && ascii_equal(name, name_length, "href")) {
		tag->href = value;
		tag->href_length = value_length;
	}
	return true;
}

/* After the '<'. False: no tag starts here, or the page ends in it. */
static bool tag_read(struct scan *scan, struct tag *ret)
{
	*ret = (struct tag){.closing = scan->at < scan->end && *scan->at == '/'};
	if (ret->closing)
		scan->at++;
	if (scan->at == scan->end || !ascii_alpha(*scan->at))
		return false;
	ret->name = scan->at;
	while (scan->at < scan->end && !word_ends(*scan->at))
		scan->at++;
	ret->name_length = (size_t)(scan->at - ret->name);
	for (;;) {
		while (scan->at < scan->end && (ascii_space(*scan->at) || *scan->at == '/'))
			scan->at++;
		if (scan->at == scan->end)
			return false;
		if (*scan->at == '>')
			break;
		if (!attribute_read(scan, ret)) {
			scan->at = scan->end;
			return false;
		}
	}
	scan->at++;
	return true;
}

static void comment_skip(struct scan *scan)
{
	const char *close = memmem(scan->at, scan_left(scan), "-->", 3);

	scan->at = close ? close + 3 : scan->end;
}

/* Behind `<script>` and its like nothing is a tag up to the closing tag of the same name. */
static void raw_text_skip(struct scan *scan, const struct tag *tag)
{
	static const char *const raw[] = {"script", "style", "title", "textarea"};
	const char *name = NULL;

	for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++)
		if (ascii_equal(tag->name, tag->name_length, raw[i]))
			name = raw[i];
	if (!name || tag->closing)
		return;
	while ((scan->at = memmem(scan->at, scan_left(scan), "</", 2))) {
		if (scan_left(scan) - 2 >= tag->name_length &&
			ascii_equal(scan->at + 2, tag->name_length, name))
			return;
		scan->at += 2;
	}
	scan->at = scan->end;
}

static char *utf8_put(char *to, uint32_t point)
{
	if (point < 0x80) {
		*to++ = (char)point;
	} else if (point < 0x800) {
		*to++ = (char)(0xc0 | point >> 6);
		*to++ = (char)(0x80 | (point & 0x3f));
	} else if (point < 0x10000) {
		*to++ = (char)(0xe0 | point >> 12);
		*to++ = (char)(0x80 | (point >> 6 & 0x3f));
		*to++ = (char)(0x80 | (point & 0x3f));
	} else {
		*to++ = (char)(0xf0 | point >> 18);
		*to++ = (char)(0x80 | (point >> 12 & 0x3f));
		*to++ = (char)(0x80 | (point >> 6 & 0x3f));
		*to++ = (char)(0x80 | (point & 0x3f));
	}
	return to;
}

/* "38" of "&#38;", "x26" of "&#x26;". 0: not a character. */
static uint32_t reference_value(const char *digits, size_t length)
{
	uint32_t base = length && ascii_lower(*digits) == 'x' ? 16 : 10;
	uint32_t value = 0;

	for (size_t i = base == 16; i < length; i++) {
		char c = ascii_lower(digits[i]);
		uint32_t digit = ascii_digit(c) ? (uint32_t)(c - '0') : (uint32_t)(c - 'a') + 10;

		if (!ascii_digit(c) && !ascii_alpha(c))
			return 0;
		if (digit >= base)
			return 0;
		value = value * base + digit;
		if (value > 0x10ffff)
			return 0;
	}
	return value >= 0xd800 && value <= 0xdfff ? 0 : value;
}

/* The character of an entity without its '&' and ';'. 0: unknown, and then it stands for itself. */
static uint32_t entity_value(const char *name, size_t length)
{
	static const struct {
		const char *name;
		char value;
	} entities[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};

	if (length && *name == '#')
		return reference_value(name + 1, length - 1);
	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
		if (length == strlen(entities[i].name) && !memcmp(name, entities[i].name, length))
			return (unsigned char)entities[i].value;
	return 0;
}

/* to has room for length bytes: no entity is shorter than its character. Returns the new length. */
static size_t entities_decode(const char *from, size_t length, char *to)
{
	const char *end = from + length;
	char *start = to;

	while (from < end) {
		/* "&#x10ffff;" is the longest; zeros in front are nobody's. */
		size_t ahead = (size_t)(end - from) < 12 ? (size_t)(end - from) : 12;
		const char *close = *from == '&' ? memchr(from, ';', ahead) : NULL;
		uint32_t point = close ? entity_value(from + 1, (size_t)(close - from - 1)) : 0;

		if (point) {
			to = utf8_put(to, point);
			from = close + 1;
		} else {
			*to++ = *from++;
		}
	}
	return (size_t)(to - start);
}

/* nginx writes `</a>`, spaces, "15-Jan-2024 10:00", spaces, and "123", "12K" or "-". */
static void details_read(struct scan *scan, uint64_t *ret_size, time_t *ret_mtime)
{
	uint64_t size = 0;
	const char *digits;
	size_t used;

	spaces_skip(scan);
	used = index_time_read(scan->at, scan_left(scan), "%d-%b-%Y %H:%M", ret_mtime);
	if (!used)
		return;
	scan->at += used;
	spaces_skip(scan);
	for (digits = scan->at; scan->at < scan->end && ascii_digit(*scan->at); scan->at++)
		if (__builtin_mul_overflow(size, 10, &size) ||
			__builtin_add_overflow(size, (uint64_t)(*scan->at - '0'), &size))
			return;
	if (scan->at == digits)
		return;
	if (scan->at == scan->end || ascii_space(*scan->at) || *scan->at == '<')
		*ret_size = size;
}

static int pending_report(
	struct index_reader *reader, struct scan *scan, const struct index_name *name, bool closed)
{
	uint64_t size = INDEX_SIZE_UNKNOWN;
	time_t mtime = INDEX_MTIME_UNKNOWN;

	if (closed)
		details_read(scan, &size, &mtime);
	return index_report(reader, name, size, mtime, NULL);
}

/* True: the link is an entry and now pending. */
static bool link_open(struct index_reader *reader, const struct tag *tag, struct index_name *ret)
{
	char link[LINK_MAX];
	size_t length = tag->href_length;
	enum index_link kind = INDEX_LINK_UNUSABLE;

	if (length <= sizeof(link)) {
		length = entities_decode(tag->href, length, link);
		kind = index_link_resolve(reader->page->path, link, length, ret);
	}
	reader->counts.skipped += kind == INDEX_LINK_UNUSABLE;
	return kind == INDEX_LINK_ENTRY;
}

int index_html_read(struct index_reader *reader)
{
	struct scan scan = {reader->page->bytes, reader->page->bytes + reader->page->length};
	struct index_name name;
	bool pending = false;
	int result = 0;

	while (!result && (scan.at = memchr(scan.at, '<', scan_left(&scan)))) {
		struct tag tag;

		scan.at++;
		if (scan_left(&scan) >= 3 && !memcmp(scan.at, "!--", 3)) {
			comment_skip(&scan);
			continue;
		}
		if (!tag_read(&scan, &tag))
			continue;
		if (ascii_equal(tag.name, tag.name_length, "base") && tag.href)
			return -EPROTO;
		raw_text_skip(&scan, &tag);
		if (!ascii_equal(tag.name, tag.name_length, "a"))
			continue;
		if (pending)
			result = pending_report(reader, &scan, &name, tag.closing);
		pending = !result && !tag.closing && tag.href && link_open(reader, &tag, &name);
	}
	if (pending)
		result = pending_report(reader, &scan, &name, false);
	return result;
}
