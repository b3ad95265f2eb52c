/*
 * prune.c - the bound on inodes.
 *
 * On the main loop's thread, after a round of requests. An inode is the kernel's: it lives until it
 * is forgotten, and the kernel forgets when memory is short, its own memory, not ours. So when
 * there are more than we want, the kernel is asked to drop those that are not in use, and sends the
 * FORGETs soon after. A hand goes round the table, so that those that were dropped last come last
 * again.
 *
 * P1 The kernel frees a file's pages in our write(2), and would wait there for pages that we have
 * yet to fill. No inode that is open or being opened is named; and the kernel releases a file only
 * when its last read has been answered.
 *
 * Cost: a look at PRUNE_BUCKETS buckets and one system call for each round of requests, as long as
 * there are too many.
 *
 * FUSE_NOTIFY_PRUNE is of Linux 6.18. Before that inodes are bounded by what the kernel keeps.
 * Rejected for these: FUSE_NOTIFY_INVAL_ENTRY, which waits in the kernel for a directory's lock,
 * whose holder may be waiting for us.
 */
#include "prune.h"

#include <errno.h>
#include <sys/uio.h>

#include "fs_private.h"
#include "log.h"

#define PRUNE_BUCKETS 1024
#define PRUNE_IDS 512 /* of one message */

/* From <linux/fuse.h> of 6.18: other headers must do as well. */
#define NOTIFY_PRUNE 9

struct notify_header {
	uint32_t length;
	int32_t code;
	uint64_t unique; /* 0: not an answer */
};

struct notify_prune {
	uint32_t count;
	uint32_t padding;
	uint64_t spare;
};

static bool is_unused(const struct inode *inode)
{
	if (inode->lookups == 0 || inode->refs > 0)
		return false;
	return inode->is_dir || (!inode->file.file && !inode->file.opening); /* P1 */
}

static size_t prune_collect(struct fs *fs, uint64_t ids[PRUNE_IDS], size_t max)
{
	const struct tree *tree = &fs->tree;
	size_t count = 0;

	for (unsigned i = 0; i < PRUNE_BUCKETS && count < max; i++, fs->prune.hand++) {
		const struct inode *inode =
			tree->buckets[fs->prune.hand & (tree->bucket_count - 1)];

		for (; inode && count < max; inode = inode->chain)
			if (is_unused(inode))
				ids[count++] = inode->number;
	}
	return count;
}

void prune_inodes(struct fs *fs)
{
	size_t max = fs->options.inodes_max ? fs->options.inodes_max : INODES_MAX;
	/* Some more than need be, so that the next round has nothing to do. */
	size_t many = fs->tree.count - max + max / 8;
	uint64_t ids[PRUNE_IDS];
	struct notify_prune prune = {0};
	struct notify_header header = {.code = NOTIFY_PRUNE};
	struct iovec iov[] = {{&header, sizeof header}, {&prune, sizeof prune}, {ids, 0}};

	if (fs->tree.count <= max || fs->prune.is_unknown)
		return;
	prune.count = (uint32_t)prune_collect(fs, ids, many < PRUNE_IDS ? many : PRUNE_IDS);
	if (prune.count == 0)
		return;
	iov[2].iov_len = prune.count * sizeof *ids;
	header.length = (uint32_t)(sizeof header + sizeof prune + iov[2].iov_len);
	if (writev(fs->session.device.fd, iov, 3) >= 0 || errno != EINVAL)
		return;
	fs->prune.is_unknown = true;
	log_info("mount: the kernel can't be asked to forget files: it keeps what it likes to");
}
