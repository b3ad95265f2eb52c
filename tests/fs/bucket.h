/*
 * bucket.h - a bucket without a network: keys of any bytes, listed in pages as S3 does, mounted in
 * a process of its own by the real fs_create() on the real kernel.
 *
 * bucket.c defines http_source_create(), so that a core gets a source that answers out of memory.
 * The objects, the counters and what slows the answers down are in memory that the server shares
 * with the test: what a test changes is what the next request finds. Objects change only while
 * nobody asks. The oracle is bucket_byte(): content is a function of seed and offset.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "check.h"
#include "fs.h"

#define BUCKET_URL "http://bucket/"
#define BUCKET_MTIME 1714979280

struct bucket_object {
	size_t key_at; /* in bucket->keys */
	size_t key_length;
	uint64_t size;
	unsigned seed; /* of the bytes, and the version */
};

struct bucket {
	struct bucket_object *objects; /* by key */
	size_t count, max;
	char *keys;
	size_t keys_used, keys_max;
	/* how it answers */
	size_t page_keys;       /* names in a page of a listing */
	bool lists_etags;       /* and sizes; else neither */
	atomic_ulong pages_max; /* no more pages than that, for the time being */
	atomic_int list_err;    /* what a listing ends with after pages_max pages; 0: it waits */
	atomic_ulong heads_max; /* as pages_max */
	/* what it was asked for */
	atomic_ulong lists, pages, ends, heads, probes, gets;
	/* and what the mount had when it was asked for anything last */
	atomic_ulong inodes, names;
};

/* Ends the test program with 77 when this machine can't mount. */
void bucket_require_fuse(void);

struct bucket *bucket_create(size_t objects_max, size_t keys_max);
void bucket_destroy(struct bucket *bucket);
/* Not sorted, and not unique: bucket_sort() makes it so. */
void bucket_add(
	struct bucket *bucket, const char *key, size_t length, uint64_t size, unsigned seed);
void bucket_sort(struct bucket *bucket);
void bucket_clear(struct bucket *bucket);
void bucket_reset_counts(struct bucket *bucket);

const char *bucket_key(const struct bucket *bucket, const struct bucket_object *object);
/* NULL: there is none. */
struct bucket_object *bucket_find(struct bucket *bucket, const char *key, size_t length);
unsigned char bucket_byte(unsigned seed, uint64_t offset);

struct bucket_mount {
	char mnt[64];
	pid_t server;
};

/* As fs_options, whose source, mount point and callbacks are set here. */
void bucket_mount(
	struct bucket *bucket, struct bucket_mount *mount, const struct fs_options *options);
struct fs_options bucket_options(void);
/* The server must end with 0. */
void bucket_unmount(struct bucket_mount *mount);
/* After a failure; a mount that is gone is fine. */
void bucket_clean(struct bucket_mount *mount);

/* A path below the mount; good until the eighth call after this one. */
const char *bucket_path(const struct bucket_mount *mount, const char *name);
