/*
 * request.c - from the bytes of a request's head to a struct request.
 *
 * Pure, in place, no allocation: field values are terminated where they lie. Strict about what
 * decides the framing (two Host or Content-Length fields, a body of unknown length), lenient where
 * RFC 9112 allows it (a bare LF, empty lines before the request).
 */
#include "request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "units.h"

static const char *const field_names[FIELD_COUNT] = {
	[FIELD_AUTHORIZATION] = "Authorization",
	[FIELD_HOST] = "Host",
	[FIELD_CONNECTION] = "Connection",
	[FIELD_RANGE] = "Range",
	[FIELD_IF_RANGE] = "If-Range",
	[FIELD_IF_MATCH] = "If-Match",
	[FIELD_IF_NONE_MATCH] = "If-None-Match",
	[FIELD_IF_MODIFIED_SINCE] = "If-Modified-Since",
	[FIELD_IF_UNMODIFIED_SINCE] = "If-Unmodified-Since",
	[FIELD_CONTENT_LENGTH] = "Content-Length",
	[FIELD_TRANSFER_ENCODING] = "Transfer-Encoding",
	[FIELD_EXPECT] = "Expect",
};

size_t origin_request_length(const char *text, size_t len, size_t *scanned)
{
	const char *end = text + len;
	const char *line = text + *scanned;
	const char *feed;

	while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
		/* Empty lines before the request line don't end the head. */
		if ((feed == line || (feed == line + 1 && *line == '\r')) && line != text)
			return (size_t)(feed + 1 - text);
		line = feed + 1;
		*scanned = (size_t)(line - text);
	}
	return 0;
}

static bool is_token(const char *text, size_t len)
{
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return true;
}

/* The next line without its end, terminated; NULL at the empty line. */
static char *next_line(char **cursor)
{
	char *line = *cursor;
	char *feed = strchr(line, '\n');

	if (!feed)
		return NULL;
	*cursor = feed + 1;
	if (feed > line && feed[-1] == '\r')
		feed--;
	*feed = '\0';
	return *line ? line : NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode_path(const char *target, struct request *request)
{
	size_t len = 0;

	for (const char *p = target; *p; p++) {
		char c = *p;

		if (c == '%') {
			int high = hex_digit(p[1]);
			int low = high < 0 ? -1 : hex_digit(p[2]);

			if (low < 0)
				return 400;
			c = (char)(high << 4 | low);
			p += 2;
		}
		if (!c)
			return 400;
		if (len + 1 >= ORIGIN_PATH_SIZE)
			return 414;
		request->path[len++] = c;
	}
	request->path[len] = '\0';
	request->path_length = len;
	/* Decoded first, so that no spelling of it gets through. */
	for (const char *p = request->path; (p = strstr(p, "/..")); p += 3)
		if (p[3] == '/' || !p[3])
			return 400;
	return 0;
}

static int parse_target(char *target, struct request *request)
{
	char *query = strpbrk(target, "?#");

	request->query = query ? query + 1 : "";
	if (query)
		*query = '\0';
	/* The absolute form, which a proxy's client sends, and every server must take. */
	if (!strncasecmp(target, "http://", 7)) {
		static char top[] = "/";
		char *slash = strchr(target + 7, '/');

		target = slash ? slash : top;
	}
	if (!strcmp(target, "*") && request->method == METHOD_OTHER) {
		request->target = "*";
		return decode_path("/", request);
	}
	if (*target != '/')
		return 400;
	request->target = target;
	return decode_path(target, request);
}

static int parse_request_line(char *line, struct request *request)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version || !is_token(line, (size_t)(target - line)))
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strncmp(version, "HTTP/", 5) || version[5] < '0' || version[5] > '9' ||
		version[6] != '.' || version[7] < '0' || version[7] > '9' || version[8])
		return 400;
	if (version[5] != '1')
		return 505;
	request->minor = version[7] - '0';
	request->method_name = line;
	request->method = !strcmp(line, "GET")    ? METHOD_GET
			  : !strcmp(line, "HEAD") ? METHOD_HEAD
			  : !strcmp(line, "PUT")  ? METHOD_PUT
						  : METHOD_OTHER;
	return parse_target(target, request);
}

static int parse_field(char *line, struct request *request)
{
	char *colon = strchr(line, ':');
	char *value, *end;
	size_t len;

	/* A line that begins with a space folds the one before: obsolete, and refused. */
	if (!colon || !is_token(line, (size_t)(colon - line)))
		return 400;
	len = (size_t)(colon - line);
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	if (strchr(value, '\r'))
		return 400;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strncasecmp(field_names[i], line, len) || field_names[i][len])
			continue;
		if (request->fields[i] && (i == FIELD_HOST || i == FIELD_CONTENT_LENGTH))
			return 400;
		request->fields[i] = value;
		break;
	}
	return 0;
}

/* Is option among the comma-separated ones? */
static bool has_option(const char *list, const char *option)
{
	size_t len = strlen(option);

	while (list && *list) {
		list += strspn(list, " \t,");
		if (!strncasecmp(list, option, len) && strchr(" \t,", list[len]))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

static int check_framing(struct request *request)
{
	const char *length = request->fields[FIELD_CONTENT_LENGTH];
	const char *connection = request->fields[FIELD_CONNECTION];

	if (request->minor >= 1 && !request->fields[FIELD_HOST])
		return 400;
	request->keep_alive = request->minor >= 1 ? !has_option(connection, "close")
						  : has_option(connection, "keep-alive");
	request->content_length = 0;
	if (length && origin_parse_number(length, &request->content_length))
		return 400;
	if (request->fields[FIELD_TRANSFER_ENCODING])
		return length ? 400 : 501;
	request->has_body = request->content_length > 0;
	return 0;
}

int origin_request_parse(char *text, size_t len, struct request *request)
{
	char *cursor = text;
	char *line;
	int status;

	memset(request, 0, offsetof(struct request, path));
	if (memchr(text, '\0', len))
		return 400;
	line = next_line(&cursor);
	status = line ? parse_request_line(line, request) : 400;
	/* The head ends with an empty line within len, so no line is looked for past it. */
	while (!status && (line = next_line(&cursor)))
		status = parse_field(line, request);
	return status ? status : check_framing(request);
}
