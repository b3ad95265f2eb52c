/*
 * manifest_table.c - reads lines, keeps entries sorted by path, and answers from them.
 *
 * Owned by a manifest of manifest.c. There is no tree: what is below a directory has its path for a
 * prefix, so that it stands together in the sorted array, and a subdirectory is passed over by one
 * binary search. Every string is in an arena.
 *
 * Cost: some 60 bytes and its strings an entry; two microseconds a line, nearly all of it
 * jansson's; a name of a listing costs log2 of the entries. Rejected: one JSON document, which
 * could not be read as it comes, nor be written by a shell loop or joined with cat(1).
 */
#include "manifest_table.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "index.h"
#include "manifest_hashes.h"
#include "manifest_text.h"
#include "s3_credentials.h"
#include "text.h"

#define ARENA_BYTES ((size_t)64 << 10)

struct arena {
	struct arena *next;
	size_t used;
	char bytes[];
};

struct manifest_table {
	struct arena *arena;
	struct manifest_entry *entries;
	size_t count, max;
	struct manifest_parts parts;
	uint32_t line; /* of the next byte, from 1 */
	size_t kept;   /* of a line whose end has not come */
	bool is_local, is_secret;
	char error[160];
	char text[MANIFEST_LINE_MAX];
};

int manifest_table_create(const char *url, struct manifest_table **ret)
{
	struct manifest_table *table = malloc(sizeof *table);

	if (!table)
		return -ENOMEM;
	/* Not the text. */
	memset(table, 0, offsetof(struct manifest_table, text));
	table->line = 1;
	table->is_local = strncasecmp(url, "file:", 5) == 0;
	table->is_secret = strncasecmp(url, "https:", 6) == 0;
	*ret = table;
	return 0;
}

void manifest_table_destroy(struct manifest_table *table)
{
	if (!table)
		return;
	while (table->arena) {
		struct arena *next = table->arena->next;

		free(table->arena);
		table->arena = next;
	}
	for (size_t i = 0; i < table->count; i++)
		hash_list_put(table->entries[i].hashes);
	manifest_parts_finish(&table->parts);
	free(table->entries);
	free(table);
}

const char *manifest_table_error(const struct manifest_table *table)
{
	return table->error;
}

static int refuse(struct manifest_table *table, const char *reason)
{
	snprintf(table->error, sizeof table->error, "%u: %s", table->line, reason);
	return -EPROTO;
}

static const char *text_keep(struct manifest_table *table, const char *text, size_t length)
{
	struct arena *arena = table->arena;
	char *copy;

	if (!arena || ARENA_BYTES - arena->used < length + 1) {
		arena = malloc(sizeof *arena + ARENA_BYTES);
		if (!arena)
			return NULL;
		arena->used = 0;
		arena->next = table->arena;
		table->arena = arena;
	}
	copy = memcpy(arena->bytes + arena->used, text, length);
	copy[length] = '\0';
	arena->used += length + 1;
	return copy;
}

/* ---- members of a line -------------------------------------------------------------------- */

const char *manifest_path_check(const char *path, size_t length)
{
	const char *part = path, *end = path + length;

	if (length == 0)
		return "an empty path";
	while (part < end) {
		const char *slash = memchr(part, '/', (size_t)(end - part));
		size_t size = (size_t)((slash ? slash : end) - part);

		if (size == 0)
			return "a path with an empty part";
		if (size > INDEX_NAME_MAX)
			return "a path with a part of more than 255 bytes";
		if ((size == 1 && part[0] == '.') || (size == 2 && memcmp(part, "..", 2) == 0))
			return "a path with . or .. in it";
		part += size + (slash != NULL);
	}
	return NULL;
}

/* NULL: decoded, to the length. */
static const char *path_decode(const char *encoded, char *to, size_t *ret_length)
{
	char *start = to;

	for (; *encoded; encoded++) {
		unsigned byte = (unsigned char)*encoded;

		if (*encoded == '%') {
			if (strspn(encoded + 1, "0123456789abcdefABCDEF") < 2 ||
				sscanf(encoded + 1, "%2x", &byte) != 1 || byte == 0)
				return "a malformed path_encoded";
			encoded += 2;
		}
		*to++ = (char)byte;
	}
	*to = '\0';
	*ret_length = (size_t)(to - start);
	return NULL;
}

static int path_read(struct manifest_table *table, const json_t *line, struct manifest_entry *entry)
{
	const json_t *plain = json_object_get(line, "path");
	const json_t *encoded = json_object_get(line, "path_encoded");
	const char *text = json_string_value(plain ? plain : encoded), *wrong = NULL;
	size_t length = json_string_length(plain ? plain : encoded);
	cleanup_free char *decoded = NULL;

	if (!text || (plain && encoded))
		return refuse(table, "no path, or two");
	if (encoded) {
		decoded = malloc(length + 1);
		if (!decoded)
			return -ENOMEM;
		wrong = path_decode(text, decoded, &length);
		text = decoded;
	}
	if (!wrong)
		wrong = manifest_path_check(text, length);
	if (wrong)
		return refuse(table, wrong);
	entry->path = text_keep(table, text, length);
	return entry->path ? 0 : -ENOMEM;
}

