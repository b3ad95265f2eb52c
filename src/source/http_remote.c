/*
 * http_remote.c - the prepared request of a remote.
 *
 * Owned by the remote's source, on its loop. A request is put together once, and again when its
 * headers grow old; each get copies it and writes its range behind it (connection.c).
 */
#include "http_remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "http_head.h"
#include "pool.h"
#include "url.h"

/* "name: value" lines have no control characters: http_head.c drops such. */
static int make_request(const struct version *version, const struct url *url, const char *headers,
	char **ret, size_t *ret_len)
{
	bool strong = version->etag[0] == '"';
	bool dated = version->etag[0] == '\0' && version->modified[0] != '\0';
	char port[8] = "";
	int len;

	if (url->has_port)
		snprintf(port, sizeof port, ":%u", url->port);
	len = asprintf(ret,
		"GET %s%s%s HTTP/1.1\r\nHost: %s%s\r\nUser-Agent: " USER_AGENT
		"\r\nAccept: */*\r\nAccept-Encoding: identity\r\n%s%s%s%s%s%s%sRange: bytes=",
		url->path, url->query ? "?" : "", url->query ? url->query : "", url->host, port,
		headers ? headers : "", strong ? "If-Match: " : "", strong ? version->etag : "",
		strong ? "\r\n" : "", dated ? "If-Unmodified-Since: " : "",
		dated ? version->modified : "", dated ? "\r\n" : "");
	if (len < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	*ret_len = (size_t)len;
	/* It is put together in a connection's buffer, with two numbers behind it. */
	return *ret_len + 64 > HTTP_HEAD_MAX ? -ENAMETOOLONG : 0;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void wipe_at(char **text)
{
	wipe(*text);
}

int http_remote_prepare(
	struct http_remote *remote, struct pool *pool, const char *url, const char *headers)
{
	cleanup(wipe_at) char *kept = headers ? strdup(headers) : NULL;
	cleanup(wipe_at) char *request = NULL;
	cleanup_free char *base = NULL;
	cleanup(url_finish) struct url parts = {0};
	cleanup(wipe_at) char *target = strdup(url);
	struct host *host;
	size_t request_len;
	int err = url_parse(url, &parts);

	if (err < 0)
		return err;
	if (!target || (headers && !kept) ||
		asprintf(&base, "%s://%s:%u", parts.scheme, parts.host, parts.port) < 0)
		return -ENOMEM;
	err = make_request(&remote->remote.version, &parts, headers, &request, &request_len);
	if (err == 0)
		err = pool_host(pool, base, &host);
	if (err < 0)
		return err;
	http_remote_finish(remote);
	remote->host = host;
	remote->target = steal_pointer(&target);
	remote->headers = steal_pointer(&kept);
	remote->request = steal_pointer(&request);
	remote->request_len = request_len;
	return 0;
}

void http_remote_finish(struct http_remote *remote)
{
	wipe(steal_pointer(&remote->target));
	wipe(steal_pointer(&remote->headers));
	wipe(steal_pointer(&remote->request));
}

bool http_remote_may_help(struct exchange *exchange)
{
	struct http_remote *remote = http_remote_of(exchange);
	unsigned status = exchange->status;
	bool is_asked = status == 400 || status == 401 || status == 403 || status / 100 == 3;

	if (!is_asked || !remote->refused || !remote->refused(remote, exchange))
		return false;
	exchange->at_no_cost = true;
	return true;
}
