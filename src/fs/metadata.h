/*
 * metadata.h - the network's side of names and attributes: listings of directories, and probes of
 * files whose listing does not tell their size.
 *
 * What was learned is believed for the mount's metadata_ttl_ns (that there is no such name: for its
 * negative_ttl_ns), and by an operation that began before it was learned; so a ttl of 0 asks again
 * for each operation, and never twice. A listing that comes in pages is of use from the first one
 * on: names that are in it are found, and open directories read it as it grows.
 *
 * All on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "source.h"

struct directory;
struct entry;
struct fs;
struct inode;
struct version;
struct waiter;

struct metadata {
	struct list probes;  /* all: under way and queued */
	struct list queue;   /* those that wait for their turn */
	struct list fetches; /* of listings */
	unsigned active;
	/* The words of the last failure. */
	char error[SOURCE_ERROR_MAX];
};

void metadata_init(struct metadata *metadata);
/* Everything under way is cancelled; whoever still waits for it is not resumed. */
void metadata_finish(struct fs *fs);

/*
 * What a name stands for, as far as an operation begun at started_ns may believe what is known.
 * False: nothing is known. True with a NULL entry: there is no such name. The listing is the
 * entry's (or the one without it), and lives until the loop goes on.
 */
struct found {
	struct entry *entry;
	struct directory *listing;
};
bool listing_find(struct fs *fs, struct inode *inode, const char *name, uint64_t started_ns,
	struct found *ret);
/* A listing to read: a whole one that may be believed, or one that is arriving and has something to
 * show. NULL: there is none. */
struct directory *listing_to_read(struct fs *fs, struct inode *inode, uint64_t started_ns);
/* Resumes the waiter when there is more of one, or there can't be. Or returns -errno, and does not.
 */
int listing_wait(struct fs *fs, struct inode *inode, struct waiter *waiter);
/* A waiter was killed, or a reader has closed: if it was the last one, nobody wants the rest. */
void listing_abandon(struct inode *inode);
/* The next operation asks again. */
void listing_expire(struct inode *inode);

/* Are the entry's attributes known (or why there are none: entry->probe_err)? */
bool entry_is_known(const struct fs *fs, const struct entry *entry, uint64_t started_ns);
/* Asks for them, if nobody does yet. -ENOMEM, or what the source answers. */
int entry_probe(
	struct fs *fs, struct inode *directory, struct directory *listing, struct entry *entry);
/* Resumes the waiter, with 0, when the entry's probe, which must be under way, is over. */
void entry_wait(struct entry *entry, struct waiter *waiter);

/* As listing_abandon(). */
void entry_abandon(struct fs *fs, struct entry *entry);

/* The object behind a file was found to be this version, or (NULL) another than the inode's. */
void metadata_found(struct fs *fs, const struct inode *inode, const struct version *version);

/* True: which version this file is need not be asked: a listing that is believed for ever says so.
 */
bool metadata_believed(struct fs *fs, const struct inode *inode, struct version *ret);

/* For how long the kernel may believe this entry (NULL: that there is none), in seconds. */
double entry_timeout(
	const struct fs *fs, const struct directory *listing, const struct entry *entry);
