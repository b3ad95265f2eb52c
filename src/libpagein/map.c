/*
 * map.c - a map's life, its pages' states, and what is asked of it by its owner.
 *
 * pagein_map() makes the memory and its descriptor on the caller's thread; then the loop owns all
 * of it until pagein_unmap(). Teardown closes the traps of userfaultfd in this order: no fault is
 * served any more and transfers are cancelled (loop); the addresses become PROT_NONE (caller: the
 * kernel lets that call wait until the loop has read its event, so the loop must not make it);
 * waiters are woken, and find PROT_NONE (loop); the descriptor is closed (loop); the addresses are
 * given back (caller). Unregistering or closing first would wake them onto pages of zeros.
 *
 * The memory is not inherited by fork(2) (MADV_DONTFORK): a child without the descriptor would read
 * zeros where a page was not resident.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "map_private.h"

/* ---- pages -------------------------------------------------------------------------------- */

struct range map_pages(const struct pagein_map *map)
{
	uint64_t end = map->offset + map->mapped;
	uint64_t size = align_up(map->object->size, PAGE_BYTES);

	return (struct range){map->offset, end < size ? end : size};
}

static struct map_block *map_take_block(struct pagein_map *map)
{
	struct map_slab *slab = map->slabs;

	if (!slab || slab->used == MAP_SLAB_BLOCKS) {
		slab = map->spare ? map->spare : calloc(1, sizeof *slab);
		if (!slab)
			return NULL;
		map->spare = NULL;
		slab->next = map->slabs;
		map->slabs = slab;
	}
	return &slab->blocks[slab->used++];
}

struct map_block *map_block(struct pagein_map *map, uint64_t index)
{
	void **slot = radix_slot(&map->blocks, index);

	if (slot && !*slot)
		*slot = map_take_block(map);
	return slot ? *slot : NULL;
}

void map_reserve(struct pagein_map *map)
{
	radix_reserve(&map->blocks);
	if (!map->spare)
		map->spare = calloc(1, sizeof *map->spare);
}

static void map_free_blocks(struct pagein_map *map)
{
	struct map_slab *slab;

	radix_finish(&map->blocks);
	free(map->spare);
	while ((slab = map->slabs)) {
		map->slabs = slab->next;
		for (unsigned i = 0; i < slab->used; i++)
			free(slab->blocks[i].error);
		free(slab);
	}
}

void map_count_resident(struct pagein_map *map, uint64_t before, uint64_t after)
{
	struct pagein_stats *all = context_map_stats(map->object->context);
	uint64_t come = (uint64_t)__builtin_popcountll(after & ~before) * PAGE_BYTES;
	uint64_t gone = (uint64_t)__builtin_popcountll(before & ~after) * PAGE_BYTES;

	map->stats.resident_bytes += come - gone;
	all->resident_bytes += come - gone;
}

static int map_mark_asked(struct pagein_map *map, struct range range)
{
	for (uint64_t at = range.start; at < range.end; at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES) {
		uint64_t index = at / BLOCK_BYTES;
		struct map_block *block = map_block(map, index);

		if (!block)
			return -ENOMEM;
		block->asked |= block_range_mask(index, (struct range){at, range.end}) &
				~(block->resident | block->failed);
	}
	return 0;
}

static uint64_t block_asked(const struct map_block *block)
{
	return block->asked;
}

/* Not for what is resident: the object does not know that it is, and would bring it again. */
static int map_fetch_asked(
	struct pagein_map *map, struct range range, uint64_t urgent, uint64_t chunk_bytes)
{
	uint64_t urgent_end = range.start + urgent;
	int err = 0;

	while (err == 0 && !range_empty(range)) {
		struct range run = map_run(map, range, block_asked);

		if (range_empty(run))
			break;
		err = object_fetch(map->object->object, run,
			run.start < urgent_end ? urgent_end - run.start : 0, chunk_bytes);
		range.start = run.end;
	}
	return err;
}

int map_ask(struct pagein_map *map, struct range range, uint64_t urgent, uint64_t chunk_bytes)
{
	struct failure failure = {.error = "map: out of memory"};

	range.end = align_up(range.end, PAGE_BYTES);
	range = range_intersect(range, map_pages(map));
	if (map->held_count > 0)
		map_release(map, range);
	failure.err = map_mark_asked(map, range);
	if (failure.err == 0)
		failure.err = map_fetch_asked(map, range, urgent, chunk_bytes);
	if (failure.err == -ESTALE)
		failure = *object_stale(map->object->object);
	/* M2: nothing stays asked that is not under way. */
	if (failure.err < 0)
		map_failed(&map->want, range, &failure);
	return failure.err;
}

