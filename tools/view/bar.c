/*
 * bar.c - remembers the blocks that were asked for, and asks the map how they are.
 *
 * On the fetching threads, under the lock of pages.c. Rejected: pagein_residency() of everything
 * (268 million bytes for 1 TiB), of samples (what was fetched is a few pages in that, and would
 * hardly ever be met), and mincore(2), which knows of neither what is under way nor what has
 * failed.
 */
#include "bar.h"

#include <string.h>

#include "pagein.h"
#include "sight.h"

#define BLOCK_BYTES ((uint64_t)BAR_BLOCK_PAGES * PAGE_BYTES)

static size_t block_length(const struct bar *bar, const struct bar_block *block)
{
	uint64_t left = bar->size - block->index * BLOCK_BYTES;

	return (size_t)(left < BLOCK_BYTES ? left : BLOCK_BYTES);
}

static void block_remove(struct bar *bar, struct bar_block *block)
{
	*block = bar->blocks[--bar->count];
}

static struct bar_block *block_find(struct bar *bar, uint64_t index)
{
	struct bar_block *oldest = bar->blocks;

	for (size_t i = 0; i < bar->count; i++) {
		if (bar->blocks[i].index == index)
			return &bar->blocks[i];
		if (bar->blocks[i].used < oldest->used)
			oldest = &bar->blocks[i];
	}
	if (bar->count == BAR_BLOCKS_MAX) {
		pagein_advise(bar->map, oldest->index * BLOCK_BYTES, block_length(bar, oldest),
			PAGEIN_DONTNEED);
		block_remove(bar, oldest);
	}
	bar->blocks[bar->count] = (struct bar_block){.index = index};
	return &bar->blocks[bar->count++];
}

void bar_note(struct bar *bar, uint64_t offset, uint64_t length)
{
	uint64_t end = (offset + length + BLOCK_BYTES - 1) / BLOCK_BYTES;

	for (uint64_t i = offset / BLOCK_BYTES; i < end; i++) {
		struct bar_block *block = block_find(bar, i);

		block->used = ++bar->clock;
		block->is_settled = false;
		block->failed = 0;
	}
}

void bar_fail(struct bar *bar, uint64_t page)
{
	struct bar_block *block = block_find(bar, page / BAR_BLOCK_PAGES);

	block->failed |= UINT64_C(1) << page % BAR_BLOCK_PAGES;
	block->is_settled = false;
}

static void block_look(struct bar *bar, struct bar_block *block)
{
	size_t length = block_length(bar, block), count = (length + PAGE_BYTES - 1) / PAGE_BYTES;

	if (pagein_residency(bar->map, block->index * BLOCK_BYTES, length, block->states) < 0)
		return;
	block->is_settled = true;
	for (size_t i = 0; i < count; i++) {
		if (block->states[i] == PAGEIN_ABSENT && block->failed >> i & 1)
			block->states[i] = PAGEIN_FAILED;
		block->is_settled &= block->states[i] == PAGEIN_RESIDENT;
	}
}

void bar_look(struct bar *bar, uint64_t evicted)
{
	static const unsigned char absent[BAR_BLOCK_PAGES] = {PAGEIN_ABSENT};

	for (size_t i = bar->count; i-- > 0;) {
		struct bar_block *block = &bar->blocks[i];

		if (block->is_settled && evicted == bar->evicted)
			continue;
		block_look(bar, block);
		/* It will be noted again when it is asked for again. */
		if (memcmp(block->states, absent, sizeof absent) == 0)
			block_remove(bar, block);
	}
	bar->evicted = evicted;
}

/* What of several states in one cell is shown. */
static unsigned rank(unsigned char state)
{
	static const unsigned ranks[] = {[PAGEIN_ABSENT] = 0,
		[PAGEIN_RESIDENT] = 1,
		[PAGEIN_COMING] = 2,
		[PAGEIN_FAILED] = 3};

	return ranks[state];
}

void bar_cells(const struct bar *bar, unsigned char *cells, size_t count)
{
	uint64_t pages = (bar->size + PAGE_BYTES - 1) / PAGE_BYTES;

	memset(cells, PAGEIN_ABSENT, count);
	for (size_t i = 0; i < bar->count; i++) {
		const struct bar_block *block = &bar->blocks[i];
		uint64_t page = block->index * BAR_BLOCK_PAGES;

		for (unsigned j = 0; j < BAR_BLOCK_PAGES && page + j < pages; j++) {
			/* Of an object with fewer pages than cells a page has several. */
			size_t cell = (size_t)((page + j) * (unsigned __int128)count / pages);
			size_t next = (size_t)((page + j + 1) * (unsigned __int128)count / pages);

			do
				if (rank(block->states[j]) > rank(cells[cell]))
					cells[cell] = block->states[j];
			while (++cell < next);
		}
	}
}
