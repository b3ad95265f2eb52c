/*
 * object.c - the state of an object's pages, and who is told when it changes.
 *
 * Runs on the loop; owned by a door. Invariants O1 to O4 stand in object.h. The block tree says
 * what is present and in flight; transfers bring what is in flight; wants are told.
 *
 * Wants are told in a walk over a plain list: a door has a handful (a map is one, a FUSE read is
 * one), and walking them is cheaper than keeping them sorted. A want that is told may remove any
 * want, drop pages, fetch, and destroy the object, so every walk is registered:
 * object_remove_want() moves a walk on that stands on the node removed, and a destroyed object is
 * freed when its last walk ends.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "borrow.h"
#include "object_private.h"
#include "trace.h"
#include "transfer.h"

struct object_walk {
	struct list *next;
	struct object_walk *outer;
};

int object_create(
	struct core *core, struct remote *remote, enum object_keep keep, struct object **ret)
{
	struct object *object = calloc(1, sizeof *object);
	uint64_t size = remote->version.size;
	int err;

	if (!object) {
		core->source->ops->unpin(core->source, remote);
		return -ENOMEM;
	}
	object->core = core;
	object->remote = remote;
	object->keep = keep;
	radix_init(&object->blocks, size / BLOCK_BYTES + 1);
	list_init(&object->wants);
	list_init(&object->transfers);
	core->stats.objects++;
	if (core->trace)
		object->trace_number = trace_object(remote->url, size);
	ranking_open(&core->ranking, object);
	err = object_integrity_init(object);
	if (err < 0)
		object_destroy(object);
	else
		*ret = object;
	return err;
}

int object_open(
	struct core *core, const struct probe *probe, enum object_keep keep, struct object **ret)
{
	struct remote *remote;
	int err = core->source->ops->pin(
		core->source, probe->effective_url, &probe->version, &remote);

	if (err == 0)
		err = object_create(core, remote, keep, ret);
	/* Without these bytes the first read asks for them again, which is no harm. */
	if (err == 0)
		(void)object_seed(*ret, probe->bytes, probe->bytes_len);
	return err;
}

static void object_free(struct object *object)
{
	radix_finish(&object->blocks);
	object_integrity_finish(object);
	borrow_destroy(object->borrow);
	ranking_close(&object->core->ranking, object);
	object->core->source->ops->unpin(object->core->source, object->remote);
	if (--object->core->stats.objects == 0)
		block_pool_trim(&object->core->blocks);
	free(object);
}

void object_destroy(struct object *object)
{
	struct block *block;

	if (!object)
		return;
	assert(list_empty(&object->wants));
	list_for_each_safe (node, &object->transfers)
		transfer_cancel(transfer_of(node));
	for (uint64_t i = 0; (block = radix_next(&object->blocks, &i, UINT64_MAX)); i++) {
		block->present = 0;
		object_put_block(object, block);
	}
	if (object->walks)
		object->doomed = true;
	else
		object_free(object);
}

const struct remote *object_remote(const struct object *object)
{
	return object->remote;
}

struct readahead *object_readahead(struct object *object)
{
	return &object->readahead;
}

/* ---- blocks ------------------------------------------------------------------------------- */

struct block *object_block(struct object *object, uint64_t index)
{
	void **slot = radix_slot(&object->blocks, index);

	if (slot && !*slot)
		*slot = block_create(&object->core->blocks, object, index);
	return slot ? *slot : NULL;
}

void object_put_block(struct object *object, struct block *block)
{
	void **slot;

	if (block->present == 0 && block->inflight == 0) {
		slot = radix_slot(&object->blocks, block->index);
		*slot = NULL;
		block_destroy(&object->core->blocks, block);
	}
}

void object_each_block(struct object *object, struct range range,
	void (*function)(struct object *, struct block *, uint64_t mask))
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct block *block;

	/* A transfer that is cancelled after its last byte. */
	if (range_empty(range))
		return;
	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&object->blocks, &i, end));
		i++)
		function(object, block, block_range_mask(i, range));
}

/* ---- wants -------------------------------------------------------------------------------- */

void object_add_want(struct object *object, struct want *want)
{
	list_append(&object->wants, &want->node);
}

static bool object_is_wanted(struct object *object, struct range range)
{
	list_for_each (node, &object->wants) {
		const struct want *want = list_entry(node, struct want, node);
		struct range part = range_intersect(want->range, range);

		if (!range_empty(part) && (!want->wants || want->wants(want, part)))
			return true;
	}
	return false;
}

