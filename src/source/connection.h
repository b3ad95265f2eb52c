/*
 * connection.h - one kept-alive connection that libcurl made, and the ranged exchange on it.
 *
 * The hot path of DESIGN's section 3: a prepared request whose range alone changes is sent with
 * one send; the answer's head is read and checked (http_head.h) before its first body byte counts;
 * the body is received straight to where exchange->ops->buffer() says. One exchange at a time. All
 * on the loop's thread. pool.c decides which connection serves which exchange.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "http_head.h"
#include "http_remote.h"
#include "list.h"
#include "loop.h"
#include "source.h"

struct host;

struct connection {
	struct loop_fd fd;
	struct list node; /* host's idle or busy list */
	struct host *host;
	struct source *source;
	struct client_request curl; /* opened it; TLS goes through it, else it is finished */
	bool tls;
	bool added;                /* to the loop */
	bool reused;               /* has served an exchange before this one */
	bool entered;              /* connection_ready() is on the stack: */
	bool doomed;               /* ... so that its end waits for it */
	bool answered;             /* the head of the exchange's answer was read */
	struct exchange *exchange; /* NULL: idle */
	struct exchange *hedges;   /* while it opens: it is for a second request for this */
	bool is_second;            /* it was opened for one */
	struct loop_timer timer;   /* when another connection may be worth it, or the deadline */
	struct loop_timer rest;    /* TLS: bytes that epoll does not know of */
	uint64_t sent_ns;          /* the request */
	uint64_t active_ns;        /* when something last arrived */
	uint64_t timeout_ns;
	struct http_head head;
	unsigned heads;                /* in bytes[], interim ones too */
	size_t head_len;               /* bytes in bytes[]; only until the head is whole */
	char bytes[HTTP_HEAD_MAX + 1]; /* the head, and the body bytes that came along */
};

/* A connection that libcurl has just made: watches its socket. -errno of epoll_ctl(2). */
int connection_open(struct connection *connection, struct source *source, bool tls);

/*
 * Sends the exchange's request. Its end is reported by pool's host_exchange_done(). late_ns: how
 * long to wait before host_connection_late() is asked.
 */
void connection_start(struct connection *connection, struct exchange *exchange, uint64_t late_ns,
	uint64_t timeout_ns);

/* Somebody waits for the exchange's bytes from now on: late_ns as above. */
void connection_hurry(struct connection *connection, uint64_t late_ns);

/* Its exchange is given up, to be asked for anew at once on another connection. */
void connection_abandon(struct connection *connection);

/* Closes and frees it; the exchange on it, if any, is forgotten, not reported. */
void connection_destroy(struct connection *connection);
