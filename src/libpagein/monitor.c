/*
 * monitor.c - see monitor.h.
 *
 *	connected --gather, or try again--> sending --all sent, or late--> closed
 *
 * On a loop of its own, but for what its owner calls. Gathering needs context.c's lock, which may
 * be held by somebody who waits for this loop (to stop it, to fork): so it is tried for, and if it
 * is not to be had, tried for again in a millisecond.
 *
 * A socket is left behind by a process that was killed, and may be in the way of a later one of the
 * same number: if nobody listens on it and it is ours, it is replaced. What is another's, or no
 * socket, stays.
 *
 * Rejected: a file that is written again and again (costs when nobody looks, is old when somebody
 * does, and needs a rename and a place for it); a fixed name in the variable (it is inherited by
 * all that a process starts); an abstract socket, which has no permissions.
 */
#include "monitor.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "figures.h"
#include "list.h"
#include "log.h"
#include "loop.h"

#define VARIABLE "PAGEIN_METRICS"
#define READERS_MAX 16 /* at the same time; more are turned away */
#define AGAIN_NS NS_PER_MS
#define PATIENCE_NS (10 * NS_PER_S) /* for a reader who does not read */

struct reader {
	struct list node;
	struct monitor *monitor;
	struct loop_fd fd;
	struct loop_timer timer; /* gathers again; then, the end of patience */
	char *text;              /* NULL: not gathered yet */
	size_t length, sent;
};

struct monitor {
	struct loop *loop;
	struct loop_fd listener;
	struct list readers;
	unsigned reader_count;
	struct figures *retired;
	bool (*gather)(struct figures *to);
};

/* For the end of the process, which asks nobody: this process's socket. */
static struct sockaddr_un place = {.sun_family = AF_UNIX};
static pid_t owner; /* 0: there is none */

/* ---- readers ------------------------------------------------------------------------------ */

static void reader_destroy(struct reader *reader)
{
	struct monitor *monitor = reader->monitor;

	loop_timer_cancel(monitor->loop, &reader->timer);
	loop_remove(monitor->loop, &reader->fd);
	loop_disown(monitor->loop, reader->fd.fd);
	close(reader->fd.fd);
	list_remove(&reader->node);
	monitor->reader_count--;
	free(reader->text);
	free(reader);
}

static void reader_send(struct reader *reader)
{
	while (reader->sent < reader->length) {
		ssize_t count = send(reader->fd.fd, reader->text + reader->sent,
			reader->length - reader->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && errno == EAGAIN)
			return;
		if (count < 0)
			break;
		reader->sent += (size_t)count;
	}
	reader_destroy(reader);
}

/* There is room for more, or he has gone. */
static void reader_ready(struct loop_fd *fd, uint32_t events)
{
	struct reader *reader = container_of(fd, struct reader, fd);

	if (!reader->text || events & (EPOLLERR | EPOLLHUP))
		reader_destroy(reader);
	else
		reader_send(reader);
}

static void reader_too_slow(struct loop_timer *timer)
{
	reader_destroy(container_of(timer, struct reader, timer));
}

static void reader_gather(struct loop_timer *timer)
{
	struct reader *reader = container_of(timer, struct reader, timer);
	struct loop *loop = reader->monitor->loop;
	cleanup_free struct figures *figures = figures_create(FIGURES_PROCESS);
	uint64_t now_ns = clock_now_ns();

	if (figures && !reader->monitor->gather(figures)) {
		(void)loop_timer_set(loop, timer, now_ns + AGAIN_NS);
		return;
	}
	if (!figures || figures_print(figures, &reader->text, &reader->length) < 0) {
		reader_destroy(reader);
		return;
	}
	timer->expired = reader_too_slow;
	(void)loop_timer_set(loop, timer, now_ns + PATIENCE_NS);
	if (loop_modify(loop, &reader->fd, EPOLLOUT) < 0)
		reader_destroy(reader);
	else
		reader_send(reader);
}

static void reader_create(struct monitor *monitor, int fd)
{
	struct reader *reader = calloc(1, sizeof *reader);

	if (!reader || monitor->reader_count == READERS_MAX) {
		free(reader);
		close(fd);
		return;
	}
	reader->monitor = monitor;
	reader->fd = (struct loop_fd){.fd = fd, .ready = reader_ready};
	reader->timer.expired = reader_gather;
	if (loop_add(monitor->loop, &reader->fd, 0) < 0) {
		free(reader);
		close(fd);
		return;
	}
	(void)loop_own(monitor->loop, fd);
	list_append(&monitor->readers, &reader->node);
	monitor->reader_count++;
	reader_gather(&reader->timer);
}

