/*
 * index_link.c - from a link of an index page to a name in that directory, and back from a name to
 * a link. Pure functions on the caller's buffers; any thread; linear in the link.
 *
 * Rather than resolve a link as a browser does and then ask where it leads, this knows the few
 * forms in which a server names an entry (`name`, `name/`, `./name`, `/page/path/name`) and takes
 * nothing else. So there is no normalisation that could be talked into leaving the directory:
 *
 * L1 percent-encoding is decoded exactly once, and after the link was cut at its '/'
 * L2 a reported href is one segment of printable ASCII, fit for a request line as it stands
 * L3 decoding a reported href gives the reported name
 */
#include <string.h>

#include "index_private.h"

static int hex_value(char c)
{
	if (ascii_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at *at, which moves on by one or, when it was percent-encoded, by three; -1: a bad %XX.
 */
static int byte_take(const char **at, const char *end)
{
	const char *here = *at;
	int high, low;

	if (*here != '%') {
		*at = here + 1;
		return (unsigned char)*here;
	}
	if (end - here < 3)
		return -1;
	high = hex_value(here[1]);
	low = hex_value(here[2]);
	if (high < 0 || low < 0)
		return -1;
	*at = here + 3;
	return high << 4 | low;
}

/* What may stand in a path segment as it is: pchar of RFC 3986. */
static bool segment_literal(int byte)
{
	return (byte < 0x80 && (ascii_alpha((char)byte) || ascii_digit((char)byte))) ||
	       (byte && byte < 0x80 && strchr("-._~!$&'()*+,;=:@", byte));
}

static char *encode(char *to, int byte)
{
	static const char digits[] = "0123456789ABCDEF";

	*to++ = '%';
	*to++ = digits[byte >> 4];
	*to++ = digits[byte & 15];
	return to;
}

static bool name_finish(struct index_name *name, size_t length, char *href_end, bool is_dir)
{
	name->name[length] = 0;
	name->name_length = length;
	name->is_dir = is_dir;
	if (is_dir)
		*href_end++ = '/';
	*href_end = 0;
	return length && strcmp(name->name, ".") && strcmp(name->name, "..");
}

static bool name_from_segment(const char *at, const char *end, bool is_dir, struct index_name *ret)
{
	char *href = ret->href;
	size_t length = 0;

	while (at < end) {
		const char *start = at;
		int byte = byte_take(&at, end);
		bool encoded = at - start == 3;

		if (byte <= 0 || byte == '/' || length == INDEX_NAME_MAX)
			return false;
		/* A browser drops some raw control characters and encodes others: nobody means
		 * them. */
		if (!encoded && (byte < ' ' || byte == 0x7f))
			return false;
		ret->name[length++] = (char)byte;
		if (encoded)
			href = mempcpy(href, start, 3);
		else if (segment_literal(byte))
			*href++ = (char)byte;
		else
			href = encode(href, byte);
	}
	return name_finish(ret, length, href, is_dir);
}

bool index_name_from_raw(const char *name, size_t length, bool is_dir, struct index_name *ret)
{
	char *href = ret->href;

	if (length > INDEX_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		int byte = (unsigned char)name[i];

		if (!byte || byte == '/')
			return false;
		ret->name[i] = name[i];
		if (segment_literal(byte))
			*href++ = name[i];
		else
			href = encode(href, byte);
	}
	return name_finish(ret, length, href, is_dir);
}

/* Where the link goes on below the directory; NULL if it does not lie there. */
static const char *below_directory(const char *path, const char *link, const char *end)
{
	const char *path_end = path + strlen(path);

	while (path < path_end && link < end) {
		bool path_slash = *path == '/', link_slash = *link == '/';
		int byte = byte_take(&path, path_end);

		/* Servers differ in what they encode; but an encoded slash is no separator. */
		if (byte < 0 || byte != byte_take(&link, end) || path_slash != link_slash)
			return NULL;
	}
	return path == path_end ? link : NULL;
}

static bool has_scheme(const char *link, const char *end)
{
	const char *at = link;

	while (at < end && (ascii_alpha(*at) || ascii_digit(*at) || strchr("+-.", *at)) && *at)
		at++;
	return at > link && at < end && *at == ':' && ascii_alpha(*link);
}

enum index_link index_link_resolve(
	const char *path, const char *link, size_t length, struct index_name *ret)
{
	const char *end = link + length;
	const char *slash;
	bool is_dir;

	while (link < end && ascii_space(*link))
		link++;
	while (link < end && ascii_space(end[-1]))
		end--;
	length = (size_t)(end - link);
	if (memchr(link, '?', length) || memchr(link, '#', length) || has_scheme(link, end))
		return INDEX_LINK_ELSEWHERE;
	if (length >= 2 && !memcmp(link, "//", 2)) /* a host, even where the page's path looks so */
		return INDEX_LINK_ELSEWHERE;
	if (length && *link == '/')
		link = below_directory(path, link, end);
	if (!link)
		return INDEX_LINK_ELSEWHERE;
	while (end - link >= 2 && link[0] == '.' && link[1] == '/')
		link += 2;

	slash = memchr(link, '/', (size_t)(end - link));
	is_dir = slash && slash == end - 1;
	if (is_dir)
		end = slash;
	else if (slash)
		return INDEX_LINK_ELSEWHERE;
	length = (size_t)(end - link);
	if (!length || ascii_equal(link, length, ".") || ascii_equal(link, length, ".."))
		return INDEX_LINK_ELSEWHERE;
	return name_from_segment(link, end, is_dir, ret) ? INDEX_LINK_ENTRY : INDEX_LINK_UNUSABLE;
}
