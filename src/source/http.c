/*
 * http.c - the source for http:// and https://: remotes and their ranged gets, over the pool's
 * connections (pool.h) or libcurl's (fallback.h). Probes and listings: http_probe.c, http_list.c.
 *
 * Runs on the loop. Owns the client, the pool and what is known of credentials.
 *
 * A remote whose place was found through redirects keeps the URL that was asked, because places
 * expire (a signed URL is good for minutes). When a get is redirected, or refused at such a place,
 * that URL is probed again; gets that come meanwhile, the refused one among them, wait:
 *
 *	get --302; 401, 403, 404, 410 at a place--> resolving --same version--> get there
 *	                                                   \--another, or none--> fails
 *
 * A place that refuses before it has served anything is not asked about again.
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
#include "text.h"
#include "url.h"

/* ---- joined URLs --------------------------------------------------------------------------- */

/* Behind a fragment, which no request has: who passes URLs on needs no second string for it. */
static const char asked_mark[] = "#asked=";

int http_place_join(const char *location, const char *asked, char **ret)
{
	return text_print(ret, "%s%s%s", location, asked ? asked_mark : "", asked ? asked : "");
}

int http_place_split(const char *place, char **ret_location, char **ret_asked)
{
	const char *mark = strstr(place, asked_mark);

	*ret_location = mark ? strndup(place, (size_t)(mark - place)) : strdup(place);
	*ret_asked = mark ? strdup(mark + sizeof asked_mark - 1) : NULL;
	return !*ret_location || (mark && !*ret_asked) ? -ENOMEM : 0;
}

/* ---- remotes ------------------------------------------------------------------------------ */

struct web_remote {
	struct http_remote http;
	char *asked;    /* the URL that led here, or that says who we are; NULL: none */
	bool is_new;    /* the place is what it last answered */
	bool resolving; /* it is being asked again: */
	struct probe probe;
	char *probe_url;
	struct list waiting; /* exchanges */
};

static struct web_remote *web_remote_of(const struct remote *remote)
{
	return container_of(remote, struct web_remote, http.remote);
}

/* Credentials are for the server that was asked, and for no other. */
static int remote_authorize(const struct http_source *http, const struct url *url,
	const char *asked_text, char **ret_headers)
{
	cleanup(url_finish) struct url asked = {0};
	char reason[SOURCE_ERROR_MAX], *line = NULL;
	int err = url_parse(asked_text, &asked);

	if (err < 0 || !url_same_server(url, &asked))
		return err;
	err = auth_find(http->auth, &asked, &line, reason);
	if (err == 0 && line)
		err = text_print(ret_headers, "%s\r\n", line);
	secret_free(line);
	return err;
}

/* Its bytes are here (http_place_join()) from now on. What was is kept on an error. */
static int remote_place(struct web_remote *remote, const char *joined)
{
	struct http_source *http = http_of(remote->http.remote.source);
	cleanup_free char *location = NULL, *asked = NULL, *plain = NULL;
	cleanup(url_finish) struct url url = {0};
	char *headers = NULL;
	int err = http_place_split(joined, &location, &asked);

	if (err == 0)
		err = url_parse(location, &url);
	/* Who was not probed may come with "user:password@", which is not to be told. */
	if (err == 0 && url.user && !asked && !(asked = strdup(location)))
		err = -ENOMEM;
	if (err == 0)
		err = url_plain(&url, &plain);
	if (err == 0)
		err = remote_authorize(http, &url, asked ? asked : plain, &headers);
	if (err == 0)
		err = http_remote_prepare(&remote->http, http->pool, plain, headers);
	secret_free(headers);
	if (err < 0)
		return err;
	free(remote->http.remote.url);
	secret_free(remote->asked);
	remote->http.remote.url = steal_pointer(&plain);
	remote->asked = steal_pointer(&asked);
	remote->http.may_expire = remote->asked != NULL;
	return 0;
}

static bool is_version(const struct version *found, const struct version *pinned)
{
	if (found->size != pinned->size)
		return false;
	if (pinned->etag[0] == '\0' && pinned->is_partial)
		return pinned->modified[0] == '\0' ||
		       strcmp(found->modified, pinned->modified) == 0;
	return strcmp(version_validator(found), version_validator(pinned)) == 0;
}

