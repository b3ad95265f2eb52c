/*
 * map_bar.c - failed pages on kernels without UFFDIO_POISON (before 6.6), or which refuse it for
 * long: PROT_NONE, so that a touch is SIGSEGV.
 *
 * On the loop: mprotect(2) sends no event, so nobody waits for one. Which pages are barred is a bit
 * in the map's blocks, for who fills or drops such a page has to open it again, whatever has become
 * of `failed` meanwhile. Pages past the object's end have no block, and never open.
 *
 * Cost: each run of them splits the kernel's mapping, of which a process has 65,530; beyond that a
 * failed page is fetched again with each touch. mremap(2) over a barred page fails with EFAULT.
 */
#include <sys/mman.h>

#include "guard.h"
#include "map_private.h"

static void map_protect(struct pagein_map *map, struct range pages, int protection)
{
	struct range part;
	uintptr_t cursor = 0, address;

	while (extents_next(&map->extents, pages, &cursor, &part, &address))
		(void)mprotect((void *)address, (size_t)range_length(part), protection);
}

void map_bar(struct pagein_map *map, struct range pages)
{
	uint64_t end = (pages.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	/* A child's addresses are somebody else's here: there it waits until the kernel has memory.
	 */
	if (map->origin)
		return;
	guard_expect_bars();
	map_protect(map, pages, PROT_NONE);
	for (uint64_t i = pages.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		block->barred |= block_range_mask(i, pages);
}

void map_unbar(struct pagein_map *map, uint64_t index, struct map_block *block, uint64_t mask)
{
	int open = map->flags & PAGEIN_PRIVATE ? PROT_READ | PROT_WRITE : PROT_READ;
	uint64_t barred = block->barred & mask;

	block->barred &= ~mask;
	while (barred) {
		unsigned count, first = mask_take_run(&barred, &count);
		uint64_t start = index * BLOCK_BYTES + first * PAGE_BYTES;

		map_protect(map, (struct range){start, start + count * PAGE_BYTES}, open);
	}
}
