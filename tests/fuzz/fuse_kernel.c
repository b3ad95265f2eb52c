/*
 * fuse_kernel.c - see fuse_kernel.h. One connection at a time; libfuse talks to it through
 * fuse_session_custom_io(), in memory. Everything is checked with assert(): a target that stops has
 * found something.
 */
#define FUSE_USE_VERSION 314
#include "fuse_kernel.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "memory_source.h"
#include "mounts.h"

#define MESSAGES_MAX 64
#define MESSAGE_MAX 8192
#define ANSWER_MAX ((1 << 20) + 4096)
#define ERRNO_MAX 512 /* of the kernel: EINTR and below */

struct message {
	size_t length;
	uint8_t bytes[MESSAGE_MAX];
};

struct kernel kernel;
uint64_t (*kernel_versions)(uint64_t size);

static struct message queue[MESSAGES_MAX];
static size_t queue_first, queue_count;

void kernel_reset(void)
{
	memset(&kernel, 0, sizeof kernel);
	kernel.nodes[0] = (struct node){.number = FUSE_ROOT_ID, .lookups = 1, .is_dir = true};
	kernel.node_count = 1;
	kernel.next_unique = 2;
	queue_first = queue_count = 0;
}

/* ---- questions ---------------------------------------------------------------------------- */

static struct pending *pending_find(uint64_t unique)
{
	for (size_t i = 0; i < KERNEL_PENDING_MAX; i++)
		if (kernel.pending[i].unique == unique)
			return &kernel.pending[i];
	return NULL;
}

static bool has_answer(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

static void remember(const struct question *question, uint64_t unique)
{
	struct pending *pending = pending_find(0);

	assert(pending);
	*pending = (struct pending){unique, question->opcode, question->node, question->handle,
		question->offset, question->size};
	kernel.pending_count++;
	if (question->node)
		question->node->busy++;
	if (question->handle)
		question->handle->busy++;
}

void *kernel_ask(const struct question *question, size_t length)
{
	struct message *message = &queue[(queue_first + queue_count++) % MESSAGES_MAX];
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof header + length),
		.opcode = question->opcode,
		.unique = kernel.next_unique,
		.nodeid = question->node ? question->node->number : 0,
		.pid = question->pid,
	};

	assert(queue_count <= MESSAGES_MAX && sizeof header + length <= MESSAGE_MAX);
	kernel.next_unique += 2;
	memset(message->bytes, 0, sizeof message->bytes);
	memcpy(message->bytes, &header, sizeof header);
	message->length = sizeof header + length;
	if (has_answer(question->opcode))
		remember(question, header.unique);
	return message->bytes + sizeof header;
}

void kernel_forget(struct node *node, uint64_t count)
{
	struct fuse_forget_in *forget = kernel_ask(
		&(struct question){.opcode = FUSE_FORGET, .node = node}, sizeof *forget);

	assert(count <= node->lookups);
	forget->nlookup = count;
	node->lookups -= count;
}

static ssize_t kernel_read(int fd, void *to, size_t size, void *context)
{
	const struct message *message = &queue[queue_first];

	(void)fd, (void)context;
	if (queue_count == 0) {
		errno = kernel.is_gone ? ENODEV : EAGAIN;
		return -1;
	}
	/* What libfuse reads behind a message that is too short for its opcode is zeros. */
	assert(size >= MESSAGE_MAX);
	memcpy(to, message->bytes, MESSAGE_MAX);
	queue_first = (queue_first + 1) % MESSAGES_MAX;
	queue_count--;
	return (ssize_t)message->length;
}

/* ---- answers ------------------------------------------------------------------------------ */

static struct node *node_find(uint64_t number)
{
	for (size_t i = 0; i < kernel.node_count; i++)
		if (kernel.nodes[i].number == number)
			return &kernel.nodes[i];
	assert(kernel.node_count < KERNEL_NODES_MAX);
	kernel.nodes[kernel.node_count] = (struct node){.number = number};
	return &kernel.nodes[kernel.node_count++];
}

static void check_attributes(const struct node *node, const struct fuse_attr *attr)
{
	assert(attr->ino == node->number && attr->nlink == 1);
	assert(S_ISDIR(attr->mode) == node->is_dir && (node->is_dir || S_ISREG(attr->mode)));
	assert(node->is_dir || attr->size == node->size);
}

