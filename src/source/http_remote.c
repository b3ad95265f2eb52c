/*
 * http_remote.c - the prepared request of a remote.
 *
 * Owned by the remote's source, on its loop. A request is put together once, and again when its
 * headers grow old or its object moves; each get copies it and writes its range behind it
 * (connection.c). Requests that wait in a host's queue are for that host and no other, so each
 * exchange holds the place it was submitted for, and the remote only the newest one.
 */
#include "http_remote.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "fallback.h"
#include "http_head.h"
#include "pool.h"
#include "secret.h"
#include "text.h"
#include "url.h"

static void place_put(struct http_place *place)
{
	if (!place || --place->refs > 0)
		return;
	secret_free(place->target);
	secret_free(place->headers);
	secret_free(place->request);
	free(place);
}

static void place_put_at(struct http_place **place)
{
	place_put(*place);
}

/* "name: value" lines have no control characters: http_head.c drops such. */
static int place_make_request(
	struct http_place *place, const struct version *version, const struct url *url)
{
	const char *headers = place->headers ? place->headers : "";
	bool strong = version->etag[0] == '"';
	bool dated = version->etag[0] == '\0' && version->modified[0] != '\0';
	char port[8] = "";
	int err;

	if (url->has_port)
		snprintf(port, sizeof port, ":%u", url->port);
	err = text_print(&place->request,
		"GET %s%s%s HTTP/1.1\r\nHost: %s%s\r\nUser-Agent: " USER_AGENT
		"\r\nAccept: */*\r\nAccept-Encoding: identity\r\n%s%s%s%s%s%s%sRange: bytes=",
		url->path, url->query ? "?" : "", url->query ? url->query : "", url->host, port,
		headers, strong ? "If-Match: " : "", strong ? version->etag : "",
		strong ? "\r\n" : "", dated ? "If-Unmodified-Since: " : "",
		dated ? version->modified : "", dated ? "\r\n" : "");
	if (err < 0)
		return err;
	place->request_len = strlen(place->request);
	/* It is put together in a connection's buffer, with two numbers behind it. */
	return place->request_len + 64 > HTTP_HEAD_MAX ? -ENAMETOOLONG : 0;
}

int http_remote_prepare(
	struct http_remote *remote, struct pool *pool, const char *url, const char *headers)
{
	cleanup(place_put_at) struct http_place *place = calloc(1, sizeof *place);
	cleanup(url_finish) struct url parts = {0};
	cleanup_free char *base = NULL;
	int err = url_parse(url, &parts);

	if (!place)
		return -ENOMEM;
	place->refs = 1;
	if (err < 0)
		return err;
	place->target = strdup(url);
	place->headers = headers ? strdup(headers) : NULL;
	if (!place->target || (headers && !place->headers))
		return -ENOMEM;
	if (text_print(&base, "%s://%s:%u", parts.scheme, parts.host, parts.port) < 0)
		return -ENOMEM;
	err = place_make_request(place, &remote->remote.version, &parts);
	if (err == 0)
		err = pool_host(pool, base, &place->host);
	if (err < 0)
		return err;
	place_put(remote->place);
	remote->place = steal_pointer(&place);
	return 0;
}

void http_remote_finish(struct http_remote *remote)
{
	place_put(steal_pointer(&remote->place));
}

void http_exchange_begin(struct exchange *exchange)
{
	struct http_place *place = http_remote_of(exchange)->place;

	place->refs++;
	exchange->place = place;
}

void http_exchange_leave(struct exchange *exchange)
{
	place_put(exchange->place);
	exchange->place = NULL;
}

void http_exchange_end(struct exchange *exchange, int err)
{
	struct http_place *place = exchange->place;

	place->is_proven |= err == 0;
	http_exchange_leave(exchange);
	exchange->ops->done(exchange, err);
}

void http_get_cancel(struct source *source, struct exchange *exchange)
{
	(void)source;
	if (exchange->waits) {
		list_remove(&exchange->node);
		return;
	}
	if (exchange->by_fallback)
		fallback_cancel(exchange);
	else
		host_cancel(http_place_of(exchange)->host, exchange);
	http_exchange_leave(exchange);
}

void http_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source;
	if (exchange->waits)
		exchange->urgent = true;
	else if (!exchange->by_fallback)
		host_hurry(http_place_of(exchange)->host, exchange);
}

bool http_remote_may_help(struct exchange *exchange)
{
	struct http_remote *remote = http_remote_of(exchange);
	unsigned status = exchange->status;
	bool is_asked = status == 400 || status == 401 || status == 403 || status / 100 == 3;

	is_asked |= remote->may_expire && (status == 404 || status == 410);
	if (!is_asked || !remote->refused || !remote->refused(remote, exchange))
		return false;
	exchange->at_no_cost = true;
	return true;
}
