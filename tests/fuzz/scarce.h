/*
 * scarce.h - memory that runs out: in the code under test, the n-th allocation from now on fails,
 * and those after it succeed again. scarce.c wraps (--wrap) malloc, calloc, strdup, strndup and
 * asprintf.
 */
#pragma once

#include <stdbool.h>

void scarce_begin(unsigned n); /* 0: the next one */
/* Has it come to that? No more fail. */
bool scarce_end(void);
