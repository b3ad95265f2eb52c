/*
 * connection.c - one connection: requests in, answers out, waiting where the script says so.
 *
 *	READING --head--> UPLOADING --body--\
 *	  |  ^ \-------------head------------> DELAYED --timer--> SENDING <--timer--> PACED
 *	  |  |                                                    |  ^ \--> STALLED --timer--^
 *	  |  '---------- answer sent, kept alive -----------------'  '- epoll: writable again
 *	  '- end of input: closed          \--> PARTING (close-after) or LINGERING --timer--> closed
 *
 * One thread, that of origin_run(). A connection answers one request at a time; what a client sends
 * ahead waits in `in`, or in the kernel. Invariants: the timer is set in DELAYED, PACED, PARTING,
 * LINGERING and, with stall-for, in STALLED only; `answer` is alive from DELAYED to the end of the
 * answer.
 *
 * Cost of a small kept-alive answer: epoll_wait, recv, fstatat, pread, sendmsg. The input is not
 * read again after an answer, as epoll is level-triggered and most clients wait; what epoll watches
 * is changed only when an event came that can't be used now.
 *
 * sendfile() was measured and rejected. Through a buffer that stays in the cache a file leaves
 * with 4 GB/s, by sendfile() with 3, as its pipe holds 16 pages only; and a small answer needs one
 * send in place of two.
 */
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "answer.h"
#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "pace.h"
#include "server.h"

/* Requests with longer heads are refused with 431. */
#define INPUT_SIZE (16 << 10)

/* The body's part of the first send: small, so that a waiting client has something to do early. */
#define FIRST_PIECE_MAX (UINT64_C(64) << 10)

/* What one connection sends before others have a turn. */
#define TURN_MAX (UINT64_C(2) << 20)

/* How long the client may take to close its side, so that it gets the answer and not a reset. */
#define LINGER_NS (2 * NS_PER_S)

enum state { READING, UPLOADING, DELAYED, SENDING, PACED, STALLED, PARTING, LINGERING };

enum step { STEP_AGAIN, STEP_WAIT, STEP_CLOSE };

/* A request with its body: origin->request is another's by the time the body is there. */
struct upload {
	struct request request;
	size_t length;
	char body[];
};

struct connection {
	struct origin *origin;
	struct list link;  /* in origin->connections */
	struct list ready; /* in origin->ready, or in no list */
	struct timer timer;
	int fd;
	uint32_t watched; /* events epoll looks for */
	enum state state;
	bool unread;           /* the request has a body which nobody reads */
	struct upload *upload; /* in UPLOADING */
	uint64_t turn;         /* bytes sent since others had a turn */
	struct pace pace;
	struct answer answer;
	size_t in_start;
	size_t in_end;
	size_t in_scanned; /* from in_start: there is no end of a head in there */
	char in[INPUT_SIZE];
};

static void connection_destroy(struct connection *connection)
{
	struct origin *origin = connection->origin;

	origin_timer_clear(&origin->timers, &connection->timer);
	list_remove(&connection->link);
	list_remove(&connection->ready);
	origin_answer_finish(&connection->answer);
	free(connection->upload);
	close(connection->fd);
	free(connection);
	origin->stats.connections_open--;
}

static void watch(struct connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	if (events == connection->watched)
		return;
	connection->watched = events;
	if (epoll_ctl(connection->origin->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) < 0)
		abort();
}

/* For the client to go away, which is all that matters in a wait of the script's. */
static void watch_absence(struct connection *connection)
{
	if (!(connection->watched & EPOLLRDHUP))
		watch(connection, EPOLLRDHUP);
}

static void wait_until(struct connection *connection, enum state state, uint64_t deadline_ns)
{
	connection->state = state;
	origin_timer_set(&connection->origin->timers, &connection->timer, deadline_ns);
}

static void start_sending(struct connection *connection)
{
	const struct answer *answer = &connection->answer;
	bool paced = answer->rate || answer->byte_ns;

	connection->state = SENDING;
	connection->turn = 0;
	origin_pace_start(
		&connection->pace, answer->rate, answer->byte_ns, paced ? clock_now_ns() : 0);
}

static enum step start_answer(struct connection *connection, int err)
{
	if (err)
		return STEP_CLOSE;
	if (!connection->answer.delay_ns) {
		start_sending(connection);
		return STEP_AGAIN;
	}
	watch_absence(connection);
	wait_until(connection, DELAYED, clock_now_ns() + connection->answer.delay_ns);
	return STEP_WAIT;
}

static enum step start_upload(struct connection *connection)
{
	struct origin *origin = connection->origin;
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *expect = origin->request.fields[FIELD_EXPECT];

