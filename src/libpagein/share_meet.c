/*
 * share_meet.c - processes of a user find each other by a name.
 *
 *	nothing --name is free--> keeper
 *	   \--name is taken--> member --keeper dies--> keeper, or member of the next one
 *
 * The name is a socket's in the abstract namespace, which goes when its owner does, however it
 * dies: nothing is left behind to be cleaned up. Its other end is believed only if it is the same
 * user's. A keeper that does not answer within a second (stopped, or hostile) is none: then the
 * caller is alone, which costs requests and nothing else. So it is for who comes between a keeper's
 * death and its succession: two groups, each right.
 *
 * meeting_join() waits, on its caller's thread; everything later is on the loop, and does not. A
 * child of fork(2) must not hold what says that its parent lives: its copies are closed, by a table
 * without a lock, because who forks may hold any, and may wait for the loop.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "share.h"

#define HELLO UINT64_C(0x31656c6567617030) /* and the format of what is handed over */
#define JOIN_NS NS_PER_S
#define BACKLOG 64
#define SUCCESSION_NS (10 * NS_PER_MS)
#define SUCCESSION_TRIES 100
#define PRIVATE_MAX 1024 /* of all groups of a process; what is beyond is inherited */

struct guest {
	struct loop_fd fd;
	struct list node;
	struct meeting *meeting;
};

/* ---- fork ---------------------------------------------------------------------------------- */

/* Descriptors + 1 that a child shall not have; 0: free. */
static _Atomic int private_fds[PRIVATE_MAX];

void share_fds_forget(void)
{
	for (size_t i = 0; i < PRIVATE_MAX; i++) {
		int fd = atomic_exchange(&private_fds[i], 0) - 1;

		close_fd(&fd);
	}
}

void share_fd_open(int fd)
{
	for (size_t i = 0; i < PRIVATE_MAX; i++) {
		int none = 0;

		if (atomic_compare_exchange_strong(&private_fds[i], &none, fd + 1))
			return;
	}
}

void share_fd_close(int *fd)
{
	/* In this order: the number may be another's as soon as it is closed. */
	for (size_t i = 0; i < PRIVATE_MAX && *fd >= 0; i++) {
		int own = *fd + 1;

		if (atomic_compare_exchange_strong(&private_fds[i], &own, 0))
			break;
	}
	close_fd(fd);
	*fd = -1;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static socklen_t make_address(const char *name, struct sockaddr_un *ret)
{
	size_t length = strlen(name);

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path + 1, name, length);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static bool is_same_user(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       peer.uid == geteuid();
}

/* -EADDRINUSE: there is a keeper. */
static int open_door(const char *name, int *ret)
{
	struct sockaddr_un address;
	socklen_t length = make_address(name, &address);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret = steal_fd(&fd);
	return 0;
}

/* -ECONNREFUSED: there is no keeper; -EACCES: it is another user's. */
static int knock(const char *name, int flags, int *ret)
{
	struct sockaddr_un address;
	socklen_t length = make_address(name, &address);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, length) < 0)
		return -errno;
	if (!is_same_user(fd))
		return -EACCES;
	*ret = steal_fd(&fd);
	return 0;
}

/* A message with two descriptors in it. */
struct envelope {
	uint64_t hello;
	struct iovec bytes;
	struct msghdr message;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
};

static void envelope_init(struct envelope *envelope)
{
	*envelope = (struct envelope){.hello = HELLO};
	envelope->bytes = (struct iovec){&envelope->hello, sizeof envelope->hello};
	envelope->message = (struct msghdr){
		.msg_iov = &envelope->bytes,
		.msg_iovlen = 1,
		.msg_control = envelope->control,
		.msg_controllen = sizeof envelope->control,
	};
}

