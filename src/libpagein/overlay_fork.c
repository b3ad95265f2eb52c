/*
 * overlay_fork.c - overlays in the child of a fork(2): what was dirty is dirty there, and what was
 * clean, clean, though the kernel takes write protection off what a child inherits.
 *
 * Before the fork the parent's page tables are asked which pages are dirty, if the loop does not
 * know (WP_ASYNC), so that the blocks, which the child inherits, tell it. In the child, every page
 * that is there and not told is protected again. Page by page, not by whole ranges: WP_ASYNC would
 * mark what is not there, too, which then looks as if it were. If the page tables can't be read,
 * everything is dirty.
 *
 * On the thread that forks; the loops stand still. Cost: a scan of what is resident in the parent,
 * and a read of 512 bytes for each block in the child.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "map_private.h"
#include "pagemap.h"

#define REGIONS 64

static void overlay_set_all(struct pagein_map *map, uint64_t dirty)
{
	struct map_block *block;

	for (uint64_t i = 0; (block = radix_next(&map->blocks, &i, UINT64_MAX)); i++)
		block->dirty = dirty;
}

/* Poisoned pages look as if they were written and swapped out. */
static void overlay_note_swapped(struct pagein_map *map, struct range range)
{
	for (; !range_empty(range); range.start += PAGE_BYTES) {
		struct range page = {range.start, range.start + PAGE_BYTES};
		struct map_block *block = map_find_block(map, page.start / BLOCK_BYTES);

		if (block && !(block->poisoned & block_range_mask(page.start / BLOCK_BYTES, page)))
			overlay_written(map, page);
	}
}

static int overlay_note(struct pagein_map *map, int pagemap, struct range part, uintptr_t address)
{
	uintptr_t at = address, end = address + (uintptr_t)range_length(part);
	struct page_region regions[REGIONS];
	int count = 0;

	while (count >= 0 && at < end) {
		count = pagemap_scan_written(pagemap, &at, end, regions, REGIONS);
		for (int i = 0; i < count; i++) {
			struct range range = {part.start + (regions[i].start - address),
				part.start + (regions[i].end - address)};

			if (regions[i].categories & PAGE_IS_PRESENT)
				overlay_written(map, range);
			else
				overlay_note_swapped(map, range);
		}
	}
	return count < 0 ? count : 0;
}

void overlay_fork(struct pagein_map *map)
{
	uintptr_t cursor = 0, address;
	cleanup_fd int pagemap = -1;
	struct range part;
	int err = 0;

	if (!(map->flags & PAGEIN_PRIVATE) || !overlay_is_async(map))
		return;
	overlay_set_all(map, 0);
	pagemap = pagemap_open();
	if (pagemap < 0)
		err = pagemap;
	while (err == 0 && extents_next(&map->extents, map_pages(map), &cursor, &part, &address))
		err = overlay_note(map, pagemap, part, address);
	if (err < 0)
		overlay_set_all(map, ~UINT64_C(0));
}

/* The pages of a block of which a part lies at address. */
static int overlay_protect_part(struct pagein_map *map, int pagemap, struct map_block *block,
	struct range part, uintptr_t address)
{
	size_t count = (size_t)(range_length(part) / PAGE_BYTES);
	unsigned first = (unsigned)(part.start % BLOCK_BYTES / PAGE_BYTES);
	uint64_t words[BLOCK_PAGES], there = 0;
	int err = pagemap_read(pagemap, address, words, count);

	for (size_t i = 0; i < count && err == 0; i++)
		if (words[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED))
			there |= UINT64_C(1) << (first + i);
	there &= ~block->dirty & ~block->poisoned;
	while (there && err == 0) {
		unsigned length, at = mask_take_run(&there, &length) - first;

		err = uffd_write_protect(&map->uffd, (void *)(address + at * PAGE_BYTES),
			length * PAGE_BYTES, UFFDIO_WRITEPROTECT_MODE_WP);
		/* Other memory: it came there as the child was made. */
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

static int overlay_protect_block(
	struct pagein_map *map, int pagemap, struct map_block *block, uint64_t index)
{
	struct range range = {index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES}, part;
	uintptr_t cursor = 0, address;
	int err = 0;

	while (err == 0 && extents_next(&map->extents, range, &cursor, &part, &address))
		err = overlay_protect_part(map, pagemap, block, part, address);
	return err;
}

int overlay_rearm(struct pagein_map *map)
{
	cleanup_fd int pagemap = -1;
	struct map_block *block;
	int err = 0;

	if (!(map->flags & PAGEIN_PRIVATE))
		return 0;
	/* Whoever was dropping pages or waiting to write was the parent's. */
	memset(&map->overlay, 0, sizeof map->overlay);
	pthread_mutex_init(&map->overlay.dropping, NULL);
	pagemap = pagemap_open();
	if (pagemap < 0)
		overlay_set_all(map, ~UINT64_C(0));
	for (uint64_t i = 0;
		pagemap >= 0 && err == 0 && (block = radix_next(&map->blocks, &i, UINT64_MAX)); i++)
		err = overlay_protect_block(map, pagemap, block, i);
	return err;
}
