/*
 * memory_anonymous.c - private pages, each filled by a copy (UFFDIO_COPY): what maps are made of
 * unless they ask for something else. Works wherever userfaultfd(2) does, read-only maps included.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "map_private.h"

int memory_create_private(struct pagein_map *map, int protection)
{
	int err = 0;

	map->address = mmap(map->place, map->mapped, protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map->address == MAP_FAILED)
		return context_fail(-errno, "map: %zu bytes of addresses: %s", map->mapped,
			strerrordesc_np(errno));
	if (madvise(map->address, map->mapped, MADV_DONTFORK) < 0)
		err = -errno;
	/* Part of a huge page that is dropped takes memory until the whole of it is. */
	if (map->limit)
		madvise(map->address, map->mapped, MADV_NOHUGEPAGE);
	if (err == 0)
		err = uffd_register(&map->uffd, map->address, map->mapped, map->memory->modes);
	return err < 0 ? context_fail(err, "map: register: %s", strerrordesc_np(-err)) : 0;
}

static int anonymous_create(struct pagein_map *map)
{
	return memory_create_private(map, PROT_READ);
}

static int anonymous_fill(struct pagein_map *map, void *to, uint64_t offset, const void *from,
	size_t length, size_t *ret_filled)
{
	(void)offset;
	return memory_fill(map, to, from, length, ret_filled);
}

int memory_drop_private(struct pagein_map *map, void *from, size_t length)
{
	(void)map;
	return madvise(from, length, MADV_DONTNEED) < 0 ? -errno : 0;
}

const struct memory memory_anonymous = {
	.name = "anonymous",
	.page_bytes = PAGE_BYTES,
	.create = anonymous_create,
	.fill = anonymous_fill,
	.plain = true,
	.inherited = true,
	.drop = memory_drop_private,
};
