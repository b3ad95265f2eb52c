/*
 * fork.c - maps in the child of a fork(2), by the policy of their options.
 *
 * Without a word (a child that clone(2) made behind libc's back) a child has none of the memory: it
 * is MADV_DONTFORK, for its pages that are not resident would be zeros. A fork(2) calls us before
 * and after:
 *
 * REARM: the loops stand still, and the memory is inherited for the length of this one fork, with
 * what is resident, copy-on-write as all of a process's memory. The child gets a loop, a core with
 * connections and a userfaultfd for each map of its own, before fork() returns in it; what is in
 * the structures is right, because nobody was changing it. What the parent's threads waited for in
 * calls and faults is nobody's there.
 *
 * SERVE: the same, but the parent fills the child's memory as long as it lives; see serve.c. Where
 * it may not, as REARM.
 *
 * DENY, and a map for which the child finds no descriptors or memory: the addresses are PROT_NONE,
 * a touch is SIGSEGV, and calls give -ECHILD. Where the child had something else there before us
 * (another library's handler of fork(2) may ask for memory), it keeps that.
 *
 * What the parent's loop and core had allocated (connections, a cache) is lost to the child: it can
 * be given back only by those who would speak to the parent's servers. Their descriptors are
 * closed.
 *
 * Cost: two madvise(2) a map in the parent; a thread for each context, an open and a registration
 * for each map in the child. vfork(2) and posix_spawn(3) do not come here.
 */
#include "fork.h"

#include <errno.h>
#include <sys/mman.h>

#include "address.h"
#include "face.h"
#include "map_private.h"
#include "serve.h"

/* What a parent serves here is not for children. */
static bool is_inherited(const struct context *context)
{
	return context_fork_policy(context) != PAGEIN_FORK_DENY && !context_is_served(context);
}

static void map_advise_fork(struct pagein_map *map, int advice)
{
	for (size_t i = 0; i < map->extents.count; i++) {
		const struct extent *extent = &map->extents.list[i];

		/* ENOMEM: a part was unmapped, and the event is still to be read. */
		if (!extent->hole)
			(void)madvise((void *)extent->address, extent->length, advice);
	}
}

/* Will the kernel give us descriptors of the child's memory? Of any map's. */
static bool is_followed(struct context *context)
{
	list_for_each (node, &context_roll(context)->maps)
		if (list_entry(node, struct pagein_map, node)->uffd.follows_fork)
			return true;
	return false;
}

void fork_prepare(struct context *context)
{
	struct context_roll *roll = context_roll(context);

	if (!is_inherited(context))
		return;
	if (is_followed(context) && serving_begin(context, &roll->serving) < 0)
		return;
	list_for_each (node, &roll->maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		if (!map->memory->inherited)
			continue;
		map_find_growth(map);
		overlay_fork(map);
		map_advise_fork(map, MADV_DOFORK);
	}
}

void fork_finish(struct context *context)
{
	struct context_roll *roll = context_roll(context);

	if (!is_inherited(context))
		return;
	list_for_each (node, &roll->maps)
		map_advise_fork(list_entry(node, struct pagein_map, node), MADV_DONTFORK);
	serving_end(roll->serving);
	roll->serving = NULL;
}

/* ---- in the child -------------------------------------------------------------------------- */

static int object_rearm(struct pagein_object *object)
{
	const struct remote *remote = object_remote(object->object);
	struct core *core = context_core(object->context);
	struct source *source = core_source(core);
	struct remote *pinned;
	int err = source->ops->pin(source, remote->url, &remote->version, &pinned);

	/* Its group was met by the parent: see memory_shared.c. */
	object->shared = NULL;
	if (err < 0)
		return err;
	return object_create(core, pinned,
		context_cache_bytes(object->context) > 0 ? OBJECT_CACHES : OBJECT_PASSES,
		&object->object);
}

