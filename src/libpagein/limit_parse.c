/*
 * limit_parse.c - the memory limit as options and environment give it. On the caller's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "limit.h"

#define VARIABLE "PAGEIN_MEMORY"

/* "64M": digits, and K, M, G or T for powers of 1024. */
static bool parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	/* strtoull() takes signs and spaces, too. */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	if (*end == '\0')
		return true;
	unit = strchr(units, *end);
	if (!unit || end[1] != '\0')
		return false;
	return !__builtin_mul_overflow(*ret, UINT64_C(1) << 10 * (unit - units + 1), ret);
}

int limit_parse(const struct pagein_options *options, uint64_t *ret_bytes)
{
	const char *text = getenv(VARIABLE);
	uint64_t bytes = options ? options->memory : 0;

	if (bytes == 0 && text && *text && !parse_size(text, &bytes))
		return context_fail(-EINVAL,
			"open: " VARIABLE "=%.40s: not a number of bytes such as 67108864 or 64M",
			text);
	if (bytes == PAGEIN_NO_LIMIT)
		bytes = 0;
	*ret_bytes = bytes > 0 && bytes < LIMIT_MIN_BYTES ? LIMIT_MIN_BYTES : bytes;
	return 0;
}
