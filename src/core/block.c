/*
 * block.c - blocks and their buffers, and who is evicted.
 *
 * Runs on the loop; owned by the core. Cost: taking a block or a buffer from its free list is a few
 * loads; no malloc on the fault path once the pool is warm. Buffers are mmap'd one by one, so that
 * giving one back to the kernel needs no compaction. As long as an object lives, spare ones are
 * kept up to the memory limit: a window's worth comes and goes all the time, and mapping and
 * faulting in new ones would cost as much as filling them. They count against the budget like those
 * in use, and are given back when cores that share it come near its limit, and by
 * block_pool_trim().
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

void block_pool_init(struct block_pool *pool, struct budget *budget)
{
	*pool = (struct block_pool){.budget = budget};
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

/* What counts against the budget: buffers in use, and spare ones. */
static uint64_t block_pool_held(const struct block_pool *pool)
{
	return pool->buffer_bytes + pool->free_buffer_count * BLOCK_BYTES;
}

void block_pool_trim(struct block_pool *pool)
{
	budget_move(pool->budget, block_pool_held(pool), pool->buffer_bytes);
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

/* A spare one, else a new one; NULL: out of memory. */
static void *block_pool_take(struct block_pool *pool)
{
	void *buffer = pool->free_buffers;

	if (buffer) {
		pool->free_buffers = *(void **)buffer;
		pool->free_buffer_count--;
		return buffer;
	}
	buffer = mmap(
		NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		return NULL;
	budget_move(pool->budget, block_pool_held(pool), block_pool_held(pool) + BLOCK_BYTES);
	return buffer;
}

int block_need_data(struct block_pool *pool, struct block *block)
{
	if (block->data)
		return 0;
	while (block_pool_room(pool) < BLOCK_BYTES && block_evict_one(pool))
		;
	block->data = block_pool_take(pool);
	if (!block->data)
		return -ENOMEM;
	pool->buffer_bytes += BLOCK_BYTES;
	list_append(&pool->with_data, &block->node);
	return 0;
}

void block_drop_data(struct block_pool *pool, struct block *block)
{
	uint64_t held = block_pool_held(pool);

	if (!block->data)
		return;
	assert(block->present == 0);
	list_remove(&block->node);
	pool->buffer_bytes -= BLOCK_BYTES;
	if (held > pool->budget->max_bytes || budget_is_short(pool->budget, held)) {
		munmap(block->data, BLOCK_BYTES);
		budget_move(pool->budget, held, held - BLOCK_BYTES);
	} else {
		*(void **)block->data = pool->free_buffers;
		pool->free_buffers = block->data;
		pool->free_buffer_count++;
	}
	block->data = NULL;
}

void block_pool_make_room(struct block_pool *pool, uint64_t bytes)
{
	while (block_pool_room(pool) < bytes && block_pool_room(pool) < pool->buffer_bytes &&
		block_evict_one(pool))
		;
}

uint64_t block_pool_room(const struct block_pool *pool)
{
	return budget_room(pool->budget, block_pool_held(pool)) +
	       pool->free_buffer_count * BLOCK_BYTES;
}
