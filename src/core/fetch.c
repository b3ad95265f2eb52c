/*
 * fetch.c - what of an object is asked for: its absent pages, and not those that are here or on
 * their way, so that whoever comes second joins.
 *
 * Runs on the loop; state is the object's. O2 is kept here: pages are marked inflight before their
 * transfer starts, and forgotten if it can't. A fetch that meets pages which are here tells of them
 * before it returns, and so may be the end of the object.
 *
 * Cost of a fault on an absent page: one radix lookup, one block and one transfer from free lists,
 * one send(2).
 */
#include <assert.h>
#include <errno.h>

#include "object_private.h"
#include "transfer.h"

static void block_start(struct object *object, struct block *block, uint64_t mask)
{
	(void)object;
	assert((block->inflight & mask) == 0 && (block->present & mask) == 0);
	block->inflight |= mask;
}

/* A call of object_fetch(). */
struct fetch {
	struct range range;
	uint64_t urgent_end;
	uint64_t chunk;
	bool present; /* some of its pages are */
	bool joined;  /* some that somebody waits for are in flight already */
};

/* Transfers for a run of absent pages whose blocks exist. */
static int object_fetch_run(struct object *object, struct range run, const struct fetch *fetch)
{
	/* The last page may be short, and the request must not ask past it. */
	uint64_t end = run.end < object_size(object) ? run.end : object_size(object);
	struct range part;

	for (uint64_t at = run.start; at < end; at = part.end) {
		int err;

		part = (struct range){at, end - at < fetch->chunk ? end : at + fetch->chunk};
		/* Neighbours would both fetch a block that both have a part of. */
		if (part.end < end)
			part.end = object_whole_blocks(object, part).end;
		part.end = part.end < end ? part.end : end;
		object_each_block(object, part, block_start);
		err = transfer_start(object, part, at < fetch->urgent_end);
		if (err < 0) {
			object_forget(object, part);
			return err;
		}
	}
	return 0;
}

/* Starts transfers for the absent pages, at least one for each run of them. */
static int object_fetch_absent(struct object *object, struct fetch *fetch)
{
	struct range run = {0, 0};
	int err = 0;

	for (uint64_t i = fetch->range.start / BLOCK_BYTES; i * BLOCK_BYTES < fetch->range.end;
		i++) {
		struct block *block = object_block(object, i);
		uint64_t mask = block_range_mask(i, fetch->range);
		uint64_t absent;

		if (!block)
			return -ENOMEM;
		fetch->present |= (block->present & mask) != 0;
		fetch->joined |= (block->inflight & mask) != 0 &&
				 i * BLOCK_BYTES < fetch->urgent_end;
		absent = mask & ~(block->present | block->inflight);
		while (absent) {
			unsigned count, first = mask_take_run(&absent, &count);
			uint64_t start = i * BLOCK_BYTES + first * PAGE_BYTES;

			if (run.end != start) {
				err = object_fetch_run(object, run, fetch);
				run.start = start;
			}
			run.end = start + count * PAGE_BYTES;
			if (err < 0)
				return err;
		}
	}
	return object_fetch_run(object, run, fetch);
}

/* A kept block's present pages that a fetch met, told one run at a time. */
static bool object_tell_present(struct object *object, struct range range)
{
	for (uint64_t at = range.start; at < range.end;) {
		uint64_t index = at / BLOCK_BYTES;
		struct block *block = object_find_block(object, index);
		struct range rest = {at, range.end};
		uint64_t present = block ? block->present & block_range_mask(index, rest) : 0;
		uint64_t start;
		unsigned count, first;

		if (!present) {
			at = (index + 1) * BLOCK_BYTES;
			continue;
		}
		first = mask_take_run(&present, &count);
		start = index * BLOCK_BYTES + first * PAGE_BYTES;
		at = start + count * PAGE_BYTES;
		if (!object_tell_arrived(object,
			    &(struct arrival){
				    .range = {start,
					    at < object_size(object) ? at : object_size(object)},
				    .bytes = block->data + first * PAGE_BYTES,
			    }))
			return false;
		/* Bytes that came with the probe have been passed on. */
		if (object->keep == OBJECT_PASSES)
			object_drop(object, (struct range){start, at});
	}
	return true;
}

/* Blocks that a fetch of [start, end) would make. */
static uint64_t object_count_new_blocks(struct object *object, uint64_t start, uint64_t end)
{
	uint64_t count = 0;

	for (uint64_t i = start / BLOCK_BYTES; i * BLOCK_BYTES < end; i++)
		count += !object_find_block(object, i);
	return count;
}

