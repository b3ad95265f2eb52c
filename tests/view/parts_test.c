/*
 * parts_test.c - the pure parts of `pagein view`: cells, rows, lines, places, needles, numbers.
 */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "cells.h"
#include "goto.h"
#include "hex.h"
#include "keys.h"
#include "lines.h"
#include "needle.h"
#include "prompt.h"
#include "sight.h"
#include "status.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- cells -------------------------------------------------------------------------------- */

/* All cells' text of the first row, in UTF-8. */
static char *row_text(const struct row *row, char *to, size_t size)
{
	*to = '\0';
	for (size_t i = 0; i < row->count; i++) {
		size_t length = strlen(to);

		snprintf(to + length, size - length, "%ls", row->cells[i].text);
	}
	return to;
}

static void bytes_become_cells(void **state)
{
	static const struct {
		const char *bytes, *utf8, *plain;
		unsigned columns; /* of utf8 */
	} table[] = {
		{"abc", "abc", "abc", 3},
		{"a\tb", "a       b", "a       b", 9},
		{"\x1b[1m\x07\x7f", "^[[1m^G^?", "^[[1m^G^?", 9},
		{"\xc3\xa9", "\xc3\xa9", "<c3><a9>", 1},
		{"\xe4\xb8\xad!", "\xe4\xb8\xad!", "<e4><b8><ad>!", 3},
		{"e\xcc\x81x", "e\xcc\x81x", "e<cc><81>x", 2},
		/* nothing to combine with */
		{"\xcc\x81x", "<U+0301>x", "<cc><81>x", 9},
		{"\x1b\xcc\x81", "^[<U+0301>", "^[<cc><81>", 10},
		{"\xe2\x80\xae", "<U+202E>", "<e2><80><ae>", 8},
		{"\xe2\x80\x8b\xef\xbb\xbf", "<U+200B><U+FEFF>", "<e2><80><8b><ef><bb><bf>", 16},
		{"\xc2\x9b", "<U+009B>", "<c2><9b>", 8},
		{"\xf3\xa0\x81\x81", "<U+E0041>", "<f3><a0><81><81>", 9},
		/* overlong, a surrogate, too large, cut off */
		{"\xc0\x80\xe0\x80\x80", "<c0><80><e0><80><80>", "<c0><80><e0><80><80>", 20},
		{"\xed\xa0\x80", "<ed><a0><80>", "<ed><a0><80>", 12},
		{"\xf4\x90\x80\x80", "<f4><90><80><80>", "<f4><90><80><80>", 16},
		{"a\xe4\xb8", "a<e4><b8>", "a<e4><b8>", 9},
		/* more than a cell takes */
		{"e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
			"e\xcc\x81\xcc\x81\xcc\x81\xcc\x81<U+0301>",
			"e<cc><81><cc><81><cc><81><cc><81><cc><81>", 9},
	};
	static struct row row;
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct text_style style = {.columns = 200, .is_folded = true, .is_utf8 = true};
		size_t length = strlen(table[i].bytes);
		const uint8_t *bytes = (const uint8_t *)table[i].bytes;

		assert_int_equal(text_row(&style, bytes, length, 7, &row), length);
		assert_string_equal(row_text(&row, text, sizeof text), table[i].utf8);
		assert_int_equal(row.columns, table[i].columns);
		style.is_utf8 = false;
		assert_int_equal(text_row(&style, bytes, length, 7, &row), length);
		assert_string_equal(row_text(&row, text, sizeof text), table[i].plain);
	}
}

