/*
 * block.c - blocks and their buffers, and who is evicted.
 *
 * Runs on the loop; owned by the core. Cost: taking a block or a buffer from its free list is a few
 * loads; no malloc on the fault path once the pool is warm. Buffers are mmap'd one by one, so that
 * giving one back to the kernel needs no compaction. As long as an object lives, spare ones are
 * kept up to the memory limit: a window's worth comes and goes all the time, and mapping and
 * faulting in new ones would cost as much as filling them. They are given back when cores that
 * share the budget come near its limit, and by block_pool_trim().
 *
 * What counts against the budget: buffers in use, and the larger of spare ones and blocks that
 * await one. A block of an object that keeps its bytes awaits a buffer from when it is asked for;
 * if it only counted when its bytes come, all streams would see the same room for as long as an
 * answer takes, and what one of them had read ahead would be evicted for another's.
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

/* Tells the budget what is held now. After each change. */
static void block_pool_count(struct block_pool *pool)
{
	uint64_t spare = pool->free_buffer_count;
	uint64_t more = spare > pool->awaited ? spare : pool->awaited;
	uint64_t held = pool->buffer_bytes + more * BLOCK_BYTES;

	budget_move(pool->budget, pool->held, held);
	pool->held = held;
}

static void *block_pool_pop(struct block_pool *pool)
{
	void *buffer = pool->free_buffers;

	pool->free_buffers = *(void **)buffer;
	pool->free_buffer_count--;
	return buffer;
}

static void block_pool_push(struct block_pool *pool, void *buffer)
{
	*(void **)buffer = pool->free_buffers;
	pool->free_buffers = buffer;
	pool->free_buffer_count++;
}

void block_pool_trim(struct block_pool *pool)
{
	while (pool->free_buffers)
		munmap(block_pool_pop(pool), BLOCK_BYTES);
	block_pool_count(pool);
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
	pool->awaited += object->keep;
	block_pool_count(pool);
	return block;
}

/* Its buffer is the next to be filled, unless nobody here awaits one and others are short of it. */
static void block_drop_data(struct block_pool *pool, struct block *block)
{
	list_remove(&block->node);
	pool->buffer_bytes -= BLOCK_BYTES;
	if (pool->free_buffer_count >= pool->awaited && budget_is_short(pool->budget, pool->held))
		munmap(block->data, BLOCK_BYTES);
	else
		block_pool_push(pool, block->data);
	block->data = NULL;
}

void block_destroy(struct block_pool *pool, struct block *block)
{
	assert(block->present == 0 && block->inflight == 0);
	if (block->data)
		block_drop_data(pool, block);
	else
		pool->awaited -= block->object->keep;
	block_pool_count(pool);
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

/* Back below the limit, if there is anything that nobody needs. */
static void block_pool_shrink(struct block_pool *pool)
{
	while (budget_is_exceeded(pool->budget, pool->held)) {
		if (pool->free_buffer_count > pool->awaited)
			munmap(block_pool_pop(pool), BLOCK_BYTES);
		else if (!block_evict_one(pool))
			return;
		block_pool_count(pool);
	}
}

int block_need_data(struct block_pool *pool, struct block *block)
{
	if (block->data)
		return 0;
	block_pool_shrink(pool);
	if (pool->free_buffers)
		block->data = block_pool_pop(pool);
	else
		block->data = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block->data == MAP_FAILED) {
		block->data = NULL;
		return -ENOMEM;
	}
	pool->awaited -= block->object->keep;
	pool->buffer_bytes += BLOCK_BYTES;
	block_pool_count(pool);
	list_append(&pool->with_data, &block->node);
	return 0;
}

uint64_t block_pool_room(const struct block_pool *pool)
{
	uint64_t spare = pool->free_buffer_count;

	return budget_room(pool->budget, pool->held) +
	       (spare > pool->awaited ? (spare - pool->awaited) * BLOCK_BYTES : 0);
}
