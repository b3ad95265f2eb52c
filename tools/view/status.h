/*
 * status.h - the status line's words. Pure.
 */
#pragma once

#include <stddef.h>

#include "pages.h"

#define STATUS_MAX 2048

struct status {
	const char *name;
	const char *version;
	uint64_t offset, end, size; /* what is shown: offset to end */
	uint64_t line;              /* 0: not known */
	struct pages_news news;
};

/* As much as fits into so many columns, what matters most first; returns to. */
char *status_print(const struct status *status, unsigned columns, char to[STATUS_MAX]);
/* 1023, 1.5K, 20M */
char *status_bytes(uint64_t bytes, char to[16]);
