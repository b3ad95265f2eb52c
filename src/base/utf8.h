/* utf8.h - which bytes are a character. Pure; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The bytes of the character at `at`, of which `left` are there, at least 1, and the character; 0:
 * not UTF-8 (RFC 3629: no surrogates, nothing overlong). */
size_t utf8_read(const unsigned char *at, size_t left, uint32_t *ret);
