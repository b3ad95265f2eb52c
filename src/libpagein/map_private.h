/*
 * map_private.h - a map as the files of libpagein/ share it.
 *
 *  page of a map:   absent --asked--> asked --bytes--> resident --REMOVE--> absent
 *                                       \--give up, a thread waits--> failed --retry--> absent
 *                                        \--give up, none waits--> absent
 *
 * M1 a page is in at most one of asked, resident and failed; a held one is not resident. M2 a
 * waiting page is asked, and an asked page is in flight in the object, or about to be, or its bytes
 * are parked. M3 `resident` is a hint: the kernel knows. A fault on a page that it calls resident
 * clears the bit and wakes; the thread faults again if the kernel disagrees.
 *
 * All on the context's loop, but for what pagein_map() fills in before the loop knows the map.
 */
#pragma once

#include <pthread.h>

#include "context.h"
#include "extent.h"
#include "object.h"
#include "pagein.h"
#include "radix.h"
#include "uffd.h"

struct pagein_object {
	struct context *context;
	struct list node;      /* of the context's roll */
	struct object *object; /* touched on the loop only */
	_Atomic unsigned uses; /* the caller's, and each map's */
	uint64_t size;
	char *url;
	char version[VALIDATOR_MAX + 1];
};
void pagein_object_put(struct pagein_object *object);

/* 64 pages of a map; see the picture above. */
struct map_block {
	uint64_t asked;
	uint64_t waiting; /* asked, and a thread faulted on it */
	uint64_t resident;
	uint64_t failed;
	uint64_t held; /* asked: to be held back when it arrives; not asked: its bytes are in
			  map->held */
	int err;       /* of the newest failure in this block: positive errno */
	unsigned status;
	char *error; /* its words; NULL: none */
};

/* Where a map's blocks come from: they live as long as the map. */
#define MAP_SLAB_BLOCKS 64
struct map_slab {
	struct map_slab *next;
	unsigned used;
	struct map_block blocks[MAP_SLAB_BLOCKS];
};

/* When one fault was filled; clock_now_ns() of each stage. */
struct fill_trace {
	uint64_t offset;
	uint64_t event_ns;
	uint64_t submit_ns;
	uint64_t first_byte_ns;
	uint64_t last_byte_ns; /* of the filled page */
	uint64_t fill_ns;
};
typedef void map_trace_fn(const struct fill_trace *trace, void *context);

struct pagein_map {
	struct pagein_object *object;
	struct list node; /* of the context's roll, while it is not closing */
	struct uffd uffd;
	struct loop_fd fd;
	struct want want;
	struct extents extents;
	struct radix blocks;    /* of struct map_block, by the object's block index */
	struct map_slab *slabs; /* the newest first */
	struct map_slab *spare; /* the next one, made before it is needed */
	struct list pulls;
	struct list parked;
	struct list held; /* the oldest first */
	unsigned held_count;
	struct loop_timer park_timer;
	struct loop_timer pull_timer;
	struct readahead readahead;
	const struct memory *memory; /* what its pages are made of */
	unsigned flags;              /* PAGEIN_PRIVATE and so on */
	void *address;
	size_t length; /* as asked for */
	size_t mapped; /* whole pages */
	uint64_t offset;
	bool closing; /* faults are not served any more */
	struct pagein_stats stats;
	uint64_t event_ns; /* when the newest fault was read; only if traced */
	map_trace_fn *trace;
	void *trace_context;
};

/*
 * What a map's pages are made of, and how bytes come to be in them: one table for each kind of
 * memory. On the loop, but for create, which is on the caller's thread before the loop knows the
 * map.
 */
struct memory {
	const char *name;
	/* Makes map->address and registers map->uffd for it. -errno, with words. */
	int (*create)(struct pagein_map *map);
	/* As uffd_copy(). */
	int (*fill)(struct pagein_map *map, void *to, const void *from, size_t length,
		size_t *ret_filled);
};
extern const struct memory memory_anonymous;

/* 0, or -ECHILD with words: this is a child of the process that made the object. */
int pagein_object_check(const struct pagein_object *object);

/* map.c: finds what mremap(2) has grown and nobody touched; on the loop, or while it stands still.
 */
void map_find_growth(struct pagein_map *map);

/* map_fault.c: what the descriptor says. */
void map_ready(struct loop_fd *fd, uint32_t events);

