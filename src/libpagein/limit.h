/*
 * limit.h - the memory limit of all maps of a context (pagein_options.memory).
 *
 *	max_bytes = resident pages of the maps + second chances
 *
 * A page is evicted when others come in, in the order in which pages came. One that a lone access
 * had fetched keeps its bytes for a second chance: a fault on it takes them from there and makes it
 * young again. Others, of streams, are dropped outright. What is protected (pagein_pin(), and the
 * range of a populate that is not done) stays.
 *
 * All on the context's loop, but for limit_create() and limit_destroy().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "pagein.h"
#include "run_queue.h"
#include "second.h"

#define LIMIT_MIN_BYTES (UINT64_C(1) << 20)
#define LIMIT_READERS 16

struct pagein_map;
struct pull;

/* A map that has asked for something, and when. */
struct limit_reader {
	const struct pagein_map *map;
	uint64_t tick;
};

struct limit {
	uint64_t max_bytes;
	uint64_t reserved_bytes;    /* of protected pages, resident or not */
	struct pagein_stats *stats; /* of all maps; resident_bytes is what the limit is about */
	struct run_queue runs;      /* every resident page that is not protected is in one */
	struct second second;       /* owners are maps */
	struct pagein_map **maps;   /* NULL: the place is free */
	uint32_t maps_max;
	struct list waiting; /* pulls, until there is room for their ranges */
	unsigned growth;     /* pages by which second chances may grow while room is made */
	int memory_fd;       /* /proc/self/mem; -1: no second chances */
	uintptr_t place;     /* where the next map may lie: see limit_place() */
	uint64_t tick;
	struct limit_reader readers[LIMIT_READERS];
};

/*
 * What options and PAGEIN_MEMORY say: bytes, at least LIMIT_MIN_BYTES; 0: no limit. -EINVAL, with
 * words. Any thread.
 */
int limit_parse(const struct pagein_options *options, uint64_t *ret_bytes);

/* stats outlive it. -ENOMEM */
int limit_create(uint64_t max_bytes, struct pagein_stats *stats, struct limit **ret);
/* In the child of a fork(2): what it reads of its memory shall not be its parent's. */
void limit_renew(struct limit *limit);
/* No map may be left. NULL is fine. */
void limit_destroy(struct limit *limit);

/* Memory of second chances. */
uint64_t limit_second_bytes(const struct limit *limit);

/* Where a map of so many bytes had best lie; NULL: anywhere. */
void *limit_place(struct limit *limit, size_t length);

/* A map comes, or goes: nothing of it is evicted any more. -ENOMEM */
int limit_add_map(struct limit *limit, struct pagein_map *map);
void limit_remove_map(struct limit *limit, struct pagein_map *map);

/* Evicts until so many bytes more fit, as far as that is possible. */
void limit_make_room(struct limit *limit, uint64_t bytes);

/* The most that second chances may take now, while room is made. */
uint64_t limit_second_max(struct limit *limit);

/* How much may be read ahead, by all who read this map; which it is told of by this call. */
uint64_t limit_ahead_bytes(struct limit *limit, const struct pagein_map *map);

/*
 * May this pull, which protects its range, begin? 0: it may, and its range is protected; 1: later,
 * when others are done; -ENOMEM: never, it is too long.
 */
int limit_admit_pull(struct limit *limit, struct pagein_map *map, struct pull *pull);
/* It has ended, or is given up. */
void limit_end_pull(struct limit *limit, struct pagein_map *map, struct pull *pull);
/* Something is protected no more: who waits may begin. */
void limit_admit_waiting(struct limit *limit);
