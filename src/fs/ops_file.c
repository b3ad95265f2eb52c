/*
 * ops_file.c - files: open, read, release.
 *
 * On the main loop's thread.
 *
 *  inode:   closed --open--> opening --probe, same version--> live --last release--> closed
 *                                   \--another version--> stale (ESTALE)
 *
 * A live inode has one open file (file.h), shared by all who have it open; opening it again asks
 * nobody. An inode that was open before has pages in the kernel's cache, and a validator that says
 * of which version: the probe must find the same, or the inode is stale and its name gets another
 * one. The kernel answers the ESTALE itself: it looks the name up again and opens what it finds.
 *
 * Cost of a read: one hash lookup, and file.c.
 *
 * Rejected: FOPEN_DIRECT_IO for who has not asked for O_DIRECT (no shared mappings).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"
#include "fs_private.h"
#include "log.h"
#include "metrics.h"
#include "object.h"

struct opening {
	struct list node;
	struct probe probe;
	struct fs *fs;
	struct inode *inode;
	struct list waiting;
	struct version believed;
	char *url;
};

/* ---- open --------------------------------------------------------------------------------- */

static void inode_close_if_unused(struct inode *inode)
{
	/* The reply to the last of several may have failed, too. */
	if (inode->file.opens > 0 || !inode->file.file)
		return;
	list_remove(&inode->file.file->live);
	file_close(steal_pointer(&inode->file.file));
}

/*
 * The caller calls inode_close_if_unused() when all who wait have their answers: of several, the
 * first one's may be refused.
 */
static void reply_open(struct fs *fs, fuse_req_t fuse, struct inode *inode, int flags)
{
	struct inode_file *file = &inode->file;
	/* Without a validator, nobody knows if the pages of the last time are still right. */
	bool is_known = *file->validator != '\0' || fs->options.immutable;
	struct fuse_file_info info = {
		.keep_cache = file->opens > 0 || is_known,
		/* So that a read(2) can be interrupted, which it can't when the kernel makes it an
		 * asynchronous one; those of io_submit(2) and io_uring are asynchronous all the
		 * same. */
		.direct_io = (flags & O_DIRECT) != 0,
		.noflush = 1,
	};

	file->opens++;
	if (fuse_reply_open(fuse, &info) < 0)
		file->opens--; /* nobody will release it */
}

static void opening_destroy(struct opening *opening)
{
	list_remove(&opening->node);
	opening->inode->file.opening = NULL;
	inode_put(&opening->fs->tree, opening->inode);
	free(opening->url);
	free(opening);
}

bool inode_is_version(const struct inode *inode, const struct version *version)
{
	const char *validator = version_validator(version);

	if (version->size != inode->size)
		return false;
	if (inode->file.validator)
		return strcmp(inode->file.validator, validator) == 0;
	return !inode->listed_validator || inode->listed_validator == validator_hash(validator);
}

void inode_set_stale(struct fs *fs, struct inode *inode, const struct version *version)
{
	inode->file.stale = true;
	metadata_found(fs, inode, version);
}

static int inode_make_live(struct fs *fs, struct inode *inode, const struct probe *probe)
{
	int err;

	if (!inode->file.validator)
		inode->file.validator = strdup(version_validator(&probe->version));
	if (!inode->file.validator)
		return -ENOMEM;
	err = file_open(fs, probe, &inode->file.file);
	if (err < 0)
		return err;
	inode->file.file->inode = inode;
	list_append(&fs->live, &inode->file.file->live);
	return 0;
}

static int opening_result(struct opening *opening, int err)
{
	struct inode *inode = opening->inode;
	struct fs *fs = opening->fs;

	if (err < 0) {
		if (err == -ENOENT)
			metadata_found(fs, inode, NULL);
		else
			log_warning("%s", opening->probe.error);
		return err;
	}
	if (!inode_is_version(inode, &opening->probe.version)) {
		log_info("open: %s: another version than listed", inode->name);
		inode_set_stale(fs, inode, &opening->probe.version);
		return -ESTALE;
	}
	return inode_make_live(fs, inode, &opening->probe);
}

static void opening_done(struct probe *probe, int err)
{
	struct opening *opening = container_of(probe, struct opening, probe);
	struct inode *inode = inode_get(opening->inode);
	struct fs *fs = opening->fs;
	struct list waiting;

	err = opening_result(opening, err);
	list_init(&waiting);
	list_splice(&waiting, &opening->waiting);
	opening_destroy(opening);
	waiters_resume(&waiting, err);
	if (err == 0)
		inode_close_if_unused(inode); /* they have all been killed, or refused */
	inode_put(&fs->tree, inode);
}

