/*
 * memory.c - which memory a map is made of, and what its kinds have in common.
 *
 * pagein_map()'s flags are looked up in one table of all combinations that there are; what is not
 * in it is refused with words. The fills are on the loop.
 *
 * Pages of zeros are found by looking, which costs a load for most others: their first word is not
 * zero. UFFDIO_ZEROPAGE maps the kernel's one page of zeros, so a sparse object takes no memory
 * where it has holes. A run of pages is cut where zeros begin and end, and each part wakes its own
 * waiters: waking where nobody waits costs the kernel a look, less than the system call that one
 * wake for all of them would be.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "map_private.h"

/* ---- choosing ------------------------------------------------------------------------------ */

static const struct {
	unsigned flags;
	const struct memory *memory;
} kinds[] = {
	{0, &memory_anonymous},
	{PAGEIN_INLINE, &memory_anonymous},
	{PAGEIN_PRIVATE, &memory_overlay},
	{PAGEIN_HUGE, &memory_huge},
	{PAGEIN_SHARED, &memory_shared},
	{PAGEIN_HUGETLB, &memory_hugetlb},
};

int memory_choose(unsigned flags, const struct memory **ret)
{
	unsigned known = 0;

	/* It is about the network. */
	flags &= ~PAGEIN_WAIT;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		known |= kinds[i].flags;
		if (kinds[i].flags != flags)
			continue;
		*ret = kinds[i].memory;
		return 0;
	}
	if (flags & ~known)
		return context_fail(-EINVAL, "map: unknown flags 0x%x", flags & ~known);
	return context_fail(-EINVAL, "map: flags 0x%x exclude each other", flags);
}

/* ---- addresses ----------------------------------------------------------------------------- */

void *memory_reserve(size_t length, uint64_t offset, int protection)
{
	uint8_t *memory = mmap(NULL, length + UNIT_BYTES, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (memory == MAP_FAILED)
		return memory;
	before = (size_t)((offset - (uintptr_t)memory) % UNIT_BYTES);
	if (before > 0)
		munmap(memory, before);
	if (before < UNIT_BYTES)
		munmap(memory + before + length, UNIT_BYTES - before);
	return memory + before;
}

/* ---- private pages ------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *page)
{
	uint64_t first;

	memcpy(&first, page, sizeof first);
	/* All bytes equal the one before them, and the first ones are zero. */
	return first == 0 && memcmp(page, page + sizeof first, PAGE_BYTES - sizeof first) == 0;
}

static void count_zeros(struct pagein_map *map, size_t length)
{
	map->stats.zero_pages += length / PAGE_BYTES;
	context_map_stats(map->object->context)->zero_pages += length / PAGE_BYTES;
}

int memory_fill(
	struct pagein_map *map, void *to, const void *from, size_t length, size_t *ret_filled)
{
	const uint8_t *bytes = from;
	bool zero = is_zero(bytes);
	size_t run = PAGE_BYTES;
	int err;

	while (run < length && is_zero(bytes + run) == zero)
		run += PAGE_BYTES;
	if (!zero)
		return uffd_copy(&map->uffd, to, from, run, 0, ret_filled);
	err = uffd_zeropage(&map->uffd, to, run, ret_filled);
	count_zeros(map, *ret_filled);
	return err;
}
