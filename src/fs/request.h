/*
 * request.h - FUSE requests that can't be answered at once, and who else waits.
 *
 * A waiter stands in one list at a time, and is resumed once: with 0 when what it waits for has
 * happened, else with -errno. An operation that waits is written as a step that looks at the world
 * from the beginning, answers or waits, and is simply called again when it is resumed.
 *
 * All on one loop's thread: each shard (file.h) has requests of its own.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "list.h"
#include "loop.h"
#include "object.h"

struct directory;
struct file;
struct fs;
struct handle;
struct inode;
struct inquiry;
struct fuse_req;
struct requests;

struct waiter {
	struct list node;
	void (*resume)(struct waiter *self, int err);
};

/* All who are in the list when this is called; they may wait in it again. */
void waiters_resume(struct list *waiters, int err);

struct request {
	struct waiter waiter;
	struct list live;          /* in requests->live, or in requests->free */
	struct requests *requests; /* for ever */
	atomic_bool interrupted;   /* to be looked after; set by the main loop */
	bool killed;               /* found out about an interrupted one */
	struct fs *fs;
	struct fuse_req *fuse;
	struct inode *inode; /* held: the directory of a lookup, else what it is about; NULL: a read
			      */
	uint64_t started_ns;
	bool watched; /* the interrupt function is set */
	union {
		struct {
			struct directory *listing; /* held: whose entry is being probed; or NULL */
			char name[NAME_MAX + 1];
		} lookup;
		int open_flags; /* of an open: open(2)'s */
		struct {
			struct inquiry *inquiry;
			size_t size;
			unsigned which;
		} xattr;
		struct {
			struct handle *handle;
			size_t size;
			off_t offset;
		} list;
		struct {
			struct want want;
			struct list node; /* in file->reads */
			struct file *file;
			struct range range;
			int err;       /* found while fetching */
			bool fetching; /* object_fetch() is on the stack: not to be freed */
		} read;
	};
};

struct requests {
	struct fs *fs;
	struct loop *loop;
	struct list live;
	struct list free;
	struct list chunks;
	struct loop_timer timer; /* looks after the interrupted ones */
	struct loop_task look;   /* the same, at once */
	atomic_bool look_is_posted;
};

void requests_init(struct requests *requests, struct fs *fs, struct loop *loop);
/* None may be live. */
void requests_finish(struct requests *requests);
/* Each is resumed with err. */
void requests_end(struct requests *requests, int err);

/*
 * Takes one from the free list; a malloc only when more are live than ever before. NULL: ENOMEM.
 * inode is held until it is destroyed; only the main loop's requests may have one.
 */
struct request *request_create(struct requests *requests, struct fuse_req *fuse,
	struct inode *inode, void (*resume)(struct waiter *self, int err));
/* It was answered. */
void request_destroy(struct request *request);

/* Must be called before waiting: from here on a killed caller resumes the request with -EINTR. */
void request_watch(struct request *request);

static inline struct request *request_of(struct waiter *waiter)
{
	return container_of(waiter, struct request, waiter);
}
