/*
 * fallback.c - one exchange as a request of libcurl's.
 *
 * Runs on the loop; owned by the exchange, which is told the end. libcurl takes care of the
 * framing; the head is checked as connection.c does before the first body byte counts, and the body
 * must be as long as the range.
 *
 * Who is told of bytes may begin and cancel requests, and libcurl refuses both inside its
 * callbacks. So these only gather what comes, at most the range, and a timer that has expired
 * already hands it on when the loop has left libcurl.
 */
#include "fallback.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "http_head.h"
#include "http_remote.h"
#include "loop.h"
#include "probe.h"
#include "url.h"

struct fallback {
	struct client_request curl;
	struct curl_slist *headers;
	struct source *source;
	struct exchange *exchange; /* NULL: cancelled while it was told of bytes */
	struct http_head head;
	size_t head_len;         /* bytes of it so far */
	bool checked;            /* the head was looked at; err says what came of it */
	bool entered;            /* bytes are being delivered: not to be freed */
	struct loop_timer timer; /* set while there are bytes to deliver: */
	char *bytes;
	size_t len;
	size_t max;
	bool again;
	int err;
	const char *reason;
};

static void fallback_free(struct fallback *fallback)
{
	if (!fallback)
		return;
	loop_timer_cancel(fallback->source->loop, &fallback->timer);
	client_finish(&fallback->curl);
	client_free_headers(fallback->headers);
	free(fallback->bytes);
	free(fallback);
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct fallback *fallback = context;
	size_t len = size * count;

	fallback->head_len += len;
	if (fallback->head_len > HTTP_HEAD_MAX) {
		fallback->err = -EPROTO;
		fallback->reason = "the answer's head is too long";
		return 0;
	}
	http_head_line(&fallback->head, line, len);
	return size * count;
}

/* The answer is there: only now libcurl tells for how long it was looking for a connection. */
static void note_times(const struct fallback *fallback)
{
	struct exchange *exchange = fallback->exchange;
	curl_off_t took_us = 0;

	exchange->first_byte_ns = clock_now_ns();
	exchange->queued_ns = exchange->sent_ns;
	curl_easy_getinfo(fallback->curl.easy, CURLINFO_PRETRANSFER_TIME_T, &took_us);
	exchange->sent_ns += (uint64_t)took_us * NS_PER_US;
	/* Its clock need not be ours. */
	if (exchange->sent_ns > exchange->first_byte_ns)
		exchange->sent_ns = exchange->first_byte_ns;
}

/* Once, when the head is whole. */
static void check_head(struct fallback *fallback)
{
	struct exchange *exchange = fallback->exchange;

	if (fallback->checked)
		return;
	fallback->checked = true;
	exchange->status = fallback->head.status;
	note_times(fallback);
	STAGE_PROBE(
		first_byte, exchange->range.start, range_length(exchange->range), exchange->remote);
	exchange->retry_after_ms = fallback->head.retry_after_s * 1000;
	exchange->digest = fallback->head.content;
	fallback->err = http_head_check(&fallback->head, exchange->range,
		&exchange->remote->version, &fallback->again, &fallback->reason);
}

/* Hands on what was gathered. false: that has cancelled the exchange, and the fallback is gone. */
static bool fallback_flush(struct fallback *fallback)
{
	const char *bytes = fallback->bytes;
	size_t len = fallback->len;

	fallback->len = 0;
	fallback->entered = true;
	while (len > 0 && fallback->exchange) {
		struct exchange *exchange = fallback->exchange;
		size_t room;
		void *buffer = exchange->ops->buffer(exchange, &room);
		size_t part = len < room ? len : room;

		memcpy(buffer, bytes, part);
		bytes += part;
		len -= part;
		exchange->received_bytes += part;
		fallback->source->stats.bytes += part;
		exchange->ops->received(exchange, buffer, part);
	}
	fallback->entered = false;
	if (fallback->exchange)
		return true;
	fallback_free(fallback);
	return false;
}

static void fallback_timer_expired(struct loop_timer *timer)
{
	(void)fallback_flush(container_of(timer, struct fallback, timer));
}

static int fallback_gather(struct fallback *fallback, const char *bytes, size_t len)
{
	if (fallback->max - fallback->len < len) {
		size_t max = fallback->len + len > 2 * fallback->max ? fallback->len + len
								     : 2 * fallback->max;
		char *grown = realloc(fallback->bytes, max);

		if (!grown)
			return -ENOMEM;
		fallback->bytes = grown;
		fallback->max = max;
	}
	memcpy(fallback->bytes + fallback->len, bytes, len);
	fallback->len += len;
	if (fallback->timer.slot == 0)
		loop_timer_set(fallback->source->loop, &fallback->timer, 0);
	return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct fallback *fallback = context;
	struct exchange *exchange = fallback->exchange;
	size_t len = size * count;

	check_head(fallback);
	if (fallback->err == 0 &&
		len > range_length(exchange->range) - exchange->received_bytes - fallback->len) {
		fallback->err = -EPROTO;
		fallback->reason = "more bytes than asked for";
	}
	if (fallback->err == 0 && fallback_gather(fallback, bytes, len) < 0) {
		fallback->err = -ENOMEM;
		fallback->reason = "out of memory";
	}
	/* Anything but len ends the request. */
	return fallback->err == 0 ? len : 0;
}

