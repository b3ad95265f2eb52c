/*
 * memory_huge.c - private pages like memory_anonymous.c's, of which 2 MiB that came as a whole are
 * one huge page (PAGEIN_HUGE): moved from where it was received, without a copy.
 *
 * UFFDIO_MOVE wants both sides to be private, writable, and alike in all that mmap(2), mprotect(2)
 * and mlock(2) can change; so the map is writable, and where the application has made it different
 * the kernel refuses and the pages are copied. A huge page stays one if the destination has never
 * had a page table: both sides have MADV_HUGEPAGE from the beginning, and the addresses are aligned
 * as the object is.
 *
 * Whether the staging was a huge page is asked of the kernel (PAGEMAP_SCAN, as old as MOVE): when
 * memory is fragmented it is 512 small ones, which are moved as well, but are no huge fill.
 *
 * create is on the caller's thread, the rest on the loop. Cost of 2 MiB: two system calls, and the
 * kernel's zeroing of the next staging page (110 us here); UFFDIO_COPY takes 465.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "map_private.h"
#include "pagemap.h"

/* Does the kernel make huge pages where it is asked to? */
static bool huge_pages_are_on(void)
{
	cleanup_fd int fd = open(
		"/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	char words[64] = "";

	if (fd < 0 || read(fd, words, sizeof words - 1) < 0 || strstr(words, "[never]"))
		return false;
	return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0;
}

static int huge_register(struct pagein_map *map)
{
	if (madvise(map->address, map->mapped, MADV_DONTFORK) < 0)
		return -errno;
	if (!(map->uffd.features & UFFD_FEATURE_MOVE) || !huge_pages_are_on()) {
		map->stats.fallbacks++;
	} else if (madvise(map->address, map->mapped, MADV_HUGEPAGE) == 0) {
		map->want.place = units_place;
		if (units_create(map) < 0)
			return -ENOMEM;
		map->pagemap_fd = pagemap_open();
	}
	return uffd_register(&map->uffd, map->address, map->mapped, 0);
}

static int huge_create(struct pagein_map *map)
{
	int err;

	map->address = memory_reserve(map->mapped, map->offset, PROT_READ | PROT_WRITE);
	if (map->address == MAP_FAILED)
		return context_fail(-errno, "map: %zu bytes of addresses: %s", map->mapped,
			strerrordesc_np(errno));
	err = huge_register(map);
	return err < 0 ? context_fail(err, "map: register: %s", strerrordesc_np(-err)) : 0;
}

static int huge_fill(struct pagein_map *map, void *to, uint64_t offset, const void *from,
	size_t length, size_t *ret_filled)
{
	(void)offset;
	return memory_fill(map, to, from, length, ret_filled);
}

/* Without /proc nobody knows, and it is taken for one. */
static bool is_huge(const struct pagein_map *map, const void *memory)
{
	return map->pagemap_fd < 0 ||
	       pagemap_is_huge(map->pagemap_fd, (uintptr_t)memory, UNIT_BYTES);
}

static size_t huge_move(struct pagein_map *map, void *to, void *from, bool *ret_as_it_was)
{
	struct pagein_stats *all = context_map_stats(map->object->context);
	bool huge = is_huge(map, from);
	size_t moved;

	(void)uffd_move(&map->uffd, to, from, UNIT_BYTES, &moved);
	*ret_as_it_was = huge && (moved == 0 || moved == UNIT_BYTES);
	if (moved > 0)
		map_count_fill(map, moved);
	if (huge && moved == UNIT_BYTES) {
		map->stats.huge_fills++;
		all->huge_fills++;
	} else {
		map_count_fallback(map);
	}
	return moved;
}

const struct memory memory_huge = {
	.name = "huge",
	.page_bytes = PAGE_BYTES,
	.inherited = true,
	.create = huge_create,
	.fill = huge_fill,
	.move = huge_move,
};
