/*
 * connection.c - sends a prepared request and reads one answer, on a socket that libcurl opened.
 *
 * Runs on the loop; owned by its host. States: idle (exchange NULL; anything that arrives ends the
 * connection), reading the head (into bytes[]), reading the body (exchange->received_bytes of it
 * delivered). Invariant: no body byte is delivered before http_head_check() has passed.
 *
 * Cost of a 4 KiB range on a warm connection: one send(2), one recv(2) that brings head and body
 * together, no copy of the body before its consumer's. The timer is set and cancelled in user
 * space. Plain connections use send(2) and recv(2) on the socket: curl_easy_send() would walk all
 * of the multi's connections on each call to find its own. TLS ones go through libcurl.
 *
 * Rejected: pipelining (an aborted exchange would take others with it, and servers stall on it).
 */
#include "connection.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "pool.h"
#include "probe.h"
#include "url.h"

#define INTERIM_HEADS_MAX 8                   /* 1xx answers before the real one */
#define ROUND_BYTES_MAX (UINT64_C(256) << 10) /* then other descriptors get their turn */

/* ---- bytes -------------------------------------------------------------------------------- */

/*
 * What libcurl has decrypted, record after record (16 KiB each), until `len` bytes or no more are
 * there: a consumer pays per call. An error behind some bytes is met again by the next call.
 */
static ssize_t tls_recv(struct connection *connection, char *buffer, size_t len)
{
	size_t have = 0, received = 0;
	CURLcode result = CURLE_OK;

	while (have < len && result == CURLE_OK) {
		result = curl_easy_recv(
			connection->curl.easy, buffer + have, len - have, &received);
		if (result == CURLE_OK && received == 0)
			break;
		have += result == CURLE_OK ? received : 0;
	}
	if (have > 0 || result == CURLE_OK)
		return (ssize_t)have;
	return result == CURLE_AGAIN ? -EAGAIN : -EIO;
}

/* What recv(2) returns, with -errno; 0: the end. */
static ssize_t connection_recv(struct connection *connection, void *buffer, size_t len)
{
	ssize_t n;

	if (connection->tls)
		return tls_recv(connection, buffer, len);
	n = recv(connection->fd.fd, buffer, len, 0);
	return n < 0 ? -errno : n;
}

