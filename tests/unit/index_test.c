/*
 * index_test.c - what the reader of index pages reports, skips and refuses.
 *
 * data/ holds pages of nginx 1.22 for one directory of awkward names; the names and sizes expected
 * of them were read from that directory itself. Everything else is tables, and a mutation loop
 * that knows what must hold for any bytes at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "cleanup.h"
#include "index.h"

#define SEEN_MAX 64
#define DIRECTORY (INDEX_SIZE_UNKNOWN - 1)
#define JANUARY_2024 1705312800 /* 2024-01-15 10:00:00 UTC, as date(1) has it */

struct seen_entry {
	char name[INDEX_NAME_MAX + 1];
	char href[1024];
	uint64_t size;
	time_t mtime;
	bool is_dir;
};

struct seen {
	struct seen_entry entries[SEEN_MAX];
	size_t count;
	struct index_counts counts;
};

/* An independent decoder, which knows nothing of what is allowed. */
static size_t percent_decode(const char *href, char *to)
{
	char *start = to;
	unsigned byte;

	for (; *href; to++)
		if (sscanf(href, "%%%2x", &byte) == 1) {
			*to = (char)byte;
			href += 3;
		} else {
			*to = *href++;
		}
	return (size_t)(to - start);
}

/* What index.h promises of every entry of every page. */
static void entry_check(const struct index_entry *entry)
{
	char decoded[1024];
	size_t length = percent_decode(entry->href, decoded);

	assert_true(entry->name_length > 0 && entry->name_length <= INDEX_NAME_MAX);
	assert_int_equal(strlen(entry->name), entry->name_length);
	assert_null(strchr(entry->name, '/'));
	assert_string_not_equal(entry->name, ".");
	assert_string_not_equal(entry->name, "..");
	for (const char *at = entry->href; *at; at++)
		assert_true(*at > ' ' && *at < 0x7f && !strchr("?#\"<>\\^`{|}", *at));
	if (entry->is_dir) {
		assert_int_equal(decoded[--length], '/');
		assert_true(entry->size == INDEX_SIZE_UNKNOWN);
	}
	assert_int_equal(length, entry->name_length);
	assert_memory_equal(decoded, entry->name, length);
}

static int entry_collect(const struct index_entry *entry, void *context)
{
	struct seen *seen = context;
	struct seen_entry *to = &seen->entries[seen->count++];

	entry_check(entry);
	assert_true(seen->count <= SEEN_MAX);
	strcpy(to->name, entry->name);
	strcpy(to->href, entry->href);
	to->size = entry->size;
	to->mtime = entry->mtime;
	to->is_dir = entry->is_dir;
	return 0;
}

/* The bytes are handed over in an allocation of their own, so that ASan sees one read too many. */
static int parse(const char *bytes, size_t length, const char *type, const char *path,
	index_entry_fn *entry, void *context, struct index_counts *counts)
{
	cleanup_free char *copy = malloc(length + !length);
	struct index_page page = {copy, length, type, path};

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	return index_parse(&page, entry, context, counts);
}

static int collect(const char *text, const char *type, const char *path, struct seen *ret)
{
	memset(ret, 0, sizeof(*ret));
	return parse(text, strlen(text), type, path, entry_collect, ret, &ret->counts);
}

/* ---- the pages of a real nginx ---- */

#define X10 "xxxxxxxxxx"
#define X70 X10 X10 X10 X10 X10 X10 X10
#define X210 X70 X70 X70
#define E10 "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define E100 E10 E10 E10 E10 E10 E10 E10 E10 E10 E10

