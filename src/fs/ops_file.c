/*
 * ops_file.c - files: open, read, release.
 *
 * On the loop's thread.
 *
 *  inode:   closed --open--> opening --probe, same version--> live --last release--> closed
 *                                   \--another version--> stale (ESTALE)
 *
 * A live inode has one object, shared by all who have it open; opening it again asks nobody. An
 * inode that was open before has pages in the kernel's cache, and a validator that says of which
 * version: the probe must find the same, or the inode is stale and its name gets another one. The
 * kernel answers the ESTALE itself: it looks the name up again and opens what it finds.
 *
 * A read waits until its whole range is present, and is never answered short but at the end of the
 * file: the kernel would take that for the end. What has been answered is in the kernel's page
 * cache, so that our copy is dropped at once and its buffer is the next to be filled. F1: pages
 * that another read still waits for are not dropped by this one.
 *
 * Cost of a read whose bytes are here: one hash lookup, one writev(2) out of the blocks; of one
 * that waits: a request from the free list, and whatever the core does.
 *
 * Rejected: splicing (two more system calls a reply, and pages that we can't reuse);
 * FOPEN_DIRECT_IO (no shared mappings).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"
#include "fs_private.h"
#include "log.h"
#include "object.h"

#define READ_BYTES_MAX (UINT64_C(1) << 20) /* what session.c tells the kernel */
#define READ_IOV_MAX (READ_BYTES_MAX / BLOCK_BYTES + 1)

struct opening {
	struct list node;
	struct probe probe;
	struct fs *fs;
	struct inode *inode;
	struct list waiting;
	char *url;
};

/* ---- open --------------------------------------------------------------------------------- */

static void file_close_if_unused(struct inode *inode)
{
	struct inode_file *file = &inode->file;

	if (file->opens > 0 || !list_empty(&file->reads))
		return;
	list_remove(&file->live);
	object_destroy(steal_pointer(&file->object));
}

static void reply_open(fuse_req_t fuse, struct inode *inode)
{
	struct inode_file *file = &inode->file;
	/* Without a validator, nobody knows if the pages of the last time are still right. */
	struct fuse_file_info info = {
		.keep_cache = file->opens > 0 || *file->validator != '\0',
		.noflush = 1,
	};

	file->opens++;
	if (fuse_reply_open(fuse, &info) < 0) {
		file->opens--; /* nobody will release it */
		file_close_if_unused(inode);
	}
}

static void opening_destroy(struct opening *opening)
{
	list_remove(&opening->node);
	opening->inode->file.opening = NULL;
	inode_put(&opening->fs->tree, opening->inode);
	free(opening->url);
	free(opening);
}

/* Is what the probe found the version that this inode is? */
static bool is_same_version(const struct inode *inode, const struct version *version)
{
	const char *validator = inode->file.validator;

	return version->size == inode->size &&
	       (!validator || strcmp(validator, version_validator(version)) == 0);
}

static int file_make_live(struct fs *fs, struct inode *inode, const struct probe *probe)
{
	struct inode_file *file = &inode->file;
	struct remote *remote;
	int err;

	if (!file->validator)
		file->validator = strdup(version_validator(&probe->version));
	if (!file->validator)
		return -ENOMEM;
	err = fs->source->ops->pin(fs->source, probe->effective_url, &probe->version, &remote);
	if (err == 0)
		err = object_create(fs->core, remote, true, &file->object);
	if (err < 0)
		return err;
	list_append(&fs->live, &file->live);
	/* Without these bytes the first read asks for them again, which is no harm. */
	(void)object_seed(file->object, probe->bytes, probe->bytes_len);
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
	if (!is_same_version(inode, &opening->probe.version)) {
		log_info("open: %s: another version than listed", opening->url);
		inode->file.stale = true;
		metadata_found(fs, inode, &opening->probe.version);
		return -ESTALE;
	}
	return file_make_live(fs, inode, &opening->probe);
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
		file_close_if_unused(inode); /* they have all been killed */
	inode_put(&fs->tree, inode);
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
		reply_open(request->fuse, inode);
	else
		fuse_reply_err(request->fuse, -err);
	if (inode->file.opening && list_empty(&inode->file.opening->waiting))
		opening_cancel(inode->file.opening);
	request_destroy(request);
}

static int open_wait(struct fs *fs, fuse_req_t fuse, struct inode *inode)
{
	struct request *request;
	int err = inode->file.opening ? 0 : opening_start(fs, inode);

	if (err < 0)
		return err;
	request = request_create(fs, fuse, inode, open_resume);
	if (!request)
		return -ENOMEM;
	list_append(&inode->file.opening->waiting, &request->waiter.node);
	request_watch(request);
	return 0;
}

void fs_open(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = fs_inode(fs, number);
	int err = 0;

	if ((info->flags & O_ACCMODE) != O_RDONLY || (info->flags & O_TRUNC))
		err = -EROFS;
	else if (inode->is_dir)
		err = -EISDIR;
	else if (inode->file.stale)
		err = -ESTALE;
	else if (inode->file.object)
		reply_open(req, inode);
	else
		err = open_wait(fs, req, inode);
	if (err < 0)
		fuse_reply_err(req, -err);
}

void fs_release(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct inode *inode = fs_inode(fs_of(req), number);

	(void)info;
	assert(inode->file.opens > 0);
	inode->file.opens--;
	file_close_if_unused(inode);
	fuse_reply_err(req, 0);
}

void fs_release_files(struct fs *fs)
{
	while (!list_empty(&fs->openings))
		opening_cancel(list_first(&fs->openings, struct opening, node));
	while (!list_empty(&fs->live)) {
		struct inode *inode = list_first(&fs->live, struct inode, file.live);

		inode->file.opens = 0;
		file_close_if_unused(inode);
	}
}

