/*
 * http.c - the source for http:// and https://: probes and listings by libcurl (client.h), ranged
 * gets over the pool's connections (pool.h).
 *
 * Runs on the loop. Owns the client and the pool. A probe is a GET of the first PROBE_BYTES, so
 * that version, size and the first page come in one round trip, and so that what it proves is
 * exactly what is needed: that this server serves ranges of this object. A server that answers 200
 * is stopped at the head, not read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "cleanup.h"
#include "clock.h"
#include "fallback.h"
#include "index.h"
#include "loop.h"
#include "pool.h"
#include "url.h"

struct http_source {
	struct source source;
	struct curl_slist *headers; /* of every probe and listing */
	unsigned timeout_ms;
	uint64_t random; /* of the pauses between attempts */
	struct client *client;
	struct pool *pool;
};

/* A probe's or listing's request while it is under way. */
struct http_request {
	struct client_request curl;
	struct probe *probe; /* one of the two */
	struct listing *listing;
	struct http_source *http;
	const char *url;
	unsigned attempts;       /* that failed in a way that may pass */
	struct loop_timer timer; /* the next one */
	struct http_head head;   /* of the newest answer: redirects bring several */
	char *bytes;             /* the body so far */
	size_t len;
	size_t max; /* more than that ends the request */
};

static struct http_source *http_of(struct source *source)
{
	return container_of(source, struct http_source, source);
}

/* ---- answers ------------------------------------------------------------------------------ */

static size_t http_take_header(char *line, size_t size, size_t count, void *context)
{
	struct http_request *request = context;

	http_head_line(&request->head, line, size * count);
	return size * count;
}

static size_t http_take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct http_request *request = context;
	size_t len = size * count;
	char *grown;

	/* A redirect's or an error's words are of no use; a whole object must not be read. */
	if (request->head.status >= 300)
		return len;
	if (request->probe && request->head.status != 206)
		return 0;
	if (len > request->max - request->len)
		return 0;
	grown = realloc(request->bytes, request->len + len);
	if (!grown)
		return 0;
	memcpy(grown + request->len, bytes, len);
	request->bytes = grown;
	request->len += len;
	return len;
}

static void http_request_free(struct http_request *request)
{
	if (!request)
		return;
	loop_timer_cancel(request->http->source.loop, &request->timer);
	client_finish(&request->curl);
	free(request->bytes);
	free(request);
}

static void say(char *error, const char *operation, const char *url, const char *reason)
{
	snprintf(error, SOURCE_ERROR_MAX, "%s: %.*s: %.100s", operation, url_public_length(url),
		url, reason);
}

/* What an answer that libcurl brought means; 0 for 2xx. */
static int http_answer_error(
	const struct http_request *request, CURLcode result, char *reason, size_t reason_max)
{
	unsigned status = request->head.status;

	if (status >= 300 && (result == CURLE_OK || result == CURLE_TOO_MANY_REDIRECTS)) {
		snprintf(reason, reason_max, "HTTP %u", status);
		return http_status_errno(status, true).err;
	}
	if (result != CURLE_OK) {
		snprintf(reason, reason_max, "%s",
			request->curl.error[0] ? request->curl.error : curl_easy_strerror(result));
		return curl_errno(result).err;
	}
	/* libcurl takes a head that was cut for one without a body. */
	if (!request->head.whole) {
		snprintf(reason, reason_max, "closed in the middle of the head");
		return -EIO;
	}
	if (request->head.bad) {
		snprintf(reason, reason_max, "%s", request->head.reason);
		return -EPROTO;
	}
	if (request->head.encoded) {
		snprintf(reason, reason_max, "encoded answer though identity was asked for");
		return -EPROTO;
	}
	return 0;
}

static bool http_try_again(struct http_request *request, CURLcode result);

/* ---- probe -------------------------------------------------------------------------------- */

static int probe_size_head(const struct http_request *request, uint64_t *ret, const char **reason)
{
	curl_off_t length = -1;

	if (request->head.has_length)
		length = (curl_off_t)request->head.length;
	if (length < 0) {
		*reason = "HEAD without a Content-Length";
		return -ENOTSUP;
	}
	*ret = (uint64_t)length;
	return 0;
}

