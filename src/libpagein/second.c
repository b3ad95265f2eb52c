/*
 * second.c - a table of slots, a page of memory for each, and a hash to find them by.
 *
 * A slot is in use (in a list by age, and in its bucket), spare (its memory is warm and will be
 * taken next), or bare (its memory was given back). Links are indices: slots lie in reserved
 * address space, of which only what is used takes memory. Cost: 32 bytes a slot and 4 a bucket.
 */
#include "second.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "pages.h"

#define NO_SLOT UINT32_MAX
#define SLOTS_MAX (UINT64_C(1) << 30) /* 4 TiB of pages */

struct second_slot {
	struct pagein_map *owner;
	uint64_t page;
	uint32_t chain;        /* the next one of its bucket, or of the spare or bare ones */
	uint32_t older, newer; /* in a circle through the head */
};

/* ---- address space -------------------------------------------------------------------------- */

static void *reserve(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A page given back must be given back now, not when its neighbours are. */
	madvise(memory, length, MADV_NOHUGEPAGE);
	return memory;
}

static void release(void *memory, size_t length)
{
	if (memory)
		munmap(memory, length);
}

/* Buckets are pages of zeros at first: so they hold indices plus one, and 0 is none. */
void second_init(struct second *second, uint64_t pages_max)
{
	*second = (struct second){.spare = NO_SLOT, .bare = NO_SLOT};
	if (pages_max == 0)
		return;
	second->slots_max = (uint32_t)(pages_max < SLOTS_MAX ? pages_max : SLOTS_MAX);
	second->slots = reserve((second->slots_max + UINT64_C(1)) * sizeof *second->slots);
	second->buckets = reserve(second->slots_max * sizeof *second->buckets);
	second->bytes = reserve(second->slots_max * PAGE_BYTES);
	if (!second->slots || !second->buckets || !second->bytes) {
		second_finish(second);
		return;
	}
	second->slots[second->slots_max].older = second->slots_max;
	second->slots[second->slots_max].newer = second->slots_max;
}

void second_finish(struct second *second)
{
	release(second->slots, (second->slots_max + UINT64_C(1)) * sizeof *second->slots);
	release(second->buckets, second->slots_max * sizeof *second->buckets);
	release(second->bytes, second->slots_max * PAGE_BYTES);
	*second = (struct second){.spare = NO_SLOT, .bare = NO_SLOT};
}

uint64_t second_bytes(const struct second *second)
{
	return second->resident * PAGE_BYTES;
}

/* ---- slots ---------------------------------------------------------------------------------- */

static uint32_t *second_bucket(const struct second *second, struct pagein_map *owner, uint64_t page)
{
	uint64_t hash = ((uintptr_t)owner ^ page * UINT64_C(0x9e3779b97f4a7c15)) *
			UINT64_C(0xbf58476d1ce4e5b9);

	return &second->buckets[(hash >> 32) * second->slots_max >> 32];
}

/* Where the slot of a page hangs in its bucket: holds 0 if there is none. */
static uint32_t *second_place(const struct second *second, struct pagein_map *owner, uint64_t page)
{
	uint32_t *place = second_bucket(second, owner, page);

	while (*place) {
		struct second_slot *slot = &second->slots[*place - 1];

		if (slot->owner == owner && slot->page == page)
			break;
		place = &slot->chain;
	}
	return place;
}

static uint8_t *slot_bytes(const struct second *second, uint32_t index)
{
	return second->bytes + index * PAGE_BYTES;
}

/* Out of its bucket and its age's list; it belongs to no list then. */
static uint32_t second_unlink(struct second *second, struct pagein_map *owner, uint64_t page)
{
	uint32_t *place = second_place(second, owner, page), index = *place - 1;
	struct second_slot *slot = &second->slots[index];

	assert(*place);
	*place = slot->chain;
	second->slots[slot->older].newer = slot->newer;
	second->slots[slot->newer].older = slot->older;
	second->used--;
	return index;
}

static uint32_t second_unlink_oldest(
	struct second *second, struct pagein_map **ret_owner, uint64_t *ret_page)
{
	const struct second_slot *head = &second->slots[second->slots_max];

	*ret_owner = second->slots[head->newer].owner;
	*ret_page = second->slots[head->newer].page;
	return second_unlink(second, *ret_owner, *ret_page);
}

static uint32_t second_pop(struct second *second, uint32_t *list)
{
	uint32_t index = *list;

	*list = second->slots[index].chain;
	return index;
}

static void second_push(struct second *second, uint32_t *list, uint32_t index)
{
	second->slots[index].chain = *list;
	*list = index;
}

/* NO_SLOT: there is no room. */
static uint32_t second_take(struct second *second, uint64_t bytes_max,
	struct pagein_map **ret_owner, uint64_t *ret_page)
{
	if (second->spare != NO_SLOT)
		return second_pop(second, &second->spare);
	if (second->resident < second->slots_max &&
		second_bytes(second) + PAGE_BYTES <= bytes_max) {
		second->resident++;
		return second->bare != NO_SLOT ? second_pop(second, &second->bare)
					       : second->touched++;
	}
	return second->used > 0 ? second_unlink_oldest(second, ret_owner, ret_page) : NO_SLOT;
}

bool second_put(struct second *second, struct pagein_map *owner, uint64_t page, const void *bytes,
	uint64_t bytes_max, struct pagein_map **ret_owner, uint64_t *ret_page)
{
	uint32_t index, *bucket;

	*ret_owner = NULL;
	index = second_take(second, bytes_max, ret_owner, ret_page);
	if (index == NO_SLOT)
		return false;
	bucket = second_bucket(second, owner, page);
	second->slots[index] = (struct second_slot){
		.owner = owner,
		.page = page,
		.chain = *bucket,
		.older = second->slots[second->slots_max].older,
		.newer = second->slots_max,
	};
	*bucket = index + 1;
	second->slots[second->slots[index].older].newer = index;
	second->slots[second->slots_max].older = index;
	second->used++;
	memcpy(slot_bytes(second, index), bytes, PAGE_BYTES);
	return true;
}

const void *second_find(const struct second *second, struct pagein_map *owner, uint64_t page)
{
	uint32_t found = second->used > 0 ? *second_place(second, owner, page) : 0;

	return found ? slot_bytes(second, found - 1) : NULL;
}

void second_drop(struct second *second, struct pagein_map *owner, uint64_t page)
{
	second_push(second, &second->spare, second_unlink(second, owner, page));
}

bool second_shrink(struct second *second, struct pagein_map **ret_owner, uint64_t *ret_page)
{
	uint32_t index;

	*ret_owner = NULL;
	if (second->resident == 0)
		return false;
	if (second->spare != NO_SLOT)
		index = second_pop(second, &second->spare);
	else
		index = second_unlink_oldest(second, ret_owner, ret_page);
	madvise(slot_bytes(second, index), PAGE_BYTES, MADV_DONTNEED);
	second->resident--;
	second_push(second, &second->bare, index);
	return true;
}
