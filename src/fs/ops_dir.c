/*
 * ops_dir.c - names: lookup, and the reading of directories.
 *
 * On the loop's thread. Each operation is a step that begins with the question whether the listing
 * that it needs is fresh, answers if so, and else waits and is called again (request.h).
 *
 * An open directory keeps the listing it began with: offset 2 + i is its entry i, whatever happens
 * meanwhile. One that is still arriving is read as it grows: where it ends for now, the reader
 * waits for more. Attributes go with a name (readdirplus) only out of a listing that is still
 * believed, and only when they are complete; a name without is looked up by the kernel when
 * somebody wants to know. A size of 0 that is merely not known yet would cut live mappings down to
 * nothing.
 *
 * A lookup that waits for a probe holds the entry's listing, and has its answer there if the
 * directory has no other one by then. Listings are dropped for want of room, or break off, while a
 * probe is under way: were they asked for again for that, lookups in three large directories could
 * drop each other's for ever.
 *
 * Cost: one request to the server for a directory, however often it is read within the ttl; where
 * the listing has no sizes, one more for each file that is looked up or goes into a readdirplus.
 *
 * Rejected: FOPEN_CACHE_DIR (the kernel would keep names without our knowing for how long).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "directory.h"
#include "fs_private.h"
#include "metrics.h"

#define LIST_BYTES_MAX 32768 /* of an answer; larger ones are asked for again */
#define DOTS 2               /* "." and ".." come first */

/* What a step returns when it has not answered yet; else 0 or -errno, which answers. */
#define WAITING 1

struct handle {
	struct list node;
	struct directory *listing;
};

/* ---- lookup ------------------------------------------------------------------------------- */

static int entry_param(struct fs *fs, struct inode *directory, const struct found *found,
	struct fuse_entry_param *ret, struct inode **ret_inode)
{
	struct inode *inode;
	int err = tree_get(&fs->tree, directory, found->entry, &inode);

	/* A listing and the one that takes its place both had it without a size, and were told
	 * different ones. */
	if (err == -ESTALE) {
		entry_renumber(found->entry, &fs->next_number);
		err = tree_get(&fs->tree, directory, found->entry, &inode);
	}
	if (err < 0)
		return err;
	*ret = (struct fuse_entry_param){
		.ino = inode->number,
		.attr_timeout = fs_attr_timeout(fs, inode),
		.entry_timeout = entry_timeout(fs, found->listing, found->entry),
	};
	fs_stat(fs, inode, &ret->attr);
	*ret_inode = inode;
	return 0;
}

static int reply_no_entry(struct request *request, const struct directory *listing)
{
	struct fuse_entry_param param = {
		.entry_timeout = entry_timeout(request->fs, listing, NULL),
	};

	/* Not an error but an entry with number 0: this one the kernel may remember. */
	fuse_reply_entry(request->fuse, &param);
	return 0;
}

static int reply_entry(struct request *request, const struct found *found)
{
	struct fs *fs = request->fs;
	struct fuse_entry_param param;
	struct inode *inode;
	int err = entry_param(fs, request->inode, found, &param, &inode);

	if (err < 0)
		return err;
	if (fuse_reply_entry(request->fuse, &param) == 0)
		inode->lookups++;
	inode_put(&fs->tree, inode);
	return 0;
}

static int wait_for_listing(struct request *request)
{
	int err;

	request_watch(request);
	err = listing_wait(request->fs, request->inode, &request->waiter);
	return err < 0 ? err : WAITING;
}

/* NULL: none. */
static void lookup_hold(struct request *request, struct directory *listing)
{
	if (listing)
		directory_get(listing);
	directory_put(request->lookup.listing);
	request->lookup.listing = listing;
}

/* As listing_find(); and what a probe has told this lookup is good for it, wherever it was. */
static bool lookup_find(const struct request *request, struct found *ret)
{
	const char *name = request->lookup.name;

	if (listing_find(request->fs, request->inode, name, request->started_ns, ret))
		return true;
	ret->listing = request->lookup.listing;
	ret->entry = ret->listing ? directory_find(ret->listing, name) : NULL;
	return ret->entry && entry_is_known(request->fs, ret->entry, request->started_ns);
}

static int lookup_try(struct request *request)
{
	struct fs *fs = request->fs;
	struct inode *directory = request->inode;
	struct found found;
	int err;

	if (!lookup_find(request, &found))
		return wait_for_listing(request);
	if (!found.entry)
		return reply_no_entry(request, found.listing);
	if (!entry_is_known(fs, found.entry, request->started_ns)) {
		err = entry_probe(fs, directory, found.listing, found.entry);
		if (err < 0)
			return err;
		if (found.entry->probe) {
			request_watch(request);
			lookup_hold(request, found.listing);
			entry_wait(found.entry, &request->waiter);
			return WAITING;
		}
	}
	if (!entry_has_attributes(found.entry))
		return found.entry->probe_err;
	return reply_entry(request, &found);
}

