/*
 * lines.h - numbers of lines, which are known from the object's beginning on, as far as it was seen
 * without a gap. Pure; of one thread.
 *
 * A mark says how many newlines there are before it. When there is no room for more, every second
 * one goes, so that the memory is the same for all objects: 64 KiB.
 */
#pragma once

#include "sight.h"

#define LINE_MARKS_MAX 8192

struct lines {
	uint64_t known;    /* bytes: whole pages, or all */
	uint64_t newlines; /* in them */
	uint64_t spacing;  /* bytes from mark to mark */
	size_t count;
	uint64_t marks[LINE_MARKS_MAX];
};

void lines_init(struct lines *lines);
/* Goes on as far as the sight has pages. */
void lines_feed(struct lines *lines, const struct sight *sight);
/* The number, from 1 on, of the line that the byte at is in. -EAGAIN: not known */
int lines_number(const struct lines *lines, const struct sight *sight, uint64_t at, uint64_t *ret);
/*
 * Where to look for the beginning of a line: *ret_skip newlines behind *ret_from, less than a
 * spacing. -ENOENT: it is not known; so many lines are: lines->newlines + 1.
 */
int lines_find(const struct lines *lines, uint64_t number, uint64_t *ret_from, uint64_t *ret_skip);
