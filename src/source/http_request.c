/*
 * http_request.c - one request that is not hot, on libcurl: credentials, redirects, repetitions.
 *
 * Runs on the loop; owned by a probe or a listing. Each attempt is a handle of its own:
 *
 *	attempt --redirect, if the rules allow--> attempt elsewhere
 *	        \--a fault that may pass--> pause --> the same again, SOURCE_ATTEMPTS in all
 *	         \--else--> done()
 *
 * Redirects are followed here and not by libcurl, for the sake of these rules: R1 http and https
 * only. R2 what was asked for in secret is not fetched in the open: never from https to http. R3
 * credentials go to the server that was asked, and to no other. R4 REDIRECTS_MAX of them, which
 * also ends loops. R5 no redirect leads from another server to a link-local address, where clouds
 * keep their machines' credentials: not by number, and not by a name that resolves to one. R6 a
 * redirect's own "user:password@" is not ours to use.
 *
 * Cost: a round trip for each redirect, on a connection from libcurl's cache.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backoff.h"
#include "cleanup.h"
#include "clock.h"
#include "http_private.h"
#include "url.h"

#define REDIRECTS_MAX 5
#define IDLE_BODY_MAX ((size_t)1 << 20) /* bytes of an error's page; nobody's is longer */

/* One level deep: the directory and its entries. Asked for is what entries are made of. */
static const char propfind_body[] =
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>"
	"<propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/><getlastmodified/>"
	"<getetag/></prop></propfind>";

void http_say(
	char error[SOURCE_ERROR_MAX], const char *operation, const char *url, const char *reason)
{
	snprintf(error, SOURCE_ERROR_MAX, "%s: %s: %.100s", operation, url_tell(url).text, reason);
}

static int request_fail(struct http_request *request, int err, const char *reason)
{
	snprintf(request->reason, sizeof request->reason, "%.200s", reason);
	return err;
}

/* ---- answers ------------------------------------------------------------------------------ */

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct http_request *request = context;

	request->head_bytes += size * count;
	if (request->head_bytes > HTTP_HEAD_MAX) {
		request->head.bad = request->refused = true;
		request->head.reason = "the answer's head is too long";
		return 0;
	}
	http_head_line(&request->head, line, size * count);
	return size * count;
}

/* Room for so many bytes more, which are below max: it doubles, so that no byte is moved often. */
static bool body_grow(struct http_request *request, size_t len)
{
	size_t room = 2 * request->room;
	char *grown;

	if (len <= request->room - request->len)
		return true;
	if (room < request->len + len)
		room = request->len + len;
	if (room > request->max)
		room = request->max;
	grown = realloc(request->bytes, room);
	if (!grown)
		return false;
	request->bytes = grown;
	request->room = room;
	return true;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct http_request *request = context;
	size_t len = size * count;

	/* A redirect's or an error's words are of no use. */
	if (request->head.status >= 300) {
		request->idle_bytes += len;
		return request->idle_bytes > IDLE_BODY_MAX ? 0 : len;
	}
	/* A whole object must not be read, and what has such a head neither: it may not end. */
	request->refused = request->head.bad ||
			   (request->method == HTTP_GET_START && request->head.status != 206) ||
			   len > request->max - request->len;
	if (request->refused || !body_grow(request, len))
		return 0;
	memcpy(request->bytes + request->len, bytes, len);
	request->len += len;
	return len;
}

int http_request_error(struct http_request *request, int err)
{
	unsigned status = request->head.status;
	char words[32];

	if (request->refused && request->head.bad)
		return request_fail(request, -EPROTO, request->head.reason);
	if (err < 0 && request->refused && status < 300)
		return request_fail(request, -EFBIG, "the answer is too long");
	if (err < 0 && !(status >= 300 && request->refused))
		return err;
	if (status >= 300) {
		snprintf(words, sizeof words, "HTTP %u", status);
		return request_fail(request, http_status_errno(status, true).err, words);
	}
	/* libcurl takes a head that was cut for one without a body. */
	if (!request->head.whole)
		return request_fail(request, -EIO, "closed in the middle of the head");
	if (request->head.bad)
		return request_fail(request, -EPROTO, request->head.reason);
	if (request->head.encoded)
		return request_fail(
			request, -EPROTO, "encoded answer though identity was asked for");
	return 0;
}

/* ---- attempts ----------------------------------------------------------------------------- */

