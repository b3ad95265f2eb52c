/*
 * borrow.c - a table from a block's index to the block, while it has bytes to offer.
 *
 * Written on the loop; read by whoever faults. A reader pins the block that the table shows, and
 * looks again: if the table still shows it, it is not evicted before the pin is gone. The loop
 * evicts the other way round: it takes the block out of the table, and looks at the pins; if there
 * is one it puts the block back, and takes another. One of the two sees the other, because both
 * write first and read then, in one order for all threads (seq_cst). Nobody waits for anybody.
 *
 * A reader may pin a block that has meanwhile become another's, for the moment until it looks
 * again. So blocks are never freed while there are readers (they go back to the pool's list, and
 * the pool outlives the maps), and nobody but readers writes their pins.
 *
 * Cost: a page is four atomic operations. The table is 8 bytes for each 256 KiB of the object, of
 * addresses: memory comes where something was cached.
 *
 * Rejected: a radix tree with atomic nodes, three loads instead of one for nothing but addresses;
 * a lock, which a handler could find held by the very thread that it has interrupted.
 */
#include "borrow.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#include "block.h"

struct borrow {
	uint64_t size; /* of the object */
	size_t bytes;  /* of this table */
	_Atomic(struct block *) blocks[];
};

struct borrow *borrow_create(uint64_t size)
{
	uint64_t blocks = size / BLOCK_BYTES + 1;
	struct borrow *borrow;
	size_t bytes;

	if (blocks > SIZE_MAX / 2 / sizeof borrow->blocks[0])
		return NULL;
	bytes = sizeof *borrow + (size_t)blocks * sizeof borrow->blocks[0];
	borrow = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (borrow == MAP_FAILED)
		return NULL;
	borrow->size = size;
	borrow->bytes = bytes;
	return borrow;
}

void borrow_destroy(struct borrow *borrow)
{
	if (borrow)
		munmap(borrow, borrow->bytes);
}

const uint8_t *borrow_page(struct borrow *borrow, uint64_t offset, struct block **ret_block)
{
	_Atomic(struct block *) *place = &borrow->blocks[offset / BLOCK_BYTES];
	uint64_t page = offset % BLOCK_BYTES / PAGE_BYTES;
	struct block *block;

	/* What comes behind the object's bytes in its last page is not in the buffer. */
	if (offset + PAGE_BYTES > borrow->size)
		return NULL;
	block = atomic_load(place);
	if (!block)
		return NULL;
	atomic_fetch_add(&block->pins, 1);
	if (atomic_load(place) == block && (atomic_load(&block->offered) >> page & 1)) {
		atomic_store_explicit(&block->touched, true, memory_order_relaxed);
		*ret_block = block;
		return block->data + page * PAGE_BYTES;
	}
	borrow_return(block);
	return NULL;
}

void borrow_return(struct block *block)
{
	atomic_fetch_sub(&block->pins, 1);
}

void borrow_offer(struct borrow *borrow, struct block *block)
{
	if (!borrow || block->present == 0)
		return;
	atomic_store(&block->offered, block->present);
	atomic_store(&borrow->blocks[block->index], block);
}

bool borrow_revoke(struct borrow *borrow, struct block *block)
{
	if (!borrow)
		return true;
	atomic_store(&borrow->blocks[block->index], NULL);
	if (atomic_load(&block->pins) == 0)
		return true;
	borrow_offer(borrow, block);
	return false;
}