static int connection_send(struct connection *connection, const char *bytes, size_t len)
{
	CURLcode result;
	size_t sent;
	ssize_t n;

	if (!connection->tls) {
		n = send(connection->fd.fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		/* An idle connection's send buffer holds more than any request. */
		return (size_t)n == len ? 0 : -EIO;
	}
	result = curl_easy_send(connection->curl.easy, bytes, len, &sent);
	return result == CURLE_OK && sent == len ? 0 : -EIO;
}

/* ---- the end of an exchange ---------------------------------------------------------------- */

static void connection_fail(struct connection *connection, int err, bool again, const char *reason)
{
	struct exchange *exchange = connection->exchange;

	exchange->again = again;
	/* A server may close a kept-alive connection at any time (RFC 9112 section 9.6). */
	exchange->at_no_cost |= http_remote_of(exchange)->use_fallback;
	exchange->at_no_cost |= again && connection->reused && !connection->answered &&
				connection->head_len == 0 && err != -ETIMEDOUT;
	snprintf(exchange->error, sizeof exchange->error, "get: %s: %s%s%s",
		url_tell(exchange->remote->url).text, reason, err == -EIO ? "" : ": ",
		err == -EIO ? "" : strerrorname_np(-err));
	host_exchange_done(connection, err, false);
}

void connection_abandon(struct connection *connection)
{
	connection->exchange->at_no_cost = true;
	connection_fail(connection, -ETIMEDOUT, true, "no byte arrived for long");
}

/* Have bytes arrived that this loop, busy or stopped, has not come to? */
static bool bytes_are_here(const struct connection *connection)
{
	char byte;

	return recv(connection->fd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Set once an exchange; bytes that arrived since have moved the deadline. */
static void connection_timer_expired(struct loop_timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, timer);
	uint64_t now_ns = clock_now_ns();
	uint64_t deadline_ns, late_ns;

	if (bytes_are_here(connection))
		connection->active_ns = now_ns;
	deadline_ns = connection->active_ns + connection->timeout_ns;
	if (now_ns >= deadline_ns) {
		host_distrust(connection);
		connection_fail(connection, -ETIMEDOUT, true, "no byte arrived in time");
		return;
	}
	late_ns = host_connection_late(connection, now_ns);
	if (late_ns == 0)
		return;
	loop_timer_set(
		connection->source->loop, timer, late_ns < deadline_ns ? late_ns : deadline_ns);
}

void connection_hurry(struct connection *connection, uint64_t late_ns)
{
	if (late_ns < connection->timeout_ns)
		loop_timer_set(connection->source->loop, &connection->timer,
			connection->sent_ns + late_ns);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void deliver(struct exchange *exchange, const void *data, size_t len)
{
	exchange->received_bytes += len;
	exchange->remote->source->stats.bytes += len;
	exchange->ops->received(exchange, data, len);
}

static uint64_t body_left(const struct exchange *exchange)
{
	return range_length(exchange->range) - exchange->received_bytes;
}

/*
 * Reads the heads in bytes[]. The length of all of them: a final head was read and passed its
 * checks; 0: more is needed; -errno: the exchange has ended.
 */
static long connection_read_head(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	const char *reason = "malformed answer";
	size_t at = 0;
	bool again;
	long len;
	int err;

	connection->heads = 0;
	do {
		len = http_head_read(
			&connection->head, connection->bytes + at, connection->head_len - at);
		if (len == 0)
			return 0;
		if (len < 0 || connection->heads++ == INTERIM_HEADS_MAX) {
			/* It may be left of the answer before it: more than its head had said. */
			connection_fail(connection, -EPROTO,
				connection->reused && connection->heads == 0 &&
					connection->head.status == 0,
				reason);
			return -EPROTO;
		}
		at += (size_t)len;
	} while (connection->head.status < 200 && connection->head.status != 101);
	connection->answered = true;
	exchange->status = connection->head.status;
	exchange->first_byte_ns = connection->active_ns;
	STAGE_PROBE(
		first_byte, exchange->range.start, range_length(exchange->range), exchange->remote);
	exchange->retry_after_ms = connection->head.retry_after_s * 1000;
	exchange->digest = connection->head.content;
	err = http_head_check(
		&connection->head, exchange->range, &exchange->remote->version, &again, &reason);
	if (err == 0 && connection->head.chunked) {
		http_remote_of(exchange)->use_fallback = true;
		connection_fail(connection, -EPROTO, true, "answer in chunks");
		return -EPROTO;
	}
	if (err < 0 && !again && http_remote_may_help(exchange)) {
		connection_fail(connection, err, true, "refused: asking again");
		return err;
	}
	if (err < 0) {
		char words[120];

		snprintf(words, sizeof words, "HTTP %u: %s", exchange->status, reason);
		connection_fail(connection, err, again, words);
		return err;
	}
	host_answered(connection);
	return (long)at;
}

/* The head, and what came along. false: nothing more to do now, or the exchange has ended. */
static bool connection_receive_head(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	ssize_t n = connection_recv(connection, connection->bytes + connection->head_len,
		sizeof connection->bytes - connection->head_len);
	uint64_t left;
	size_t body;
	long head;

	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n <= 0) {
		connection_fail(connection, n < 0 ? (int)n : -EIO, true, "closed before an answer");
		return false;
	}
	connection->active_ns = clock_now_ns();
	connection->head_len += (size_t)n;
	head = connection_read_head(connection);
	if (head == 0 && connection->head_len == sizeof connection->bytes)
		connection_fail(connection, -EPROTO, false, "the answer's head is too long");
	if (head <= 0)
		return head == 0 && connection->tls;
	body = connection->head_len - (size_t)head;
	left = body_left(exchange);
	/* More than the body: the framing is broken, and the connection with it. */
	if (body > left)
		connection->head.close = true;
	connection->head_len = 0;
	if (body > 0)
		deliver(exchange, connection->bytes + head, body < left ? body : (size_t)left);
	return true;
}

/* Some of the body. true: there may be more at once. */
static bool connection_receive_body(struct connection *connection, uint64_t *round)
{
	struct exchange *exchange = connection->exchange;
	uint64_t left = body_left(exchange);
	size_t room;
	void *buffer = exchange->ops->buffer(exchange, &room);
	ssize_t n;

	assert(room > 0);
	room = room < left ? room : (size_t)left;
	n = connection_recv(connection, buffer, room);
	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n <= 0) {
		connection_fail(connection, n < 0 ? (int)n : -EIO, true,
			"closed in the middle of the body");
		return false;
	}
	connection->active_ns = clock_now_ns();
	*round += (uint64_t)n;
	deliver(exchange, buffer, (size_t)n);
	/* A short read has emptied the socket. */
	if ((size_t)n < room && !connection->tls)
		return false;
	if (*round < ROUND_BYTES_MAX)
		return true;
	/* What is left of a TLS record is in libcurl's hands, and epoll would not tell of it. */
	if (connection->tls)
		loop_timer_set(connection->source->loop, &connection->rest, connection->active_ns);
	return false;
}

static void connection_read(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	uint64_t round = 0;
	bool more = true;

	if (!exchange) {
		host_connection_closed(connection);
		return;
	}
	connection->entered = true;
	while (more) {
		more = connection->answered ? connection_receive_body(connection, &round)
					    : connection_receive_head(connection);
		if (connection->exchange != exchange)
			break;
		if (connection->answered && body_left(exchange) == 0) {
			host_exchange_done(connection, 0, !connection->head.close);
			break;
		}
	}
	connection->entered = false;
	if (connection->doomed)
		connection_destroy(connection);
}

static void connection_ready(struct loop_fd *fd, uint32_t events)
{
	(void)events; /* errors and ends are told by recv(2) */
	connection_read(container_of(fd, struct connection, fd));
}

/* Others have had their turn. */
static void connection_rest(struct loop_timer *timer)
{
	struct connection *connection = container_of(timer, struct connection, rest);

	if (connection->exchange)
		connection_read(connection);
}

/* ---- beginning and end -------------------------------------------------------------------- */

/*
 * libcurl counts a connection that CURLOPT_CONNECT_ONLY made as idle, and closes idle ones that are
 * 118 s old or have bytes waiting, whenever it makes another. So a plain one gets a descriptor of
 * our own, and libcurl may close its; a TLS one must stay with its handle, and the first
 * curl_easy_recv() attaches it to that: it is not idle from then on (easy.c of 7.88 and 8.14).
 */
static int connection_keep(
	struct connection *connection, bool tls, curl_socket_t original, int *ret_fd)
{
	CURLcode result;
	size_t received;
	char byte;

	*ret_fd = fcntl(original, F_DUPFD_CLOEXEC, 0);
	if (*ret_fd < 0)
		return -errno;
	if (!tls) {
		client_finish(&connection->curl);
		return 0;
	}
	result = curl_easy_recv(connection->curl.easy, &byte, 1, &received);
	return result == CURLE_AGAIN ? 0 : -EIO;
}

int connection_open(struct connection *connection, struct source *source, bool tls)
{
	curl_socket_t original = CURL_SOCKET_BAD;
	cleanup_fd int fd = -1;
	int err;

	if (curl_easy_getinfo(connection->curl.easy, CURLINFO_ACTIVESOCKET, &original) !=
			CURLE_OK ||
		original == CURL_SOCKET_BAD)
		return -EIO;
	err = connection_keep(connection, tls, original, &fd);
	if (err < 0)
		return err;
	connection->source = source;
	connection->tls = tls;
	connection->timer.expired = connection_timer_expired;
	connection->rest.expired = connection_rest;
	connection->fd = (struct loop_fd){.fd = fd, .ready = connection_ready};
	err = loop_add(source->loop, &connection->fd, EPOLLIN);
	if (err < 0)
		return err;
	connection->added = true;
	(void)loop_own(source->loop, steal_fd(&fd));
	return 0;
}

/* The digits of a range, as the request ends: "a-b\r\n\r\n". */
static size_t write_range(char *at, struct range range)
{
	char digits[20];
	uint64_t numbers[2] = {range.start, range_http_last(range)};
	char *p = at;

	for (int i = 0; i < 2; i++) {
		uint64_t value = numbers[i];
		int len = 0;

		do
			digits[len++] = (char)('0' + value % 10);
		while (value /= 10);
		while (len > 0)
			*p++ = digits[--len];
		*p++ = i == 0 ? '-' : '\r';
	}
	memcpy(p, "\n\r\n", 3);
	return (size_t)(p + 3 - at);
}

void connection_start(struct connection *connection, struct exchange *exchange, uint64_t late_ns,
	uint64_t timeout_ns)
{
	const struct http_place *place = http_place_of(exchange);
	/* bytes[] is free until the answer comes, and request_len was bounded by pin. */
	size_t len = place->request_len;
	int err;

	assert(!connection->exchange);
	memcpy(connection->bytes, place->request, len);
	len += write_range(connection->bytes + len, exchange->range);
	connection->exchange = exchange;
	connection->timeout_ns = timeout_ns;
	connection->head_len = 0;
	connection->answered = false;
	connection->sent_ns = connection->active_ns = clock_now_ns();
	STAGE_PROBE(
		connect, exchange->range.start, range_length(exchange->range), exchange->remote);
	connection->source->stats.requests++;
	err = connection_send(connection, connection->bytes, len);
	/* A send that failed is seen as an end by the reader, which reports it outside of this
	 * call. */
	if (err < 0)
		shutdown(connection->fd.fd, SHUT_RDWR);
	loop_timer_set(connection->source->loop, &connection->timer,
		connection->sent_ns + (late_ns < timeout_ns ? late_ns : timeout_ns));
}

void connection_destroy(struct connection *connection)
{
	if (!connection)
		return;
	if (connection->entered) {
		/* The exchange ended or was cancelled from inside its own callback. */
		connection->doomed = true;
		connection->exchange = NULL;
		return;
	}
	if (connection->source) {
		loop_timer_cancel(connection->source->loop, &connection->timer);
		loop_timer_cancel(connection->source->loop, &connection->rest);
	}
	if (connection->added) {
		loop_remove(connection->source->loop, &connection->fd);
		loop_disown(connection->source->loop, connection->fd.fd);
		close(connection->fd.fd);
	}
	client_finish(&connection->curl);
	free(connection);
}
