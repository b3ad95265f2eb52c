/*
 * manifest_line.c - lines of a manifest, as manifest_table.c reads them. Pure; any thread.
 *
 * The hashes of an object's blocks begin in its line and go on in others, so that none is longer
 * than may be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "hash_list.h"
#include "manifest_table.h"
#include "manifest_text.h"
#include "text.h"

#define LINE_HASH_BYTES 30000 /* 40,000 characters: the rest is for the path and the URL */

/* NULL: out of memory. What is not UTF-8 is percent-encoded, and called so. */
static json_t *path_make(const char *path, const char **ret_name)
{
	json_t *value = json_string(path);
	char *encoded, *to;

	*ret_name = "path";
	if (value)
		return value;
	*ret_name = "path_encoded";
	to = encoded = malloc(3 * strlen(path) + 1);
	if (!encoded)
		return NULL;
	for (; *path; path++) {
		unsigned char byte = (unsigned char)*path;

		if (byte > ' ' && byte < 0x7f && byte != '%')
			*to++ = *path;
		else
			to += sprintf(to, "%%%02X", byte);
	}
	*to = '\0';
	value = json_string(encoded);
	free(encoded);
	return value;
}

static int time_set(json_t *line, int64_t time_s)
{
	time_t time = (time_t)time_s;
	char text[32];
	struct tm parts;

	if (time_s < 0 || !gmtime_r(&time, &parts) ||
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		return 0;
	return json_object_set_new(line, "mtime", json_string(text));
}

/* How many go into a line. */
static uint64_t hashes_of_line(const struct hash_list *hashes)
{
	return LINE_HASH_BYTES / digest_length(hashes->kind);
}

/* Those from that block on; not 0: out of memory. */
static int hashes_set(json_t *line, const struct hash_list *hashes, uint64_t from)
{
	size_t length = digest_length(hashes->kind);
	uint64_t count = hash_list_count(hashes->size, hashes->block_bytes) - from;
	cleanup_free char *base64 = NULL, *text = NULL;

	if (count > hashes_of_line(hashes))
		count = hashes_of_line(hashes);
	base64 = digest_to_base64(hashes->digests + from * length, count * length);
	if (!base64 || text_print(&text, "%s:%s", digest_kind_name(hashes->kind), base64) < 0)
		return -1;
	return json_object_set_new(line, "block_hashes", json_string(text));
}

static int line_print(const json_t *line, int err, char **ret)
{
	cleanup_free char *text = NULL;

	text = err == 0 ? json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	*ret = NULL;
	return text ? text_print(ret, "%s\n", text) : -ENOMEM;
}

int manifest_line_make(const struct manifest_entry *entry, char **ret)
{
	cleanup(json_unref) json_t *line = json_object();
	const char *name;
	json_t *path;
	int err;

	if (manifest_path_check(entry->path, strlen(entry->path)))
		return -EINVAL;
	path = path_make(entry->path, &name);
	err = json_object_set_new(line, name, path);
	if (entry->url) {
		err |= json_object_set_new(line, "url", json_string(entry->url));
		err |= json_object_set_new(line, "size", json_integer((json_int_t)entry->size));
		if (entry->validator[0])
			err |= json_object_set_new(
				line, "validator", json_string(entry->validator));
		err |= time_set(line, entry->mtime_s);
		if (entry->digest)
			err |= json_object_set_new(line, "digest", json_string(entry->digest));
	}
	if (entry->hashes) {
		err |= json_object_set_new(
			line, "block_size", json_integer((json_int_t)entry->hashes->block_bytes));
		err |= hashes_set(line, entry->hashes, 0);
	}
	return line_print(line, err, ret);
}

int manifest_more_make(const struct manifest_entry *entry, uint64_t *from, char **ret)
{
	const struct hash_list *hashes = entry->hashes;
	cleanup(json_unref) json_t *line = NULL;
	const char *name;
	json_t *path;
	int err;

	*ret = NULL;
	if (!hashes)
		return 0;
	*from += hashes_of_line(hashes);
	if (*from >= hash_list_count(hashes->size, hashes->block_bytes))
		return 0;
	line = json_object();
	path = path_make(entry->path, &name);
	err = json_object_set_new(line, name, path);
	err |= json_object_set_new(line, "block_from", json_integer((json_int_t)*from));
	err |= hashes_set(line, hashes, *from);
	return line_print(line, err, ret);
}
