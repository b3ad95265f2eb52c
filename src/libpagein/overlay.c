/*
 * overlay.c - private, writable maps, and which of their pages were written.
 *
 *	absent --read--> clean --write--> dirty --MADV_DONTNEED, pagein_discard()--> absent
 *	   |  \<--evict, PAGEIN_DONTNEED--/         ^
 *	   \------------------write-----------------/
 *
 * A clean page is write-protected by userfaultfd(2): it is filled so (UFFDIO_COPY_MODE_WP), and the
 * first write to it takes the protection away. That is what dirty means: there, and not protected.
 * The kernel's page tables are the truth of it, whatever mremap(2), mprotect(2), mlock(2) or swap
 * do, and pagein_dirty() asks them. A page that is touched first by a write is filled without
 * protection, so that this is one fault and not two.
 *
 * Who takes the protection away is one of two:
 *
 * - This loop. The kernel tells of the write and lets it wait; the page's bit in block->dirty is
 *   set, and then the write may go on. So the loop knows of every write before it happens, and may
 *   take pages of which it does not.
 *
 * - The kernel (WP_ASYNC, Linux 6.7), if pages are never taken unasked: a first write costs no
 *   message, and the loop knows nothing.
 *
 * O1 a page that is dirty has its bit in block->dirty, or the kernel does not tell. The converse
 * does not hold: what MADV_DONTNEED or munmap(2) took keeps its bit until UFFDIO_COPY or
 * UFFDIO_POISON have proved that nothing was there, since REMOVE comes before the pages go, and
 * may come for pages that stay. O2 a page that lies at several addresses is dirty if it is at any
 * of them. O3 in overlay->frozen no page is filled and no write begins: what a caller has found
 * clean or failed there stays so until he has dropped it.
 *
 * On the loop. Cost: the first write to a clean page is a fault that the loop answers by one ioctl,
 * or a fault of the kernel's own, which takes a tenth of that.
 */
#include "overlay.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "clock.h"
#include "map_private.h"
#include "pagemap.h"

/* As a parked fill: map_fill.c. It ends when the event is read, and can't end otherwise. */
#define AGAIN_NS (50 * NS_PER_US)
#define AGAIN_NS_MAX (10 * NS_PER_MS)
#define AGAIN_TRIES 200 /* two seconds, as for fills */

static atomic_bool async_forbidden;

void overlay_allow_async(bool allow)
{
	atomic_store(&async_forbidden, !allow);
}

/* Writes that nobody is told of must be found by a scan. */
static uint64_t overlay_features(const struct pagein_map *map)
{
	uint64_t features = UFFD_FEATURE_PAGEFAULT_FLAG_WP;

	/* What is to be evicted must be known to be clean. */
	if (!map->limit && !atomic_load(&async_forbidden) && pagemap_can_scan())
		features |= UFFD_FEATURE_WP_ASYNC;
	return features;
}

static int overlay_create(struct pagein_map *map)
{
	if (!(map->uffd.enabled & UFFD_FEATURE_PAGEFAULT_FLAG_WP))
		return context_fail(
			-ENOTSUP, "map: this kernel can't write-protect memory (PAGEIN_PRIVATE)");
	return memory_create_private(map, PROT_READ | PROT_WRITE);
}

bool overlay_is_async(const struct pagein_map *map)
{
	return map->uffd.enabled & UFFD_FEATURE_WP_ASYNC;
}

uint64_t map_dirty_mask(const struct pagein_map *map, const struct map_block *block)
{
	if (!(map->flags & PAGEIN_PRIVATE))
		return 0;
	return overlay_is_async(map) ? ~UINT64_C(0) : block->dirty;
}

/* ---- fills --------------------------------------------------------------------------------- */

/* Does no page of range lie at more than one address? */
static bool lies_once(const struct pagein_map *map, struct range range)
{
	struct range part;
	uintptr_t cursor = 0, address;
	uint64_t length = 0;

	while (extents_next(&map->extents, range, &cursor, &part, &address))
		length += range_length(part);
	return length <= range_length(range);
}

/* O2: at another address it may be dirty still. */
void overlay_clean(struct pagein_map *map, struct range range)
{
	if (!(map->flags & PAGEIN_PRIVATE) || overlay_is_async(map))
		return;
	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		struct map_block *block = map_find_block(map, at / BLOCK_BYTES);
		struct range part = {at, range.end};
		uint64_t mask = block ? block_range_mask(at / BLOCK_BYTES, part) : 0;

		if (block && (block->dirty & mask) && lies_once(map, range))
			block->dirty &= ~mask;
	}
}