static const struct {
	const char *name;
	uint64_t size;
} served[] = {
	{"\x01"
	 "ctl",
		4},
	{"!e", 2},
	{"$d", 2},
	{"%2e%2e", 6},
	{"%41.txt", 7},
	{"(p)", 3},
	{"*s", 2},
	{",comma", 6},
	{"100%.txt", 8},
	{"@at", 3},
	{"D&<>", DIRECTORY},
	{"[br]", 4},
	{"^c`", 3},
	{"a dir", DIRECTORY},
	{"a#b", 3},
	{"a&amp;b", 7},
	{"a&b", 3},
	{"a+b", 3},
	{"a:b", 3},
	{"a<b>", 4},
	{"a=b", 3},
	{"back\\slash", 10},
	{"bad\xff\xfeutf", 8},
	{"big.bin", 5368709127},
	{"caf\xc3\xa9", 5},
	{"d#", DIRECTORY},
	{"del\x7f", 4},
	{"dir", DIRECTORY},
	{"dir%", DIRECTORY},
	{"dir:x", DIRECTORY},
	{"http:", 5},
	{"it's", 4},
	{"k12.bin", 12388},
	{"new\x0aline", 8},
	{"plain.bin", 9},
	{"say \"hi\"", 8},
	{"semi;colon", 10},
	{"tab\x09here", 8},
	{"two words.txt", 13},
	{"what?.txt", 9},
	{X210 ".end", 214},
	{"{c}", 3},
	{"|p|", 3},
	{"~tilde", 6},
	{E100, 200},
};

#define SERVED_COUNT (sizeof(served) / sizeof(served[0]))

static char *data_read(const char *name, size_t *ret_length)
{
	char path[4096];
	const char *slash = strrchr(__FILE__, '/');
	char *bytes = malloc(1 << 20);
	FILE *file;

	snprintf(path, sizeof(path), "%.*sdata/%s", slash ? (int)(slash - __FILE__ + 1) : 0,
		__FILE__, name);
	file = fopen(path, "rb");
	if (!file || !bytes)
		fail_msg("%s: %s", path, strerror(errno));
	*ret_length = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static const struct seen_entry *seen_find(const struct seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->count; i++)
		if (!strcmp(seen->entries[i].name, name))
			return &seen->entries[i];
	fail_msg("not reported: %s", name);
	return NULL;
}

static void served_check(const char *file, const char *type, uint64_t exact_below)
{
	static struct seen seen;
	size_t length;
	cleanup_free char *bytes = data_read(file, &length);

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(parse(bytes, length, type, "/t/", entry_collect, &seen, &seen.counts), 0);
	assert_int_equal(seen.count, SERVED_COUNT);
	assert_int_equal(seen.counts.entries, SERVED_COUNT);
	assert_int_equal(seen.counts.skipped, 0);
	for (size_t i = 0; i < SERVED_COUNT; i++) {
		const struct seen_entry *entry = seen_find(&seen, served[i].name);
		bool known = served[i].size < exact_below;

		assert_int_equal(entry->is_dir, served[i].size == DIRECTORY);
		assert_int_equal(entry->mtime, JANUARY_2024);
		assert_true(entry->size == (known ? served[i].size : INDEX_SIZE_UNKNOWN));
	}
}

static void nginx_html(void **state)
{
	(void)state;
	served_check("nginx.html", "text/html", DIRECTORY);
	served_check("nginx.html", NULL, DIRECTORY);
}

static void nginx_html_rounded(void **state)
{
	(void)state;
	served_check("nginx-rounded.html", "text/html; charset=utf-8", 10000);
}

static void nginx_json(void **state)
{
	(void)state;
	served_check("nginx.json", "application/json", DIRECTORY);
	served_check("nginx.json", NULL, DIRECTORY);
}

/* ---- links ---- */

