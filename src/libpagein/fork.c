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
 * (another library's handler of fork(2) may ask for memory), it keeps that. If the kernel refuses
 * even PROT_NONE, the child is ended: what is absent would be zeros.
 *
 * What the parent's loop and core had allocated (connections, a cache) is lost to the child: it can
 * be given back only by those who would speak to the parent's servers. Their descriptors are
 * closed.
 *
 * Another thread may be moving, growing or unmapping a map at the time, of which the events can't
 * be read while the loop stands still: what is known of the map's addresses is of before. So the
 * loop is held when there is no event, if such a moment comes. If one comes after that, the child
 * takes what it finds at the addresses of before; the parent ends the inheritance when the events
 * have been applied, for those may be somebody else's by now.
 *
 * Cost: two madvise(2) a map in the parent; a thread for each context, an open and a registration
 * for each map in the child. vfork(2) and posix_spawn(3) do not come here.
 */
#include "fork.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "address.h"
#include "cleanup.h"
#include "clock.h"
#include "face.h"
#include "map_private.h"
#include "serve.h"

#define UNDONE_PAUSE_NS NS_PER_MS
#define CALM_TRIES 100
#define CALM_PAUSE_US 50

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

/* false: not all of it, or perhaps not. */
static bool map_disinherit(struct pagein_map *map)
{
	if (uffd_is_changing(&map->uffd))
		return false;
	map_find_growth(map);
	map_advise_fork(map, MADV_DONTFORK);
	return !uffd_is_changing(&map->uffd);
}

static bool roll_disinherit(struct context_roll *roll)
{
	bool done = true;

	list_for_each (node, &roll->maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		if (map->inheritable && !map->closing)
			map->inheritable = !map_disinherit(map);
		done = done && !map->inheritable;
	}
	return done;
}

static void undone_wait(struct context_roll *roll)
{
	loop_timer_set(
		context_loop(roll->context), &roll->undone_timer, clock_now_ns() + UNDONE_PAUSE_NS);
}

static void undone_expired(struct loop_timer *timer)
{
	struct context_roll *roll = container_of(timer, struct context_roll, undone_timer);

	if (!roll_disinherit(roll))
		undone_wait(roll);
}

/* On the loop, when it goes on: the events come first. */
static void undone_run(struct loop_task *task)
{
	struct context_roll *roll = container_of(task, struct context_roll, undone);

	roll->undone_timer.expired = undone_expired;
	if (roll->undone_timer.slot == 0)
		undone_wait(roll);
}

static bool is_calm(struct context *context)
{
	list_for_each (node, &context_roll(context)->maps)
		if (uffd_is_changing(&list_entry(node, struct pagein_map, node)->uffd))
			return false;
	return true;
}

void fork_hold(struct context *context)
{
	struct loop *loop = context_loop(context);

	loop_hold(loop);
	for (int i = 0; i < CALM_TRIES && !is_calm(context); i++) {
		loop_release(loop);
		usleep(CALM_PAUSE_US);
		loop_hold(loop);
	}
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
		map->inheritable = true;
		map_advise_fork(map, MADV_DOFORK);
	}
}

void fork_finish(struct context *context)
{
	struct context_roll *roll = context_roll(context);

	if (!is_inherited(context))
		return;
	/* The loop runs what was posted before it stands still again: this is not under way. */
	roll->undone.run = undone_run;
	if (!roll_disinherit(roll))
		loop_post(context_loop(context), &roll->undone);
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
	int err = source->ops->pin(source, object->place, &remote->version, &pinned);

	/* Its group was met by the parent: see memory_shared.c. */
	object->shared = NULL;
	if (err < 0)
		return err;
	return object_create(core, pinned,
		context_cache_bytes(object->context) > 0 ? OBJECT_CACHES : OBJECT_PASSES,
		&object->object);
}

/*
 * Nobody waits here for what others asked for, and nothing is on its way. What had failed and was
 * tried again has failed, as the poison came along.
 */
