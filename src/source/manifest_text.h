/* manifest_text.h - what reading and writing a manifest's lines share. */
#pragma once

#include <jansson.h>
#include <stddef.h>

static inline void json_unref(json_t **value)
{
	json_decref(*value);
}

/* NULL: a right path; else why it is none. */
const char *manifest_path_check(const char *path, size_t length);
