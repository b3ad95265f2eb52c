/*
 * threads.c - a bounded table of threads by their id. Owned by a map, on its loop.
 *
 * When PAGEIN_THREADS_MAX are known, a new one takes the place of the one that has not faulted for
 * longest, unless that waits: since when is known of everybody who waits, because that is what
 * deadlines are counted from. Threads that have ended are not told from those that have not; who is
 * given the id of one that has ended goes on where that left off.
 *
 * Cost: a fault is a look-up in a hash table and some moves in lists, 10 ns; a fill looks at all
 * threads that wait, of which there are as many as CPUs can make in the time of a round trip.
 */
#include "threads.h"

#include <stdlib.h>

#include "clock.h"
#include "figures.h"

#define SLAB_THREADS 16
#define KNOWN_MAX 65536 /* 20 MiB: whoever has so many stuck threads has other worries */

struct thread {
	struct list used;
	struct list waiting; /* in itself: it does not wait */
	struct thread *next; /* in its bucket */
	uint64_t offset;     /* of the page that it waits for */
	uint64_t since_ns;
	struct pagein_thread_stats stats;
};

struct thread_slab {
	struct thread_slab *next;
	unsigned used;
	struct thread threads[SLAB_THREADS];
};

void threads_init(struct threads *threads, struct spread *stalls)
{
	*threads = (struct threads){.stalls = stalls};
	list_init(&threads->used);
	list_init(&threads->waiting);
}

void threads_finish(struct threads *threads)
{
	struct thread_slab *slab;

	while ((slab = threads->slabs)) {
		threads->slabs = slab->next;
		free(slab);
	}
}

static bool is_full(const struct threads *threads)
{
	return !threads->slabs || threads->slabs->used == SLAB_THREADS;
}

/* Whose place the next one gets; NULL: none's. */
static struct thread *threads_displaced(const struct threads *threads)
{
	struct thread *oldest;

	if (threads->count < PAGEIN_THREADS_MAX)
		return NULL;
	oldest = list_entry(threads->used.next, struct thread, used);
	return list_empty(&oldest->waiting) || threads->count >= KNOWN_MAX ? oldest : NULL;
}

void threads_reserve(struct threads *threads)
{
	struct thread_slab *slab;

	if (!is_full(threads) || threads_displaced(threads))
		return;
	slab = calloc(1, sizeof *slab);
	if (!slab)
		return;
	slab->next = threads->slabs;
	threads->slabs = slab;
}

/* Neighbouring ids are the rule. */
static struct thread **threads_bucket(struct threads *threads, int32_t tid)
{
	return &threads->buckets[(uint32_t)tid % THREADS_BUCKETS];
}

static struct thread *threads_find(struct threads *threads, int32_t tid)
{
	struct thread *thread = *threads_bucket(threads, tid);

	while (thread && thread->stats.tid != tid)
		thread = thread->next;
	return thread;
}

static void threads_remove(struct threads *threads, struct thread *thread)
{
	struct thread **link = threads_bucket(threads, thread->stats.tid);

	while (*link != thread)
		link = &(*link)->next;
	*link = thread->next;
	list_remove(&thread->used);
	list_remove(&thread->waiting);
}

/* NULL: there is no memory. */
static struct thread *threads_add(struct threads *threads, int32_t tid)
{
	struct thread **bucket = threads_bucket(threads, tid);
	struct thread *thread = threads_displaced(threads);

	threads_reserve(threads);
	if (thread) {
		threads_remove(threads, thread);
	} else if (!is_full(threads)) {
		thread = &threads->slabs->threads[threads->slabs->used++];
		threads->count++;
	} else {
		return NULL;
	}
	*thread = (struct thread){.next = *bucket, .stats.tid = tid};
	list_init(&thread->used);
	list_init(&thread->waiting);
	*bucket = thread;
	return thread;
}

bool threads_begin(struct threads *threads, int32_t tid, uint64_t offset, uint64_t now_ns)
{
	struct thread *thread = threads_find(threads, tid);

	if (!thread)
		thread = threads_add(threads, tid);
	if (!thread)
		return false;
	thread->stats.faults++;
	list_remove(&thread->used);
	list_append(&threads->used, &thread->used);
	/* A signal makes it fault again: it waits as long as it has. */
	if (!list_empty(&thread->waiting) && thread->offset == offset)
		return true;
	thread->offset = offset;
	thread->since_ns = now_ns;
	list_remove(&thread->waiting);
	list_append(&threads->waiting, &thread->waiting);
	return true;
}

/* Microseconds' bits: 0 is bucket 0, 1 is 1, 2 and 3 are 2. */
static unsigned stall_bucket(uint64_t stalled_ns)
{
	uint64_t us = stalled_ns / NS_PER_US;
	unsigned bits = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

	return bits < PAGEIN_STALL_BUCKETS ? bits : PAGEIN_STALL_BUCKETS - 1;
}

static uint64_t thread_count_stall(struct thread *thread, uint64_t now_ns)
{
	uint64_t stalled_ns = now_ns > thread->since_ns ? now_ns - thread->since_ns : 0;

	thread->stats.stalled_ns += stalled_ns;
	if (stalled_ns > thread->stats.stalled_max_ns)
		thread->stats.stalled_max_ns = stalled_ns;
	thread->stats.stalls[stall_bucket(stalled_ns)]++;
	return stalled_ns;
}

void threads_end(struct threads *threads, struct range range, uint64_t now_ns)
{
	list_for_each_safe (node, &threads->waiting) {
		struct thread *thread = list_entry(node, struct thread, waiting);
		uint64_t stalled_ns;

		if (thread->offset < range.start || thread->offset >= range.end)
			continue;
		list_remove(&thread->waiting);
		stalled_ns = thread_count_stall(thread, now_ns);
		if (threads->stalls)
			spread_record(threads->stalls, stalled_ns);
	}
}

uint64_t threads_longest(const struct threads *threads, uint64_t *ret_offset)
{
	const struct thread *thread;

	if (list_empty(&threads->waiting))
		return 0;
	thread = list_entry(threads->waiting.next, const struct thread, waiting);
	*ret_offset = thread->offset;
	return thread->since_ns;
}

unsigned threads_list(const struct threads *threads, struct pagein_thread_stats *ret, size_t max)
{
	const struct list *node = threads->used.prev;

	for (size_t i = 0; i < max && node != &threads->used; i++, node = node->prev)
		ret[i] = list_entry(node, const struct thread, used)->stats;
	return threads->count < PAGEIN_THREADS_MAX ? threads->count : PAGEIN_THREADS_MAX;
}

void threads_add_figures(const struct threads *threads, struct figures *to)
{
	for (const struct list *node = threads->used.prev; node != &threads->used;
		node = node->prev) {
		const struct pagein_thread_stats *stats =
			&list_entry(node, const struct thread, used)->stats;

		figures_add_thread(
			to, &(struct thread_figures){stats->tid, stats->faults, stats->stalled_ns});
	}
}
