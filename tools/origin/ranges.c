/*
 * ranges.c - reads Range fields as RFC 9110 section 14 defines them. Pure; any thread.
 *
 * A server may ignore any Range, and must ignore what it can't parse; it may answer several ranges
 * with the whole. Positions past 2^64 are clamped, for a valid range does not become malformed by
 * being large.
 */
#include "ranges.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool parse_position(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			value = UINT64_MAX;
	if (p == *text)
		return false;
	*text = p;
	*ret = value;
	return true;
}

static bool parse_one(const char **text, struct range_spec *ret)
{
	if (**text == '-') {
		++*text;
		ret->kind = RANGE_SUFFIX;
		return parse_position(text, &ret->first);
	}
	ret->kind = RANGE_BOUNDED;
	ret->last = UINT64_MAX;
	if (!parse_position(text, &ret->first) || *(*text)++ != '-')
		return false;
	if (**text >= '0' && **text <= '9' && !parse_position(text, &ret->last))
		return false;
	return ret->first <= ret->last;
}

struct range_spec origin_range_parse(const char *value)
{
	static const struct range_spec none = {.kind = RANGE_NONE};
	struct range_spec spec = none;
	const char *p;

	if (!value || strncasecmp(value, "bytes=", 6))
		return none;
	/* A list may have empty elements; exactly one other is served as a range. */
	p = value + 6;
	p += strspn(p, " \t,");
	if (!parse_one(&p, &spec))
		return none;
	p += strspn(p, " \t");
	if (*p && *p != ',')
		return none;
	p += strspn(p, " \t,");
	return *p ? none : spec;
}

int origin_range_resolve(struct range_spec spec, uint64_t size, struct range *ret)
{
	*ret = (struct range){.start = 0, .end = size};
	if (spec.kind == RANGE_NONE)
		return 200;
	if (spec.kind == RANGE_SUFFIX) {
		if (spec.first == 0)
			goto unsatisfiable;
		/* All of an empty object can be asked for, but no Content-Range says so. */
		if (size == 0)
			return 200;
		if (spec.first < size)
			ret->start = size - spec.first;
		return 206;
	}
	if (spec.first >= size)
		goto unsatisfiable;
	ret->start = spec.first;
	if (spec.last < size)
		ret->end = spec.last + 1;
	return 206;

unsatisfiable:
	ret->end = 0;
	return 416;
}
