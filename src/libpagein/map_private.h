/*
 * map_private.h - a map as the files of libpagein/ share it.
 *
 *  page of a map:   absent --asked--> asked --bytes--> resident --REMOVE--> absent
 *                                       \--give up, a thread waits--> failed --retry--> absent
 *                                        \--give up, none waits--> absent
 *
 * M1 a page is in at most one of asked, staged, resident and failed; a held one is not resident. M2
 * a waiting page is asked or staged, and an asked page is in flight in the object, or about to be,
 * or its bytes are parked. M3 `resident` is a hint: the kernel knows. A fault on a page that it
 * calls resident clears the bit and wakes; the thread faults again if the kernel disagrees.
 * "Waiting" threads may be in a signal handler: map_touch.c.
 *
 * All on the context's loop, but for what pagein_map() fills in before the loop knows the map.
 */
#pragma once

#include <pthread.h>

#include "context.h"
#include "extent.h"
#include "limit.h"
#include "object.h"
#include "overlay.h"
#include "pagein.h"
#include "radix.h"
#include "threads.h"
#include "uffd.h"

#define BLIND_PAGES_MAX 16 /* more are poisoned unrecorded: pagein_discard() heals these, too */

struct pagein_object {
	struct context *context;
	struct list node;      /* of the context's roll */
	struct object *object; /* touched on the loop only */
	_Atomic unsigned uses; /* the caller's, and each map's */
	uint64_t size;
	char *url;
	char *place; /* where its probe has found it: for pin */
	char version[VALIDATOR_MAX + 1];
	struct shared *shared; /* with other processes: memory_shared.c; NULL: not yet */
};
/* On the loop; no map of it may be left. */
void shared_destroy(struct shared *shared);
void pagein_object_put(struct pagein_object *object);

