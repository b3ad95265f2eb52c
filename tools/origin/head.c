/*
 * head.c - builds the head of an answer.
 *
 * One thread; no allocation but for a head which is meant to be huge. Invariant: every value lies
 * in the arena or outlives the head. Numbers are written by hand: snprintf() would be the most
 * expensive call of the process on the way of a 4 KiB answer.
 */
#include "head.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{204, "No Content"},
	{205, "Reset Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{410, "Gone"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{416, "Range Not Satisfiable"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

const char *origin_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Scripted";
}

void origin_head_init(struct head *head, int status)
{
	memset(head, 0, offsetof(struct head, fields));
	head->status = status;
}

void origin_head_add(struct head *head, const char *name, const char *value)
{
	if (head->count == ORIGIN_FIELDS_MAX)
		return;
	head->fields[head->count++] = (struct head_field){
		.name = name,
		.value = value,
		.name_length = strlen(name),
		.value_length = strlen(value),
	};
}

void origin_head_drop(struct head *head, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < head->count; i++)
		if (strcasecmp(head->fields[i].name, name))
			head->fields[kept++] = head->fields[i];
	head->count = kept;
}

void origin_head_set(struct head *head, const char *name, const char *value)
{
	origin_head_drop(head, name);
	origin_head_add(head, name, value);
}

static void arena_text(struct head *head, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(head->arena) - head->arena_used)
		len = sizeof(head->arena) - head->arena_used;
	memcpy(head->arena + head->arena_used, text, len);
	head->arena_used += len;
}

static void arena_number(struct head *head, uint64_t value)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	arena_text(head, p);
}

static void arena_finish(struct head *head, const char *name, size_t start)
{
	if (head->arena_used == sizeof(head->arena))
		head->arena_used--;
	head->arena[head->arena_used++] = '\0';
	origin_head_add(head, name, head->arena + start);
}

void origin_head_add_number(struct head *head, const char *name, uint64_t value)
{
	size_t start = head->arena_used;

	arena_number(head, value);
	arena_finish(head, name, start);
}

void origin_head_add_content_range(struct head *head, uint64_t first, uint64_t last, uint64_t size)
{
	size_t start = head->arena_used;

	arena_text(head, "bytes ");
	arena_number(head, first);
	arena_text(head, "-");
	arena_number(head, last);
	arena_text(head, "/");
	arena_number(head, size);
	arena_finish(head, "Content-Range", start);
}

void origin_head_add_unsatisfied(struct head *head, uint64_t size)
{
	size_t start = head->arena_used;

	arena_text(head, "bytes */");
	arena_number(head, size);
	arena_finish(head, "Content-Range", start);
}

static const char interim_line[] = "HTTP/1.1 103 Early Hints\r\n\r\n";
static const char flood_line[] = "X-Flood: 0123456789abcdef0123456789abcdef\r\n";
static const char long_name[] = "X-Long: ";
static const char nul_line[] = "X-Nul: a\0b\r\n";
/* Around values, where any number of either is allowed (RFC 9110 section 5.5). */
static const char odd_before[] = ":\t \t", odd_after[] = " \t ";

/* An upper bound. */
static size_t head_size(const struct head *head)
{
	size_t size = 128 + (head->status_line ? strlen(head->status_line) : 0);

	for (size_t i = 0; i < head->count; i++)
		size += head->fields[i].name_length + head->fields[i].value_length + 4 +
			sizeof odd_before + sizeof odd_after;
	size += head->interim * strlen(interim_line) + head->flood * strlen(flood_line);
	if (head->long_field)
		size += head->long_field + strlen(long_name) + 2;
	if (head->nul_field)
		size += sizeof nul_line;
	return size;
}

static char *put(char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	return out + len;
}

static char *put_status_line(const struct head *head, char *out)
{
	char code[4] = {(char)('0' + head->status / 100 % 10), (char)('0' + head->status / 10 % 10),
		(char)('0' + head->status % 10), ' '};

	if (head->status_line) {
		out = put(out, head->status_line, strlen(head->status_line));
	} else {
		const char *reason = origin_reason(head->status);

		out = put(out, head->http10 ? "HTTP/1.0 " : "HTTP/1.1 ", 9);
		out = put(out, code, sizeof(code));
		out = put(out, reason, strlen(reason));
	}
	return put(out, "\r\n", 2);
}

static char *put_extremes(const struct head *head, char *out)
{
	for (unsigned i = 0; i < head->flood; i++)
		out = put(out, flood_line, strlen(flood_line));
	if (head->long_field) {
		out = put(out, long_name, strlen(long_name));
		memset(out, 'x', head->long_field);
		out = put(out + head->long_field, "\r\n", 2);
	}
	if (head->nul_field)
		out = put(out, nul_line, sizeof nul_line - 1);
	return out;
}

/* "cOnTeNt-LeNgTh:<tab> <tab>5 <tab> " */
static char *put_odd_field(const struct head_field *field, char *out)
{
	for (size_t i = 0; i < field->name_length; i++) {
		char c = field->name[i];

		*out++ = (char)(i % 2 ? toupper(c) : tolower(c));
	}
	out = put(out, odd_before, strlen(odd_before));
	out = put(out, field->value, field->value_length);
	return put(out, odd_after, strlen(odd_after));
}

static char *put_field(const struct head *head, const struct head_field *field, char *out)
{
	if (head->odd_case) {
		out = put_odd_field(field, out);
	} else {
		out = put(out, field->name, field->name_length);
		out = put(out, ": ", 2);
		out = put(out, field->value, field->value_length);
	}
	return put(out, "\r\n", 2);
}

long origin_head_write(const struct head *head, char *room, size_t room_size, char **ret)
{
	size_t size = head_size(head);
	char *start = size <= room_size ? room : malloc(size);
	char *out = start;

	if (!start)
		return -ENOMEM;
	for (unsigned i = 0; i < head->interim; i++)
		out = put(out, interim_line, strlen(interim_line));
	out = put_status_line(head, out);
	for (size_t i = 0; i < head->count; i++)
		out = put_field(head, &head->fields[i], out);
	out = put_extremes(head, out);
	out = put(out, "\r\n", 2);
	*ret = start;
	return out - start;
}
