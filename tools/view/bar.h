/*
 * bar.h - which pages of a map are there, in one row for the whole object.
 *
 * Only what was asked for can be there (the map's advice is PAGEIN_RANDOM), so only that is looked
 * at: blocks of 64 pages, BLOCKS_MAX at the most. One that is too many is dropped from the map, and
 * not only from the bar, so that the bar is never wrong. A block that is wholly resident is not
 * looked at again until something has been evicted. So a look costs a call for each block that
 * something goes on in, whether the object has a mebibyte or a tebibyte.
 *
 * One thread at a time: the caller locks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pagein_map;

#define BAR_BLOCKS_MAX 1024
#define BAR_BLOCK_PAGES 64
#define BAR_CELLS_MAX 1024

struct bar_block {
	uint64_t index; /* offset / (64 pages) */
	uint64_t used;  /* when it was asked for last */
	bool is_settled;
	uint64_t failed; /* pages that could not be populated: the map does not remember */
	unsigned char states[BAR_BLOCK_PAGES]; /* enum pagein_state */
};

struct bar {
	struct pagein_map *map;
	uint64_t size;    /* of the map, in bytes */
	uint64_t clock;   /* counts the asking */
	uint64_t evicted; /* as the blocks were looked at */
	size_t count;
	struct bar_block blocks[BAR_BLOCKS_MAX];
};

/* Somebody asks for these bytes. */
void bar_note(struct bar *bar, uint64_t offset, uint64_t length);
/* It has not got them: this page has failed until it is asked for again. */
void bar_fail(struct bar *bar, uint64_t page);
/* Looks at what may have changed; evicted: of pagein_stats(). */
void bar_look(struct bar *bar, uint64_t evicted);
/* cells[0 .. count): enum pagein_state, of each cell's pages what matters most. */
void bar_cells(const struct bar *bar, unsigned char *cells, size_t count);
