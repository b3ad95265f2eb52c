/*
 * index_kinds_test.c - listings that are not nginx's: WebDAV's answers to PROPFIND and caddy's
 * JSON, as real servers gave them (data/), and as hostile ones may.
 */
#include <errno.h>
#include <time.h>

#include "check.h"
#include "cleanup.h"
#include "index.h"

#define SEEN_MAX 32
#define MTIME 1714979289 /* 2024-05-06 07:08:09 UTC */

struct seen {
	struct {
		char name[INDEX_NAME_MAX + 1], href[512], etag[INDEX_NAME_MAX + 1];
		bool is_dir;
		uint64_t size;
		time_t mtime;
	} list[SEEN_MAX];
	size_t count;
	int result; /* of each entry */
};

static int see(const struct index_entry *entry, void *context)
{
	struct seen *seen = context;

	assert_true(seen->count < SEEN_MAX);
	strcpy(seen->list[seen->count].name, entry->name);
	strcpy(seen->list[seen->count].href, entry->href);
	strcpy(seen->list[seen->count].etag, entry->etag ? entry->etag : "");
	seen->list[seen->count].is_dir = entry->is_dir;
	seen->list[seen->count].size = entry->size;
	seen->list[seen->count].mtime = entry->mtime;
	seen->count++;
	return seen->result;
}

static int parse(struct seen *seen, const char *bytes, size_t length, const char *type)
{
	const struct index_page page = {bytes, length, type, "/dir/"};

	seen->count = 0;
	return index_parse(&page, see, seen, NULL);
}

static size_t find(const struct seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->list[i].name, name) == 0)
			return i;
	fail_msg("no %s", name);
	return 0;
}

static char *data_read(const char *name, size_t *ret_length)
{
	char path[512], *bytes = malloc(1 << 16);
	const char *slash;
	FILE *file;

	slash = strrchr(__FILE__, '/');
	snprintf(path, sizeof path, "%.*sdata/%s", slash ? (int)(slash - __FILE__ + 1) : 0,
		__FILE__, name);
	file = fopen(path, "re");
	assert_non_null(file);
	*ret_length = fread(bytes, 1, 1 << 16, file);
	fclose(file);
	return bytes;
}

/* ---- real ones ---------------------------------------------------------------------------- */

static void pages_of_real_servers(void **state)
{
	static const struct {
		const char *file, *type;
		const char *path;
		bool is_exact, has_etags;
	} pages[] = {
		{"apache2.xml", "text/xml; charset=\"utf-8\"", "/dav/dir/", true, true},
		{"lighttpd.xml", "application/xml;charset=utf-8", "/dav/dir/", true, true},
		{"caddy.json", "application/json; charset=utf-8", "/dir/", true, false},
		{"apache2.html", "text/html;charset=UTF-8", "/table/dir/", false, false},
		{"lighttpd.html", "text/html", "/dir/", false, false},
	};
	static const struct {
		const char *name;
		uint64_t size;
	} files[] = {{"a b%", 4097}, {"small", 12}, {"\xc3\xa4\xc3\xb6&<x>.bin", 20000001},
		{"averyveryverylongnamethatiscutbyserversbecauseitislong.bin", 1}};

	(void)state;
	for (size_t i = 0; i < array_len(pages); i++) {
		struct seen seen = {.count = 0};
		size_t length;
		cleanup_free char *bytes = data_read(pages[i].file, &length);
		const struct index_page page = {bytes, length, pages[i].type, pages[i].path};

		assert_int_equal(index_parse(&page, see, &seen, NULL), 0);
		/* lighttpd's page leaves out what is not UTF-8. */
		assert_true(seen.count == 6 || strcmp(pages[i].file, "lighttpd.html") == 0);
		assert_true(seen.list[find(&seen, "sub")].is_dir);
		for (size_t j = 0; j < array_len(files); j++) {
			size_t at = find(&seen, files[j].name);

			assert_false(seen.list[at].is_dir);
			assert_true(seen.list[at].size ==
				    (pages[i].is_exact ? files[j].size : INDEX_SIZE_UNKNOWN));
			assert_true(seen.list[at].mtime ==
				    (pages[i].is_exact ? MTIME : INDEX_MTIME_UNKNOWN));
			assert_int_equal(seen.list[at].etag[0] == '"', pages[i].has_etags);
		}
	}
}

static void names_that_are_not_utf8_are_what_they_are(void **state)
{
	static const char *const files[] = {"apache2.xml", "lighttpd.xml", "caddy.json"};

	(void)state;
	for (size_t i = 0; i < array_len(files); i++) {
		struct seen seen = {.count = 0};
		size_t length;
		cleanup_free char *bytes = data_read(files[i], &length);
		const struct index_page page = {bytes, length,
			i < 2 ? "text/xml" : "application/json", i < 2 ? "/dav/dir/" : "/dir/"};

		assert_int_equal(index_parse(&page, see, &seen, NULL), 0);
		find(&seen, "bad\xff");
	}
}

