/*
 * serve.c - PAGEIN_FORK_SERVE: the child's maps stay as they are, and the parent fills them.
 *
 * While fork(2) copies the address space, the kernel makes a userfaultfd of the child's memory for
 * each of ours, and gives it to who reads UFFD_EVENT_FORK; until that is read, fork(2) does not
 * return. So the parent's loop stands still and does nothing but that (serving_wait()). For each
 * descriptor there is a shadow: a map without addresses of its own, whose faults are served like
 * any other's. All is made before, because malloc(3) waits while a process forks. The loop also
 * sends the descriptor to the child, over a socket pair made for this fork.
 *
 * If the parent ended as the only holder, the child's waiters would read zeros. So the child keeps
 * the descriptors too, with a loop that watches the socket: when the parent ends, or unmaps its own
 * map, the child reads the descriptor itself, on connections of its own. Faults that the parent had
 * read and not answered are asked for anew by a WAKE. What mremap(2) and munmap(2) do in the child
 * the parent hears first, and passes on, so that the child knows where its maps lie when that
 * happens. Until then calls with these objects and maps give -ECHILD in the child, for what it
 * knows may be microseconds old; and it denies them to children of its own.
 *
 * Needs CAP_SYS_PTRACE, and UFFDIO_POISON: another process's memory can't be PROT_NONE.
 */
#include "serve.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "map_private.h"

#define RECEIVE_MS 10000
#define MESSAGES 64
#define EVENTS_MAX 4096 /* of other threads while one forks; each costs them a system call */

enum serve_kind {
	SERVE_GIVE,  /* with the map's descriptor: the parent serves it */
	SERVE_TAKE,  /* with or without: the child serves it from now on */
	SERVE_EVENT, /* of the child's address space */
};

struct serve_message {
	enum serve_kind kind;
	struct pagein_map *map; /* the same address in both */
	struct uffd_msg event;
};

/* A child, in its parent. */
struct served {
	struct list node; /* of the roll */
	struct context *context;
	struct loop_fd link; /* readable: the child has gone */
	struct list shadows; /* of struct pagein_map, by its node */
};

struct serving {
	struct context *context;
	int link[2]; /* the parent's end, the child's */
	int end_fd;  /* eventfd: that is all */
	struct served *served;
	struct pollfd *polls; /* one for each map, and end_fd */
	struct pagein_map **maps;
	struct pagein_map **shadows; /* of those maps; NULL: used, or no memory */
	size_t count;
	struct serve_message *events; /* that were read meanwhile: of the parent's maps */
	size_t event_count;
	sem_t ended;
};

/* ---- messages ------------------------------------------------------------------------------ */

