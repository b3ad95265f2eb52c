/*
 * figures.h - what a mount or a process with libpagein has done so far, and is doing, as others
 * read it: one list of names, and their text as OpenMetrics 1.0 has it.
 *
 * Who counts is the owner of what is counted, on its loop, in plain numbers. Who wants to know
 * takes an empty struct figures from loop to loop, where each adds its own (core_add_figures(), and
 * the doors' own), and writes the text at the end: no counter is shared, none takes a lock.
 *
 * Of objects and threads the most used are named, FIGURES_OBJECTS and FIGURES_THREADS at the most;
 * a loop remembers RANKING_ROWS of its objects (ranking.h). One that had to leave its place to
 * others and comes back begins from zero. All the other counters only grow, for as long as the
 * mount, or an object or map of the process, is there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spread.h"

#define FIGURES_OBJECTS 32 /* that are shown */
#define FIGURES_THREADS 32 /* likewise */
#define OBJECT_NAME_MAX \
	239 /* bytes of an object's name; longer ones with an equal beginning are one */
#define FIGURES_ROOM 256 /* objects, and threads, that are put together from all loops */

enum figures_door { FIGURES_MOUNT, FIGURES_PROCESS };

/* In the order in which they are shown; figures.c has what each is. */
enum figure {
	FIGURE_READS,
	FIGURE_READ_HITS,
	FIGURE_READ_FAILURES,
	FIGURE_READ_BYTES,
	FIGURE_FAULTS,
	FIGURE_FAULT_HITS,
	FIGURE_FILLS,
	FIGURE_FILLED_BYTES,
	FIGURE_ZERO_PAGES,
	FIGURE_POISONED_PAGES,
	FIGURE_EVICTED_PAGES,
	FIGURE_REFILLED_PAGES,
	FIGURE_HUGE_FILLS,
	FIGURE_HUGE_FALLBACKS,
	FIGURE_REQUESTS,
	FIGURE_FETCHED_BYTES,
	FIGURE_QUESTIONS,
	FIGURE_QUESTION_BYTES,
	FIGURE_RETRIES,
	FIGURE_HEDGES,
	FIGURE_HEDGES_WON,
	FIGURE_CONNECTIONS_OPENED,
	FIGURE_CONNECTIONS,
	FIGURE_TRANSFERS,
	FIGURE_OBJECTS_OPEN,
	FIGURE_CACHED_BYTES,
	FIGURE_OPEN_FILES,
	FIGURE_INODES,
	FIGURE_NAMES,
	FIGURE_MAPS,
	FIGURE_RESIDENT_BYTES,
	FIGURE_PINNED_BYTES,
	FIGURE_COUNT,
};

/* Where the time of those who wait goes. */
enum figure_spread {
	SPREAD_WAIT,       /* the doors': from a read or fault to its answer */
	SPREAD_QUEUE,      /* from the wish for a range to its request */
	SPREAD_FIRST_BYTE, /* from the request to its answer */
	SPREAD_BODY,       /* from the answer to the range's last byte */
	SPREAD_COUNT,
};

struct object_figures {
	uint64_t uses;       /* reads, or faults */
	uint64_t used_bytes; /* that were read, or filled */
	uint64_t requests;
	uint64_t fetched_bytes;
	uint64_t failures; /* ranges that could not be had */
};

struct thread_figures {
	int32_t tid;
	uint64_t faults, stalled_ns;
};

struct figures {
	enum figures_door door;
	uint64_t values[FIGURE_COUNT];
	struct spread spreads[SPREAD_COUNT];
	unsigned object_count;
	struct named_figures {
		char name[OBJECT_NAME_MAX + 1];
		struct object_figures counts;
	} objects[FIGURES_ROOM];
	unsigned thread_count;
	struct thread_figures threads[FIGURES_ROOM];
};

/* Empty; 80 KiB. NULL: out of memory. */
struct figures *figures_create(enum figures_door door);

void object_figures_add(struct object_figures *to, const struct object_figures *from);

/* Adds to the object of this name, or the thread; one that is new takes the place of the least
 * used if there is no room. */
void figures_add_object(
	struct figures *figures, const char *name, const struct object_figures *counts);
void figures_add_thread(struct figures *figures, const struct thread_figures *thread);
/* All of it. */
void figures_add(struct figures *to, const struct figures *from);
/* What is now, and not counted, is no more: its owner has gone. */
void figures_clear_gauges(struct figures *figures);

/* The text, malloc'd; its length in *ret_length. Sorts the objects and threads. -ENOMEM */
int figures_print(struct figures *figures, char **ret, size_t *ret_length);

/* All that there may be, one after the other: for those who explain and those who check. */
struct figure_info {
	const char *name;  /* of the family: a counter's samples have _total behind it */
	const char *type;  /* "counter", "gauge", "histogram" */
	const char *unit;  /* "", "bytes", "seconds" */
	const char *label; /* "" if it has none */
	const char *help;
	bool doors[2]; /* by enum figures_door */
};
/* False: there are no more than `index`. */
bool figure_info(unsigned index, struct figure_info *ret);
