/*
 * http.c - the source for http:// and https://: remotes and their ranged gets, over the pool's
 * connections (pool.h) or libcurl's (fallback.h). Probes and listings: http_probe.c, http_list.c.
 *
 * Runs on the loop. Owns the client, the pool and what is known of credentials.
 *
 * A remote whose place was found through redirects keeps the URL that was asked, because places
 * expire (a signed URL is good for minutes). A get that is refused there, or redirected, waits while
 * that URL is probed again:
 *
 *	get --302, or 401, 403, 404, 410 of a place--> resolving --same version--> get at the new place
 *	                                                     \--another, or none--> fails
 *
 * once for each attempt, one probe for all gets that wait.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "fallback.h"
#include "http_private.h"
#include "url.h"

/* ---- joined URLs ------------------------------------------------------------------------------- */

/* Behind a fragment, which no request has: who passes URLs on needs no second string for it. */
static const char asked_mark[] = "#asked=";

int http_place_join(const char *location, const char *asked, char **ret)
{
	if (asprintf(ret, "%s%s%s", location, asked ? asked_mark : "", asked ? asked : "") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

int http_place_split(const char *place, char **ret_location, char **ret_asked)
{
	const char *mark = strstr(place, asked_mark);

	*ret_location = mark ? strndup(place, (size_t)(mark - place)) : strdup(place);
	*ret_asked = mark ? strdup(mark + sizeof asked_mark - 1) : NULL;
	return !*ret_location || (mark && !*ret_asked) ? -ENOMEM : 0;
}

/* ---- places ------------------------------------------------------------------------------- */

static void place_put(struct http_place *place)
{
	if (!place || --place->refs > 0)
		return;
	secret_free(place->authorization);
	secret_free(place->request);
	free(place);
}

static void put_place(struct http_place **place)
{
	place_put(*place);
}

/* The prepared request. "name: value" lines have no control characters: http_head.c drops such. */
static int place_prepare(struct http_place *place, const struct version *version,
	const struct url *url, const char *authority)
{
	bool strong = version->etag[0] == '"';
	bool dated = version->etag[0] == '\0' && version->modified[0] != '\0';
	const char *authorization = place->authorization;
	int len = asprintf(&place->request,
		"GET %s%s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " USER_AGENT "\r\nAccept: */*\r\n"
		"Accept-Encoding: identity\r\n%s%s%s%s%s%s%s%sRange: bytes=",
		url->path, url->query ? "?" : "", url->query ? url->query : "", authority,
		authorization ? authorization : "", authorization ? "\r\n" : "",
		strong ? "If-Match: " : "", strong ? version->etag : "", strong ? "\r\n" : "",
		dated ? "If-Unmodified-Since: " : "", dated ? version->modified : "",
		dated ? "\r\n" : "");

	if (len < 0) {
		place->request = NULL;
		return -ENOMEM;
	}
	place->request_len = (size_t)len;
	/* It is put together in a connection's buffer, with two numbers behind it. */
	return place->request_len + 64 > HTTP_HEAD_MAX ? -ENAMETOOLONG : 0;
}

/* asked NULL: the URL itself was asked. Credentials are for that server, and for no other. */
static int place_authorize(struct http_place *place, const struct http_source *http,
	const struct url *url, const char *asked_text)
{
	cleanup(url_finish) struct url asked = {0};
	char reason[SOURCE_ERROR_MAX];
	int err;

	if (!asked_text)
		return auth_find(http->auth, url, &place->authorization, reason);
	err = url_parse(asked_text, &asked);
	if (err < 0 || !url_same_server(url, &asked))
		return err;
	return auth_find(http->auth, &asked, &place->authorization, reason);
}

static int place_create(struct http_source *http, const struct version *version,
	const struct url *url, const char *asked, struct http_place **ret)
{
	cleanup(put_place) struct http_place *place = calloc(1, sizeof *place);
	cleanup_free char *base = NULL, *authority = NULL;
	int err;

	if (!place)
		return -ENOMEM;
	place->refs = 1;
	if (asprintf(&base, "%s://%s:%u", url->scheme, url->host, url->port) < 0 ||
		(url->has_port ? asprintf(&authority, "%s:%u", url->host, url->port)
			       : asprintf(&authority, "%s", url->host)) < 0)
		return -ENOMEM;
	err = place_authorize(place, http, url, asked);
	if (err == 0)
		err = pool_host(http->pool, base, &place->host);
	if (err == 0)
		err = place_prepare(place, version, url, authority);
	if (err == 0)
		*ret = steal_pointer(&place);
	return err;
}

/* ---- remotes ------------------------------------------------------------------------------ */

/* Its bytes are here (http_place_join()) from now on. What was is kept on an error. */
static int remote_place(struct http_remote *remote, const char *joined)
{
	cleanup_free char *location = NULL, *asked = NULL, *plain = NULL;
	cleanup(url_finish) struct url url = {0};
	struct http_place *place = NULL;
	int err = http_place_split(joined, &location, &asked);

	if (err == 0)
		err = url_parse(location, &url);
	/* Who was not probed may come with "user:password@", which is not to be told. */
	if (err == 0 && url.user && !asked && !(asked = strdup(location)))
		err = -ENOMEM;
	if (err == 0)
		err = url_plain(&url, &plain);
	if (err == 0)
		err = place_create(http_of(remote->remote.source), &remote->remote.version, &url,
			asked, &place);
	if (err < 0)
		return err;
	place_put(remote->place);
	free(remote->remote.url);
	secret_free(remote->asked);
	remote->place = place;
	remote->remote.url = steal_pointer(&plain);
	remote->asked = steal_pointer(&asked);
	return 0;
}

static void http_unpin(struct source *source, struct remote *remote)
{
	struct http_remote *self = container_of(remote, struct http_remote, remote);

	if (!remote)
		return;
	assert(list_empty(&self->waiting));
	if (self->resolving)
		http_probe_cancel(source, &self->probe);
	place_put(self->place);
	free(self->remote.url);
	secret_free(self->asked);
	secret_free(self->probe_url);
	free(self);
}

static int http_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct http_remote *remote = calloc(1, sizeof *remote);
	int err;

	if (!remote)
		return -ENOMEM;
	remote->remote.source = source;
	remote->remote.version = *version;
	list_init(&remote->waiting);
	err = remote_place(remote, url);
	if (err < 0)
		http_unpin(source, &remote->remote);
	else
		*ret = &remote->remote;
	return err;
}

/* ---- gets --------------------------------------------------------------------------------- */

static void exchange_leave_place(struct exchange *exchange)
{
	place_put(exchange->place);
	exchange->place = NULL;
}

static int remote_submit(struct http_remote *remote, struct exchange *exchange)
{
	struct http_source *http = http_of(remote->remote.source);
	int err;

	exchange->place = remote->place;
	remote->place->refs++;
	exchange->by_fallback = remote->use_fallback;
	if (exchange->by_fallback)
		err = fallback_submit(http->client, &http->source, exchange);
	else
		err = host_submit(remote->place->host, exchange);
	if (err < 0)
		exchange_leave_place(exchange);
	return err;
}

static bool same_version(const struct version *a, const struct version *b)
{
	return a->size == b->size && strcmp(version_validator(a), version_validator(b)) == 0;
}

static int remote_move(struct http_remote *remote, struct probe *probe)
{
	if (!same_version(&probe->version, &remote->remote.version)) {
		http_say(probe->error, "get", remote->remote.url, "the object has changed");
		return -ESTALE;
	}
	strcpy(probe->error, "get: out of memory");
	remote->use_fallback = false;
	return remote_place(remote, probe->effective_url);
}

/* Each of those that wait goes on at the new place, or ends with err. */
static void remote_resolved(struct probe *probe, int err)
{
	struct http_remote *remote = container_of(probe, struct http_remote, probe);
	char error[SOURCE_ERROR_MAX];
	struct list waiting;

	if (err == 0)
		err = remote_move(remote, probe);
	strcpy(error, probe->error);
	remote->resolving = false;
	/* The remote may go with the first that is told. */
	list_append(&remote->waiting, &waiting);
	list_remove(&remote->waiting);
	while (!list_empty(&waiting)) {
		struct exchange *exchange = list_first(&waiting, struct exchange, node);
		int result = err;

		list_remove(&exchange->node);
		exchange->resolving = false;
		if (result == 0)
			result = remote_submit(http_remote_of(exchange), exchange);
		if (result == 0)
			continue;
		exchange->again = false;
		strcpy(exchange->error, err < 0 ? error : "get: out of memory");
		exchange->ops->done(exchange, result);
	}
}

static bool is_elsewhere(const struct http_remote *remote, unsigned status)
{
	if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
		return true;
	return remote->asked && (status == 401 || status == 403 || status == 404 || status == 410);
}

static bool exchange_resolve(struct exchange *exchange)
{
	struct http_remote *remote = http_remote_of(exchange);

	if (exchange->resolved || !is_elsewhere(remote, exchange->status))
		return false;
	if (!remote->resolving) {
		secret_free(remote->probe_url);
		remote->probe_url = strdup(remote->asked ? remote->asked : remote->remote.url);
		remote->probe = (struct probe){.url = remote->probe_url, .done = remote_resolved};
		if (!remote->probe_url || http_probe(remote->remote.source, &remote->probe) < 0)
			return false;
	}
	remote->resolving = true;
	exchange->resolving = true;
	exchange->resolved = true;
	list_append(&remote->waiting, &exchange->node);
	return true;
}

void http_exchange_ended(struct exchange *exchange, int err)
{
	exchange_leave_place(exchange);
	if (err == 0 || !exchange_resolve(exchange))
		exchange->ops->done(exchange, err);
}

static int http_get(struct source *source, struct exchange *exchange)
{
	(void)source;
	exchange->resolving = false;
	exchange->resolved = false;
	return remote_submit(http_remote_of(exchange), exchange);
}

static struct host *host_of(const struct exchange *exchange)
{
	return ((const struct http_place *)exchange->place)->host;
}

static void http_get_cancel(struct source *source, struct exchange *exchange)
{
	(void)source;
	if (exchange->resolving)
		list_remove(&exchange->node);
	else if (exchange->by_fallback)
		fallback_cancel(exchange);
	else
		host_cancel(host_of(exchange), exchange);
	exchange->resolving = false;
	exchange_leave_place(exchange);
}

/* ---- the source --------------------------------------------------------------------------- */

static void http_destroy(struct source *source)
{
	struct http_source *http = http_of(source);

	http_list_finish(http);
	pool_destroy(http->pool);
	client_destroy(http->client);
	auth_destroy(http->auth);
	free(http);
}

static void http_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source;
	if (exchange->resolving)
		exchange->urgent = true;
	else if (!exchange->by_fallback)
		host_hurry(host_of(exchange), exchange);
}