/* Whatever the bytes are: rows are as wide as they may be, take bytes, and show nothing raw. */
static void any_bytes_make_rows(void **state)
{
	static struct row row;
	uint8_t bytes[4096];

	(void)state;
	srandom(1);
	for (unsigned round = 0; round < 300; round++) {
		struct text_style style = {.columns = 1 + round % 90,
			.left = round % 3 ? 0 : round % 50,
			.is_folded = round % 3,
			.is_utf8 = round % 2};
		size_t length = 1 + (size_t)random() % (sizeof bytes - 1), at = 0;

		for (size_t i = 0; i < length; i++)
			bytes[i] = (uint8_t)(random() % 3 ? random() : 0xcc + random() % 8);
		for (size_t i = 0; i < length; i++)
			bytes[i] = bytes[i] == '\n' ? '\t' : bytes[i];
		while (at < length) {
			size_t used = text_row(&style, bytes + at, length - at, at, &row);
			unsigned columns = 0;

			assert_true(used > 0 && used <= length - at);
			for (size_t i = 0; i < row.count; i++) {
				columns += row.cells[i].columns;
				assert_true(row.cells[i].text[0] >= ' ');
				assert_true(
					row.cells[i].text[0] < 0x7f || row.cells[i].text[0] > 0x9f);
				assert_true(row.cells[i].at >= at && row.cells[i].at < at + used);
			}
			assert_true(columns == row.columns && columns <= style.columns);
			at += used;
		}
	}
}

static void hexadecimal_rows(void **state)
{
	static struct row row;
	struct hex_style style = hex_style(80, UINT64_C(1) << 40);
	char text[256];

	(void)state;
	assert_int_equal(style.bytes, 16);
	assert_int_equal(style.digits, 10);
	hex_row(&style, (const uint8_t *)"ab\x1b\xff", 4, 0x1230, NULL, &row);
	assert_string_equal(row_text(&row, text, sizeof text),
		"0000001230  61 62 1b ff                                       ab..");
	hex_row(&style, NULL, 16, 0x1240, "HTTP 503", &row);
	assert_string_equal(row_text(&row, text, sizeof text),
		"0000001240  ?? ?? ?? ?? ?? ?? ?? ??  ?? ?? ?? ?? ?? ?? ?? ??  HTTP 503");
	assert_int_equal(hex_style(200, 1).bytes, 32);
	assert_int_equal(hex_style(79, 1).bytes, 16);
	assert_int_equal(hex_style(40, 1).bytes, 4);
	assert_int_equal(hex_style(5, UINT64_MAX).bytes, 1);
	assert_int_equal(hex_style(5, UINT64_MAX).digits, 16);
}

/* ---- lines -------------------------------------------------------------------------------- */

static struct sight sight;

/* newline_of: one byte in so many is a newline; 0: none. */
static void sight_make(size_t length, unsigned newline_of)
{
	sight = (struct sight){.size = length, .length = length};
	memset(sight.states, PAGE_READY, sizeof sight.states);
	for (size_t i = 0; i < length; i++)
		sight.bytes[i] = newline_of && random() % newline_of == 0 ? '\n'
				 : random() % 5 == 0                      ? 0xa9
									  : 'x';
}

/* A walk forward over lines meets each byte once, and going back from any of them finds the same.
 */
static void lines_are_the_same_from_both_sides(void **state)
{
	static const unsigned densities[] = {0, 40, 3000, 9000, 30000, 100000};

	(void)state;
	srandom(2);
	for (size_t i = 0; i < COUNT(densities); i++) {
		for (unsigned failed = 0; failed < 3; failed++) {
			uint64_t start = 0, end, found;

			sight_make(sizeof sight.bytes - 1000, densities[i]);
			for (unsigned j = 0; j < failed; j++)
				sight.states[random() % SIGHT_PAGES] = PAGE_FAILED;
			while (start < sight.size) {
				assert_int_equal(line_end(&sight, start, &end), 0);
				assert_true(end > start && end <= sight.size);
				assert_true(end - start < 2 * LINE_CUT_BYTES + 4);
				for (uint64_t at = start; at < end; at += 1 + (end - at) / 3) {
					assert_int_equal(line_start(&sight, at, &found), 0);
					assert_int_equal(found, start);
				}
				start = end;
			}
		}
	}
}

