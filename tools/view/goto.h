/*
 * goto.h - places in an object as people write them. Pure; any thread.
 */
#pragma once

#include <stdint.h>

enum place_kind {
	PLACE_OFFSET,
	PLACE_LINE, /* value: its number */
	PLACE_MARK, /* value: a letter */
};

/*
 * "4096", "0x1000", "10K", "1G": an offset; "+1M", "-0x20": from `here` on; "50%", "12.5%"; "$" or
 * "end"; "L120": a line; "'a": a bookmark. Offsets beyond the object's end are its end.
 *
 * NULL, or what is wrong with it.
 */
const char *goto_parse(const char *text, uint64_t here, uint64_t size, enum place_kind *ret_kind,
	uint64_t *ret_value);
