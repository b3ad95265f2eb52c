/*
 * map.c - a map's life.
 *
 * pagein_map() makes the memory and its descriptor on the caller's thread; then the loop owns all
 * of it until pagein_unmap(). Teardown closes the traps of userfaultfd in this order: no fault is
 * served any more and transfers are cancelled (loop); the addresses become PROT_NONE (caller: the
 * kernel lets that call wait until the loop has read its event, so the loop must not make it);
 * waiters are woken, and find PROT_NONE (loop); the descriptor is closed (loop); the addresses are
 * given back (caller). Unregistering or closing first would wake them onto pages of zeros.
 *
 * What becomes of it in a child stands in fork.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "address.h"
#include "cleanup.h"
#include "face.h"
#include "guard.h"
#include "map_limit.h"
#include "serve.h"

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
	if (call->err == 0 && map->limit) {
		call->err = limit_add_map(map->limit, map);
		if (call->err < 0)
			loop_remove(context_loop(map->object->context), &map->fd);
	}
	if (call->err < 0)
		return;
	if (map->face->fills)
		map->face->cache = object_borrow(map->object->object);
	object_add_want(map->object->object, &map->want);
	list_append(&context_roll(map->object->context)->maps, &map->node);
	context_map_stats(map->object->context)->maps++;
	/* What its memory could not be. */
	context_map_stats(map->object->context)->fallbacks += map->stats.fallbacks;
}

/* Nobody reads the descriptor: while it is open, munmap(2) would wait for that for ever. */
static void map_give_up(struct pagein_map *map)
{
	address_hide(map->face);
	uffd_close(&map->uffd);
	if (map->address != MAP_FAILED)
		munmap(map->address, map->mapped);
}

int map_open_uffd(struct pagein_map *map)
{
	uint64_t wanted = map->memory->features ? map->memory->features(map) : 0;
	unsigned flags = 0;

	/* What a child writes is its own, and so is who knows of it; and its signal handlers would
	 * have to ask the parent: it fetches for itself. */
	if (context_fork_policy(map->object->context) == PAGEIN_FORK_SERVE &&
		map->memory->inherited && !(map->flags & (PAGEIN_PRIVATE | PAGEIN_INLINE)))
		flags |= UFFD_FOLLOW_FORK;
	if (map->flags & PAGEIN_INLINE)
		flags |= UFFD_RAISE;
	/* Why stands in map_evict.c. */
	if (map->limit)
		flags |= UFFD_NO_REMOVE;
	return uffd_open(&map->uffd, wanted, flags);
}

void map_show(struct pagein_map *map)
{
	/* Out of memory: signal handlers take what is not shown for somebody else's. A child's
	 * addresses are not ours. */
	if (map->moved && !map->origin)
		(void)address_show(map->face, &map->extents);
	map->moved = false;
}

/* Signal handlers know of it from now on, but nobody knows the address yet. */
static int map_face(struct pagein_map *map)
{
	uint64_t first = map->offset / BLOCK_BYTES;
	struct map_face *face = map->face;
	int err = 0;

	face->map = map;
	face->asks = context_asks(map->object->context);
	face->uffd = map->uffd;
	if (map->flags & PAGEIN_INLINE)
		err = face_allow_fills(face, first, map->want.range.end / BLOCK_BYTES + 1 - first);
	if (err == 0)
		err = address_show(face, &map->extents);
	return err < 0 ? context_fail(err, "map: out of memory") : 0;
}

/* Memory that faults into the descriptor. */
static int map_memory(struct pagein_map *map)
{
	int err = map_open_uffd(map);

	if (err < 0)
		return context_fail(
			err, "map: userfaultfd: %s: run `pagein doctor`", strerrordesc_np(-err));
	map->address = MAP_FAILED;
	err = map->memory->create(map);
	if (err == 0 && extents_add(&map->extents, (struct extent){(uintptr_t)map->address,
							   map->mapped, map->offset, false}) < 0)
		err = context_fail(-ENOMEM, "map: out of memory");
	if (err == 0)
		err = map_face(map);
	if (err < 0)
		map_give_up(map);
	return err;
}

static void map_free_parts(struct pagein_map *map)
{
	map_free_blocks(map);
	threads_finish(&map->threads);
	pthread_mutex_destroy(&map->overlay.dropping);
	face_give_back(map->face);
	units_destroy(map);
	close_fd(&map->pagemap_fd);
	extents_finish(&map->extents);
	uffd_close(&map->uffd);
	free(map);
}

void map_free(struct pagein_map *map)
{
	struct pagein_object *object = map->object;

	map_free_parts(map);
	context_count_map(object->context, -1);
	pagein_object_put(object);
}

/* What it waits for is others' to fetch. */
static void map_release_asked(struct pagein_map *map)
{
	struct map_block *block;

	for (uint64_t i = 0;
		map->memory->release && (block = radix_next(&map->blocks, &i, UINT64_MAX)); i++)
		if (block->asked)
			map->memory->release(map, block, i, block->asked);
}

