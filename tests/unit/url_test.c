/*
 * url_test.c - the parts of a URL, what of it may be told, who is the same server, and netrc files:
 * tables.
 */
#include <errno.h>

#include "check.h"
#include "cleanup.h"
#include "netrc.h"
#include "url.h"

static void what_is_told_has_no_secret(void **state)
{
	static const struct {
		const char *url, *told;
	} cases[] = {
		{"http://h/p", "http://h/p"},
		{"http://user:secret@h/p", "http://h/p"},
		{"http://user@h:1/p?secret#secret", "http://h:1/p"},
		{"http://user:s@cret@h/p", "http://h/p"},
		{"http://h/a@b", "http://h/a@b"},
		{"http://h?secret@x", "http://h"},
		{"manifest:https://user:secret@h/m^secret|/p", "manifest:https://h/m"},
		{"manifest:/m|/p#http://user:secret@h/", "manifest:/m|/p"},
		{"no url", "no url"},
		{"", ""},
	};
	struct url_told told;
	char long_url[400] = "http://user:secret@h/", small[8];

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_string_equal(url_tell(cases[i].url).text, cases[i].told);
	memset(long_url + strlen(long_url), 'x', sizeof long_url - 1 - strlen(long_url));
	told = url_tell(long_url);
	assert_int_equal(strlen(told.text), URL_TOLD_MAX);
	assert_string_equal(url_tell_in("http://u:p@host/path", small, sizeof small), "http://");
}

static void parts_are_decoded_and_plain(void **state)
{
	cleanup(url_finish) struct url url = {0};
	cleanup_free char *plain = NULL;

	(void)state;
	assert_int_equal(url_parse("http://us%65r:p%40ss@[::1]:81/a%20b?c#d", &url), 0);
	assert_string_equal(url.user, "user");
	assert_string_equal(url.password, "p@ss");
	assert_string_equal(url.host, "[::1]");
	assert_int_equal(url_plain(&url, &plain), 0);
	assert_string_equal(plain, "http://[::1]:81/a%20b?c");
}

static void servers_are_the_same_or_not(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"http://h/a", "http://H:80/b?c", true},
		{"https://h/", "https://u:p@h:443/", true},
		{"http://h/", "https://h/", false},
		{"http://h/", "http://h:81/", false},
		{"http://h/", "http://h2/", false},
		{"http://127.0.0.1/", "http://localhost/", false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(url_finish) struct url a = {0}, b = {0};

		assert_int_equal(url_parse(cases[i].a, &a), 0);
		assert_int_equal(url_parse(cases[i].b, &b), 0);
		assert_int_equal(url_same_server(&a, &b), cases[i].same);
	}
}

static void links_are_resolved(void **state)
{
	static const struct {
		const char *base, *link, *url;
	} cases[] = {
		{"http://h/a/m", "b", "http://h/a/b"},
		{"http://h/a/m?q", "../b", "http://h/b"},
		{"http://h/a/m", "/b", "http://h/b"},
		{"http://h/a/m", "//g/b", "http://g/b"},
		{"http://h/a/m", "https://g/b?c", "https://g/b?c"},
		{"file:///a/m", "b%20c", "file:///a/b%20c"},
		{"s3://b/a/m", "c", "s3://b/a/c"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup_free char *url = NULL;

		assert_int_equal(url_resolve(cases[i].base, cases[i].link, &url), 0);
		assert_string_equal(url, cases[i].url);
	}
}

/* ---- netrc -------------------------------------------------------------------------------- */

static void netrc_entries(void **state)
{
	static const struct {
		const char *text, *machine, *wanted;
		const char *login, *password; /* login NULL: no entry */
	} cases[] = {
		{"machine h login l password p", "h", NULL, "l", "p"},
		{"machine h login l password p", "H", NULL, "l", "p"},
		{"machine h login l password p", "g", NULL, NULL, NULL},
		{"machine g login x password y\nmachine h\n\tlogin l\n\tpassword p\n", "h", NULL,
			"l", "p"},
		{"default login d password e", "g", NULL, "d", "e"},
		{"default login d password e machine h login l password p", "h", NULL, "l", "p"},
		{"machine h login a password 1 machine h login b password 2", "h", "b", "b", "2"},
		{"machine h login a password 1", "h", "c", NULL, NULL},
		{"machine h login l password \"p \\\"\\\\\\t#\"", "h", NULL, "l", "p \"\\\t#"},
		{"machine h login l password #p", "h", NULL, "l", "#p"},
		{"# machine h login x password y\n  # z\nmachine h login l password p", "h", NULL,
			"l", "p"},
		{"machine h login l account a password p", "h", NULL, "l", "p"},
		{"macdef m\nmachine x\n\nmachine h login l password p", "h", NULL, "l", "p"},
		{"macdef m\n\nmachine h login l password p", "h", NULL, "l", "p"},
		{"macdef m\r\n\r\nmachine h login l password p\r\n", "h", NULL, "l", "p"},
		{"macdef m\r\nx\r\n\r\nmachine h login l password p\r\n", "h", NULL, "l", "p"},
		{"macdef m\nx\n \nmachine h login l password p", "h", NULL, NULL, NULL},
		{"macdef m machine h login l password p", "h", NULL, NULL, NULL},
		{"machine h password p", "h", NULL, "", "p"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		const struct netrc_entry *entry;
		struct netrc *netrc;
		unsigned line;

		if (netrc_parse(cases[i].text, strlen(cases[i].text), &netrc, &line) < 0)
			fail_msg("%s: line %u", cases[i].text, line);
		entry = netrc_find(netrc, cases[i].machine, cases[i].wanted);
		if (!entry != !cases[i].login)
			fail_msg("%s", cases[i].text);
		if (entry && cases[i].login[0])
			assert_string_equal(entry->login, cases[i].login);
		if (entry)
			assert_string_equal(entry->password, cases[i].password);
		netrc_destroy(netrc);
	}
}

static void netrc_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} cases[] = {
		{"machine", 1},
		{"login l", 1},
		{"machine h\nlogin", 2},
		{"machine h login l\n\nnonsense", 3},
		{"machine h login \"l\npassword p", 1},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct netrc *netrc;
		unsigned line;

		assert_int_equal(
			netrc_parse(cases[i].text, strlen(cases[i].text), &netrc, &line), -EINVAL);
		if (line != cases[i].line)
			fail_msg("%s: line %u", cases[i].text, line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_has_no_secret),
		cmocka_unit_test(parts_are_decoded_and_plain),
		cmocka_unit_test(servers_are_the_same_or_not),
		cmocka_unit_test(links_are_resolved),
		cmocka_unit_test(netrc_entries),
		cmocka_unit_test(netrc_refused),
	};

	return run_group(tests);
}
