/*
 * block.h - 64 pages of an object: three questions about each are one bit in one word.
 *
 *	present	its bytes are in the block's buffer
 *	inflight	a transfer is bringing it
 *
 * and `data`, the buffer, which is there from the first byte that needs it until the last present
 * page is dropped. A block hangs in its object's radix tree while any bit is set. Blocks and
 * buffers come from free lists, the one freed last first, because its memory is warm. All on the
 * core's loop.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "object.h"

struct block {
	struct list node; /* core's eviction order while it has data; else the free list or none */
	struct object *object;
	uint64_t index; /* the block's place in the object */
	uint64_t present;
	uint64_t inflight;
	uint8_t *data;
	atomic_bool touched; /* somebody came back to it since it was last passed over */
	/* Of those who borrow (borrow.c): */
	_Atomic uint64_t offered; /* present, as they see it */
	atomic_uint pins;
};

/* What blocks are made of; one in each core. */
struct block_pool {
	struct list free_blocks;
	struct list with_data; /* the oldest first */
	void *free_buffers;    /* linked through their first word */
	uint64_t free_buffer_count;
	uint64_t buffer_bytes;  /* gauge: in blocks */
	uint64_t awaited;       /* blocks that will need a buffer when their bytes come */
	uint64_t claimed_bytes; /* gauge: by transfers of objects that cache; see below */
	uint64_t blocks;        /* gauge */
	uint64_t held;          /* bytes that the budget knows of */
	struct budget *budget;  /* shared by cores */
	unsigned telling; /* calls of wants under way, of which one may be reading its block */
};

void block_pool_init(struct block_pool *pool, struct budget *budget);
/* No block may be left. */
void block_pool_finish(struct block_pool *pool);

/* Gives the spare buffers back to the kernel. */
void block_pool_trim(struct block_pool *pool);

/* An empty block; NULL: out of memory. */
struct block *block_create(struct block_pool *pool, struct object *object, uint64_t index);
/* No bit may be set. */
void block_destroy(struct block_pool *pool, struct block *block);

/* Gives it a buffer if it has none, evicting others where the limit asks for it. -ENOMEM */
int block_need_data(struct block_pool *pool, struct block *block);

/* Evicts what exceeds the limit, if that may be done now. */
void block_pool_shrink(struct block_pool *pool);

/* For `bytes` of readahead: evicts the oldest, as long as there is less room than is in use. */
void block_pool_make_room(struct block_pool *pool, uint64_t bytes);
/* Bytes of buffers that may still be asked for before the limit is reached. */
uint64_t block_pool_room(const struct block_pool *pool);

/*
 * The buffers of an object that caches are spare unless bytes are on their way to them, so that its
 * readahead is not limited by what they hold. Each of its transfers claims two, as long as it
 * lives: the one that it is filling, and one that it shares with its neighbour.
 */
#define TRANSFER_CLAIM_BYTES (2 * BLOCK_BYTES)
/* Bytes that transfers may still claim before the limit is reached. */
uint64_t block_pool_unclaimed(const struct block_pool *pool);
