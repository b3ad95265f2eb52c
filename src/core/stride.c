/*
 * stride.c - accesses at equal distances: columns of a matrix, one field of many records, a reader
 * that goes backwards.
 *
 * Pure; owned by an object or a map, runs on its loop.
 *
 * Three lone accesses of one length at equal distances are a stride, whatever came between them:
 * eight interleaved ones are eight strides. Only exact places count, so that three random accesses
 * seldom are one; a stride that is none has cost PIECES_START pieces. What is ahead grows like a
 * stream's window: when the reader has less than half of it left, it is doubled and filled up.
 *
 * Each piece is a request. How many are worth having ahead follows the time to the first byte: the
 * fastest reader comes for one each PIECE_NS. The bytes between pieces would often be cheaper than
 * the requests, but the reader did not touch them. Backwards, pieces without a gap to speak of are
 * asked for as one range; forwards those are a stream.
 *
 * Cost: a comparison for each lone access that is remembered, and a walk over those before it for
 * each at a possible distance.
 */
#include "stride.h"

#include <stddef.h>
#include <stdlib.h>

#include "pages.h"

#define PIECES_START 2
#define PIECES_NEAR 16           /* 8 cost half as much again, where a request takes 50 us */
#define PIECE_NS UINT64_C(10000) /* of the first byte's time, for each piece ahead */
#define FAR_NS UINT64_C(1000000) /* from here on, windows grow faster */
#define BEHIND 2                 /* pieces by which requests come out of order */

static uint64_t step_length(const struct readahead_stride *stride)
{
	return (uint64_t)llabs(stride->step);
}

/* Bytes that `place` lies ahead of the stride's reader, in its direction; negative: behind. */
static int64_t stride_distance(const struct readahead_stride *stride, uint64_t place)
{
	int64_t distance = (int64_t)(place - stride->reader);

	return stride->step < 0 ? -distance : distance;
}

/* Is the gap between pieces so small that bringing it costs less than another request? */
static bool stride_is_dense(const struct readahead_stride *stride)
{
	return step_length(stride) <= stride->length + READAHEAD_GAP;
}

/* ---- whose access --------------------------------------------------------------------------- */

static bool stride_takes(const struct readahead_stride *stride, struct range wanted)
{
	int64_t distance = stride_distance(stride, wanted.start);

	return stride->step != 0 && range_length(wanted) >= stride->length &&
	       distance <= stride_distance(stride, stride->next) &&
	       distance >= -BEHIND * (int64_t)step_length(stride) && distance % stride->step == 0;
}

struct readahead_stride *stride_find(struct readahead *readahead, struct range wanted)
{
	for (size_t i = 0; i < READAHEAD_STRIDES; i++)
		if (stride_takes(&readahead->strides[i], wanted))
			return &readahead->strides[i];
	return NULL;
}

/* 0 is the newest. */
static const struct readahead_lone *recent_at(const struct readahead *readahead, uint64_t age)
{
	return &readahead->recent[(readahead->recent_count - 1 - age) % READAHEAD_RECENT];
}

static uint64_t recent_length(const struct readahead *readahead)
{
	return readahead->recent_count < READAHEAD_RECENT ? readahead->recent_count
							  : READAHEAD_RECENT;
}

static bool may_be_piece(const struct readahead_lone *lone, uint64_t start, uint64_t length)
{
	return lone->range.start == start && lone->range.end == start + length && lone->may_repeat;
}

/* Was there an access at `start` before the one of this age? */
static bool recent_has(
	const struct readahead *readahead, uint64_t age, uint64_t start, uint64_t length)
{
	for (uint64_t i = age + 1; i < recent_length(readahead); i++)
		if (may_be_piece(recent_at(readahead, i), start, length))
			return true;
	return false;
}

/* A distance from one piece to the next? Short ones forwards are a stream's. */
static bool may_be_step(int64_t step, uint64_t length)
{
	const uint64_t most = READAHEAD_STEP_MAX;

	if ((uint64_t)step + most > 2 * most) /* modulo 2^64: in either direction */
		return false;
	return step < 0 || (uint64_t)step > length + READAHEAD_GAP;
}

/* The distance at which this access follows two lone ones; 0: there is none. */
static int64_t recent_step(const struct readahead *readahead, struct range wanted)
{
	uint64_t length = range_length(wanted);

	for (uint64_t age = 0; age < recent_length(readahead); age++) {
		uint64_t start = recent_at(readahead, age)->range.start;
		int64_t step = (int64_t)(wanted.start - start);

		if (may_be_step(step, length) &&
			may_be_piece(recent_at(readahead, age), start, length) &&
			recent_has(readahead, age, start - (uint64_t)step, length))
			return step;
	}
	return 0;
}

struct readahead_stride *stride_detect(struct readahead *readahead, struct range wanted)
{
	struct readahead_stride *oldest = &readahead->strides[0];
	int64_t step = recent_step(readahead, wanted);

