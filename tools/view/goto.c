/*
 * goto.c - reads the answer to "go to:". Pure.
 */
#include "goto.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "option_value.h"

#define PERCENT_SCALE 1000000 /* parts of a per cent */

static const char *number_parse(const char *text, uint64_t *ret)
{
	char *end;

	if (text[0] != '0' || (text[1] | 0x20) != 'x')
		return value_size(text, ret);
	if (!isxdigit((unsigned char)text[2]))
		return "has no digits";
	errno = 0;
	*ret = strtoull(text + 2, &end, 16);
	return *end ? "is not a hexadecimal number" : errno ? "is too large" : NULL;
}

static const char *percent_parse(const char *text, uint64_t size, uint64_t *ret)
{
	uint64_t parts = 0, scale = PERCENT_SCALE;
	size_t point = strcspn(text, ".%");

	if (point == 0 || point > 3 || strspn(text, "0123456789.") != strlen(text) - 1)
		return "is not a percentage";
	for (size_t i = 0; i < point; i++)
		parts = parts * 10 + (uint64_t)(text[i] - '0') * PERCENT_SCALE;
	text += point + (text[point] == '.');
	for (; isdigit((unsigned char)*text) && scale > 1; text++)
		parts += (uint64_t)(*text - '0') * (scale /= 10);
	if (parts > UINT64_C(100) * PERCENT_SCALE || *text != '%')
		return "is not a percentage";
	*ret = (uint64_t)((unsigned __int128)size * parts / (100 * PERCENT_SCALE));
	return NULL;
}

static const char *relative_parse(const char *text, uint64_t here, uint64_t *ret)
{
	uint64_t distance;
	const char *reason = number_parse(text + 1, &distance);

	if (reason)
		return reason;
	if (*text == '-')
		*ret = distance < here ? here - distance : 0;
	else
		*ret = distance < UINT64_MAX - here ? here + distance : UINT64_MAX;
	return NULL;
}

const char *goto_parse(const char *text, uint64_t here, uint64_t size, enum place_kind *ret_kind,
	uint64_t *ret_value)
{
	size_t length = strlen(text);
	const char *reason = NULL;

	*ret_kind = PLACE_OFFSET;
	if (length == 0)
		return "is empty";
	if (text[0] == '\'' && length == 2) {
		*ret_kind = PLACE_MARK;
		*ret_value = (unsigned char)text[1];
		return NULL;
	}
	if (text[0] == 'L' || text[0] == 'l') {
		*ret_kind = PLACE_LINE;
		return value_uint(text + 1, ret_value);
	}
	if (strcmp(text, "$") == 0 || strcmp(text, "end") == 0)
		*ret_value = size;
	else if (text[0] == '+' || text[0] == '-')
		reason = relative_parse(text, here, ret_value);
	else if (text[length - 1] == '%')
		reason = percent_parse(text, size, ret_value);
	else
		reason = number_parse(text, ret_value);
	if (!reason && *ret_value > size)
		*ret_value = size;
	return reason;
}
