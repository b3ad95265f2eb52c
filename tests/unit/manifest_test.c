/*
 * manifest_test.c - the text of a manifest however it is cut, its table against a model, and its
 * URLs. What lines are refused with which words: tests/tools/sources_test.sh.
 */
#include <errno.h>

#include "check.h"
#include "cleanup.h"
#include "hash_list.h"
#include "manifest_table.h"
#include "manifest_url.h"

static struct manifest_table *table_make(const char *text, size_t piece)
{
	struct manifest_table *table;
	size_t length = strlen(text);

	assert_int_equal(manifest_table_create("file:///m", &table), 0);
	for (size_t at = 0; at < length; at += piece) {
		size_t part = length - at < piece ? length - at : piece;

		if (manifest_table_add(table, text + at, part) < 0)
			fail_msg("%s", manifest_table_error(table));
	}
	if (manifest_table_end(table) < 0)
		fail_msg("%s", manifest_table_error(table));
	return table;
}

static void a_text_may_be_cut_anywhere(void **state)
{
	static const char text[] =
		"{\"path\":\"b/c\",\"url\":\"x\",\"size\":1,\"validator\":\"\\\"e\\\"\"}\r\n\n  \n"
		"{\"path\":\"a\",\"url\":\"y\",\"size\":9223372036854775807,"
		"\"mtime\":\"2024-05-06T07:08:09Z\"}\n"
		"{\"path\":\"d/\"}\n"
		"{\"path_encoded\":\"e%ff\",\"url\":\"z\",\"size\":0,"
		"\"validator\":\"Mon, 06 May 2024 07:08:09 GMT\"}";

	(void)state;
	for (size_t piece = 1; piece <= sizeof text; piece++) {
		struct manifest_table *table = table_make(text, piece);
		const struct manifest_entry *entry = manifest_table_find(table, "b/c");
		struct version version;

		assert_non_null(entry);
		assert_int_equal(entry->line, 1);
		manifest_entry_version(entry, &version);
		assert_string_equal(version.etag, "\"e\"");
		assert_true(version.is_partial);
		entry = manifest_table_find(table, "a");
		assert_true(entry->size == INT64_MAX && entry->mtime_s == 1714979289);
		assert_int_equal(entry->line, 4);
		entry = manifest_table_find(table, "e\xff");
		manifest_entry_version(entry, &version);
		assert_string_equal(version.modified, "Mon, 06 May 2024 07:08:09 GMT");
		assert_true(version.mtime_s == 1714979289);
		assert_null(manifest_table_find(table, "b"));
		assert_null(manifest_table_find(table, ""));
		assert_null(manifest_table_find(table, "d/"));
		assert_true(manifest_table_has_directory(table, ""));
		assert_true(manifest_table_has_directory(table, "b/"));
		assert_true(manifest_table_has_directory(table, "d/"));
		assert_false(manifest_table_has_directory(table, "c/"));
		manifest_table_destroy(table);
	}
}

/* ---- the table against a model ------------------------------------------------------------ */

#define PATHS 60
#define NAMES_MAX 64

struct names {
	char list[NAMES_MAX][16]; /* a directory's with its '/' */
	size_t count;
};

static int name_met(
	const char *name, size_t length, const struct manifest_entry *entry, void *context)
{
	struct names *names = context;

	assert_true(names->count < NAMES_MAX);
	sprintf(names->list[names->count++], "%.*s%s", (int)length, name, entry ? "" : "/");
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Of paths without a table: those with the prefix, cut behind their next part, each once. */
static void model_list(char paths[][16], size_t count, const char *directory, struct names *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < count; i++) {
		size_t prefix = strlen(directory), length, j = 0;
		char name[16];

		if (strncmp(paths[i], directory, prefix) != 0 || !paths[i][prefix])
			continue;
		length = strcspn(paths[i] + prefix, "/");
		sprintf(name, "%.*s%s", (int)length, paths[i] + prefix,
			paths[i][prefix + length] ? "/" : "");
		while (j < ret->count && strcmp(ret->list[j], name) != 0)
			j++;
		if (j == ret->count)
			strcpy(ret->list[ret->count++], name);
	}
}

/* Over an alphabet in which every order of '/' with its neighbours comes up. */
static void path_make(uint64_t *random, char *to)
{
	static const char letters[] = "a-/0.";
	size_t length = 1 + random_next(random) % 6;

	do {
		for (size_t i = 0; i < length; i++)
			to[i] = letters[random_next(random) % 5];
		to[length] = '\0';
	} while (to[0] == '/' || strstr(to, "//") || to[0] == '.' || strstr(to, "/."));
}