/* 64 pages of a map; see the picture above. */
struct map_block {
	uint64_t asked;
	uint64_t waiting; /* asked, and a thread faulted on it */
	uint64_t resident;
	uint64_t failed;
	uint64_t held;     /* asked: to be held back when it arrives; not asked: its bytes are in
			      map->held */
	uint64_t writing;  /* waiting, and a thread wants to write to it */
	uint64_t dirty;    /* of an overlay: may have been written (overlay.c) */
	uint64_t poisoned; /* the kernel has it so, whatever is done about it meanwhile */
	uint64_t stranded; /* asked: but under way only when the network is back (map_wait.c) */
	uint64_t barred;   /* PROT_NONE, because it has failed (map_bar.c) */
	uint64_t staged;   /* its bytes are in a unit: map_unit.c */
	uint64_t foreign;  /* asked, and another process fetches it: memory_shared.c */
	uint64_t lone;   /* resident, by an access that was alone; of a map with a limit, as are: */
	uint64_t kept;   /* evicted, and its bytes are in limit->second */
	uint64_t pinned; /* pagein_pin() */
	uint64_t pulled; /* in the range of a pull that protects it */
	bool unit_broken; /* the unit that begins here was counted as a fallback */
	int err;          /* of the newest failure in this block: positive errno */
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

/* What keeps a map's stranded pages, until it asks for them again. */
struct map_wait {
	struct loop_timer timer;
	struct range range; /* that holds them, while the timer is set */
	unsigned rounds;    /* since bytes came */
	uint64_t random;
};

typedef void map_trace_fn(struct range range, const struct fault_stages *stages, void *context);

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
	bool refused; /* the kernel has refused to fill for long: map_bar.c, if not to poison, too
		       */
	bool blind;   /* memory for blocks or extents ran out: what is not known may be poisoned */
	bool lost;    /* ... for where it was moved or cut: what is not known is not growth */
	/* Of a blind one: pages that have failed, and have no block yet. Offset + 1; 0: none. */
	uint64_t blind_pages[BLIND_PAGES_MAX];
	struct list held; /* the oldest first */
	struct list asks; /* of threads in signal handlers, for waiting pages (map_touch.c) */
	unsigned held_count;
	bool is_stale;    /* the batch of faults: events came with it */
	bool inheritable; /* by the child of a fork(2): not for long */
	struct loop_timer park_timer;
	struct loop_timer pull_timer;
	struct map_wait wait;
	struct map_face *face; /* what signal handlers know of it */
	struct readahead readahead;
	/* Of a shadow, which is a child's map: whose copy it is, and the child. Else NULL. */
	struct pagein_map *origin;
	struct served *served;
	bool is_served;              /* in the child: the parent reads the descriptor */
	struct limit *limit;         /* its context's; NULL: none, or its pages can't be evicted */
	uint32_t limit_index;        /* its place in limit->maps */
	const struct memory *memory; /* what its pages are made of */
	struct list foreign_node;    /* of the maps that wait for other processes */
	struct range foreign;        /* blocks that may have foreign pages */
	struct units *units;         /* where 2 MiB are gathered; NULL: nowhere */
	int pagemap_fd;              /* of memory_huge.c; -1: none */
	unsigned flags;              /* PAGEIN_PRIVATE and so on */
	void *place;                 /* where it had best lie; NULL: anywhere */
	void *address;
	size_t length; /* as asked for */
	size_t mapped; /* whole pages */
	uint64_t offset;
	bool closing; /* faults are not served any more */
	bool leaving; /* pagein_detach() looks whether all is there: nothing is to be evicted */
	struct overlay overlay; /* with PAGEIN_PRIVATE */
	struct threads threads; /* that have faulted */
	bool moved;             /* the extents have changed: map_show() */
	struct pagein_stats stats;
	uint64_t event_ns; /* when the newest fault was read */
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
	size_t page_bytes; /* what it is filled, dropped and unmapped in */
	/* What map->uffd should have besides, where the kernel has it; NULL: nothing. */
	uint64_t (*features)(const struct pagein_map *map);
	/* Makes map->address and registers map->uffd for it. -errno, with words. */
	int (*create)(struct pagein_map *map);
	/* As uffd_copy(), of the object's bytes from offset on; may fill less than it could. */
	int (*fill)(struct pagein_map *map, void *to, uint64_t offset, const void *from,
		size_t length, size_t *ret_filled);
	uint64_t modes; /* of uffd_register() */
	bool plain;     /* it can outlive its descriptor: pagein_detach() */
	bool inherited; /* children of fork(2) may have it: fork.c */
	/*
	 * Takes the pages at an address out of memory; NULL: can't be done, so these maps have no
	 * limit. On the loop, so it must not cause an event. -EINVAL: some are locked, and stay.
	 */
	int (*drop)(struct pagein_map *map, void *from, size_t length);
	/*
	 * Makes a staged unit the map's by moving its pages: how many bytes were moved, and whether
	 * its staging may be used again as it is. NULL: can't be done.
	 */
	size_t (*move)(struct pagein_map *map, void *to, void *from, bool *ret_as_it_was);
	/* The next three may be NULL. What is asked for in range is about to be fetched, unless it
	 * is foreign or settled after this. */
	void (*claim)(struct pagein_map *map, struct range range);
	/* These pages of the block are about to be asked for no more. */
	void (*release)(
		struct pagein_map *map, struct map_block *block, uint64_t index, uint64_t pages);
	/* Whole pages have arrived, asked for or not; what is still asked for is filled next. */
	void (*arrived)(struct pagein_map *map, struct range pages, const uint8_t *bytes);
};
extern const struct memory memory_anonymous, memory_huge, memory_hugetlb, memory_shared;
extern const struct memory memory_overlay; /* overlay.c */

/* memory.c: the memory for pagein_map()'s flags. -EINVAL, with words. */
int memory_choose(unsigned flags, const struct memory **ret);
/* Private pages: copies, and where all bytes are zero, nothing. As struct memory's fill. */
int memory_fill(
	struct pagein_map *map, void *to, const void *from, size_t length, size_t *ret_filled);
/* Addresses that show the object's `offset` at a multiple of 2 MiB if that is one; MAP_FAILED. */
void *memory_reserve(size_t length, uint64_t offset, int protection);
/* Private anonymous memory; as memory->create. */
int memory_create_private(struct pagein_map *map, int protection);
int memory_drop_private(struct pagein_map *map, void *from, size_t length); /* as memory->drop */

/* 0, or -ECHILD with words: this is a child of the process that made the object. */
int pagein_object_check(const struct pagein_object *object);

/* map.c: uffd_open() with what its memory wants. */
int map_open_uffd(struct pagein_map *map);
/* map.c: finds what mremap(2) has grown and nobody touched; on the loop, or while it stands still.
 */
void map_find_growth(struct pagein_map *map);
/* How its descriptor is to be opened. */
/* Tells signal handlers where the map lies, if that has changed. */
void map_show(struct pagein_map *map);

/*
 * A map of a child's memory; it lives no longer than origin. Made while the loop stands still
 * before a fork(2), started on the loop with the descriptor that the kernel gives (without any
 * malloc), destroyed by either. NULL: no memory; -errno: the descriptor is still the caller's.
 */