/* In the page of /t%20d/. name NULL: nothing is reported; skipped then tells whether it counts. */
static const struct {
	const char *link;
	const char *name;
	const char *href;
	size_t skipped;
} links[] = {
	{"plain", "plain", "plain", 0},
	{"dir/", "dir", "dir/", 0},
	{"./a:b", "a:b", "a:b", 0},
	{"././x", "x", "x", 0},
	{" \n padded\t", "padded", "padded", 0},
	{"1:2", "1:2", "1:2", 0},
	{"two words", "two words", "two%20words", 0},
	{"%c3%A9", "\xc3\xa9", "%c3%A9", 0},
	{"\xc3\xa9", "\xc3\xa9", "%C3%A9", 0},
	{"a\\b", "a\\b", "a%5Cb", 0},
	{"...", "...", "...", 0},
	{"%2e%2e%2e", "...", "%2e%2e%2e", 0},
	{"%3F%23", "?#", "%3F%23", 0},
	{"a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'", "a&b%3C%3E%22'", 0},
	{"&#97;&#x62;&#X63;&#xe9;", "abc\xc3\xa9", "abc%C3%A9", 0},
	{"&amp;lt;", "&lt;", "&lt;", 0},
	{"&nbsp;&", "&nbsp;&", "&nbsp;&", 0},
	/* decoded once */
	{"%252e%252e", "%2e%2e", "%252e%252e", 0},
	{"%252Fetc", "%2Fetc", "%252Fetc", 0},
	/* absolute, and in this directory */
	{"/t%20d/x", "x", "x", 0},
	{"/t d/x/", "x", "x/", 0},
	{"/%74%20d/x", "x", "x", 0},
	{"/t%20d/./x", "x", "x", 0},
	/* elsewhere */
	{"", NULL, NULL, 0},
	{"/", NULL, NULL, 0},
	{".", NULL, NULL, 0},
	{"./", NULL, NULL, 0},
	{"..", NULL, NULL, 0},
	{"../", NULL, NULL, 0},
	{"../x", NULL, NULL, 0},
	{"../t%20d/x", NULL, NULL, 0},
	{"a/../x", NULL, NULL, 0},
	{"a/b", NULL, NULL, 0},
	{"a//", NULL, NULL, 0},
	{".//x", NULL, NULL, 0},
	{"/x", NULL, NULL, 0},
	{"/t%20d", NULL, NULL, 0},
	{"/t%20d/", NULL, NULL, 0},
	{"/t%20d/../x", NULL, NULL, 0},
	{"/t%20d/a/b", NULL, NULL, 0},
	{"/t%20d//x", NULL, NULL, 0},
	{"/t%2520d/x", NULL, NULL, 0},
	{"/t%20d%2Fx", NULL, NULL, 0},
	{"//t%20d/x", NULL, NULL, 0},
	{"//host/t%20d/x", NULL, NULL, 0},
	{"http://host/t%20d/x", NULL, NULL, 0},
	{"HTTPS:x", NULL, NULL, 0},
	{"javascript&#58;x", NULL, NULL, 0},
	{"mailto:x@example.org", NULL, NULL, 0},
	{"?C=M;O=A", NULL, NULL, 0},
	{"x?y", NULL, NULL, 0},
	{"#top", NULL, NULL, 0},
	{"x#y", NULL, NULL, 0},
	/* here, but no name */
	{"%2e", NULL, NULL, 1},
	{"%2E%2e", NULL, NULL, 1},
	{"%2e%2e/", NULL, NULL, 1},
	{"/t%20d/%2e%2e/", NULL, NULL, 1},
	{"a%2Fb", NULL, NULL, 1},
	{"a%2fb/", NULL, NULL, 1},
	{"%00", NULL, NULL, 1},
	{"a%00b", NULL, NULL, 1},
	{"100%", NULL, NULL, 1},
	{"%4", NULL, NULL, 1},
	{"%4g", NULL, NULL, 1},
	{"%-1", NULL, NULL, 1},
	{"new\nline", NULL, NULL, 1},
	{"cr\r\nHost: evil", NULL, NULL, 1},
	{"trimmed&#13;", "trimmed", "trimmed", 0},
	{"a&#10;b", NULL, NULL, 1},
	{"del\x7f", NULL, NULL, 1},
};

static void link_table(void **state)
{
	static struct seen seen;
	char page[256];

	(void)state;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(page, sizeof(page), "<a href=\"%s\">text</a>\n", links[i].link);
		assert_int_equal(collect(page, "text/html", "/t%20d/", &seen), 0);
		if (seen.count != (links[i].name != NULL) ||
			seen.counts.skipped != links[i].skipped)
			fail_msg("%s: %zu reported, %zu skipped", links[i].link, seen.count,
				seen.counts.skipped);
		if (!links[i].name)
			continue;
		assert_string_equal(seen.entries[0].name, links[i].name);
		assert_string_equal(seen.entries[0].href, links[i].href);
	}
}

