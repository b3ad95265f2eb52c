/*
 * index_json.c - the entries of nginx's `autoindex_format json`, and of caddy's file_server:
 *
 *    [ { "name":"a b", "type":"file", "mtime":"Mon, 15 Jan 2024 10:00:00 GMT", "size":3 }, ... ]
 *    [ { "name":"a b", "url":"./a%20b", "is_dir":false, "mod_time":"2024-01-15T10:00:00.123Z",
 *        "size":3 }, ... ]
 *
 * Caddy's names are not what they were where they were not UTF-8, so its links count. Its sizes of
 * directories mean nothing.
 *
 * The outer array is walked by hand and its elements are given to jansson one by one: a tree of a
 * whole hostile page ("[[],[],...") takes fifty times the page's memory, one of an element is
 * bounded, and an element that jansson can't represent costs that entry alone. Unknown members are
 * ignored.
 *
 * nginx writes the bytes of a name as they are, valid UTF-8 or not; jansson refuses a text which is
 * not. So such an element is parsed with each of its bytes from 0x80 to 0xff written as one of the
 * last 128 code points of Unicode, private and in use by nobody, and its name is translated back.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cleanup.h"
#include "index_private.h"

/* A name of 255 bytes is 1530 when all of it is \u00xx; the rest is room for members to come. */
#define ELEMENT_MAX ((size_t)64 << 10)

/* U+10FF80 + (byte - 0x80) in UTF-8 is f4 8f, be or bf, and six bits of the byte. */
#define ESCAPE_LENGTH 4

struct element {
	json_t *value; /* NULL: jansson can't represent it */
	bool escaped;
};

static void json_unref(json_t **value)
{
	json_decref(*value);
}

static size_t bytes_escape(const char *from, size_t length, char *to)
{
	char *start = to;

	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)from[i];

		if (byte < 0x80) {
			*to++ = from[i];
			continue;
		}
		*to++ = '\xf4';
		*to++ = '\x8f';
		*to++ = byte < 0xc0 ? '\xbe' : '\xbf';
		*to++ = (char)(0x80 | (byte & 0x3f));
	}
	return (size_t)(to - start);
}

/* What is longer than any name stays too long for one: the rest of it is dropped. */
static size_t bytes_unescape(const char *from, size_t length, char *to, size_t room)
{
	const char *end = from + length;
	size_t used = 0;

	while (from < end && used < room) {
		bool low = end - from >= ESCAPE_LENGTH && !memcmp(from, "\xf4\x8f\xbe", 3);
		bool high = end - from >= ESCAPE_LENGTH && !memcmp(from, "\xf4\x8f\xbf", 3);

		to[used++] = low ? from[3] : high ? (char)(from[3] | 0x40) : *from;
		from += low || high ? ESCAPE_LENGTH : 1;
	}
	return used;
}

/* "size" may be missing, for a directory; what is there must be a number that is a size. */
static bool size_read(const json_t *object, uint64_t *ret)
{
	const json_t *size = json_object_get(object, "size");

	*ret = INDEX_SIZE_UNKNOWN;
	if (!size)
		return true;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(size);
	return true;
}

/* "2024-01-15T10:00:00Z", with or without a fraction of a second. */
static bool iso_read(const char *text, size_t length, time_t *ret)
{
	size_t used = index_time_read(text, length, "%Y-%m-%dT%H:%M:%S", ret);

	if (used > 0 && used < length && text[used] == '.')
		for (used++; used < length && ascii_digit(text[used]);)
			used++;
	return used > 0 && length - used == 1 && text[used] == 'Z';
}

static bool mtime_read(const json_t *object, time_t *ret)
{
	const json_t *http = json_object_get(object, "mtime");
	const json_t *iso = json_object_get(object, "mod_time");
	const char *text = json_string_value(http ? http : iso);
	size_t length = json_string_length(http ? http : iso);
	bool right = true;

	*ret = INDEX_MTIME_UNKNOWN;
	if (!http && !iso)
		return true;
	if (!text)
		return false;
	right = http ? index_time_read(text, length, INDEX_HTTP_DATE, ret) == length
		     : iso_read(text, length, ret);
	if (!right)
		*ret = INDEX_MTIME_UNKNOWN;
	return true;
}

