/*
 * metadata.h - the network's side of names and attributes: listings of directories, and probes of
 * files whose listing does not tell their size.
 *
 * What was learned is believed for the mount's metadata_ttl_ns, and by an operation that began
 * before it was learned; so a ttl of 0 asks again for each operation, and never twice.
 *
 * All on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "source.h"

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

/* Does the directory have a listing that an operation begun at started_ns may believe? */
bool listing_is_fresh(const struct fs *fs, const struct inode *inode, uint64_t started_ns);
/* Resumes the waiter when there is one, or there can't be. Or returns -errno, and does not. */
int listing_wait(struct fs *fs, struct inode *inode, struct waiter *waiter);
/* A waiter was killed: if it was the last one, nobody wants the answer any more. */
void listing_abandon(struct inode *inode);
/* The next operation asks again. */
void listing_expire(struct inode *inode);

/* Are the entry's attributes known (or why there are none: entry->probe_err)? */
bool entry_is_known(const struct fs *fs, const struct entry *entry, uint64_t started_ns);
/* Asks for them, if nobody does yet. -ENOMEM, or what the source answers. */
int entry_probe(struct fs *fs, struct inode *directory, struct entry *entry);
/* Resumes the waiter, with 0, when the entry's probe, which must be under way, is over. */
void entry_wait(struct entry *entry, struct waiter *waiter);

/* As listing_abandon(). */
void entry_abandon(struct fs *fs, struct entry *entry);

/* The object behind a file was found to be this version, or (NULL) another than the inode's. */
void metadata_found(struct fs *fs, const struct inode *inode, const struct version *version);

/* For how long the kernel may believe this entry (NULL: that there is none), in seconds. */
double entry_timeout(const struct fs *fs, const struct inode *directory, const struct entry *entry);