/* ---- read --------------------------------------------------------------------------------- */

/* The pages that hold range; the file's last one may be short. */
static struct range pages_of(struct range range, uint64_t size)
{
	struct range pages = {align_down(range.start, PAGE_BYTES), align_up(range.end, PAGE_BYTES)};

	return range_intersect(pages, (struct range){0, size});
}

static bool others_wait_for(const struct inode *inode, struct range range)
{
	list_for_each (node, &inode->file.reads)
		if (range_overlaps(list_entry(node, struct request, read.node)->read.range, range))
			return true;
	return false;
}

static void reply_read(fuse_req_t fuse, struct object *object, struct range range)
{
	struct iovec iov[READ_IOV_MAX];
	size_t count;

	assert(object_iov_max(range) <= READ_IOV_MAX);
	count = object_iov(object, range, iov);
	fuse_reply_iov(fuse, iov, (int)count);
}

/* The kernel has these pages now. */
static void file_drop(struct inode *inode, struct range range)
{
	if (!others_wait_for(inode, range)) /* F1 */
		object_drop(inode->file.object, range);
}

static struct readahead_plan file_plan(struct inode *inode, struct range pages)
{
	struct object *object = inode->file.object;
	struct readahead_conditions conditions = object_conditions(object);

	return readahead_plan(object_readahead(object), pages, &conditions);
}

/* What fails here is told to the read that needs it. */
static void file_fetch_ahead(struct object *object, const struct readahead_plan *plan)
{
	if (range_empty(plan->ahead))
		return;
	for (uint64_t i = 0; i < plan->pieces; i++)
		(void)object_fetch(object, readahead_piece(plan, i), 0, plan->chunk_bytes);
}

/* What is planned behind the pages of a read that needs nothing more. */
static void file_read_ahead(
	struct inode *inode, struct range pages, const struct readahead_plan *plan)
{
	struct object *object = inode->file.object;

	if (plan->first.end > pages.end)
		(void)object_fetch(
			object, (struct range){pages.end, plan->first.end}, 0, plan->chunk_bytes);
	file_fetch_ahead(object, plan);
}

/* Takes the read out of all lists; it is answered or about to be. */
static void read_over(struct request *request)
{
	struct inode *inode = inode_get(request->inode);
	struct fs *fs = request->fs;

	object_remove_want(inode->file.object, &request->read.want);
	list_remove(&request->read.node);
	request_destroy(request);
	file_close_if_unused(inode);
	inode_put(&fs->tree, inode);
}

static void read_answer(struct request *request)
{
	struct inode *inode = request->inode;
	struct range range = request->read.range;

	list_remove(&request->read.node);
	reply_read(request->fuse, inode->file.object, range);
	file_drop(inode, range);
	read_over(request);
}

static void read_fail(struct request *request, int err)
{
	fuse_reply_err(request->fuse, -err);
	read_over(request);
}

static void read_arrived(struct want *want, const struct arrival *arrival)
{
	struct request *request = container_of(want, struct request, read.want);

	(void)arrival;
	if (!request->read.fetching && object_present(request->inode->file.object, want->range))
		read_answer(request);
}

static void read_failed(struct want *want, struct range range, const struct failure *failure)
{
	struct request *request = container_of(want, struct request, read.want);
	struct inode *inode = request->inode;

	(void)range;
	if (failure->err == -ESTALE && !inode->file.stale) {
		inode->file.stale = true;
		metadata_found(request->fs, inode, NULL);
	}
	log_warning("%s", failure->error);
	if (request->read.fetching)
		request->read.err = failure->err;
	else
		read_fail(request, failure->err);
}

/* Killed, or the mount is ending. */
static void read_resume(struct waiter *waiter, int err)
{
	assert(err < 0);
	read_fail(request_of(waiter), err);
}

static void read_wait(struct request *request, struct range range)
{
	struct inode *inode = request->inode;
	struct object *object = inode->file.object;
	struct range pages = pages_of(range, inode->size);
	struct readahead_plan plan = file_plan(inode, pages);
	int err;

	request->read.range = range;
	request->read.err = 0;
	request->read.want = (struct want){
		.range = pages,
		.arrived = read_arrived,
		.failed = read_failed,
	};
	list_append(&inode->file.reads, &request->read.node);
	object_add_want(object, &request->read.want);
	request->read.fetching = true;
	err = object_fetch(object, plan.first, range_length(pages), plan.chunk_bytes);
	if (err == 0)
		file_fetch_ahead(object, &plan);
	request->read.fetching = false;
	if (err == 0)
		err = request->read.err;
	if (err < 0)
		read_fail(request, err);
	else if (object_present(object, pages))
		read_answer(request);
	else
		request_watch(request);
}

void fs_read(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct inode *inode = fs_inode(fs, number);
	struct range range = {(uint64_t)offset, (uint64_t)offset + size};
	struct request *request;
	struct readahead_plan plan;
	struct range pages;

	(void)info;
	range = range_intersect(range, (struct range){0, inode->size});
	if (range_empty(range)) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	assert(inode->file.object && size <= READ_BYTES_MAX);
	pages = pages_of(range, inode->size);
	if (object_present(inode->file.object, pages)) {
		reply_read(req, inode->file.object, range);
		file_drop(inode, range);
		plan = file_plan(inode, pages);
		file_read_ahead(inode, pages, &plan);
		return;
	}
	request = request_create(fs, req, inode, read_resume);
	if (request)
		read_wait(request, range);
	else
		fuse_reply_err(req, ENOMEM);
}
