/* pool_private.h - what pool.c and pool_hedge.c share about a host. For these two only; on the
 * loop. */
#pragma once

#include "client.h"
#include "hedge.h"
#include "list.h"
#include "pool.h"

struct pool {
	struct source *source;
	struct client *client;
	struct list hosts;
	unsigned connections_max;
	unsigned hedge_percent;
	uint64_t timeout_ns;
};

struct host {
	struct list node;
	struct pool *pool;
	struct list idle; /* most recently used first */
	struct list busy;
	struct list opening;
	struct list urgent;     /* exchanges that wait for a connection */
	struct list queue;      /* ... behind the urgent ones */
	unsigned connections;   /* open and opening */
	unsigned waiting;       /* exchanges in urgent and queue */
	unsigned opening_count; /* for those: not the ones for second requests */
	unsigned ahead;         /* exchanges on connections that are not urgent */
	bool tls;
	char *base;
	struct hedge hedge;
};

/* Unlinks, counts and frees. */
void host_close(struct host *host, struct connection *connection);

/*
 * Begins to open a connection, which host_opened() will be told of; avoid NULL: to any address.
 * -ENOMEM
 */
int host_open(struct host *host, const struct sockaddr_storage *avoid, struct connection **ret);

/* Sends its request; the connection is idle, or new. */
void host_serve(struct host *host, struct connection *connection, struct exchange *exchange);

/* The connection has nothing to do: the next exchange takes it, or it waits for one. */
void host_release(struct host *host, struct connection *connection);

/* After a connection has gone: another for those that wait. */
void host_reconnect(struct host *host);

/* pool_hedge.c: an exchange's second request is forgotten. */
void host_drop_second(struct host *host, struct exchange *exchange);

/* pool_hedge.c: the exchange ends with what this connection has brought, and nothing else. */
void host_drop_other(struct host *host, struct connection *connection);

/*
 * pool_hedge.c: one of two requests has failed in a way that may pass, and the other is to go on:
 * true, and the connection is gone.
 */
bool host_lean_on_other(struct host *host, struct connection *connection);

/* pool_hedge.c: a connection that was opened for a second request is ready, or could not be had. */
void host_hedge_opened(struct host *host, struct connection *connection);
void host_hedge_failed(struct host *host, struct connection *connection);