/* Nothing is fetched for it, and nothing is filled into it, any more. */
static void map_end_service(struct pagein_map *map)
{
	map->closing = true;
	if (!map->origin)
		context_keep_threads(map->object->context, &map->threads);
	(void)face_close_gate(map->face);
	map_release_asked(map);
	list_remove(&map->node);
	list_remove(&map->foreign_node);
	object_remove_want(map->object->object, &map->want);
	pull_cancel_all(map);
	map_unpark(map);
	overlay_stop(map);
	map_wait_stop(map);
	map_drop_held(map, map->want.range);
	units_destroy(map);
	if (map->limit)
		limit_remove_map(map->limit, map);
}

static void map_choose_place(void *argument)
{
	struct pagein_map *map = argument;

	map->place = limit_place(map->limit, map->mapped);
}

static int map_start(struct pagein_map *map)
{
	struct map_call call = {map, 0};
	int err = map->flags & PAGEIN_INLINE ? guard_install() : 0;

	if (err < 0)
		return err;
	if (map->limit)
		loop_call(context_loop(map->object->context), map_choose_place, map);
	err = map_memory(map);
	if (err < 0)
		return err;
	map->fd.fd = map->uffd.fd;
	loop_call(context_loop(map->object->context), map_attach, &call);
	if (call.err < 0) {
		map_give_up(map);
		return context_fail(call.err, "map: the loop: %s", strerrordesc_np(-call.err));
	}
	return 0;
}

static struct pagein_map *map_allocate(struct pagein_object *object, uint64_t offset, size_t length,
	unsigned flags, const struct memory *memory)
{
	struct pagein_map *map = calloc(1, sizeof *map);

	if (map)
		map->face = face_take();
	if (!map || !map->face) {
		free(map);
		return NULL;
	}
	map->object = object;
	map->flags = flags;
	map->memory = memory;
	map->limit = memory->drop ? context_limit(object->context) : NULL;
	map->uffd.fd = map->pagemap_fd = -1;
	map->fd = (struct loop_fd){.fd = -1, .ready = map_ready};
	map->offset = offset;
	map->length = length;
	map->mapped = (size_t)align_up(length, memory->page_bytes);
	map->want.range = (struct range){offset, offset + map->mapped};
	map->want.wants = map_wants;
	map->want.arrived = map_arrived;
	map->want.failed = map_failed;
	map->want.late = map_late;
	list_init(&map->node);
	list_init(&map->want.node);
	list_init(&map->pulls);
	list_init(&map->parked);
	list_init(&map->held);
	threads_init(&map->threads, &context_counts(object->context)->wait);
	pthread_mutex_init(&map->overlay.dropping, NULL);
	list_init(&map->asks);
	list_init(&map->foreign_node);
	radix_init(&map->blocks, object->size / BLOCK_BYTES + 1);
	return map;
}

static int map_create(struct pagein_object *object, uint64_t offset, size_t length, unsigned flags,
	const struct memory *memory, struct pagein_map **ret)
{
	struct pagein_map *map = map_allocate(object, offset, length, flags, memory);
	int err = 0;

	if (!map)
		return context_fail(-ENOMEM, "map: out of memory");
	atomic_fetch_add(&object->uses, 1);
	context_count_map(object->context, 1);
	if (length > 0)
		err = map_start(map);
	if (err < 0)
		map_free(map);
	else
		*ret = map;
	return err;
}

struct pagein_map *map_create_shadow(struct pagein_map *origin)
{
	struct pagein_map *map = map_allocate(
		origin->object, origin->offset, origin->length, origin->flags, origin->memory);
	int err = 0;

	if (!map)
		return NULL;
	map->origin = origin;
	map->address = origin->address;
	map->want.range = origin->want.range;
	map->readahead.advice = origin->readahead.advice;
	map->limit = NULL; /* its pages are another process's */
	for (size_t i = 0; i < origin->extents.count && err == 0; i++)
		err = extents_add(&map->extents, origin->extents.list[i]);
	if (err == 0)
		return map;
	map_free_parts(map);
	return NULL;
}

int map_start_shadow(struct pagein_map *map, int fd)
{
	int err;

	map->fd.fd = fd;
	err = loop_add_prompt(context_loop(map->object->context), &map->fd, EPOLLIN);
	if (err < 0)
		return err;
	map->uffd = map->origin->uffd;
	map->uffd.fd = fd;
	object_add_want(map->object->object, &map->want);
	return 0;
}

void map_destroy_shadow(struct pagein_map *map)
{
	struct context *context;

	if (!map)
		return;
	context = map->object->context;
	if (map->uffd.fd >= 0) {
		map_end_service(map);
		loop_remove(context_loop(context), &map->fd);
	}
	context_map_stats(context)->resident_bytes -= map->stats.resident_bytes;
	map_free_parts(map);
}

int pagein_map(struct pagein_object *object, uint64_t offset, size_t length, unsigned flags,
	struct pagein_map **ret)
{
	const struct memory *memory;

