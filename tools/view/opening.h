/*
 * opening.h - finds out what is at a SOURCE, on a thread of its own, so that who waits for a server
 * can still give up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options;
struct pagein_map;
struct pagein_object;

/* A name in a directory. */
struct opened_name {
	char *name;   /* a directory's with its '/' */
	char *source; /* what opens it */
	uint64_t size;
};

#define OPENED_REASON_MAX 256

/* What was found: an object and its map, or a directory's names, sorted; or why not. */
struct opened {
	char *source;
	struct pagein_object *object;
	struct pagein_map *map;
	struct opened_name *names;
	size_t count;
	bool is_directory;
	char reason[OPENED_REASON_MAX];
};

/* Waits. 0 or -errno, with opened->reason; opened_finish() it in any case. */
int opened_open(struct opened *opened, const char *source, const struct options *options);
void opened_finish(struct opened *opened);

struct opening;

/* The same in a thread; changed_fd is written to when it is done. options outlive it. */
int opening_start(
	const char *source, const struct options *options, int changed_fd, struct opening **ret);
/* -EINPROGRESS; else the result, in *ret, and opening is gone. */
int opening_result(struct opening *opening, struct opened *ret);
/* Nobody waits any more: what comes of it is closed by its own thread. */
void opening_abandon(struct opening *opening);
