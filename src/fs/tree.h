/*
 * tree.h - the inodes that the kernel, or an operation under way, knows.
 *
 * An inode is one version of a file, or a directory for as long as its name is one. Its number is
 * what the kernel calls it by, what stat(2) shows, and never used again, so that there is no
 * generation to keep. Names live in listings (directory.h), not here: which inode a name stands for
 * is the number that its entry has now.
 *
 * All on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

struct directory;
struct entry;
struct file;
struct listing_fetch;
struct opening;

#define ROOT_NUMBER 1 /* FUSE_ROOT_ID */

struct inode_dir {
	struct directory *listing; /* the newest; NULL: none yet */
	uint64_t fetched_ns;
	struct listing_fetch *fetch; /* under way */
};

struct inode_file {
	struct file *file;       /* while it is open */
	struct opening *opening; /* a probe for an open is under way */
	char *validator;  /* of the version that its pages in the kernel have; NULL: never opened */
	struct list live; /* among all that are open */
	uint64_t opens;
	bool stale; /* the object has another version now, or none */
};

struct inode {
	uint64_t number;
	struct inode *parent; /* held; NULL: the root */
	struct inode *chain;
	uint64_t lookups; /* the kernel's references */
	uint64_t refs;    /* ours: children, requests, handles, transfers */
	uint64_t size;    /* of a file: fixed */
	int64_t mtime_s;
	bool is_dir;
	union {
		struct inode_dir dir;
		struct inode_file file;
	};
	const char *href; /* behind the parent's URL; the root's: the URL */
	char name[];
};

struct tree {
	struct inode **buckets; /* by number */
	size_t bucket_count;    /* a power of two */
	size_t count;
};

/* With a root that has the URL `url` and a reference for the caller. -ENOMEM */
int tree_init(struct tree *tree, const char *url, struct inode **ret_root);
/* No inode may be left. */
void tree_finish(struct tree *tree);

/* NULL: the kernel has no such inode. */
struct inode *tree_find(const struct tree *tree, uint64_t number);

/* The inode of an entry, existing or new, with a reference for the caller. -ENOMEM */
int tree_get(
	struct tree *tree, struct inode *parent, const struct entry *entry, struct inode **ret);

struct inode *inode_get(struct inode *inode);
/* Freed when it was the last reference, of the kernel's or ours. */
void inode_put(struct tree *tree, struct inode *inode);
/* The kernel forgets `count` lookups. */
void inode_forget(struct tree *tree, struct inode *inode, uint64_t count);
/* The kernel is gone, with all its references. */
void tree_forget_all(struct tree *tree);

/* What to request. -ENOMEM */
int inode_url(const struct inode *inode, char **ret);
/* The same for an entry of the directory. */
int inode_url_of(const struct inode *inode, const char *href, char **ret);