static int message_send(int link, const struct serve_message *message, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = {0};
	struct iovec iov = {(void *)message, sizeof *message};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof control;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	}
	return sendmsg(link, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* 1, 0 at the end, -EAGAIN. *ret_fd is -1 or the caller's. */
static int message_receive(int link, struct serve_message *ret, int *ret_fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	struct iovec iov = {ret, sizeof *ret};
	struct msghdr header = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t len = recvmsg(link, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	const struct cmsghdr *part = len > 0 ? CMSG_FIRSTHDR(&header) : NULL;

	*ret_fd = -1;
	if (len < 0)
		return -errno;
	if (part && part->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(part), sizeof *ret_fd);
	return len == sizeof *ret;
}

/* ---- the parent: shadows ------------------------------------------------------------------- */

/* The child has gone, or the last of its maps was handed over. */
static void served_destroy(struct served *served)
{
	list_for_each_safe (node, &served->shadows)
		map_destroy_shadow(list_entry(node, struct pagein_map, node));
	loop_remove(context_loop(served->context), &served->link);
	loop_disown(context_loop(served->context), served->link.fd);
	close(served->link.fd);
	list_remove(&served->node);
	free(served);
}

static void served_ready(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	served_destroy(container_of(fd, struct served, link));
}

void serve_forward(struct pagein_map *shadow, const struct uffd_msg *event)
{
	struct serve_message message = {SERVE_EVENT, shadow->origin, *event};

	/* A child that does not read what its own calls have caused will have to do without. */
	(void)message_send(shadow->served->link.fd, &message, -1);
}

void serve_hand_over(struct pagein_map *map)
{
	struct serve_message message = {.kind = SERVE_TAKE, .map = map};

	list_for_each_safe (node, &context_roll(map->object->context)->served) {
		struct served *served = list_entry(node, struct served, node);

		list_for_each_safe (inner, &served->shadows) {
			struct pagein_map *shadow = list_entry(inner, struct pagein_map, node);

			if (shadow->origin != map)
				continue;
			map_destroy_shadow(shadow);
			(void)message_send(served->link.fd, &message, -1);
		}
		if (list_empty(&served->shadows))
			served_destroy(served);
	}
}

/* ---- the parent: while it forks ------------------------------------------------------------- */

static void serving_free(struct serving *serving)
{
	for (size_t i = 0; i < serving->count; i++)
		map_destroy_shadow(serving->shadows[i]);
	free(serving->shadows);
	close_fd(&serving->link[1]);
	close_fd(&serving->end_fd);
	free(serving->polls);
	free(serving->maps);
	free(serving->events);
	free(serving);
}

/* A shadow that can't be had is the child's own at once. */
static void serving_give(struct serving *serving, size_t index, int fd)
{
	struct pagein_map *shadow = serving->shadows[index];
	struct serve_message message = {.kind = SERVE_GIVE, .map = serving->maps[index]};

	if (shadow && map_start_shadow(shadow, fd) == 0) {
		shadow->served = serving->served;
		list_append(&serving->served->shadows, &shadow->node);
		serving->shadows[index] = NULL;
		(void)message_send(serving->link[0], &message, fd);
		return;
	}
	message.kind = SERVE_TAKE;
	(void)message_send(serving->link[0], &message, fd);
	close(fd);
}

/* More than that are lost, as when map_event() has no memory. */
static void serving_keep_event(
	struct serving *serving, struct pagein_map *map, const struct uffd_msg *event)
{
	if (serving->event_count < EVENTS_MAX)
		serving->events[serving->event_count++] = (struct serve_message){
			SERVE_EVENT, map, *event};
}

static void serving_read(struct serving *serving, size_t index)
{
	struct pagein_map *map = serving->maps[index];
	struct uffd_msg messages[MESSAGES];
	size_t count = uffd_read(&map->uffd, messages, MESSAGES);

	for (size_t i = 0; i < count; i++)
		if (messages[i].event == UFFD_EVENT_FORK)
			serving_give(serving, index, (int)messages[i].arg.fork.ufd);
		else if (messages[i].event != UFFD_EVENT_PAGEFAULT)
			serving_keep_event(serving, map, &messages[i]);
}

static void served_watch(struct served *served)
{
	struct loop *loop = context_loop(served->context);

	/* Out of memory: its shadows live as long as the parent's maps. */
	if (loop_add(loop, &served->link, EPOLLIN) == 0)
		(void)loop_own(loop, served->link.fd);
	if (list_empty(&served->shadows))
		served_destroy(served);
}

/*
 * What happened to the parent's own maps meanwhile: events first. Faults were read and dropped: all
 * that wait ask again.
 */
static void serving_catch_up(struct serving *serving)
{
	for (size_t i = 0; i < serving->event_count; i++)
		map_event(serving->events[i].map, &serving->events[i].event);
	for (size_t i = 0; i < serving->count; i++)
		map_wake_all(serving->maps[i]);
	served_watch(serving->served);
	sem_post(&serving->ended);
}

/* poll(2) has no memory: all are looked at, of which none waits. */
static void serving_look(struct serving *serving)
{
	eventfd_t ended;

	for (size_t i = 0; i < serving->count; i++)
		serving->polls[i].revents = POLLIN;
	serving->polls[serving->count].revents = eventfd_read(serving->end_fd, &ended) == 0 ? POLLIN
											    : 0;
	sched_yield();
}

/* On the loop, which stands still. false: that was all; serving may be gone. */
static bool serving_wait(void *context)
{
	struct serving *serving = context;
	bool end;

	if (poll(serving->polls, serving->count + 1, -1) < 0)
		serving_look(serving);
	end = serving->polls[serving->count].revents != 0;
	for (size_t i = 0; i < serving->count; i++)
		if (serving->polls[i].revents)
			serving_read(serving, i);
	if (end)
		serving_catch_up(serving);
	return !end;
}

static int serving_list_maps(struct serving *serving)
{
	struct list *maps = &context_roll(serving->context)->maps;
	size_t max = 0;

	list_for_each (node, maps)
		max++;
	serving->polls = calloc(max + 1, sizeof *serving->polls);
	serving->maps = calloc(max + 1, sizeof(struct pagein_map *));
	serving->shadows = calloc(max + 1, sizeof(struct pagein_map *));
	serving->events = calloc(EVENTS_MAX, sizeof *serving->events);
	if (!serving->polls || !serving->maps || !serving->shadows || !serving->events)
		return -ENOMEM;
	list_for_each (node, maps) {
		struct pagein_map *map = list_entry(node, struct pagein_map, node);

		if (!map->uffd.follows_fork)
			continue;
		serving->maps[serving->count] = map;
		serving->shadows[serving->count] = map_create_shadow(map);
		serving->polls[serving->count++] = (struct pollfd){map->uffd.fd, POLLIN, 0};
	}
	serving->polls[serving->count] = (struct pollfd){serving->end_fd, POLLIN, 0};
	return 0;
}

static int serving_open_link(struct serving *serving)
{
	struct served *served = calloc(1, sizeof *served);
	int err = 0;

	if (!served)
		return -ENOMEM;
	served->context = serving->context;
	list_init(&served->shadows);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, serving->link) < 0)
		err = -errno;
	served->link = (struct loop_fd){.fd = serving->link[0], .ready = served_ready};
	if (err < 0) {
		free(served);
		return err;
	}
	list_append(&context_roll(serving->context)->served, &served->node);
	serving->served = served;
	return 0;
}