static uint64_t block_writing(const struct map_block *block)
{
	return block->writing;
}

/* The first pages of range, which all are, or all are not, touched by a write first. */
static struct range overlay_run(struct pagein_map *map, struct range range, bool *ret_writing)
{
	struct range run = map_run(map, range, block_writing);

	*ret_writing = run.start == range.start && !range_empty(run);
	return *ret_writing ? run : (struct range){range.start, run.start};
}

void overlay_written(struct pagein_map *map, struct range range)
{
	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		struct map_block *block = map_find_block(map, at / BLOCK_BYTES);

		if (block)
			block->dirty |= block_range_mask(
				at / BLOCK_BYTES, (struct range){at, range.end});
	}
}

/* At most what can be filled in one way: map_fill.c comes back for the rest. */
static int overlay_fill(struct pagein_map *map, void *to, uint64_t offset, const void *from,
	size_t length, size_t *ret_filled)
{
	struct range range = {offset, offset + length};
	bool writing = false;
	int err;

	*ret_filled = 0;
	if (range_overlaps(range, map->overlay.frozen))
		return -EAGAIN;
	range = overlay_run(map, range, &writing);
	err = uffd_copy(&map->uffd, to, from, (size_t)range_length(range),
		writing ? 0 : UFFDIO_COPY_MODE_WP, ret_filled);
	range.end = range.start + *ret_filled;
	if (writing)
		overlay_written(map, range);
	else if (!range_empty(range))
		overlay_clean(map, range);
	return err;
}

const struct memory memory_overlay = {
	.name = "overlay",
	.page_bytes = PAGE_BYTES,
	.features = overlay_features,
	.create = overlay_create,
	.fill = overlay_fill,
	.drop = memory_drop_private,
	.modes = UFFDIO_REGISTER_MODE_WP,
	.plain = true,
	.inherited = true,
};

/* ---- writes to clean pages ------------------------------------------------------------------ */

/* They write again, and if there is still reason to, they are told of again. */
static void overlay_try_again(struct loop_timer *timer)
{
	struct pagein_map *map = container_of(timer, struct pagein_map, overlay.timer);
	struct range again = map->overlay.again;

	map->overlay.again = (struct range){0, 0};
	map_wake(map, again);
}

/* UFFDIO_WRITEPROTECT is refused while the address space changes, as fills are. */
static void overlay_wait(struct pagein_map *map, struct range page)
{
	struct overlay *overlay = &map->overlay;
	uint64_t pause_ns = overlay->tries < 8 ? AGAIN_NS << overlay->tries : AGAIN_NS_MAX;

	if (range_empty(overlay->again))
		overlay->again = page;
	if (page.start < overlay->again.start)
		overlay->again.start = page.start;
	if (page.end > overlay->again.end)
		overlay->again.end = page.end;
	if (overlay->timer.slot != 0)
		return;
	overlay->tries++;
	overlay->timer.expired = overlay_try_again;
	loop_timer_set(
		context_loop(map->object->context), &overlay->timer, clock_now_ns() + pause_ns);
}

/* The page is there, so it can't be poisoned. */
static void overlay_refuse(struct pagein_map *map, struct map_block *block, struct range page)
{
	static const struct failure failure = {
		.err = -ENOMEM, .error = "map: the kernel refuses to let the page be written"};

	map->overlay.tries = 0;
	map_refuse_page(map, block, page, &failure);
}

void overlay_write(struct pagein_map *map, uintptr_t address, struct range page)
{
	struct map_block *block = map_block(map, page.start / BLOCK_BYTES);
	int err;

	/* Woken when it is over: overlay_calls.c. */
	if (range_overlaps(page, map->overlay.frozen))
		return;
	if (!block) {
		overlay_wait(map, page);
		return;
	}
	if (map->overlay.tries > AGAIN_TRIES) {
		overlay_refuse(map, block, page);
		return;
	}
	overlay_written(map, page); /* before it can be: O1 */
	err = uffd_write_protect(&map->uffd, (void *)address, PAGE_BYTES, 0);
	if (err == -EAGAIN || err == -ENOMEM)
		overlay_wait(map, page);
	else if (err < 0)
		uffd_wake(&map->uffd, (void *)address, PAGE_BYTES);
	else
		map->overlay.tries = 0;
	if (err != -EAGAIN && err != -ENOMEM)
		map_end_waits(map, page);
}

void overlay_stop(struct pagein_map *map)
{
	loop_timer_cancel(context_loop(map->object->context), &map->overlay.timer);
}
