/*
 * fuzz_index.c - any bytes as an index page, as HTML, as JSON and as WebDAV's XML. What is reported
 * must be a name of this directory, and a path that stays in it.
 */
#include <assert.h>
#include <string.h>

#include "index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int check_entry(const struct index_entry *entry, void *context)
{
	const char *slash = strchr(entry->href, '/');

	(void)context;
	assert(entry->name_length > 0 && entry->name_length <= INDEX_NAME_MAX);
	assert(strlen(entry->name) == entry->name_length);
	assert(!strchr(entry->name, '/'));
	assert(strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0);
	/* One segment, with a slash behind a directory only. */
	assert(!slash || (entry->is_dir && slash[1] == '\0'));
	for (const char *c = entry->href; *c; c++)
		assert((unsigned char)*c > ' ' && (unsigned char)*c < 0x7f);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const types[] = {
		"text/html", "application/json", "application/xml", NULL};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct index_page page = {
			.bytes = (const char *)bytes,
			.length = len,
			.content_type = types[i],
			.path = "/some/dir/",
		};
		struct index_counts counts;

		index_parse(&page, check_entry, NULL, &counts);
	}
	return 0;
}
