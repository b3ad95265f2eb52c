/*
 * manifest_hashes.c - see manifest_hashes.h. Nothing is made of a size that the text claims before
 * as many hashes have come.
 *
 * Cost: the hashes, twice while the lists are made.
 */
#include "manifest_hashes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char hashes_member[] = "block_hashes";
static const char from_member[] = "block_from";
static const char size_member[] = "block_size";

bool manifest_part_is_more(const json_t *line)
{
	return json_object_get(line, from_member) != NULL;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* "sha256:" and base64 of as many hashes as there are, one behind the other. */
static int part_read(struct manifest_part *part, const char *text, const char **ret_wrong)
{
	const char *rest = NULL;
	size_t length, size;

	*ret_wrong = "block_hashes that are not like \"sha256:BASE64\"";
	part->kind = digest_kind_parse(text, &rest);
	if (part->kind == DIGEST_NONE)
		return -EPROTO;
	length = strlen(rest);
	while (length > 0 && rest[length - 1] == '=')
		length--;
	size = length / 4 * 3 + length % 4 * 3 / 4;
	part->count = size / digest_length(part->kind);
	if (size % digest_length(part->kind) != 0)
		return -EPROTO;
	part->bytes = malloc(size + 1);
	if (!part->bytes)
		return -ENOMEM;
	return digest_from_base64(rest, strlen(rest), part->bytes, size) ? 0 : -EPROTO;
}

static struct manifest_part *parts_more(struct manifest_parts *parts)
{
	size_t max = parts->max ? 2 * parts->max : 16;
	struct manifest_part *grown;

	if (parts->count < parts->max)
		return &parts->list[parts->count];
	grown = reallocarray(parts->list, max, sizeof *grown);
	if (!grown)
		return NULL;
	parts->list = grown;
	parts->max = max;
	return &parts->list[parts->count];
}

/* false: a member is there and is no number that it may be. */
static bool number_read(const json_t *value, uint64_t *ret)
{
	*ret = value ? (uint64_t)json_integer_value(value) : 0;
	return !value || (json_is_integer(value) && json_integer_value(value) >= 0);
}

int manifest_parts_read(struct manifest_parts *parts, const json_t *line, const char *path,
	uint32_t number, uint32_t *ret_block_bytes, const char **ret_wrong)
{
	const json_t *size = json_object_get(line, size_member);
	const json_t *from = json_object_get(line, from_member);
	const json_t *hashes = json_object_get(line, hashes_member);
	uint64_t block_bytes;
	struct manifest_part *part;
	int err;

	*ret_block_bytes = 0;
	if (!size && !from && !hashes)
		return 0;
	part = parts_more(parts);
	if (!part)
		return -ENOMEM;
	*part = (struct manifest_part){.path = path, .line = number};
	*ret_wrong = "a block_size that is no multiple of 4096 up to 1048576";
	if (!number_read(size, &block_bytes) || (size && !hash_block_is_fit(block_bytes)))
		return -EPROTO;
	*ret_wrong = "a block_from that is none";
	if (!number_read(from, &part->from))
		return -EPROTO;
	*ret_wrong =
		"block_hashes without block_size or block_from, or with both, or these without it";
	if (!json_is_string(hashes) || !size == !from)
		return -EPROTO;
	err = part_read(part, json_string_value(hashes), ret_wrong);
	if (err < 0) {
		free(part->bytes);
		return err;
	}
	parts->count++;
	*ret_block_bytes = (uint32_t)block_bytes;
	return 0;
}

/* ---- lists -------------------------------------------------------------------------------- */

static int part_compare(const void *a_, const void *b_)
{
	const struct manifest_part *a = a_, *b = b_;
	int order = strcmp(a->path, b->path);

	if (order == 0)
		order = (a->from > b->from) - (a->from < b->from);
	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static int entry_find(const void *path, const void *entry)
{
	return strcmp(path, ((const struct manifest_entry *)entry)->path);
}

/* All parts of an object, from the first on. */
static int list_make(const struct manifest_part *parts, size_t count, struct manifest_entry *entry,
	const char **ret_wrong)
{
	uint64_t expected = hash_list_count(entry->size, entry->block_bytes), next = 0;
	uint8_t *to;
	int err;

	for (size_t i = 0; i < count; i++) {
		*ret_wrong = "block_hashes that leave out or repeat some, or are of several kinds";
		if (parts[i].from != next || parts[i].kind != parts[0].kind)
			return -EPROTO;
		*ret_wrong = "more or fewer block_hashes than its object has blocks";
		next += parts[i].count;
		if (next > expected)
			return -EPROTO;
	}
	if (next != expected)
		return -EPROTO;
	err = hash_list_create(parts[0].kind, entry->block_bytes, entry->size, &entry->hashes);
	if (err < 0)
		return err;
	to = entry->hashes->digests;
	for (size_t i = 0; i < count; i++)
		to = mempcpy(to, parts[i].bytes, parts[i].count * digest_length(parts[i].kind));
	return 0;
}

int manifest_parts_end(struct manifest_parts *parts, struct manifest_entry *entries, size_t count,
	uint32_t *ret_line, const char **ret_wrong)
{
	int err = 0;

	if (parts->count > 0)
		qsort(parts->list, parts->count, sizeof *parts->list, part_compare);
	for (size_t i = 0, end; i < parts->count && err == 0; i = end) {
		const struct manifest_part *first = &parts->list[i];
		struct manifest_entry *entry = NULL;

		if (count > 0)
			entry = bsearch(first->path, entries, count, sizeof *entries, entry_find);
		for (end = i + 1; end < parts->count; end++)
			if (strcmp(parts->list[end].path, first->path) != 0)
				break;
		*ret_line = entry ? entry->line : first->line;
		*ret_wrong = "block_hashes of what has no line with a block_size";
		if (!entry || entry->block_bytes == 0)
			err = -EPROTO;
		else
			err = list_make(first, end - i, entry, ret_wrong);
	}
	manifest_parts_finish(parts);
	return err;
}

void manifest_parts_finish(struct manifest_parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		free(parts->list[i].bytes);
	free(parts->list);
	*parts = (struct manifest_parts){0};
}
