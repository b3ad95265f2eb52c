/*
 * lines.c - counts newlines in pages as they are seen. Pure; a page is counted once.
 */
#include "lines.h"

#include <errno.h>
#include <string.h>

static uint64_t newlines_count(const uint8_t *bytes, size_t length)
{
	uint64_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += bytes[i] == '\n';
	return count;
}

void lines_init(struct lines *lines)
{
	lines->known = lines->newlines = 0;
	lines->spacing = PAGE_BYTES;
	lines->count = 1;
	lines->marks[0] = 0;
}

static void mark_add(struct lines *lines)
{
	if (lines->count == LINE_MARKS_MAX) {
		for (size_t i = 0; i < LINE_MARKS_MAX / 2; i++)
			lines->marks[i] = lines->marks[2 * i];
		lines->count /= 2;
		lines->spacing *= 2;
	}
	if (lines->known == lines->count * lines->spacing)
		lines->marks[lines->count++] = lines->newlines;
}

void lines_feed(struct lines *lines, const struct sight *sight)
{
	while (lines->known < sight->size && sight_state(sight, lines->known) == PAGE_READY) {
		uint64_t left = sight->size - lines->known;
		size_t length = (size_t)(left < PAGE_BYTES ? left : PAGE_BYTES);

		lines->newlines += newlines_count(sight_at(sight, lines->known), length);
		lines->known += length;
		mark_add(lines);
	}
}

int lines_number(const struct lines *lines, const struct sight *sight, uint64_t at, uint64_t *ret)
{
	uint64_t mark = at / lines->spacing, from = mark * lines->spacing;

	if (at > lines->known || mark >= lines->count)
		return -EAGAIN;
	*ret = lines->marks[mark] + 1;
	while (from < at) {
		uint64_t end = (from | (PAGE_BYTES - 1)) + 1;

		end = end < at ? end : at;
		if (sight_state(sight, from) != PAGE_READY)
			return -EAGAIN;
		*ret += newlines_count(sight_at(sight, from), (size_t)(end - from));
		from = end;
	}
	return 0;
}

int lines_find(const struct lines *lines, uint64_t number, uint64_t *ret_from, uint64_t *ret_skip)
{
	size_t low = 0, high = lines->count;

	if (number == 0 || number - 1 > lines->newlines)
		return -ENOENT;
	/* The last mark with fewer newlines before it; the first if there is none. */
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (lines->marks[middle] < number - 1)
			low = middle;
		else
			high = middle;
	}
	*ret_from = low * lines->spacing;
	*ret_skip = number - 1 - lines->marks[low];
	return 0;
}
