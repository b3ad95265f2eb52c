/*
 * memory_shared.c - pages of a file in memory that all processes of a user share (PAGEIN_SHARED):
 * each page is fetched by one of them, received straight into the file, and shown to all
 * (UFFDIO_CONTINUE), which copies nothing.
 *
 * On the loop, but for create. The group (share.h) is the object's: made with its first shared map,
 * and gone with the object, as is the file with its last process; so a page that has been in any
 * map costs no request until then. What is asked for is claimed first:
 *
 *	asked --present in the group--> shown at once
 *	      --lease to be had-------> fetched, as always
 *	      --leased by another-----> foreign: waited for
 *
 * F1 a foreign page is asked, and not fetched by us. F2 while a map has foreign pages, it is on
 * shared->waiting and the group pokes us; a timer looks as well, because the dead poke nobody. F3 a
 * foreign page that has not come for STALL_NS is fetched here, whoever has it (a stopped process):
 * never a hang.
 *
 * A page that is marked (readahead_plan's mark) is not shown when it comes, but is there for others
 * at once; its touch finds it in the group.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "map_private.h"
#include "share.h"

#define LOOK_NS (20 * NS_PER_MS) /* what the death of another costs at the most */
#define STALL_NS (5 * NS_PER_S)

struct shared {
	struct share *share;
	struct loop *loop;
	struct list waiting; /* maps */
	struct loop_timer timer;
	uint64_t progress_ns; /* when a foreign page came, or the first was waited for */
};

/* ---- showing ------------------------------------------------------------------------------- */

static struct share *share_of(const struct pagein_map *map)
{
	return map->object->shared->share;
}

/* Pages of a block that are asked for, and present in the group. */
static void show(struct pagein_map *map, uint64_t index, uint64_t pages)
{
	while (pages) {
		unsigned count, first = mask_take_run(&pages, &count);
		uint64_t start = index * BLOCK_BYTES + first * PAGE_BYTES;
		struct range run = {start, start + count * PAGE_BYTES};

		map_fill(map, run, share_bytes(share_of(map)) + start);
	}
}

/* The marked ones among these pages are left to be touched; the others. */
static uint64_t without_marked(
	struct pagein_map *map, struct map_block *block, uint64_t index, uint64_t pages)
{
	uint64_t marked = block->held & block->asked & ~block->waiting & pages;

	block->held &= ~pages;
	while (marked) {
		uint64_t bit = marked & -marked;
		unsigned page = (unsigned)__builtin_ctzll(marked);

		marked &= ~bit;
		if (pull_waits_for(map, index * BLOCK_BYTES + page * PAGE_BYTES))
			continue;
		block->asked &= ~bit;
		pages &= ~bit;
	}
	return pages;
}

/*
 * The bytes are in the file. A hole there was made by somebody who had no right to: the page is
 * nobody's again, and the fault comes again.
 */
static int shared_fill(struct pagein_map *map, void *to, uint64_t offset, const void *from,
	size_t length, size_t *ret_filled)
{
	int err = uffd_continue(&map->uffd, to, length, ret_filled);
	struct range page = {offset, offset + PAGE_BYTES};

	(void)from;
	if (err != -EFAULT || *ret_filled > 0)
		return err;
	if (length == PAGE_BYTES)
		share_retract(share_of(map), offset / BLOCK_BYTES,
			block_range_mask(offset / BLOCK_BYTES, page));
	return -ENOENT;
}

/* ---- waiting for others -------------------------------------------------------------------- */

static void shared_look(void *context);

static void shared_expired(struct loop_timer *timer)
{
	shared_look(container_of(timer, struct shared, timer));
}

/* What another process was to fetch, and is ours now. */
static void fetch_foreign(struct pagein_map *map, uint64_t index, uint64_t pages)
{
	while (pages) {
		unsigned count, first = mask_take_run(&pages, &count);
		uint64_t start = index * BLOCK_BYTES + first * PAGE_BYTES;
		struct range run = {start, start + count * PAGE_BYTES};

		(void)map_ask(map, run, range_length(run), UINT64_MAX);
	}
}