void map_forget(struct pagein_map *map, struct range range)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&map->blocks, &i, end));
		i++) {
		uint64_t mask = block_range_mask(i, range);

		map_count_resident(map, block->resident, block->resident & ~mask);
		block->resident &= ~mask;
		block->failed &= ~mask;
	}
	if (map->held_count > 0)
		map_drop_held(map, range);
}

/* ---- mapping ------------------------------------------------------------------------------ */

struct map_call {
	struct pagein_map *map;
	int err;
};

static void map_attach(void *argument)
{
	struct map_call *call = argument;
	struct pagein_map *map = call->map;

	call->err = loop_add_prompt(context_loop(map->object->context), &map->fd, EPOLLIN);
	if (call->err < 0)
		return;
	object_add_want(map->object->object, &map->want);
	context_map_stats(map->object->context)->maps++;
}

/* Nobody reads the descriptor: while it is open, munmap(2) would wait for that for ever. */
static void map_give_up(struct pagein_map *map)
{
	uffd_close(&map->uffd);
	munmap(map->address, map->mapped);
}

/* Memory that faults into the descriptor. */
static int map_memory(struct pagein_map *map)
{
	int err = uffd_open(&map->uffd);

	if (err < 0)
		return context_fail(
			err, "map: userfaultfd: %s: run `pagein doctor`", strerrordesc_np(-err));
	map->address = mmap(
		NULL, map->mapped, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map->address == MAP_FAILED)
		return context_fail(-errno, "map: %zu bytes of addresses: %s", map->mapped,
			strerrordesc_np(errno));
	if (madvise(map->address, map->mapped, MADV_DONTFORK) < 0)
		err = -errno;
	if (err == 0)
		err = uffd_register(&map->uffd, map->address, map->mapped);
	if (err == 0)
		err = extents_add(&map->extents,
			(struct extent){(uintptr_t)map->address, map->mapped, map->offset});
	if (err < 0)
		map_give_up(map);
	return err < 0 ? context_fail(err, "map: register: %s", strerrordesc_np(-err)) : 0;
}

static void map_free(struct pagein_map *map)
{
	if (!map)
		return;
	map_free_blocks(map);
	extents_finish(&map->extents);
	uffd_close(&map->uffd);
	context_count_map(map->object->context, -1);
	pagein_object_put(map->object);
	free(map);
}

static int map_start(struct pagein_map *map)
{
	struct map_call call = {map, 0};
	int err = map_memory(map);

	if (err < 0)
		return err;
	map->fd = (struct loop_fd){.fd = map->uffd.fd, .ready = map_ready};
	loop_call(context_loop(map->object->context), map_attach, &call);
	if (call.err < 0) {
		map_give_up(map);
		return context_fail(call.err, "map: epoll: %s", strerrordesc_np(-call.err));
	}
	return 0;
}

static int map_create(
	struct pagein_object *object, uint64_t offset, size_t length, struct pagein_map **ret)
{
	struct pagein_map *map = calloc(1, sizeof *map);
	int err = 0;

	if (!map)
		return context_fail(-ENOMEM, "map: out of memory");
	atomic_fetch_add(&object->uses, 1);
	context_count_map(object->context, 1);
	map->object = object;
	map->uffd.fd = -1;
	map->offset = offset;
	map->length = length;
	map->mapped = (size_t)align_up(length, PAGE_BYTES);
	map->want.range = (struct range){offset, offset + map->mapped};
	map->want.arrived = map_arrived;
	map->want.failed = map_failed;
	list_init(&map->want.node);
	list_init(&map->pulls);
	list_init(&map->parked);
	list_init(&map->held);
	radix_init(&map->blocks, map->want.range.end / BLOCK_BYTES + 1);
	if (length > 0)
		err = map_start(map);
	if (err < 0)
		map_free(map);
	else
		*ret = map;
	return err;
}

int pagein_map(struct pagein_object *object, uint64_t offset, size_t length, unsigned flags,
	struct pagein_map **ret)
{
	if (sysconf(_SC_PAGESIZE) != (long)PAGE_BYTES)
		return context_fail(-ENOTSUP, "map: pages of %ld bytes; only 4096 are supported",
			sysconf(_SC_PAGESIZE));
	if (pagein_object_check(object) < 0)
		return -ECHILD;
	if (flags != 0)
		return context_fail(-EINVAL, "map: unknown flags 0x%x", flags);
	if (offset % PAGE_BYTES != 0)
		return context_fail(-EINVAL, "map: offset %llu is not a multiple of 4096",
			(unsigned long long)offset);
	if (offset > object->size)
		return context_fail(-EINVAL, "map: offset %llu is past the object's end (%llu)",
			(unsigned long long)offset, (unsigned long long)object->size);
	if (length == 0 && object->size - offset > SIZE_MAX / 2)
		return context_fail(-EFBIG, "map: the object is larger than the address space");
	if (length == 0)
		length = (size_t)(object->size - offset);
	if (length > SIZE_MAX / 2)
		return context_fail(-EINVAL, "map: length %zu is too large", length);
	return map_create(object, offset, length, ret);
}

