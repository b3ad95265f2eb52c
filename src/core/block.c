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
 * An object that caches has none that it needs, but for those to which bytes are on their way: each
 * of its transfers claims two buffers instead (block.h).
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

#include "borrow.h"
#include "object_private.h"

#define PASSED_OVER_MAX 32 /* of one eviction, so that a fault never waits for a lap of all */

void block_pool_init(struct block_pool *pool, struct budget *budget)
{
	*pool = (struct block_pool){.budget = budget};
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
		block = calloc(1, sizeof *block);
		if (!block)
			return NULL;
	} else {
		block = list_first(&pool->free_blocks, struct block, node);
		list_remove(&block->node);
	}
	/* Not the pins: a borrower may be about to see that the block is another one now. */
	block->object = object;
	block->index = index;
	block->present = block->inflight = 0;
	block->data = NULL;
	block->touched = false;
	block->offered = 0;
	list_init(&block->node);
	pool->blocks++;
	pool->awaited += object->keep == OBJECT_KEEPS;
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
		pool->awaited -= block->object->keep == OBJECT_KEEPS;
	block_pool_count(pool);
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

/* May it be evicted this time? */
static bool block_is_idle(struct block *block)
{
	if (atomic_exchange(&block->touched, false))
		return false;
	return borrow_revoke(block->object->borrow, block);
}

/* true if there was one. */
static bool block_evict_one(struct block_pool *pool)
{
	struct block *block = block_evictable(pool);

	for (int i = 0; i < PASSED_OVER_MAX && block && !block_is_idle(block); i++) {
		list_remove(&block->node);
		list_append(&pool->with_data, &block->node);
		block = block_evictable(pool);
	}
	if (!block || !borrow_revoke(block->object->borrow, block))
		return false;
	assert(pool->telling == 0);
	object_drop(block->object, block_range(block));
	return true;
}

/* Bytes that one more buffer adds to what is held: none, if there is a spare one for it. */
static uint64_t block_pool_step(const struct block_pool *pool)
{
	return pool->free_buffer_count > pool->awaited ? 0 : BLOCK_BYTES;
}

/* Back below the limit, if there is anything that nobody needs. one_more: so that it has room. */
static void block_pool_reduce(struct block_pool *pool, bool one_more)
{
	while (pool->telling == 0 && budget_is_exceeded(pool->budget, pool->held,
					     one_more ? block_pool_step(pool) : 0)) {
		if (pool->free_buffer_count > pool->awaited)
			munmap(block_pool_pop(pool), BLOCK_BYTES);
		else if (!block_evict_one(pool))
			return;
		block_pool_count(pool);
	}
}

void block_pool_shrink(struct block_pool *pool)
{
	block_pool_reduce(pool, false);
}

int block_need_data(struct block_pool *pool, struct block *block)
{
	bool awaited = block->object->keep == OBJECT_KEEPS;

	if (block->data)
		return 0;
	/* One that was awaited has been counted. */
	block_pool_reduce(pool, !awaited);
	if (pool->free_buffers)
		block->data = block_pool_pop(pool);
	else
		block->data = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block->data == MAP_FAILED) {
		block->data = NULL;
		return -ENOMEM;
	}
	pool->awaited -= awaited;
	pool->buffer_bytes += BLOCK_BYTES;
	block_pool_count(pool);
	list_append(&pool->with_data, &block->node);
	return 0;
}

void block_pool_make_room(struct block_pool *pool, uint64_t bytes)
{
	while (pool->telling == 0 && block_pool_room(pool) < bytes &&
		block_pool_room(pool) < pool->buffer_bytes && block_evict_one(pool))
		;
}

uint64_t block_pool_room(const struct block_pool *pool)
{
	uint64_t spare = pool->free_buffer_count;

	return budget_room(pool->budget, pool->held) +
	       (spare > pool->awaited ? (spare - pool->awaited) * BLOCK_BYTES : 0);
}

uint64_t block_pool_unclaimed(const struct block_pool *pool)
{
	uint64_t max_bytes = pool->budget->max_bytes;

	return pool->claimed_bytes < max_bytes ? max_bytes - pool->claimed_bytes : 0;
}

uint64_t object_resident(const struct object *object)
{
	struct block *block;
	uint64_t pages = 0;

	for (uint64_t i = 0; (block = radix_next(&object->blocks, &i, UINT64_MAX)); i++)
		pages += (uint64_t)__builtin_popcountll(block->present);
	return pages * PAGE_BYTES;
}