/* Answers with an error, or not at all if it has been answered; in both cases it is over. */
static void request_over(struct request *request, int err)
{
	if (err < 0)
		fuse_reply_err(request->fuse, -err);
	request_destroy(request);
}

/* The caller was killed, or what it waited for has failed. */
static void lookup_abandon(struct request *request)
{
	struct directory *listing = request->lookup.listing;

	if (listing)
		entry_abandon(request->fs, directory_find(listing, request->lookup.name));
	/* What is held counts as wanted. */
	lookup_hold(request, NULL);
	listing_abandon(request->inode);
}

static void lookup_step(struct waiter *waiter, int err)
{
	struct request *request = request_of(waiter);

	if (err == 0)
		err = lookup_try(request);
	else
		lookup_abandon(request);
	if (err == WAITING)
		return;
	lookup_hold(request, NULL);
	request_over(request, err);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct inode *directory;
	struct request *request;

	if (metrics_owns(parent)) {
		metrics_lookup(fs, req, parent, name);
		return;
	}
	if (parent == ROOT_NUMBER && metrics_lookup_in_root(fs, req, name))
		return;
	directory = fs_inode(fs, parent);
	if (!directory->is_dir) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (strlen(name) > NAME_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	request = request_create(fs_requests(fs), req, directory, lookup_step);
	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->lookup.listing = NULL;
	strcpy(request->lookup.name, name);
	lookup_step(&request->waiter, 0);
}

/* ---- opendir and releasedir --------------------------------------------------------------- */

static void handle_destroy(struct handle *handle)
{
	list_remove(&handle->node);
	directory_put(handle->listing);
	free(handle);
}

static int opendir_try(struct request *request)
{
	struct fs *fs = request->fs;
	struct directory *listing = listing_to_read(fs, request->inode, request->started_ns);
	struct fuse_file_info info = {.keep_cache = 0};
	struct handle *handle;

	if (!listing)
		return wait_for_listing(request);
	handle = malloc(sizeof *handle);
	if (!handle)
		return -ENOMEM;
	handle->listing = directory_get(listing);
	list_append(&fs->handles, &handle->node);
	info.fh = (uintptr_t)handle;
	if (fuse_reply_open(request->fuse, &info) < 0)
		handle_destroy(handle); /* nobody will release it */
	return 0;
}

static void opendir_step(struct waiter *waiter, int err)
{
	struct request *request = request_of(waiter);

	if (err == 0)
		err = opendir_try(request);
	else
		listing_abandon(request->inode);
	if (err != WAITING)
		request_over(request, err);
}

void fs_opendir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct request *request;

	if (metrics_owns(number)) {
		fuse_reply_open(req, info);
		return;
	}
	request = request_create(fs_requests(fs), req, fs_inode(fs, number), opendir_step);
	if (request)
		opendir_step(&request->waiter, 0);
	else
		fuse_reply_err(req, ENOMEM);
}

static struct handle *handle_of(const struct fuse_file_info *info)
{
	return (struct handle *)(uintptr_t)info->fh;
}

void fs_releasedir(fuse_req_t req, fuse_ino_t number, struct fuse_file_info *info)
{
	if (!metrics_owns(number)) {
		handle_destroy(handle_of(info));
		listing_abandon(fs_inode(fs_of(req), number));
	}
	fuse_reply_err(req, 0);
}

void fs_release_directories(struct fs *fs)
{
	list_for_each_safe (node, &fs->handles)
		handle_destroy(list_entry(node, struct handle, node));
}

/* ---- readdir and readdirplus -------------------------------------------------------------- */

/* An answer in the making. */
struct page {
	struct fs *fs;
	fuse_req_t fuse;
	struct inode *directory;
	struct directory *listing;
	bool plus;       /* in the format that has attributes */
	bool attributes; /* and with attributes */
	uint64_t started_ns;
	size_t used;
	size_t max;
	char bytes[LIST_BYTES_MAX];
};

/* false: the answer is full. */
static bool page_add(
	struct page *page, const char *name, const struct fuse_entry_param *param, size_t next)
{
	char *to = page->bytes + page->used;
	size_t left = page->max - page->used;
	size_t size = page->plus ? fuse_add_direntry_plus(
					   page->fuse, to, left, name, param, (off_t)next)
				 : fuse_add_direntry(
					   page->fuse, to, left, name, &param->attr, (off_t)next);

	if (size > left)
		return false;
	page->used += size;
	return true;
}

static bool page_add_dots(struct page *page, size_t index)
{
	const struct inode *inode = page->directory;
	struct fuse_entry_param param = {.attr.st_mode = S_IFDIR};

	if (index == 1 && inode->parent)
		inode = inode->parent;
	param.attr.st_ino = inode->number;
	return page_add(page, index == 0 ? "." : "..", &param, index + 1);
}