static void monitor_ready(struct loop_fd *fd, uint32_t events)
{
	struct monitor *monitor = container_of(fd, struct monitor, listener);
	int reader = accept4(fd->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	/* Out of descriptors: he waits in the queue, and this thread has nothing else to do. */
	if (reader < 0 && errno != EAGAIN)
		usleep(AGAIN_NS / NS_PER_US);
	if (reader >= 0)
		reader_create(monitor, reader);
}

/* ---- the socket --------------------------------------------------------------------------- */

static int place_choose(const char *directory)
{
	int length = snprintf(
		place.sun_path, sizeof place.sun_path, "%s/%ld.sock", directory, (long)getpid());

	/* A relative one is another's when the process changes its directory. */
	if (*directory != '/')
		return -EINVAL;
	if ((size_t)length >= sizeof place.sun_path)
		return -ENAMETOOLONG;
	return mkdir(directory, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Ours, and nobody is behind it. */
static bool place_is_stale(void)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;

	return fd >= 0 && lstat(place.sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
	       status.st_uid == geteuid() &&
	       connect(fd, (struct sockaddr *)&place, sizeof place) < 0 && errno == ECONNREFUSED;
}

/* The mode is given before there is a name, so that the process's umask need not be changed. */
static int listener_open(int *ret)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = fd < 0 || fchmod(fd, 0600) < 0 ? -errno : 0;

	if (err == 0 && bind(fd, (struct sockaddr *)&place, sizeof place) < 0)
		err = -errno;
	if (err == -EADDRINUSE && place_is_stale() && unlink(place.sun_path) == 0)
		err = bind(fd, (struct sockaddr *)&place, sizeof place) < 0 ? -errno : 0;
	if (err < 0)
		return err;
	owner = getpid();
	if (listen(fd, READERS_MAX) < 0)
		return -errno;
	*ret = steal_fd(&fd);
	return 0;
}

static void place_leave(void)
{
	if (owner == getpid())
		(void)unlink(place.sun_path);
	owner = 0;
}

/* The process exits with objects open, or unloads the library. */
__attribute__((destructor)) static void monitor_exit(void)
{
	place_leave();
}

/* ---- beginning and end -------------------------------------------------------------------- */

static void monitor_free(struct monitor *monitor)
{
	place_leave();
	list_for_each_safe (node, &monitor->readers)
		reader_destroy(list_entry(node, struct reader, node));
	close_fd(&monitor->listener.fd);
	loop_destroy(monitor->loop);
	free(monitor->retired);
	free(monitor);
}

static int monitor_start(struct monitor *monitor, const char *directory)
{
	int err = place_choose(directory);

	if (err == 0)
		err = loop_create(&monitor->loop);
	if (err == 0)
		err = listener_open(&monitor->listener.fd);
	if (err == 0)
		err = loop_add(monitor->loop, &monitor->listener, EPOLLIN);
	if (err == 0)
		(void)loop_own(monitor->loop, monitor->listener.fd);
	return err < 0 ? err : loop_start(monitor->loop, "pagein-metrics");
}

static const char *wanted_directory(void)
{
	const char *directory = secure_getenv(VARIABLE);

	return directory && *directory ? directory : NULL;
}

bool monitor_is_wanted(void)
{
	return wanted_directory() != NULL;
}

struct monitor *monitor_create(bool (*gather)(struct figures *to))
{
	const char *directory = wanted_directory();
	struct monitor *monitor;
	int err = -ENOMEM;

	if (!directory)
		return NULL;
	monitor = calloc(1, sizeof *monitor);
	if (monitor) {
		monitor->listener = (struct loop_fd){.fd = -1, .ready = monitor_ready};
		monitor->gather = gather;
		list_init(&monitor->readers);
		monitor->retired = figures_create(FIGURES_PROCESS);
		if (monitor->retired)
			err = monitor_start(monitor, directory);
		if (err == 0)
			return monitor;
		monitor_free(monitor);
	}
	log_warning("%s: %s: %s", VARIABLE, place.sun_path, strerrordesc_np(-err));
	return NULL;
}

void monitor_destroy(struct monitor *monitor)
{
	if (!monitor)
		return;
	loop_stop(monitor->loop);
	loop_join(monitor->loop);
	monitor_free(monitor);
}

struct figures *monitor_retired(struct monitor *monitor)
{
	return monitor->retired;
}

void monitor_hold(struct monitor *monitor)
{
	if (monitor)
		loop_hold(monitor->loop);
}

void monitor_release(struct monitor *monitor)
{
	if (monitor)
		loop_release(monitor->loop);
}

void monitor_abandon(struct monitor *monitor)
{
	if (!monitor)
		return;
	owner = 0;
	loop_abandon(monitor->loop);
}