/*
 * All of a short file comes with the answer, so that who reads it has no other request to wait for;
 * unless the file was open before: the kernel may have all of it.
 */
static size_t opening_bytes(const struct inode *inode)
{
	bool whole = inode->size <= PROBE_BYTES_MAX && !inode->file.validator;

	return whole ? align_up(inode->size, PROBE_BYTES) : 0;
}

static int opening_start(struct fs *fs, struct inode *inode)
{
	struct opening *opening = calloc(1, sizeof *opening);
	int err;

	if (!opening)
		return -ENOMEM;
	list_init(&opening->waiting);
	list_append(&fs->openings, &opening->node);
	opening->fs = fs;
	opening->inode = inode_get(inode);
	inode->file.opening = opening;
	err = inode_url(inode, &opening->url);
	if (err == 0) {
		opening->probe.url = opening->url;
		opening->probe.bytes_wanted = opening_bytes(inode);
		if (metadata_believed(fs, inode, &opening->believed))
			opening->probe.believed = &opening->believed;
		opening->probe.done = opening_done;
		err = fs->source->ops->probe(fs->source, &opening->probe);
	}
	if (err < 0)
		opening_destroy(opening);
	return err;
}

static void opening_cancel(struct opening *opening)
{
	opening->fs->source->ops->probe_cancel(opening->fs->source, &opening->probe);
	opening_destroy(opening);
}

/* The probe has been answered: with 0, the file is live. Or the caller was killed. */
static void open_resume(struct waiter *waiter, int err)
{
	struct request *request = request_of(waiter);
	struct inode *inode = request->inode;

	if (err == 0)
		reply_open(request->fs, request->fuse, inode, request->open_flags);
	else
		fuse_reply_err(request->fuse, -err);
	if (inode->file.opening && list_empty(&inode->file.opening->waiting))
		opening_cancel(inode->file.opening);
	request_destroy(request);
}

static int open_wait(struct fs *fs, fuse_req_t fuse, struct inode *inode, int flags)
{
	struct request *request;
	int err = inode->file.opening ? 0 : opening_start(fs, inode);

	if (err < 0)
		return err;
	request = request_create(fs_requests(fs), fuse, inode, open_resume);
	if (!request)
		return -ENOMEM;
	request->open_flags = flags;
	list_append(&inode->file.opening->waiting, &request->waiter.node);
	request_watch(request);
	return 0;
}

void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct inode *inode;
	int err = 0;

	if (metrics_owns(number)) {
		metrics_open(fs, req, info);
		return;
	}
	inode = fs_inode(fs, number);
	if ((info->flags & O_ACCMODE) != O_RDONLY || (info->flags & O_TRUNC))
		err = -EROFS;
	else if (inode->is_dir)
		err = -EISDIR;
	else if (inode->file.stale)
		err = -ESTALE;
	else if (inode->file.file) {
		reply_open(fs, req, inode, info->flags);
		inode_close_if_unused(inode);
	} else
		err = open_wait(fs, req, inode, info->flags);
	if (err < 0)
		fuse_reply_err(req, -err);
}

void fs_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct inode *inode;

	if (metrics_owns(number)) {
		metrics_release(req, info);
		return;
	}
	inode = fs_inode(fs_of(req), number);
	assert(inode->file.opens > 0);
	inode->file.opens--;
	inode_close_if_unused(inode);
	fuse_reply_err(req, 0);
}

static void inode_notice_stale(struct fs *fs, struct inode *inode)
{
	if (inode->file.stale || !atomic_load(&inode->file.file->stale))
		return;
	inode_set_stale(fs, inode, NULL);
}

void fs_notice_stale(struct fs *fs)
{
	if (!atomic_load(&fs->stale_found))
		return;
	atomic_store(&fs->stale_found, false);
	list_for_each (node, &fs->live)
		inode_notice_stale(fs, list_entry(node, struct file, live)->inode);
}

void fs_release_files(struct fs *fs)
{
	while (!list_empty(&fs->openings))
		opening_cancel(list_first(&fs->openings, struct opening, node));
	while (!list_empty(&fs->live)) {
		struct inode *inode = list_first(&fs->live, struct file, live)->inode;

		inode->file.opens = 0;
		inode_close_if_unused(inode);
	}
}

/* ---- read --------------------------------------------------------------------------------- */

void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct range range = {(uint64_t)offset, (uint64_t)offset + size};
	struct inode *inode;

	if (metrics_owns(number)) {
		metrics_read(req, size, offset, info);
		return;
	}
	inode = fs_inode(fs_of(req), number);
	range = range_intersect(range, (struct range){0, inode->size});
	if (range_empty(range)) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	assert(inode->file.file && size <= READ_BYTES_MAX);
	file_read(inode->file.file, req, range);
}