	if (sysconf(_SC_PAGESIZE) != (long)PAGE_BYTES)
		return context_fail(-ENOTSUP, "map: pages of %ld bytes; only 4096 are supported",
			sysconf(_SC_PAGESIZE));
	if (pagein_object_check(object) < 0)
		return -ECHILD;
	if (memory_choose(flags, &memory) < 0)
		return -EINVAL;
	/* A page that a signal handler fills is not counted. */
	if (flags & PAGEIN_INLINE && context_limit(object->context))
		return context_fail(-EINVAL, "map: PAGEIN_INLINE has no memory limit");
	if (offset % memory->page_bytes != 0)
		return context_fail(-EINVAL, "map: offset %llu is not a multiple of %zu",
			(unsigned long long)offset, memory->page_bytes);
	if (offset > object->size)
		return context_fail(-EINVAL, "map: offset %llu is past the object's end (%llu)",
			(unsigned long long)offset, (unsigned long long)object->size);
	if (length == 0 && object->size - offset > SIZE_MAX / 2)
		return context_fail(-EFBIG, "map: the object is larger than the address space");
	if (length == 0)
		length = (size_t)(object->size - offset);
	if (length > SIZE_MAX / 2)
		return context_fail(-EINVAL, "map: length %zu is too large", length);
	return map_create(object, offset, length, flags, memory, ret);
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

/* How many pages from `start` on, below `end`, are the map's memory: searched by doubling. */
static size_t map_count_owned(struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	size_t owned = 0, step = 1, max = (end - start) / PAGE_BYTES;

	while (step > 0)
		if (step <= max - owned && map_owns(map, start + (owned + step - 1) * PAGE_BYTES)) {
			owned += step;
			step *= 2;
		} else {
			step /= 2;
		}
	return owned;
}

/* How far the map goes on unseen behind its extent i: it may have grown into holes. */
static uintptr_t map_unseen_end(struct pagein_map *map, size_t i)
{
	const struct extents *extents = &map->extents;
	uintptr_t end = extents->list[i].address + extents->list[i].length, limit;

	for (;;) {
		i++;
		limit = i < extents->count ? extents->list[i].address : UINTPTR_MAX;
		end += map_count_owned(map, end, limit) * PAGE_BYTES;
		if (end < limit || !extents->list[i].hole)
			return end;
		limit += extents->list[i].length;
		end += map_count_owned(map, end, limit) * PAGE_BYTES;
		if (end < limit)
			return end;
	}
}

/* What mremap(2) has grown unseen has to go, too: it would be memory of zeros. */
void map_find_growth(struct pagein_map *map)
{
	struct extents *extents = &map->extents;

	for (size_t i = 0; i < extents->count; i++) {
		uintptr_t end = map_unseen_end(map, i);

		/* Of memory that was moved there the event is still to come. */
		if (end > extents->list[i].address + extents->list[i].length)
			(void)map_grow(map, end - PAGE_BYTES);
	}
}

/* First step. */
void map_quiesce(void *argument)
{
	struct pagein_map *map = argument;

	map_end_service(map);
	serve_hand_over(map);
	map_find_growth(map);
}

/* Third step: the waiters find PROT_NONE. */
void map_end(void *argument)
{
	struct pagein_map *map = argument;
	struct pagein_stats *all = context_map_stats(map->object->context);

	map_wake_all(map);
	/* No handler can ask any more; those that have are told. */
	asks_drain(map->face->asks);
	map_answer(map, (struct range){0, UINT64_MAX});
	map_fold(map);
	loop_remove(context_loop(map->object->context), &map->fd);
	uffd_close(&map->uffd);
	all->resident_bytes -= map->stats.resident_bytes;
	all->maps--;
}

static bool extent_close(const struct extent *extent)
{
	void *address = (void *)extent->address;

	/* The first gives the pages back; the second needs no memory for that. */
	return mmap(address, extent->length, PROT_NONE,
		       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0) != MAP_FAILED ||
	       mprotect(address, extent->length, PROT_NONE) == 0;
}

/* Second step. */
bool map_close_addresses(const struct pagein_map *map)
{
	bool closed = true;

	for (size_t i = 0; i < map->extents.count; i++)
		if (!map->extents.list[i].hole)
			closed &= extent_close(&map->extents.list[i]);
	return closed;
}

/* Where the kernel has no memory for even that: what is absent stays a signal. */
static void map_seal(void *argument)
{
	struct pagein_map *map = argument;

	map_poison(map, map_pages(map));
}

int pagein_unmap(struct pagein_map *map)
{
	struct loop *loop;

	if (!map)
		return 0;
	/* A child that has inherited neither the memory nor the loop. */
	if (map->length == 0 || context_is_inherited(map->object->context)) {
		map_free(map);
		return 0;
	}
	loop = context_loop(map->object->context);
	loop_call(loop, map_quiesce, map);
	/* The extents stand still: a closing map takes no event to heart. Waiters that are woken
	 * onto anything else than PROT_NONE read zeros. */
	if (!map_close_addresses(map))
		loop_call(loop, map_seal, map);
	address_hide(map->face);
	loop_call(loop, map_end, map);
	for (size_t i = 0; i < map->extents.count; i++)
		if (!map->extents.list[i].hole)
			munmap((void *)map->extents.list[i].address, map->extents.list[i].length);
	map_free(map);
	return 0;
}
