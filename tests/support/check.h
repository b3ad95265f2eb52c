/*
 * check.h - cmocka, with the headers that it wants before it, and the few checks that it lacks.
 *
 * Nothing here may be called from a thread other than the test's own: a failing assertion jumps.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first. */
#include <cmocka.h>

#include "sanitizer.h"

#define array_len(array) (sizeof(array) / sizeof *(array))

/* Numbers of a known seed: the same run every time. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* For main(): all tests of the array, or those whose name matches the pattern in TEST. */
#define run_group(tests) \
	(cmocka_set_test_filter(getenv("TEST")), cmocka_run_group_tests(tests, NULL, NULL))

/* Says why, and skips. */
#define skip_because(...)                                 \
	do {                                              \
		fprintf(stderr, "skipped: " __VA_ARGS__); \
		fputc('\n', stderr);                      \
		skip();                                   \
	} while (0)
