/*
 * session.c - the mount itself: made, served from the loop, ended.
 *
 *	NONE --mount--> MOUNTED --INIT answered--> SERVING --umount, session_end()--> ENDED
 *
 * On the loop's thread; libfuse is used for the mount, the protocol and the table of operations,
 * but not for its own loops: its device is one of this loop's descriptors, not blocking. A round
 * takes at most ROUND_REQUESTS, so that bytes that have arrived meanwhile are not kept waiting by a
 * reader who asks for more and more.
 *
 * Ending closes the device before it unmounts: whatever processes still hold fails with an error,
 * and nothing hangs. The unmount is lazy, as the mount of a server that is told to stop must go.
 *
 * Cost: two system calls a request (read, writev), one more read a round to find that there are no
 * more. An idle mount does nothing at all.
 *
 * Rejected: splicing from the device (requests are small); several threads that read the device (an
 * open file belongs to one loop, and the kernel knows nothing of that: who has read a request would
 * mostly have to hand it over).
 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs_private.h"
#include "log.h"
#include "mounts.h"
#include "prune.h"
#include "scheme.h"

#define ROUND_REQUESTS 32
#define READAHEAD_BYTES (1u << 20)
#define BACKGROUND_MAX 64
#define FUSE_DEVICE "/dev/fuse"

/* What libfuse had to say last: its handler has no context. */
static char fuse_words[FS_ERROR_MAX / 2];

static void __attribute__((format(printf, 2, 0)))
fuse_said(enum fuse_log_level level, const char *format, va_list arguments)
{
	size_t length;

	if (level > FUSE_LOG_WARNING)
		return;
	vsnprintf(fuse_words, sizeof fuse_words, format, arguments);
	length = strlen(fuse_words);
	while (length > 0 && fuse_words[length - 1] == '\n')
		fuse_words[--length] = '\0';
	log_info("%s", fuse_words);
}

/* ---- before the mount --------------------------------------------------------------------- */

static int say(char error[FS_ERROR_MAX], const char *what, const char *reason, int err)
{
	snprintf(error, FS_ERROR_MAX, "mount: %s: %s", what, reason);
	return err;
}

static int check_device(char error[FS_ERROR_MAX])
{
	if (access(FUSE_DEVICE, F_OK) < 0)
		return say(error, FUSE_DEVICE,
			"missing: load the kernel's fuse module, or give the container this device",
			-errno);
	if (access(FUSE_DEVICE, R_OK | W_OK) < 0)
		return say(error, FUSE_DEVICE, strerror(errno), -errno);
	return 0;
}

int session_check_mountpoint(const char *mountpoint, char error[FS_ERROR_MAX])
{
	struct mount_point point;
	struct stat status;
	int err = mount_point_find(mountpoint, &point);

	if (err < 0)
		return say(error, mountpoint, strerror(-err), err);
	if (strcmp(point.type, MOUNT_TYPE_PAGEIN) == 0)
		return say(error, mountpoint, "busy: a pagein mount is there already", -EBUSY);
	/* autofs's own mount is where those of a direct map, and systemd's, shall be put. */
	if (point.type[0] != '\0' && strcmp(point.type, "autofs") != 0) {
		snprintf(error, FS_ERROR_MAX, "mount: %s: busy: a %s mount is there already",
			mountpoint, point.type);
		return -EBUSY;
	}
	if (stat(mountpoint, &status) < 0)
		return say(error, mountpoint, strerror(errno), -errno);
	if (!S_ISDIR(status.st_mode))
		return say(error, mountpoint, "not a directory", -ENOTDIR);
	return check_device(error);
}

/* ---- the kernel's side -------------------------------------------------------------------- */