struct pagein_map *map_create_shadow(struct pagein_map *origin);
int map_start_shadow(struct pagein_map *map, int fd);
void map_destroy_shadow(struct pagein_map *map);

/* serve.c: something happened in the child's address space. */
void serve_forward(struct pagein_map *shadow, const struct uffd_msg *event);

/* map_fault.c: what the descriptor says. */
void map_event(struct pagein_map *map, const struct uffd_msg *event);
/* Whoever waits asks again. */
void map_wake_all(struct pagein_map *map);
void map_ready(struct loop_fd *fd, uint32_t events);

/* Serves one fault of thread tid (0: nobody knows whose) as if it had been read. */
void map_fault_at(struct pagein_map *map, uintptr_t address, uint32_t tid);

/* map_touch.c: of signals instead of faults. */
/* Answers who asked about these pages: they may touch them again, or they have failed. */
void map_answer(struct pagein_map *map, struct range range);
/* Takes over what threads have filled themselves. */
void map_fold(struct pagein_map *map);

/* map_bar.c: failed pages without UFFDIO_POISON. */
void map_bar(struct pagein_map *map, struct range pages);
/* Those of a block's pages that are barred may be touched again. */
void map_unbar(struct pagein_map *map, uint64_t index, struct map_block *block, uint64_t mask);

/* map_wait.c: which of a block's pages, whose fetching has failed, will be asked for again. */
uint64_t map_strand(struct pagein_map *map, uint64_t index, uint64_t mask);
void map_wait_stop(struct pagein_map *map);

/* map_late.c: the want's question, who has waited for long enough. */
uint64_t map_late(struct want *want, uint64_t due_ns, const struct failure *failure);
/* A thread waits since then. */
void map_begin_wait(struct pagein_map *map, uint64_t since_ns);

/* map_fill.c: the want's two calls. */
void map_arrived(struct want *want, const struct arrival *arrival);
void map_failed(struct want *want, struct range range, const struct failure *failure);
/* A page that is there can't be used any more: it is barred. */
void map_refuse_page(struct pagein_map *map, struct map_block *block, struct range page,
	const struct failure *failure);
/* Fills a page that a thread waits for, if the object has its bytes. */
void map_fill_cached(struct pagein_map *map, struct map_block *block, struct range page);
/* These pages can't be had: poisons them and wakes who waits. */
void map_poison(struct pagein_map *map, struct range pages);
/* The lowest run of such pages in range; empty, at its end: there are none. (map_fill.c) */
struct range map_run(struct pagein_map *map, struct range range,
	uint64_t (*pages)(const struct map_block *block));
/* Wakes who waits for these pages. */
void map_wake(struct pagein_map *map, struct range pages);
/* These are not waited for any more: filled, failed, or nothing to wait for. */
void map_end_waits(struct pagein_map *map, struct range pages);
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

/* map_unit.c: 2 MiB that are gathered before they are published. The map has units. */
#define UNIT_BYTES (UINT64_C(2) << 20)
#define UNIT_BLOCKS (UNIT_BYTES / BLOCK_BYTES)
int units_create(struct pagein_map *map);
void units_destroy(struct pagein_map *map); /* a map without them is fine */
/* The want's question: where may bytes be received? */
uint8_t *units_place(struct want *want, uint64_t offset, size_t *ret_len);
/* Whole pages, of one unit at the most, have arrived. false: they go another way. */
bool units_take(struct pagein_map *map, struct range pages, const uint8_t *bytes);
/* A thread has come to a staged page. What it will have read before its next fault, from there. */
struct range units_fault(struct pagein_map *map, struct map_block *block, struct range page);
/* Of range something will not come, or lies nowhere any more. */
void units_break(struct pagein_map *map, struct range range);
/* The complete units of range are published; or dropped. */
void units_release(struct pagein_map *map, struct range range);
void units_drop_complete(struct pagein_map *map, struct range range);
/* These pages have failed: all that fails with them. */
struct range units_fail(struct pagein_map *map, struct range range);

/* map.c: a map's end, in this order; map_free() on the caller's thread. */
/* Nothing is fetched for it any more, and no fault served. */
void map_quiesce(void *map);
/* Its addresses become PROT_NONE; false: some did not. Not on the loop; also in a child of fork(2),
 * for memory that can't be served there. */
bool map_close_addresses(const struct pagein_map *map);
/* Waiters go on, and nothing more is read from the descriptor. */
void map_end(void *map);
void map_free(struct pagein_map *map);

