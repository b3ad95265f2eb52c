/*
 * s3_page.h - one page of a ListObjectsV2 answer: read, checked, and told as index entries.
 *
 * Every byte sequence is a legal input. A page is read whole before any of it is told, so that what
 * was cut short tells nothing. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index.h"

#define S3_PAGE_KEYS 1000             /* asked for in one page: the most that S3 gives */
#define S3_PAGE_MAX ((size_t)8 << 20) /* bytes: twice of 1000 longest keys, all encoded */

struct s3_item;

struct s3_page {
	struct s3_item *items;
	size_t count, room;
	char *text; /* of all items; they know offsets */
	size_t text_len, text_room;
	char *bucket;
	char *token;       /* NextContinuationToken; NULL: none */
	bool is_truncated; /* there are more pages */
	bool is_encoded;   /* keys are percent-encoded */
	bool is_error;     /* an error's XML, whatever the status was */
};

/*
 * -EPROTO with a reason: no such page, or one with more than S3_PAGE_KEYS items; -ENOMEM. The page
 * is the caller's to finish in any case.
 */
int s3_page_read(const char *bytes, size_t len, struct s3_page *ret, const char **ret_reason);
/* A zeroed one is fine. */
void s3_page_finish(struct s3_page *page);

/*
 * Calls entry for each item below `prefix` (as it is, not encoded), in the page's order; once for a
 * page. Names are what stands behind the prefix, byte for byte: they may be empty, "." or "..", and
 * up to S3_KEY_MAX bytes long; there is no '/' in them and no NUL: a key with one is left out. What
 * is no directory and has an empty name is the prefix itself as a key.
 *
 * -EPROTO with a reason: an item that was not asked for; else what entry() said.
 */
int s3_page_report(struct s3_page *page, const char *prefix, index_entry_fn *entry, void *context,
	const char **ret_reason);
