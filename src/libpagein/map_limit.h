/*
 * map_limit.h - what a memory limit (limit.h) does to a map, and what the map tells it. All on the
 * loop, and only for maps that have a limit, but for what says otherwise.
 *
 * L1 every resident page that is not protected is in a run of limit->runs (maybe in several). L2 a
 * kept page (whose second chance limit->second has) is neither asked nor resident. L3 a map without
 * a limit has no lone, kept or protected page.
 */
#pragma once

#include "limit.h"
#include "map_private.h"

struct readahead_plan;

/* ---- map_evict.c ---- */

/*
 * Evicts what may go of these pages. true: something of them must go another time. *ret_gone: some
 * have gone.
 */
bool map_evict(struct pagein_map *map, struct range range, bool *ret_gone);

/*
 * Drops the pages, pinned or poisoned ones, too; the next touch fetches them. -EAGAIN: the address
 * space is changing; -EINVAL: locked pages.
 */
int map_discard(struct pagein_map *map, struct range range);

/* Drops the pages and counts them, if all of them can be; else -EAGAIN, -EINVAL. */
int map_evict_run(struct pagein_map *map, struct range pages);

/* These pages have been filled: they are the youngest. */
void map_note_filled(struct pagein_map *map, struct range range);

/* Is the page in memory, wherever it ought to be? The kernel's word; any map. */
bool map_is_present(const struct pagein_map *map, struct range page);

/* map_residency.c: map_discard() of any range, on the caller's thread. With words. */
int map_dont_need_limited(struct pagein_map *map, struct range range);

/* ---- map_second.c ---- */

/* The plan for these pages, which nobody has asked for yet, is that they come alone. */
void map_note_lone(struct pagein_map *map, struct range pages, const struct readahead_plan *plan);
/* Evicts the page and keeps its bytes. */
int map_keep(struct pagein_map *map, struct range page);
/* Fills those that are kept, and asks for them before: M2. */
void map_refill(struct pagein_map *map, struct range range);
/* They are kept no more. */
void map_drop_kept(struct pagein_map *map, struct range range);
/* The same of one whose bytes are gone already. */
void map_lose_kept(struct pagein_map *map, uint64_t page);

/* ---- map_protect.c ---- */

enum protection { PROTECT_PINNED, PROTECT_PULLED };

static inline uint64_t block_pinned(const struct map_block *block)
{
	return block->pinned;
}

static inline uint64_t block_protected(const struct map_block *block)
{
	return block->pinned | block->pulled;
}

/* Bytes of the pages in range that are not `how`. */
uint64_t map_unprotected_bytes(
	struct pagein_map *map, struct range range, uint64_t (*how)(const struct map_block *block));
/* There is room for them. -ENOMEM: nothing has changed. */
int map_protect(struct pagein_map *map, struct range range, enum protection how);
/* The same but for what other pulls of this map protect. */
void map_unpull(struct pagein_map *map, struct range range);
/* All protection goes. */
void map_unprotect(struct pagein_map *map, struct range range);
/* -ENOMEM: more than the limit; nothing has changed. */
int map_pin(struct pagein_map *map, struct range range);
void map_unpin(struct pagein_map *map, struct range range);
