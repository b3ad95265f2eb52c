/*
 * fuzz_manifest.c - any bytes as a manifest, cut in two. What is accepted is listed, and each name
 * of it is found again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "index.h"
#include "manifest_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int check_name(
	const char *name, size_t length, const struct manifest_entry *entry, void *context)
{
	const struct manifest_table *table = context;

	assert(length > 0 && length <= INDEX_NAME_MAX && !memchr(name, '/', length));
	assert(!(length == 1 && name[0] == '.') && !(length == 2 && memcmp(name, "..", 2) == 0));
	if (entry) {
		assert(manifest_table_find(table, entry->path) == entry);
		assert(strlen(entry->validator) <= VALIDATOR_MAX && entry->url[0]);
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
		if (err == 0)
			manifest_table_list(table, "", check_name, table);
		else
			assert(manifest_table_error(table)[0] >= '0');
		manifest_table_destroy(table);
	}
	return 0;
}