static void what_is_not_there_is_asked_for(void **state)
{
	uint64_t found;

	(void)state;
	sight_make(sizeof sight.bytes, 0);
	sight.states[3] = PAGE_ABSENT;
	assert_int_equal(line_start(&sight, 5 * PAGE_BYTES, &found), -EAGAIN);
	assert_int_equal(sight.missing, 4 * PAGE_BYTES - 1);
	assert_int_equal(line_end(&sight, PAGE_BYTES, &found), -EAGAIN);
	assert_int_equal(found, 3 * PAGE_BYTES);
	assert_int_equal(sight.missing, 3 * PAGE_BYTES);
	sight.bytes[4 * PAGE_BYTES + 17] = '\n';
	assert_int_equal(line_start(&sight, 5 * PAGE_BYTES, &found), 0);
	assert_int_equal(found, 4 * PAGE_BYTES + 18);
}

static void lines_have_numbers(void **state)
{
	static struct lines lines;
	uint64_t number, from, skip, start = 0, end;

	(void)state;
	srandom(3);
	sight_make(sizeof sight.bytes - 1, 60);
	sight.states[40] = PAGE_ABSENT;
	lines_init(&lines);
	lines_feed(&lines, &sight);
	assert_int_equal(lines.known, 40 * PAGE_BYTES);
	for (uint64_t i = 1; start < lines.known; i++, start = end) {
		(void)line_end(&sight, start, &end);
		assert_int_equal(lines_number(&lines, &sight, start, &number), 0);
		assert_int_equal(number, i);
		assert_int_equal(lines_find(&lines, i, &from, &skip), 0);
		assert_true(from <= start && start - from <= lines.spacing);
		for (; skip > 0; from++)
			skip -= sight.bytes[from] == '\n';
		assert_int_equal(from, start);
	}
	assert_int_equal(lines_find(&lines, lines.newlines + 2, &from, &skip), -ENOENT);
	assert_int_equal(lines_find(&lines, 0, &from, &skip), -ENOENT);
	assert_int_equal(lines_number(&lines, &sight, lines.known + 1, &number), -EAGAIN);
}

/* Memory stays the same, and places are still found. */
static void many_lines_have_numbers(void **state)
{
	static struct lines lines;
	uint64_t from, skip, pages = 3 * LINE_MARKS_MAX;

	(void)state;
	sight_make(sizeof sight.bytes, 0);
	for (size_t i = 0; i < SIGHT_PAGES; i++)
		sight.bytes[i * PAGE_BYTES + 5] = '\n';
	lines_init(&lines);
	sight.size = pages * PAGE_BYTES;
	for (; lines.known < sight.size; sight.start += sizeof sight.bytes)
		lines_feed(&lines, &sight);
	assert_int_equal(lines.newlines, pages);
	assert_int_equal(lines.spacing, 4 * PAGE_BYTES);
	for (uint64_t number = 2; number < pages; number += 977) {
		assert_int_equal(lines_find(&lines, number, &from, &skip), 0);
		assert_int_equal(from + (skip - 1) * PAGE_BYTES, (number - 2) * PAGE_BYTES);
		assert_true(skip <= lines.spacing / PAGE_BYTES);
	}
}

/* ---- places ------------------------------------------------------------------------------- */

static void places_are_read(void **state)
{
	static const struct {
		const char *text;
		enum place_kind kind;
		uint64_t value;
	} table[] = {
		{"0", PLACE_OFFSET, 0},
		{"4096", PLACE_OFFSET, 4096},
		{"0x1F", PLACE_OFFSET, 31},
		{"10K", PLACE_OFFSET, 10240},
		{"99T", PLACE_OFFSET, UINT64_C(1) << 40},
		{"+1K", PLACE_OFFSET, 2024},
		{"-0x10", PLACE_OFFSET, 984},
		{"-1M", PLACE_OFFSET, 0},
		{"50%", PLACE_OFFSET, UINT64_C(1) << 39},
		{"12.5%", PLACE_OFFSET, UINT64_C(1) << 37},
		{"0.000001%", PLACE_OFFSET, 10995},
		{"100%", PLACE_OFFSET, UINT64_C(1) << 40},
		{"$", PLACE_OFFSET, UINT64_C(1) << 40},
		{"end", PLACE_OFFSET, UINT64_C(1) << 40},
		{"L12", PLACE_LINE, 12},
		{"'a", PLACE_MARK, 'a'},
	};
	static const char *const wrong[] = {"", "x", "0x", "0xg", "1.5", "%", "101%", "1..5%",
		"5%%", ".5%", "+", "-", "+x", "L", "Lx", "'", "'ab", "99999999999999999999",
		"0x11111111111111111", "-5%"};
	uint64_t value;
	enum place_kind kind;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		const char *reason = goto_parse(
			table[i].text, 1000, UINT64_C(1) << 40, &kind, &value);

		if (reason)
			fail_msg("%s: %s", table[i].text, reason);
		assert_int_equal(kind, table[i].kind);
		assert_int_equal(value, table[i].value);
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (!goto_parse(wrong[i], 1000, UINT64_C(1) << 40, &kind, &value))
			fail_msg("'%s' is a place", wrong[i]);
}