void *pagein_address(const struct pagein_map *map)
{
	return map->address;
}

size_t pagein_length(const struct pagein_map *map)
{
	return map->length;
}

/* ---- unmapping ----------------------------------------------------------------------------- */

/* First step: nothing is fetched for it, and nothing is filled into it, any more. */
static void map_quiesce(void *argument)
{
	struct pagein_map *map = argument;

	map->closing = true;
	object_remove_want(map->object->object, &map->want);
	pull_cancel_all(map);
	map_unpark(map);
	map_drop_held(map, map->want.range);
}

/* Third step: the waiters find PROT_NONE. */
static void map_detach(void *argument)
{
	struct pagein_map *map = argument;
	struct pagein_stats *all = context_map_stats(map->object->context);

	for (size_t i = 0; i < map->extents.count; i++)
		uffd_wake(&map->uffd, (void *)map->extents.list[i].address,
			map->extents.list[i].length);
	loop_remove(context_loop(map->object->context), &map->fd);
	uffd_close(&map->uffd);
	all->resident_bytes -= map->stats.resident_bytes;
	all->maps--;
}

int pagein_unmap(struct pagein_map *map)
{
	struct loop *loop;

	if (!map)
		return 0;
	/* A child has inherited neither the memory (MADV_DONTFORK) nor the loop. */
	if (map->length == 0 || context_is_inherited(map->object->context)) {
		map_free(map);
		return 0;
	}
	loop = context_loop(map->object->context);
	loop_call(loop, map_quiesce, map);
	/* The extents stand still: a closing map takes no UNMAP event to heart. */
	for (size_t i = 0; i < map->extents.count; i++) {
		void *closed = mmap((void *)map->extents.list[i].address,
			map->extents.list[i].length, PROT_NONE,
			MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		/* Waiters that are woken onto anything else read zeros. */
		assert(closed != MAP_FAILED);
	}
	loop_call(loop, map_detach, map);
	for (size_t i = 0; i < map->extents.count; i++)
		munmap((void *)map->extents.list[i].address, map->extents.list[i].length);
	map_free(map);
	return 0;
}

/* ---- questions and advice ------------------------------------------------------------------ */

void map_set_trace(struct pagein_map *map, map_trace_fn *fn, void *context)
{
	map->trace = fn;
	map->trace_context = context;
}

struct error_call {
	struct pagein_map *map;
	uintptr_t address;
	struct pagein_error *ret;
	int err;
};

static void map_tell_error(void *argument)
{
	struct error_call *call = argument;
	struct map_block *block;
	uint64_t offset;

	if (!extents_find(&call->map->extents, call->address, &offset)) {
		call->err = -EINVAL;
		return;
	}
	call->ret->offset = align_down(offset, PAGE_BYTES);
	block = map_find_block(call->map, offset / BLOCK_BYTES);
	if (!block || !(block->failed >> (offset % BLOCK_BYTES / PAGE_BYTES) & 1))
		return;
	if (offset >= map_pages(call->map).end) {
		call->ret->error = ENXIO;
		strcpy(call->ret->message, "map: past the object's end");
		return;
	}
	call->ret->error = block->err;
	call->ret->status = block->status;
	strncpy(call->ret->message, block->error ? block->error : strerrordesc_np(block->err),
		sizeof call->ret->message - 1);
}

int pagein_error(struct pagein_map *map, const void *address, struct pagein_error *ret)
{
	struct error_call call = {map, (uintptr_t)address, ret, 0};

	*ret = (struct pagein_error){0};
	if (pagein_object_check(map->object) < 0)
		return -ECHILD;
	loop_call(context_loop(map->object->context), map_tell_error, &call);
	return call.err < 0 ? context_fail(call.err, "error: %p is not in this map", address) : 0;
}

struct range_call {
	struct pagein_map *map;
	struct range range; /* of the object, whole pages */
	uintptr_t address;
	int advice;
	int err;
};

/* The object's pages that [offset, offset + length) of the map overlaps. */
int map_range(const struct pagein_map *map, size_t offset, size_t length, struct range *ret)
{
	if (offset > map->length || length > map->length - offset)
		return context_fail(-EINVAL, "range %zu+%zu is outside of a map of %zu bytes",
			offset, length, map->length);
	if (length == 0)
		length = map->length - offset;
	ret->start = align_down(map->offset + offset, PAGE_BYTES);
	ret->end = align_up(map->offset + offset + length, PAGE_BYTES);
	return 0;
}

/* The first run of failed pages in the call's range; it is empty when there are none. */
static void map_find_failed(void *argument)
{
	struct range_call *call = argument;
	struct range range = range_intersect(call->range, map_pages(call->map));
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	call->range.end = call->range.start;
	for (uint64_t i = range.start / BLOCK_BYTES;
		(block = radix_next(&call->map->blocks, &i, end)); i++) {
		uint64_t failed = block->failed & block_range_mask(i, range);
		unsigned count, first;

		if (!failed)
			continue;
		first = mask_take_run(&failed, &count);
		call->range.start = i * BLOCK_BYTES + first * PAGE_BYTES;
		call->range.end = call->range.start + count * PAGE_BYTES;
		return;
	}
}

/* Where the first part of the call's range lies that lies anywhere; the range becomes that part. */
static void map_find_place(void *argument)
{
	struct range_call *call = argument;
	struct range part = {call->range.end, call->range.end};

	if (!extents_place(&call->map->extents, call->range, &part, &call->address))
		call->address = 0;
	call->range = part;
}

/*
 * The kernel tells the loop through REMOVE, and madvise(2) waits until it has. What the application
 * has unmapped may be somebody else's memory by now: only what is still the map's is dropped.
 */
static int map_dont_need(struct pagein_map *map, struct range range)
{
	struct range_call call = {.map = map};

	for (; !range_empty(range); range.start = call.range.end) {
		size_t length;

		call.range = range;
		loop_call(context_loop(map->object->context), map_find_place, &call);
		length = (size_t)range_length(call.range);
		if (length == 0)
			break;
		/* Without UFFDIO_POISON a failed page is PROT_NONE. */
		if (!(map->uffd.features & UFFD_FEATURE_POISON))
			mprotect((void *)call.address, length, PROT_READ);
		if (madvise((void *)call.address, length, MADV_DONTNEED) < 0)
			return context_fail(-errno, "madvise: %s", strerrordesc_np(errno));
	}
	return 0;
}

int pagein_retry(struct pagein_map *map, size_t offset, size_t length)
{
	struct range_call call = {.map = map};
	struct range range;
	int err = map_range(map, offset, length, &range);

	if (err == 0)
		err = pagein_object_check(map->object);
	while (err == 0 && map->length > 0 && !range_empty(range)) {
		call.range = range;
		loop_call(context_loop(map->object->context), map_find_failed, &call);
		if (range_empty(call.range))
			break;
		err = map_dont_need(map, call.range);
		range.start = call.range.end;
	}
	return err;
}

static void will_need_done(struct pull *pull)
{
	free(pull);
}

static void map_advise(void *argument)
{
	struct range_call *call = argument;
	struct pagein_map *map = call->map;
	struct pull *pull;

	switch (call->advice) {
	case PAGEIN_NORMAL:
		map->readahead.advice = READAHEAD_NORMAL;
		break;
	case PAGEIN_SEQUENTIAL:
		map->readahead.advice = READAHEAD_SEQUENTIAL;
		break;
	case PAGEIN_RANDOM:
		map->readahead.advice = READAHEAD_RANDOM;
		break;
	case PAGEIN_WILLNEED:
		pull = calloc(1, sizeof *pull);
		if (!pull) {
			call->err = -ENOMEM;
			break;
		}
		pull->range = call->range;
		pull->done = will_need_done;
		pull_start(map, pull);
	}
}

int pagein_advise(struct pagein_map *map, size_t offset, size_t length, int advice)
{
	struct range_call call = {.map = map, .advice = advice};
	int err = map_range(map, offset, length, &call.range);

	if (err == 0)
		err = pagein_object_check(map->object);
	if (err == 0 && (advice < PAGEIN_NORMAL || advice > PAGEIN_DONTNEED))
		err = context_fail(-EINVAL, "advise: unknown advice %d", advice);
	if (err < 0 || map->length == 0)
		return err;
	if (advice == PAGEIN_DONTNEED)
		return map_dont_need(map, call.range);
	loop_call(context_loop(map->object->context), map_advise, &call);
	return call.err < 0 ? context_fail(call.err, "advise: %s", strerrordesc_np(-call.err)) : 0;
}

struct stats_call {
	struct pagein_map *map;
	struct pagein_stats *ret;
};

static void map_tell_stats(void *argument)
{
	struct stats_call *call = argument;

	*call->ret = call->map->stats;
}

int pagein_stats(struct pagein_map *map, struct pagein_stats *ret)
{
	struct stats_call call = {map, ret};

	if (map && pagein_object_check(map->object) < 0)
		return -ECHILD;
	if (map)
		loop_call(context_loop(map->object->context), map_tell_stats, &call);
	else
		context_stats(ret);
	return 0;
}