static bool name_read(const struct element *element, struct index_name *ret)
{
	const json_t *type = json_object_get(element->value, "type");
	const json_t *name = json_object_get(element->value, "name");
	char raw[INDEX_NAME_MAX + 1];
	const char *bytes = json_string_value(name);
	size_t length = json_string_length(name);
	bool is_dir;

	if (!json_is_string(name) || !json_is_string(type))
		return false;
	is_dir = !strcmp(json_string_value(type), "directory");
	if (!is_dir && strcmp(json_string_value(type), "file")) /* "other": a socket, a device */
		return false;
	if (element->escaped) {
		length = bytes_unescape(bytes, length, raw, sizeof(raw));
		bytes = raw;
	}
	return index_name_from_raw(bytes, length, is_dir, ret);
}

/* As name_read(), of an element that is caddy's. */
static enum index_link link_read(
	const char *path, const struct element *element, struct index_name *ret)
{
	const json_t *url = json_object_get(element->value, "url");
	const json_t *is_dir = json_object_get(element->value, "is_dir");
	enum index_link link;

	if (!json_is_string(url) || !json_is_boolean(is_dir))
		return INDEX_LINK_UNUSABLE;
	link = index_link_resolve(path, json_string_value(url), json_string_length(url), ret);
	if (link == INDEX_LINK_ENTRY && ret->is_dir != json_is_true(is_dir))
		return INDEX_LINK_UNUSABLE;
	return link;
}

static int element_report(struct index_reader *reader, const struct element *element)
{
	enum index_link link = INDEX_LINK_UNUSABLE;
	struct index_name name;
	uint64_t size;
	time_t mtime;

	if (json_object_get(element->value, "is_dir"))
		link = link_read(reader->page->path, element, &name);
	else if (name_read(element, &name))
		link = INDEX_LINK_ENTRY;
	if (link == INDEX_LINK_ENTRY && size_read(element->value, &size) &&
		mtime_read(element->value, &mtime))
		return index_report(reader, &name, size, mtime, NULL);
	reader->counts.skipped += link != INDEX_LINK_ELSEWHERE;
	return 0;
}

static int element_load(const char *text, size_t length, struct element *ret)
{
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	cleanup_free char *escaped = NULL;
	json_error_t error;

	ret->value = json_loadb(text, length, flags, &error);
	if (!ret->value && json_error_code(&error) == json_error_invalid_utf8) {
		escaped = malloc(length * ESCAPE_LENGTH);
		if (!escaped)
			return -ENOMEM;
		ret->escaped = true;
		length = bytes_escape(text, length, escaped);
		ret->value = json_loadb(escaped, length, flags, &error);
	}
	if (ret->value || json_error_code(&error) == json_error_numeric_overflow)
		return 0;
	return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EPROTO;
}

/* Where the element at text ends: before the ',' or the bracket behind it. NULL: nowhere near. */
static const char *element_end(const char *text, const char *end)
{
	size_t depth = 0;
	bool in_string = false, escaped = false;

	for (const char *at = text; at < end && (size_t)(at - text) < ELEMENT_MAX; at++) {
		if (in_string) {
			in_string = escaped || *at != '"';
			escaped = !escaped && *at == '\\';
			continue;
		}
		if (!depth && (*at == ',' || *at == ']' || *at == '}'))
			return at;
		in_string = *at == '"';
		depth += *at == '[' || *at == '{';
		depth -= *at == ']' || *at == '}';
	}
	return NULL;
}

static const char *space_skip(const char *at, const char *end)
{
	while (at < end && ascii_space(*at))
		at++;
	return at;
}

int index_json_read(struct index_reader *reader)
{
	const char *end = reader->page->bytes + reader->page->length;
	const char *at = space_skip(reader->page->bytes, end);
	bool more = true;

	if (at == end || *at++ != '[')
		return -EPROTO;
	at = space_skip(at, end);
	if (at < end && *at == ']') {
		at++;
		more = false;
	}
	while (more) {
		struct element element = {NULL};
		const char *close = element_end(at, end);
		cleanup(json_unref) json_t *value = NULL;
		int result;

		if (!close || *close == '}')
			return -EPROTO;
		result = element_load(at, (size_t)(close - at), &element);
		value = element.value;
		if (!result)
			result = element_report(reader, &element);
		if (result)
			return result;
		more = *close == ',';
		at = close + 1;
	}
	return space_skip(at, end) == end ? 0 : -EPROTO;
}
