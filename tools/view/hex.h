/*
 * hex.h - rows of hexadecimal digits beside the characters. Pure; any thread.
 */
#pragma once

#include "cells.h"

/* Which part of a row is what. */
struct hex_style {
	unsigned columns; /* of the terminal */
	unsigned digits;  /* of an offset */
	unsigned bytes;   /* of a row: 32, 16, 8, 4, 2 or 1 */
};

/* For an object of that size. */
struct hex_style hex_style(unsigned columns, uint64_t size);

/*
 * Fills row with style->bytes bytes from the object's byte `at` on, of which there are only length.
 * words: why they are not to be had, in place of their characters ("" in all rows but a page's
 * first); NULL: they are.
 */
void hex_row(const struct hex_style *style, const uint8_t *bytes, size_t length, uint64_t at,
	const char *words, struct row *row);