	if (origin->request.content_length > ORIGIN_SCRIPT_MAX)
		return start_answer(
			connection, origin_answer_prepare(origin, 413, &connection->answer));
	connection->upload = malloc(
		sizeof(*connection->upload) + origin->request.content_length + 1);
	if (!connection->upload)
		return STEP_CLOSE;
	connection->upload->request = origin->request;
	connection->upload->length = 0;
	connection->state = UPLOADING;
	/* Were it not sent whole, the client would send its body a second later all the same. */
	if (expect && !strcasecmp(expect, "100-continue"))
		(void)!send(connection->fd, go_on, strlen(go_on), MSG_NOSIGNAL);
	return STEP_AGAIN;
}

static bool is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

static enum step step_reading(struct connection *connection)
{
	struct origin *origin = connection->origin;
	char *text;
	size_t length;
	int status;

	while (connection->in_start < connection->in_end && !connection->in_scanned &&
		is_line_end(connection->in[connection->in_start]))
		connection->in_start++;
	text = connection->in + connection->in_start;
	length = origin_request_length(
		text, connection->in_end - connection->in_start, &connection->in_scanned);
	if (length) {
		connection->in_start += length;
		connection->in_scanned = 0;
		status = origin_request_parse(text, length, &origin->request);
		connection->unread = status || origin->request.has_body;
		if (!status && origin_control_wanted(origin))
			return start_upload(connection);
	} else {
		if (connection->in_start || connection->in_end < INPUT_SIZE) {
			watch(connection, EPOLLIN | EPOLLRDHUP);
			return STEP_WAIT;
		}
		status = connection->in_scanned ? 431 : 414;
		connection->unread = true;
	}
	return start_answer(connection, origin_answer_prepare(origin, status, &connection->answer));
}

static enum step step_uploading(struct connection *connection)
{
	struct origin *origin = connection->origin;
	struct upload *upload = connection->upload;
	size_t wanted = upload->request.content_length - upload->length;
	size_t count = connection->in_end - connection->in_start;
	int err;

	if (count > wanted)
		count = wanted;
	memcpy(upload->body + upload->length, connection->in + connection->in_start, count);
	connection->in_start += count;
	upload->length += count;
	if (count < wanted) {
		watch(connection, EPOLLIN | EPOLLRDHUP);
		return STEP_WAIT;
	}
	upload->body[upload->length] = '\0';
	origin->request = upload->request;
	err = origin_control_answer(origin, upload->body, upload->length, &connection->answer);
	connection->unread = false;
	free(steal_pointer(&connection->upload));
	return start_answer(connection, err);
}

static enum step finish_answer(struct connection *connection)
{
	static const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	enum answer_end finish = connection->answer.finish;
	uint64_t close_after_ns = connection->answer.close_after_ns;

	origin_answer_finish(&connection->answer);
	if (close_after_ns != ANSWER_NEVER) {
		watch_absence(connection);
		wait_until(connection, PARTING, clock_now_ns() + close_after_ns);
		return STEP_WAIT;
	}
	switch (finish) {
	case END_KEEP:
		connection->state = READING;
		return STEP_AGAIN;
	case END_CLOSE:
		if (!connection->unread && connection->in_start == connection->in_end)
			return STEP_CLOSE;
		shutdown(connection->fd, SHUT_WR);
		watch(connection, EPOLLIN | EPOLLRDHUP);
		wait_until(connection, LINGERING, clock_now_ns() + LINGER_NS);
		return STEP_WAIT;
	case END_RESET:
		setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return STEP_CLOSE;
	}
	return STEP_CLOSE;
}

/* What is left of the head, and some of the next len bytes of the body. How many, or -errno. */
static ssize_t send_some(struct connection *connection, uint64_t len)
{
	struct answer *answer = &connection->answer;
	unsigned char *copy = connection->origin->copy;
	size_t head_left = answer->head_length - answer->head_sent;
	uint64_t len_max = head_left ? FIRST_PIECE_MAX : ORIGIN_PIECE_MAX;
	struct iovec parts[2] = {
		{.iov_base = answer->head + answer->head_sent, .iov_len = head_left},
		{.iov_base = copy},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t count = 0;

	if (len > len_max)
		len = len_max;
	if (len) {
		count = origin_body_read(&answer->body, answer->position, copy, len);
		/* The file has become shorter: there is nothing right left to send. */
		if (count <= 0)
			return -EIO;
	}
	parts[1].iov_len = (size_t)count;
	count = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
	if (count < 0)
		return -errno;
	if ((size_t)count < head_left) {
		answer->head_sent += (size_t)count;
		return 0;
	}
	answer->head_sent = answer->head_length;
	return count - (ssize_t)head_left;
}

/* Lets the next piece go, now or when it is due. */
static enum step pace(struct connection *connection, uint64_t left)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t due_ns = origin_pace_next(
		&connection->pace, connection->answer.position, left, now_ns);

	if (due_ns <= now_ns)
		return STEP_AGAIN;
	wait_until(connection, PACED, due_ns);
	return STEP_WAIT;
}

static enum step stall(struct connection *connection)
{
	struct answer *answer = &connection->answer;

