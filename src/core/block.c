/*
 * block.c - blocks and their buffers, and who is evicted.
 *
 * Runs on the loop; owned by the core. Cost: taking a block or a buffer from its free list is a few
 * loads; no malloc on the fault path once the pool is warm. Buffers are mmap'd one by one, so that
 * giving one back to the kernel needs no compaction. As long as an object lives, spare ones are
 * kept up to the memory limit: a window's worth comes and goes all the time, and mapping and
 * faulting in new ones would cost as much as filling them. block_pool_trim() gives them back.
 *
 * Eviction takes the block whose buffer is oldest, has nothing in flight, and that no want reads in
 * place (object_is_read_in_place). One that was touched since is passed over once and becomes the
 * newest, so that a scan does not drive out what is used again and again; that costs the touch a
 * store, and no list. When there is no such block the limit is exceeded: by what readers wait for,
 * and by that only, since readahead asks block_pool_room() first; and only until it has arrived.
 *
 * Bytes are received from the loop's own rounds only, never inside a call that asks for some. So
 * nothing is evicted while a want is told of it, nor between a fetch that finds it present and the
 * want's call; `telling` holds this against mistakes.
 */
#include "block.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "object_private.h"

#define PASSED_OVER_MAX 32 /* of one eviction, so that a fault never waits for a lap of all */

void block_pool_init(struct block_pool *pool, uint64_t memory_max_bytes)
{
	*pool = (struct block_pool){.memory_max_bytes = memory_max_bytes};
	list_init(&pool->free_blocks);
	list_init(&pool->with_data);
}

void block_pool_finish(struct block_pool *pool)
{
	assert(pool->blocks == 0 && pool->buffer_bytes == 0 && pool->claimed_bytes == 0);
	list_for_each_safe (node, &pool->free_blocks)
		free(list_entry(node, struct block, node));
	block_pool_trim(pool);
}

void block_pool_trim(struct block_pool *pool)
{
	while (pool->free_buffers) {
		void *buffer = pool->free_buffers;

		pool->free_buffers = *(void **)buffer;
		munmap(buffer, BLOCK_BYTES);
	}
	pool->free_buffer_count = 0;
}

struct block *block_create(struct block_pool *pool, struct object *object, uint64_t index)
{
	struct block *block;

	if (list_empty(&pool->free_blocks)) {
		block = malloc(sizeof *block);
		if (!block)
			return NULL;
	} else {
		block = list_first(&pool->free_blocks, struct block, node);
		list_remove(&block->node);
	}
	*block = (struct block){.object = object, .index = index};
	list_init(&block->node);
	pool->blocks++;
	return block;
}

void block_destroy(struct block_pool *pool, struct block *block)
{
	assert(block->present == 0 && block->inflight == 0);
	block_drop_data(pool, block);
	list_prepend(&pool->free_blocks, &block->node);
	pool->blocks--;
}

static struct range block_range(const struct block *block)
{
	return (struct range){block->index * BLOCK_BYTES, (block->index + 1) * BLOCK_BYTES};
}

/* The oldest block that nobody needs; NULL: none. */
static struct block *block_evictable(struct block_pool *pool)
{
	list_for_each (node, &pool->with_data) {
		struct block *block = list_entry(node, struct block, node);

		if (block->inflight == 0 &&
			!object_is_read_in_place(block->object, block_range(block)))
			return block;
	}
	return NULL;
}

/* true if there was one. */
static bool block_evict_one(struct block_pool *pool)
{
	struct block *block = block_evictable(pool);

	for (int i = 0; i < PASSED_OVER_MAX && block && block->touched; i++) {
		block->touched = false;
		list_remove(&block->node);
		list_append(&pool->with_data, &block->node);
		block = block_evictable(pool);
	}
	if (!block)
		return false;
	assert(pool->telling == 0);
	object_drop(block->object, block_range(block));
	return true;
}

void block_pool_shrink(struct block_pool *pool)
{
	while (pool->telling == 0 && pool->buffer_bytes > pool->memory_max_bytes &&
		block_evict_one(pool))
		;
}

int block_need_data(struct block_pool *pool, struct block *block)
{
	void *buffer;

	if (block->data)
		return 0;
	while (pool->buffer_bytes >= pool->memory_max_bytes && block_evict_one(pool))
		;
	buffer = pool->free_buffers;
	if (buffer) {
		pool->free_buffers = *(void **)buffer;
		pool->free_buffer_count--;
	} else {
		buffer = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (buffer == MAP_FAILED)
			return -ENOMEM;
	}
	block->data = buffer;
	pool->buffer_bytes += BLOCK_BYTES;
	list_append(&pool->with_data, &block->node);
	if (block->object->keep != OBJECT_CACHES)
		pool->claimed_bytes += BLOCK_BYTES;
	return 0;
}

void block_drop_data(struct block_pool *pool, struct block *block)
{
	if (!block->data)
		return;
	assert(block->present == 0);
	list_remove(&block->node);
	pool->buffer_bytes -= BLOCK_BYTES;
	if (pool->buffer_bytes + pool->free_buffer_count * BLOCK_BYTES >= pool->memory_max_bytes) {
		munmap(block->data, BLOCK_BYTES);
	} else {
		*(void **)block->data = pool->free_buffers;
		pool->free_buffers = block->data;
		pool->free_buffer_count++;
	}
	block->data = NULL;
	if (block->object->keep != OBJECT_CACHES)
		pool->claimed_bytes -= BLOCK_BYTES;
}

uint64_t block_pool_room(const struct block_pool *pool)
{
	return pool->claimed_bytes < pool->memory_max_bytes
		       ? pool->memory_max_bytes - pool->claimed_bytes
		       : 0;
}