/* map_fill.c: the want's two calls. */
void map_arrived(struct want *want, const struct arrival *arrival);
void map_failed(struct want *want, struct range range, const struct failure *failure);
/* Fills a page that a thread waits for, if the object has its bytes. */
void map_fill_cached(struct pagein_map *map, struct map_block *block, struct range page);
/* These pages can't be had: poisons them and wakes who waits. */
void map_poison(struct pagein_map *map, struct range pages);
/* The lowest run of such pages in range; empty, at its end: there are none. (map_fill.c) */
struct range map_run(struct pagein_map *map, struct range range,
	uint64_t (*pages)(const struct map_block *block));
/* Wakes who waits for these pages. */
void map_wake(struct pagein_map *map, struct range pages);
/* Drops what is parked. */
void map_unpark(struct pagein_map *map);

/* map_hold.c: pages whose touch tells where a sequential reader is. */
/* Keeps a copy of the page's bytes (a whole one), instead of filling it. */
void map_hold(struct pagein_map *map, uint64_t offset, const uint8_t *bytes);
/* Fills the held pages of range. */
void map_release(struct pagein_map *map, struct range range);
/* Drops the held pages of range. */
void map_drop_held(struct pagein_map *map, struct range range);
/* Fills a run of whole pages wherever its parts lie now. (map_fill.c) */
void map_fill(struct pagein_map *map, struct range range, const uint8_t *bytes);

/* map.c */
struct map_block *map_block(
	struct pagein_map *map, uint64_t index); /* made if need be; NULL: no memory */
static inline struct map_block *map_find_block(struct pagein_map *map, uint64_t index)
{
	return radix_get(&map->blocks, index);
}
/* Makes what the next map_block() may need, where there is time. */
void map_reserve(struct pagein_map *map);
void map_free_blocks(struct pagein_map *map);
/* The object's bytes that the map shows, to the end of the last page that has any. */
struct range map_pages(const struct pagein_map *map);
/*
 * Fills the held pages of range, marks the absent ones asked, and asks the object for them; urgent
 * and chunk_bytes as in object_fetch(). On an error map_failed() has been called for the range.
 */
int map_ask(struct pagein_map *map, struct range range, uint64_t urgent, uint64_t chunk_bytes);
/* The object's pages that [offset, offset + length) of the map overlaps; -EINVAL, with words. */
int map_range(const struct pagein_map *map, size_t offset, size_t length, struct range *ret);
/* The pages went away (REMOVE, UNMAP): absent again. */
void map_forget(struct pagein_map *map, struct range range);
/* Where they lie nowhere any more, they are not waited for, and need not come. */
void map_abandon(struct pagein_map *map, struct range range);
/* There is memory at this page, of which nothing was known. As extents_grow(). */
int map_grow(struct pagein_map *map, uintptr_t address);
/* Is the page at this offset of the object anywhere in memory? */
bool map_lies_anywhere(const struct pagein_map *map, uint64_t offset);
/* The want's question: does it still wait for any of these pages? */
bool map_wants(const struct want *want, struct range range);
/* The pages of range have been filled. (map_fill.c) */
void map_settle(struct pagein_map *map, struct range range);
/* Counts one page run in or out of residency. */
void map_count_resident(struct pagein_map *map, uint64_t before, uint64_t after);

/* pull.c: ranges that are brought in from their beginning to their end, for populate and WILLNEED.
 */
struct pull {
	struct list node;
	struct range range;
	uint64_t at;   /* the pages before it have been resident */
	uint64_t next; /* asked for up to here */
	int err;       /* why it ended */
	bool entered;  /* asking: what arrives meanwhile is looked at afterwards */
	bool dirty;    /* something has happened in its range */
	bool paused;   /* until pull_timer: the loop has others to serve */
	void (*done)(struct pull *pull); /* called once, off the list */
};
/* done may be called before this returns. */
void pull_start(struct pagein_map *map, struct pull *pull);
/* Pages of range have become resident, or (err < 0) will not come. */
void pull_progress(struct pagein_map *map, struct range range, int err);
/* Has one asked for this page, and does it still wait? */
bool pull_waits_for(const struct pagein_map *map, uint64_t offset);
/* Takes it off the list without a word; one that is done is fine. */
void pull_cancel(struct pull *pull);
/* Ends all with -ECANCELED, and the timer. */
void pull_cancel_all(struct pagein_map *map);

/* For the bench: fn is called on the loop after each fill that a thread waited for; NULL: never. */
void map_set_trace(struct pagein_map *map, map_trace_fn *fn, void *context);