static void directories_are_what_a_model_says(void **state)
{
	uint64_t random = 12345;

	(void)state;
	for (int round = 0; round < 300; round++) {
		static char paths[PATHS][16], text[PATHS * 80];
		struct manifest_table *table;
		struct names found, expected;
		size_t count = 0;

		text[0] = '\0';
		while (count < PATHS) {
			path_make(&random, paths[count]);
			for (size_t i = 0; i < count; i++)
				if (strcmp(paths[i], paths[count]) == 0)
					goto again;
			sprintf(text + strlen(text), "{\"path\":\"%s\",\"url\":\"x\",\"size\":1}\n",
				paths[count]);
			count++;
		again:
			continue;
		}
		table = table_make(text, 1000);
		for (size_t i = 0; i <= count; i++) {
			char directory[16] = "", *slash;

			if (i < count)
				strcpy(directory, paths[i]);
			slash = strrchr(directory, '/');
			if (slash)
				slash[1] = '\0';
			else
				directory[0] = '\0';
			found.count = 0;
			assert_int_equal(
				manifest_table_list(table, directory, name_met, &found), 0);
			model_list(paths, count, directory, &expected);
			qsort(found.list, found.count, sizeof *found.list, compare);
			qsort(expected.list, expected.count, sizeof *expected.list, compare);
			assert_int_equal(found.count, expected.count);
			for (size_t j = 0; j < found.count; j++)
				assert_string_equal(found.list[j], expected.list[j]);
		}
		manifest_table_destroy(table);
	}
}

