/*
 * needle.c - text, bytes and regular expressions in a buffer.
 *
 * Pure. Text and bytes are memmem(3). Regular expressions are POSIX's extended ones, in the user's
 * locale, asked a line at a time: regexec(3) takes memory in proportion to what it is given, and a
 * match is within a line anyway. NULs are bytes as others (REG_STARTEND). A piece of an overlong
 * line is looked at with NEEDLE_OVERLAP of what follows, so that a match is missed only if it is
 * longer.
 */
#include "needle.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *needle_kind_name(enum needle_kind kind)
{
	static const char *const names[] = {"text", "regex", "bytes"};

	return names[kind];
}

/* "1b5b31", "1b 5b 31", "0x1b 5b" */
static const char *bytes_compile(const char *text, struct needle *ret)
{
	if (text[0] == '0' && (text[1] | 0x20) == 'x')
		text += 2;
	while (*text) {
		char pair[3] = {text[0], text[0] ? text[1] : '\0', '\0'};
		unsigned byte;

		if (*text == ' ') {
			text++;
			continue;
		}
		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]))
			return "bytes are pairs of hexadecimal digits";
		if (ret->length == NEEDLE_BYTES_MAX)
			return "too many bytes";
		sscanf(pair, "%2x", &byte);
		ret->bytes[ret->length++] = (uint8_t)byte;
		text += 2;
	}
	return ret->length > 0 ? NULL : "nothing to search for";
}

const char *needle_compile(enum needle_kind kind, const char *text, struct needle *ret)
{
	static char words[128];
	size_t length = strlen(text);
	int err;

	*ret = (struct needle){.kind = kind};
	if (length == 0)
		return "nothing to search for";
	if (kind == NEEDLE_BYTES)
		return bytes_compile(text, ret);
	if (kind == NEEDLE_REGEX) {
		err = regcomp(&ret->regex, text, REG_EXTENDED | REG_NEWLINE);
		if (err == 0)
			return NULL;
		regerror(err, &ret->regex, words, sizeof words);
		return words;
	}
	if (length > NEEDLE_BYTES_MAX)
		return "too long";
	memcpy(ret->bytes, text, length);
	ret->length = length;
	return NULL;
}

void needle_finish(struct needle *needle)
{
	if (needle->kind == NEEDLE_REGEX)
		regfree(&needle->regex);
}

size_t needle_reach(const struct needle *needle)
{
	return needle->kind == NEEDLE_REGEX ? NEEDLE_OVERLAP : needle->length - 1;
}

/* The next match at or behind from, before to. */
static bool literal_next(const struct needle *needle, const struct haystack *stack, size_t from,
	size_t to, size_t *ret_at, size_t *ret_length)
{
	const uint8_t *found;

	if (from >= to)
		return false;
	found = memmem(stack->bytes + from, stack->length - from, needle->bytes, needle->length);
	*ret_at = found ? (size_t)(found - stack->bytes) : to;
	*ret_length = needle->length;
	return *ret_at < to;
}

/* In the line, or the piece of one, that begins at bytes[line]. */
static bool regex_in_line(const struct needle *needle, const struct haystack *stack, size_t line,
	size_t end, size_t from, size_t *ret_at, size_t *ret_length)
{
	regmatch_t match = {.rm_so = (regoff_t)(from - line), .rm_eo = (regoff_t)(end - line)};
	bool is_start = line > 0 ? stack->bytes[line - 1] == '\n' : stack->starts_line;
	bool is_end = end < stack->length ? stack->bytes[end] == '\n' : stack->ends_line;
	int flags = REG_STARTEND | (is_start ? 0 : REG_NOTBOL) | (is_end ? 0 : REG_NOTEOL);

	if (regexec(&needle->regex, (const char *)stack->bytes + line, 1, &match, flags) != 0)
		return false;
	*ret_at = line + (size_t)match.rm_so;
	*ret_length = (size_t)(match.rm_eo - match.rm_so);
	return true;
}

static size_t line_begin(const struct haystack *stack, size_t at)
{
	size_t floor = at > NEEDLE_OVERLAP ? at - NEEDLE_OVERLAP : 0;
	const uint8_t *newline = memrchr(stack->bytes + floor, '\n', at - floor);

	return newline ? (size_t)(newline - stack->bytes) + 1 : floor;
}

static bool regex_next(const struct needle *needle, const struct haystack *stack, size_t from,
	size_t to, size_t *ret_at, size_t *ret_length)
{
	size_t line = line_begin(stack, from);

	while (from < to) {
		size_t most = stack->length - from;
		const uint8_t *newline;
		size_t end, piece_end;

		most = most < NEEDLE_LINE_MAX ? most : NEEDLE_LINE_MAX;
		newline = memchr(stack->bytes + from, '\n', most);
		piece_end = newline ? (size_t)(newline - stack->bytes) : from + most;
		end = piece_end;
		if (!newline && piece_end < stack->length) {
			size_t more = stack->length - piece_end;

			more = more < NEEDLE_OVERLAP ? more : NEEDLE_OVERLAP;
			newline = memchr(stack->bytes + piece_end, '\n', more);
			end = newline ? (size_t)(newline - stack->bytes) : piece_end + more;
			newline = NULL;
		}
		if (regex_in_line(needle, stack, line, end, from, ret_at, ret_length) &&
			*ret_at <= piece_end)
			return *ret_at < to;
		from = piece_end + (newline ? 1 : 0);
		line = newline ? from : line_begin(stack, from);
		if (!newline && from == stack->length)
			return false;
	}
	return false;
}

bool needle_find(const struct needle *needle, const struct haystack *stack, size_t from, size_t to,
	bool is_backward, size_t *ret_at, size_t *ret_length)
{
	__auto_type next = needle->kind == NEEDLE_REGEX ? regex_next : literal_next;
	size_t at, length;
	bool is_found = false;

	while (next(needle, stack, from, to, &at, &length)) {
		*ret_at = at;
		*ret_length = length;
		is_found = true;
		if (!is_backward)
			break;
		from = at + 1;
	}
	return is_found;
}