	if (step == 0)
		return NULL;
	for (size_t i = 1; i < READAHEAD_STRIDES; i++)
		if (readahead->strides[i].used < oldest->used)
			oldest = &readahead->strides[i];
	*oldest = (struct readahead_stride){
		.step = step,
		.length = range_length(wanted),
		.reader = wanted.start,
		.next = wanted.start + (uint64_t)step,
	};
	return oldest;
}

/* ---- how far -------------------------------------------------------------------------------- */

/* Memory that a kept piece takes: its block's buffer, unless others share that. */
static uint64_t piece_cost(const struct readahead_stride *stride)
{
	uint64_t blocks = align_up(stride->length, BLOCK_BYTES);

	return step_length(stride) < blocks ? step_length(stride) : blocks;
}

static bool is_far(const struct readahead_conditions *conditions)
{
	return conditions->first_byte_ns >= FAR_NS;
}

static uint64_t pieces_max(
	const struct readahead_stride *stride, const struct readahead_conditions *conditions)
{
	uint64_t most = conditions->first_byte_ns / PIECE_NS;

	if (most < PIECES_NEAR)
		most = PIECES_NEAR;
	if (most > READAHEAD_PIECES)
		most = READAHEAD_PIECES;
	if (stride_is_dense(stride))
		most = (is_far(conditions) ? READAHEAD_NEAR : READAHEAD_CHUNK) /
		       step_length(stride);
	if (conditions->memory_bytes > 0 && most > conditions->memory_bytes / piece_cost(stride))
		most = conditions->memory_bytes / piece_cost(stride);
	return most;
}

static void stride_grow(
	struct readahead_stride *stride, const struct readahead_conditions *conditions)
{
	uint64_t most = pieces_max(stride, conditions);

	if (stride->pieces == 0)
		stride->pieces = PIECES_START;
	else
		stride->pieces *= is_far(conditions) ? 4 : 2;
	if (stride->pieces > most)
		stride->pieces = most;
}

/* How many whole pieces lie in the object from the next one on. */
static uint64_t pieces_in_object(const struct readahead_stride *stride, uint64_t object_size)
{
	/* Past the start of the object is far past its end: modulo 2^64. */
	if (stride->next >= object_size || object_size - stride->next < stride->length)
		return 0;
	if (stride->step < 0)
		return stride->next / step_length(stride) + 1;
	return (object_size - stride->next - stride->length) / step_length(stride) + 1;
}

/* `count` pieces from the next one on. */
static void plan_pieces(
	const struct readahead_stride *stride, uint64_t count, struct readahead_plan *plan)
{
	uint64_t last = stride->next + (uint64_t)stride->step * (count - 1);

	plan->ahead = (struct range){stride->next, stride->next + stride->length};
	if (stride->step < 0 && stride_is_dense(stride)) {
		plan->ahead.start = last;
		if (plan->ahead.end > stride->reader)
			plan->ahead.end = stride->reader;
		plan->chunk_bytes = READAHEAD_CHUNK;
	} else {
		plan->pieces = count;
		plan->stride_bytes = stride->step;
	}
}

void stride_advance(struct readahead_stride *stride, struct range wanted,
	const struct readahead_conditions *conditions, struct readahead_plan *plan)
{
	uint64_t left, count, inside;

	if (stride_distance(stride, wanted.start) > 0)
		stride->reader = wanted.start;
	/* Absent: what was asked for was not all fetched, or is gone again. */
	if (stride->reader == stride->next ||
		(conditions->absent && stride->reader == wanted.start))
		stride->next = stride->reader + (uint64_t)stride->step;
	left = (uint64_t)stride_distance(stride, stride->next) / step_length(stride) - 1;
	if (stride->pieces > 0 && left > stride->pieces / 2)
		return;
	stride_grow(stride, conditions);
	count = stride->pieces > left ? stride->pieces - left : 0;
	inside = pieces_in_object(stride, conditions->object_size);
	if (count > inside)
		count = inside;
	if (count == 0)
		return;
	plan_pieces(stride, count, plan);
	stride->next += (uint64_t)stride->step * count;
	/* The first of the half that will be left. */
	left = count > stride->pieces / 2 ? stride->pieces / 2 : count;
	plan->mark = stride->next - (uint64_t)stride->step * (left > 0 ? left : 1);
}

void stride_cut(struct readahead_stride *stride, struct readahead_plan *plan, uint64_t requests)
{
	uint64_t chunks = (range_length(plan->ahead) - 1) / plan->chunk_bytes + 1;
	uint64_t keep = requests < plan->pieces ? requests : plan->pieces;

	if (plan->pieces * chunks <= requests)
		return;
	/* One range of many pieces, backwards: all of it later. */
	if (plan->stride_bytes == 0)
		stride->next = stride->reader + (uint64_t)stride->step;
	else
		stride->next -= (uint64_t)stride->step * (plan->pieces - keep);
	if (keep == 0 || plan->stride_bytes == 0) {
		plan->ahead = (struct range){0, 0};
		plan->mark = UINT64_MAX;
		keep = 1;
	} else if (stride_distance(stride, plan->mark) >= stride_distance(stride, stride->next)) {
		plan->mark = stride->next - (uint64_t)stride->step;
	}
	plan->pieces = keep;
}
