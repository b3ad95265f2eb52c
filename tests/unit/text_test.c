/* text_test.c - text in memory of its own (src/base/text.h). */
#include "check.h"

#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <wchar.h>

static void what_printf_would_write_is_in_memory_of_its_own(void **state)
{
	cleanup_free char *text = NULL;

	(void)state;
	assert_int_equal(text_print(&text, "%s-%u", "part", 7U), 0);
	assert_string_equal(text, "part-7");
}

static void a_failure_leaves_nothing_to_free(void **state)
{
	/* No character: the one thing that makes the C library fail without using up memory. */
	static const wchar_t wrong[] = {0x110000, 0};
	char *text = (char *)1;

	(void)state;
	assert_int_equal(text_print(&text, "%ls", wrong), -ENOMEM);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_printf_would_write_is_in_memory_of_its_own),
		cmocka_unit_test(a_failure_leaves_nothing_to_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
