/*
 * file.h - an open file: its object, and the reads that wait for its bytes.
 *
 * A mount has one or more shards, each with a loop, a core and connections of its own. An open file
 * belongs to one of them, and all of its reads are served there; so its object needs no lock, and
 * reads join what others have asked for. The first shard is the main loop's, which also has the
 * device, the tree and all that is not a read; it hands the reads of other shards' files over.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "failed.h"
#include "list.h"
#include "loop.h"
#include "range.h"
#include "request.h"
#include "spread.h"

struct core;
struct figures;
struct fs;
struct fuse_req;
struct inode;
struct object;
struct probe;

struct shard {
	struct fs *fs;
	struct loop *loop;
	struct core *core;
	struct requests requests; /* of its reads; the main shard's: of all else, too */
	unsigned files;           /* that are open; on the main loop */
	struct {
		uint64_t reads, hits, failures, bytes;
		struct spread wait;
	} counts; /* of reads; on its loop */
};

/* Adds what the shard has counted; on its loop. */
void shard_add_figures(const struct shard *shard, struct figures *to);

struct file {
	struct shard *shard;
	uint64_t size;
	struct object *object; /* NULL: it could not be made, which reads are told */
	struct list reads;     /* that wait for bytes; on the shard's loop, as is object */
	struct failed failed;  /* ... and this */
	bool closed;           /* by the kernel: gone with the last read */
	atomic_bool stale;     /* the object has another version now, or none */
	struct inode *inode;   /* on the main loop, as is live */
	struct list live;      /* among all open files */
	struct loop_task open_task;
	struct loop_task close_task;
	struct probe *opened; /* what it is made of; until it is */
};

/*
 * An open file of what a probe has found, on the shard with the fewest; main loop. -ENOMEM;
 * -ENOTSUP: it can't be verified, as the mount shall.
 * probe->bytes are copied.
 */
int file_open(struct fs *fs, const struct probe *probe, struct file **ret);

/* Nobody will read it any more; reads that wait are still answered. Main loop. */
void file_close(struct file *file);

/* Answers the request for an extended attribute, of size bytes at the most (0: tells how long it
 * is), with the number of bytes that the mount holds of the file. Main loop. */
void file_tell_resident(struct file *file, struct fuse_req *fuse, size_t size);

/* Answers the request with the bytes of range (not empty, inside the file), now or later. Main
 * loop. */
void file_read(struct file *file, struct fuse_req *fuse, struct range range);
