/*
 * run_queue.c - a list of chunks, each of which is written once from its beginning to its end.
 *
 * Memory follows the number of runs: 16 bytes each, a fraction of a percent of what they stand for
 * even if all are single pages. Rejected: a ring, which must be as large as the limit allows from
 * the beginning; list nodes in the pages' blocks, which would order 64 pages by the first of them.
 */
#include "run_queue.h"

#include <stddef.h>
#include <stdlib.h>

#define CHUNK_RUNS 254 /* 4 KiB with the rest */

struct run_chunk {
	struct run_chunk *newer;
	unsigned first, end; /* of those that are in the queue */
	struct run runs[CHUNK_RUNS];
};

void run_queue_finish(struct run_queue *queue)
{
	struct run_chunk *chunk;

	while ((chunk = queue->oldest)) {
		queue->oldest = chunk->newer;
		free(chunk);
	}
	free(queue->spare);
	*queue = (struct run_queue){0};
}

void run_queue_reserve(struct run_queue *queue)
{
	if (!queue->spare)
		queue->spare = malloc(sizeof *queue->spare);
}

static bool run_queue_grow(struct run_queue *queue)
{
	struct run_chunk *chunk;

	run_queue_reserve(queue);
	chunk = queue->spare;
	if (!chunk)
		return false;
	queue->spare = NULL;
	chunk->newer = NULL;
	chunk->first = chunk->end = 0;
	if (queue->newest)
		queue->newest->newer = chunk;
	else
		queue->oldest = chunk;
	queue->newest = chunk;
	return true;
}

bool run_queue_push(struct run_queue *queue, struct run run)
{
	if ((!queue->newest || queue->newest->end == CHUNK_RUNS) && !run_queue_grow(queue))
		return false;
	queue->newest->runs[queue->newest->end++] = run;
	return true;
}

/* An emptied chunk is the next one, unless there is one for that already. */
static void run_queue_retire(struct run_queue *queue)
{
	struct run_chunk *chunk = queue->oldest;

	queue->oldest = chunk->newer;
	if (!queue->oldest)
		queue->newest = NULL;
	if (queue->spare)
		free(chunk);
	else
		queue->spare = chunk;
}

bool run_queue_pop(struct run_queue *queue, struct run *ret)
{
	struct run_chunk *chunk = queue->oldest;

	if (!chunk)
		return false;
	*ret = chunk->runs[chunk->first++];
	if (chunk->first == chunk->end)
		run_queue_retire(queue);
	return true;
}

struct run *run_queue_newest(struct run_queue *queue)
{
	return queue->newest ? &queue->newest->runs[queue->newest->end - 1] : NULL;
}
