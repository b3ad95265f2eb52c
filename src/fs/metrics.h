/*
 * metrics.h - .pagein/metrics: a mount's figures (core/figures.h) as a file in its root.
 *
 * The directory and the file have numbers that the tree gives to nobody, and operations of their
 * own, which the table's functions call when they are asked for one of the two. None of them asks
 * the source for anything. The root's readdir does not show the directory.
 *
 * All on the main loop, but for the last part of an open (metrics.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "list.h"
#include "tree.h"

#define METRICS_DIRECTORY ".pagein"       /* the source's own is shown escaped: SEMANTICS.md, N10 */
#define METRICS_NUMBERS (ROOT_NUMBER + 1) /* the directory's, and the file's behind it */
#define METRICS_NUMBER_COUNT 2

struct fs;
struct fuse_file_info;
struct fuse_req;

static inline bool metrics_owns(uint64_t number)
{
	return number - METRICS_NUMBERS < METRICS_NUMBER_COUNT;
}

/* true: the name is ours, and has been answered. */
bool metrics_lookup_in_root(struct fs *fs, struct fuse_req *fuse, const char *name);

void metrics_lookup(struct fs *fs, struct fuse_req *fuse, uint64_t parent, const char *name);
void metrics_getattr(struct fs *fs, struct fuse_req *fuse, uint64_t number);
void metrics_readdir(struct fs *fs, struct fuse_req *fuse, size_t size, off_t offset, bool plus);
void metrics_open(struct fs *fs, struct fuse_req *fuse, const struct fuse_file_info *info);
void metrics_read(
	struct fuse_req *fuse, size_t size, off_t offset, const struct fuse_file_info *info);
void metrics_release(struct fuse_req *fuse, const struct fuse_file_info *info);

/* The kernel is gone and will not release; nobody is being answered any more. */
void metrics_finish(struct fs *fs);