/* ---- WebDAV ------------------------------------------------------------------------------- */

#define HEAD "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\">"
#define TAIL "</d:multistatus>"
#define OK "<d:status>HTTP/1.1 200 OK</d:status>"
#define RESPONSE(href, props)                                                            \
	"<d:response><d:href>" href "</d:href><d:propstat><d:prop>" props "</d:prop>" OK \
	"</d:propstat></d:response>"
#define SIZE(n) "<d:getcontentlength>" n "</d:getcontentlength>"

static void dav_entries(void **state)
{
	static const struct {
		const char *text;
		const char *name; /* NULL: none */
		bool is_dir;
		uint64_t size;
	} cases[] = {
		{RESPONSE("/dir/a", SIZE("5")), "a", false, 5},
		{RESPONSE("http://other:1/dir/a", SIZE("5")), "a", false, 5},
		{RESPONSE(" \n/dir/a\n ", SIZE(" 5\n")), "a", false, 5},
		{RESPONSE("a", SIZE("5")), "a", false, 5},
		{RESPONSE("/dir/a&amp;b", SIZE("5")), "a&b", false, 5},
		{RESPONSE("/dir/a%2fb", SIZE("5")), NULL, false, 0},
		{RESPONSE("/dir/", ""), NULL, false, 0},
		{RESPONSE("/dir/x/y", SIZE("5")), NULL, false, 0},
		{RESPONSE("/elsewhere/a", SIZE("5")), NULL, false, 0},
		{RESPONSE("/dir/../a", SIZE("5")), NULL, false, 0},
		{RESPONSE("/dir/..", SIZE("5")), NULL, false, 0},
		{RESPONSE("", SIZE("5")), NULL, false, 0},
		{RESPONSE("/dir/s/", "<d:resourcetype><d:collection/></d:resourcetype>"), "s", true,
			INDEX_SIZE_UNKNOWN},
		{RESPONSE("/dir/s", "<d:resourcetype><d:collection/></d:resourcetype>" SIZE("1")),
			"s", true, INDEX_SIZE_UNKNOWN},
		/* Of another namespace, or elsewhere, it means nothing. */
		{RESPONSE("/dir/s", "<resourcetype xmlns=\"x\"><collection/></resourcetype>"), "s",
			false, INDEX_SIZE_UNKNOWN},
		{RESPONSE("/dir/s", "<d:x>" SIZE("7") "</d:x>"), "s", false, INDEX_SIZE_UNKNOWN},
		{RESPONSE("/dir/a", SIZE("-1")), "a", false, INDEX_SIZE_UNKNOWN},
		{RESPONSE("/dir/a", SIZE("1.5K")), "a", false, INDEX_SIZE_UNKNOWN},
		{RESPONSE("/dir/a", SIZE("9223372036854775807")), "a", false, INT64_MAX},
		{RESPONSE("/dir/a", SIZE("9223372036854775808")), "a", false, INDEX_SIZE_UNKNOWN},
		{RESPONSE("/dir/a", SIZE("")), "a", false, INDEX_SIZE_UNKNOWN},
		/* Not found: absent. */
		{"<d:response><d:href>/dir/a</d:href><d:propstat><d:prop>" SIZE(
			 "5") "</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>"
			      "</d:response>",
			"a", false, INDEX_SIZE_UNKNOWN},
		{"<d:response><d:href>/dir/a</d:href><d:propstat><d:prop>" SIZE(
			 "5") "</d:prop></d:propstat></d:response>",
			"a", false, INDEX_SIZE_UNKNOWN},
		{"<d:response></d:response>", NULL, false, 0},
		{"<d:href>/dir/a</d:href>", NULL, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct seen seen = {.count = 0};
		char text[2048];

		snprintf(text, sizeof text, HEAD "%s" TAIL, cases[i].text);
		assert_int_equal(parse(&seen, text, strlen(text), "application/xml"), 0);
		if (seen.count != (cases[i].name != NULL))
			fail_msg("%s: %zu entries", cases[i].text, seen.count);
		if (!cases[i].name)
			continue;
		assert_string_equal(seen.list[0].name, cases[i].name);
		if (seen.list[0].is_dir != cases[i].is_dir || seen.list[0].size != cases[i].size)
			fail_msg("%s: %ju", cases[i].text, (uintmax_t)seen.list[0].size);
		assert_int_equal(
			seen.list[0].href[strlen(seen.list[0].href) - 1] == '/', cases[i].is_dir);
	}
}

static void dav_refused(void **state)
{
	static const char *const texts[] = {
		"<html/>",
		"<multistatus/>",
		"<multistatus xmlns=\"other\"/>",
		HEAD,
		HEAD "<d:response></d:href>" TAIL,
		HEAD RESPONSE("&undefined;", "") TAIL,
		"<!DOCTYPE d [<!ENTITY a \"b\">]>" HEAD TAIL,
		"<?xml version=\"1.0\"?><!DOCTYPE d SYSTEM \"http://127.0.0.1/x\">"
		"<d:multistatus xmlns:d=\"DAV:\">" TAIL,
		"\xff\xfe<",
		HEAD TAIL "more",
	};
	struct seen seen = {.count = 0};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++)
		if (parse(&seen, texts[i], strlen(texts[i]), "application/xml") != -EPROTO)
			fail_msg("%s", texts[i]);
}