/* ---- needles ------------------------------------------------------------------------------ */

static void needles_are_found(void **state)
{
	static const char text[] = "one two\nthree one\n\0one\xff\n\none";
	static const struct {
		enum needle_kind kind;
		const char *needle;
		size_t from, to;
		bool is_backward;
		int at; /* -1: nowhere */
		size_t length;
	} table[] = {
		{NEEDLE_TEXT, "one", 0, 28, false, 0, 3},
		{NEEDLE_TEXT, "one", 1, 28, false, 14, 3},
		{NEEDLE_TEXT, "one", 1, 14, false, -1, 0},
		{NEEDLE_TEXT, "one", 0, 28, true, 25, 3},
		{NEEDLE_TEXT, "one", 0, 25, true, 19, 3},
		{NEEDLE_BYTES, "6f 6e65FF", 0, 28, false, 19, 4},
		{NEEDLE_BYTES, "0x000a", 0, 28, false, -1, 0},
		{NEEDLE_BYTES, "0a006f", 0, 28, false, 17, 3},
		{NEEDLE_REGEX, "^o", 0, 28, false, 0, 1},
		{NEEDLE_REGEX, "^o", 1, 28, false, 25, 1},
		{NEEDLE_REGEX, "one$", 0, 28, false, 14, 3},
		{NEEDLE_REGEX, "o.*", 0, 28, false, 0, 7},
		{NEEDLE_REGEX, "o.*", 1, 8, true, 6, 1},
		{NEEDLE_REGEX, "t(w|h)", 0, 28, true, 8, 2},
		{NEEDLE_REGEX, "one.three", 0, 28, false, -1, 0},
	};
	static const struct haystack stack = {(const uint8_t *)text, sizeof text - 1, true, true};
	struct needle needle;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		size_t at, length;
		bool is_found;

		assert_null(needle_compile(table[i].kind, table[i].needle, &needle));
		is_found = needle_find(&needle, &stack, table[i].from, table[i].to,
			table[i].is_backward, &at, &length);
		if (is_found != (table[i].at >= 0) ||
			(is_found && (at != (size_t)table[i].at || length != table[i].length)))
			fail_msg("%s from %zu: %d at %zu, %zu bytes", table[i].needle,
				table[i].from, is_found, at, length);
		needle_finish(&needle);
	}
	assert_non_null(needle_compile(NEEDLE_BYTES, "1", &needle));
	assert_non_null(needle_compile(NEEDLE_BYTES, "xx", &needle));
	assert_non_null(needle_compile(NEEDLE_BYTES, " ", &needle));
	assert_non_null(needle_compile(NEEDLE_TEXT, "", &needle));
	assert_non_null(needle_compile(NEEDLE_REGEX, "(", &needle));
}

