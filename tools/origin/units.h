/* units.h - sizes and durations as people write them. Pure; any thread; 0 or -errno. */
#pragma once

#include <stdint.h>

/* Decimal digits only, to the end of text; -ERANGE past 2^64 - 1. */
int origin_parse_number(const char *text, uint64_t *ret);

/* "4096", "64K", "1MiB" (binary), "80MB" (decimal). */
int origin_parse_size(const char *text, uint64_t *ret);

/* "10ms", "20s": the unit must be there (ns, us, ms, s, m, h), but for "0". */
int origin_parse_duration(const char *text, uint64_t *ret_ns);