/* The size that an answer to "bytes=0-N" tells, and whether it is a right one. */
static int probe_size(const struct http_request *request, uint64_t *ret, const char **reason)
{
	const struct http_head *head = &request->head;
	uint64_t asked;

	/* An empty object has no first byte: 416, or (nginx) the whole of nothing. */
	if ((head->status == 416 && head->has_total && head->total == 0) ||
		(head->status == 200 && head->has_length && head->length == 0)) {
		*ret = 0;
		return 0;
	}
	if (head->status != 206) {
		*reason = "the server does not serve ranges";
		return -ENOTSUP;
	}
	*reason = "malformed answer to a ranged request";
	if (head->multipart || !head->has_range || !head->has_total || head->range.start != 0)
		return -EPROTO;
	asked = head->total < PROBE_BYTES ? head->total : PROBE_BYTES;
	if (head->range.end != asked || (head->has_length && head->length != asked) ||
		request->len != asked)
		return -EPROTO;
	*ret = head->total;
	return 0;
}

static void probe_take_type(struct probe *probe, CURL *easy)
{
	char *type = NULL;

	curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
	if (!type || strlen(type) > CONTENT_TYPE_MAX)
		type = "";
	strcpy(probe->content_type, type);
}

static int probe_answer(struct probe *probe, struct http_request *request, CURLcode result)
{
	char words[CURL_ERROR_SIZE];
	const char *reason = words;
	unsigned status = request->head.status;
	uint64_t size = 0;
	int err;

	probe->status = status;
	/* A body that was refused in the middle, or a 416, may still be a fact about the object. */
	if (result == CURLE_WRITE_ERROR && status == 200)
		result = CURLE_OK;
	if (!probe->head_only && status == 416 && request->head.total == 0 &&
		request->head.has_total)
		err = 0;
	else
		err = http_answer_error(request, result, words, sizeof words);
	if (err == 0)
		err = probe->head_only ? probe_size_head(request, &size, &reason)
				       : probe_size(request, &size, &reason);
	if (err < 0) {
		say(probe->error, "open", probe->url, reason);
		return err;
	}
	http_head_version(&request->head, size, &probe->version);
	probe_take_type(probe, request->curl.easy);
	curl_easy_getinfo(request->curl.easy, CURLINFO_EFFECTIVE_URL, &probe->effective_url);
	probe->bytes = request->bytes;
	probe->bytes_len = probe->head_only || size == 0 ? 0 : request->len;
	return 0;
}

static void probe_done(struct client_request *curl, CURLcode result)
{
	struct http_request *request = container_of(curl, struct http_request, curl);
	struct probe *probe = request->probe;

	if (http_try_again(request, result))
		return;
	probe->state = NULL;
	probe->done(probe, probe_answer(probe, request, result));
	http_request_free(request);
}

/* ---- listing ------------------------------------------------------------------------------ */

static int listing_entry(const struct index_entry *entry, void *context)
{
	struct listing *listing = context;

	return listing->entry(listing, entry);
}