/* A million elements inside each other, a text of a megabyte, laughs by the billion. */
static void dav_is_bounded(void **state)
{
	static const char laughs[] = "<!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b "
				     "\"&a;&a;&a;&a;&a;&a;&a;&a;\">]><d>&b;</d>";
	size_t length = 3 << 20;
	char *text = malloc(length + 200);
	struct seen seen = {.count = 0};

	(void)state;
	assert_int_equal(parse(&seen, laughs, strlen(laughs), "text/xml"), -EPROTO);
	strcpy(text, HEAD);
	for (size_t i = strlen(text); i + 3 <= length; i += 3)
		memcpy(text + i, "<a>", 3);
	assert_int_equal(parse(&seen, text, length, "text/xml"), -EPROTO);
	strcpy(text, HEAD "<d:response><d:href>");
	memset(text + strlen(text), 'x', length - strlen(text));
	assert_int_equal(parse(&seen, text, length, "text/xml"), -EPROTO);
	free(text);
}

static void dav_stops_when_the_caller_does(void **state)
{
	static const char text[] = HEAD RESPONSE("/dir/a", "") RESPONSE("/dir/b", "") TAIL;
	struct seen seen = {.result = -ENOSPC};

	(void)state;
	assert_int_equal(parse(&seen, text, strlen(text), "text/xml"), -ENOSPC);
	assert_int_equal(seen.count, 1);
}

/* ---- caddy's JSON ------------------------------------------------------------------------- */

static void caddy_entries(void **state)
{
	static const struct {
		const char *text;
		const char *name;
		uint64_t size;
		time_t mtime;
	} cases[] = {
		{"{\"url\":\"./a\",\"is_dir\":false,\"size\":5,\"mod_time\":\"2024-05-06T07:08:09Z\"}",
			"a", 5, MTIME},
		{"{\"url\":\"./a\",\"is_dir\":false,\"size\":5,"
		 "\"mod_time\":\"2024-05-06T07:08:09.123456789Z\"}",
			"a", 5, MTIME},
		{"{\"url\":\"./a\",\"is_dir\":false,\"size\":5,"
		 "\"mod_time\":\"2024-05-06T09:08:09+02:00\"}",
			"a", 5, INDEX_MTIME_UNKNOWN},
		{"{\"url\":\"./a\",\"is_dir\":false,\"size\":5,\"mod_time\":\"2024-13-06T07:08:09Z\"}",
			"a", 5, INDEX_MTIME_UNKNOWN},
		{"{\"url\":\"./s/\",\"is_dir\":true,\"size\":4096}", "s", INDEX_SIZE_UNKNOWN,
			INDEX_MTIME_UNKNOWN},
		/* Link and type disagree; and links elsewhere. */
		{"{\"url\":\"./s\",\"is_dir\":true}", NULL, 0, 0},
		{"{\"url\":\"./s/\",\"is_dir\":false}", NULL, 0, 0},
		{"{\"url\":\"../a\",\"is_dir\":false}", NULL, 0, 0},
		{"{\"url\":\"/etc/passwd\",\"is_dir\":false}", NULL, 0, 0},
		{"{\"url\":\"http://h/a\",\"is_dir\":false}", NULL, 0, 0},
		{"{\"url\":5,\"is_dir\":false}", NULL, 0, 0},
		{"{\"url\":\"./a\",\"is_dir\":\"no\"}", NULL, 0, 0},
		{"{\"url\":\"./a\",\"is_dir\":false,\"size\":-5}", NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct seen seen = {.count = 0};
		char text[512];

		snprintf(text, sizeof text, "[%s]", cases[i].text);
		assert_int_equal(parse(&seen, text, strlen(text), "application/json"), 0);
		if (seen.count != (cases[i].name != NULL))
			fail_msg("%s: %zu entries", cases[i].text, seen.count);
		if (!cases[i].name)
			continue;
		assert_string_equal(seen.list[0].name, cases[i].name);
		assert_true(seen.list[0].size == cases[i].size);
		if (seen.list[0].mtime != cases[i].mtime)
			fail_msg("%s: %jd", cases[i].text, (intmax_t)seen.list[0].mtime);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_real_servers),
		cmocka_unit_test(names_that_are_not_utf8_are_what_they_are),
		cmocka_unit_test(dav_entries),
		cmocka_unit_test(dav_refused),
		cmocka_unit_test(dav_is_bounded),
		cmocka_unit_test(dav_stops_when_the_caller_does),
		cmocka_unit_test(caddy_entries),
	};

	return run_group(tests);
}
