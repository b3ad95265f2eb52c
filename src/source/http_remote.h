/*
 * http_remote.h - a remote that is fetched by HTTP: where it is, and the request for a range of it
 * as far as it is always the same. Made by the sources that speak HTTP, used by connection.c,
 * pool.c and fallback.c. All on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source.h"

struct host;
struct pool;

/* One place, for as long as anybody uses it: an exchange keeps the one that it began with. */
struct http_place {
	unsigned refs;
	struct host *host;
	bool is_proven; /* a get has succeeded here */
	char *target;   /* the URL that is asked for */
	char *headers;  /* lines "Name: value\r\n" of its own; may hold secrets; or NULL */
	char *request;  /* up to and including "Range: bytes=" */
	size_t request_len;
};

struct http_remote {
	struct remote remote;
	struct http_place *place; /* where the next get goes */
	bool use_fallback; /* this server, or a proxy before it, needs more than connection.c */
	bool may_expire;   /* refused() wants to know of 404 and 410, too */
	/*
	 * An answer's status says that the request was not liked (400, 401, 403, a redirect). True:
	 * the source can do something about that, and another get is worth it at once. NULL: it
	 * can't.
	 */
	bool (*refused)(struct http_remote *self, const struct exchange *exchange);
};

static inline struct http_remote *http_remote_of(const struct exchange *exchange)
{
	return (struct http_remote *)(uintptr_t)container_of(
		exchange->remote, struct http_remote, remote);
}

static inline const struct http_place *http_place_of(const struct exchange *exchange)
{
	return exchange->place;
}

/*
 * Prepares for asking the URL, with these headers (NULL: none) and conditions for the remote's
 * version, in place of what was prepared before. Gets under way go on with that. -EINVAL,
 * -ENAMETOOLONG, -ENOMEM: nothing changed.
 */
int http_remote_prepare(
	struct http_remote *remote, struct pool *pool, const char *url, const char *headers);

/* Leaves its place. What may be secret is wiped when nobody uses it any more. */
void http_remote_finish(struct http_remote *remote);

/* The exchange begins, at the remote's place; until it is ended, or left. */
void http_exchange_begin(struct exchange *exchange);
/* It has ended: tells its owner, who may end the remote. */
void http_exchange_end(struct exchange *exchange, int err);
/* It was cancelled, or could not begin. */
void http_exchange_leave(struct exchange *exchange);

/* The source's get_cancel and get_hurry; `waits`: it is on a list of the remote's. */
void http_get_cancel(struct source *source, struct exchange *exchange);
void http_get_hurry(struct source *source, struct exchange *exchange);

/* Asks the remote's refused(), where the answer was one that it is asked about. True: the exchange
 * is to fail with `again`, and at_no_cost is set. */
bool http_remote_may_help(struct exchange *exchange);