	answer->stall_at = ANSWER_NEVER;
	connection->state = STALLED;
	watch_absence(connection);
	if (answer->stall_ns != ANSWER_NEVER)
		wait_until(connection, STALLED, clock_now_ns() + answer->stall_ns);
	return STEP_WAIT;
}

static enum step step_sending(struct connection *connection)
{
	struct answer *answer = &connection->answer;
	uint64_t limit = answer->end < answer->stall_at ? answer->end : answer->stall_at;
	uint64_t left = limit - answer->position;
	ssize_t count;

	if (!left && answer->head_sent == answer->head_length)
		return limit == answer->stall_at ? stall(connection) : finish_answer(connection);
	if (left && !connection->pace.allowance)
		return pace(connection, left);
	if (left > connection->pace.allowance)
		left = connection->pace.allowance;
	count = send_some(connection, left);
	if (count == -EAGAIN) {
		watch(connection, EPOLLOUT);
		return STEP_WAIT;
	}
	if (count < 0)
		return STEP_CLOSE;
	answer->position += (uint64_t)count;
	connection->origin->stats.body_bytes += (uint64_t)count;
	connection->turn += (uint64_t)count;
	origin_pace_spend(&connection->pace, (uint64_t)count);
	if (connection->turn < TURN_MAX)
		return STEP_AGAIN;
	connection->turn = 0;
	list_append(&connection->origin->ready, &connection->ready);
	return STEP_WAIT;
}

static enum step step_none(struct connection *connection)
{
	(void)connection;
	return STEP_WAIT;
}

static enum step (*const steps[])(struct connection *) = {
	[READING] = step_reading,
	[UPLOADING] = step_uploading,
	[DELAYED] = step_none,
	[SENDING] = step_sending,
	[PACED] = step_none,
	[STALLED] = step_none,
	[PARTING] = step_none,
	[LINGERING] = step_none,
};

static void drive(struct connection *connection)
{
	enum step step;

	do
		step = steps[connection->state](connection);
	while (step == STEP_AGAIN);
	if (step == STEP_CLOSE)
		connection_destroy(connection);
}

/* Into the buffer, or into nothing. False at the end of input. */
static bool receive(struct connection *connection)
{
	ssize_t count;

	if (connection->state == LINGERING)
		connection->in_start = connection->in_end;
	if (connection->in_start == connection->in_end) {
		connection->in_start = connection->in_end = 0;
	} else if (connection->in_end == INPUT_SIZE) {
		connection->in_end -= connection->in_start;
		memmove(connection->in, connection->in + connection->in_start, connection->in_end);
		connection->in_start = 0;
	}
	count = recv(connection->fd, connection->in + connection->in_end,
		INPUT_SIZE - connection->in_end, 0);
	if (count <= 0)
		return count < 0 && errno == EAGAIN;
	connection->in_end += (size_t)count;
	return true;
}

void origin_connection_event(void *data, uint32_t events)
{
	struct connection *connection = data;
	enum state state = connection->state;
	uint32_t usable = state == SENDING ? EPOLLOUT : 0;

	if (events & (EPOLLERR | EPOLLHUP)) {
		connection_destroy(connection);
	} else if (state == READING || state == UPLOADING || state == LINGERING) {
		if (receive(connection))
			drive(connection);
		else
			connection_destroy(connection);
	} else if (events & EPOLLRDHUP && state != SENDING && state != PACED) {
		connection_destroy(connection);
	} else {
		/* A client may close its side and still read; if it does not, sending will fail. */
		watch(connection, connection->watched & ~(events & ~usable));
		if (events & usable && list_empty(&connection->ready))
			drive(connection);
	}
}

void origin_connection_timer(struct timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, timer);

	switch (connection->state) {
	case DELAYED:
		start_sending(connection);
		break;
	case PACED:
	case STALLED:
		connection->state = SENDING;
		break;
	case READING:
	case UPLOADING:
	case SENDING:
		abort();
	case PARTING:
	case LINGERING:
		connection_destroy(connection);
		return;
	}
	drive(connection);
}

void origin_connection_ready(struct list *node)
{
	drive(list_entry(node, struct connection, ready));
}

void origin_connection_destroy(struct list *node)
{
	connection_destroy(list_entry(node, struct connection, link));
}

int origin_connection_create(struct origin *origin, int fd)
{
	int owned cleanup_fd = fd;
	struct connection *connection cleanup_free = malloc(sizeof(*connection));
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = connection};

	if (!connection ||
		origin_timers_reserve(&origin->timers, origin->stats.connections_open + 1) < 0)
		return -ENOMEM;
	/* The input buffer need not be cleared. */
	memset(connection, 0, offsetof(struct connection, in));
	connection->origin = origin;
	connection->fd = fd;
	connection->watched = event.events;
	if (epoll_ctl(origin->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	list_init(&connection->ready);
	list_append(&origin->connections, &connection->link);
	origin->stats.connections_accepted++;
	origin->stats.connections_open++;
	steal_fd(&owned);
	steal_pointer(&connection);
	return 0;
}