static int listing_answer(struct listing *listing, struct http_request *request, CURLcode result)
{
	char words[CURL_ERROR_SIZE];
	struct index_page page = {
		.bytes = request->bytes ? request->bytes : "", .length = request->len};
	cleanup(url_finish) struct url url = {0};
	char *type = NULL, *effective = NULL;
	int err;

	listing->status = request->head.status;
	err = http_answer_error(request, result, words, sizeof words);
	if (err < 0) {
		say(listing->error, "list", listing->url, words);
		return err;
	}
	curl_easy_getinfo(request->curl.easy, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(request->curl.easy, CURLINFO_EFFECTIVE_URL, &effective);
	/* The page's links rest on its path. */
	err = url_parse(effective ? effective : listing->url, &url);
	page.content_type = type;
	page.path = url.path;
	if (err == 0)
		err = index_parse(&page, listing_entry, listing, NULL);
	if (err < 0)
		say(listing->error, "list", listing->url, "not an index page that pagein can read");
	return err;
}

static void listing_done(struct client_request *curl, CURLcode result)
{
	struct http_request *request = container_of(curl, struct http_request, curl);
	struct listing *listing = request->listing;

	if (http_try_again(request, result))
		return;
	listing->state = NULL;
	listing->done(listing, listing_answer(listing, request, result));
	http_request_free(request);
}

/* ---- requests ----------------------------------------------------------------------------- */

/* One attempt: everything of the one before is forgotten. */
static int http_request_start(struct http_request *request)
{
	struct http_source *http = request->http;
	char range[32];
	CURL *easy;
	int err;

	client_finish(&request->curl);
	request->head = (struct http_head){0};
	request->len = 0;
	err = client_easy(http->client, request->url, &request->curl);
	if (err < 0)
		return err;
	easy = request->curl.easy;
	snprintf(range, sizeof range, "0-%llu",
		(unsigned long long)range_http_last((struct range){0, PROBE_BYTES}));
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	/* By hand: with CURLOPT_ACCEPT_ENCODING libcurl would also decode. */
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
	if (request->probe && request->probe->head_only)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (request->probe)
		curl_easy_setopt(easy, CURLOPT_RANGE, range); /* libcurl keeps a copy */
	/* Some KiB: a server that dribbles them is as good as silent. */
	if (request->probe)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)http->timeout_ms);
	return client_start(http->client, &request->curl);
}

static void http_timer_expired(struct loop_timer *timer)
{
	struct http_request *request = container_of(timer, struct http_request, timer);

	if (http_request_start(request) < 0)
		request->curl.done(&request->curl, CURLE_OUT_OF_MEMORY);
}

/*
 * What failed in a way that may pass is repeated after a pause. Not the failure to reach a server
 * at all: whoever opens something wants to know at once that there is none.
 */
static bool http_try_again(struct http_request *request, CURLcode result)
{
	struct loop *loop = request->http->source.loop;
	bool passing = result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR ||
		       result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE;

	if (result == CURLE_OK)
		passing = !request->head.whole ||
			  http_status_errno(request->head.status, true).again;
	if (!passing || ++request->attempts == SOURCE_ATTEMPTS)
		return false;
	return loop_timer_set(loop, &request->timer,
		       clock_now_ns() + backoff_ms(request->attempts, &request->http->random) *
						NS_PER_MS) == 0;
}

static int http_request(struct http_source *http, const char *url, size_t max,
	void (*done)(struct client_request *, CURLcode), struct probe *probe,
	struct listing *listing, void **ret_state)
{
	struct http_request *request = calloc(1, sizeof *request);
	int err;

	if (!request)
		return -ENOMEM;
	request->http = http;
	request->url = url;
	request->max = max;
	request->curl.done = done;
	request->probe = probe;
	request->listing = listing;
	request->timer.expired = http_timer_expired;
	err = http_request_start(request);
	if (err < 0)
		http_request_free(request);
	else
		*ret_state = request;
	return err;
}

static int http_probe(struct source *source, struct probe *probe)
{
	probe->error[0] = '\0';
	return http_request(
		http_of(source), probe->url, PROBE_BYTES, probe_done, probe, NULL, &probe->state);
}

static int http_list(struct source *source, struct listing *listing)
{
	listing->error[0] = '\0';
	return http_request(http_of(source), listing->url, INDEX_PAGE_MAX, listing_done, NULL,
		listing, &listing->state);
}

static void http_probe_cancel(struct source *source, struct probe *probe)
{
	(void)source;
	http_request_free(probe->state);
	probe->state = NULL;
}

static void http_list_cancel(struct source *source, struct listing *listing)
{
	(void)source;
	http_request_free(listing->state);
	listing->state = NULL;
}

/* ---- remotes ------------------------------------------------------------------------------ */