static struct node *take_entry(const struct fuse_entry_out *entry)
{
	struct node *node;

	if (entry->nodeid == 0)
		return NULL;
	node = node_find(entry->nodeid);
	if (node->lookups++ == 0 && node->versions == 0 && node != &kernel.nodes[0]) {
		node->is_dir = S_ISDIR(entry->attr.mode);
		node->size = entry->attr.size;
		node->versions = node->is_dir ? 0 : kernel_versions(node->size);
		/* A size that no version has is no file's. */
		assert(node->is_dir || node->versions);
	}
	check_attributes(node, &entry->attr);
	return node;
}

static void take_bytes(const struct pending *pending, const uint8_t *bytes, size_t length)
{
	struct node *node = pending->node;
	uint64_t left = pending->offset < node->size ? node->size - pending->offset : 0;
	uint64_t versions = node->versions;

	assert(length == (left < pending->size ? left : pending->size));
	for (unsigned seed = 1; seed < MEMORY_SEEDS; seed++)
		for (size_t i = 0; versions >> seed & 1 && i < length; i++)
			if (bytes[i] != memory_byte(seed, pending->offset + i))
				versions &= ~(UINT64_C(1) << seed);
	/* The bytes of no version, or of another one than before. */
	assert(versions);
	node->versions = versions;
}

static void check_dirent(const struct pending *pending, const struct fuse_dirent *entry,
	uint64_t *after, size_t length)
{
	assert(length >= FUSE_NAME_OFFSET && entry->namelen > 0 && entry->namelen <= 255);
	assert(FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry->namelen) <= length);
	assert(!memchr(entry->name, '/', entry->namelen));
	assert(!memchr(entry->name, '\0', entry->namelen));
	assert(entry->off > *after && entry->off > pending->offset);
	assert(entry->ino != 0 && (entry->type == DT_DIR || entry->type == DT_REG));
	*after = entry->off;
}

static void take_names(const struct pending *pending, const uint8_t *bytes, size_t length)
{
	bool plus = pending->opcode == FUSE_READDIRPLUS;
	uint64_t after = 0;

	assert(length <= pending->size);
	while (length > 0) {
		size_t before = plus ? sizeof(struct fuse_entry_out) : 0, size;
		const struct fuse_dirent *entry = (const void *)(bytes + before);

		assert(length > before);
		check_dirent(pending, entry, &after, length - before);
		if (plus)
			take_entry((const void *)bytes);
		size = before + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry->namelen);
		bytes += size;
		length -= size;
	}
}

static void take_open(const struct pending *pending, const struct fuse_open_out *open)
{
	for (size_t i = 0; i < KERNEL_HANDLES_MAX; i++) {
		if (kernel.handles[i].node)
			continue;
		kernel.handles[i] = (struct kernel_handle){.node = pending->node, .fh = open->fh};
		pending->node->busy++;
		return;
	}
	abort();
}

static void take_answer(const struct pending *pending, const uint8_t *bytes, size_t length)
{
	switch (pending->opcode) {
	case FUSE_LOOKUP:
		assert(length == sizeof(struct fuse_entry_out));
		take_entry((const void *)bytes);
		break;
	case FUSE_GETATTR:
		assert(length == sizeof(struct fuse_attr_out));
		check_attributes(pending->node, &((const struct fuse_attr_out *)bytes)->attr);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		assert(length == sizeof(struct fuse_open_out));
		assert(pending->node->is_dir == (pending->opcode == FUSE_OPENDIR));
		take_open(pending, (const void *)bytes);
		break;
	case FUSE_READ:
		take_bytes(pending, bytes, length);
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		take_names(pending, bytes, length);
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		assert(pending->size == 0 ? length == sizeof(struct fuse_getxattr_out)
					  : length <= pending->size);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_INIT:
	case FUSE_STATFS:
		break;
	}
}

/* A handle is closed whatever the answer says. */
static void close_handle(const struct pending *pending)
{
	if (pending->opcode != FUSE_RELEASE && pending->opcode != FUSE_RELEASEDIR)
		return;
	pending->handle->node->busy--;
	*pending->handle = (struct kernel_handle){0};
}

