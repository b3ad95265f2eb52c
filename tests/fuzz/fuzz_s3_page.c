/*
 * fuzz_s3_page.c - any bytes as a page of an S3 listing, and as an error. What is told must be a
 * name behind the prefix, without a slash, and a link that stands for the same bytes.
 */
#include <assert.h>
#include <string.h>

#include "s3_error.h"
#include "s3_page.h"
#include "s3_url.h"
#include "url.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int check_entry(const struct index_entry *entry, void *context)
{
	char href[3 * S3_KEY_MAX + 2];
	size_t length;

	(void)context;
	assert(strlen(entry->name) == entry->name_length && entry->name_length <= S3_KEY_MAX);
	assert(!strchr(entry->name, '/'));
	for (const char *c = entry->href; *c; c++)
		assert((unsigned char)*c > ' ' && (unsigned char)*c < 0x7f && !strchr("?#+", *c));
	strcpy(href, entry->href);
	length = url_decode(href, false);
	assert(length == entry->name_length + entry->is_dir);
	assert(memcmp(href, entry->name, entry->name_length) == 0);
	assert(!entry->is_dir || href[entry->name_length] == '/');
	if (entry->etag)
		assert(entry->etag[0] == '"' && strlen(entry->etag) <= 255);
	return 0;
}

static void check_error(const char *bytes, size_t len)
{
	static const unsigned statuses[] = {200, 301, 400, 403, 404, 503};
	struct s3_error error;

	s3_error_parse(bytes, len, &error);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		struct s3_meaning meaning = s3_error_meaning(error.code, statuses[i]);

		assert(meaning.err < 0 && (!meaning.words || *meaning.words));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const prefixes[] = {"", "a/"};

	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		struct s3_page page;
		const char *reason = NULL;
		int err = s3_page_read((const char *)bytes, len, &page, &reason);

		if (err == 0)
			err = s3_page_report(&page, prefixes[i], check_entry, NULL, &reason);
		assert(err == 0 || reason);
		s3_page_finish(&page);
	}
	check_error((const char *)bytes, len);
	return 0;
}
