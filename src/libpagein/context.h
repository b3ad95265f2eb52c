/*
 * context.h - a loop, its thread and its core, shared by objects that were opened with equal
 * options; made for the first of them, gone after the last object and map. There are as many as
 * the options allow (pagein_options.loops), each with connections of its own.
 */
#pragma once

#include <stdbool.h>

#include "core.h"
#include "list.h"
#include "loop.h"
#include "pagein.h"
#include "spread.h"

struct asks;
struct context;
struct figures;
struct limit;
struct threads;

/* What the loop serves; both lists are the loop's. */
struct context_roll {
	struct list objects;     /* of struct pagein_object, by its node */
	struct list maps;        /* of struct pagein_map, by its node */
	struct list served;      /* children: see serve.c */
	struct serving *serving; /* the fork(2) under way; NULL: none, or not to be served */
	/* What a fork(2) has left undone: see fork.c. */
	struct context *context;
	struct loop_task undone;
	struct loop_timer undone_timer;
};

/*
 * One that serves URLs like this one; options->memory is a number of bytes, or 0. Any thread.
 * -ENOMEM, -EMFILE, -EAGAIN (no thread to be had); -EINVAL: options that the URL's source refuses,
 * with words in error (SOURCE_ERROR_MAX bytes).
 */
int context_get(
	const char *url, const struct pagein_options *options, struct context **ret, char *error);
/* Ends one use; the last one waits for the thread's end. Any thread but the loop's own. */
void context_put(struct context *context);

/*
 * Was it made before a fork(2), and are we the child? Then its loop runs in the parent only, and a
 * call into it would wait for ever.
 */
bool context_is_inherited(const struct context *context);

/* A map comes (1) or goes (-1): new objects go where there are few. Any thread. */
void context_count_map(struct context *context, int change);

struct context_roll *context_roll(struct context *context);

/* What signal handlers ask the loop. */
struct asks *context_asks(struct context *context);
struct loop *context_loop(const struct context *context);
struct core *context_core(const struct context *context);
/* The limit of what is kept of fetched pages; 0: nothing is. */
uint64_t context_cache_bytes(const struct context *context);
/* The memory limit of its maps; NULL: none. */
struct limit *context_limit(const struct context *context);
/* Adds what all contexts have counted. */
void context_stats(struct pagein_stats *ret);
/* The counters of all maps, the living and the gone; on the loop. */
struct pagein_stats *context_map_stats(struct context *context);
/* What is counted for the figures (figures.h) alone; on the loop. */
struct context_counts {
	uint64_t fault_hits;
	struct spread wait;      /* of threads that have faulted */
	struct figures *threads; /* of maps that are gone; NULL: nobody wants to know */
};
struct context_counts *context_counts(struct context *context);
/* context_figures.c; on the loop. */
void context_add_figures(struct context *context, struct figures *to);
void context_keep_threads(struct context *context, const struct threads *threads);
/* A page of scratch memory, on the loop. */
void *context_scratch(struct context *context);
/*
 * In the child of a fork: its loop and core are the parent's, as they stood still there. Gives it
 * new ones; the loop has not started. -errno: it is as good as none, context_is_inherited().
 */
int context_renew(struct context *context);
/* Starts the loop; false: as above. */
bool context_restart(struct context *context);
/* For uffd_owns(); on the loop, or while it stands still. Negative: none to be had. */
int context_probe_fd(struct context *context);
unsigned context_fork_policy(const struct context *context);
unsigned context_verify(const struct context *context); /* enum pagein_verify */
/* Does the parent serve this child's maps? Any thread. */
bool context_is_served(const struct context *context);
void context_set_served(struct context *context, bool served);

/* Writes what context_error() returns, of the calling thread. Gives err back. */
int context_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *context_error(void);
