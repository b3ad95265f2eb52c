/*
 * map_late.c - threads that have waited for a page for as long as may be.
 *
 * On the loop. Since when each thread waits, and for which page, stands in map->threads, whatever
 * raised its touch; core/deadline.c asks when the first of them is due. A due page fails as if its
 * transfer had: it is poisoned, and pagein_retry() asks for it again. All who wait for that page
 * are told, the transfer goes on for others. Maps with PAGEIN_WAIT never ask.
 */
#include "clock.h"
#include "map_private.h"

static bool map_is_waited_for(struct pagein_map *map, struct range page)
{
	uint64_t end = (page.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = page.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++)
		if (block->waiting & block_range_mask(i, page))
			return true;
	return false;
}

uint64_t map_late(struct want *want, uint64_t due_ns, const struct failure *failure)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);
	uint64_t offset, since_ns;

	while ((since_ns = threads_longest(&map->threads, &offset)) > 0 && since_ns <= due_ns) {
		struct range page = {offset, offset + map->memory->page_bytes};

		/* Else it waits for something else, or is no more. */
		if (map_is_waited_for(map, page))
			map_failed(want, range_intersect(page, map->want.range), failure);
		map_end_waits(map, page);
	}
	object_cancel_unwanted(map->object->object);
	return since_ns;
}

void map_begin_wait(struct pagein_map *map, uint64_t since_ns)
{
	if (!(map->flags & PAGEIN_WAIT))
		object_begin_wait(map->object->object, &map->want, since_ns);
}