static const struct source_ops http_ops = {
	.destroy = http_destroy,
	.probe = http_probe,
	.list = http_list,
	.get = http_get,
	.probe_cancel = http_probe_cancel,
	.list_cancel = http_list_cancel,
	.get_cancel = http_get_cancel,
	.get_hurry = http_get_hurry,
	.pin = http_pin,
	.unpin = http_unpin,
};

int http_source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	static const struct source_options defaults;
	struct http_source *http = calloc(1, sizeof *http);
	int err;

	if (!http)
		return -ENOMEM;
	if (!options)
		options = &defaults;
	http->source.ops = &http_ops;
	http->source.loop = loop;
	http->random = clock_now_ns() | 1;
	list_init(&http->dav_servers);
	/* Twice: TLS connections of the pool are counted there, too. */
	http->timeout_ms = options->timeout_ms ? options->timeout_ms : SOURCE_TIMEOUT_MS;
	err = client_create(loop, http->timeout_ms,
		2 * (options->connections_max ? options->connections_max : SOURCE_CONNECTIONS),
		&http->client);
	if (err == 0)
		err = pool_create(&http->source, http->client, options, &http->pool);
	if (err == 0)
		err = auth_create(options, &http->auth);
	if (err < 0) {
		http_destroy(&http->source);
		return err;
	}
	*ret = &http->source;
	return 0;
}