/* true: it is still waiting for something in this block. */
static bool block_look(struct pagein_map *map, struct map_block *block, uint64_t index)
{
	struct shared *shared = map->object->shared;
	bool stalled = clock_now_ns() - shared->progress_ns > STALL_NS;
	uint64_t leased = share_lease(shared->share, index, block->foreign, stalled);
	uint64_t present = share_present(shared->share, index) & block->foreign;

	leased &= ~present;
	block->foreign &= ~(present | leased);
	if (present) {
		shared->progress_ns = clock_now_ns();
		show(map, index, without_marked(map, block, index, present));
	}
	fetch_foreign(map, index, leased);
	return block->foreign != 0;
}

/* The map looks whether others have brought what it waits for. */
static void map_look(struct pagein_map *map)
{
	struct range foreign = map->foreign, left = {UINT64_MAX, 0};
	struct map_block *block;

	for (uint64_t i = foreign.start; (block = radix_next(&map->blocks, &i, foreign.end)); i++) {
		if (!block->foreign || !block_look(map, block, i))
			continue;
		left.start = i < left.start ? i : left.start;
		left.end = i + 1;
	}
	map->foreign = range_empty(left) ? (struct range){0, 0} : left;
	if (range_empty(map->foreign))
		list_remove(&map->foreign_node);
}

static void shared_look(void *context)
{
	struct shared *shared = context;

	list_for_each_safe (node, &shared->waiting)
		map_look(list_entry(node, struct pagein_map, foreign_node));
	share_wait(shared->share, !list_empty(&shared->waiting));
	if (list_empty(&shared->waiting))
		loop_timer_cancel(shared->loop, &shared->timer);
	else
		loop_timer_set(shared->loop, &shared->timer, clock_now_ns() + LOOK_NS);
}

/* Others are fetching these. */
static void wait_for(
	struct pagein_map *map, struct map_block *block, uint64_t index, uint64_t pages)
{
	struct shared *shared = map->object->shared;

	block->foreign |= pages;
	if (range_empty(map->foreign))
		map->foreign = (struct range){index, index + 1};
	map->foreign.start = index < map->foreign.start ? index : map->foreign.start;
	map->foreign.end = index + 1 > map->foreign.end ? index + 1 : map->foreign.end;
	if (list_empty(&shared->waiting)) {
		shared->progress_ns = clock_now_ns();
		shared->timer.expired = shared_expired;
		loop_timer_set(shared->loop, &shared->timer, shared->progress_ns + LOOK_NS);
		share_wait(shared->share, true);
	}
	list_remove(&map->foreign_node);
	list_append(&shared->waiting, &map->foreign_node);
}

/* ---- claiming ------------------------------------------------------------------------------ */

static void block_claim(
	struct pagein_map *map, struct map_block *block, uint64_t index, uint64_t pages)
{
	struct share *share = share_of(map);
	uint64_t present = share_present(share, index) & pages, others;

	others = pages & ~present;
	others &= ~share_lease(share, index, others, false);
	if (others)
		wait_for(map, block, index, others);
	/* Also those that have come since; who came later pokes. */
	present = share_present(share, index) & pages;
	block->foreign &= ~present;
	show(map, index, present);
}

static void shared_claim(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t pages = block->asked & ~block->foreign & block_range_mask(i, range);

		if (pages)
			block_claim(map, block, i, pages);
	}
}

static void shared_release(
	struct pagein_map *map, struct map_block *block, uint64_t index, uint64_t pages)
{
	share_release(share_of(map), index, pages & ~block->foreign);
	block->foreign &= ~pages;
	share_poke(share_of(map));
}

/* ---- bytes --------------------------------------------------------------------------------- */

static uint8_t *shared_place(struct want *want, uint64_t offset, size_t *ret_len)
{
	struct pagein_map *map = container_of(want, struct pagein_map, want);
	uint64_t index = offset / BLOCK_BYTES;
	unsigned page = (unsigned)(offset % BLOCK_BYTES / PAGE_BYTES);
	uint64_t present = share_present(share_of(map), index) >> page;
	unsigned room = present ? (unsigned)__builtin_ctzll(present) : BLOCK_PAGES - page;

	*ret_len = room * PAGE_BYTES;
	return room > 0 ? share_bytes(share_of(map)) + offset : NULL;
}

static void store(struct share *share, uint64_t index, uint64_t pages, const uint8_t *block_bytes)
{
	while (pages) {
		unsigned count, first = mask_take_run(&pages, &count);
		uint8_t *place = share_bytes(share) + index * BLOCK_BYTES + first * PAGE_BYTES;

		if (place != block_bytes + first * PAGE_BYTES)
			memcpy(place, block_bytes + first * PAGE_BYTES, count * PAGE_BYTES);
	}
}