/* In a line that has no end a match is found wherever pieces meet. */
static void a_needle_is_found_in_an_endless_line(void **state)
{
	size_t size = 200000, at, length;
	uint8_t *bytes = calloc(1, size + 1);
	struct haystack stack = {bytes, size, false, false};
	struct needle needle;

	(void)state;
	assert_non_null(bytes);
	assert_null(needle_compile(NEEDLE_REGEX, "a[0-9]+b", &needle));
	for (size_t place = 32700; place < 33000; place += 7) {
		memset(bytes, 'x', size);
		memcpy(bytes + place, "a0123456789b", 12);
		assert_true(needle_find(&needle, &stack, 1, size, false, &at, &length));
		assert_int_equal(at, place);
		assert_true(needle_find(&needle, &stack, 1, size, true, &at, &length));
		assert_int_equal(at, place);
		assert_int_equal(length, 12);
	}
	needle_finish(&needle);
	free(bytes);
}

/* ---- words and keys ----------------------------------------------------------------------- */

static void a_prompt_is_edited(void **state)
{
	static const char *const keys[] = {"abc", "a\177bc\b\b", "a\xc3\xa9\177", "xyz\025ab"};
	static const char *const texts[] = {"abc", "", "a", "ab"};
	struct prompt prompt;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		prompt_begin(&prompt, PROMPT_GOTO);
		for (const char *key = keys[i]; *key; key++)
			assert_int_equal(prompt_key(&prompt, (unsigned char)*key), PROMPT_GOES_ON);
		assert_string_equal(prompt.text, texts[i]);
		assert_int_equal(prompt_key(&prompt, '\n'), PROMPT_DONE);
	}
	for (unsigned i = 0; i < 2 * PROMPT_MAX; i++)
		assert_int_equal(prompt_key(&prompt, 'x'), PROMPT_GOES_ON);
	assert_int_equal(strlen(prompt.text), PROMPT_MAX - 1);
	assert_int_equal(prompt_key(&prompt, 0x1b), PROMPT_GIVEN_UP);
	prompt_begin(&prompt, PROMPT_GOTO);
	assert_int_equal(prompt_key(&prompt, 0x7f), PROMPT_GIVEN_UP);
}

/* However narrow: it fits, and the offset is left. */
static void a_status_fits(void **state)
{
	struct status status = {.name = "a-rather-long-name-of-an-object",
		.version = "\"5e-0123456789abcdef\"",
		.offset = 0x123456789,
		.end = UINT64_C(1) << 39,
		.size = UINT64_C(1) << 40,
		.line = 77,
		.news = {.requests = 12, .bytes_fetched = 123456, .latency_ns = 10500000}};
	char words[STATUS_MAX];

	(void)state;
	assert_string_equal(status_print(&status, 200, words),
		"a-rather-long-name-of-an-object  \"5e-0123456789abcdef\"  0x123456789/1.0T  50%  "
		"line 77  12 req  120.6K fetched  10.5 ms");
	for (unsigned columns = 20; columns < 200; columns++) {
		status_print(&status, columns, words);
		assert_true(strlen(words) < columns);
		assert_non_null(strstr(words, "0x123456789/1.0T"));
	}
}

static void each_key_does_one_thing(void **state)
{
	(void)state;
	for (size_t i = 0; i < key_row_count; i++)
		for (size_t j = 0; j < KEYS_OF_ROW && key_rows[i].keys[j]; j++)
			assert_int_equal(key_command(key_rows[i].keys[j]), key_rows[i].command);
	assert_int_equal(key_command('Z'), COMMAND_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_become_cells),
		cmocka_unit_test(any_bytes_make_rows),
		cmocka_unit_test(hexadecimal_rows),
		cmocka_unit_test(lines_are_the_same_from_both_sides),
		cmocka_unit_test(what_is_not_there_is_asked_for),
		cmocka_unit_test(lines_have_numbers),
		cmocka_unit_test(many_lines_have_numbers),
		cmocka_unit_test(places_are_read),
		cmocka_unit_test(needles_are_found),
		cmocka_unit_test(a_needle_is_found_in_an_endless_line),
		cmocka_unit_test(a_prompt_is_edited),
		cmocka_unit_test(a_status_fits),
		cmocka_unit_test(each_key_does_one_thing),
	};

	/* Widths of characters are the locale's. */
	if (!setlocale(LC_CTYPE, "C.UTF-8")) {
		fprintf(stderr, "skipped: no locale C.UTF-8\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