static bool is_link_local(const struct sockaddr *address)
{
	/* EC2's metadata over IPv6: no link-local address, but the same thing. */
	static const uint8_t ec2[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
	const uint8_t *v4 = NULL;

	if (address->sa_family == AF_INET)
		v4 = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
	else if (address->sa_family != AF_INET6)
		return false;
	else if (IN6_IS_ADDR_V4MAPPED(v6))
		v4 = v6->s6_addr + 12;
	if (v4)
		return v4[0] == 169 && v4[1] == 254;
	return IN6_IS_ADDR_LINKLOCAL(v6) || memcmp(v6, ec2, sizeof ec2) == 0;
}

/* R5, for requests that a redirect has led to another server. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_request *request = context;

	(void)purpose;
	if (is_link_local(&address->addr)) {
		request_fail(request, -EACCES, "redirected to a link-local address");
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int header_add(struct http_request *request, const char *line)
{
	struct curl_slist *more = curl_slist_append(request->headers, line);

	if (!more)
		return -ENOMEM;
	request->headers = more;
	return 0;
}

/* R3 */
static int headers_authorize(struct http_request *request)
{
	cleanup(url_finish) struct url url = {0};
	char *line = NULL;
	int err = 0;

	if (request->foreign)
		return 0;
	err = url_parse(request->url, &url);
	if (err == 0)
		err = auth_find(request->http->auth, &url, &line, request->reason);
	if (err == 0 && line)
		err = header_add(request, line);
	secret_free(line);
	return err;
}

static int headers_make(struct http_request *request)
{
	/* By hand: with CURLOPT_ACCEPT_ENCODING libcurl would also decode. */
	int err = header_add(request, "Accept-Encoding: identity");

	/* RFC 9530: without it servers keep it to themselves. The number is a preference of 1
	 * to 10.
	 */
	if (err == 0 && request->http->wants_digest &&
		(request->method == HTTP_HEAD || request->method == HTTP_GET_START))
		err = header_add(request, "Want-Repr-Digest: crc32c=9, sha-256=5");
	/* Caddy has its listings in both, and exact in one. */
	if (err == 0 && request->method == HTTP_GET)
		err = header_add(request, "Accept: application/json, text/html;q=0.9, */*;q=0.1");
	if (err == 0 && request->method == HTTP_PROPFIND)
		err = header_add(request, "Depth: 1");
	if (err == 0 && request->method == HTTP_PROPFIND)
		err = header_add(request, "Content-Type: application/xml");
	return err < 0 ? err : headers_authorize(request);
}

static void method_set(struct http_request *request)
{
	char range[32];

	if (request->method == HTTP_HEAD)
		client_set(&request->curl, CURLOPT_NOBODY, 1L);
	if (request->method == HTTP_GET_START) {
		snprintf(range, sizeof range, "0-%llu",
			(unsigned long long)range_http_last((struct range){0, request->max}));
		client_set(&request->curl, CURLOPT_RANGE, range); /* libcurl keeps a copy */
	}
	if (request->method == HTTP_PROPFIND) {
		client_set(&request->curl, CURLOPT_POSTFIELDS, propfind_body);
		client_set(&request->curl, CURLOPT_CUSTOMREQUEST, "PROPFIND");
	}
	/* Some KiB: a server that dribbles them is as good as silent. */
	if (request->method == HTTP_HEAD || request->method == HTTP_GET_START)
		client_set(&request->curl, CURLOPT_TIMEOUT_MS,
			(long)probe_timeout_ms(request->max, request->http->timeout_ms));
}

/* One attempt: everything of the one before is forgotten. */
static int request_attempt(struct http_request *request)
{
	int err;

	client_finish(&request->curl);
	client_free_headers(steal_pointer(&request->headers));
	request->head = (struct http_head){0};
	request->len = 0;
	request->head_bytes = 0;
	request->idle_bytes = 0;
	request->refused = false;
	strcpy(request->reason, "out of memory");
	err = headers_make(request);
	if (err == 0)
		err = client_easy(request->http->client, request->location, &request->curl);
	if (err < 0)
		return err;
	request->reason[0] = '\0';
	client_set(&request->curl, CURLOPT_HEADERFUNCTION, take_header);
	client_set(&request->curl, CURLOPT_HEADERDATA, request);
	client_set(&request->curl, CURLOPT_WRITEFUNCTION, take_body);
	client_set(&request->curl, CURLOPT_WRITEDATA, request);
	client_set(&request->curl, CURLOPT_HTTPHEADER, request->headers);
	if (request->foreign) {
		client_set(&request->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
		client_set(&request->curl, CURLOPT_OPENSOCKETDATA, request);
	}
	if (request->attempts > 0)
		client_set(&request->curl, CURLOPT_FRESH_CONNECT, 1L);
	method_set(request);
	request->curl.counts = &request->http->source.stats;
	return client_start(request->http->client, &request->curl);
}

static void timer_expired(struct loop_timer *timer)
{
	struct http_request *request = container_of(timer, struct http_request, timer);
	int err = request_attempt(request);

	if (err < 0)
		request->done(request, err);
}

/* On a connection that was there before, which may have died without a word: another tells. */
static bool request_stalled(const struct http_request *request, CURLcode result)
{
	long made = 1;

	if (result != CURLE_OPERATION_TIMEDOUT)
		return false;
	curl_easy_getinfo(request->curl.easy, CURLINFO_NUM_CONNECTS, &made);
	return made == 0;
}

/*
 * What failed in a way that may pass is repeated after a pause, on another connection. Not the
 * failure to reach a server at all: whoever opens something wants to know at once that there is
 * none.
 */
static bool request_repeats(struct http_request *request, CURLcode result)
{
	struct http_source *http = request->http;
	bool passing = result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR ||
		       result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE ||
		       client_got_leftover(&request->curl, result) ||
		       request_stalled(request, result);

	/* A method that a server does not know (501) it will not know later. */
	if (result == CURLE_OK)
		passing = !request->head.whole ||
			  (request->head.status != 501 &&
				  http_status_errno(request->head.status, true).again);
	if (!passing || ++request->attempts == SOURCE_ATTEMPTS)
		return false;
	loop_timer_set(http->source.loop, &request->timer,
		clock_now_ns() + backoff_ms(request->attempts, &http->random) * NS_PER_MS);
	return true;
}

/* ---- redirects ---------------------------------------------------------------------------- */

/* Where the answer sends us: goes on there, or says why not. */
static int request_follow(struct http_request *request, const char *target)
{
	cleanup(url_finish) struct url asked = {0}, from = {0}, to = {0};
	char *location;
	int err = url_parse(request->location, &from);

	if (err == 0)
		err = url_parse(request->url, &asked);
	if (err < 0)
		return request_fail(request, err, strerror(-err));
	if (request->redirects++ == REDIRECTS_MAX)
		return request_fail(request, -ELOOP, "too many redirects");
	err = url_parse(target, &to);
	if (err < 0)
		return request_fail(
			request, err, "redirected to what is no http:// or https:// URL");
	if (strcasecmp(from.scheme, "https") == 0 && strcasecmp(to.scheme, "https") != 0)
		return request_fail(request, -EACCES, "redirected from https:// to http://");
	err = url_plain(&to, &location);
	if (err < 0)
		return err;
	free(request->location);
	request->location = location;
	request->moved = true;
	request->foreign = !url_same_server(&asked, &to);
	return request_attempt(request);
}

/* ---- beginning and end -------------------------------------------------------------------- */

static void request_ended(struct client_request *curl, CURLcode result)
{
	struct http_request *request = container_of(curl, struct http_request, curl);
	const char *target = NULL;
	int err = curl_errno(result).err;

	curl_easy_getinfo(curl->easy, CURLINFO_REDIRECT_URL, &target);
	if (result == CURLE_OK && http_is_redirect(request->head.status) && target) {
		err = request_follow(request, target);
		if (err == 0)
			return;
		request->head.status = 0;
	} else if (request_repeats(request, result)) {
		return;
	} else if (result == CURLE_COULDNT_CONNECT && request->reason[0]) {
		err = -EACCES;
	} else if (err < 0) {
		request_fail(
			request, err, curl->error[0] ? curl->error : curl_easy_strerror(result));
	}
	/* A body that was refused in the middle, or an error's that is too long. */
	request->refused |= request->idle_bytes > IDLE_BODY_MAX;
	request->done(request, err);
}

int http_request_start(struct http_request *request)
{
	cleanup(url_finish) struct url url = {0};
	int err = url_parse(request->url, &url);

	if (err == 0)
		err = url_plain(&url, &request->location);
	if (err < 0) {
		request_fail(request, err, err == -EINVAL ? "not a URL" : "out of memory");
		return err;
	}
	request->named = url.user != NULL;
	request->curl.done = request_ended;
	request->timer.expired = timer_expired;
	return request_attempt(request);
}

void http_request_finish(struct http_request *request)
{
	if (!request->http)
		return;
	loop_timer_cancel(request->http->source.loop, &request->timer);
	client_finish(&request->curl);
	client_free_headers(steal_pointer(&request->headers));
	free(request->location);
	free(request->bytes);
	*request = (struct http_request){0};
}
