/*
 * manifest_table.h - the text of a manifest, and what it says. Pure; one thread at a time.
 *
 * A manifest is JSON Lines: an object for each line, in any order; empty lines are nothing.
 *
 *	{"path": "a/b.bin", "url": "../data/b.bin", "size": 123,
 *	 "validator": "\"5e-61\"", "mtime": "2024-01-15T10:00:00Z"}		(one line)
 *
 * `path` is what it is called here: parts with a '/' between them, none of them empty, "." or "..",
 * or longer than 255 bytes. One that ends with '/' is a directory, and needs no url and no size;
 * most directories need no line, they follow from what is in them. `path_encoded`, in its place, is
 * percent-encoded: for names that are not UTF-8.
 *
 * `url` is http:, https:, s3: (percent-encoded) or, in a manifest that is a local file, file:; or
 * relative to the manifest's own. Not http: in a manifest that came by https:.
 *
 * `size` is in bytes. `validator` is an ETag with its quotes, or an HTTP date (Last-Modified): what
 * every answer must have; without it only the size is compared. `mtime`, in UTC, is what is shown;
 * without it the validator's date, if it is one.
 *
 * `digest` is of all bytes, "sha256:" and hexadecimal digits; so are sha512, sha1, crc32, crc32c
 * and crc64nvme. `block_hashes` are of its blocks of `block_size` bytes (a multiple of 4096 up to
 * 1048576), one behind the other: "sha256:" and base64. A list that is too long for a line goes on
 * in others, with the number of the block from which on:
 *
 *	{"path": "a/b.bin", "block_from": 900, "block_hashes": "sha256:4pvx..."}
 *
 * Members of other names are for others. Every byte sequence is a legal input.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source.h"

struct manifest_table;

#define MANIFEST_LINE_MAX ((size_t)64 << 10)
#define MANIFEST_ENTRIES_MAX ((size_t)10 << 20)

struct manifest_entry {
	const char *path;
	const char *url;       /* as written */
	const char *validator; /* "": none */
	const char *digest;    /* as digest_print() has it; NULL: none */
	struct hash_list *hashes;
	uint64_t size;
	int64_t mtime_s; /* -1: unknown */
	uint32_t line;
	uint32_t block_bytes; /* of hashes; 0: there are none */
};

/* url: the manifest's own, which says what URLs may be in it. -ENOMEM */
int manifest_table_create(const char *url, struct manifest_table **ret);
/* NULL is fine. */
void manifest_table_destroy(struct manifest_table *table);

/*
 * The next bytes of the text; cut anywhere. -EPROTO: a line that is none, and
 * manifest_table_error() says which; -E2BIG: more entries than MANIFEST_ENTRIES_MAX; -ENOMEM.
 */
int manifest_table_add(struct manifest_table *table, const char *bytes, size_t length);
/* There are no more. -EPROTO: as above, or a path that is there twice. */
int manifest_table_end(struct manifest_table *table);
/* "12: no size" */
const char *manifest_table_error(const struct manifest_table *table);

/* ---- after manifest_table_end() -------------------------------------------------------------- */

/* NULL: there is no such object. */
const struct manifest_entry *manifest_table_find(
	const struct manifest_table *table, const char *path);

/* directory: "" or a path with its '/'. */
bool manifest_table_has_directory(const struct manifest_table *table, const char *directory);

/* One name after the other, in the order of their bytes; not 0 from it ends the walk. */
typedef int manifest_name_fn(const char *name, size_t length, const struct manifest_entry *entry,
	void *context); /* entry NULL: a directory */
int manifest_table_list(const struct manifest_table *table, const char *directory,
	manifest_name_fn *each, void *context);

/* What the entry says of its version; its hashes are lent. */
void manifest_entry_version(const struct manifest_entry *entry, struct version *ret);

/* ---- manifest_line.c --------------------------------------------------------------------------
 */

/*
 * The entry as a line of a manifest, newline and all, malloc'd. url NULL: a directory's. Of its
 * hashes, if it has any, the first. -ENOMEM, -EINVAL: no path
 */
int manifest_line_make(const struct manifest_entry *entry, char **ret);

/* The next line with more of them: the same entry and *from (0 before the first call) each time,
 * until *ret is NULL. -ENOMEM */
int manifest_more_make(const struct manifest_entry *entry, uint64_t *from, char **ret);
