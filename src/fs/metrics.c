/*
 * metrics.c - see metrics.h.
 *
 * An open takes the figures as they are now, and what is read is what it took: two opens are two
 * snapshots. Each shard's counters are its own loop's, so the snapshot goes from shard to shard,
 * where each adds to it, and the last one writes the text and answers. Nobody waits for anybody,
 * nothing is locked, and no server has a part in it.
 *
 * Snapshots go through the shards in their order, as fs_end_requests() does, which comes after them
 * therefore: when it has returned, all have been answered.
 *
 * The size is 0 and the kernel caches nothing (direct_io), as with the files of /proc: how long the
 * text is, nobody knows before it is opened.
 *
 * Cost: 80 KiB while it is made, then some 20 KiB until it is closed; a visit to each loop. To who
 * reads data, a few additions.
 */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "figures.h"
#include "fs_private.h"

#define DIRECTORY METRICS_NUMBERS
#define FILE_NUMBER (METRICS_NUMBERS + 1)
#define FILE_NAME "metrics"
#define NAME_TIMEOUT_S 86400.0 /* they are always there */
#define LIST_BYTES 1024        /* three names */

struct snapshot {
	struct list node; /* in fs->snapshots */
	struct loop_task task;
	struct fs *fs;
	struct fuse_req *fuse;
	struct figures *figures;
	unsigned next;    /* shard */
	atomic_bool over; /* nobody will release it: the answer did not arrive */
	char *text;
	size_t length;
};

static void snapshot_destroy(struct snapshot *snapshot)
{
	list_remove(&snapshot->node);
	free(snapshot->figures);
	free(snapshot->text);
	free(snapshot);
}

/* ---- names and attributes ----------------------------------------------------------------- */

/* Owner and permissions are as everything's in the mount; the time is now. */
static void attributes_of(const struct fs *fs, uint64_t number, struct stat *ret)
{
	bool is_directory = number == DIRECTORY;
	time_t now = time(NULL);

	*ret = (struct stat){
		.st_ino = number,
		.st_mode = is_directory ? S_IFDIR | fs->options.dir_mode
					: S_IFREG | fs->options.file_mode,
		.st_nlink = 1,
		.st_uid = fs->options.uid,
		.st_gid = fs->options.gid,
		.st_blksize = 4096,
		.st_atim.tv_sec = now,
		.st_mtim.tv_sec = now,
		.st_ctim.tv_sec = now,
	};
}

static struct fuse_entry_param entry_of(const struct fs *fs, uint64_t number)
{
	struct fuse_entry_param entry = {.ino = number, .entry_timeout = NAME_TIMEOUT_S};

	attributes_of(fs, number, &entry.attr);
	return entry;
}

bool metrics_lookup_in_root(struct fs *fs, fuse_req_t fuse, const char *name)
{
	struct fuse_entry_param entry;

	if (strcmp(name, METRICS_DIRECTORY) != 0)
		return false;
	entry = entry_of(fs, DIRECTORY);
	fuse_reply_entry(fuse, &entry);
	return true;
}

void metrics_lookup(struct fs *fs, fuse_req_t fuse, uint64_t parent, const char *name)
{
	struct fuse_entry_param entry;

	if (parent != DIRECTORY) {
		fuse_reply_err(fuse, ENOTDIR);
	} else if (strcmp(name, FILE_NAME) != 0) {
		fuse_reply_err(fuse, ENOENT);
	} else {
		entry = entry_of(fs, FILE_NUMBER);
		fuse_reply_entry(fuse, &entry);
	}
}

void metrics_getattr(struct fs *fs, fuse_req_t fuse, uint64_t number)
{
	struct stat attributes;

	attributes_of(fs, number, &attributes);
	fuse_reply_attr(fuse, &attributes, 0);
}

