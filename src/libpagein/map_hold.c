/*
 * map_hold.c - pages held back, so that their touch is seen.
 *
 * A reader that touches resident memory tells nobody where it is. So one page in the middle of what
 * was asked for ahead of it (readahead_plan's mark) is not filled when its bytes arrive: they are
 * kept here, and the fault on it, which needs no request, is the sign to ask for the next window
 * while the reader still has half of this one. Linux's readahead marks a page with PG_readahead for
 * the same end; userfaultfd(2) has nothing like it.
 *
 * On the loop. At most HELD_MAX pages of a map are held, and the oldest is filled when there would
 * be more: each stream and each stride needs one. A page is held at most once; its bit in
 * block->held is set and that in block->asked is not.
 *
 * Cost: a copy of 4 KiB and one fault for each half of a window; 132 KiB a map at the most.
 */
#include <stdlib.h>
#include <string.h>

#include "face.h"
#include "map_private.h"

#define HELD_MAX (READAHEAD_STREAMS + READAHEAD_STRIDES + 1)
static_assert(HELD_MAX == FACE_HELD_MAX, "a signal handler asks about each of them");

struct held {
	struct list node;
	uint64_t offset;
	uint8_t bytes[PAGE_BYTES];
};

static void held_remove(struct pagein_map *map, struct held *held)
{
	list_remove(&held->node);
	map->held_count--;
	face_release(map->face, held->offset);
}

static void held_free(struct pagein_map *map, struct held *held)
{
	held_remove(map, held);
	free(held);
}

/* Off the list first: a fill lets pulls go on, which release others, and this one again. */
static void held_fill(struct pagein_map *map, struct held *held)
{
	held_remove(map, held);
	map_fill(map, (struct range){held->offset, held->offset + PAGE_BYTES}, held->bytes);
	free(held);
}

void map_hold(struct pagein_map *map, uint64_t offset, const uint8_t *bytes)
{
	struct held *held;

	if (map->held_count == HELD_MAX)
		held_fill(map, list_first(&map->held, struct held, node));
	held = malloc(sizeof *held);
	if (!held) {
		map_fill(map, (struct range){offset, offset + PAGE_BYTES}, bytes);
		return;
	}
	held->offset = offset;
	memcpy(held->bytes, bytes, PAGE_BYTES);
	list_append(&map->held, &held->node);
	map->held_count++;
	face_hold(map->face, offset);
}

static bool is_held_in(const struct held *held, struct range range)
{
	return held->offset >= range.start && held->offset < range.end;
}

static struct held *held_first_in(struct pagein_map *map, struct range range)
{
	list_for_each (node, &map->held) {
		struct held *held = list_entry(node, struct held, node);

		if (is_held_in(held, range))
			return held;
	}
	return NULL;
}

void map_release(struct pagein_map *map, struct range range)
{
	struct held *held;

	while ((held = held_first_in(map, range)))
		held_fill(map, held);
}

void map_drop_held(struct pagein_map *map, struct range range)
{
	list_for_each_safe (node, &map->held) {
		struct held *held = list_entry(node, struct held, node);
		struct map_block *block = map_find_block(map, held->offset / BLOCK_BYTES);

		if (!is_held_in(held, range))
			continue;
		block->held &= ~(UINT64_C(1) << (held->offset % BLOCK_BYTES / PAGE_BYTES));
		held_free(map, held);
	}
}
