/*
 * detach.c - a map whose pages are all there becomes plain memory.
 *
 * On the caller's thread, but for what the loop owns. A touch of a page that is missing when the
 * memory is unregistered would find zeros, so the kernel is asked about each page of each place
 * (/proc/self/pagemap), and not the map's hints. From before that until the map is gone the loop
 * evicts nothing from it (map->leaving); who else could drop pages is the caller, who has promised
 * not to. Meanwhile the map works as before, so that an error leaves it as it was.
 *
 * Cost: a read of 4 KiB for each 2 MiB of the map.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "map_private.h"
#include "pagemap.h"

#define WORDS 512

static uint64_t block_poisoned(const struct map_block *block)
{
	return block->poisoned;
}

/* Growth has no event, and a page held back is not missing. */
static void detach_prepare(void *argument)
{
	struct pagein_map *map = argument;

	map->leaving = true;
	map_find_growth(map);
	map_release(map, map->want.range);
}

static void detach_stop(void *argument)
{
	struct pagein_map *map = argument;

	map->leaving = false;
}

/*
 * The first page of `part` that is not there; its end: all are. A poisoned page looks like one that
 * was swapped out.
 */
static int detach_find_missing(
	struct pagein_map *map, int pagemap, struct range part, uintptr_t address, uint64_t *ret)
{
	struct range poisoned = map_call_run(map, part, block_poisoned);
	uint64_t words[WORDS];
	int err = 0;

	for (uint64_t i = 0, at = part.start; at < part.end; i++, at += PAGE_BYTES) {
		uint64_t left = (part.end - at) / PAGE_BYTES, word;

		if (i % WORDS == 0)
			err = pagemap_read(pagemap, address + i * PAGE_BYTES, words,
				left < WORDS ? left : WORDS);
		if (err < 0)
			return err;
		if (at >= poisoned.end)
			poisoned = map_call_run(map, (struct range){at, part.end}, block_poisoned);
		word = words[i % WORDS];
		*ret = at;
		if (word & PAGEMAP_PRESENT)
			continue;
		if (!(word & PAGEMAP_SWAPPED) || (at >= poisoned.start && at < poisoned.end))
			return 0;
	}
	*ret = part.end;
	return 0;
}

static int detach_check(struct pagein_map *map, uintptr_t *ret_lowest)
{
	const struct range everything = {0, UINT64_MAX};
	cleanup_fd int pagemap = pagemap_open();
	uintptr_t cursor = 0, address;
	struct range part;

	*ret_lowest = 0;
	if (pagemap < 0)
		return context_fail(
			pagemap, "detach: /proc/self/pagemap: %s", strerrordesc_np(-pagemap));
	while (map_call_next(map, everything, &cursor, &part, &address)) {
		uint64_t missing;
		int err;

		if (*ret_lowest == 0)
			*ret_lowest = address;
		if (part.end > align_up(map->object->size, PAGE_BYTES))
			return context_fail(-EINVAL, "detach: the map has pages past the end");
		err = detach_find_missing(map, pagemap, part, address, &missing);
		if (err < 0)
			return context_fail(
				err, "detach: /proc/self/pagemap: %s", strerrordesc_np(-err));
		if (missing < part.end)
			return context_fail(-EBUSY,
				"detach: the page at offset %llu is not resident",
				(unsigned long long)missing);
	}
	return 0;
}

/* Nobody waits for a page: all are there. */
static void detach_finish(void *argument)
{
	struct pagein_map *map = argument;

	map_quiesce(map);
	for (size_t i = 0; i < map->extents.count; i++) {
		const struct extent *extent = &map->extents.list[i];

		if (!extent->hole)
			uffd_unregister(&map->uffd, (void *)extent->address, extent->length);
	}
	map_end(map);
}

/* Children have it from now on, as they have other memory. */
static void detach_inherit(const struct pagein_map *map)
{
	for (size_t i = 0; i < map->extents.count; i++) {
		const struct extent *extent = &map->extents.list[i];

		if (!extent->hole)
			madvise((void *)extent->address, extent->length, MADV_DOFORK);
	}
}

int pagein_detach(struct pagein_map *map, void **ret_address)
{
	struct loop *loop = context_loop(map->object->context);
	uintptr_t lowest = 0;
	int err = pagein_object_check(map->object);

	if (err < 0)
		return err;
	if (map->length > 0) {
		if (!map->memory->plain)
			return context_fail(
				-ENOTSUP, "detach: memory of the kind '%s'", map->memory->name);
		loop_call(loop, detach_prepare, map);
		err = detach_check(map, &lowest);
		loop_call(loop, err < 0 ? detach_stop : detach_finish, map);
		if (err < 0)
			return err;
		detach_inherit(map);
	}
	*ret_address = (void *)lowest;
	map_free(map);
	return 0;
}
