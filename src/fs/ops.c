/*
 * ops.c - the table of operations, and those of them that need neither the network nor a moment.
 *
 * On the loop's thread, called by libfuse from session.c. Attributes come from the inode: one
 * version of a file has one size and one time for as long as it is known, so that the kernel may
 * keep a file's attributes as long as it likes; what expires is the name (the entry's timeout).
 *
 * What is not in the table is answered ENOSYS by libfuse, and the kernel does not ask again: flush,
 * fsync, access (the kernel checks permissions itself), locks.
 */
#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

#include "clock.h"
#include "fs_private.h"
#include "index.h"
#include "metrics.h"

#define ATTR_TIMEOUT_S 86400.0
#define STAT_BLOCK_BYTES 512
/* Not larger: Python's open() reads st_blksize bytes for the first one that is asked for. */
#define PREFERRED_BYTES 4096

struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct inode *fs_inode(struct fs *fs, fuse_ino_t number)
{
	struct inode *inode = tree_find(&fs->tree, number);

	assert(inode);
	return inode;
}

void fs_stat(const struct fs *fs, const struct inode *inode, struct stat *ret)
{
	time_t time = (time_t)(inode->mtime_s >= 0 ? inode->mtime_s : fs->created_s);

	*ret = (struct stat){
		.st_ino = inode->number,
		.st_mode = inode->is_dir ? S_IFDIR | fs->options.dir_mode
					 : S_IFREG | fs->options.file_mode,
		/* Of a directory, 1 means that its subdirectories were not counted. */
		.st_nlink = 1,
		.st_uid = fs->options.uid,
		.st_gid = fs->options.gid,
		.st_size = (off_t)inode->size,
		.st_blksize = PREFERRED_BYTES,
		.st_blocks = (blkcnt_t)((inode->size + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES),
		.st_atim.tv_sec = time,
		.st_mtim.tv_sec = time,
		.st_ctim.tv_sec = time,
	};
}

double fs_attr_timeout(const struct fs *fs, const struct inode *inode)
{
	double ttl_s = (double)fs->options.metadata_ttl_ns / (double)NS_PER_S;

	return inode->is_dir && ttl_s < ATTR_TIMEOUT_S ? ttl_s : ATTR_TIMEOUT_S;
}

static void fs_getattr(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct inode *inode;
	struct stat attributes;

	(void)info;
	if (metrics_owns(number)) {
		metrics_getattr(fs, req, number);
		return;
	}
	inode = fs_inode(fs, number);
	fs_stat(fs, inode, &attributes);
	fuse_reply_attr(req, &attributes, fs_attr_timeout(fs, inode));
}

static void fs_forget(fuse_req_t req, fuse_ino_t number, uint64_t count)
{
	struct fs *fs = fs_of(req);

	if (!metrics_owns(number))
		inode_forget(&fs->tree, fs_inode(fs, number), count);
	fuse_reply_none(req);
}

static void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs *fs = fs_of(req);

	for (size_t i = 0; i < count; i++)
		if (!metrics_owns(forgets[i].ino))
			inode_forget(&fs->tree, fs_inode(fs, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

/* How large a web server is, nobody knows: df shows no sizes, which is true. */
static void fs_statfs(fuse_req_t req, fuse_ino_t number)
{
	struct statvfs status = {
		.f_bsize = PREFERRED_BYTES,
		.f_frsize = PREFERRED_BYTES,
		.f_namemax = INDEX_NAME_MAX,
	};

	(void)number;
	fuse_reply_statfs(req, &status);
}

/* ---- what would change something ---------------------------------------------------------- */

/* The kernel refuses most of these itself on a mount with "ro"; root can remount it with "rw". */
static void refuse(fuse_req_t req)
{
	fuse_reply_err(req, EROFS);
}

static void fs_setattr(
	fuse_req_t req, fuse_ino_t number, struct stat *attr, int set, struct fuse_file_info *info)
{
	(void)number, (void)attr, (void)set, (void)info;
	refuse(req);
}

static void fs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)parent, (void)name, (void)mode, (void)device;
	refuse(req);
}

static void fs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	refuse(req);
}

/* unlink and rmdir */
static void fs_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	refuse(req);
}

static void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target, (void)parent, (void)name;
	refuse(req);
}

static void fs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	(void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
	refuse(req);
}

static void fs_link(fuse_req_t req, fuse_ino_t number, fuse_ino_t parent, const char *name)
{
	(void)number, (void)parent, (void)name;
	refuse(req);
}

static void fs_create_file(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *info)
{
	(void)parent, (void)name, (void)mode, (void)info;
	refuse(req);
}

static void fs_write(fuse_req_t req, fuse_ino_t number, const char *bytes, size_t size,
	off_t offset, struct fuse_file_info *info)
{
	(void)number, (void)bytes, (void)size, (void)offset, (void)info;
	refuse(req);
}

static void fs_fallocate(fuse_req_t req, fuse_ino_t number, int mode, off_t offset, off_t length,
	struct fuse_file_info *info)
{
	(void)number, (void)mode, (void)offset, (void)length, (void)info;
	refuse(req);
}

static void fs_setxattr(fuse_req_t req, fuse_ino_t number, const char *name, const char *value,
	size_t size, int flags)
{
	(void)number, (void)name, (void)value, (void)size, (void)flags;
	refuse(req);
}

static void fs_removexattr(fuse_req_t req, fuse_ino_t number, const char *name)
{
	(void)number, (void)name;
	refuse(req);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = session_init,
	.lookup = fs_lookup,
	.forget = fs_forget,
	.forget_multi = fs_forget_multi,
	.getattr = fs_getattr,
	.statfs = fs_statfs,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.readdirplus = fs_readdirplus,
	.releasedir = fs_releasedir,
	.open = fs_open,
	.read = fs_read,
	.release = fs_release,

	.getxattr = fs_getxattr,
	.listxattr = fs_listxattr,

	.setattr = fs_setattr,
	.mknod = fs_mknod,
	.mkdir = fs_mkdir,
	.unlink = fs_remove,
	.rmdir = fs_remove,
	.symlink = fs_symlink,
	.rename = fs_rename,
	.link = fs_link,
	.create = fs_create_file,
	.write = fs_write,
	.fallocate = fs_fallocate,
	.setxattr = fs_setxattr,
	.removexattr = fs_removexattr,
};