static int hand_over(int fd, const struct share_fds *fds)
{
	int both[] = {fds->data, fds->ledger};
	struct envelope envelope;
	struct cmsghdr *header;

	envelope_init(&envelope);
	header = CMSG_FIRSTHDR(&envelope.message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof both);
	memcpy(CMSG_DATA(header), both, sizeof both);
	return sendmsg(fd, &envelope.message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* -ECONNRESET: the keeper has died; -EAGAIN: it says nothing; -EPROTO: it is none. */
static int receive(int fd, struct share_fds *ret)
{
	struct envelope envelope;
	struct cmsghdr *header;
	int both[2];
	ssize_t n;

	envelope_init(&envelope);
	n = recvmsg(fd, &envelope.message, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	header = CMSG_FIRSTHDR(&envelope.message);
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof both))
		return -EPROTO;
	memcpy(both, CMSG_DATA(header), sizeof both);
	*ret = (struct share_fds){both[0], both[1]};
	if (n == sizeof envelope.hello && envelope.hello == HELLO)
		return 0;
	close_fd(&ret->data);
	close_fd(&ret->ledger);
	return -EPROTO;
}

/* ---- joining ------------------------------------------------------------------------------- */

/* Asks the keeper. */
static int join_keeper(struct meeting *meeting)
{
	const struct timeval patience = {.tv_sec = JOIN_NS / NS_PER_S};
	cleanup_fd int fd = -1;
	int err = knock(meeting->name, 0, &fd);

	if (err < 0)
		return err;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	err = receive(fd, &meeting->fds);
	if (err == 0)
		meeting->door.fd = steal_fd(&fd);
	return err;
}

/* Does another attempt make sense: has a keeper just come, or gone? */
static bool is_passing(int err)
{
	return err == -ECONNREFUSED || err == -ECONNRESET || err == -EADDRINUSE || err == -EPIPE;
}

static int meeting_find(struct meeting *meeting, struct share_fds *own)
{
	uint64_t end_ns = clock_now_ns() + JOIN_NS;
	int err;

	do {
		err = join_keeper(meeting);
		if (err != -ECONNREFUSED)
			continue;
		err = open_door(meeting->name, &meeting->door.fd);
		if (err < 0) {
			usleep(1000);
			continue;
		}
		meeting->keeps = true;
		meeting->fds = *own;
		*own = (struct share_fds){-1, -1};
	} while (is_passing(err) && clock_now_ns() < end_ns);
	return err;
}

int meeting_join(struct meeting *meeting, const char *name,
	int (*found)(struct share_fds *ret, void *context), void *context)
{
	struct share_fds own = {-1, -1};
	int err;

	*meeting = (struct meeting){.door.fd = -1, .fds = {-1, -1}};
	snprintf(meeting->name, sizeof meeting->name, "%s", name ? name : "");
	list_init(&meeting->guests);
	/* Made before it is known whether they are needed: they cost little, and a door must not be
	 * open before there is something to hand over. */
	err = found(&own, context);
	if (err < 0)
		return err;
	if (!name || meeting_find(meeting, &own) < 0) {
		meeting->fds = own;
		own = (struct share_fds){-1, -1};
	}
	close_fd(&own.data);
	close_fd(&own.ledger);
	share_fd_open(meeting->fds.data);
	share_fd_open(meeting->fds.ledger);
	if (meeting->door.fd >= 0)
		share_fd_open(meeting->door.fd);
	return 0;
}

/* ---- the keeper ---------------------------------------------------------------------------- */

static void guest_free(struct guest *guest)
{
	list_remove(&guest->node);
	share_fd_close(&guest->fd.fd);
	free(guest);
}

/* A guest says nothing; it has gone. */
static void guest_ready(struct loop_fd *fd, uint32_t events)
{
	struct guest *guest = container_of(fd, struct guest, fd);
	struct meeting *meeting = guest->meeting;

	(void)events;
	loop_remove(meeting->loop, fd);
	guest_free(guest);
	meeting->changed(meeting);
}

static void guest_welcome(struct meeting *meeting, int *fd)
{
	struct guest *guest;

	if (!is_same_user(*fd) || hand_over(*fd, &meeting->fds) < 0)
		return;
	guest = calloc(1, sizeof *guest);
	if (!guest)
		return;
	guest->meeting = meeting;
	guest->fd = (struct loop_fd){.fd = *fd, .ready = guest_ready};
	if (loop_add(meeting->loop, &guest->fd, EPOLLIN) < 0) {
		free(guest);
		return;
	}
	share_fd_open(steal_fd(fd));
	list_append(&meeting->guests, &guest->node);
}

static void keeper_ready(struct meeting *meeting)
{
	cleanup_fd int fd = accept4(meeting->door.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		guest_welcome(meeting, &fd);
}

/* ---- succession ---------------------------------------------------------------------------- */

static void door_ready(struct loop_fd *fd, uint32_t events);

static int meeting_watch(struct meeting *meeting, int *fd)
{
	meeting->door = (struct loop_fd){.fd = steal_fd(fd), .ready = door_ready};
	share_fd_open(meeting->door.fd);
	return loop_add(meeting->loop, &meeting->door, EPOLLIN);
}

/* The keeper is gone: we are, or somebody else is. */
static void meeting_succeed(struct loop_timer *timer)
{
	struct meeting *meeting = container_of(timer, struct meeting, timer);
	cleanup_fd int fd = -1;
	int err = open_door(meeting->name, &fd);

	meeting->keeps = err == 0;
	if (err < 0)
		err = knock(meeting->name, SOCK_NONBLOCK, &fd);
	if (err == 0)
		err = meeting_watch(meeting, &fd);
	if (err < 0 && ++meeting->tries < SUCCESSION_TRIES)
		loop_timer_set(meeting->loop, timer, clock_now_ns() + SUCCESSION_NS);
}

/* The keeper has said something, which is what it says to all who knock; or it has gone. */
static void member_ready(struct meeting *meeting)
{
	struct share_fds fds = {-1, -1};
	int err = receive(meeting->door.fd, &fds);

	close_fd(&fds.data);
	close_fd(&fds.ledger);
	if (err == 0 || err == -EAGAIN || err == -EINTR)
		return;
	loop_remove(meeting->loop, &meeting->door);
	share_fd_close(&meeting->door.fd);
	meeting->tries = 0;
	meeting->timer.expired = meeting_succeed;
	meeting_succeed(&meeting->timer);
	meeting->changed(meeting);
}

static void door_ready(struct loop_fd *fd, uint32_t events)
{
	struct meeting *meeting = container_of(fd, struct meeting, door);

	(void)events;
	if (meeting->keeps)
		keeper_ready(meeting);
	else
		member_ready(meeting);
}

int meeting_enter(struct meeting *meeting, struct loop *loop, void (*changed)(struct meeting *))
{
	meeting->loop = loop;
	meeting->changed = changed;
	meeting->door.ready = door_ready;
	return meeting->door.fd < 0 ? 0 : loop_add(loop, &meeting->door, EPOLLIN);
}

void meeting_finish(struct meeting *meeting)
{
	if (meeting->loop) {
		loop_timer_cancel(meeting->loop, &meeting->timer);
		if (meeting->door.fd >= 0)
			loop_remove(meeting->loop, &meeting->door);
	}
	list_for_each_safe (node, &meeting->guests) {
		struct guest *guest = list_entry(node, struct guest, node);

		loop_remove(meeting->loop, &guest->fd);
		guest_free(guest);
	}
	share_fd_close(&meeting->door.fd);
	share_fd_close(&meeting->fds.data);
	share_fd_close(&meeting->fds.ledger);
}
