/*
 * readahead.c - lone accesses, streams and windows; strides are in stride.c. Pure; owned by an
 * object or a map, runs on its loop.
 *
 *	access --> lone --one right behind it--> stream --LRU--> nothing
 *	              \--two at equal distances--> stride --LRU--> nothing
 *
 * A stream is told of each access where its reader is. When that has less than half a window left,
 * the window doubles up to the largest, and is filled up again: so one half is read while the other
 * is on its way. The largest window is filled up whenever an eighth is read: nearly all of it is
 * ahead or on its way at any time, so that as much memory hides more waiting, and a server and its
 * other readers get work in even portions.
 *
 * How large the largest window is, and in how many ranges at once it is asked for, follows the
 * measured time to the first byte. A server that answers in 50 us is on this machine or beside it:
 * one connection brings what the CPU can take, and a window that stays in the cache is the fastest.
 * One that answers in 10 ms gives 50 to 90 MB/s a connection (FIELD: AWS): WAY_NS of waiting are
 * worth one more connection.
 *
 * An access is the stream's that takes it, else the stride's that takes it, else it is lone, and
 * may make a stride or a stream with those before it. A stride first: a piece that is longer than
 * the accesses is several strides side by side, and a stream would read on behind it.
 *
 * Cost: a scan of 16 streams, 16 strides and 32 lone accesses. Some 20 ns where a stream goes on,
 * 60 to 120 where nothing does (tests/bench/simulate).
 */
#include "readahead.h"

#include <stddef.h>

#include "pages.h"
#include "stride.h"

#define WAY_NS UINT64_C(500000) /* of the first byte's time, for each range at once */
#define LATELY 64               /* accesses: who has had none of so many is not reading */
#define FAR_GROWTH 4            /* windows grow faster where each one costs a round trip */
#define REFILLS 8               /* of the largest window, while it is read once */

static uint64_t ways(const struct readahead_conditions *conditions)
{
	uint64_t count = conditions->first_byte_ns / WAY_NS;

	if (count < 1)
		return 1;
	return count < READAHEAD_WAYS ? count : READAHEAD_WAYS;
}

static uint64_t window_max(const struct readahead_conditions *conditions)
{
	uint64_t most = ways(conditions) * READAHEAD_NEAR;

	if (conditions->memory_bytes > 0 && most > conditions->memory_bytes)
		most = align_down(conditions->memory_bytes, PAGE_BYTES);
	return most;
}

/* How many streams and strides went on lately: they share the memory. */
static uint64_t count_active(const struct readahead *readahead)
{
	uint64_t since = readahead->tick > LATELY ? readahead->tick - LATELY : 1, count = 0;

	for (size_t i = 0; i < READAHEAD_STREAMS; i++)
		count += readahead->streams[i].used >= since;
	for (size_t i = 0; i < READAHEAD_STRIDES; i++)
		count += readahead->strides[i].used >= since;
	return count > 0 ? count : 1;
}

/* ---- who goes on --------------------------------------------------------------------------- */

/*
 * Does this access go on where the stream's reader is: at the mark, where all that was asked for
 * ends, or beside what it read last? Accesses elsewhere in the window are no sign of reading in
 * order: a far window is large, and would grow by random accesses that hit it.
 */
static bool stream_takes(const struct readahead_stream *stream, struct range wanted)
{
	uint64_t reach = 2 * range_length(wanted);

	if (stream->window == 0)
		return false;
	/* Modulo 2^64: what is before is far behind. */
	if (wanted.start == stream->mark || wanted.start - stream->next <= READAHEAD_GAP)
		return true;
	/* Long requests come out of order by their own length. */
	if (reach < READAHEAD_GAP)
		reach = READAHEAD_GAP;
	return wanted.start - stream->reader + reach <= 2 * reach;
}

static struct readahead_stream *stream_find(struct readahead *readahead, struct range wanted)
{
	struct readahead_stream *newest = NULL;

	for (size_t i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (stream_takes(stream, wanted) && (!newest || stream->used > newest->used))
			newest = stream;
	}
	return newest;
}

/*
 * The stream that has asked for this already. Who is found here is often its reader, who went on
 * unseen through pages that were resident and has come to those on their way, at places that the
 * network chose.
 */
