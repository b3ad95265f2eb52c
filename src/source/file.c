/*
 * file.c - the source for file:///path URLs: local files and directories.
 *
 * Runs on the loop. A disk, and more so a file system over a network, makes its readers wait, so
 * that every system call on a path is a job for the worker's threads; the loop hands over and
 * delivers. Owns the worker; each request owns its job.
 *
 *	get: job (open, check, read a piece, check, close) --> deliver --> the next piece --> done
 *
 * A file's version is what stat(2) tells: inode, size, time of the last change. It is made an ETag,
 * so that whoever keeps versions need not know of files. It is compared before and after each piece
 * is read: another file of the name, or one that was written to, is -ESTALE. What two writes within
 * one tick of the kernel's clock have done can't be told apart, as on nginx.
 *
 * Cost: one copy more than read(2), a pair of thread switches a piece. No descriptor is held
 * between pieces: ten thousand open files are ten thousand names. Rejected: mmap(2) of the file
 * instead of a copy, whose truncation would be a SIGBUS on the loop.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "index_private.h"
#include "loop.h"
#include "source.h"
#include "url.h"
#include "worker.h"

#define THREADS 8 /* a disk is asked for so much at once; beyond that requests wait */
#define PIECE_BYTES ((size_t)256 << 10)

struct file_source {
	struct source source;
	struct worker *worker;
};

struct file_remote {
	struct remote remote;
	char *path;
};

static struct file_source *file_of(struct source *source)
{
	return container_of(source, struct file_source, source);
}

/* ---- paths and versions ------------------------------------------------------------------- */

/* -EINVAL: no file:///path */
static int path_of(const char *url, char **ret)
{
	const char *path = url + strlen("file://");
	size_t length;
	char *to;

	if (strncasecmp(url, "file://", strlen("file://")) != 0)
		return -EINVAL;
	if (strncasecmp(path, "localhost/", strlen("localhost/")) == 0)
		path += strlen("localhost");
	length = strcspn(path, "?#");
	if (path[0] != '/')
		return -EINVAL;
	to = *ret = calloc(1, length + 1);
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < length; i++) {
		unsigned byte = (unsigned char)path[i];

		if (path[i] == '%' && sscanf(path + i, "%%%2x", &byte) == 1)
			i += 2;
		if (byte == 0) {
			free(steal_pointer(ret));
			return -EINVAL;
		}
		*to++ = (char)byte;
	}
	return 0;
}

/* What tells one version of a file from another. */
struct identity {
	uint64_t inode, size;
	struct timespec mtime;
};

static struct identity identity_of(const struct stat *status)
{
	return (struct identity){status->st_ino, (uint64_t)status->st_size, status->st_mtim};
}

static void version_make(const struct identity *identity, struct version *ret)
{
	*ret = (struct version){.size = identity->size, .mtime_s = identity->mtime.tv_sec};
	snprintf(ret->etag, sizeof ret->etag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%lx\"",
		identity->inode, identity->size, (uint64_t)identity->mtime.tv_sec,
		identity->mtime.tv_nsec);
}

