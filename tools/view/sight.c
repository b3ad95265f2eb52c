/*
 * sight.c - finds lines in what has been fetched.
 *
 * Pure. The rule of sight.h is asked from both sides: line_start() goes back to it, line_end()
 * forward; both ask is_cut() where a long line is broken, so that they agree. What has not been
 * fetched before a line's known part counts as free of newlines: nobody who came by line_start() is
 * in that case.
 */
#include "sight.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum page_state sight_state(const struct sight *sight, uint64_t at)
{
	if (at < sight->start || at - sight->start >= sight->length)
		return PAGE_ABSENT;
	return (enum page_state)sight->states[(at - sight->start) / PAGE_BYTES];
}

const uint8_t *sight_at(const struct sight *sight, uint64_t at)
{
	assert(sight_state(sight, at) == PAGE_READY);
	return sight->bytes + (at - sight->start);
}

/*
 * Goes back from end to a byte behind which a line begins, but not further than to floor. 1: *ret
 * is that beginning; 0: there is none; -EAGAIN.
 */
static int search_back(struct sight *sight, uint64_t floor, uint64_t end, uint64_t *ret)
{
	while (end > floor) {
		uint64_t page = (end - 1) & ~(uint64_t)(PAGE_BYTES - 1);
		uint64_t from = page > floor ? page : floor;
		enum page_state state = sight_state(sight, end - 1);
		const uint8_t *newline;

		sight->missing = end - 1;
		if (state == PAGE_ABSENT)
			return -EAGAIN;
		*ret = end;
		if (state == PAGE_FAILED)
			return 1;
		newline = memrchr(sight_at(sight, from), '\n', (size_t)(end - from));
		if (newline) {
			*ret = from + (uint64_t)(newline - sight_at(sight, from)) + 1;
			return 1;
		}
		end = from;
	}
	return 0;
}

/*
 * A multiple of LINE_CUT_BYTES, moved behind the character that it would cut in two. Nothing is cut
 * at the object's beginning.
 */
static uint64_t cut_place(const struct sight *sight, uint64_t multiple)
{
	uint64_t at = multiple;

	while (multiple > 0 && at < multiple + 3 && at < sight->size &&
		sight_state(sight, at) == PAGE_READY && (*sight_at(sight, at) & 0xc0) == 0x80)
		at++;
	return at;
}

/* Is a line that goes on over this multiple broken there? *ret_start: else where it begins. */
static int is_cut(struct sight *sight, uint64_t multiple, uint64_t *ret_start)
{
	int found = multiple == 0
			    ? 0
			    : search_back(sight, multiple - LINE_CUT_BYTES, multiple, ret_start);

	return found < 0 ? found : !found;
}

int line_start(struct sight *sight, uint64_t at, uint64_t *ret_start)
{
	uint64_t multiple = at & ~(uint64_t)(LINE_CUT_BYTES - 1), start = 0;
	int found;

	if (at < sight->size && sight_state(sight, at) == PAGE_FAILED) {
		*ret_start = at & ~(uint64_t)(PAGE_BYTES - 1);
		return 0;
	}
	found = search_back(sight, multiple, at, ret_start);
	if (found != 0)
		return found < 0 ? found : 0;
	if (multiple > 0 && cut_place(sight, multiple) > at) {
		/* The rest of a character, which belongs to what is before it. */
		multiple -= LINE_CUT_BYTES;
		found = search_back(sight, multiple, multiple + LINE_CUT_BYTES, ret_start);
		if (found != 0)
			return found < 0 ? found : 0;
	}
	found = is_cut(sight, multiple, &start);
	if (found < 0)
		return found;
	*ret_start = found ? cut_place(sight, multiple) : start;
	return 0;
}

int line_end(struct sight *sight, uint64_t at, uint64_t *ret_end)
{
	uint64_t page_end;

	while (at < sight->size) {
		enum page_state state = sight_state(sight, at);
		const uint8_t *newline;

		page_end = (at | (PAGE_BYTES - 1)) + 1;
		page_end = page_end < sight->size ? page_end : sight->size;
		*ret_end = at;
		sight->missing = at;
		if (state == PAGE_ABSENT)
			return -EAGAIN;
		if (state == PAGE_FAILED) {
			*ret_end = page_end;
			return 0;
		}
		newline = memchr(sight_at(sight, at), '\n', (size_t)(page_end - at));
		*ret_end = newline ? at + (uint64_t)(newline - sight_at(sight, at)) + 1 : page_end;
		if (newline || *ret_end == sight->size ||
			sight_state(sight, page_end) == PAGE_FAILED)
			return 0;
		if (page_end % LINE_CUT_BYTES == 0) {
			uint64_t ignored;
			int cut = is_cut(sight, page_end, &ignored);

			*ret_end = cut_place(sight, page_end);
			if (cut != 0)
				return 0;
		}
		at = *ret_end;
	}
	*ret_end = sight->size;
	return 0;
}
