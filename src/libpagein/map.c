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

#include "cleanup.h"
#include "map_private.h"

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
	list_append(&context_roll(map->object->context)->maps, &map->node);
	context_map_stats(map->object->context)->maps++;
}

/* Nobody reads the descriptor: while it is open, munmap(2) would wait for that for ever. */
static void map_give_up(struct pagein_map *map)
{
	uffd_close(&map->uffd);
	if (map->address != MAP_FAILED)
		munmap(map->address, map->mapped);
}

/* Memory that faults into the descriptor. */
static int map_memory(struct pagein_map *map)
{
	int err = uffd_open(&map->uffd);

	if (err < 0)
		return context_fail(
			err, "map: userfaultfd: %s: run `pagein doctor`", strerrordesc_np(-err));
	map->address = MAP_FAILED;
	err = map->memory->create(map);
	if (err == 0 && extents_add(&map->extents, (struct extent){(uintptr_t)map->address,
							   map->mapped, map->offset, false}) < 0)
		err = context_fail(-ENOMEM, "map: out of memory");
	if (err < 0)
		map_give_up(map);
	return err;
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

static int map_create(struct pagein_object *object, uint64_t offset, size_t length, unsigned flags,
	struct pagein_map **ret)
{
	struct pagein_map *map = calloc(1, sizeof *map);
	int err = 0;

	if (!map)
		return context_fail(-ENOMEM, "map: out of memory");
	atomic_fetch_add(&object->uses, 1);
	context_count_map(object->context, 1);
	map->object = object;
	map->flags = flags;
	map->memory = &memory_anonymous;
	map->uffd.fd = -1;
	map->offset = offset;
	map->length = length;
	map->mapped = (size_t)align_up(length, PAGE_BYTES);
	map->want.range = (struct range){offset, offset + map->mapped};
	map->want.wants = map_wants;
	map->want.arrived = map_arrived;
	map->want.failed = map_failed;
	list_init(&map->want.node);
	list_init(&map->pulls);
	list_init(&map->parked);
	list_init(&map->held);
	radix_init(&map->blocks, object->size / BLOCK_BYTES + 1);
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
	return map_create(object, offset, length, flags, ret);
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
static size_t map_count_owned(const struct pagein_map *map, uintptr_t start, uintptr_t end)
{
	size_t owned = 0, step = 1, max = (end - start) / PAGE_BYTES;

	while (step > 0)
		if (step <= max - owned &&
			uffd_owns(&map->uffd, (void *)(start + (owned + step - 1) * PAGE_BYTES))) {
			owned += step;
			step *= 2;
		} else {
			step /= 2;
		}
	return owned;
}

/* What mremap(2) has grown unseen has to go, too: it would be memory of zeros. */
void map_find_growth(struct pagein_map *map)
{
	struct extents *extents = &map->extents;

	for (size_t i = 0; i < extents->count; i++) {
		uintptr_t start = extents->list[i].address + extents->list[i].length;
		uintptr_t end = i + 1 < extents->count ? extents->list[i + 1].address : UINTPTR_MAX;
		size_t owned = map_count_owned(map, start, end);

		if (owned > 0)
			(void)map_grow(map, start + (owned - 1) * PAGE_BYTES);
	}
}

/* First step: nothing is fetched for it, and nothing is filled into it, any more. */
static void map_quiesce(void *argument)
{
	struct pagein_map *map = argument;

	map->closing = true;
	list_remove(&map->node);
	object_remove_want(map->object->object, &map->want);
	pull_cancel_all(map);
	map_unpark(map);
	map_drop_held(map, map->want.range);
	map_find_growth(map);
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

/* Second step. Waiters that are woken onto anything else read zeros. */
static void extent_close(const struct extent *extent)
{
	void *closed;

	if (extent->hole)
		return;
	closed = mmap((void *)extent->address, extent->length, PROT_NONE,
		MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(closed != MAP_FAILED);
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
	/* The extents stand still: a closing map takes no event to heart. */
	for (size_t i = 0; i < map->extents.count; i++)
		extent_close(&map->extents.list[i]);
	loop_call(loop, map_detach, map);
	for (size_t i = 0; i < map->extents.count; i++)
		if (!map->extents.list[i].hole)
			munmap((void *)map->extents.list[i].address, map->extents.list[i].length);
	map_free(map);
	return 0;
}