/* NULL: one that a manifest of this kind may have. */
static const char *url_check(const struct manifest_table *table, const char *url)
{
	static const char schemes[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
	size_t length = strspn(url, schemes);

	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '#')
			return "a url with bytes that no URL has";
	if (*url == '\0')
		return "an empty url";
	if (url[length] != ':')
		return NULL;
	if (strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "s3://", 5) == 0)
		return NULL;
	if (strncasecmp(url, "http://", 7) == 0)
		return table->is_secret ? "an http:// url in a manifest from https://" : NULL;
	if (strncasecmp(url, "file:///", 8) == 0)
		return table->is_local ? NULL : "a file:/// url in a manifest that is no file";
	return "not an http://, https://, s3:// or file:/// url";
}

static int url_read(struct manifest_table *table, const json_t *line, struct manifest_entry *entry)
{
	const json_t *url = json_object_get(line, "url");
	const char *wrong;

	if (!json_is_string(url))
		return refuse(table, "no url");
	wrong = url_check(table, json_string_value(url));
	if (wrong)
		return refuse(table, wrong);
	entry->url = text_keep(table, json_string_value(url), json_string_length(url));
	return entry->url ? 0 : -ENOMEM;
}

static bool is_etag(const char *text, size_t length)
{
	size_t start = strncmp(text, "W/", 2) == 0 ? 2 : 0;

	return length >= start + 2 && text[start] == '"' && text[length - 1] == '"' &&
	       !memchr(text + start + 1, '"', length - start - 2);
}

static int validator_read(
	struct manifest_table *table, const json_t *line, struct manifest_entry *entry)
{
	const json_t *value = json_object_get(line, "validator");
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	entry->validator = "";
	if (!value || json_is_null(value))
		return 0;
	if (!text || length == 0 || length > VALIDATOR_MAX)
		return refuse(table, "a validator that is no text, empty or too long");
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return refuse(table, "a validator with control characters");
	if (!is_etag(text, length)) {
		entry->mtime_s = curl_getdate(text, NULL);
		if (entry->mtime_s < 0)
			return refuse(table, "a validator that is no ETag in quotes, and no date");
	}
	entry->validator = text_keep(table, text, length);
	return entry->validator ? 0 : -ENOMEM;
}

static int numbers_read(
	struct manifest_table *table, const json_t *line, struct manifest_entry *entry)
{
	const json_t *size = json_object_get(line, "size");
	const json_t *mtime = json_object_get(line, "mtime");

	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return refuse(table, "no size, or one that is none");
	entry->size = (uint64_t)json_integer_value(size);
	if (!mtime || json_is_null(mtime))
		return 0;
	if (!json_is_string(mtime) || !s3_time_parse(json_string_value(mtime), &entry->mtime_s))
		return refuse(table, "an mtime that is not like 2024-01-15T10:00:00Z");
	return 0;
}

static int digest_read(
	struct manifest_table *table, const json_t *line, struct manifest_entry *entry)
{
	const json_t *value = json_object_get(line, "digest");
	const char *text = json_string_value(value);
	struct digest digest;

	if (!value || json_is_null(value))
		return 0;
	if (!text || !digest_parse(text, &digest))
		return refuse(table, "a digest that is not like \"sha256:DIGITS\"");
	entry->digest = text_keep(table, text, json_string_length(value));
	return entry->digest ? 0 : -ENOMEM;
}

static int hashes_read(
	struct manifest_table *table, const json_t *line, struct manifest_entry *entry)
{
	const char *wrong = NULL;
	int err = manifest_parts_read(
		&table->parts, line, entry->path, table->line, &entry->block_bytes, &wrong);

	return err == -EPROTO ? refuse(table, wrong) : err;
}

/* ---- lines -------------------------------------------------------------------------------- */

static int entry_add(struct manifest_table *table, const struct manifest_entry *entry)
{
	if (table->count == MANIFEST_ENTRIES_MAX) {
		refuse(table, "too many lines");
		return -E2BIG;
	}
	if (table->count == table->max) {
		size_t max = table->max ? 2 * table->max : 64;
		struct manifest_entry *grown = reallocarray(table->entries, max, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		table->entries = grown;
		table->max = max;
	}
	table->entries[table->count++] = *entry;
	return 0;
}

static bool is_directory(const char *path)
{
	return path[strlen(path) - 1] == '/';
}

static int line_read(struct manifest_table *table, const char *text, size_t length)
{
	struct manifest_entry entry = {
		.url = NULL,
		.validator = "",
		.mtime_s = -1,
		.line = table->line,
	};
	cleanup(json_unref) json_t *line = NULL;
	json_error_t error;
	int err;

	while (length > 0 && strchr(" \t\r", text[length - 1]) && text[length - 1])
		length--;
	if (length == 0)
		return 0;
	line = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!line)
		return json_error_code(&error) == json_error_out_of_memory
			       ? -ENOMEM
			       : refuse(table, "not JSON");
	if (!json_is_object(line))
		return refuse(table, "not a JSON object");
	err = path_read(table, line, &entry);
	if (err == 0 && manifest_part_is_more(line))
		return hashes_read(table, line, &entry);
	if (err == 0 && !is_directory(entry.path)) {
		err = url_read(table, line, &entry);
		if (err == 0)
			err = validator_read(table, line, &entry);
		if (err == 0)
			err = numbers_read(table, line, &entry);
		if (err == 0)
			err = digest_read(table, line, &entry);
		if (err == 0)
			err = hashes_read(table, line, &entry);
	}
	return err < 0 ? err : entry_add(table, &entry);
}