static struct readahead_stream *stream_around(struct readahead *readahead, struct range wanted)
{
	for (size_t i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (wanted.start - stream->reader < stream->next - stream->reader)
			return stream;
	}
	return NULL;
}

static void recent_add(struct readahead *readahead, struct readahead_lone lone)
{
	readahead->recent[readahead->recent_count++ % READAHEAD_RECENT] = lone;
}

/* The lone access that this one is right behind. */
static struct readahead_lone *recent_find(struct readahead *readahead, struct range wanted)
{
	for (size_t i = 0; i < READAHEAD_RECENT; i++) {
		struct readahead_lone *lone = &readahead->recent[i];

		if (wanted.start - lone->range.end <= READAHEAD_GAP && lone->may_continue)
			return lone;
	}
	return NULL;
}

/* Half as long for each stream whose reader left before it had read half of its first window. */
static uint64_t first_window(const struct readahead *readahead)
{
	unsigned doubts = 0;

	for (size_t i = 0; i < READAHEAD_STREAMS; i++)
		doubts += readahead->streams[i].window > 0 && !readahead->streams[i].proved;
	return READAHEAD_START >> doubts;
}

/* In the place of the one that has been still for longest; its first window is yet to come. */
static struct readahead_stream *stream_add(struct readahead *readahead, struct range wanted)
{
	struct readahead_stream *oldest = &readahead->streams[0];

	for (size_t i = 1; i < READAHEAD_STREAMS; i++)
		if (readahead->streams[i].used < oldest->used)
			oldest = &readahead->streams[i];
	*oldest = (struct readahead_stream){
		.next = wanted.start,
		.mark = UINT64_MAX,
		.start = first_window(readahead),
	};
	return oldest;
}

/* The stride that this access belongs to or makes, which no stream took; NULL: none. */
static struct readahead_stride *stride_of(struct readahead *readahead, struct range wanted)
{
	struct readahead_stride *stride = stride_find(readahead, wanted);

	if (!stride)
		stride = stride_detect(readahead, wanted);
	if (stride)
		recent_add(
			readahead, (struct readahead_lone){.range = wanted, .may_continue = true});
	return stride;
}

/*
 * The stream that this access makes, or goes on with after all; NULL: it is alone. `around`, or
 * NULL, has asked for it already.
 */
static struct readahead_stream *stream_begin(
	struct readahead *readahead, struct range wanted, struct readahead_stream *around)
{
	struct readahead_lone *before = recent_find(readahead, wanted);

	if (before)
		before->may_continue = false;
	recent_add(readahead, (struct readahead_lone){
				      .range = wanted,
				      .may_continue = !before,
				      .may_repeat = true,
			      });
	if (!before && readahead->advice != READAHEAD_SEQUENTIAL)
		return NULL;
	return around ? around : stream_add(readahead, wanted);
}

/* ---- how far ------------------------------------------------------------------------------- */

static void stream_grow(struct readahead_stream *stream, struct range wanted,
	const struct readahead_conditions *conditions)
{
	uint64_t most = window_max(conditions);

	stream->proved = stream->window > 0;
	if (stream->window == 0)
		stream->window = stream->start + range_length(wanted);
	else
		stream->window *= ways(conditions) > 1 ? FAR_GROWTH : 2;
	if (stream->window > most)
		stream->window = most > 2 * PAGE_BYTES ? most : 2 * PAGE_BYTES;
}

/* How much of the window may be left before it is filled up. */
static uint64_t stream_low(
	const struct readahead_stream *stream, const struct readahead_conditions *conditions)
{
	if (stream->window >= window_max(conditions))
		return stream->window - stream->window / REFILLS;
	return stream->window / 2;
}

/* A stream with a shorter window has yet to prove itself, and is not worth a unit. */
static uint64_t window_unit(
	const struct readahead_stream *stream, const struct readahead_conditions *conditions)
{
	bool has_units = conditions->unit_bytes > 0 && stream->window >= conditions->unit_bytes;

	return has_units ? conditions->unit_bytes : PAGE_BYTES;
}

