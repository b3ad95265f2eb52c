/*
 * threads.h - which threads fault, and for how long each waits. Pure; its owner gives the time.
 *
 * A thread waits for one page at a time. So what waits is a property of the thread, and there is
 * nothing to be made on the way of a fault but, once for every 16 new threads, room for them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "pagein.h"
#include "range.h"

#define THREADS_BUCKETS 64

struct figures;
struct spread;
struct thread;
struct thread_slab;

struct threads {
	struct list used;    /* all that are known; who has faulted last is last */
	struct list waiting; /* those that wait now */
	struct thread *buckets[THREADS_BUCKETS];
	struct thread_slab *slabs;
	unsigned count;
	struct spread *stalls; /* where all are counted together; NULL: nowhere */
};

void threads_init(struct threads *threads, struct spread *stalls);
void threads_finish(struct threads *threads);

/* Makes room for a new thread, where there is time. */
void threads_reserve(struct threads *threads);

/* A fault of thread tid on the page at offset has been read. false: no memory. */
bool threads_begin(struct threads *threads, int32_t tid, uint64_t offset, uint64_t now_ns);

/* Who waits for a page of range does so no longer. */
void threads_end(struct threads *threads, struct range range, uint64_t now_ns);

/* Since when the thread waits that does so for longest, and for which page; 0: none does. */
uint64_t threads_longest(const struct threads *threads, uint64_t *ret_offset);

/* Up to max of them, who has faulted last first; how many are known, PAGEIN_THREADS_MAX at most. */
unsigned threads_list(const struct threads *threads, struct pagein_thread_stats *ret, size_t max);

/* Adds all of them. */
void threads_add_figures(const struct threads *threads, struct figures *to);
