/*
 * remote.h - asks what is at a URL, and waits for the answer: for the subcommands that need no
 * mount.
 *
 * Everything runs on the calling thread, which turns the place's own loop until the answer is
 * there. Results are 0 or -errno, with words in place.reason.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "progress.h"
#include "source.h"

struct core;
struct index_entry;
struct options;

/* One URL and what was found there. */
struct place {
	struct loop *loop;
	struct core *core;
	char *url;         /* what is asked for */
	char *location;    /* where an object was found: for pin; NULL: not yet, or a directory */
	bool is_directory; /* its names can be listed; else it is an object: */
	bool has_ranges;   /* the server serves parts of it */
	struct version version; /* its hashes are kept */
	void *bytes;            /* its first bytes, as far as they came along */
	size_t bytes_len;
	struct progress progress;      /* of who waits for answers: counts entries of listings, */
	bool counts_answers;           /* ... or answers to inquiries */
	struct loop_timer tick;        /* shows it, where nothing comes */
	char reason[SOURCE_ERROR_MAX]; /* of a failure: no operation, no URL */
};

/*
 * A URL whose path ends with a '/' is a directory without being asked; of others the server is
 * asked. place_finish() it in any case. Progress is shown for `command`, if there is one:
 * progress_end() it before anything is written to what may be a terminal.
 *
 * -ENOTSUP: an object whose size the server does not tell; -EINVAL: no source at all; else what the
 * server's answer means.
 */
int place_find(struct place *place, const char *command, const char *source,
	const struct options *options);

/* Calls entry for each name, in the server's order; not 0 from it ends the walk and is the result.
 */
int place_list(struct place *place, int (*entry)(const struct index_entry *entry, void *context),
	void *context);

/* The same for another directory of the place's source. */
int place_list_at(struct place *place, const char *url,
	int (*entry)(const struct index_entry *entry, void *context), void *context);

/* One of several questions about objects of a place's source. */
struct inquiry {
	char *url; /* whoever makes it frees it, and location */
	/* the answer */
	int err;
	struct version version;
	char *location;
	char reason[SOURCE_ERROR_MAX];
	/* the place's */
	struct probe probe;
	struct inquiries *all;
};

/* Asks for all versions, some at a time. Each has its own err; the result is of the asking. */
int place_inquire(struct place *place, struct inquiry *list, size_t count);

void place_finish(struct place *place);

/* The last name of an object's URL, decoded, malloc'd; NULL: out of memory. */
char *object_name(const char *url);

/*
 * "pagein COMMAND: SOURCE: REASON" on stderr, SOURCE without its query, which may be a secret;
 * returns the exit status of a failure.
 */
int place_complain(const char *command, const char *source, const char *reason);

/* The words of an error "operation: url: reason" from where the reason starts. */
const char *error_reason(const char *error, const char *url);

#define TIME_TEXT_MAX 32

/* Returns to, filled with a time in ISO 8601, UTC; "-" when it is unknown (-1). */
char *time_text(int64_t time_s, char to[TIME_TEXT_MAX]);

/* ls_manifest.c: all that is in the place and below, as a manifest on stdout, with hashes of all
 * blocks if those are wanted; the exit status. */
int manifest_write(struct place *place, const char *source, bool hashes);

/*
 * ls_hashes.c: reads all of the object that was found at location, and makes its digest and, for
 * hash_list_put(), its blocks'. -ESTALE: it has changed meanwhile; -EIO: it is not what its source
 * says; all else that a read may say.
 */
int hashes_make(struct place *place, const char *location, const struct version *version,
	struct digest *ret_digest, struct hash_list **ret_hashes);
