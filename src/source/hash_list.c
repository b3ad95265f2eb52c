/*
 * hash_list.c - see hash_list.h. One malloc a list; the last who puts it frees it, on any thread.
 */
#include "hash_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int hash_list_create(
	enum digest_kind kind, uint64_t block_bytes, uint64_t size, struct hash_list **ret)
{
	uint64_t count = hash_list_count(size, block_bytes);
	struct hash_list *list;

	if (count > HASH_LIST_MAX)
		return -ENOMEM;
	list = calloc(1, sizeof *list + (size_t)count * digest_length(kind));
	if (!list)
		return -ENOMEM;
	list->uses = 1;
	list->kind = kind;
	list->block_bytes = block_bytes;
	list->size = size;
	*ret = list;
	return 0;
}

struct hash_list *hash_list_take(struct hash_list *list)
{
	if (list)
		atomic_fetch_add(&list->uses, 1);
	return list;
}

void hash_list_put(struct hash_list *list)
{
	if (list && atomic_fetch_sub(&list->uses, 1) == 1)
		free(list);
}

struct range hash_list_block(const struct hash_list *list, uint64_t offset)
{
	uint64_t start = offset - offset % list->block_bytes;
	struct range all = {0, list->size};

	return range_intersect((struct range){start, start + list->block_bytes}, all);
}

void hash_list_digest(const struct hash_list *list, uint64_t offset, struct digest *ret)
{
	size_t length = digest_length(list->kind);

	ret->kind = list->kind;
	memcpy(ret->bytes, list->digests + offset / list->block_bytes * length, length);
}
