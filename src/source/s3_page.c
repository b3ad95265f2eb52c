/*
 * s3_page.c - ListBucketResult's XML to items, and items to entries.
 *
 * A page lives with its caller. One pass to read it, one to tell it; memory is the items and their
 * text, under twice the page's bytes. What a server may not do (a key outside of the prefix, a '/'
 * where the delimiter should have cut, another bucket's page) makes all of the page wrong: a
 * listing is believed as a whole or not at all.
 *
 * Where the answer says `EncodingType` is not fixed, so that keys are decoded after the last byte.
 */
#include "s3_page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_sign.h"
#include "s3_url.h"
#include "s3_xml.h"
#include "source.h"
#include "url.h"

struct s3_item {
	size_t key, etag; /* offsets in the page's text; 0: none */
	uint64_t size;
	time_t mtime;
	bool is_prefix;
	bool has_key, has_size;
};

struct reader {
	struct s3_page *page;
	struct s3_item item; /* whose elements are being read */
	bool is_listing;
};

/* ---- reading ------------------------------------------------------------------------------ */

static int keep_text(struct s3_page *page, const char *text, size_t len, size_t *ret_offset)
{
	if (page->text_room - page->text_len < len + 1) {
		size_t room = 2 * page->text_room + len + 4096;
		char *grown = realloc(page->text, room);

		if (!grown)
			return -ENOMEM;
		page->text = grown;
		page->text_room = room;
	}
	/* NULs can't come: XML has none. */
	memcpy(page->text + page->text_len, text, len + 1);
	*ret_offset = page->text_len;
	page->text_len += len + 1;
	return 0;
}

static int read_key(struct reader *reader, const char *text, size_t len)
{
	if (reader->item.has_key)
		return -EPROTO;
	reader->item.has_key = true;
	return keep_text(reader->page, text, len, &reader->item.key);
}

/* It will stand in a request's If-Match. What can't is as if it were not there. */
static int read_etag(struct reader *reader, const char *text, size_t len)
{
	if (len < 2 || len > VALIDATOR_MAX || text[0] != '"')
		return 0;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
			return 0;
	return keep_text(reader->page, text, len, &reader->item.etag);
}

static int read_size(struct reader *reader, const char *text, size_t len)
{
	uint64_t size = 0;

	if (len == 0 || len > 18 || reader->item.has_size) /* below INT64_MAX */
		return -EPROTO;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EPROTO;
		size = 10 * size + (uint64_t)(*text - '0');
	}
	reader->item.size = size;
	reader->item.has_size = true;
	return 0;
}

static int read_mtime(struct reader *reader, const char *text, size_t len)
{
	int64_t mtime_s;

	(void)len;
	reader->item.mtime = s3_time_parse(text, &mtime_s) ? (time_t)mtime_s : INDEX_MTIME_UNKNOWN;
	return 0;
}

