/* escape_test.c - which names parts of keys get; that they lead back is what fuzz_escape.c tells.
 */
#include "check.h"
#include "escape.h"
#include "unescape.h"

static struct escape part(const char *bytes, size_t length, bool is_object)
{
	return (struct escape){.bytes = bytes, .length = length, .is_object = is_object};
}

static void assert_name(const char *bytes, size_t length, bool is_object, const char *expected)
{
	struct escape escape = part(bytes, length, is_object);
	char name[NAME_MAX + 1];

	assert_true(escape_next(&escape, name));
	assert_string_equal(name, expected);
	assert_false(escape_next(&escape, name));
}

/* N2 */
static void ordinary_names_are_left_alone(void **state)
{
	static const char *const names[] = {"a", "...", ".hidden", "a b", "100%", "%7B", "a%2Fb",
		"date=2024-05-06", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "{x}", "%", "%%", "~",
		"\\", "%|{", "\xc2\xa0"};

	(void)state;
	for (size_t i = 0; i < array_len(names); i++) {
		assert_false(escape_is_needed(names[i], strlen(names[i])));
		assert_name(names[i], strlen(names[i]), false, names[i]);
	}
}

/* N3 */
static void others_are_escaped(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *name;
	} cases[] = {
		{"", 0, "%{}"},
		{".", 1, "%{2e}"},
		{"..", 2, "%{2e2e}"},
		{"a\nb", 3, "a%{0a}b"},
		{"\x01\x02\x7f", 3, "%{01027f}"},
		{"a\0b", 3, "a%{00}b"},
		{"caf\xe9.txt", 8, "caf%{e9}.txt"},
		{"\xc2\x9b", 2, "%{c29b}"},
		{"\xed\xa0\x80", 3, "%{eda080}"},
		{"\xc0\xaf", 2, "%{c0af}"},
		{"\xf4\x90\x80\x80", 4, "%{f4908080}"},
		{"\xe2\x82", 2, "%{e282}"},
		{"%{}", 3, "%{25}{}"},
		{"%{object}", 9, "%{25}{object}"},
		{"%%{", 3, "%%{25}{"},
		{"\x01%{", 3, "%{0125}{"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_true(escape_is_needed(cases[i].bytes, cases[i].length));
		assert_name(cases[i].bytes, cases[i].length, false, cases[i].name);
	}
}

static void an_object_beside_a_directory_says_so(void **state)
{
	(void)state;
	assert_name("a", 1, true, "a%{object}");
	assert_name("", 0, true, "%{}%{object}");
	assert_name("..", 2, true, "%{2e2e}%{object}");
}

static void long_names_are_cut_between_characters(void **state)
{
	char bytes[600], name[NAME_MAX + 1];
	struct escape escape;

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	memcpy(bytes + 250, "\xe2\x82\xac", 3);
	escape = part(bytes, sizeof bytes, false);
	assert_true(escape_next(&escape, name));
	assert_int_equal(strlen(name), 254);
	assert_memory_equal(name, bytes, 250);
	assert_string_equal(name + 250, "%{+}");
	assert_true(escape_next(&escape, name));
	assert_int_equal(strlen(name), 255);
	assert_memory_equal(name, "\xe2\x82\xacxx", 5);
	assert_string_equal(name + 251, "%{+}");
	assert_true(escape_next(&escape, name));
	assert_int_equal(strlen(name), 600 - 250 - 251);
	assert_false(escape_next(&escape, name));
}

static void what_fits_is_not_cut(void **state)
{
	char bytes[256], name[NAME_MAX + 1];
	struct escape escape;

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	escape = part(bytes, 255, false);
	assert_false(escape_is_needed(bytes, 255));
	assert_true(escape_next(&escape, name));
	assert_true(escape.done);
	escape = part(bytes, 256, false);
	assert_true(escape_next(&escape, name));
	assert_false(escape.done);
	/* With a directory beside it, it does not fit. */
	escape = part(bytes, 255, true);
	assert_true(escape_next(&escape, name));
	assert_false(escape.done);
	assert_true(escape_next(&escape, name));
	assert_string_equal(name, "xxxx%{object}");
}

/* N8: of all parts of up to four letters, of which some make escapes. */
static void no_two_parts_have_the_same_names(void **state)
{
	static const char letters[] = {'%', '{', '}', '.', '\x01', '+', '2', '5'};
	size_t count = 0;

	(void)state;
	for (unsigned length = 0; length <= 4; length++) {
		for (unsigned number = 0; number < 1u << (3 * length); number++) {
			char bytes[4], name[NAME_MAX + 1], back[NAME_MAX];
			struct escape escape = part(bytes, length, false);
			size_t back_length = 0;

			for (unsigned i = 0; i < length; i++)
				bytes[i] = letters[number >> (3 * i) & 7];
			assert_true(escape_next(&escape, name));
			assert_int_equal(unescape(name, back, &back_length), UNESCAPED_WHOLE);
			assert_int_equal(back_length, length);
			assert_memory_equal(back, bytes, length);
			count++;
		}
	}
	assert_int_equal(count, 1 + 8 + 64 + 512 + 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_names_are_left_alone),
		cmocka_unit_test(others_are_escaped),
		cmocka_unit_test(an_object_beside_a_directory_says_so),
		cmocka_unit_test(long_names_are_cut_between_characters),
		cmocka_unit_test(what_fits_is_not_cut),
		cmocka_unit_test(no_two_parts_have_the_same_names),
	};

	return run_group(tests);
}
