/*
 * memory_hugetlb.c - pages of 2 MiB from the pool that an administrator has reserved
 * (vm.nr_hugepages), each filled by one copy (PAGEIN_HUGETLB).
 *
 * The kernel fills, drops, moves and unmaps them as a whole, and a touch of any byte waits for all
 * of it: for those who read everything, and want neither page faults nor TLB misses. The pages of
 * the whole map are taken from the pool when it is made, so that no fill can fail for want of them;
 * but the kernel forgets that of parts that are dropped or moved.
 */
#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>

#include "map_private.h"

static int hugetlb_register(struct pagein_map *map)
{
	if (madvise(map->address, map->mapped, MADV_DONTFORK) < 0)
		return -errno;
	map->want.place = units_place;
	if (units_create(map) < 0)
		return -ENOMEM;
	return uffd_register(&map->uffd, map->address, map->mapped, 0);
}

static int hugetlb_create(struct pagein_map *map)
{
	int err;

	if (!(map->uffd.features & UFFD_FEATURE_MISSING_HUGETLBFS))
		return context_fail(-ENOTSUP, "map: this kernel does not fill hugetlb pages");
	map->address = mmap(NULL, map->mapped, PROT_READ,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	if (map->address == MAP_FAILED)
		return context_fail(-errno,
			"map: %zu huge pages of 2 MiB: %s: the pool is too small: see "
			"vm.nr_hugepages",
			map->mapped / (size_t)UNIT_BYTES, strerrordesc_np(errno));
	err = hugetlb_register(map);
	return err < 0 ? context_fail(err, "map: register: %s", strerrordesc_np(-err)) : 0;
}

/*
 * With its page table in place, the kernel calls a page that it can't get from the pool one that is
 * there already (hugetlb_mfill_atomic_pte() of Linux 6.18). Taken at its word, the fault would come
 * again and again, and each time be fetched.
 */
static bool is_there(void *page)
{
	unsigned char resident[UNIT_BYTES / PAGE_BYTES];

	return mincore(page, UNIT_BYTES, resident) < 0 || (resident[0] & 1);
}

static int hugetlb_fill(struct pagein_map *map, void *to, uint64_t offset, const void *from,
	size_t length, size_t *ret_filled)
{
	int err = uffd_copy(&map->uffd, to, from, length, 0, ret_filled);
	struct pagein_stats *all = context_map_stats(map->object->context);
	uint64_t pages = *ret_filled / UNIT_BYTES;

	(void)offset;
	if (err == -EEXIST && !is_there(to))
		err = -ENOMEM;
	map->stats.huge_fills += pages;
	all->huge_fills += pages;
	return err;
}

const struct memory memory_hugetlb = {
	.name = "hugetlb",
	.page_bytes = UNIT_BYTES,
	.create = hugetlb_create,
	.fill = hugetlb_fill,
};
