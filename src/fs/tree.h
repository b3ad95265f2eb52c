/*
 * tree.h - the inodes that the kernel, or an operation under way, knows.
 *
 * An inode is one version of a file, or a directory for as long as its name is one. Its number is
 * what the kernel calls it by, what stat(2) shows, and never used again, so that there is no
 * generation to keep. Names live in listings (directory.h), not here: which inode a name stands for
 * is the number that its entry has now. When a directory's listing is dropped for want of room, its
 * names get new numbers at the next one.
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
	struct directory *listing;   /* the newest that is whole; NULL: none yet, or not any more */
	struct list listed;          /* among all that have one, the one used last at the end */
	struct listing_fetch *fetch; /* of another one, under way */
};

struct inode_file {
	struct file *file;       /* while it is open */
	struct opening *opening; /* a probe for an open is under way */
	char *validator; /* of the version that its pages in the kernel have; NULL: never opened */
	uint32_t opens;
	bool stale; /* the object has another version now, or none */
};

struct inode {
	uint64_t number;
	struct inode *parent; /* held; NULL: the root */
	struct inode *chain;
	uint64_t lookups; /* the kernel's references */
	uint32_t refs;    /* ours: children, requests, handles, transfers */
	bool is_dir;
	uint64_t size;             /* of a file: fixed */
	uint64_t listed_validator; /* of a file: a hash, as in its entry; 0: unknown */
	int64_t mtime_s;
	union {
		struct inode_dir dir;
		struct inode_file file;
	};
	const char *href; /* behind the parent's URL; the root's: the URL; may be the name */
	char name[];
};

struct tree {
	struct inode **buckets; /* by number */
	size_t bucket_count;    /* a power of two */
	size_t count;
	struct list listed;    /* directories, by when their listings were last used */
	size_t listed_entries; /* of all these listings */
};

/* With a root that has the URL `url` and a reference for the caller. -ENOMEM */
int tree_init(struct tree *tree, const char *url, struct inode **ret_root);
/* No inode may be left. */
void tree_finish(struct tree *tree);

/* NULL: the kernel has no such inode. */
struct inode *tree_find(const struct tree *tree, uint64_t number);

/*
 * The inode of an entry, existing or new, with a reference for the caller. -ENOMEM. -ESTALE: the
 * inode of this number has another size: the entry must get another number.
 */
int tree_get(
	struct tree *tree, struct inode *parent, const struct entry *entry, struct inode **ret);

struct inode *inode_get(struct inode *inode);
/* Freed when it was the last reference, of the kernel's or ours. */
void inode_put(struct tree *tree, struct inode *inode);
/* The kernel forgets `count` lookups. */
void inode_forget(struct tree *tree, struct inode *inode, uint64_t count);
/* The kernel is gone, with all its references. */
void tree_forget_all(struct tree *tree);

/* Takes the caller's reference over; NULL: it has no listing any more. */
void tree_set_listing(struct tree *tree, struct inode *inode, struct directory *listing);
/* This listing is not the next to be dropped. */
void tree_use_listing(struct tree *tree, struct inode *inode);
/* Drops those that have not been used for longest, but for the last, until max entries are left. */
void tree_drop_listings(struct tree *tree, size_t max);

/* The names of the directories that hold rests of long names (directory.h), down to this one and
 * without those above them; malloc'd, the names are the inodes'. -ENOMEM */
int inode_inside(const struct inode *inode, const char ***ret, size_t *ret_depth);

/* What to request. -ENOMEM */
int inode_url(const struct inode *inode, char **ret);
/* The same for an entry of the directory. */
int inode_url_of(const struct inode *inode, const char *href, char **ret);
