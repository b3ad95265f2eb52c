/*
 * escape.h - from a part of a key, between two slashes, to a name that a directory can have.
 *
 * A source's names are any bytes of any length; a file's name is 1 to 255 bytes, neither "." nor
 * "..", and ours is valid UTF-8 without control characters besides. Nearly all names are both, and
 * stay what they are (escape_is_needed). In the others
 *
 *	%{HEX}		stands for the bytes that can't be shown, two lower-case digits each
 *	%{}		is the empty name
 *	%{+}		ends a name whose rest is a name inside the directory of this one
 *	%{object}	ends the name of an object which has the same key as a directory
 *
 * and a "%" in front of a "{" is among the bytes that can't be shown, so that what looks like one
 * of these is one. No two parts have the same names: SEMANTICS.md tells how to go back.
 *
 * Pure; any thread; nothing is allocated.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* One part on its way; zeroed but for the first three and the last. */
struct escape {
	const char *bytes; /* not NUL-terminated */
	size_t length;
	bool is_object;   /* a file beside a directory of the same name */
	size_t at;        /* bytes that the names so far stand for */
	bool done;        /* the last name was given */
	bool is_reserved; /* what would be its own name is somebody else's: its first byte is hex */
};

/* Else the part is its own, only name. */
bool escape_is_needed(const char *bytes, size_t length);

/* The next name, to be looked for inside the one before; false: there are no more. */
bool escape_next(struct escape *escape, char name[NAME_MAX + 1]);
