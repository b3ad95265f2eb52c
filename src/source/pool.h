/*
 * pool.h - the connections to each server, and the exchanges that wait for one.
 *
 * A host is one scheme, name and port. It opens a connection when an exchange finds none idle, up
 * to connections_max; beyond that exchanges queue, those that somebody waits for before the others.
 * Exchanges that nobody waits for get no more than two thirds of the connections, so that a fault
 * does not wait behind another reader's readahead.
 * The connection used last is used next, so that the spare ones grow old together and the server
 * may close them. All on the loop's thread.
 */
#pragma once

#include "connection.h"

struct pool;

int pool_create(struct source *source, struct client *client, const struct source_options *options,
	struct pool **ret);
/* Closes every connection. No exchange may be left. NULL is fine. */
void pool_destroy(struct pool *pool);

/* The host at "scheme://name:port"; made when new, kept until the pool goes. -ENOMEM */
int pool_host(struct pool *pool, const char *base, struct host **ret);

/* exchange->remote is an http_remote. 0, and exchange->ops->done() follows; or -ENOMEM. */
int host_submit(struct host *host, struct exchange *exchange);
/* Forgets a submitted exchange that has not ended; one that was sent costs its connection. */
void host_cancel(struct host *host, struct exchange *exchange);

/* Somebody waits for it: in the queue it waits among the urgent ones now. */
void host_hurry(struct host *host, struct exchange *exchange);

/*
 * For connection.c: the exchange on this connection has ended with err (0, or -errno with its
 * fields filled in); `reusable`: the connection may serve another. May free the connection.
 */
void host_exchange_done(struct connection *connection, int err, bool reusable);
/*
 * For connection.c: the connection's request has not been answered for as long as it was told to
 * wait, or its answer does not go on. When to ask again, 0: the exchange on it has ended.
 */
uint64_t host_connection_late(struct connection *connection, uint64_t now_ns);
/* For connection.c: an answer's head was read and may be believed. Who else was asked is forgotten.
 */
void host_answered(struct connection *connection);
/*
 * For connection.c: nothing has come on this connection in time. Idle ones that have been silent
 * for as long may be dead as well (a NAT that was restarted, a server that has gone without a
 * word), and would each cost somebody the same time: they are closed.
 */
void host_distrust(const struct connection *connection);
/* For connection.c: an idle connection was closed by the server. Frees it. */
void host_connection_closed(struct connection *connection);