/* map_pages.c */
struct map_block *map_block(
	struct pagein_map *map, uint64_t index); /* made if need be; NULL: no memory */
static inline struct map_block *map_find_block(struct pagein_map *map, uint64_t index)
{
	return radix_get(&map->blocks, index);
}
/* Pages whose touch raises a signal: what is tried again does so until its bytes are here. */
static inline uint64_t block_raising(const struct map_block *block)
{
	return (block->failed | block->poisoned | block->barred) & ~block->resident;
}
/* The page fails, and there was no memory for its block: the next one that is made for it knows. */
void map_note_blind(struct pagein_map *map, uint64_t offset);
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
/* The pages went away (REMOVE): absent again. */
void map_forget(struct pagein_map *map, struct range range);
/* Those that lie nowhere any more are absent, are not waited for or protected, and need not come.
 */
void map_abandon(struct pagein_map *map, struct range range);
/* Is the page at this address the map's memory? On the loop, or while it stands still. */
bool map_owns(struct pagein_map *map, uintptr_t address);
/* map_run() for callers' threads, on the loop. */
struct range map_call_run(struct pagein_map *map, struct range range,
	uint64_t (*pages)(const struct map_block *block));
/* extents_next(), likewise. */
bool map_call_next(struct pagein_map *map, struct range range, uintptr_t *cursor,
	struct range *ret_part, uintptr_t *ret_address);
/* Drops the range's pages, wherever they lie; -errno, with words. Not on the loop. */
int map_dont_need(struct pagein_map *map, struct range range);
/* There is memory of the map at this page, of which nothing was known: mremap(2) has grown it.
 * false: not for sure (an event is to come), or out of memory. */
bool map_grow(struct pagein_map *map, uintptr_t address);
/* Is the page at this offset of the object anywhere in memory? */
bool map_lies_anywhere(const struct pagein_map *map, uint64_t offset);
/* The want's question: does it still wait for any of these pages? */
bool map_wants(const struct want *want, struct range range);
/* The pages of range have been filled. (map_fill.c) */
void map_settle(struct pagein_map *map, struct range range);
/* The pages of a block that are asked for. */
uint64_t block_asked(const struct map_block *block);
/* Counts a fill of so many bytes. (map_fill.c) */
void map_count_fill(struct pagein_map *map, size_t length);
/* A unit was or will be filled page by page. */
void map_count_fallback(struct pagein_map *map);
/* Counts one page run in or out of residency. */
void map_count_resident(struct pagein_map *map, uint64_t before, uint64_t after);

/* pull.c: ranges that are brought in from their beginning to their end, for populate and WILLNEED.
 */
struct pull {
	struct list node;
	struct range range;
	bool protects;       /* under a limit: its pages stay until it ends (set by its owner) */
	bool admitted;       /* they are protected now */
	bool too_long;       /* they would never all fit: err is -ENOMEM */
	struct list waiting; /* limit->waiting, until there is room for them */
	struct pagein_map *map;
	uint64_t at;     /* the pages before it have been resident */
	uint64_t next;   /* asked for up to here */
	int err;         /* why it ended */
	char error[240]; /* that in words, if somebody had some; "" */
	bool entered;    /* asking: what arrives meanwhile is looked at afterwards */
	bool dirty;      /* something has happened in its range */
	bool paused;     /* until pull_timer: the loop has others to serve */
	void (*done)(struct pull *pull); /* called once, off the list */
};
/* done may be called before this returns. */
void pull_start(struct pagein_map *map, struct pull *pull);
/* Pages of range have become resident, or (failure) will not come. */
void pull_progress(struct pagein_map *map, struct range range, const struct failure *failure);
/* Has one asked for this page, and does it still wait? */
bool pull_waits_for(const struct pagein_map *map, uint64_t offset);
/* It waited for room, and has it (or pull->err). */
void pull_resume(struct pull *pull);
bool pull_waits_in(const struct pagein_map *map, struct range range);
/* Takes it off the list without a word; one that is done is fine. */
void pull_cancel(struct pull *pull);
/* Ends all with -ECANCELED, and the timer. */
void pull_cancel_all(struct pagein_map *map);

/*
 * For the bench: fn is called on the loop after each fill, with the bytes that it was of and when
 * its stages were over; event is the newest fault's, whose page may be another. NULL: never.
 */
void map_set_trace(struct pagein_map *map, map_trace_fn *fn, void *context);