/* Nobody waits here for what others asked for, and nothing is on its way. */
static void map_forget_waiters(struct pagein_map *map)
{
	struct map_block *block;

	list_init(&map->pulls);
	map->park_timer.slot = 0;
	map->pull_timer.slot = 0;
	map->wait.timer.slot = 0;
	list_init(&map->asks);
	map_unpark(map);
	for (uint64_t i = 0; (block = radix_next(&map->blocks, &i, UINT64_MAX)); i++) {
		block->held &= ~block->asked;
		block->asked = 0;
		block->waiting = 0;
		block->writing = 0;
		block->staged = 0;
		block->foreign = 0;
		block->stranded = 0;
	}
	threads_finish(&map->threads);
	threads_init(&map->threads);
}

static void map_reserve_addresses(struct pagein_map *map)
{
	for (size_t i = 0; i < map->extents.count; i++) {
		struct extent *extent = &map->extents.list[i];

		if (!extent->hole &&
			mmap((void *)extent->address, extent->length, PROT_NONE,
				MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				-1, 0) == MAP_FAILED)
			extent->hole = true;
	}
}

void fork_reserve(struct context *context)
{
	bool inherited = is_inherited(context);

	list_for_each (node, &context_roll(context)->maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		if (!inherited || !map->memory->inherited)
			map_reserve_addresses(map);
	}
}

/* Memory that can't be inherited: to be unmapped, and nothing else. */
static void map_disown(struct pagein_map *map)
{
	map_forget_waiters(map);
	uffd_close(&map->uffd);
	list_init(&map->want.node);
	list_remove(&map->node);
	map->closing = true;
}

static void map_renew(struct pagein_map *map)
{
	if (!map->memory->inherited) {
		map_disown(map);
		return;
	}
	map_advise_fork(map, MADV_DONTFORK);
	map_forget_waiters(map);
	/* Its staging was not inherited: pages come by copies. */
	map->units = NULL;
	map->want.place = NULL;
	uffd_close(&map->uffd);
	list_init(&map->want.node);
	object_add_want(map->object->object, &map->want);
}

static int map_rearm(struct pagein_map *map)
{
	struct map_face *face = map->face;
	int err = map_open_uffd(map);

	for (size_t i = 0; i < map->extents.count && err == 0; i++)
		if (!map->extents.list[i].hole)
			err = uffd_register(&map->uffd, (void *)map->extents.list[i].address,
				map->extents.list[i].length, map->memory->modes);
	if (err == 0)
		err = overlay_rearm(map);
	if (err < 0)
		return err;
	map->fd.fd = map->uffd.fd;
	face->uffd = map->uffd;
	face->cache = face->fills ? object_borrow(map->object->object) : NULL;
	face_open_gate(face);
	return loop_add_prompt(context_loop(map->object->context), &map->fd, EPOLLIN);
}

static int fork_arm_all(struct context *context)
{
	struct context_roll *roll = context_roll(context);
	int err = context_renew(context);

	list_init(&roll->served);
	list_for_each (node, &roll->objects)
		if (err == 0)
			err = object_rearm(list_entry(node, struct pagein_object, node));
	list_for_each_safe (node, &roll->maps)
		if (err == 0)
			map_renew(list_entry(node, struct pagein_map, node));
	if (err == 0 && roll->serving)
		err = serving_receive(context, roll->serving);
	roll->serving = NULL;
	list_for_each (node, &roll->maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		if (err == 0 && map->uffd.fd < 0)
			err = map_rearm(map);
	}
	if (err == 0 && !context_restart(context))
		err = -EAGAIN;
	return err;
}

bool fork_arm(struct context *context)
{
	bool inherited = is_inherited(context), armed;

	/* Handlers of the parent's other threads. */
	list_for_each (node, &context_roll(context)->maps)
		list_entry(node, struct pagein_map, node)->face->users = 0;
	armed = inherited && fork_arm_all(context) == 0;
	if (armed)
		return true;
	list_for_each (node, &context_roll(context)->maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		address_hide(map->face);
		if (inherited)
			(void)map_close_addresses(map);
	}
	return false;
}
