/*
 * block.c - blocks and their buffers, and who is evicted.
 *
 * Runs on the loop; owned by the core. Cost: taking a block or a buffer from its free list is a few
 * loads; no malloc on the fault path once the pool is warm. Buffers are mmap'd one by one, so that
 * giving one back to the kernel needs no compaction. As long as an object lives, spare ones are
 * kept up to the memory limit: a window's worth comes and goes all the time, and mapping and
 * faulting in new ones would cost as much as filling them. block_pool_trim() gives them back.
 *
 * Eviction takes the block whose buffer is oldest, has nothing in flight, and that no want overlaps
 * (object_is_wanted). When there is no such block the limit is exceeded: by what readers wait for,
 * and by that only, since readahead asks block_pool_room() first.
 */
#include "block.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "object_private.h"

void block_pool_init(struct block_pool *pool, uint64_t memory_max_bytes)
{
	*pool = (struct block_pool){.memory_max_bytes = memory_max_bytes};
	list_init(&pool->free_blocks);
	list_init(&pool->with_data);
}

void block_pool_finish(struct block_pool *pool)
{
	assert(pool->blocks == 0 && pool->buffer_bytes == 0);
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

/* The oldest block that nobody needs; true if there was one. */
static bool block_evict_one(struct block_pool *pool)
{
	list_for_each (node, &pool->with_data) {
		struct block *block = list_entry(node, struct block, node);
		struct range range = {block->index * BLOCK_BYTES, (block->index + 1) * BLOCK_BYTES};

		if (block->inflight != 0 || object_is_wanted(block->object, range))
			continue;
		object_drop(block->object, range);
		return true;
	}
	return false;
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
}

uint64_t block_pool_room(const struct block_pool *pool)
{
	return pool->buffer_bytes < pool->memory_max_bytes
		       ? pool->memory_max_bytes - pool->buffer_bytes
		       : 0;
}
