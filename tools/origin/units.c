/*
 * units.c - numbers with a unit. Pure; both kinds are a number and a row of a table.
 *
 * strtoull() is not used: it takes signs, spaces and octal, and tells a wrap from a number by
 * errno.
 */
#include "units.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "clock.h"

struct unit {
	const char *name;
	uint64_t factor;
};

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

static const struct unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"K", KIB},
	{"KiB", KIB},
	{"KB", 1000},
	{"M", MIB},
	{"MiB", MIB},
	{"MB", 1000 * 1000},
	{"G", GIB},
	{"GiB", GIB},
	{"GB", 1000 * 1000 * 1000},
	{"T", TIB},
	{"TiB", TIB},
	{"TB", UINT64_C(1000) * 1000 * 1000 * 1000},
	{NULL, 0},
};

static const struct unit duration_units[] = {
	{"ns", 1},
	{"us", NS_PER_US},
	{"ms", NS_PER_MS},
	{"s", NS_PER_S},
	{"m", 60 * NS_PER_S},
	{"h", 3600 * NS_PER_S},
	{NULL, 0},
};

static int parse_digits(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	*text = p;
	*ret = value;
	return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t value;
	int err = parse_digits(&text, &value);

	if (err)
		return err;
	for (; units->name; units++)
		if (!strcasecmp(units->name, text))
			return __builtin_mul_overflow(value, units->factor, ret) ? -ERANGE : 0;
	return -EINVAL;
}

int origin_parse_number(const char *text, uint64_t *ret)
{
	int err = parse_digits(&text, ret);

	if (err)
		return err;
	return *text ? -EINVAL : 0;
}

int origin_parse_size(const char *text, uint64_t *ret)
{
	return parse_with_unit(text, size_units, ret);
}

int origin_parse_duration(const char *text, uint64_t *ret_ns)
{
	if (!strcmp(text, "0")) {
		*ret_ns = 0;
		return 0;
	}
	return parse_with_unit(text, duration_units, ret_ns);
}
