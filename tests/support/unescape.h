/*
 * unescape.h - back from names to a part of a key, by the rules of src/fs/SEMANTICS.md and without
 * the code that made the names.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum unescaped {
	UNESCAPED_WHOLE,
	UNESCAPED_MORE,   /* the rest is in the next name */
	UNESCAPED_OBJECT, /* whole, and a file beside a directory */
};

/* Takes one name; what it stands for goes to bytes + *length, which has room for it. */
static inline enum unescaped unescape(const char *name, char *bytes, size_t *length)
{
	while (*name) {
		unsigned byte;

		if (strcmp(name, "%{+}") == 0)
			return UNESCAPED_MORE;
		if (strcmp(name, "%{object}") == 0)
			return UNESCAPED_OBJECT;
		if (strncmp(name, "%{", 2) != 0) {
			bytes[(*length)++] = *name++;
			continue;
		}
		for (name += 2; sscanf(name, "%2x", &byte) == 1 && *name != '}'; name += 2)
			bytes[(*length)++] = (char)byte;
		assert(*name == '}');
		name++;
	}
	return UNESCAPED_WHOLE;
}
