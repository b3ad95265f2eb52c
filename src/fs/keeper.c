/*
 * keeper.c - both ends of the socket between a mount's server and its keeper.
 *
 *	server: check --> keeper: the mount point's errno, with words
 *	        mount -->         the same, with the device; its own copy is closed
 *	        unmount -->       the same, when the mount is gone
 *
 * The keeper is one thread that waits in recv(2). It has no device (else the connection would
 * outlive the server), no socket but this one, no terminal once it has mounted, and ignores signals
 * that a terminal or a service manager sends to all: it ends when its other end is closed. An idle
 * one costs 250 KiB of its own memory (the rest is shared with the server), and nothing else.
 *
 * Rejected: mounting before the server gives up its rights, and never unmounting (a mount of a
 * server that was told to stop must go); libfuse's auto_unmount, which lets all other users in; an
 * unrestricted thread, which is no border. Rejected, too: the server as the keeper's child, since
 * the process that was started is the one that service managers know.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_private.h"
#include "log.h"
#include "mounting.h"
#include "scheme.h"

enum errand { ERRAND_CHECK, ERRAND_MOUNT, ERRAND_UNMOUNT, ERRAND_COUNT };

struct reply {
	int err;
	char words[FS_ERROR_MAX];
};

/* A reply and, maybe, a descriptor. */
struct parcel {
	struct reply reply;
	struct iovec bytes;
	struct msghdr message;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static void parcel_init(struct parcel *parcel)
{
	*parcel = (struct parcel){.reply.err = 0};
	parcel->bytes = (struct iovec){&parcel->reply, sizeof parcel->reply};
	parcel->message = (struct msghdr){.msg_iov = &parcel->bytes, .msg_iovlen = 1};
}

static void parcel_make_room(struct parcel *parcel)
{
	parcel->message.msg_control = parcel->control;
	parcel->message.msg_controllen = sizeof parcel->control;
}

static void parcel_attach(struct parcel *parcel, int fd)
{
	struct cmsghdr *header;

	parcel_make_room(parcel);
	header = CMSG_FIRSTHDR(&parcel->message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
}

static int parcel_detach(struct parcel *parcel)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(&parcel->message);
	int fd = -1;

	if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return fd;
}

/* Closes what the descriptor is of, and leaves its number to who will close that. */
static void close_behind(int fd)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup3(null, fd, O_CLOEXEC) < 0)
		log_error("unmount: /dev/null: %s", strerror(errno));
}

/* ---- the keeper's end --------------------------------------------------------------------- */

struct keep {
	struct fs_options options;
	struct fuse_session *fuse;
};

typedef void serve(struct keep *keep, struct parcel *parcel);

static void serve_check(struct keep *keep, struct parcel *parcel)
{
	parcel->reply.err = mounting_check(keep->options.mountpoint, parcel->reply.words);
}

static void serve_mount(struct keep *keep, struct parcel *parcel)
{
	parcel->reply.err = -EBUSY;
	if (keep->fuse)
		return;
	parcel->reply.err = mounting_open(
		&keep->options, NULL, NULL, &keep->fuse, parcel->reply.words);
	if (parcel->reply.err == 0)
		parcel_attach(parcel, fuse_session_fd(keep->fuse));
}

/*
 * After the answer has gone. What libfuse closes at the end is /dev/null. Not earlier out of the
 * process group: an automounter lets no other one pass.
 */
static void forget_device(struct keep *keep)
{
	(void)setsid();
	close_behind(fuse_session_fd(keep->fuse));
	if (chdir("/") < 0)
		log_warning("mount: /: %s", strerror(errno));
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close_behind(fd);
}

static void serve_unmount(struct keep *keep, struct parcel *parcel)
{
	if (!keep->fuse)
		parcel->reply.err = -ENOTCONN;
	else
		fuse_session_unmount(keep->fuse);
}

/* The URL of what was given: the mount's name is made from that. */
static void options_adopt(struct keep *keep, const struct fs_options *options)
{
	char *url = NULL;

	keep->options = *options;
	/* What is no URL at all is not going to be mounted: the server will say why. */
	if (scheme_url(options->source_url, &url) == 0)
		keep->options.source_url = url;
}

