/*
 * s3_json.h - what those who read secrets from JSON have in common. Any thread.
 */
#pragma once

#include <jansson.h>
#include <string.h>

/* Overwrites the strings of an object, and of objects that are in it, before they are freed. */
static inline void s3_json_overwrite(json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (json_is_string(value))
			explicit_bzero((char *)json_string_value(value), json_string_length(value));
		else if (json_is_object(value))
			s3_json_overwrite(value);
	}
}

/* For cleanup(). jansson bounds the depth that it parses. */
static inline void s3_json_wipe(json_t **root)
{
	if (json_is_object(*root))
		s3_json_overwrite(*root);
	json_decref(*root);
}

/* NULL: no such member, or not a string. A string that holds a NUL does not parse at all. */
static inline const char *s3_json_member(const json_t *root, const char *name)
{
	return json_string_value(json_object_get(root, name));
}
