/*
 * option_value.c - values as people write them. Owns nothing, pure, any thread.
 *
 * strtoull(3) was rejected as the door: it takes blanks, signs ("-1" is 2^64 - 1) and nothing at
 * all.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "option_value.h"

static const char too_large[] = "is too large";

/* Moves *text behind the digits. NULL, or too_large; *ret_digits tells whether there were any. */
static const char *digits_read(const char **text, uint64_t *ret, bool *ret_digits)
{
	const char *start = *text;
	uint64_t value = 0;

	for (; **text >= '0' && **text <= '9'; ++*text)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return too_large;
	*ret_digits = *text != start;
	*ret = value;
	return NULL;
}

const char *value_uint(const char *text, uint64_t *ret)
{
	uint64_t value;
	bool digits;

	if (digits_read(&text, &value, &digits))
		return too_large;
	if (!digits || *text)
		return "is not a number";
	*ret = value;
	return NULL;
}

const char *value_decimal(const char *text, uint64_t *ret)
{
	static const char otherwise[] = "is not an amount; write a number, as 12 or 0.0004";
	uint64_t whole, part = 0, unit = 1000000;
	bool digits;

	if (digits_read(&text, &whole, &digits))
		return too_large;
	if (!digits || (*text == '.' && !text[1]))
		return otherwise;
	for (text += *text == '.'; *text >= '0' && *text <= '9' && unit > 1; text++) {
		unit /= 10;
		part += (uint64_t)(*text - '0') * unit;
	}
	if (*text)
		return otherwise;
	if (__builtin_mul_overflow(whole, 1000000, &whole) ||
		__builtin_add_overflow(whole, part, &whole))
		return too_large;
	*ret = whole;
	return NULL;
}

const char *value_mode(const char *text, uint64_t *ret)
{
	size_t length = strspn(text, "01234567");
	uint64_t mode = strtoul(text, NULL, 8);

	if (length == 0 || length > 4 || text[length] || mode > 0777)
		return "is not a mode; write octal digits, as 0644";
	*ret = mode;
	return NULL;
}

const char *value_id(const char *text, uint64_t *ret)
{
	if (strcmp(text, "self") != 0)
		return value_uint(text, ret);
	*ret = UINT64_MAX;
	return NULL;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {{"", 1}, {"K", UINT64_C(1) << 10},
	{"M", UINT64_C(1) << 20}, {"G", UINT64_C(1) << 30}, {"T", UINT64_C(1) << 40},
	{"k", UINT64_C(1) << 10}, {"m", UINT64_C(1) << 20}, {"g", UINT64_C(1) << 30},
	{"t", UINT64_C(1) << 40}, {NULL, 0}};

static const struct unit duration_units[] = {
	{"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S}, {NULL, 0}};

static const char *value_with_unit(
	const char *text, const struct unit *units, const char *otherwise, uint64_t *ret)
{
	uint64_t value;
	bool digits;

	if (digits_read(&text, &value, &digits))
		return too_large;
	while (units->name && strcmp(units->name, text))
		units++;
	if (!digits || (!units->name && (value || *text)))
		return otherwise;
	if (units->name && __builtin_mul_overflow(value, units->factor, &value))
		return too_large;
	*ret = value;
	return NULL;
}

const char *value_size(const char *text, uint64_t *ret_bytes)
{
	return value_with_unit(
		text, size_units, "is not a size; write a number with K, M, G or T", ret_bytes);
}

const char *value_duration(const char *text, uint64_t *ret_ns)
{
	return value_with_unit(
		text, duration_units, "is not a duration; write a number with us, ms or s", ret_ns);
}

const char *value_range(const char *text, struct range *ret)
{
	static const char otherwise[] = "is not a range; write FIRST-LAST or FIRST-";
	struct range range = {0, UINT64_MAX};
	bool digits;

	if (digits_read(&text, &range.start, &digits))
		return too_large;
	if (!digits || *text++ != '-')
		return otherwise;
	if (*text) {
		if (digits_read(&text, &range.end, &digits) || range.end == UINT64_MAX)
			return too_large;
		if (!digits || *text)
			return otherwise;
		range.end++;
	}
	if (range_empty(range))
		return "is not a range: it ends before it starts";
	*ret = range;
	return NULL;
}
