/*
 * fs_private.h - what the files of this directory share: one mount.
 */
#pragma once

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core.h"
#include "file.h"
#include "fs.h"
#include "loop.h"
#include "metadata.h"
#include "request.h"
#include "session.h"
#include "tree.h"

#define READ_BYTES_MAX (UINT64_C(1) << 20) /* what session.c tells the kernel */

struct session {
	enum session_state state;
	struct fuse_session *fuse;
	struct loop_fd device;
	struct fuse_buf buffer; /* one request */
	bool initialised;       /* INIT has been seen */
};

/* What an extended attribute was asked for last. */
struct known {
	uint64_t number; /* of the inode; 0: of none */
	uint64_t learned_ns;
	struct version version;
	char content_type[CONTENT_TYPE_MAX + 1];
};

struct fs {
	struct loop *loop; /* the main one: shards[0]'s */
	struct source *source;
	struct shard *shards;
	unsigned shard_count;
	atomic_bool stale_found; /* a file is stale, and the tree does not know yet */
	/* The strings are only valid in fs_create(); but source_url is ours, by scheme_url(). */
	struct fs_options options;
	int64_t created_s; /* what is shown where no time is known */

	struct tree tree;
	struct inode *root;
	bool single; /* the root has one entry, and no index that could change */
	uint64_t next_number;

	struct metadata metadata;
	struct session session;
	struct known known;
	struct {
		size_t hand;     /* a bucket of the tree */
		bool is_unknown; /* to this kernel */
	} prune;
	struct list handles;   /* open directories */
	struct list openings;  /* probes for opens */
	struct list live;      /* open files */
	struct list snapshots; /* of the figures: metrics.c */
};

/* fs.c: who waits for anything gets ECONNABORTED. */
void fs_end_requests(struct fs *fs);

/* ops.c: the table, and what is common to its functions. */
extern const struct fuse_lowlevel_ops fs_ops;

struct fs *fs_of(fuse_req_t req);
/* Asserts that there is one: the kernel only asks for what it has looked up. */
struct inode *fs_inode(struct fs *fs, fuse_ino_t number);
void fs_stat(const struct fs *fs, const struct inode *inode, struct stat *ret);
/* Seconds for which the kernel may keep the attributes of this inode. */
double fs_attr_timeout(const struct fs *fs, const struct inode *inode);

/* The requests of the main loop. */
static inline struct requests *fs_requests(struct fs *fs)
{
	return &fs->shards[0].requests;
}

/* ops_dir.c */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
void fs_readdir(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info);
void fs_readdirplus(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info);
void fs_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);

/* The kernel is gone and will not release: all handles are closed. */
void fs_release_directories(struct fs *fs);

/* ops_file.c */
void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info);
void fs_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info);
/* The kernel is gone and will not release: all files are closed. Nobody may wait any more. */
void fs_release_files(struct fs *fs);
/* Is what a probe found the version that this inode is? */
bool inode_is_version(const struct inode *inode, const struct version *version);
/* It is not: reads and opens of it fail, and its name is looked up anew. */
void inode_set_stale(struct fs *fs, struct inode *inode, const struct version *version);
/* What shards have found to be stale becomes known to the tree. */
void fs_notice_stale(struct fs *fs);

/* ops_xattr.c */
void fs_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t number, size_t size);
/* Any thread. */
void fs_reply_xattr(fuse_req_t req, const char *value, size_t size);