static void leave_server(int socket)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "pagein-keeper");
	for (int fd = STDERR_FILENO + 1; fd < socket; fd++)
		close(fd);
	close_range((unsigned)socket + 1, ~0U, 0);
}

int keeper_run(int socket, const struct fs_options *options)
{
	static serve *const table[ERRAND_COUNT] = {
		[ERRAND_CHECK] = serve_check,
		[ERRAND_MOUNT] = serve_mount,
		[ERRAND_UNMOUNT] = serve_unmount,
	};
	struct keep keep = {.fuse = NULL};
	unsigned char errand;
	ssize_t n;

	leave_server(socket);
	options_adopt(&keep, options);
	while ((n = recv(socket, &errand, sizeof errand, 0)) > 0 || (n < 0 && errno == EINTR)) {
		struct parcel parcel;

		if (n < 0)
			continue;
		if (errand >= ERRAND_COUNT)
			break;
		parcel_init(&parcel);
		table[errand](&keep, &parcel);
		do
			n = sendmsg(socket, &parcel.message, MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			/* Nobody else has the device yet. */
			if (parcel.message.msg_controllen > 0)
				fuse_session_unmount(keep.fuse);
			break;
		}
		if (parcel.message.msg_controllen > 0)
			forget_device(&keep);
	}
	return 0;
}

/* ---- the server's end --------------------------------------------------------------------- */

void keeper_finish(struct keeper *keeper)
{
	if (keeper->socket < 0)
		return;
	close(keeper->socket);
	keeper->socket = -1;
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int keeper_ask(struct keeper *keeper, enum errand errand, struct parcel *parcel)
{
	unsigned char byte = (unsigned char)errand;
	ssize_t n;

	parcel_init(parcel);
	parcel_make_room(parcel);
	do
		n = send(keeper->socket, &byte, sizeof byte, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	do
		n = recvmsg(keeper->socket, &parcel->message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != sizeof parcel->reply)
		return -ECONNRESET;
	return parcel->reply.err;
}

/* The keeper's words, or why there are none. */
static int keeper_fail(const struct parcel *parcel, int err, char error[FS_ERROR_MAX])
{
	if (parcel->reply.words[0] != '\0')
		snprintf(error, FS_ERROR_MAX, "%s", parcel->reply.words);
	else
		mounting_fail(error, "the process that mounts", strerror(-err), err);
	return err;
}

int keeper_check(struct keeper *keeper, char error[FS_ERROR_MAX])
{
	struct parcel parcel;
	int err = keeper_ask(keeper, ERRAND_CHECK, &parcel);

	return err < 0 ? keeper_fail(&parcel, err, error) : 0;
}

int keeper_mount(struct keeper *keeper, int *ret_device, char error[FS_ERROR_MAX])
{
	struct parcel parcel;
	int err = keeper_ask(keeper, ERRAND_MOUNT, &parcel);

	/* An answer that was lost may have been that it has mounted. */
	if (err < 0 && parcel.reply.words[0] == '\0')
		(void)keeper_ask(keeper, ERRAND_UNMOUNT, &(struct parcel){0});
	if (err < 0)
		return keeper_fail(&parcel, err, error);
	*ret_device = parcel_detach(&parcel);
	return *ret_device < 0 ? keeper_fail(&parcel, -EPROTO, error) : 0;
}

void keeper_unmount(struct keeper *keeper, int device)
{
	struct pollfd status = {.fd = device};
	bool is_gone = poll(&status, 1, 0) == 1 && (status.revents & POLLERR);
	struct parcel parcel;
	int err;

	/* First, as an unmount waits for nobody then, and who still reads fails at once. */
	close_behind(device);
	if (is_gone)
		return;
	err = keeper_ask(keeper, ERRAND_UNMOUNT, &parcel);
	if (err < 0)
		log_error("unmount: the process that mounts: %s", strerror(-err));
}