void metrics_readdir(struct fs *fs, fuse_req_t fuse, size_t size, off_t offset, bool plus)
{
	static const struct {
		const char *name;
		uint64_t number;
	} names[] = {{".", DIRECTORY}, {"..", ROOT_NUMBER}, {FILE_NAME, FILE_NUMBER}};
	char bytes[LIST_BYTES];
	size_t used = 0, max = size < sizeof bytes ? size : sizeof bytes;

	for (size_t i = (size_t)offset; i < sizeof names / sizeof *names; i++) {
		struct fuse_entry_param entry = entry_of(fs, names[i].number);
		off_t next = (off_t)i + 1;
		size_t need;

		/* Number 0: the kernel looks the name up itself, if somebody wants it. */
		entry.ino = 0;
		if (names[i].number == ROOT_NUMBER)
			entry.attr.st_mode = S_IFDIR;
		need = plus ? fuse_add_direntry_plus(
				      fuse, bytes + used, max - used, names[i].name, &entry, next)
			    : fuse_add_direntry(fuse, bytes + used, max - used, names[i].name,
				      &entry.attr, next);
		if (need > max - used)
			break;
		used += need;
	}
	fuse_reply_buf(fuse, bytes, used);
}

/* ---- snapshots ---------------------------------------------------------------------------- */

/* On the last shard's loop. */
static void snapshot_answer(struct snapshot *snapshot)
{
	struct fuse_file_info info = {.fh = (uintptr_t)snapshot, .direct_io = 1, .noflush = 1};
	int err = figures_print(snapshot->figures, &snapshot->text, &snapshot->length);

	free(steal_pointer(&snapshot->figures));
	if (err < 0)
		fuse_reply_err(snapshot->fuse, -err);
	/* Once it is answered it may be released at any moment. */
	if (err < 0 || fuse_reply_open(snapshot->fuse, &info) < 0)
		atomic_store(&snapshot->over, true);
}

static void snapshot_visit(struct loop_task *task)
{
	struct snapshot *snapshot = container_of(task, struct snapshot, task);
	struct fs *fs = snapshot->fs;

	shard_add_figures(&fs->shards[snapshot->next], snapshot->figures);
	if (++snapshot->next < fs->shard_count)
		loop_post(fs->shards[snapshot->next].loop, &snapshot->task);
	else
		snapshot_answer(snapshot);
}

/* What is known on the main loop only. */
static void fs_add_figures(const struct fs *fs, struct figures *to)
{
	const struct fs_stats stats = fs_stats(fs);

	to->values[FIGURE_INODES] += stats.inodes;
	to->values[FIGURE_NAMES] += stats.names;
	for (unsigned i = 0; i < fs->shard_count; i++)
		to->values[FIGURE_OPEN_FILES] += fs->shards[i].files;
}

static void snapshots_sweep(struct fs *fs)
{
	list_for_each_safe (node, &fs->snapshots) {
		struct snapshot *snapshot = list_entry(node, struct snapshot, node);

		if (atomic_load(&snapshot->over))
			snapshot_destroy(snapshot);
	}
}

void metrics_open(struct fs *fs, fuse_req_t fuse, const struct fuse_file_info *info)
{
	struct snapshot *snapshot;

	if ((info->flags & O_ACCMODE) != O_RDONLY || (info->flags & O_TRUNC)) {
		fuse_reply_err(fuse, EROFS);
		return;
	}
	snapshots_sweep(fs);
	snapshot = calloc(1, sizeof *snapshot);
	if (snapshot)
		snapshot->figures = figures_create(FIGURES_MOUNT);
	if (!snapshot || !snapshot->figures) {
		free(snapshot);
		fuse_reply_err(fuse, ENOMEM);
		return;
	}
	snapshot->fs = fs;
	snapshot->fuse = fuse;
	snapshot->task.run = snapshot_visit;
	list_append(&fs->snapshots, &snapshot->node);
	fs_add_figures(fs, snapshot->figures);
	snapshot_visit(&snapshot->task);
}

static struct snapshot *snapshot_of(const struct fuse_file_info *info)
{
	return (struct snapshot *)(uintptr_t)info->fh;
}

void metrics_read(fuse_req_t fuse, size_t size, off_t offset, const struct fuse_file_info *info)
{
	const struct snapshot *snapshot = snapshot_of(info);
	size_t start = (uint64_t)offset < snapshot->length ? (size_t)offset : snapshot->length;
	size_t left = snapshot->length - start;

	fuse_reply_buf(fuse, snapshot->text + start, size < left ? size : left);
}

void metrics_release(fuse_req_t fuse, const struct fuse_file_info *info)
{
	snapshot_destroy(snapshot_of(info));
	fuse_reply_err(fuse, 0);
}

void metrics_finish(struct fs *fs)
{
	list_for_each_safe (node, &fs->snapshots)
		snapshot_destroy(list_entry(node, struct snapshot, node));
}