/* A page's path may itself look like a host, and hold an encoded slash, which separates nothing. */
static void link_page_path(void **state)
{
	static struct seen seen;

	(void)state;
	assert_int_equal(collect("<a href=//x/a>", NULL, "//x/", &seen), 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(collect("<a href=/a%2fb/c>", NULL, "/a%2Fb/", &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(collect("<a href=/a/b/c>", NULL, "/a%2Fb/", &seen), 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(collect("<a href=/c><a href=d>", NULL, "/", &seen), 0);
	assert_int_equal(seen.count, 2);
}

static void name_length_limit(void **state)
{
	static struct seen seen;
	char page[8 * INDEX_NAME_MAX];

	(void)state;
	for (int length = INDEX_NAME_MAX; length <= INDEX_NAME_MAX + 1; length++) {
		bool fits = length == INDEX_NAME_MAX;

		snprintf(page, sizeof(page), "<a href='%0*d'>", length, 7);
		assert_int_equal(collect(page, NULL, "/", &seen), 0);
		assert_int_equal(seen.count, fits);
		assert_int_equal(seen.counts.skipped, !fits);
		snprintf(page, sizeof(page), "[{\"type\":\"file\",\"name\":\"%0*d\"}]", length, 7);
		assert_int_equal(collect(page, NULL, "/", &seen), 0);
		assert_int_equal(seen.count, fits);
		assert_int_equal(seen.counts.skipped, !fits);
	}
}

/* ---- HTML ---- */

static const struct {
	const char *page;
	const char *names; /* joined by commas, '/' behind directories */
} markups[] = {
	{"<a href=\"x\">", "x,"},
	{"<A\n HREF = 'x'>", "x,"},
	{"<a href=x>", "x,"},
	{"<a href=x/>", "x/,"},
	{"<a class=c href=x title='y'>", "x,"},
	{"<a/href=x>", "x,"},
	{"<a title=\"<a href=no>\" href=yes>", "yes,"},
	{"<a title='>' href=x>", "x,"},
	{"<a href=first href=second>", "first,"},
	{"<a href=a><a href=b></a><a href=c>", "a,b,c,"},
	{"<td><a href=\"a\"><img src=\"i\"></a></td><td><a href=\"b\">b</a></td>", "a,b,"},
	{"<a href=a>x</a><a href=a/>y</a>", "a,a/,"},
	{"<a name=x>", ""},
	{"<a href>", ""},
	{"<a =href=x>", ""},
	{"<abbr href=x>", ""},
	{"<link href=x>", ""},
	{"< a href=x>", ""},
	{"</a href=x>", ""},
	{"<a xhref=x data-href=y>", ""},
	{"<!-- <a href=no> --><a href=yes>", "yes,"},
	{"<!-- <a href=no>", ""},
	{"<script>'<a href=no>'</script><a href=yes>", "yes,"},
	{"<STYLE><a href=no></b></style ><a href=yes>", "yes,"},
	{"<title><a href=no></title><a href=yes>", "yes,"},
	{"<script><a href=no>", ""},
	{"<!DOCTYPE html><a href=yes>", "yes,"},
	{"<a href=\"cut", ""},
	{"<a href=cut", ""},
	{"<a href='cut>", ""},
	{"<", ""},
	{"<a", ""},
	{"</", ""},
	{"<a href=", ""},
	{"no page at all", ""},
};

static void markup_table(void **state)
{
	static struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(markups) / sizeof(markups[0]); i++) {
		char names[256] = "";

		assert_int_equal(collect(markups[i].page, "TEXT/html ;q", "/", &seen), 0);
		for (size_t j = 0; j < seen.count; j++) {
			strcat(names, seen.entries[j].name);
			strcat(names, seen.entries[j].is_dir ? "/," : ",");
		}
		assert_string_equal(names, markups[i].names);
	}
}

static const struct {
	const char *details;
	uint64_t size;
	time_t mtime;
} details[] = {
	{"  15-Jan-2024 10:00   123\r\n", 123, JANUARY_2024},
	{"15-Jan-2024 10:00 0", 0, JANUARY_2024},
	{"\t15-Jan-2024 10:00 18446744073709551614\n", UINT64_MAX - 1, JANUARY_2024},
	{"29-Feb-2024 23:59 1<br>", 1, 1709251140},
	{"01-Jan-1970 00:00 1", 1, 0},
	{"15-Jan-2024 10:00 12K\n", INDEX_SIZE_UNKNOWN, JANUARY_2024},
	{"15-Jan-2024 10:00 1.5\n", INDEX_SIZE_UNKNOWN, JANUARY_2024},
	{"15-Jan-2024 10:00 -\n", INDEX_SIZE_UNKNOWN, JANUARY_2024},
	{"15-Jan-2024 10:00 -5\n", INDEX_SIZE_UNKNOWN, JANUARY_2024},
	{"15-Jan-2024 10:00", INDEX_SIZE_UNKNOWN, JANUARY_2024},
	{"15-Jan-2024 10:00 18446744073709551616\n", INDEX_SIZE_UNKNOWN, JANUARY_2024},
	{"123\n", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
	{"30-Feb-2024 10:00 1\n", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
	{"15-Jan-2024 24:00 1\n", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
	{"15-Jan-2024 10:60 1\n", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
	{"15-Foo-2024 10:00 1\n", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
	{"15-Jan-2024", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
	{"", INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN},
};

static void details_table(void **state)
{
	static struct seen seen;
	char page[256];

	(void)state;
	for (size_t i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
		snprintf(page, sizeof(page), "<a href=x>x</a>%s", details[i].details);
		assert_int_equal(collect(page, NULL, "/", &seen), 0);
		assert_int_equal(seen.count, 1);
		if (seen.entries[0].size != details[i].size ||
			seen.entries[0].mtime != details[i].mtime)
			fail_msg("%s: %#jx %jd", details[i].details,
				(uintmax_t)seen.entries[0].size, (intmax_t)seen.entries[0].mtime);
	}
}

/* What stands behind a link that was never closed belongs to nobody. */
static void details_of_unclosed(void **state)
{
	static struct seen seen;

	(void)state;
	assert_int_equal(
		collect("<a href=x><a href=y>15-Jan-2024 10:00 5</a>", NULL, "/", &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.entries[0].mtime, INDEX_MTIME_UNKNOWN);
	assert_int_equal(seen.entries[1].mtime, INDEX_MTIME_UNKNOWN);
}

/* ---- JSON ---- */

#define DATE "Mon, 15 Jan 2024 10:00:00 GMT"

static const struct {
	const char *page;
	int result;
	size_t entries;
	size_t skipped;
} documents[] = {
	{"[]", 0, 0, 0},
	{" [ ] \n", 0, 0, 0},
	{"[{\"name\":\"a\",\"type\":\"file\"}]", 0, 1, 0},
	{"[{\"name\":\"a\",\"type\":\"file\",\"new\":{\"x\":[1,\"]\\\"\"]}}]", 0, 1, 0},
	{"[{\"name\":\"]},[\\\\\",\"type\":\"file\"},{\"name\":\"b\",\"type\":\"file\"}]", 0, 2, 0},
	/* one bad entry costs one entry */
	{"[{},1,null,\"x\",[[]],{\"name\":\"a\",\"type\":\"file\"}]", 0, 1, 5},
	{"[{\"name\":1,\"type\":\"file\"}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":2}]", 0, 0, 1},
	{"[{\"name\":\"a\"}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":\"other\"}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":\"file\",\"size\":\"1\"}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":\"file\",\"size\":-1}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":\"file\",\"size\":1.5}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":\"file\",\"size\":99999999999999999999}]", 0, 0, 1},
	{"[{\"name\":\"a\",\"type\":\"file\",\"mtime\":7}]", 0, 0, 1},
	{"[{\"name\":\"\",\"type\":\"file\"}]", 0, 0, 1},
	{"[{\"name\":\".\",\"type\":\"file\"}]", 0, 0, 1},
	{"[{\"name\":\"..\",\"type\":\"directory\"}]", 0, 0, 1},
	{"[{\"name\":\"a/b\",\"type\":\"file\"}]", 0, 0, 1},
	{"[{\"name\":\"a\\u0000b\",\"type\":\"file\"}]", 0, 0, 1},
	/* no index */
	{"", -EPROTO, 0, 0},
	{"  ", -EPROTO, 0, 0},
	{"{}", -EPROTO, 0, 0},
	{"{\"name\":\"a\",\"type\":\"file\"}", -EPROTO, 0, 0},
	{"null", -EPROTO, 0, 0},
	{"[", -EPROTO, 0, 0},
	{"[,]", -EPROTO, 0, 0},
	{"[1,]", -EPROTO, 0, 1},
	{"[1", -EPROTO, 0, 0},
	{"[1}", -EPROTO, 0, 0},
	{"[{]}]", -EPROTO, 0, 0},
	{"[\"cut]", -EPROTO, 0, 0},
	{"[\"cut\\", -EPROTO, 0, 0},
	{"[] x", -EPROTO, 0, 0},
	{"[][]", -EPROTO, 0, 0},
	{"[{\"name\":\"a\",\"type\":\"file\"}{\"name\":\"b\",\"type\":\"file\"}]", -EPROTO, 0, 0},
};

static void document_table(void **state)
{
	static struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		int result = collect(documents[i].page, "application/json", "/", &seen);

		if (result != documents[i].result || seen.counts.entries != documents[i].entries ||
			seen.counts.skipped != documents[i].skipped)
			fail_msg("%s: %d, %zu reported, %zu skipped", documents[i].page, result,
				seen.counts.entries, seen.counts.skipped);
	}
}

static void json_details(void **state)
{
	static struct seen seen;

	(void)state;
	assert_int_equal(collect("[{\"name\":\"a\",\"type\":\"file\",\"mtime\":\"" DATE
				 "\",\"size\":9223372036854775807},"
				 "{\"name\":\"b\",\"type\":\"file\",\"mtime\":\"yesterday\"},"
				 "{\"name\":\"c\",\"type\":\"file\",\"mtime\":\"" DATE " \"}]",
				 NULL, "/", &seen),
		0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.entries[0].mtime, JANUARY_2024);
	assert_true(seen.entries[0].size == INT64_MAX);
	assert_int_equal(seen.entries[1].mtime, INDEX_MTIME_UNKNOWN);
	assert_true(seen.entries[1].size == INDEX_SIZE_UNKNOWN);
	assert_int_equal(seen.entries[2].mtime, INDEX_MTIME_UNKNOWN);
}

/* Escaped and raw characters, valid and invalid UTF-8, and the code points used in between. */
static void json_names(void **state)
{
	static const char *const names[][3] = {
		{"\\u00e9", "\xc3\xa9", "%C3%A9"},
		{"\\u00e9\xc3\xa9", "\xc3\xa9\xc3\xa9", "%C3%A9%C3%A9"},
		{"\\u00e9\xff", "\xc3\xa9\xff", "%C3%A9%FF"},
		{"\x80\xbf\xc0\xff", "\x80\xbf\xc0\xff", "%80%BF%C0%FF"},
		{"\xf4\x8f\xbe\x81", "\xf4\x8f\xbe\x81", "%F4%8F%BE%81"},
		{"\xf4\x8f\xbe\x81\xff", "\xf4\x8f\xbe\x81\xff", "%F4%8F%BE%81%FF"},
		{"\\ud83d\\ude00", "\xf0\x9f\x98\x80", "%F0%9F%98%80"},
		{"a%41+b", "a%41+b", "a%2541+b"},
	};
	static struct seen seen;
	char page[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(page, sizeof(page), "[{\"type\":\"file\",\"name\":\"%s\"}]", names[i][0]);
		assert_int_equal(collect(page, NULL, "/", &seen), 0);
		assert_int_equal(seen.count, 1);
		assert_string_equal(seen.entries[0].name, names[i][1]);
		assert_string_equal(seen.entries[0].href, names[i][2]);
	}
}

/* ---- the door ---- */

static void refused(void **state)
{
	static struct seen seen;
	struct index_page page = {"", INDEX_PAGE_MAX + 1, "text/html", "/"};

	(void)state;
	assert_int_equal(collect("<a href=x>", "text/plain", "/", &seen), -EPROTO);
	assert_int_equal(collect("<a href=x>", "text/htmlx", "/", &seen), -EPROTO);
	assert_int_equal(collect("<a href=x>", "", "/", &seen), -EPROTO);
	assert_int_equal(collect("<a href=x>", "application/json", "/", &seen), -EPROTO);
	assert_int_equal(collect("", "text/html", "/", &seen), -EPROTO);
	assert_int_equal(collect("<base href=/x/><a href=x>", NULL, "/", &seen), -EPROTO);
	assert_int_equal(index_parse(&page, entry_collect, &seen, NULL), -EFBIG);
}

static int entry_count(const struct index_entry *entry, void *context)
{
	size_t *left = context;

	(void)entry;
	return --*left ? 0 : -ECANCELED;
}

static void caller_stops(void **state)
{
	static const char html[] = "<a href=a></a><a href=b></a><a href=c></a>";
	static const char json[] = "[{\"name\":\"a\",\"type\":\"file\"},{\"name\":\"b\",\"type\":"
				   "\"file\"},{\"name\":\"c\",\"type\":\"file\"}]";
	struct index_counts counts;
	size_t left = 2;

	(void)state;
	assert_int_equal(
		parse(html, strlen(html), NULL, "/", entry_count, &left, &counts), -ECANCELED);
	assert_int_equal(counts.entries, 2);
	left = 2;
	assert_int_equal(
		parse(json, strlen(json), NULL, "/", entry_count, &left, &counts), -ECANCELED);
	assert_int_equal(counts.entries, 2);
}

static void entries_limit(void **state)
{
	static const char row[] = "<a href=x>\n";
	const size_t length = strlen(row) * (INDEX_ENTRIES_MAX + 1);
	cleanup_free char *page = malloc(length);
	size_t left = SIZE_MAX;
	struct index_counts counts;

	(void)state;
	assert_non_null(page);
	for (size_t i = 0; i < length; i += strlen(row))
		memcpy(page + i, row, strlen(row));
	assert_int_equal(parse(page, length - strlen(row), NULL, "/", entry_count, &left, NULL), 0);
	assert_int_equal(parse(page, length, NULL, "/", entry_count, &left, &counts), -E2BIG);
	assert_int_equal(counts.entries, INDEX_ENTRIES_MAX);
}

/* Quadratic behaviour would take hours here. */
static void hostile_repeats(void **state)
{
	static const char *const rows[] = {"<a href=\"x", "<a href=x ", "<", "</", "<!--",
		"<script>", "<a href=%", "</a>   ", "<a href=..//>", "<a href=&", "[", "[[],",
		"[\"", "{"};
	const size_t length = 4 << 20;
	cleanup_free char *page = malloc(length + 16);

	(void)state;
	assert_non_null(page);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t step = strlen(rows[i]), left = SIZE_MAX;

		for (size_t at = 0; at < length; at += step)
			memcpy(page + at, rows[i], step);
		parse(page, length, NULL, "/", entry_count, &left, NULL);
		parse(page, length, "text/html", "/", entry_count, &left, NULL);
		page[0] = '[';
		parse(page, length, NULL, "/", entry_count, &left, NULL);
	}
}

static int entry_fuzz(const struct index_entry *entry, void *context)
{
	(void)context;
	entry_check(entry);
	return 0;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* INDEX_FUZZ_ROUNDS in the environment makes more of it; the seed is fixed. */
static void mutations(void **state)
{
	static const char *const files[] = {"nginx.html", "nginx-rounded.html", "nginx.json"};
	static const char bits[] = "<>/\"'=&;#%.?:-[]{},\\ \n\t0aF2e";
	const char *wanted = getenv("INDEX_FUZZ_ROUNDS");
	int rounds = wanted ? atoi(wanted) : 2000;
	uint64_t seed = 0x9e3779b97f4a7c15;

	(void)state;
	for (int round = 0; round < rounds; round++) {
		size_t length;
		cleanup_free char *page = data_read(files[round % 3], &length);

		for (uint64_t count = random_next(&seed) % 64; count; count--) {
			size_t at = random_next(&seed) % length;
			size_t from = random_next(&seed) % length;
			size_t run = random_next(&seed) % 16;

			if (count % 3 == 0)
				page[at] = (char)random_next(&seed);
			else if (count % 3 == 1)
				page[at] = bits[random_next(&seed) % (sizeof(bits) - 1)];
			else if (at + run < length && from + run < length)
				memmove(page + at, page + from, run);
		}
		if (round % 5 == 0)
			length = random_next(&seed) % length;
		parse(page, length, round % 7 ? NULL : "text/html", "/t/", entry_fuzz, NULL, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nginx_html),
		cmocka_unit_test(nginx_html_rounded),
		cmocka_unit_test(nginx_json),
		cmocka_unit_test(link_table),
		cmocka_unit_test(link_page_path),
		cmocka_unit_test(name_length_limit),
		cmocka_unit_test(markup_table),
		cmocka_unit_test(details_table),
		cmocka_unit_test(details_of_unclosed),
		cmocka_unit_test(document_table),
		cmocka_unit_test(json_details),
		cmocka_unit_test(json_names),
		cmocka_unit_test(refused),
		cmocka_unit_test(caller_stops),
		cmocka_unit_test(entries_limit),
		cmocka_unit_test(hostile_repeats),
		cmocka_unit_test(mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
