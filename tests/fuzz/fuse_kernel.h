/*
 * fuse_kernel.h - the kernel's side of a FUSE connection, as far as it can be relied on, and no
 * further: what it asks about it has looked up, what it reads it has opened, and it forgets what
 * nothing uses. All else that it says is the caller's.
 *
 * Held against every answer: it is one to a question, and the only one; a node is one version of
 * one file, whose size never changes; bytes that are read are that version's, and all that were
 * asked for up to the end; a directory's entries are well formed and go on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

struct fuse_session;

#define KERNEL_NODES_MAX 1024
#define KERNEL_HANDLES_MAX 64
#define KERNEL_PENDING_MAX 512
#define KERNEL_KILLED 4000000 /* this process id has been killed: beyond any pid_max */

struct node {
	uint64_t number;
	uint64_t lookups; /* 0: not known any more */
	uint64_t size;
	uint64_t versions; /* 1 << seed of each that it may be */
	unsigned busy;     /* questions about it, and handles */
	bool is_dir;
};

struct kernel_handle {
	struct node *node; /* NULL: closed */
	uint64_t fh;
	unsigned busy; /* questions about it */
};

struct pending {
	uint64_t unique; /* 0: none */
	uint32_t opcode;
	struct node *node;
	struct kernel_handle *handle;
	uint64_t offset;
	size_t size;
};

struct kernel {
	struct node nodes[KERNEL_NODES_MAX]; /* the first is the root */
	size_t node_count;
	struct kernel_handle handles[KERNEL_HANDLES_MAX];
	struct pending pending[KERNEL_PENDING_MAX];
	size_t pending_count;
	uint64_t next_unique;
	int mount_err;          /* of a mount: no such directory, or (EIO) it is refused */
	const char *mount_type; /* what is there already; NULL: nothing */
	const char *mount_path; /* of the directory */
	int device_err;         /* /dev/fuse */
	int device;             /* what the session thinks to be /dev/fuse */
	bool is_gone;           /* reading the device fails: unmounted */
	bool refuses_answer;    /* the next one: its question was aborted */
	bool knows_prune;
	uint64_t prune[512]; /* asked for */
	size_t prune_count;
};
extern struct kernel kernel;

/* What is known of an object's versions: 1 << seed of those that have this size. */
extern uint64_t (*kernel_versions)(uint64_t size);

void kernel_reset(void);

/*
 * A question: the header is made here, the body is `length` bytes. It waits until
 * kernel_deliver() lets the session read it.
 */
struct question {
	uint32_t opcode;
	uint32_t pid;
	struct node *node;
	struct kernel_handle *handle; /* or NULL */
	uint64_t offset;
	size_t size; /* that an answer may have; what for depends on the opcode */
};
/* Returns where its body is, zeroed. */
void *kernel_ask(const struct question *question, size_t length);
/* Forgets what it has not used any more. */
void kernel_forget(struct node *node, uint64_t count);

/*
 * No mount is made: the session talks to this kernel. fuse_kernel.c wraps (--wrap)
 * fuse_session_mount, mount_point_find, access, open64 and writev.
 */