static int remote_move(struct web_remote *remote, struct probe *probe)
{
	if (!is_version(&probe->version, &remote->http.remote.version)) {
		http_say(probe->error, "get", remote->http.remote.url, "the object has changed");
		return -ESTALE;
	}
	strcpy(probe->error, "get: out of memory");
	remote->http.use_fallback = false;
	return remote_place(remote, probe->effective_url);
}

static int exchange_submit(struct exchange *exchange);

/* Each of those that wait goes on at the new place, or ends with err. */
static void remote_resolved(struct probe *probe, int err)
{
	struct web_remote *remote = container_of(probe, struct web_remote, probe);
	char error[SOURCE_ERROR_MAX];
	struct list waiting;

	if (err == 0)
		err = remote_move(remote, probe);
	strcpy(error, probe->error);
	remote->resolving = false;
	remote->is_new = err == 0;
	/* The remote may go with the first that is told. */
	list_init(&waiting);
	list_splice(&waiting, &remote->waiting);
	while (!list_empty(&waiting)) {
		struct exchange *exchange = list_first(&waiting, struct exchange, node);
		int result = err;

		list_remove(&exchange->node);
		exchange->waits = false;
		if (result == 0)
			result = exchange_submit(exchange);
		if (result == 0)
			continue;
		exchange->again = false;
		strcpy(exchange->error, err < 0 ? error : "get: out of memory");
		exchange->ops->done(exchange, result);
	}
}

/* True: a get that comes again waits for another place, or finds it. */
static bool remote_refused(struct http_remote *http, const struct exchange *exchange)
{
	struct web_remote *remote = web_remote_of(&http->remote);

	if (!http_is_redirect(exchange->status) && !remote->asked)
		return false;
	if (remote->resolving || exchange->place != http->place)
		return true;
	/* The same question would have the same answer. */
	if (remote->is_new && !http->place->is_proven)
		return false;
	secret_free(remote->probe_url);
	remote->probe_url = strdup(remote->asked ? remote->asked : http->remote.url);
	remote->probe = (struct probe){.url = remote->probe_url, .done = remote_resolved};
	if (!remote->probe_url || http_probe(http->remote.source, &remote->probe) < 0)
		return false;
	remote->resolving = true;
	return true;
}

static void http_unpin(struct source *source, struct remote *remote)
{
	struct web_remote *self;

	if (!remote)
		return;
	self = web_remote_of(remote);
	assert(list_empty(&self->waiting));
	if (self->resolving)
		http_probe_cancel(source, &self->probe);
	http_remote_finish(&self->http);
	free(self->http.remote.url);
	secret_free(self->asked);
	secret_free(self->probe_url);
	free(self);
}

static int http_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct web_remote *remote = calloc(1, sizeof *remote);
	int err;

	if (!remote)
		return -ENOMEM;
	remote->http.remote.source = source;
	remote->http.remote.version = *version;
	remote->http.refused = remote_refused;
	list_init(&remote->waiting);
	err = remote_place(remote, url);
	if (err < 0)
		http_unpin(source, &remote->http.remote);
	else
		*ret = &remote->http.remote;
	return err;
}

/* ---- gets --------------------------------------------------------------------------------- */

static int exchange_submit(struct exchange *exchange)
{
	struct http_remote *remote = http_remote_of(exchange);
	struct http_source *http = http_of(remote->remote.source);
	int err;

	http_exchange_begin(exchange);
	exchange->by_fallback = remote->use_fallback;
	if (exchange->by_fallback)
		err = fallback_submit(http->client, &http->source, exchange);
	else
		err = host_submit(remote->place->host, exchange);
	if (err < 0)
		http_exchange_leave(exchange);
	return err;
}

static int http_get(struct source *source, struct exchange *exchange)
{
	struct web_remote *remote = web_remote_of(exchange->remote);

	(void)source;
	exchange->waits = remote->resolving;
	if (!exchange->waits)
		return exchange_submit(exchange);
	exchange_reset(exchange);
	list_append(&remote->waiting, &exchange->node);
	return 0;
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
	http->wants_digest = options->wants_digest;
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
