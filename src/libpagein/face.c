/*
 * face.c - fills by the thread that has faulted, and what the loop is told of them.
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
#include "face.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "address.h"
#include "pages.h"

#define NOTE_PAGES 1024 /* the loop hears of so many at the latest: 4 MiB */

static struct map_face *free_faces; /* under the address table's lock, for fork(2)'s sake */

/* ---- in a signal handler --------------------------------------------------------------------- */

static bool face_is_held(struct map_face *face, uint64_t offset)
{
	for (size_t i = 0; i < FACE_HELD_MAX; i++)
		if (atomic_load_explicit(&face->held[i], memory_order_relaxed) == offset + 1)
			return true;
	return false;
}

static void face_mark(struct map_face *face, uint64_t offset)
{
	uint64_t index = offset / BLOCK_BYTES - face->first_block;
	uint64_t bit = UINT64_C(1) << (offset % BLOCK_BYTES / PAGE_BYTES);
	uint64_t count = atomic_fetch_add_explicit(&face->filled, 1, memory_order_relaxed);
	struct face_block *block;
	uint32_t newest;

	/* Where the map has grown since it was made. */
	if (index >= face->block_count)
		return;
	block = &face->blocks[index];
	if (atomic_fetch_or(&block->pages, bit) == 0) {
		newest = atomic_load(&face->newest);
		do
			atomic_store(&block->next, newest);
		while (!atomic_compare_exchange_weak(&face->newest, &newest, (uint32_t)index + 1));
	}
	if (count == NOTE_PAGES)
		ask_note(face->asks, face);
}

bool face_fill(struct map_face *face, uintptr_t page, uint64_t offset)
{
	struct block *block;
	const uint8_t *bytes;
	size_t copied;
	int err;

	if (!face->cache || atomic_load(&face->gate) || face_is_held(face, offset))
		return false;
	bytes = borrow_page(face->cache, offset, &block);
	if (!bytes)
		return false;
	err = uffd_copy(&face->uffd, (void *)page, bytes, PAGE_BYTES, 0, &copied);
	borrow_return(block);
	if (err == 0)
		face_mark(face, offset);
	/* EEXIST: another thread was faster. */
	return err == 0 || err == -EEXIST;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct map_face *face_take(void)
{
	struct map_face *face;

	address_hold();
	face = free_faces;
	if (face)
		free_faces = face->next_free;
	address_release();
	return face ? face : calloc(1, sizeof *face);
}

int face_allow_fills(struct map_face *face, uint64_t first_block, uint64_t block_count)
{
	size_t max = UINT32_MAX -
		     1; /* 1 PiB: what is behind that is filled, but not written down */

	face->first_block = first_block;
	face->block_count = block_count < max ? (size_t)block_count : max;
	face->blocks = mmap(NULL, face->block_count * sizeof *face->blocks, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (face->blocks == MAP_FAILED) {
		face->blocks = NULL;
		return -ENOMEM;
	}
	face->fills = true;
	return 0;
}

void face_give_back(struct map_face *face)
{
	if (!face)
		return;
	if (face->blocks)
		munmap(face->blocks, face->block_count * sizeof *face->blocks);
	/* Not the users: who has found it too late is about to see that. */
	face->fills = false;
	face->blocks = NULL;
	face->cache = NULL;
	face->map = NULL;
	face->newest = 0;
	face->filled = 0;
	face->gate = false;
	for (size_t i = 0; i < FACE_HELD_MAX; i++)
		face->held[i] = 0;
	address_hold();
	face->next_free = free_faces;
	free_faces = face;
	address_release();
}

/* ---- on the loop ----------------------------------------------------------------------------- */

bool face_close_gate(struct map_face *face)
{
	if (!face->fills)
		return true;
	atomic_store(&face->gate, true);
	return atomic_load(&face->users) == 0;
}

void face_open_gate(struct map_face *face)
{
	atomic_store(&face->gate, false);
}

bool face_next_filled(struct map_face *face, uint64_t *ret_block, uint64_t *ret_pages)
{
	uint32_t index = atomic_load(&face->newest);
	struct face_block *block;

	/* Nobody else takes any off: as long as it is the newest, what was next to it still is. */
	do {
		if (index == 0)
			return false;
		block = &face->blocks[index - 1];
	} while (!atomic_compare_exchange_weak(&face->newest, &index, atomic_load(&block->next)));
	*ret_block = face->first_block + index - 1;
	*ret_pages = atomic_exchange(&block->pages, 0);
	return true;
}

uint64_t face_count(struct map_face *face)
{
	return atomic_exchange(&face->filled, 0);
}

void face_hold(struct map_face *face, uint64_t offset)
{
	for (size_t i = 0; i < FACE_HELD_MAX; i++)
		if (face->held[i] == 0) {
			face->held[i] = offset + 1;
			return;
		}
}

void face_release(struct map_face *face, uint64_t offset)
{
	for (size_t i = 0; i < FACE_HELD_MAX; i++)
		if (face->held[i] == offset + 1)
			face->held[i] = 0;
}