static void fallback_fail(struct exchange *exchange, int err, bool again, const char *reason)
{
	exchange->again = again;
	snprintf(exchange->error, sizeof exchange->error, "get: %s: HTTP %u: %.80s",
		url_tell(exchange->remote->url).text, exchange->status, reason);
	http_exchange_end(exchange, err);
}

static void fallback_done(struct client_request *curl, CURLcode result)
{
	struct fallback *fallback = container_of(curl, struct fallback, curl);
	struct exchange *exchange = fallback->exchange;
	const char *words = curl_easy_strerror(result);
	struct curl_errno failure = curl_errno(result);

	failure.again |= client_got_leftover(curl, result);
	if (!fallback_flush(fallback))
		return;
	/* libcurl takes a head that was cut for one without a body. */
	if (result == CURLE_OK && !fallback->head.whole)
		failure = (struct curl_errno){-EIO, true};
	else if (result == CURLE_OK)
		check_head(fallback);
	if (fallback->err < 0) {
		failure = (struct curl_errno){fallback->err, fallback->again};
		words = fallback->reason;
	} else if (failure.err == 0 && exchange->received_bytes < range_length(exchange->range)) {
		failure = (struct curl_errno){-EIO, true};
		words = "fewer bytes than asked for";
	}
	fallback_free(fallback);
	exchange->connection = NULL;
	if (failure.err < 0 && !failure.again)
		failure.again = http_remote_may_help(exchange);
	if (failure.err < 0)
		fallback_fail(exchange, failure.err, failure.again, words);
	else
		http_exchange_end(exchange, 0);
}

static int add_header(struct fallback *fallback, const char *line)
{
	struct curl_slist *more = curl_slist_append(fallback->headers, line);

	if (!more)
		return -ENOMEM;
	fallback->headers = more;
	return 0;
}

/* The same conditions as http_remote.c's prepared request. */
static int add_condition(struct fallback *fallback, const struct version *version)
{
	char line[VALIDATOR_MAX + 32];

	if (version->etag[0] == '"')
		snprintf(line, sizeof line, "If-Match: %s", version->etag);
	else if (version->etag[0] == '\0' && version->modified[0] != '\0')
		snprintf(line, sizeof line, "If-Unmodified-Since: %s", version->modified);
	else
		return 0;
	return add_header(fallback, line);
}

static int set_headers(struct fallback *fallback, const struct exchange *exchange)
{
	const char *headers = http_place_of(exchange)->headers;
	int err = add_header(fallback, "Accept-Encoding: identity");

	if (err == 0)
		err = add_condition(fallback, &exchange->remote->version);
	if (err == 0 && headers)
		err = client_add_headers(&fallback->headers, headers);
	return err;
}

static int fallback_prepare(struct fallback *fallback, struct client *client)
{
	struct exchange *exchange = fallback->exchange;
	char range[48];
	int err = client_easy(client, http_place_of(exchange)->target, &fallback->curl);

	if (err == 0)
		err = set_headers(fallback, exchange);
	if (err < 0)
		return err;
	snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)exchange->range.start,
		(unsigned long long)range_http_last(exchange->range));
	client_set(&fallback->curl, CURLOPT_RANGE, range);
	client_set(&fallback->curl, CURLOPT_HTTPHEADER, fallback->headers);
	client_set(&fallback->curl, CURLOPT_HEADERFUNCTION, take_header);
	client_set(&fallback->curl, CURLOPT_HEADERDATA, fallback);
	client_set(&fallback->curl, CURLOPT_WRITEFUNCTION, take_body);
	client_set(&fallback->curl, CURLOPT_WRITEDATA, fallback);
	return client_start(client, &fallback->curl);
}

int fallback_submit(struct client *client, struct source *source, struct exchange *exchange)
{
	struct fallback *fallback = calloc(1, sizeof *fallback);
	int err;

	if (!fallback)
		return -ENOMEM;
	exchange_reset(exchange);
	fallback->curl.done = fallback_done;
	fallback->timer.expired = fallback_timer_expired;
	fallback->source = source;
	fallback->exchange = exchange;
	err = fallback_prepare(fallback, client);
	if (err < 0) {
		fallback_free(fallback);
		return err;
	}
	exchange->connection = fallback;
	exchange->sent_ns = clock_now_ns();
	STAGE_PROBE(
		connect, exchange->range.start, range_length(exchange->range), exchange->remote);
	source->stats.requests++;
	return 0;
}

void fallback_cancel(struct exchange *exchange)
{
	struct fallback *fallback = exchange->connection;

	exchange->connection = NULL;
	fallback->exchange = NULL;
	if (!fallback->entered)
		fallback_free(fallback);
}
