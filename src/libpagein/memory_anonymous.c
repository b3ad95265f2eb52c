/*
 * memory_anonymous.c - private pages, each filled by a copy (UFFDIO_COPY): what maps are made of
 * unless they ask for something else. Works wherever userfaultfd(2) does, read-only maps included.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "map_private.h"

static int anonymous_create(struct pagein_map *map)
{
	int err = 0;

	map->address = mmap(
		NULL, map->mapped, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map->address == MAP_FAILED)
		return context_fail(-errno, "map: %zu bytes of addresses: %s", map->mapped,
			strerrordesc_np(errno));
	if (madvise(map->address, map->mapped, MADV_DONTFORK) < 0)
		err = -errno;
	if (err == 0)
		err = uffd_register(&map->uffd, map->address, map->mapped);
	return err < 0 ? context_fail(err, "map: register: %s", strerrordesc_np(-err)) : 0;
}

static int anonymous_fill(
	struct pagein_map *map, void *to, const void *from, size_t length, size_t *ret_filled)
{
	return uffd_copy(&map->uffd, to, from, length, ret_filled);
}

const struct memory memory_anonymous = {
	.name = "anonymous",
	.create = anonymous_create,
	.fill = anonymous_fill,
};
