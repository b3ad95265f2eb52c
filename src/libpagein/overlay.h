/*
 * overlay.h - PAGEIN_PRIVATE: what is written to a map stays in it. See overlay.c. On the loop but
 * where it says otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "range.h"

struct map_block;
struct pagein_map;

struct overlay {
	/* Callers' threads take it to drop pages, one at a time, and may wait for the loop while
	 * they hold it; the loop never takes it. */
	pthread_mutex_t dropping;
	struct range frozen; /* nothing is filled, and no write begins, in here; of the object */
	struct range again;  /* whose writers wait until the address space stands still */
	unsigned tries;
	struct loop_timer timer; /* set when `again` is not empty */
};

/*
 * Which of the block's pages may have been written: all that have, and some that were lost since.
 * They are not to be evicted. All, where the kernel does not tell of writes (WP_ASYNC); none, of a
 * map that is no overlay.
 */
uint64_t map_dirty_mask(const struct pagein_map *map, const struct map_block *block);

/* Are writes to clean pages the kernel's, who tells nobody? Any thread. */
bool overlay_is_async(const struct pagein_map *map);

/* A thread that writes waits at this address, where `page` lies, write-protected. */
void overlay_write(struct pagein_map *map, uintptr_t address, struct range page);
/* `range` was nowhere in memory, and now is filled with the object's bytes or poisoned. */
void overlay_clean(struct pagein_map *map, struct range range);
/* The pages are dirty, or will be before the next event is read. */
void overlay_written(struct pagein_map *map, struct range range);
void overlay_stop(struct pagein_map *map);

/*
 * overlay_calls.c, on the caller's thread; -errno, with words. Runs drop() on pieces of the range,
 * each of which is frozen meanwhile.
 */
int overlay_drop(struct pagein_map *map, struct range range,
	int (*drop)(struct pagein_map *map, struct range range));
/* For overlay_drop(): what is certainly clean; nothing, where the kernel does not tell. */
int overlay_drop_clean(struct pagein_map *map, struct range range);

/*
 * overlay_fork.c: before a fork(2), in the parent, and in the child, when its memory is registered.
 * The loop stands still.
 */
void overlay_fork(struct pagein_map *map);
int overlay_rearm(struct pagein_map *map);

/* For tests, before a map is made: false: as on a kernel without WP_ASYNC. */
void overlay_allow_async(bool allow);
