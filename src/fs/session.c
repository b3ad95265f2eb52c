/*
 * session.c - the mount itself: made, served from the loop, ended.
 *
 *	NONE --mount--> MOUNTED --INIT answered--> SERVING --umount, session_end()--> ENDED
 *
 * On the loop's thread; libfuse is used for the mount (mounting.c, or keeper.c in another process),
 * the protocol and the table of operations, but not for its own loops: its device is one of this
 * loop's descriptors, not blocking. A round
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_private.h"
#include "keeper.h"
#include "mounting.h"
#include "prune.h"

#define ROUND_REQUESTS 32
#define READAHEAD_BYTES (1u << 20)
#define BACKGROUND_MAX 64

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
	/* Either does nothing but close the device when the kernel has ended the connection. */
	if (fs->options.keeper)
		keeper_unmount(fs->options.keeper, session->device.fd);
	else
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

/*
 * The device that the keeper has mounted, or a mount of our own. libfuse takes a device as a path.
 */
static int session_open(struct fs *fs, char error[FS_ERROR_MAX])
{
	struct session *session = &fs->session;
	struct keeper *keeper = fs->options.keeper;
	cleanup_fd int device = -1;
	char path[32];
	int err;

	if (!keeper)
		return mounting_open(&fs->options, NULL, fs, &session->fuse, error);
	err = keeper_mount(keeper, &device, error);
	if (err < 0)
		return err;
	snprintf(path, sizeof path, "/dev/fd/%d", device);
	err = mounting_open(&fs->options, path, fs, &session->fuse, error);
	if (err == 0)
		(void)steal_fd(&device); /* the session's */
	else
		keeper_unmount(keeper, device);
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
	int err = session_open(fs, error);

	if (err < 0)
		return err;
	fs->session.state = SESSION_MOUNTED;
	err = session_serve(fs);
	if (err < 0)
		return mounting_fail(error, fs->options.mountpoint, strerror(-err), err);
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
