/*
 * keys.h - keys that S3 takes and others stumble over.
 */
#pragma once

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N50 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define N250 N50 N50 N50 N50 N50

static const char *const keys[] = {"a//b", "a///c", "//d", "/lead", "/", "//", "trail/", "trail//",
	"x/../y", "x/./y", "..", ".", "../up", "./here", "x/..", "x/.", "key", "key/", "key/sub",
	"\x01", "ctl\x01\x1f\x7f", "line\nbreak", "tab\tcr\r", "sp ace+plus%25%", "?q=1&r#h",
	"<a>&\"'", "back\\slash", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "\xc2\x85",
	N250 "1234567890", N250 N250 N250 N250 "12345678901234567890", "*~()!$,;=:@[]{}|^`",
	"con%2Fcat", "%2e%2e/z", "%{2e}", "%{}", "key%{object}", "\x01%{+}/a"};

/* The target of a request for it, encoded behind the prefix; malloc'd. */
static inline char *key_target(const char *prefix, const char *key)
{
	size_t len = strlen(prefix);
	char *target = malloc(len + 3 * strlen(key) + 1);

	strcpy(target, prefix);
	for (; *key; key++) {
		bool is_plain = isalnum((unsigned char)*key) || strchr("-_.~/", *key);

		len += (size_t)sprintf(
			target + len, is_plain ? "%c" : "%%%02X", (unsigned char)*key);
	}
	target[len] = '\0';
	return target;
}