static void shared_arrived(struct pagein_map *map, struct range pages, const uint8_t *bytes)
{
	struct share *share = share_of(map);

	for (uint64_t i = pages.start / BLOCK_BYTES; i * BLOCK_BYTES < pages.end; i++) {
		uint64_t mask = block_range_mask(i, pages);
		struct map_block *block = map_find_block(map, i);

		/* Where the block would begin in these bytes; it may be before them. */
		store(share, i, mask & ~share_present(share, i),
			(const uint8_t *)((uintptr_t)bytes + i * BLOCK_BYTES - pages.start));
		share_publish(share, i, mask);
		if (block)
			without_marked(map, block, i, mask);
	}
	share_poke(share);
}

/* ---- beginning and end --------------------------------------------------------------------- */

struct shared_call {
	struct pagein_object *object;
	struct share *share; /* to be entered, unless there is one by now */
	int err;
};

static void shared_install(void *argument)
{
	struct shared_call *call = argument;
	struct shared *shared;

	if (call->object->shared)
		return;
	shared = calloc(1, sizeof *shared);
	if (!shared) {
		call->err = -ENOMEM;
		return;
	}
	list_init(&shared->waiting);
	shared->loop = context_loop(call->object->context);
	call->err = share_enter(call->share, shared->loop, shared_look, shared);
	if (call->err < 0) {
		free(shared);
		return;
	}
	shared->share = call->share;
	call->share = NULL;
	call->object->shared = shared;
}

static void shared_dispose(void *argument)
{
	struct shared_call *call = argument;

	share_destroy(call->share);
}

void shared_destroy(struct shared *shared)
{
	if (!shared)
		return;
	loop_timer_cancel(shared->loop, &shared->timer);
	share_destroy(shared->share);
	free(shared);
}

static void shared_find(void *argument)
{
	struct shared_call *call = argument;

	call->err = call->object->shared ? 0 : -ENOENT;
}

/* The object is in its group. */
static int shared_join(struct pagein_object *object)
{
	struct loop *loop = context_loop(object->context);
	struct shared_call call = {.object = object};
	char validator[VALIDATOR_MAX + 16] = "";

	loop_call(loop, shared_find, &call);
	if (call.err == 0)
		return 0;
	/* Who checks bytes must not take them from who does not. */
	if (object->version[0] != '\0')
		snprintf(validator, sizeof validator, "%s\n%u", object->version,
			context_verify(object->context));
	call.err = share_join(object->url, validator, object->size, &call.share);
	if (call.err == 0)
		loop_call(loop, shared_install, &call);
	loop_call(loop, shared_dispose, &call);
	return call.err;
}

static int shared_register(struct pagein_map *map)
{
	if (madvise(map->address, map->mapped, MADV_DONTFORK) < 0)
		return -errno;
	map->want.place = shared_place;
	return uffd_register(&map->uffd, map->address, map->mapped, map->memory->modes);
}

static int shared_create(struct pagein_map *map)
{
	uint64_t needed = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
	int err;

	if ((map->uffd.features & needed) != needed)
		return context_fail(
			-ENOTSUP, "map: this kernel can't share pages (it takes Linux 5.14)");
	err = shared_join(map->object);
	if (err < 0)
		return context_fail(err, "map: shared memory: %s", strerrordesc_np(-err));
	map->address = mmap(NULL, map->mapped, PROT_READ, MAP_SHARED | MAP_NORESERVE,
		share_fd(share_of(map)), (off_t)map->offset);
	if (map->address == MAP_FAILED)
		return context_fail(-errno, "map: %zu bytes of addresses: %s", map->mapped,
			strerrordesc_np(errno));
	err = shared_register(map);
	return err < 0 ? context_fail(err, "map: register: %s", strerrordesc_np(-err)) : 0;
}

const struct memory memory_shared = {
	.name = "shared",
	.page_bytes = PAGE_BYTES,
	.modes = UFFDIO_REGISTER_MODE_MINOR,
	.create = shared_create,
	.fill = shared_fill,
	.claim = shared_claim,
	.release = shared_release,
	.arrived = shared_arrived,
};