bool object_is_read_in_place(struct object *object, struct range range)
{
	return object->keep == OBJECT_KEEPS && object_is_wanted(object, range);
}

void object_remove_want(struct object *object, struct want *want)
{
	for (struct object_walk *walk = object->walks; walk; walk = walk->outer)
		if (walk->next == &want->node)
			walk->next = want->node.next;
	list_remove(&want->node);
	loop_timer_cancel(object->core->loop, &want->timer);
	object_cancel_unwanted(object);
}

void object_cancel_unwanted(struct object *object)
{
	/* Readahead outlives the read that began it, but not the map. */
	if (object->keep == OBJECT_KEEPS)
		return;
	list_for_each_safe (node, &object->transfers)
		if (!object_is_wanted(object, transfer_left(transfer_of(node))))
			transfer_cancel(transfer_of(node));
	block_pool_shrink(&object->core->blocks);
}

static void walk_begin(struct object *object, struct object_walk *walk)
{
	walk->next = object->wants.next;
	walk->outer = object->walks;
	object->walks = walk;
	object->core->blocks.telling++;
}

/* The next want that range overlaps; NULL at the end. */
static struct want *walk_next(struct object *object, struct object_walk *walk, struct range range)
{
	while (!object->doomed && walk->next != &object->wants) {
		struct want *want = list_entry(walk->next, struct want, node);

		walk->next = want->node.next;
		if (range_overlaps(want->range, range))
			return want;
	}
	return NULL;
}

/* false: the object was destroyed, and is freed now if this was the outermost walk. */
static bool walk_end(struct object *object, struct object_walk *walk)
{
	bool alive = !object->doomed;

	object->core->blocks.telling--;
	object->walks = walk->outer;
	if (!alive && !object->walks)
		object_free(object);
	return alive;
}

bool object_tell_arrived(struct object *object, const struct arrival *arrival)
{
	struct object_walk walk;
	struct want *want;

	walk_begin(object, &walk);
	while ((want = walk_next(object, &walk, arrival->range)))
		want->arrived(want, arrival);
	return walk_end(object, &walk);
}

static bool object_tell_failed(
	struct object *object, struct range range, const struct failure *failure)
{
	struct object_walk walk;
	struct want *want;

	walk_begin(object, &walk);
	while ((want = walk_next(object, &walk, range)))
		want->failed(want, range_intersect(range, want->range), failure);
	return walk_end(object, &walk);
}

/* ---- what transfers report ----------------------------------------------------------------- */

static void block_land(struct object *object, struct block *block, uint64_t mask)
{
	assert((block->inflight & mask) == mask && (block->present & mask) == 0);
	block->inflight &= ~mask;
	if (object->keep == OBJECT_PASSES) {
		object_put_block(object, block);
		return;
	}
	block->present |= mask;
	borrow_offer(object->borrow, block);
}

uint64_t arrival_copy(const struct arrival *arrival, struct range range, uint8_t *to)
{
	struct range here = range_intersect(range, arrival->range);

	if (range_empty(here))
		return 0;
	memcpy(to + (here.start - range.start),
		(const uint8_t *)arrival->bytes + (here.start - arrival->range.start),
		(size_t)range_length(here));
	return range_length(here);
}

bool object_publish(struct object *object, const struct arrival *arrival)
{
	struct block_pool *pool = &object->core->blocks;
	bool caches = object->keep == OBJECT_CACHES;
	bool alive;

	object_each_block(object, arrival->range, block_land);
	alive = object_tell_arrived(object, arrival);
	if (caches)
		block_pool_shrink(pool);
	return alive;
}

static void block_forget(struct object *object, struct block *block, uint64_t mask)
{
	block->inflight &= ~mask;
	object_put_block(object, block);
}

void object_forget(struct object *object, struct range range)
{
	object_each_block(object, range, block_forget);
}

static void object_set_stale(struct object *object, const struct failure *failure)
{
	object->stale = *failure;
	strncpy(object->stale_error, failure->error, sizeof object->stale_error - 1);
	object->stale.error = object->stale_error;
	if (object->stale_told)
		object->stale_told(object->stale_context);
}

bool object_give_up(struct object *object, struct range range, const struct failure *failure)
{
	object_forget(object, range);
	ranking_note_failure(object);
	if (failure->err == -ESTALE && object->stale.err == 0)
		object_set_stale(object, failure);
	return object_tell_failed(object, range, failure);
}

void object_set_stale_told(struct object *object, void (*told)(void *context), void *context)
{
	object->stale_told = told;
	object->stale_context = context;
	if (object->stale.err < 0)
		told(context);
}