static void what_is_written_is_read(void **state)
{
	static const struct manifest_entry entries[] = {
		{.path = "a b/\xc3\xa4\"\\",
			.url = "http://h/x",
			.validator = "\"e\"",
			.digest = "crc32:cbf43926",
			.size = 5,
			.mtime_s = 1714979289},
		{.path = "bad\xff%", .url = "s3://b/k", .validator = "", .size = 0, .mtime_s = -1},
		{.path = "weak",
			.url = "x",
			.validator = "W/\"e\"",
			.size = INT64_MAX,
			.mtime_s = 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(entries); i++) {
		const struct manifest_entry *found;
		struct manifest_table *table;
		cleanup_free char *line = NULL;

		assert_int_equal(manifest_line_make(&entries[i], &line), 0);
		table = table_make(line, 7);
		found = manifest_table_find(table, entries[i].path);
		assert_non_null(found);
		assert_string_equal(found->url, entries[i].url);
		assert_string_equal(found->validator, entries[i].validator);
		assert_true(!found->digest == !entries[i].digest);
		if (found->digest)
			assert_string_equal(found->digest, entries[i].digest);
		assert_true(found->size == entries[i].size && found->mtime_s == entries[i].mtime_s);
		manifest_table_destroy(table);
	}
}

static void an_https_manifest_names_no_http(void **state)
{
	static const char line[] = "{\"path\":\"a\",\"url\":\"http://h/a\",\"size\":1}\n";
	struct manifest_table *table;

	(void)state;
	assert_int_equal(manifest_table_create("https://h/m", &table), 0);
	assert_int_equal(manifest_table_add(table, line, strlen(line)), -EPROTO);
	assert_string_equal(
		manifest_table_error(table), "1: an http:// url in a manifest from https://");
	manifest_table_destroy(table);
}

/* ---- URLs --------------------------------------------------------------------------------- */

static void urls_have_an_inner_form(void **state)
{
	static const struct {
		const char *given, *inner, *locator, *path;
	} cases[] = {
		{"manifest:/m.jsonl", "manifest:file:///m.jsonl|/", "file:///m.jsonl", ""},
		{"manifest:/a b%#x y/z", "manifest:file:///a%20b%25|/x%20y/z", "file:///a%20b%25",
			"x y/z"},
		{"MANIFEST://m", "manifest:file:///m|/", "file:///m", ""},
		{"manifest:http://h/m?a=b&c|d^e#p/", "manifest:http://h/m^a=b&c%7Cd%5Ee|/p/",
			"http://h/m?a=b&c%7Cd%5Ee", "p/"},
		{"manifest:file:///m#/p", "manifest:file:///m|/p", "file:///m", "p"},
		{"manifest:s3://b/a b#p", "manifest:s3://b/a%20b|/p", "s3://b/a%20b", "p"},
		{"manifest:", NULL, NULL, NULL},
		{"manifest:ftp://h/m", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(manifest_url_finish) struct manifest_url url = {0};
		cleanup_free char *inner = NULL, *joined = NULL;
		int err = manifest_url_from_given(cases[i].given, &inner);

		if ((err == -EINVAL) != !cases[i].inner)
			fail_msg("%s: %d: %s", cases[i].given, err, inner);
		if (err < 0)
			continue;
		assert_string_equal(inner, cases[i].inner);
		assert_int_equal(manifest_url_join(inner, "http://o/x?y#z", &joined), 0);
		assert_int_equal(manifest_url_parse(joined, &url), 0);
		assert_string_equal(url.locator, cases[i].locator);
		assert_string_equal(url.path, cases[i].path);
		assert_string_equal(url.object, "http://o/x?y#z");
	}
}

/* ---- digests and hashes ------------------------------------------------------------------- */

#define LINE(members) "{\"path\":\"a\",\"url\":\"x\",\"size\":10000" members "}\n"
#define MORE(members) "{\"path\":\"a\"," members "}\n"
#define SIZED ",\"block_size\":4096,\"block_hashes\":\"crc32:"

/* Lines in any order, of which none says all; cut anywhere. */
static void hashes_come_in_parts(void **state)
{
	static const char text[] =
		MORE("\"block_from\":2,\"block_hashes\":\"crc32:Y2NjYw==\"") "{\"path\":\"b\",\"url\":\"x\",\"size\":1,\"digest\":\"crc32:cbf43926\"}\n" LINE(
			SIZED "YWFhYQ==\"")
			MORE("\"block_from\":1,\"block_hashes\":\"crc32:YmJiYg\"") "{\"path\":\"e\",\"url\":\"x\",\"size\":0,\"block_size\":8192,"
										   "\"block_hashes\":\"sha256:\"}\n";

	(void)state;
	for (size_t piece = 1; piece <= sizeof text; piece += 5) {
		struct manifest_table *table = table_make(text, piece);
		struct version version;

		manifest_entry_version(manifest_table_find(table, "a"), &version);
		assert_true(version.digest.kind == DIGEST_NONE);
		assert_true(version.hashes->kind == DIGEST_CRC32);
		assert_true(version.hashes->block_bytes == 4096 && version.hashes->size == 10000);
		assert_memory_equal(version.hashes->digests, "aaaabbbbcccc", 12);
		/* Who keeps it outlives the table. */
		hash_list_take(version.hashes);
		manifest_entry_version(manifest_table_find(table, "e"), &version);
		assert_non_null(version.hashes);
		manifest_entry_version(manifest_table_find(table, "b"), &version);
		assert_true(version.digest.kind == DIGEST_CRC32);
		assert_null(version.hashes);
		manifest_entry_version(manifest_table_find(table, "a"), &version);
		manifest_table_destroy(table);
		assert_memory_equal(version.hashes->digests, "aaaa", 4);
		hash_list_put(version.hashes);
	}
}

static void malformed_hashes_are_refused(void **state)
{
	static const char *const texts[] = {
		LINE(",\"digest\":\"crc32:cbf4392\""),
		LINE(",\"digest\":\"md5:cbf43926\""),
		LINE(",\"digest\":5"),
		LINE(",\"block_size\":4096"),
		LINE(",\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE(SIZED "YWFhYWJiYmI\""),
		LINE(SIZED "YWFhYWJiYmJjY2NjZGRkZA==\""),
		LINE(SIZED "YWFhYWJiYmJjY2N\""),
		LINE(SIZED "YWFhYWJi*mJjY2Nj\""),
		LINE(",\"block_size\":4096,\"block_hashes\":\"md5:YWFhYWJiYmJjY2Nj\""),
		LINE(",\"block_size\":4096,\"block_hashes\":7"),
		LINE(",\"block_size\":4095,\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE(",\"block_size\":0,\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE(",\"block_size\":-4096,\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE(",\"block_size\":2097152,\"block_hashes\":\"crc32:YWFhYQ\""),
		LINE(",\"block_size\":\"4096\",\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE("") MORE("\"block_from\":0,\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		MORE("\"block_from\":0,\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE(SIZED "YWFhYQ==\"") MORE("\"block_from\":2,\"block_hashes\":\"crc32:Y2NjYw\""),
		LINE(SIZED "YWFhYQ==\"")
			MORE("\"block_from\":0,\"block_hashes\":\"crc32:YWFhYWJiYmJjY2Nj\""),
		LINE(SIZED "YWFhYQ==\"")
			MORE("\"block_from\":1,\"block_hashes\":\"crc32c:YmJiYmNjY2M\""),
		LINE(SIZED "YWFhYQ==\"")
			MORE("\"block_from\":-1,\"block_hashes\":\"crc32:YmJiYmNjY2M\""),
		LINE(SIZED "YWFhYQ==\"") MORE("\"block_from\":1"),
		LINE(SIZED "YWFhYQ==\"") MORE(
			"\"block_from\":9223372036854775807,\"block_hashes\":\"crc32:YmJiYg\""),
	};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		struct manifest_table *table;
		int err;

		assert_int_equal(manifest_table_create("file:///m", &table), 0);
		err = manifest_table_add(table, texts[i], strlen(texts[i]));
		if (err == 0)
			err = manifest_table_end(table);
		if (err != -EPROTO || !strchr("12", manifest_table_error(table)[0]))
			fail_msg("%d: %s: %s", err, texts[i], manifest_table_error(table));
		manifest_table_destroy(table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_may_be_cut_anywhere),
		cmocka_unit_test(directories_are_what_a_model_says),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(an_https_manifest_names_no_http),
		cmocka_unit_test(urls_have_an_inner_form),
		cmocka_unit_test(hashes_come_in_parts),
		cmocka_unit_test(malformed_hashes_are_refused),
	};

	return run_group(tests);
}