/* Fills the window up if the reader has come far enough into it. */
static void stream_advance(struct readahead_stream *stream, struct range wanted,
	const struct readahead_conditions *conditions, struct readahead_plan *plan)
{
	uint64_t unit, end;

	/* What was asked for was not all fetched, or is gone again: memory was short. */
	if (conditions->absent && wanted.end == stream->reader && stream->next > wanted.start)
		stream->next = wanted.start;
	if (stream->window > 0 && stream->next > wanted.end &&
		stream->next - wanted.end > stream_low(stream, conditions))
		return;
	stream_grow(stream, wanted, conditions);
	unit = window_unit(stream, conditions);
	end = align_down(wanted.end + stream->window + unit - PAGE_BYTES, unit);
	if (end <= stream->next)
		return; /* the conditions have got better, and the window smaller */
	if (stream->next <= wanted.end)
		plan->first.end = end;
	else
		plan->ahead = (struct range){stream->next, end};
	stream->next = end;
	stream->mark = plan->mark = align_down(end - stream_low(stream, conditions), unit);
	plan->chunk_bytes = align_up(stream->window / 2 / ways(conditions), PAGE_BYTES);
	if (plan->chunk_bytes < READAHEAD_CHUNK)
		plan->chunk_bytes = READAHEAD_CHUNK;
}

static struct range clip(struct range range, uint64_t object_size)
{
	return range_intersect(range, (struct range){0, object_size});
}

/* As they are for each of those that read. */
static struct readahead_conditions share_memory(
	const struct readahead *readahead, const struct readahead_conditions *conditions)
{
	struct readahead_conditions share = *conditions;

	if (share.memory_bytes > 0)
		share.memory_bytes = share.memory_bytes / count_active(readahead) + 1;
	return share;
}

/* What is worth having beside wanted. */
static void plan_ahead(struct readahead *readahead, struct range wanted,
	const struct readahead_conditions *conditions, struct readahead_plan *plan)
{
	struct readahead_stream *stream = stream_find(readahead, wanted);
	struct readahead_stream *around = stream ? NULL : stream_around(readahead, wanted);
	struct readahead_stride *stride = NULL;
	struct readahead_conditions share;

	/* Equal distances within what a stream has asked for are the network's, or nothing new. */
	if (!stream && !around && readahead->advice != READAHEAD_SEQUENTIAL)
		stride = stride_of(readahead, wanted);
	if (!stream && !stride)
		stream = stream_begin(readahead, wanted, around);
	if (stride) {
		stride->used = readahead->tick;
		share = share_memory(readahead, conditions);
		stride_advance(stride, wanted, &share, plan);
	}
	if (stream) {
		stream->used = readahead->tick;
		if (wanted.end > stream->reader)
			stream->reader = wanted.end;
		share = share_memory(readahead, conditions);
		stream_advance(stream, wanted, &share, plan);
	}
}

struct readahead_plan readahead_plan(struct readahead *readahead, struct range wanted,
	const struct readahead_conditions *conditions)
{
	struct readahead_plan plan = {
		.first = {wanted.start, align_up(wanted.end, PAGE_BYTES)},
		.pieces = 1,
		.chunk_bytes = UINT64_MAX,
		.mark = UINT64_MAX,
	};

	wanted.end = plan.first.end;
	readahead->tick++;
	if (readahead->advice != READAHEAD_RANDOM)
		plan_ahead(readahead, wanted, conditions, &plan);
	plan.first = clip(plan.first, conditions->object_size);
	plan.ahead = clip(plan.ahead, conditions->object_size);
	if (plan.mark >= conditions->object_size)
		plan.mark = UINT64_MAX;
	return plan;
}

void readahead_amend(
	struct readahead *readahead, struct readahead_plan *plan, uint64_t end, uint64_t mark)
{
	plan->first = clip(plan->first, end);
	plan->ahead = clip(plan->ahead, end);
	plan->mark = mark;
	for (size_t i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (stream->window == 0 || stream->used != readahead->tick)
			continue;
		stream->mark = mark;
		if (stream->next > end)
			stream->next = end;
	}
}

void readahead_amend_stride(
	struct readahead *readahead, struct readahead_plan *plan, uint64_t requests)
{
	for (size_t i = 0; i < READAHEAD_STRIDES; i++)
		if (readahead->strides[i].used == readahead->tick)
			stride_cut(&readahead->strides[i], plan, requests);
}
