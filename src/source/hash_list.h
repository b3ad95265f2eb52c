/*
 * hash_list.h - the digests of an object's blocks, by which each is known before anybody sees it.
 *
 * Immutable once it is made, and counted: whoever keeps one takes it, and puts it. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "digest.h"
#include "range.h"

/* A touch waits for all of its block; and each block on its way has memory of its own. */
#define HASH_BLOCK_MAX ((uint64_t)1 << 20)
#define HASH_BLOCK_UNIT 4096 /* blocks are whole pages */
#define HASH_LIST_MAX                                                               \
	((uint64_t)1 << 32) /* blocks: 16 TiB of the shortest, 4 PiB of the longest \
			     */

struct hash_list {
	atomic_uint uses;
	enum digest_kind kind;
	uint64_t block_bytes; /* a multiple of HASH_BLOCK_UNIT; the last block may be short */
	uint64_t size;        /* the object's */
	uint8_t digests[];    /* one after the other */
};

static inline uint64_t hash_list_count(uint64_t size, uint64_t block_bytes)
{
	return size / block_bytes + (size % block_bytes != 0);
}

/* May blocks have this length? */
static inline bool hash_block_is_fit(uint64_t block_bytes)
{
	return block_bytes > 0 && block_bytes <= HASH_BLOCK_MAX &&
	       block_bytes % HASH_BLOCK_UNIT == 0;
}

/* Its digests are zeros, for its maker to fill in. -ENOMEM */
int hash_list_create(
	enum digest_kind kind, uint64_t block_bytes, uint64_t size, struct hash_list **ret);
/* NULL is fine. */
struct hash_list *hash_list_take(struct hash_list *list);
void hash_list_put(struct hash_list *list);

/* The block in which the byte at offset, inside the object, lies. */
struct range hash_list_block(const struct hash_list *list, uint64_t offset);
void hash_list_digest(const struct hash_list *list, uint64_t offset, struct digest *ret);