static int end_item(struct reader *reader, bool is_prefix)
{
	struct s3_page *page = reader->page;

	if (!reader->item.has_key || (!is_prefix && !reader->item.has_size) ||
		page->count == S3_PAGE_KEYS)
		return -EPROTO;
	if (page->count == page->room) {
		size_t room = page->room ? 2 * page->room : 64;
		struct s3_item *grown = reallocarray(page->items, room, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		page->items = grown;
		page->room = room;
	}
	reader->item.is_prefix = is_prefix;
	page->items[page->count++] = reader->item;
	reader->item = (struct s3_item){.mtime = INDEX_MTIME_UNKNOWN};
	return 0;
}

static int end_contents(struct reader *reader, const char *text, size_t len)
{
	(void)text;
	(void)len;
	return end_item(reader, false);
}

static int end_prefix(struct reader *reader, const char *text, size_t len)
{
	(void)text;
	(void)len;
	return end_item(reader, true);
}

static int keep_once(char **to, const char *text)
{
	if (*to)
		return -EPROTO;
	*to = strdup(text);
	return *to ? 0 : -ENOMEM;
}

static int read_bucket(struct reader *reader, const char *text, size_t len)
{
	(void)len;
	return keep_once(&reader->page->bucket, text);
}

static int read_token(struct reader *reader, const char *text, size_t len)
{
	return len == 0 ? 0 : keep_once(&reader->page->token, text);
}

static int read_truncated(struct reader *reader, const char *text, size_t len)
{
	(void)len;
	reader->page->is_truncated = strcmp(text, "true") == 0;
	return 0;
}

static int read_encoding(struct reader *reader, const char *text, size_t len)
{
	(void)len;
	reader->page->is_encoded = strcmp(text, "url") == 0;
	return 0;
}

static int end_listing(struct reader *reader, const char *text, size_t len)
{
	(void)text;
	(void)len;
	reader->is_listing = true;
	return 0;
}

static int end_error(struct reader *reader, const char *text, size_t len)
{
	(void)text;
	(void)len;
	reader->page->is_error = true;
	return 0;
}

#define RESULT "/ListBucketResult"

static const struct {
	const char *path;
	int (*take)(struct reader *reader, const char *text, size_t len);
} elements[] = {
	{RESULT "/Contents/Key", read_key},
	{RESULT "/Contents/ETag", read_etag},
	{RESULT "/Contents/Size", read_size},
	{RESULT "/Contents/LastModified", read_mtime},
	{RESULT "/Contents", end_contents},
	{RESULT "/CommonPrefixes/Prefix", read_key},
	{RESULT "/CommonPrefixes", end_prefix},
	{RESULT "/Name", read_bucket},
	{RESULT "/NextContinuationToken", read_token},
	{RESULT "/IsTruncated", read_truncated},
	{RESULT "/EncodingType", read_encoding},
	{RESULT, end_listing},
	{"/Error", end_error},
};

static int page_text(struct s3_xml *xml, const char *path, const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
		if (strcmp(elements[i].path, path) == 0)
			return elements[i].take(xml->context, text, len);
	return 0;
}

/*
 * radosgw encodes keys, but neither the prefix that it gives back nor its tokens, which are keys,
 * too: a control character stands there as "&#x01;", which is no XML. On the way through expat it
 * is a character that nobody uses, U+10FF00 and so on: this, and a last byte with its value.
 */
static const char stand_in[] = "\xf4\x8f\xbc";

/* The control character that "&#x01;" stands for; 0: it is something else. */
static char control_reference(const char *at, const char *end, size_t *ret_len)
{
	unsigned byte = 0;
	int len = 0;
	char text[8] = "";

	memcpy(text, at, (size_t)(end - at) < 7 ? (size_t)(end - at) : 7);
	if (sscanf(text, "&#x%2x;%n", &byte, &len) != 1 || len == 0 || byte >= ' ' ||
		byte == '\t' || byte == '\n' || byte == '\r')
		return 0;
	*ret_len = (size_t)len;
	return (char)byte;
}

/* NULL: it is fine as it is, or can't be helped. */
static char *stand_in_for_controls(const char *bytes, size_t *len)
{
	const char *at = memmem(bytes, *len, "&#x", 3), *end = bytes + *len;
	char *copy, *to;

	if (!at || memmem(bytes, *len, stand_in, strlen(stand_in)) || !(copy = malloc(*len + 1)))
		return NULL;
	to = mempcpy(copy, bytes, (size_t)(at - bytes));
	while (at < end) {
		size_t used = 0;
		char control = *at == '&' ? control_reference(at, end, &used) : 0;

		if (control) {
			to = stpcpy(to, stand_in);
			*to++ = (char)(0x80 | control);
			at += used;
		} else {
			*to++ = *at++;
		}
	}
	*len = (size_t)(to - copy);
	return copy;
}

static void controls_back(char *text)
{
	char *to = text;

	while (*text) {
		bool is_one = strncmp(text, stand_in, strlen(stand_in)) == 0;

		text += is_one ? strlen(stand_in) : 0;
		*to++ = is_one ? (char)(*text & 0x7f) : *text;
		text++;
	}
	*to = '\0';
}

int s3_page_read(const char *bytes, size_t len, struct s3_page *ret, const char **ret_reason)
{
	struct reader reader = {.page = ret, .item.mtime = INDEX_MTIME_UNKNOWN};
	struct s3_xml xml = {.text = page_text, .context = &reader};
	cleanup_free char *copy = NULL;
	size_t none;
	int err;

	*ret = (struct s3_page){0};
	/* Offset 0 is "". */
	err = keep_text(ret, "", 0, &none);
	copy = stand_in_for_controls(bytes, &len);
	if (err == 0)
		err = s3_xml_read(&xml, copy ? copy : bytes, len, ret_reason);
	if (err == 0 && !reader.is_listing && !ret->is_error) {
		*ret_reason = "not a ListBucketResult";
		err = -EPROTO;
	}
	if (copy && ret->token)
		controls_back(ret->token);
	if (err == 0 && copy && !ret->is_encoded &&
		memmem(ret->text, ret->text_len, stand_in, strlen(stand_in))) {
		*ret_reason = "a key that is no XML";
		err = -EPROTO;
	}
	if (err == 0 && ret->is_truncated && !ret->token) {
		*ret_reason = "more pages, but no token for them";
		err = -EPROTO;
	}
	return err;
}

void s3_page_finish(struct s3_page *page)
{
	free(page->items);
	free(page->text);
	free(page->bucket);
	free(page->token);
	*page = (struct s3_page){0};
}

/* ---- telling ------------------------------------------------------------------------------ */

/* What stands behind the prefix, decoded in place. NULL: it was not asked for. */
static char *item_name(
	const struct s3_page *page, const struct s3_item *item, const char *prefix, size_t *ret_len)
{
	char *key = page->text + item->key;
	size_t len = page->is_encoded ? url_decode(key, true) : strlen(key);
	size_t prefix_len = strlen(prefix);

	if (len > S3_KEY_MAX || len < prefix_len || memcmp(key, prefix, prefix_len) != 0)
		return NULL;
	key += prefix_len;
	len -= prefix_len;
	if (item->is_prefix && (len == 0 || key[--len] != '/'))
		return NULL;
	if (memchr(key, '/', len))
		return NULL;
	key[len] = '\0';
	*ret_len = len;
	return key;
}

int s3_page_report(struct s3_page *page, const char *prefix, index_entry_fn *entry, void *context,
	const char **ret_reason)
{
	char href[3 * S3_KEY_MAX + 2];

	for (size_t i = 0; i < page->count; i++) {
		const struct s3_item *item = &page->items[i];
		struct index_entry told = {
			.href = href,
			.is_dir = item->is_prefix,
			.size = item->is_prefix ? INDEX_SIZE_UNKNOWN : item->size,
			.mtime = item->mtime,
			.etag = item->etag ? page->text + item->etag : NULL,
		};
		size_t used;
		int result;

		told.name = item_name(page, item, prefix, &told.name_length);
		if (!told.name) {
			*ret_reason = "a key that was not asked for";
			return -EPROTO;
		}
		if (memchr(told.name, '\0', told.name_length))
			continue;
		used = s3_encode(told.name, told.name_length, false, href);
		strcpy(href + used, item->is_prefix ? "/" : "");
		result = entry(&told, context);
		if (result != 0)
			return result;
	}
	return 0;
}