/*
 * Readahead may fill what the memory limit leaves, in whole blocks, since a part of one takes a
 * whole buffer; what readers wait for is always fetched. What was read ahead and never wanted would
 * take up all of it in the end: the older half makes room. Streams together are ahead by the newer
 * half at the most (object_conditions). Not for maps: they have marked what they ask for, and see
 * object_limit_requests() before.
 */
static uint64_t object_limit_ahead(struct object *object, struct range range, uint64_t urgent_end)
{
	uint64_t first_end = align_up(
		urgent_end > range.start ? urgent_end : range.start + 1, BLOCK_BYTES);
	uint64_t first, room;

	if (object->keep != OBJECT_KEEPS || range.end <= urgent_end)
		return range.end;
	block_pool_make_room(&object->core->blocks,
		object_count_new_blocks(object, range.start, range.end) * BLOCK_BYTES);
	first = object_count_new_blocks(object, range.start, first_end);
	room = block_pool_room(&object->core->blocks) / BLOCK_BYTES;
	if (room < first)
		return urgent_end;
	first_end += (room - first) * BLOCK_BYTES;
	return range.end < first_end ? range.end : first_end;
}

uint64_t object_requests_max(const struct object *object)
{
	if (object->keep != OBJECT_CACHES)
		return UINT64_MAX;
	return block_pool_unclaimed(&object->core->blocks) / TRANSFER_CLAIM_BYTES;
}

struct range object_limit_requests(
	const struct object *object, struct range range, uint64_t chunk_bytes)
{
	uint64_t count = object_requests_max(object);

	if (chunk_bytes > EXCHANGE_BYTES_MAX)
		chunk_bytes = EXCHANGE_BYTES_MAX;
	if (range_length(range) / chunk_bytes >= count)
		range.end = range.start + count * chunk_bytes;
	return range;
}

/* A want that joins readahead must not wait behind other readahead. */
static void object_hurry(struct object *object, struct range urgent)
{
	list_for_each (node, &object->transfers)
		if (range_overlaps(transfer_left(transfer_of(node)), urgent))
			transfer_hurry(transfer_of(node));
}

/* A block that was made for transfers which an error kept from starting. */
static void block_tidy(struct object *object, struct block *block, uint64_t mask)
{
	(void)mask;
	object_put_block(object, block);
}

int object_fetch(struct object *object, struct range range, uint64_t urgent, uint64_t chunk_bytes)
{
	struct fetch fetch = {
		.urgent_end = align_up(range.start + urgent, PAGE_BYTES),
		.chunk = chunk_bytes < EXCHANGE_BYTES_MAX ? chunk_bytes : EXCHANGE_BYTES_MAX,
	};
	int err;

	range.start = align_down(range.start, PAGE_BYTES);
	range.end = align_up(range.end, PAGE_BYTES);
	range = range_intersect(range, object_pages(object));
	if (range_empty(range))
		return 0;
	/* What is here is still the version that it was; but not what was found wrong. */
	if (object->stale.err == -EIO || (object->stale.err < 0 && !object_present(object, range)))
		return object->stale.err;
	/* Passing bytes that nobody has asked for would be lost. */
	if (object->keep != OBJECT_PASSES)
		range = object_whole_blocks(object, range);
	range.end = object_limit_ahead(object, range, fetch.urgent_end);
	if (range_empty(range))
		return 0;
	fetch.range = range;
	err = object_fetch_absent(object, &fetch);
	if (err < 0)
		object_each_block(object, range, block_tidy);
	if (fetch.joined)
		object_hurry(object, (struct range){range.start, fetch.urgent_end});
	/* The requests are under way: this time costs nobody anything. */
	radix_reserve(&object->blocks);
	if (fetch.present)
		object_tell_present(object, range);
	return err;
}

struct readahead_conditions object_conditions(const struct object *object)
{
	return (struct readahead_conditions){
		.object_size = object_size(object),
		.first_byte_ns = object->first_byte_ns,
		.memory_bytes = object->keep == OBJECT_KEEPS
					? object->core->blocks.budget->max_bytes / 2
					: 0,
	};
}

/*
 * The best of late: an answer that had to wait behind others says little about the distance. It
 * creeps up by a 64th of the difference, so that a server that moves away is noticed.
 */
void object_note_first_byte(struct object *object, uint64_t first_byte_ns)
{
	if (object->first_byte_ns == 0 || first_byte_ns < object->first_byte_ns)
		object->first_byte_ns = first_byte_ns;
	else
		object->first_byte_ns += (first_byte_ns - object->first_byte_ns) / 64;
}