static ssize_t refuse(const struct pending *pending)
{
	kernel.refuses_answer = false;
	close_handle(pending);
	errno = ENOENT;
	return -1;
}

static ssize_t kernel_write(int fd, struct iovec *iov, int count, void *context)
{
	static _Alignas(8) uint8_t bytes[ANSWER_MAX];
	const struct fuse_out_header *header = (const void *)bytes;
	struct pending *question, pending;
	size_t length = 0;

	(void)fd, (void)context;
	for (int i = 0; i < count; i++) {
		assert(iov[i].iov_len <= sizeof bytes - length);
		if (iov[i].iov_len > 0)
			memcpy(bytes + length, iov[i].iov_base, iov[i].iov_len);
		length += iov[i].iov_len;
	}
	assert(length >= sizeof *header && header->len == length && header->unique != 0);
	question = pending_find(header->unique);
	assert(question);
	pending = *question;
	question->unique = 0;
	kernel.pending_count--;
	if (pending.node)
		pending.node->busy--;
	if (pending.handle)
		pending.handle->busy--;
	if (kernel.refuses_answer)
		return refuse(&pending);
	assert(header->error <= 0 && header->error > -ERRNO_MAX);
	assert(header->error == 0 || length == sizeof *header);
	if (header->error == 0)
		take_answer(&pending, bytes + sizeof *header, length - sizeof *header);
	close_handle(&pending);
	return (ssize_t)length;
}

/* ---- what the session calls --------------------------------------------------------------- */

int __wrap_fuse_session_mount(struct fuse_session *session, const char *mountpoint);
int __wrap_mount_point_find(const char *directory, struct mount_point *ret);
int __wrap_access(const char *path, int mode);
int __real_access(const char *path, int mode);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count);
ssize_t __real_writev(int fd, const struct iovec *iov, int count);
int __wrap_open64(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);

int __wrap_fuse_session_mount(struct fuse_session *session, const char *mountpoint)
{
	static const struct fuse_custom_io io = {.writev = kernel_write, .read = kernel_read};

	(void)mountpoint;
	if (kernel.mount_err) {
		fuse_log(FUSE_LOG_ERR, "mount failed\n");
		errno = kernel.mount_err;
		return -1;
	}
	kernel.device = eventfd(0, EFD_CLOEXEC);
	return fuse_session_custom_io(session, &io, kernel.device) == 0 ? 0 : -1;
}

/* There is room for a mount, on any machine; unless there is not to be. */
int __wrap_mount_point_find(const char *directory, struct mount_point *ret)
{
	(void)directory;
	*ret = (struct mount_point){.path = "/"};
	if (kernel.mount_type)
		strcpy(ret->type, kernel.mount_type);
	return kernel.mount_err == ENOENT ? -ENOENT : 0;
}

int __wrap_access(const char *path, int mode)
{
	if (strcmp(path, "/dev/fuse") != 0)
		return __real_access(path, mode);
	errno = kernel.device_err;
	return errno == ENOENT || (errno && mode != F_OK) ? -1 : 0;
}

/* prune.c's message, which libfuse does not know. */
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count)
{
	if (fd != kernel.device || count != 3)
		return __real_writev(fd, iov, count);
	if (!kernel.knows_prune) {
		errno = EINVAL;
		return -1;
	}
	assert(iov[2].iov_len <= sizeof kernel.prune && iov[2].iov_len % sizeof *kernel.prune == 0);
	kernel.prune_count = iov[2].iov_len / sizeof *kernel.prune;
	memcpy(kernel.prune, iov[2].iov_base, iov[2].iov_len);
	return (ssize_t)(iov[0].iov_len + iov[1].iov_len + iov[2].iov_len);
}

/* Who has been killed has that signal pending. */
static int killed_status(void)
{
	static const char status[] = "Name:\tx\nSigPnd:\t0000000000000100\n";
	int fd = memfd_create("status", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, status, sizeof status) == sizeof status);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

int __wrap_open64(const char *path, int flags, ...)
{
	char killed[32];
	va_list arguments;
	mode_t mode;

	snprintf(killed, sizeof killed, "/proc/%d/status", KERNEL_KILLED);
	if (strcmp(path, killed) == 0)
		return killed_status();
	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return __real_open64(path, flags, mode);
}
