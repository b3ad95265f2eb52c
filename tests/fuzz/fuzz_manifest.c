/*
 * fuzz_manifest.c - any bytes as a manifest, cut in two. What is accepted is listed, each name of
 * it is found again, and its line, written anew, says the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "hash_list.h"
#include "index.h"
#include "manifest_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_hashes(const struct hash_list *hashes, const struct hash_list *again)
{
	uint64_t count;

	assert(!hashes == !again);
	if (!hashes)
		return;
	count = hash_list_count(hashes->size, hashes->block_bytes);
	assert(hashes->size == again->size && hashes->block_bytes == again->block_bytes);
	assert(hash_block_is_fit(hashes->block_bytes));
	for (uint64_t i = 0; i < count; i++) {
		struct range block = hash_list_block(hashes, i * hashes->block_bytes);
		struct digest one, other;

		assert(!range_empty(block) && block.end <= hashes->size);
		hash_list_digest(hashes, block.start, &one);
		hash_list_digest(again, block.start, &other);
		assert(digest_same(&one, &other));
	}
}

/* Written anew, the lines say the same. */
static void check_line(const struct manifest_entry *entry)
{
	cleanup_free char *line = NULL;
	struct manifest_table *table;
	const struct manifest_entry *again;
	struct version version, version_again;
	uint64_t from = 0;

	assert(manifest_line_make(entry, &line) == 0);
	assert(manifest_table_create("file:///m", &table) == 0);
	while (line) {
		assert(strlen(line) <= MANIFEST_LINE_MAX);
		assert(manifest_table_add(table, line, strlen(line)) == 0);
		free(steal_pointer(&line));
		assert(manifest_more_make(entry, &from, &line) == 0);
	}
	assert(manifest_table_end(table) == 0);
	again = manifest_table_find(table, entry->path);
	assert(again && strcmp(again->url, entry->url) == 0 && again->size == entry->size);
	check_hashes(entry->hashes, again->hashes);
	manifest_entry_version(entry, &version);
	manifest_entry_version(again, &version_again);
	assert(strcmp(version.etag, version_again.etag) == 0 &&
		strcmp(version.modified, version_again.modified) == 0);
	manifest_table_destroy(table);
}

static int check_name(
	const char *name, size_t length, const struct manifest_entry *entry, void *context)
{
	const struct manifest_table *table = context;

	assert(length > 0 && length <= INDEX_NAME_MAX && !memchr(name, '/', length));
	assert(!(length == 1 && name[0] == '.') && !(length == 2 && memcmp(name, "..", 2) == 0));
	if (entry) {
		assert(manifest_table_find(table, entry->path) == entry);
		assert(strlen(entry->validator) <= VALIDATOR_MAX && entry->url[0]);
		check_line(entry);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const urls[] = {"file:///m", "https://h/m"};

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct manifest_table *table;
		size_t half = len / 2;
		int err = manifest_table_create(urls[i], &table);

		if (err == 0)
			err = manifest_table_add(table, (const char *)bytes, half);
		if (err == 0)
			err = manifest_table_add(table, (const char *)bytes + half, len - half);
		if (err == 0)
			err = manifest_table_end(table);
		if (err == 0) {
			assert(manifest_table_has_directory(table, ""));
			manifest_table_list(table, "", check_name, table);
			if (manifest_table_has_directory(table, "a/"))
				manifest_table_list(table, "a/", check_name, table);
		} else {
			assert(manifest_table_error(table)[0] >= '0');
		}
		manifest_table_destroy(table);
	}
	return 0;
}
