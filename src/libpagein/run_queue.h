/*
 * run_queue.h - runs of pages in the order in which they were filled. Pure; not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct run {
	uint64_t page; /* the first one's place in the object */
	uint32_t pages;
	uint32_t map; /* whose: an index of limit->maps */
};

struct run_chunk;

/* Zeroed memory is an empty one. */
struct run_queue {
	struct run_chunk *oldest, *newest;
	struct run_chunk *spare; /* the next one, made before it is needed; NULL: none */
};

void run_queue_finish(struct run_queue *queue);

/* Behind all others. false: no memory, and nothing has changed. */
bool run_queue_push(struct run_queue *queue, struct run run);

/* Takes the oldest; false: there is none. */
bool run_queue_pop(struct run_queue *queue, struct run *ret);

/* The newest, to be made longer; NULL: the queue is empty. Until the next call. */
struct run *run_queue_newest(struct run_queue *queue);

/* Makes now what the next push may need, where there is time. */
void run_queue_reserve(struct run_queue *queue);
