/*
 * ops_xattr.c - what is known of a file beyond stat(2), as extended attributes.
 *
 * On the main loop's thread. An inquiry is a HEAD request for one getxattr(2) that nobody could
 * answer without; its answer is kept until the next one, because programs ask for a value's length
 * first. It must be about the version that the inode is, or the inode is stale.
 *
 * The attributes are not listed, as those of other network file systems are not: cp -a, rsync -X
 * and tar --xattrs take all that are listed along, which would be a request for each file and
 * nothing that the copy wants to have.
 *
 * Cost: names that are not ours are answered at once, since ls -l asks for some of each file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fs_private.h"
#include "log.h"
#include "metrics.h"
#include "scheme.h"
#include "source.h"

#define PREFIX "user.pagein."

enum attribute { URL, RESIDENT, ETAG, VERSION, CONTENT_TYPE, ATTRIBUTES };

static const char *const names[ATTRIBUTES] = {
	[URL] = PREFIX "url",
	[RESIDENT] = PREFIX "resident",
	[ETAG] = PREFIX "etag",
	[VERSION] = PREFIX "version",
	[CONTENT_TYPE] = PREFIX "content-type",
};

struct inquiry {
	struct probe probe;
	struct request *request;
	char *url;
};

/* ---- answers ------------------------------------------------------------------------------ */

void fs_reply_xattr(fuse_req_t req, const char *value, size_t size)
{
	size_t length = strlen(value);

	if (size == 0)
		fuse_reply_xattr(req, length);
	else if (length > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, length);
}

static void reply_url(fuse_req_t fuse, const struct inode *inode, size_t size)
{
	cleanup_free char *url = NULL, *told = NULL;

	if (inode_url(inode, &url) == 0)
		told = scheme_told(url);
	if (told)
		fs_reply_xattr(fuse, told, size);
	else
		fuse_reply_err(fuse, ENOMEM);
}

static void reply_known(fuse_req_t fuse, const struct known *known, unsigned which, size_t size)
{
	const struct version *version = &known->version;
	const char *name = *version->id ? version->id : version_validator(version);
	const char *value = which == ETAG      ? version->etag
			    : which == VERSION ? name
					       : known->content_type;

	if (*value)
		fs_reply_xattr(fuse, value, size);
	else
		fuse_reply_err(fuse, ENODATA);
}

/* ---- inquiries ---------------------------------------------------------------------------- */

static void inquiry_destroy(struct inquiry *inquiry)
{
	free(inquiry->url);
	free(inquiry);
}

static int inquiry_result(struct inquiry *inquiry, int err)
{
	struct request *request = inquiry->request;
	struct inode *inode = request->inode;
	struct known *known = &request->fs->known;

	if (err < 0) {
		if (err != -ENOENT)
			log_warning("%s", inquiry->probe.error);
		return err == -ENOENT ? -ESTALE : err;
	}
	if (!inode_is_version(inode, &inquiry->probe.version)) {
		inode_set_stale(request->fs, inode, &inquiry->probe.version);
		return -ESTALE;
	}
	known->number = inode->number;
	known->learned_ns = clock_now_ns();
	known->version = inquiry->probe.version;
	strcpy(known->content_type, inquiry->probe.content_type);
	return 0;
}

static void inquiry_done(struct probe *probe, int err)
{
	struct inquiry *inquiry = container_of(probe, struct inquiry, probe);
	struct request *request = inquiry->request;

	err = inquiry_result(inquiry, err);
	inquiry_destroy(inquiry);
	if (err == 0)
		reply_known(request->fuse, &request->fs->known, request->xattr.which,
			request->xattr.size);
	else
		fuse_reply_err(request->fuse, -err);
	request_destroy(request);
}

/* Killed, or the mount is ending. */
static void inquiry_resume(struct waiter *waiter, int err)
{
	struct request *request = request_of(waiter);
	struct source *source = request->fs->source;

	source->ops->probe_cancel(source, &request->xattr.inquiry->probe);
	inquiry_destroy(request->xattr.inquiry);
	fuse_reply_err(request->fuse, -err);
	request_destroy(request);
}

static int inquiry_start(struct request *request)
{
	struct inquiry *inquiry = calloc(1, sizeof *inquiry);
	struct source *source = request->fs->source;
	int err;

	if (!inquiry)
		return -ENOMEM;
	inquiry->request = request;
	err = inode_url(request->inode, &inquiry->url);
	if (err == 0) {
		inquiry->probe.url = inquiry->url;
		inquiry->probe.head_only = true;
		inquiry->probe.done = inquiry_done;
		err = source->ops->probe(source, &inquiry->probe);
	}
	if (err < 0)
		inquiry_destroy(inquiry);
	else
		request->xattr.inquiry = inquiry;
	return err;
}

static void inquire(
	struct fs *fs, fuse_req_t fuse, struct inode *inode, unsigned which, size_t size)
{
	const struct known *known = &fs->known;
	struct request *request;
	int err;

	if (known->number == inode->number &&
		clock_now_ns() - known->learned_ns < fs->options.metadata_ttl_ns) {
		reply_known(fuse, known, which, size);
		return;
	}
	request = request_create(fs_requests(fs), fuse, inode, inquiry_resume);
	if (!request) {
		fuse_reply_err(fuse, ENOMEM);
		return;
	}
	request->xattr.which = which;
	request->xattr.size = size;
	err = inquiry_start(request);
	if (err == 0) {
		request_watch(request);
		return;
	}
	fuse_reply_err(fuse, -err);
	request_destroy(request);
}

/* ---- operations --------------------------------------------------------------------------- */

static void reply_resident(fuse_req_t fuse, const struct inode *inode, size_t size)
{
	if (inode->file.file)
		file_tell_resident(inode->file.file, fuse, size);
	else
		fs_reply_xattr(fuse, "0", size);
}

void fs_getxattr(fuse_req_t req, fuse_ino_t number, const char *name, size_t size)
{
	struct fs *fs = fs_of(req);
	struct inode *inode;
	unsigned which = URL;

	if (metrics_owns(number)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	inode = fs_inode(fs, number);
	while (which < ATTRIBUTES && strcmp(name, names[which]) != 0)
		which++;
	if (which == URL)
		reply_url(req, inode, size);
	else if (which == ATTRIBUTES || inode->is_dir)
		fuse_reply_err(req, ENODATA);
	else if (which == RESIDENT)
		reply_resident(req, inode, size);
	else
		inquire(fs, req, inode, which, size);
}

void fs_listxattr(fuse_req_t req, fuse_ino_t number, size_t size)
{
	(void)number;
	fs_reply_xattr(req, "", size);
}
