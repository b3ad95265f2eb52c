/*
 * timers.c - a binary heap of deadlines, each timer knowing its slot.
 *
 * One thread. Invariants: heap[i]->slot == i + 1, and no timer is earlier than its parent. Chosen
 * over a timer wheel because delays run from microseconds to hours, and over a sorted list because
 * a thousand paced connections move their timers at every piece.
 */
#include "timers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int origin_timers_reserve(struct timers *timers, size_t count)
{
	size_t capacity = timers->capacity ? timers->capacity : 64;
	struct timer **heap;

	if (count <= timers->capacity)
		return 0;
	while (capacity < count)
		capacity *= 2;
	heap = reallocarray(timers->heap, capacity, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	timers->heap = heap;
	timers->capacity = capacity;
	return 0;
}

void origin_timers_finish(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}

static void place(struct timers *timers, size_t index, struct timer *timer)
{
	timers->heap[index] = timer;
	timer->slot = index + 1;
}

static void sift(struct timers *timers, size_t index, struct timer *timer)
{
	while (index > 0) {
		size_t parent = (index - 1) / 2;

		if (timers->heap[parent]->deadline_ns <= timer->deadline_ns)
			break;
		place(timers, index, timers->heap[parent]);
		index = parent;
	}
	for (;;) {
		size_t child = 2 * index + 1;

		if (child + 1 < timers->count &&
			timers->heap[child + 1]->deadline_ns < timers->heap[child]->deadline_ns)
			child++;
		if (child >= timers->count ||
			timers->heap[child]->deadline_ns >= timer->deadline_ns)
			break;
		place(timers, index, timers->heap[child]);
		index = child;
	}
	place(timers, index, timer);
}

void origin_timer_set(struct timers *timers, struct timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	if (!timer->slot) {
		assert(timers->count < timers->capacity);
		timer->slot = ++timers->count;
	}
	sift(timers, timer->slot - 1, timer);
}

void origin_timer_clear(struct timers *timers, struct timer *timer)
{
	size_t index = timer->slot - 1;
	struct timer *last;

	if (!timer->slot)
		return;
	timer->slot = 0;
	last = timers->heap[--timers->count];
	if (last != timer)
		sift(timers, index, last);
}

struct timer *origin_timers_first(const struct timers *timers)
{
	return timers->count ? timers->heap[0] : NULL;
}