int serving_begin(struct context *context, struct serving **ret)
{
	struct serving *serving = calloc(1, sizeof *serving);
	int err;

	if (!serving)
		return -ENOMEM;
	*serving = (struct serving){.context = context, .link = {-1, -1}, .end_fd = -1};
	sem_init(&serving->ended, 0, 0);
	serving->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = serving->end_fd < 0 ? -errno : serving_list_maps(serving);
	if (err == 0)
		err = serving_open_link(serving);
	if (err < 0) {
		serving_free(serving);
		return err;
	}
	loop_hold_working(context_loop(context), serving_wait, serving);
	*ret = serving;
	return 0;
}

void serving_end(struct serving *serving)
{
	uint64_t one = 1;

	if (!serving)
		return;
	close_fd(&serving->link[1]);
	serving->link[1] = -1;
	/* The loop uses it until then. */
	while (write(serving->end_fd, &one, sizeof one) < 0)
		assert(errno == EINTR);
	while (sem_wait(&serving->ended) < 0)
		;
	serving_free(serving);
}

/* ---- the child ----------------------------------------------------------------------------- */

/* The parent, as its child sees it. */
struct server {
	struct context *context;
	struct loop_fd link; /* readable: news, or the parent has gone */
};

/* Reads the descriptor itself from now on. */
static void map_adopt(struct pagein_map *map)
{
	if (!map->is_served)
		return;
	map->is_served = false;
	if (loop_add_prompt(context_loop(map->object->context), &map->fd, EPOLLIN) == 0) {
		map_wake_all(map);
		return;
	}
	/* What nobody reads lets every touch, and every munmap(2), wait for ever. What is absent
	 * is a signal before the kernel would make zeros of it. */
	map_poison(map, map_pages(map));
	uffd_close(&map->uffd);
}

static bool roll_has(const struct context *context, const struct pagein_map *map)
{
	list_for_each (node, &context_roll((struct context *)context)->maps)
		if (list_entry(node, struct pagein_map, node) == map)
			return true;
	return false;
}

static void server_tells(struct server *server, const struct serve_message *message, int fd)
{
	struct pagein_map *map = message->map;

	/* It may have been unmapped here meanwhile. */
	if (!roll_has(server->context, map)) {
		close_fd(&fd);
		return;
	}
	if (fd >= 0) {
		map->uffd.fd = map->fd.fd = fd;
		map->is_served = true;
	}
	if (message->kind == SERVE_EVENT)
		map_event(map, &message->event);
	else if (message->kind == SERVE_TAKE)
		map_adopt(map);
}

/* All that are not the child's yet are now. */
static void server_gone(struct server *server)
{
	struct context *context = server->context;

	loop_remove(context_loop(context), &server->link);
	loop_disown(context_loop(context), server->link.fd);
	close(server->link.fd);
	free(server);
	list_for_each (node, &context_roll(context)->maps)
		map_adopt(list_entry(node, struct pagein_map, node));
	context_set_served(context, false);
}

static void server_ready(struct loop_fd *fd, uint32_t events)
{
	struct server *server = container_of(fd, struct server, link);
	struct serve_message message;
	int got, map_fd;

	(void)events;
	while ((got = message_receive(fd->fd, &message, &map_fd)) == 1)
		server_tells(server, &message, map_fd);
	if (got != -EAGAIN && got != -EINTR)
		server_gone(server);
}

static int server_create(struct context *context, int link)
{
	struct server *server = calloc(1, sizeof *server);
	struct loop *loop = context_loop(context);
	int err;

	if (!server)
		return -ENOMEM;
	server->context = context;
	server->link = (struct loop_fd){.fd = link, .ready = server_ready};
	err = loop_add(loop, &server->link, EPOLLIN);
	if (err < 0)
		free(server);
	else
		(void)loop_own(loop, link);
	return err;
}

/* The first messages: one for each map. The loop has not started. */
static int serving_await(struct serving *serving, struct server *self)
{
	struct serve_message message;
	int fd;

	for (size_t i = 0; i < serving->count; i++) {
		struct pollfd poll_link = {serving->link[1], POLLIN, 0};
		int ready, got = -EAGAIN;

		while ((ready = poll(&poll_link, 1, RECEIVE_MS)) < 0 && errno == EINTR)
			;
		while (ready == 1 &&
			(got = message_receive(serving->link[1], &message, &fd)) == -EINTR)
			;
		if (got != 1)
			return -EIO;
		server_tells(self, &message, fd);
	}
	return 0;
}

void serving_refuse(struct serving *serving)
{
	if (!serving)
		return;
	close_fd(&serving->link[0]);
	serving_free(serving);
}

int serving_receive(struct context *context, struct serving *serving)
{
	struct server self = {.context = context};
	int err = serving_await(serving, &self);

	if (err == 0)
		err = server_create(context, serving->link[1]);
	if (err == 0)
		serving->link[1] = -1;
	context_set_served(context, true);
	close_fd(&serving->link[0]);
	serving_free(serving);
	return err;
}
