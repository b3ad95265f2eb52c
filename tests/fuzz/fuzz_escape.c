/*
 * fuzz_escape.c - any bytes as a part of a key: its names can be names of files, and lead back to
 * it. The first byte says if it is an object beside a directory.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "escape.h"
#include "unescape.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_name(const char *name)
{
	size_t length = strlen(name);

	assert(length > 0 && length <= NAME_MAX);
	assert(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	for (size_t i = 0; i < length; i++)
		assert((unsigned char)name[i] >= ' ' && name[i] != 0x7f && name[i] != '/');
	/* It is shown as it is, so that it must be text. */
	assert(!escape_is_needed(name, length) || strstr(name, "%{"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	bool is_object = len > 0 && bytes[0] & 1;
	struct escape escape = {
		.bytes = (const char *)bytes + (len > 0),
		.length = len - (len > 0),
		.is_object = is_object,
	};
	enum unescaped kind = UNESCAPED_MORE;
	char *back = malloc(len + 1);
	size_t length = 0, names = 0;
	char name[NAME_MAX + 1];

	while (escape_next(&escape, name)) {
		assert(kind == UNESCAPED_MORE);
		check_name(name);
		kind = unescape(name, back, &length);
		names++;
	}
	assert(kind == (is_object ? UNESCAPED_OBJECT : UNESCAPED_WHOLE));
	assert(length == escape.length && memcmp(back, escape.bytes, length) == 0);
	if (!is_object && !escape_is_needed(escape.bytes, length))
		assert(names == 1 && strlen(name) == length && memcmp(name, back, length) == 0);
	free(back);
	return 0;
}
