/*
 * pages.h - pages and blocks: 64 pages are a block, so that a question about each of a block's
 * pages is a word, and the answer an AND and a shift.
 */
#pragma once

#include <stdint.h>

#include "range.h"

#define PAGE_BYTES UINT64_C(4096)
#define BLOCK_PAGES 64
#define BLOCK_BYTES (PAGE_BYTES * BLOCK_PAGES)

/* Bits for `count` pages (1 to 64) from `first` on. */
static inline uint64_t page_mask(unsigned first, unsigned count)
{
	return (~UINT64_C(0) >> (BLOCK_PAGES - count)) << first;
}

/* The bits of block `index` that stand for pages of `range`, which must overlap the block. */
static inline uint64_t block_range_mask(uint64_t index, struct range range)
{
	struct range whole = {index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES};
	struct range part = range_intersect(whole, range);
	unsigned first = (unsigned)((part.start - whole.start) / PAGE_BYTES);
	unsigned end = (unsigned)((part.end - whole.start + PAGE_BYTES - 1) / PAGE_BYTES);

	return page_mask(first, end - first);
}

/* Takes the lowest run of ones out of *mask (not 0): its first bit and its length. */
static inline unsigned mask_take_run(uint64_t *mask, unsigned *ret_count)
{
	unsigned first = (unsigned)__builtin_ctzll(*mask);
	uint64_t shifted = ~(*mask >> first);
	unsigned count = shifted ? (unsigned)__builtin_ctzll(shifted) : BLOCK_PAGES;

	count = count < BLOCK_PAGES - first ? count : BLOCK_PAGES - first;
	*mask &= ~page_mask(first, count);
	*ret_count = count;
	return first;
}