const struct failure *object_stale(const struct object *object)
{
	return &object->stale;
}

/* ---- kept bytes ---------------------------------------------------------------------------- */

int object_seed(struct object *object, const void *bytes, size_t len)
{
	struct block *block;
	int err;

	assert(len <= BLOCK_BYTES);
	if (len < object_size(object))
		len = (size_t)align_down(len, PAGE_BYTES);
	/* The start of a block can't be checked by itself. */
	if (len == 0 || object->hashes)
		return 0;
	err = object_check(object, (struct range){0, len}, bytes);
	if (err < 0)
		return err;
	block = object_block(object, 0);
	if (!block)
		return -ENOMEM;
	err = block_need_data(&object->core->blocks, block);
	if (err == 0) {
		memcpy(block->data, bytes, len);
		block->present |= block_range_mask(0, (struct range){0, len});
	}
	object_put_block(object, block);
	return err;
}

bool object_present(struct object *object, struct range range)
{
	for (uint64_t i = range.start / BLOCK_BYTES; i * BLOCK_BYTES < range.end; i++) {
		struct block *block = object_find_block(object, i);
		uint64_t mask = block_range_mask(i, range);

		if (!block || (block->present & mask) != mask)
			return false;
	}
	return true;
}

const uint8_t *object_touch(struct object *object, uint64_t offset)
{
	uint64_t page = offset % BLOCK_BYTES / PAGE_BYTES;
	struct block *block;

	if (object->keep != OBJECT_CACHES)
		return NULL;
	block = object_find_block(object, offset / BLOCK_BYTES);
	if (!block || !(block->present >> page & 1))
		return NULL;
	block->touched = true;
	return block->data + page * PAGE_BYTES;
}

static void block_offer(struct object *object, struct block *block, uint64_t mask)
{
	(void)mask;
	borrow_offer(object->borrow, block);
}

struct borrow *object_borrow(struct object *object)
{
	if (object->keep == OBJECT_CACHES && !object->borrow) {
		object->borrow = borrow_create(object_size(object));
		if (object->borrow)
			object_each_block(object, object_pages(object), block_offer);
	}
	return object->borrow;
}

struct range object_limit_present(struct object *object, struct range range, uint64_t bytes_max)
{
	uint64_t end = (range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint64_t left = bytes_max / PAGE_BYTES;
	struct block *block;

	if (object->keep != OBJECT_CACHES || range_empty(range))
		return range;
	for (uint64_t i = range.start / BLOCK_BYTES; (block = radix_next(&object->blocks, &i, end));
		i++) {
		uint64_t present = block->present & block_range_mask(i, range);
		uint64_t count = (uint64_t)__builtin_popcountll(present);

		if (count <= left) {
			left -= count;
			continue;
		}
		while (left-- > 0)
			present &= present - 1;
		range.end = i * BLOCK_BYTES + (uint64_t)__builtin_ctzll(present) * PAGE_BYTES;
		break;
	}
	return range;
}

bool object_absent(struct object *object, struct range range)
{
	for (uint64_t i = range.start / BLOCK_BYTES; i * BLOCK_BYTES < range.end; i++) {
		struct block *block = object_find_block(object, i);
		uint64_t mask = block_range_mask(i, range);

		if (!block || ((block->present | block->inflight) & mask) != mask)
			return true;
	}
	return false;
}

size_t object_iov(struct object *object, struct range range, struct iovec *iov)
{
	size_t count = 0;

	assert(object_present(object, range));
	while (!range_empty(range)) {
		struct block *block = object_find_block(object, range.start / BLOCK_BYTES);
		uint64_t offset = range.start % BLOCK_BYTES;
		uint64_t len = BLOCK_BYTES - offset;

		if (len > range_length(range))
			len = range_length(range);
		iov[count++] = (struct iovec){block->data + offset, (size_t)len};
		range.start += len;
	}
	return count;
}

static void block_drop(struct object *object, struct block *block, uint64_t mask)
{
	block->present &= ~mask;
	object_put_block(object, block);
}

void object_drop(struct object *object, struct range range)
{
	/* Whole pages only; the object's last one is whole when its bytes are. */
	if (range.end < object_size(object))
		range.end = align_down(range.end, PAGE_BYTES);
	if (integrity_needs(&object->integrity, range))
		return;
	range.start = align_up(range.start, PAGE_BYTES);
	if (!range_empty(range))
		object_each_block(object, range, block_drop);
}