static bool page_add_entry(struct page *page, struct entry *entry, size_t next)
{
	struct found found = {entry, page->listing};
	struct fs *fs = page->fs;
	struct inode *inode = NULL;
	struct fuse_entry_param param;
	bool added;

	if (entry->is_marker)
		return true;
	if (!page->attributes || !entry_is_known(fs, entry, page->started_ns) ||
		!entry_has_attributes(entry) ||
		entry_param(fs, page->directory, &found, &param, &inode) < 0) {
		/* Number 0 for "look it up yourself"; what kind it is can be told in any case. */
		param = (struct fuse_entry_param){
			.attr.st_ino = entry->number,
			.attr.st_mode = entry->is_dir ? S_IFDIR : S_IFREG,
		};
	}
	added = page_add(page, entry->name, &param, next);
	if (inode) {
		inode->lookups += added;
		inode_put(&fs->tree, inode);
	}
	return added;
}

static void page_fill(struct page *page, size_t index)
{
	size_t count = directory_count(page->listing) + DOTS;
	bool added = true;

	for (; added && index < count; index++) {
		if (index < DOTS)
			added = page_add_dots(page, index);
		else
			added = page_add_entry(
				page, directory_at(page->listing, index - DOTS), index + 1);
	}
}

/* Is the listing that this directory was opened with still the one to believe? */
static bool list_has_attributes(const struct request *request)
{
	const struct directory *listing = request->list.handle->listing;

	return directory_is_arriving(listing) ||
	       listing == listing_to_read(request->fs, request->inode, request->started_ns);
}

/*
 * Asks for the attributes of all entries that will fit into the answer and have none. Returns the
 * first of them, or NULL.
 */
static struct entry *list_probe(struct request *request)
{
	struct directory *listing = request->list.handle->listing;
	size_t count = directory_count(listing) + DOTS, used = 0;
	struct entry *first = NULL;

	for (size_t i = (size_t)request->list.offset; i < count; i++) {
		struct entry *entry;

		if (i < DOTS)
			continue;
		entry = directory_at(listing, i - DOTS);
		used += fuse_add_direntry_plus(request->fuse, NULL, 0, entry->name, NULL, 0);
		if (used > request->list.size)
			break;
		if (!entry_is_known(request->fs, entry, request->started_ns) &&
			entry_probe(request->fs, request->inode, listing, entry) == 0 &&
			entry->probe && !first)
			first = entry;
	}
	return first;
}

static int list_try(struct request *request, bool plus)
{
	struct entry *unknown = NULL;
	struct page page;

	page.fs = request->fs;
	page.fuse = request->fuse;
	page.directory = request->inode;
	page.listing = request->list.handle->listing;
	page.plus = plus;
	page.attributes = plus && list_has_attributes(request);
	page.started_ns = request->started_ns;
	page.used = 0;
	page.max = request->list.size;
	if (page.attributes)
		unknown = list_probe(request);
	if (unknown) {
		request_watch(request);
		entry_wait(unknown, &request->waiter);
		return WAITING;
	}
	page_fill(&page, (size_t)request->list.offset);
	/* Nothing is what the end of a directory looks like. */
	if (page.used == 0 && directory_is_arriving(page.listing))
		return wait_for_listing(request);
	if (page.used == 0 && directory_err(page.listing) < 0)
		return directory_err(page.listing);
	fuse_reply_buf(request->fuse, page.bytes, page.used);
	return 0;
}

static void readdir_step(struct waiter *waiter, int err)
{
	struct request *request = request_of(waiter);

	if (err == 0)
		err = list_try(request, false);
	else
		listing_abandon(request->inode);
	if (err != WAITING)
		request_over(request, err);
}

static void readdirplus_step(struct waiter *waiter, int err)
{
	struct request *request = request_of(waiter);

	if (err == 0)
		err = list_try(request, true);
	else
		listing_abandon(request->inode);
	if (err != WAITING)
		request_over(request, err);
}

static void list_start(fuse_req_t req, fuse_ino_t number, size_t size, off_t offset,
	struct fuse_file_info *info, void (*step)(struct waiter *, int))
{
	struct fs *fs = fs_of(req);
	struct request *request = request_create(fs_requests(fs), req, fs_inode(fs, number), step);

	if (!request) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	request->list.handle = handle_of(info);
	request->list.size = size < LIST_BYTES_MAX ? size : LIST_BYTES_MAX;
	request->list.offset = offset;
	step(&request->waiter, 0);
}

void fs_readdir(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	if (metrics_owns(number))
		metrics_readdir(fs_of(req), req, size, offset, false);
	else
		list_start(req, number, size, offset, info, readdir_step);
}

void fs_readdirplus(
	fuse_req_t req, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *info)
{
	if (metrics_owns(number))
		metrics_readdir(fs_of(req), req, size, offset, true);
	else
		list_start(req, number, size, offset, info, readdirplus_step);
}