int manifest_table_add(struct manifest_table *table, const char *bytes, size_t length)
{
	while (length > 0) {
		const char *newline = memchr(bytes, '\n', length);
		size_t part = newline ? (size_t)(newline - bytes) : length;
		int err;

		if (part > MANIFEST_LINE_MAX - table->kept)
			return refuse(table, "a line of more than 64 KiB");
		/* A line that is here as a whole need not be copied. */
		if (newline && table->kept == 0) {
			err = line_read(table, bytes, part);
		} else {
			memcpy(table->text + table->kept, bytes, part);
			table->kept += part;
			err = newline ? line_read(table, table->text, table->kept) : 0;
		}
		if (err < 0)
			return err;
		if (newline) {
			table->kept = 0;
			table->line++;
			part++;
		}
		bytes += part;
		length -= part;
	}
	return 0;
}

static int entry_compare(const void *a_, const void *b_)
{
	const struct manifest_entry *a = a_, *b = b_;
	int order = strcmp(a->path, b->path);

	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

int manifest_table_end(struct manifest_table *table)
{
	int err = line_read(table, table->text, table->kept);
	const char *wrong = NULL;

	if (err < 0)
		return err;
	if (table->count > 0)
		qsort(table->entries, table->count, sizeof *table->entries, entry_compare);
	for (size_t i = 1; i < table->count; i++) {
		const struct manifest_entry *one = &table->entries[i - 1], *two = one + 1;
		char words[64];

		if (strcmp(one->path, two->path) != 0)
			continue;
		snprintf(words, sizeof words, "the path of line %u again", one->line);
		table->line = two->line;
		return refuse(table, words);
	}
	err = manifest_parts_end(&table->parts, table->entries, table->count, &table->line, &wrong);
	return err == -EPROTO ? refuse(table, wrong) : err;
}

/* ---- questions ---------------------------------------------------------------------------- */

/* The first entry, from `from` on, whose path is not before `path`. */
static size_t lower_bound(const struct manifest_table *table, const char *path, size_t from)
{
	size_t end = table->count;

	while (from < end) {
		size_t middle = from + (end - from) / 2;

		if (strcmp(table->entries[middle].path, path) < 0)
			from = middle + 1;
		else
			end = middle;
	}
	return from;
}

const struct manifest_entry *manifest_table_find(
	const struct manifest_table *table, const char *path)
{
	size_t i = lower_bound(table, path, 0);

	if (i == table->count || strcmp(table->entries[i].path, path) != 0 || !*path ||
		is_directory(path))
		return NULL;
	return &table->entries[i];
}

bool manifest_table_has_directory(const struct manifest_table *table, const char *directory)
{
	size_t i = lower_bound(table, directory, 0);

	return !*directory || (i < table->count && strncmp(table->entries[i].path, directory,
							   strlen(directory)) == 0);
}

/* Behind all that is in the subdirectory whose first path this is: `length` bytes and a '/'. */
static size_t subdirectory_end(const struct manifest_table *table, size_t first, size_t length)
{
	char *after = strndup(table->entries[first].path, length + 1);
	size_t end = first + 1;

	if (!after) {
		/* Slower, and as right. */
		while (end < table->count && strncmp(table->entries[end].path,
						     table->entries[first].path, length + 1) == 0)
			end++;
		return end;
	}
	after[length] = '/' + 1;
	end = lower_bound(table, after, end);
	free(after);
	return end;
}

int manifest_table_list(const struct manifest_table *table, const char *directory,
	manifest_name_fn *each, void *context)
{
	size_t prefix = strlen(directory), i = lower_bound(table, directory, 0);
	int result = 0;

	while (i < table->count && result == 0 &&
		strncmp(table->entries[i].path, directory, prefix) == 0) {
		const char *name = table->entries[i].path + prefix;
		size_t length = strcspn(name, "/");

		if (*name == '\0') {
			i++; /* the directory itself */
		} else if (name[length] == '/') {
			result = each(name, length, NULL, context);
			i = subdirectory_end(table, i, prefix + length);
		} else {
			result = each(name, length, &table->entries[i], context);
			i++;
		}
	}
	return result;
}

void manifest_entry_version(const struct manifest_entry *entry, struct version *ret)
{
	bool is_date = entry->validator[0] && !is_etag(entry->validator, strlen(entry->validator));

	*ret = (struct version){
		.size = entry->size,
		.mtime_s = entry->mtime_s,
		.is_partial = true,
		.hashes = entry->hashes,
	};
	if (entry->digest)
		(void)digest_parse(entry->digest, &ret->digest);
	strcpy(is_date ? ret->modified : ret->etag, entry->validator);
}