static void map_forget_waiters(struct pagein_map *map)
{
	struct map_block *block;

	list_init(&map->pulls);
	map->park_timer.slot = 0;
	map->pull_timer.slot = 0;
	map->wait.timer.slot = 0;
	map->want.timer.slot = NULL;
	list_init(&map->asks);
	map_unpark(map);
	for (uint64_t i = 0; (block = radix_next(&map->blocks, &i, UINT64_MAX)); i++) {
		block->held &= ~block->asked;
		block->asked = 0;
		block->failed |= block->poisoned | block->barred;
		block->waiting = 0;
		block->writing = 0;
		block->staged = 0;
		block->foreign = 0;
		block->stranded = 0;
	}
	threads_finish(&map->threads);
	threads_init(&map->threads, &context_counts(map->object->context)->wait);
}

/* false: there is something. */
static bool reserve(uintptr_t address, size_t length)
{
	return mmap((void *)address, length, PROT_NONE,
		       MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		       0) != MAP_FAILED;
}

static void map_reserve_addresses(struct pagein_map *map)
{
	for (size_t i = 0; i < map->extents.count; i++) {
		struct extent *extent = &map->extents.list[i];

		if (!extent->hole && !reserve(extent->address, extent->length))
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
	map_forget_waiters(map);
	/* Its staging was not inherited: pages come by copies. */
	map->units = NULL;
	close_fd(&map->pagemap_fd);
	map->pagemap_fd = -1;
	map->want.place = NULL;
	uffd_close(&map->uffd);
	list_init(&map->want.node);
	object_add_want(map->object->object, &map->want);
}

/* Takes what is there; what another thread was taking away is not. */
static int map_rearm_at(struct pagein_map *map, uintptr_t address, size_t length)
{
	int err = uffd_register(&map->uffd, (void *)address, length, map->memory->modes);
	size_t half = align_down(length / 2, map->memory->page_bytes);

	/* EINVAL and EPERM: memory of another kind is among it. */
	if (err != -ENOMEM && err != -EINVAL && err != -EPERM)
		return err;
	if (reserve(address, length)) {
		(void)munmap((void *)address, length);
		err = 0;
	} else if (half > 0) {
		err = map_rearm_at(map, address, half);
		return err < 0 ? err : map_rearm_at(map, address + half, length - half);
	}
	return err == -ENOMEM ? err : extents_cut(&map->extents, address, address + length, false);
}

static int map_rearm(struct pagein_map *map)
{
	struct map_face *face = map->face;
	uintptr_t cursor = 0, address;
	struct range part;
	int err = map_open_uffd(map);

	/* The extents change meanwhile. */
	while (err == 0 && extents_next(&map->extents, (struct range){0, UINT64_MAX}, &cursor,
				   &part, &address))
		err = map_rearm_at(map, address, (size_t)range_length(part));
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
	roll->undone_timer.slot = 0;
	list_for_each (node, &roll->objects)
		if (err == 0)
			err = object_rearm(list_entry(node, struct pagein_object, node));
	list_for_each_safe (node, &roll->maps)
		if (err == 0)
			map_renew(list_entry(node, struct pagein_map, node));
	if (err == 0 && roll->serving)
		err = serving_receive(context, roll->serving);
	else
		serving_refuse(roll->serving);
	roll->serving = NULL;
	list_for_each (node, &roll->maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		if (err == 0 && map->uffd.fd < 0)
			err = map_rearm(map);
		map->inheritable = false;
		if (err == 0)
			map_advise_fork(map, MADV_DONTFORK);
	}
	if (err == 0 && !context_restart(context))
		err = -EAGAIN;
	return err;
}

/*
 * Nobody fills what is absent here, so it would be zeros: PROT_NONE, whatever that takes. Rather no
 * child than one that computes with them.
 */
static void map_deny(struct pagein_map *map)
{
	if (map_close_addresses(map))
		return;
	for (size_t i = 0; i < map->extents.count; i++) {
		const struct extent *extent = &map->extents.list[i];
		void *address = (void *)extent->address;

		if (!extent->hole && mprotect(address, extent->length, PROT_NONE) < 0 &&
			munmap(address, extent->length) < 0)
			abort();
	}
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
		/* Nobody would read the events of these addresses. */
		uffd_close(&map->uffd);
		if (inherited)
			map_deny(map);
	}
	return false;
}