void session_init(void *userdata, struct fuse_conn_info *connection)
{
	struct fs *fs = userdata;
	unsigned wanted = (unsigned)(FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
				     FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	/* Our copies are reused at once, so they can't be spliced; an inode's attributes never
	 * change, so that the kernel need not ask for them before each read. */
	unsigned unwanted = (unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				       FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);

	connection->want |= wanted & connection->capable;
	connection->want &= ~unwanted;
	connection->max_readahead = READAHEAD_BYTES;
	/* libfuse derives the longest read from it. */
	connection->max_write = (unsigned)READ_BYTES_MAX;
	connection->max_background = BACKGROUND_MAX;
	connection->congestion_threshold = BACKGROUND_MAX * 3 / 4;
	connection->time_gran = 1000000000; /* HTTP's dates have whole seconds */
	fs->session.initialised = true;
}

void session_end(struct fs *fs)
{
	struct session *session = &fs->session;

	if (session->state != SESSION_MOUNTED && session->state != SESSION_SERVING)
		return;
	session->state = SESSION_ENDED;
	/* From here on libfuse does not complain that answers can't be delivered. */
	fuse_session_exit(session->fuse);
	loop_remove(fs->loop, &session->device);
	fs_end_requests(fs);
	/* Does nothing but close the device when the kernel has ended the connection itself. */
	fuse_session_unmount(session->fuse);
	if (fs->options.ended)
		fs->options.ended(fs->options.context);
	else
		loop_stop(fs->loop);
}

static void session_announce(struct fs *fs)
{
	struct session *session = &fs->session;

	session->state = SESSION_SERVING;
	if (fs->options.ready)
		fs->options.ready(fs->options.context);
}

static void session_ready(struct loop_fd *device, uint32_t events)
{
	struct session *session = container_of(device, struct session, device);
	struct fs *fs = container_of(session, struct fs, session);

	(void)events;
	for (int i = 0; i < ROUND_REQUESTS; i++) {
		int result = fuse_session_receive_buf(session->fuse, &session->buffer);

		if (result == -EINTR)
			continue;
		if (result == -EAGAIN)
			break;
		fs_notice_stale(fs);
		if (result > 0)
			fuse_session_process_buf(session->fuse, &session->buffer);
		/* Unmounted, aborted, or an INIT that could not be answered. */
		if (result <= 0 || fuse_session_exited(session->fuse)) {
			session_end(fs);
			return;
		}
		if (session->initialised && session->state == SESSION_MOUNTED)
			session_announce(fs);
		if (session->state == SESSION_ENDED)
			return;
	}
	prune_inodes(fs);
}

/* ---- mount and unmount -------------------------------------------------------------------- */

static int session_arguments(const struct fs_options *options, struct fuse_args *arguments)
{
	cleanup_free char *source = scheme_told(options->source_url);
	cleanup_free char *name = NULL, *all = NULL;

	if (!source || asprintf(&name, "fsname=%s", source) < 0)
		return -ENOMEM;
	if (fuse_opt_add_opt(&all, "ro,nosuid,nodev,default_permissions,subtype=pagein") < 0 ||
		(options->allow_other && fuse_opt_add_opt(&all, "allow_other") < 0) ||
		(options->mount_options && *options->mount_options &&
			fuse_opt_add_opt(&all, options->mount_options) < 0) ||
		fuse_opt_add_opt_escaped(&all, name) < 0)
		return -ENOMEM;
	if (fuse_opt_add_arg(arguments, "pagein") < 0 || fuse_opt_add_arg(arguments, "-o") < 0 ||
		fuse_opt_add_arg(arguments, all) < 0)
		return -ENOMEM;
	return 0;
}

static int session_open(struct fs *fs, const char *path)
{
	struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
	struct session *session = &fs->session;
	int err = session_arguments(&fs->options, &arguments);

	if (err == 0) {
		session->fuse = fuse_session_new(&arguments, &fs_ops, sizeof fs_ops, fs);
		if (!session->fuse)
			err = -EINVAL;
	}
	fuse_opt_free_args(&arguments);
	if (err == 0 && fuse_session_mount(session->fuse, path) < 0)
		err = errno ? -errno : -EIO;
	return err;
}

static int session_serve(struct fs *fs)
{
	struct session *session = &fs->session;
	int flags;

	session->device.fd = fuse_session_fd(session->fuse);
	session->device.ready = session_ready;
	flags = fcntl(session->device.fd, F_GETFL);
	if (flags < 0 || fcntl(session->device.fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return loop_add_prompt(fs->loop, &session->device, EPOLLIN);
}

int session_mount(struct fs *fs, char error[FS_ERROR_MAX])
{
	const char *mountpoint = fs->options.mountpoint;
	struct mount_point point;
	int err = session_check_mountpoint(mountpoint, error);

	if (err < 0)
		return err;
	err = mount_point_find(mountpoint, &point);
	fuse_words[0] = '\0';
	fuse_set_log_func(fuse_said);
	if (err == 0)
		err = session_open(fs, point.path);
	if (err < 0)
		return say(error, mountpoint, fuse_words[0] ? fuse_words : strerror(-err), err);
	fs->session.state = SESSION_MOUNTED;
	err = session_serve(fs);
	if (err < 0)
		return say(error, mountpoint, strerror(-err), err);
	return 0;
}

void session_finish(struct fs *fs)
{
	struct session *session = &fs->session;

	session_end(fs);
	if (session->fuse)
		fuse_session_destroy(session->fuse);
	session->fuse = NULL;
	free(session->buffer.mem);
	session->buffer.mem = NULL;
}
