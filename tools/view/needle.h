/*
 * needle.h - what is searched for, and where it is in bytes at hand. Pure; a needle may be used by
 * one thread at a time.
 */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEEDLE_BYTES_MAX 256
/* A match of a regular expression is within a line, and within so many bytes of it. */
#define NEEDLE_LINE_MAX 32768
#define NEEDLE_OVERLAP 4096

enum needle_kind { NEEDLE_TEXT, NEEDLE_REGEX, NEEDLE_BYTES, NEEDLE_KINDS };

struct needle {
	enum needle_kind kind;
	size_t length; /* of bytes; not of a regular expression */
	uint8_t bytes[NEEDLE_BYTES_MAX];
	regex_t regex;
};

/* For prompts: "text", "regex", "bytes". */
const char *needle_kind_name(enum needle_kind kind);

/* NULL, and it is for needle_finish(); or what is wrong, good until the next call. */
const char *needle_compile(enum needle_kind kind, const char *text, struct needle *ret);
void needle_finish(struct needle *needle);

/* Bytes of which one has to know what is behind a place to say that nothing begins there. */
size_t needle_reach(const struct needle *needle);

struct haystack {
	const uint8_t
		*bytes; /* with a NUL behind them, for those that check what regexec(3) reads */
	size_t length;
	bool starts_line, ends_line; /* a line begins at its beginning, ends at its end */
};

/*
 * The first match that begins at bytes[from .. to), or the last one: its place and length. It may
 * end anywhere in the haystack.
 */
bool needle_find(const struct needle *needle, const struct haystack *stack, size_t from, size_t to,
	bool is_backward, size_t *ret_at, size_t *ret_length);
