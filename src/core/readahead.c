/*
 * readahead.c - streams and windows. Pure; owned by an object, runs on its loop.
 *
 * A wanted range belongs to a stream if it starts between the beginning of the stream's newest
 * window, less a window's length (requests of several processes arrive in disorder), and
 * STREAM_GAP past its end. The page that continues a stream exactly, or within the gap, opens the
 * next window, twice as long. A wanted range inside what was asked for already opens nothing.
 *
 * Two neighbouring wants make a stream: a lone one is random access and gets just its pages.
 */
#include "readahead.h"

#include <stddef.h>

#include "object.h"

#define STREAM_GAP (UINT64_C(64) << 10)

static struct range clip(struct range range, uint64_t object_size)
{
	range.end = align_up(range.end, PAGE_BYTES);
	if (range.end > object_size)
		range.end = object_size;
	return range;
}

static bool stream_takes(const struct readahead_stream *stream, struct range wanted)
{
	uint64_t back = stream->window < stream->start ? stream->start - stream->window : 0;

	return stream->used && wanted.start >= back && wanted.start <= stream->next + STREAM_GAP;
}

static struct readahead_stream *stream_find(struct readahead *readahead, struct range wanted)
{
	struct readahead_stream *oldest = &readahead->streams[0];

	for (size_t i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &readahead->streams[i];

		if (stream_takes(stream, wanted))
			return stream;
		if (stream->used < oldest->used)
			oldest = stream;
	}
	*oldest = (struct readahead_stream){.start = wanted.start, .next = wanted.start};
	return oldest;
}

/* The next window of a stream that `wanted` continues. */
static struct range stream_advance(struct readahead_stream *stream, struct range wanted)
{
	uint64_t window = stream->window ? 2 * stream->window : READAHEAD_START;

	if (window > READAHEAD_MAX)
		window = READAHEAD_MAX;
	stream->start = wanted.start;
	stream->window = window;
	wanted.end = wanted.end > wanted.start + window ? wanted.end : wanted.start + window;
	stream->next = wanted.end;
	return wanted;
}

struct range readahead_plan(struct readahead *readahead, struct range wanted, uint64_t object_size)
{
	struct readahead_stream *stream;
	bool is_new;

	wanted.end = align_up(wanted.end, PAGE_BYTES);
	if (readahead->advice == READAHEAD_RANDOM)
		return clip(wanted, object_size);
	stream = stream_find(readahead, wanted);
	is_new = stream->used == 0;
	stream->used = ++readahead->tick;
	if (is_new && readahead->advice != READAHEAD_SEQUENTIAL)
		stream->next = wanted.end;
	else if (wanted.end >= stream->next)
		wanted = stream_advance(stream, wanted);
	return clip(wanted, object_size);
}