/* The prepared request. "name: value" lines have no control characters: head.c drops such. */
static int remote_prepare(struct http_remote *remote, const char *target, const char *authority)
{
	const struct version *version = &remote->remote.version;
	bool strong = version->etag[0] == '"';
	bool dated = version->etag[0] == '\0' && version->modified[0] != '\0';
	int len = asprintf(&remote->request,
		"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " USER_AGENT "\r\nAccept: */*\r\n"
		"Accept-Encoding: identity\r\n%s%s%s%s%s%sRange: bytes=",
		target, authority, strong ? "If-Match: " : "", strong ? version->etag : "",
		strong ? "\r\n" : "", dated ? "If-Unmodified-Since: " : "",
		dated ? version->modified : "", dated ? "\r\n" : "");

	if (len < 0) {
		remote->request = NULL;
		return -ENOMEM;
	}
	remote->request_len = (size_t)len;
	/* It is put together in a connection's buffer, with two numbers behind it. */
	return remote->request_len + 64 > HTTP_HEAD_MAX ? -ENAMETOOLONG : 0;
}

static int remote_parse(struct http_source *http, struct http_remote *remote)
{
	cleanup_free char *base = NULL, *target = NULL, *authority = NULL;
	cleanup(url_finish) struct url url = {0};
	int err = url_parse(remote->remote.url, &url);

	if (err < 0)
		return err;
	if (asprintf(&base, "%s://%s:%u", url.scheme, url.host, url.port) < 0 ||
		asprintf(&target, "%s%s%s", url.path, url.query ? "?" : "",
			url.query ? url.query : "") < 0 ||
		(url.has_port ? asprintf(&authority, "%s:%u", url.host, url.port)
			      : asprintf(&authority, "%s", url.host)) < 0)
		return -ENOMEM;
	err = pool_host(http->pool, base, &remote->host);
	return err < 0 ? err : remote_prepare(remote, target, authority);
}

static void http_unpin(struct source *source, struct remote *remote)
{
	struct http_remote *self = container_of(remote, struct http_remote, remote);

	(void)source;
	if (!remote)
		return;
	free(self->remote.url);
	free(self->request);
	free(self);
}

static int http_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct http_remote *remote = calloc(1, sizeof *remote);
	int err = -ENOMEM;

	if (!remote)
		return -ENOMEM;
	remote->remote.source = source;
	remote->remote.version = *version;
	remote->remote.url = strdup(url);
	if (remote->remote.url)
		err = remote_parse(http_of(source), remote);
	if (err < 0)
		http_unpin(source, &remote->remote);
	else
		*ret = &remote->remote;
	return err;
}

static int http_get(struct source *source, struct exchange *exchange)
{
	struct http_remote *remote = http_remote_of(exchange);

	exchange->by_fallback = remote->use_fallback;
	if (exchange->by_fallback)
		return fallback_submit(http_of(source)->client, source, exchange);
	return host_submit(remote->host, exchange);
}

static void http_get_cancel(struct source *source, struct exchange *exchange)
{
	(void)source;
	if (exchange->by_fallback)
		fallback_cancel(exchange);
	else
		host_cancel(http_remote_of(exchange)->host, exchange);
}

/* ---- the source --------------------------------------------------------------------------- */

static void http_destroy(struct source *source)
{
	struct http_source *http = http_of(source);

	pool_destroy(http->pool);
	client_destroy(http->client);
	curl_slist_free_all(http->headers);
	free(http);
}

static void http_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source;
	if (!exchange->by_fallback)
		host_hurry(http_remote_of(exchange)->host, exchange);
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
	/* Twice: TLS connections of the pool are counted there, too. */
	http->timeout_ms = options->timeout_ms ? options->timeout_ms : SOURCE_TIMEOUT_MS;
	err = client_create(loop, http->timeout_ms,
		2 * (options->connections_max ? options->connections_max : SOURCE_CONNECTIONS),
		&http->client);
	if (err == 0)
		err = pool_create(&http->source, http->client, options, &http->pool);
	if (err == 0 && !(http->headers = curl_slist_append(NULL, "Accept-Encoding: identity")))
		err = -ENOMEM;
	if (err < 0) {
		http_destroy(&http->source);
		return err;
	}
	*ret = &http->source;
	return 0;
}
