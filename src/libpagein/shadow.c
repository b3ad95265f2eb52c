/*
 * shadow.c - fills by the thread that has faulted, and what the loop is told of them.
 *
 * A fill on any thread but the loop could land where the application has meanwhile put something
 * else: the loop reads an event, mremap(2) returns, the page that was looked up before is copied to
 * where another part of the map lies now. The gate is against that. The loop closes it before it
 * reads events, and reads only when no handler is between its look-up and the end of its copy; who
 * comes then finds the gate closed, and asks the loop instead. The loop does not wait: as long as
 * there is a handler it goes on with others, and the kernel, which knows of the change since it
 * began, refuses the handlers' copies. So M3 (map_private.h) and "events first" hold for these
 * fills, too.
 *
 * What was filled is written down in a bit for each page, before the handler leaves; blocks that
 * have some hang on a stack. The loop takes a block off first and its bits then, so the first bit
 * that is set afterwards puts it on the stack again.
 *
 * Cost: a handful of atomic operations beside the ioctl(2); 16 bytes of addresses for each 256 KiB
 * of the map, memory where pages were filled.
 */
#include "shadow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "address.h"
#include "pages.h"

#define NOTE_PAGES 1024 /* the loop hears of so many at the latest: 4 MiB */

static struct map_shadow *free_shadows; /* under the address table's lock, for fork(2)'s sake */

/* ---- in a signal handler --------------------------------------------------------------------- */

static bool shadow_is_held(struct map_shadow *shadow, uint64_t offset)
{
	for (size_t i = 0; i < SHADOW_HELD_MAX; i++)
		if (atomic_load_explicit(&shadow->held[i], memory_order_relaxed) == offset + 1)
			return true;
	return false;
}

static void shadow_mark(struct map_shadow *shadow, uint64_t offset)
{
	uint64_t index = offset / BLOCK_BYTES - shadow->first_block;
	uint64_t bit = UINT64_C(1) << (offset % BLOCK_BYTES / PAGE_BYTES);
	uint64_t count = atomic_fetch_add_explicit(&shadow->filled, 1, memory_order_relaxed);
	struct shadow_block *block;
	uint32_t newest;

	/* Where the map has grown since it was made. */
	if (index >= shadow->block_count)
		return;
	block = &shadow->blocks[index];
	if (atomic_fetch_or(&block->pages, bit) == 0) {
		newest = atomic_load(&shadow->newest);
		do
			atomic_store(&block->next, newest);
		while (!atomic_compare_exchange_weak(
			&shadow->newest, &newest, (uint32_t)index + 1));
	}
	if (count == NOTE_PAGES)
		ask_note(shadow->asks, shadow);
}

bool shadow_fill(struct map_shadow *shadow, uintptr_t page, uint64_t offset)
{
	struct block *block;
	const uint8_t *bytes;
	size_t copied;
	int err;

	if (!shadow->cache || atomic_load(&shadow->gate) || shadow_is_held(shadow, offset))
		return false;
	bytes = borrow_page(shadow->cache, offset, &block);
	if (!bytes)
		return false;
	err = uffd_copy(&shadow->uffd, (void *)page, bytes, PAGE_BYTES, &copied);
	borrow_return(block);
	if (err == 0)
		shadow_mark(shadow, offset);
	/* EEXIST: another thread was faster. */
	return err == 0 || err == -EEXIST;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct map_shadow *shadow_take(void)
{
	struct map_shadow *shadow;

	address_hold();
	shadow = free_shadows;
	if (shadow)
		free_shadows = shadow->next_free;
	address_release();
	return shadow ? shadow : calloc(1, sizeof *shadow);
}

int shadow_allow_fills(struct map_shadow *shadow, uint64_t first_block, uint64_t block_count)
{
	size_t max = UINT32_MAX - 1; /* 1 PiB: what is behind that is filled, but not written down */

	shadow->first_block = first_block;
	shadow->block_count = block_count < max ? (size_t)block_count : max;
	shadow->blocks = mmap(NULL, shadow->block_count * sizeof *shadow->blocks,
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shadow->blocks == MAP_FAILED) {
		shadow->blocks = NULL;
		return -ENOMEM;
	}
	shadow->fills = true;
	return 0;
}

void shadow_give_back(struct map_shadow *shadow)
{
	if (!shadow)
		return;
	if (shadow->blocks)
		munmap(shadow->blocks, shadow->block_count * sizeof *shadow->blocks);
	/* Not the users: who has found it too late is about to see that. */
	shadow->fills = false;
	shadow->blocks = NULL;
	shadow->cache = NULL;
	shadow->map = NULL;
	shadow->newest = 0;
	shadow->filled = 0;
	shadow->gate = false;
	for (size_t i = 0; i < SHADOW_HELD_MAX; i++)
		shadow->held[i] = 0;
	address_hold();
	shadow->next_free = free_shadows;
	free_shadows = shadow;
	address_release();
}

/* ---- on the loop ----------------------------------------------------------------------------- */

bool shadow_close_gate(struct map_shadow *shadow)
{
	if (!shadow->fills)
		return true;
	atomic_store(&shadow->gate, true);
	return atomic_load(&shadow->users) == 0;
}

void shadow_open_gate(struct map_shadow *shadow)
{
	atomic_store(&shadow->gate, false);
}

bool shadow_next_filled(struct map_shadow *shadow, uint64_t *ret_block, uint64_t *ret_pages)
{
	uint32_t index = atomic_load(&shadow->newest);
	struct shadow_block *block;

	/* Nobody else takes any off: as long as it is the newest, what was next to it still is. */
	do {
		if (index == 0)
			return false;
		block = &shadow->blocks[index - 1];
	} while (!atomic_compare_exchange_weak(
		&shadow->newest, &index, atomic_load(&block->next)));
	*ret_block = shadow->first_block + index - 1;
	*ret_pages = atomic_exchange(&block->pages, 0);
	return true;
}

uint64_t shadow_count(struct map_shadow *shadow)
{
	return atomic_exchange(&shadow->filled, 0);
}

void shadow_hold(struct map_shadow *shadow, uint64_t offset)
{
	for (size_t i = 0; i < SHADOW_HELD_MAX; i++)
		if (shadow->held[i] == 0) {
			shadow->held[i] = offset + 1;
			return;
		}
}

void shadow_release(struct map_shadow *shadow, uint64_t offset)
{
	for (size_t i = 0; i < SHADOW_HELD_MAX; i++)
		if (shadow->held[i] == offset + 1)
			shadow->held[i] = 0;
}
