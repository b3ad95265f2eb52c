/*
 * second.h - the bytes of evicted pages that get a second chance: the least recently evicted goes
 * first. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pagein_map;
struct second_slot;

struct second {
	struct second_slot *slots;
	uint8_t *bytes;     /* a page for each slot */
	uint32_t *buckets;  /* of the hash table */
	uint32_t slots_max; /* the last one is the lists' head */
	uint32_t spare, bare;
	uint32_t used;     /* slots that keep a page */
	uint32_t resident; /* slots whose page takes memory: those in use, and the spare ones */
	uint32_t touched;  /* slots from here on were never in use */
};

/* Room for so many pages at most; address space only. Without that it keeps nothing. */
void second_init(struct second *second, uint64_t pages_max);
void second_finish(struct second *second);

/* Memory that it takes. */
uint64_t second_bytes(const struct second *second);

/*
 * Keeps a copy of the page, which is not kept yet, and takes no more memory than bytes_max: drops
 * others for it. false: there is no room at all. *ret_owner and *ret_page: whose page was dropped
 * for it; NULL: none was.
 */
bool second_put(struct second *second, struct pagein_map *owner, uint64_t page, const void *bytes,
	uint64_t bytes_max, struct pagein_map **ret_owner, uint64_t *ret_page);

/* The bytes of a kept page, until the next call; NULL: it is not. */
const void *second_find(const struct second *second, struct pagein_map *owner, uint64_t page);

/* The page, which is kept, is not any more; its memory is the next to be used. */
void second_drop(struct second *second, struct pagein_map *owner, uint64_t page);

/*
 * Gives a page of memory back to the kernel. false: it takes none. *ret_owner and *ret_page as of
 * second_put().
 */
bool second_shrink(struct second *second, struct pagein_map **ret_owner, uint64_t *ret_page);
