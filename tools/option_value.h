/*
 * option_value.h - values as people write them: numbers, sizes, durations and ranges.
 *
 * Each function returns NULL and fills *ret, or returns what is wrong with text, which reads on
 * from
 * "'TEXT' " ("is not a number"), is constant, and leaves *ret alone. Decimal digits only: no sign,
 * no blanks, no fraction but of value_decimal(). Pure; any thread.
 */
#pragma once

#include "range.h"

const char *value_uint(const char *text, uint64_t *ret);

/* With up to six digits behind a '.': in millionths. */
const char *value_decimal(const char *text, uint64_t *ret);

/* Permissions, as chmod(1) has them: up to four octal digits, 0777 at the most. */
const char *value_mode(const char *text, uint64_t *ret);

/* A user's or group's number, or "self": then UINT64_MAX. */
const char *value_id(const char *text, uint64_t *ret);

/* A number of bytes, or of powers of 1024 with K, M, G or T behind it, in either case. */
const char *value_size(const char *text, uint64_t *ret_bytes);

/* A number with us, ms or s behind it; 0 needs none. */
const char *value_duration(const char *text, uint64_t *ret_ns);

/* FIRST-LAST, both included, or FIRST- for all the rest: then end is UINT64_MAX. */
const char *value_range(const char *text, struct range *ret);
