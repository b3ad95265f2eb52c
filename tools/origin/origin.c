/*
 * origin.c - the server: its listening socket and its loop.
 *
 * One thread runs it, and everything in struct origin is that thread's but stop_fd. The loop waits
 * for events of epoll until the first timer is due (to the nanosecond: delays of tens of
 * microseconds are worth measuring), then runs the timers, then the connections that gave way to
 * others. An event's connection may be destroyed by that very event only, so no event of a batch is
 * ever stale.
 */
#include "origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "clock.h"
#include "connection.h"
#include "log.h"
#include "sanitizer.h"
#include "server.h"

#define EVENTS_MAX 64
#define ACCEPTS_MAX 64

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

const char *origin_date(struct origin *origin)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != origin->date_s) {
		origin->date_s = now.tv_sec;
		origin_date_format(now.tv_sec, origin->date_text);
	}
	return origin->date_text;
}

static int address_parse(const char *text, uint16_t port, union address *ret, socklen_t *ret_length)
{
	*ret = (union address){0};
	if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		*ret_length = sizeof(ret->in);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(port);
		*ret_length = sizeof(ret->in6);
		return 0;
	}
	return -EINVAL;
}

static int listen_open(struct origin *origin, const struct origin_options *options)
{
	const char *text = options->address ? options->address : "127.0.0.1";
	union address address;
	socklen_t length;
	const int on = 1;
	int err = address_parse(text, options->port, &address, &length);

	if (err)
		return err;
	origin->listen_fd = socket(
		address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (origin->listen_fd < 0)
		return -errno;
	/* Accepted sockets inherit TCP_NODELAY. */
	if (setsockopt(origin->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		setsockopt(origin->listen_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		bind(origin->listen_fd, &address.any, length) < 0 ||
		listen(origin->listen_fd, SOMAXCONN) < 0 ||
		getsockname(origin->listen_fd, &address.any, &length) < 0)
		return -errno;
	origin->port = ntohs(
		address.any.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
	return 0;
}

/* Its own events are told from those of connections by data.ptr. */
static int epoll_watch(struct origin *origin, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

	return epoll_ctl(origin->epoll_fd, EPOLL_CTL_ADD, *fd, &event) < 0 ? -errno : 0;
}

static int origin_open(struct origin *origin, const struct origin_options *options)
{
	char error[256];
	int err;

	err = origin_script_parse(
		options->script, clock_now_ns(), &origin->script, error, sizeof(error));
	if (err) {
		if (err == -EINVAL)
			log_error("origin: script: %s", error);
		return err;
	}
	err = origin_resources_init(&origin->resources, options->root);
	if (!err)
		err = listen_open(origin, options);
	if (err)
		return err;
	origin->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	origin->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (origin->epoll_fd < 0 || origin->stop_fd < 0)
		return -errno;
	err = epoll_watch(origin, &origin->listen_fd);
	return err ? err : epoll_watch(origin, &origin->stop_fd);
}

static void origin_cleanup(struct origin **origin)
{
	origin_destroy(*origin);
}

int origin_create(const struct origin_options *options, struct origin **ret)
{
	struct origin *origin cleanup(origin_cleanup) = calloc(1, sizeof(*origin));
	int err;

	if (!origin)
		return -ENOMEM;
	origin->epoll_fd = origin->listen_fd = origin->stop_fd = origin->resources.root_fd = -1;
	origin->accepting = true;
	origin->index_json = options->index_json;
	list_init(&origin->connections);
	list_init(&origin->ready);
	err = origin_open(origin, options);
	if (err)
		return err;
	*ret = steal_pointer(&origin);
	return 0;
}

void origin_destroy(struct origin *origin)
{
	if (!origin)
		return;
	list_for_each_safe (node, &origin->connections)
		origin_connection_destroy(node);
	origin_timers_finish(&origin->timers);
	origin_resources_finish(&origin->resources);
	origin_script_destroy(origin->script);
	close_fd(&origin->epoll_fd);
	close_fd(&origin->listen_fd);
	close_fd(&origin->stop_fd);
	free(origin);
}

uint16_t origin_port(const struct origin *origin)
{
	return origin->port;
}

void origin_stop(struct origin *origin)
{
	const uint64_t one = 1;
	int saved = errno;

	(void)!write(origin->stop_fd, &one, sizeof(one));
	errno = saved;
}

static void accept_all(struct origin *origin)
{
	for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(origin->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			(void)origin_connection_create(origin, fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			/* The next connection to close makes room for those that wait. */
			log_warning("origin: accept: %s", strerror(errno));
			epoll_ctl(origin->epoll_fd, EPOLL_CTL_DEL, origin->listen_fd, NULL);
			origin->accepting = false;
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

/* timeout NULL: for ever */
static int wait_for(
	const struct origin *origin, struct epoll_event *events, const struct timespec *timeout)
{
#if WITH_TSAN
	/* TSan runs signal handlers in calls that it knows; epoll_pwait2(2) is not among them. */
	int timeout_ms = timeout ? (int)(timeout->tv_sec * 1000 +
					   (timeout->tv_nsec + 999999) / 1000000)
				 : -1;

	return epoll_wait(origin->epoll_fd, events, EVENTS_MAX, timeout_ms);
#else
	return epoll_pwait2(origin->epoll_fd, events, EVENTS_MAX, timeout, NULL);
#endif
}

static int wait_for_events(struct origin *origin, struct epoll_event *events)
{
	const struct timer *first = origin_timers_first(&origin->timers);
	struct timespec timeout = {0};
	uint64_t now, left;

	if (!list_empty(&origin->ready))
		return wait_for(origin, events, &timeout);
	if (!first)
		return wait_for(origin, events, NULL);
	now = clock_now_ns();
	left = first->deadline_ns > now ? first->deadline_ns - now : 0;
	timeout.tv_sec = (time_t)(left / NS_PER_S);
	timeout.tv_nsec = (long)(left % NS_PER_S);
	return wait_for(origin, events, &timeout);
}

static void run_timers(struct origin *origin)
{
	struct timer *timer = origin_timers_first(&origin->timers);
	uint64_t now = timer ? clock_now_ns() : 0;

	while (timer && timer->deadline_ns <= now) {
		origin_timer_clear(&origin->timers, timer);
		origin_connection_timer(timer);
		timer = origin_timers_first(&origin->timers);
	}
}

/* Each once: those that give way again wait for the next round. */
static void run_ready(struct origin *origin)
{
	struct list round;

	if (list_empty(&origin->ready))
		return;
	round = (struct list){.next = origin->ready.next, .prev = origin->ready.prev};
	round.next->prev = round.prev->next = &round;
	list_init(&origin->ready);
	while (!list_empty(&round)) {
		struct list *node = round.next;

		list_remove(node);
		origin_connection_ready(node);
	}
}

static int serve(struct origin *origin)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		uint64_t open = origin->stats.connections_open;
		int count = wait_for_events(origin, events);

		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &origin->stop_fd)
				return 0;
			if (events[i].data.ptr == &origin->listen_fd)
				accept_all(origin);
			else
				origin_connection_event(events[i].data.ptr, events[i].events);
		}
		run_timers(origin);
		run_ready(origin);
		if (!origin->accepting && origin->stats.connections_open < open)
			origin->accepting = !epoll_watch(origin, &origin->listen_fd);
	}
}

int origin_run(struct origin *origin)
{
	int slack_ns = prctl(PR_GET_TIMERSLACK);
	int err;

	/* The default slack of 50 us would be most of a short delay. */
	prctl(PR_SET_TIMERSLACK, 1);
	err = serve(origin);
	prctl(PR_SET_TIMERSLACK, slack_ns);
	return err;
}