/* Opens what can be read in parts. -ENOTSUP: a directory, or a device. */
static int file_open(const char *path, struct version *ret)
{
	/* Not to wait for who writes to a FIFO. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct identity identity;
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOTSUP;
	identity = identity_of(&status);
	version_make(&identity, ret);
	return steal_fd(&fd);
}

/* length bytes, or -errno; -ESTALE: the file ends before. */
static int read_whole(int fd, uint8_t *bytes, size_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t n = pread(fd, bytes, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ESTALE;
		bytes += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

/* 0, -ESTALE: it has changed, or -errno: who knows. */
static int check_version(int fd, const struct version *version)
{
	struct identity identity;
	struct version now;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	identity = identity_of(&status);
	version_make(&identity, &now);
	return strcmp(now.etag, version->etag) == 0 ? 0 : -ESTALE;
}

static void say(char error[SOURCE_ERROR_MAX], const char *operation, const char *url, int err)
{
	snprintf(error, SOURCE_ERROR_MAX, "%s: %s: %.100s", operation, url_tell(url).text,
		err == -ENOTSUP ? "not a file" : strerror(-err));
}

/* ---- probes ------------------------------------------------------------------------------- */

struct probe_job {
	struct job job;
	struct probe *probe;
	char *path;
	bool head_only;
	int err;
	struct version version;
	size_t len;
	uint8_t bytes[PROBE_BYTES];
};

static void probe_free(struct job *job)
{
	struct probe_job *self = container_of(job, struct probe_job, job);

	free(self->path);
	free(self);
}

static void probe_work(struct job *job)
{
	struct probe_job *self = container_of(job, struct probe_job, job);
	cleanup_fd int fd = file_open(self->path, &self->version);

	self->err = fd < 0 ? fd : 0;
	if (fd < 0 || self->head_only)
		return;
	self->len = self->version.size < PROBE_BYTES ? (size_t)self->version.size : PROBE_BYTES;
	self->err = read_whole(fd, self->bytes, self->len, 0);
	if (self->err == 0 && check_version(fd, &self->version) < 0)
		self->len = 0; /* the version is of before, and these may be of after */
}

static void probe_ended(struct job *job)
{
	struct probe_job *self = container_of(job, struct probe_job, job);
	struct probe *probe = self->probe;

	probe->state = NULL;
	probe->version = self->version;
	probe->content_type[0] = '\0';
	probe->effective_url = probe->url;
	probe->bytes = self->bytes;
	probe->bytes_len = self->len;
	if (self->err < 0)
		say(probe->error, "open", probe->url, self->err);
	probe->done(probe, self->err);
	probe_free(job);
}

static int file_probe(struct source *source, struct probe *probe)
{
	struct probe_job *self = malloc(sizeof *self);
	int err;

	probe->error[0] = '\0';
	probe->status = 0;
	if (!self)
		return -ENOMEM;
	memset(self, 0, offsetof(struct probe_job, bytes));
	self->job = (struct job){.work = probe_work, .ended = probe_ended, .dropped = probe_free};
	self->probe = probe;
	self->head_only = probe->head_only;
	err = path_of(probe->url, &self->path);
	if (err == 0)
		err = worker_start(file_of(source)->worker, &self->job);
	if (err < 0) {
		say(probe->error, "open", probe->url, err);
		probe_free(&self->job);
		return err;
	}
	probe->state = self;
	return 0;
}

static void file_probe_cancel(struct source *source, struct probe *probe)
{
	struct probe_job *self = probe->state;

	worker_drop(file_of(source)->worker, &self->job);
	probe->state = NULL;
}

/* ---- listings ----------------------------------------------------------------------------- */

struct found {
	struct identity identity;
	bool is_dir;
	char *name;
};

struct list_job {
	struct job job;
	struct listing *listing;
	char *path;
	struct found *found;
	size_t count, max;
	int err;
};

static void list_free(struct job *job)
{
	struct list_job *self = container_of(job, struct list_job, job);

	for (size_t i = 0; i < self->count; i++)
		free(self->found[i].name);
	free(self->found);
	free(self->path);
	free(self);
}

static int list_keep(struct list_job *self, const char *name, const struct stat *status)
{
	size_t max = self->max ? 2 * self->max : 64;
	struct found *found = self->found;

	if (strlen(name) > INDEX_NAME_MAX ||
		(!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode)))
		return 0;
	if (self->count == INDEX_ENTRIES_MAX)
		return -E2BIG;
	if (self->count == self->max) {
		found = reallocarray(found, max, sizeof *found);
		if (!found)
			return -ENOMEM;
		self->found = found;
		self->max = max;
	}
	found = &self->found[self->count];
	*found = (struct found){identity_of(status), S_ISDIR(status->st_mode), strdup(name)};
	if (!found->name)
		return -ENOMEM;
	self->count++;
	return 0;
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* A link that leads nowhere, or where we may not look, or a file that has just gone. */
static bool is_no_entry(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == EACCES;
}

static int list_read(struct list_job *self)
{
	cleanup(close_directory) DIR *directory = opendir(self->path);
	struct dirent *entry;
	struct stat status;
	int err = 0;

	if (!directory)
		return -errno;
	while (err == 0 && (errno = 0, entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(directory), entry->d_name, &status, 0) == 0)
			err = list_keep(self, entry->d_name, &status);
		else if (!is_no_entry(errno))
			err = -errno;
	}
	return entry ? err : -errno;
}

static void list_work(struct job *job)
{
	struct list_job *self = container_of(job, struct list_job, job);

	self->err = list_read(self);
}

static int list_report(struct listing *listing, const struct found *found)
{
	struct index_name name;
	struct version version;
	struct index_entry entry = {
		.name = name.name,
		.href = name.href,
		.is_dir = found->is_dir,
		.size = found->is_dir ? INDEX_SIZE_UNKNOWN : found->identity.size,
		.mtime = found->identity.mtime.tv_sec,
		.etag = found->is_dir ? NULL : version.etag,
	};

	version_make(&found->identity, &version);
	if (!index_name_from_raw(found->name, strlen(found->name), found->is_dir, &name))
		return 0;
	entry.name_length = name.name_length;
	return listing->entry(listing, &entry);
}

static void list_ended(struct job *job)
{
	struct list_job *self = container_of(job, struct list_job, job);
	struct listing *listing = self->listing;
	int err = self->err;

	listing->state = NULL;
	for (size_t i = 0; i < self->count && err == 0; i++)
		err = list_report(listing, &self->found[i]);
	if (err < 0)
		say(listing->error, "list", listing->url, err);
	list_free(job);
	listing->done(listing, err);
}

static int file_list(struct source *source, struct listing *listing)
{
	struct list_job *self = calloc(1, sizeof *self);
	int err;

	listing->error[0] = '\0';
	listing->status = 0;
	if (!self)
		return -ENOMEM;
	self->job = (struct job){.work = list_work, .ended = list_ended, .dropped = list_free};
	self->listing = listing;
	err = path_of(listing->url, &self->path);
	if (err == 0)
		err = worker_start(file_of(source)->worker, &self->job);
	if (err < 0) {
		say(listing->error, "list", listing->url, err);
		list_free(&self->job);
		return err;
	}
	listing->state = self;
	return 0;
}

static void file_list_cancel(struct source *source, struct listing *listing)
{
	struct list_job *self = listing->state;

	worker_drop(file_of(source)->worker, &self->job);
	listing->state = NULL;
}

/* ---- gets --------------------------------------------------------------------------------- */

struct get_job {
	struct job job;
	struct exchange *exchange; /* NULL: cancelled from inside received() */
	struct worker *worker;
	char *path;
	struct version version;
	struct range range; /* the piece */
	int err;
	bool is_delivering; /* who does that frees it */
	uint8_t bytes[PIECE_BYTES];
};

static void get_free(struct job *job)
{
	struct get_job *self = container_of(job, struct get_job, job);

	free(self->path);
	free(self);
}

/* A manifest may have told less than the file system does. */
static bool is_version(const struct version *found, const struct version *pinned)
{
	if (pinned->etag[0] != '\0' || !pinned->is_partial)
		return strcmp(found->etag, pinned->etag) == 0;
	return found->size == pinned->size &&
	       (pinned->modified[0] == '\0' || found->mtime_s == pinned->mtime_s);
}

static void get_work(struct job *job)
{
	struct get_job *self = container_of(job, struct get_job, job);
	struct version version;
	cleanup_fd int fd = file_open(self->path, &version);

	self->err = fd;
	if (fd < 0)
		return;
	self->err = -ESTALE;
	if (!is_version(&version, &self->version))
		return;
	self->err = read_whole(
		fd, self->bytes, (size_t)range_length(self->range), self->range.start);
	if (self->err == 0)
		self->err = check_version(fd, &version);
}

/* false: the exchange was cancelled. */
static bool get_deliver(struct get_job *self)
{
	const uint8_t *bytes = self->bytes;
	uint64_t left = range_length(self->range);

	self->is_delivering = true;
	while (left > 0 && self->exchange) {
		struct exchange *exchange = self->exchange;
		size_t room = 0, part;
		void *buffer = exchange->ops->buffer(exchange, &room);

		part = left < room ? (size_t)left : room;
		memcpy(buffer, bytes, part);
		bytes += part;
		left -= part;
		exchange->received_bytes += part;
		exchange->remote->source->stats.bytes += part;
		exchange->ops->received(exchange, buffer, part);
	}
	self->is_delivering = false;
	return self->exchange != NULL;
}

static void get_fail(struct get_job *self, int err)
{
	struct exchange *exchange = self->exchange;

	/* Opening it again would find another file, or none. */
	if (err == -ENOENT || err == -ENOTSUP)
		err = -ESTALE;
	exchange->connection = NULL;
	exchange->again = err == -EIO || err == -EAGAIN || err == -EMFILE || err == -ENFILE;
	say(exchange->error, "get", exchange->remote->url, err);
	get_free(&self->job);
	exchange->ops->done(exchange, err);
}

static struct range piece_next(const struct exchange *exchange)
{
	struct range piece = {
		exchange->range.start + exchange->received_bytes, exchange->range.end};

	if (range_length(piece) > PIECE_BYTES)
		piece.end = piece.start + PIECE_BYTES;
	return piece;
}

static void get_ended(struct job *job)
{
	struct get_job *self = container_of(job, struct get_job, job);
	struct exchange *exchange = self->exchange;
	int err = self->err;

	if (err < 0) {
		get_fail(self, err);
		return;
	}
	if (exchange->received_bytes == 0)
		exchange->first_byte_ns = clock_now_ns();
	if (!get_deliver(self)) {
		get_free(job);
		return;
	}
	self->range = piece_next(exchange);
	if (range_empty(self->range)) {
		exchange->connection = NULL;
		get_free(job);
		exchange->ops->done(exchange, 0);
		return;
	}
	err = worker_start(self->worker, job);
	if (err < 0)
		get_fail(self, err);
}

static int file_get(struct source *source, struct exchange *exchange)
{
	struct file_remote *remote = container_of(exchange->remote, struct file_remote, remote);
	struct get_job *self = malloc(sizeof *self);
	int err;

	if (!self)
		return -ENOMEM;
	exchange_reset(exchange);
	memset(self, 0, offsetof(struct get_job, bytes));
	self->job = (struct job){.work = get_work, .ended = get_ended, .dropped = get_free};
	self->exchange = exchange;
	self->worker = file_of(source)->worker;
	self->version = remote->remote.version;
	self->range = piece_next(exchange);
	self->path = strdup(remote->path);
	err = self->path ? worker_start(self->worker, &self->job) : -ENOMEM;
	if (err < 0) {
		get_free(&self->job);
		return err;
	}
	exchange->connection = self;
	exchange->sent_ns = clock_now_ns();
	source->stats.requests++;
	return 0;
}

static void file_get_cancel(struct source *source, struct exchange *exchange)
{
	struct get_job *self = exchange->connection;

	(void)source;
	exchange->connection = NULL;
	self->exchange = NULL;
	if (!self->is_delivering)
		worker_drop(self->worker, &self->job);
}

static void file_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source;
	exchange->urgent = true;
}

/* ---- remotes, and the source -------------------------------------------------------------- */

static void file_unpin(struct source *source, struct remote *remote)
{
	struct file_remote *self;

	(void)source;
	if (!remote)
		return;
	self = container_of(remote, struct file_remote, remote);
	free(self->remote.url);
	free(self->path);
	free(self);
}

static int file_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct file_remote *remote = calloc(1, sizeof *remote);
	int err;

	if (!remote)
		return -ENOMEM;
	remote->remote.source = source;
	remote->remote.version = *version;
	remote->remote.url = strdup(url);
	err = remote->remote.url ? path_of(url, &remote->path) : -ENOMEM;
	if (err < 0)
		file_unpin(source, &remote->remote);
	else
		*ret = &remote->remote;
	return err;
}

static void file_destroy(struct source *source)
{
	struct file_source *file = file_of(source);

	worker_destroy(file->worker);
	free(file);
}

static const struct source_ops file_ops = {
	.destroy = file_destroy,
	.probe = file_probe,
	.list = file_list,
	.get = file_get,
	.probe_cancel = file_probe_cancel,
	.list_cancel = file_list_cancel,
	.get_cancel = file_get_cancel,
	.get_hurry = file_get_hurry,
	.pin = file_pin,
	.unpin = file_unpin,
};

int file_source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	struct file_source *file = calloc(1, sizeof *file);
	int err;

	(void)options;
	if (!file)
		return -ENOMEM;
	file->source.ops = &file_ops;
	file->source.loop = loop;
	err = worker_create(loop, THREADS, &file->worker);
	if (err < 0) {
		free(file);
		return err;
	}
	*ret = &file->source;
	return 0;
}
