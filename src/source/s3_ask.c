/*
 * s3_ask.c - one signed request by libcurl, and what can be done when it is refused.
 *
 * Runs on the loop; an ask is a member of who wants to know. Its stages:
 *
 *	credentials --> request --> answer --> done()
 *	     ^            ^  \-- may pass: after a pause --/  |
 *	     |            \---- another region, clock: once --|
 *	     \----------------- session expired: once --------/
 *
 * A HEAD's refusal has no body, so no code that says why: the question is asked again as a GET of
 * one byte, whose answer serves as well if it comes.
 *
 * Redirects are not followed (s3_region.c). Nothing of a request is logged: its headers are
 * secrets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backoff.h"
#include "clock.h"
#include "s3_private.h"
#include "text.h"

#define MOVES_MAX 2 /* a server that sends us around has lost the bucket */

#define UNSIGNED_NS (300 * NS_PER_S) /* then credentials are looked for again */

/* ---- credentials -------------------------------------------------------------------------- */

bool s3_credentials_peek(struct s3_source *s3, const struct s3_credentials **ret)
{
	if (s3->unsigned_until_ns > clock_now_ns()) {
		*ret = NULL;
		return true;
	}
	return s3_provider_peek(s3->provider, ret);
}

int s3_credentials_got(struct s3_source *s3, const struct s3_credentials_want *want, int err,
	const struct s3_credentials **ret)
{
	*ret = NULL;
	if (err == -EACCES && !s3->had_credentials) {
		s3->unsigned_until_ns = clock_now_ns() + UNSIGNED_NS;
		strcpy(s3->unsigned_words, want->error);
		return 0;
	}
	if (err < 0)
		return err;
	*ret = want->credentials;
	s3->had_credentials |= want->credentials != NULL;
	s3->unsigned_words[0] = '\0';
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void ask_end(struct s3_ask *ask, int err)
{
	client_content_type(&ask->curl, ask->content_type);
	client_finish(&ask->curl);
	ask->done(ask, err);
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool copy_field(const char *line, size_t len, const char *name, char *to, size_t room)
{
	size_t name_len = strlen(name);

	if (len < name_len || strncasecmp(line, name, name_len) != 0)
		return false;
	line += name_len;
	len -= name_len;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len > 0 && (unsigned char)line[len - 1] <= ' ')
		len--;
	/* Longer ones are none that we know. */
	len = len < room ? len : 0;
	memcpy(to, line, len);
	to[len] = '\0';
	return true;
}

static size_t ask_take_header(char *line, size_t size, size_t count, void *context)
{
	struct s3_ask *ask = context;
	size_t len = size * count;

	ask->head_bytes += len;
	if (ask->head_bytes > HTTP_HEAD_MAX) {
		ask->too_long = -EPROTO;
		return 0;
	}
	http_head_line(&ask->head_read, line, len);
	if (!copy_field(line, len, "date:", ask->date, sizeof ask->date))
		copy_field(line, len, "x-amz-bucket-region:", ask->region, sizeof ask->region);
	return len;
}

/* It doubles, so that no byte is moved often. */
static bool ask_body_grow(struct s3_ask *ask, size_t len)
{
	size_t room = 2 * ask->body_room;
	char *grown;

	if (len <= ask->body_room - ask->body_len)
		return true;
	if (room < ask->body_len + len)
		room = ask->body_len + len;
	grown = realloc(ask->body, room);
	if (!grown)
		return false;
	ask->body = grown;
	ask->body_room = room;
	return true;
}

static size_t ask_take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct s3_ask *ask = context;
	size_t len = size * count;
	bool is_wanted = ask->head_read.status / 100 == 2;
	size_t max = is_wanted ? ask->body_max : S3_ERROR_BODY_MAX;

	/* All of an object for a part of it: the head has said it. */
	if (is_wanted && ask->range && ask->head_read.status != 206)
		return 0;
	if (len > max - ask->body_len) {
		ask->too_long = -EFBIG;
		return 0;
	}
	if (!ask_body_grow(ask, len))
		return 0;
	memcpy(ask->body + ask->body_len, bytes, len);
	ask->body_len += len;
	return len;
}

/* Pauses, and then begins anew; false: it has been tried often enough. */
static bool ask_again(struct s3_ask *ask)
{
	struct s3_source *s3 = ask->s3;

	if (++ask->attempts == SOURCE_ATTEMPTS)
		return false;
	client_finish(&ask->curl);
	loop_timer_set(s3->source.loop, &ask->timer,
		clock_now_ns() + backoff_ms(ask->attempts, &s3->random) * NS_PER_MS);
	return true;
}

/* libcurl has not brought a whole answer. */
static void ask_broken(struct s3_ask *ask, CURLcode result)
{
	bool passing = result == CURLE_OK || result == CURLE_GOT_NOTHING ||
		       result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR ||
		       result == CURLE_PARTIAL_FILE;

	if (ask->too_long) {
		snprintf(ask->reason, sizeof ask->reason, "the answer's %s is too long",
			ask->too_long == -EFBIG ? "body" : "head");
		ask_end(ask, ask->too_long);
		return;
	}
	if (passing && ask_again(ask))
		return;
	snprintf(ask->reason, sizeof ask->reason, "%.150s",
		result == CURLE_OK   ? "closed in the middle of the head"
		: ask->curl.error[0] ? ask->curl.error
				     : curl_easy_strerror(result));
	ask_end(ask, result == CURLE_OK ? -EIO : curl_errno(result).err);
}

/* Can what the remedy is about be put right? Then it is on its way again. */
static bool ask_remedy(struct s3_ask *ask, enum s3_remedy remedy)
{
	struct s3_source *s3 = ask->s3;
	const char *region = ask->region[0] ? ask->region : ask->error.region;
	int64_t now_s = (int64_t)time(NULL);

	switch (remedy) {
	case S3_AGAIN:
		return ask_again(ask);
	case S3_SESSION:
		if (!ask->has_session)
			return false;
		__attribute__((fallthrough));
	case S3_REFRESH:
		if (!ask->is_signed || ask->refreshed)
			return false;
		ask->refreshed = true;
		s3_provider_expired(s3->provider, ask->generation);
		break;
	case S3_CLOCK:
		if (!ask->is_signed || ask->clocked)
			return false;
		ask->clocked = true;
		s3->clock_offset_s = s3_clock_offset(ask->date, now_s);
		break;
	case S3_REGION:
		/* Another may have moved it meanwhile. */
		if (ask->moves == MOVES_MAX || (!s3_bucket_moved(s3, ask->bucket, region) &&
						       ask->epoch == ask->bucket->epoch))
			return false;
		ask->moves++;
		break;
	default:
		return false;
	}
	client_finish(&ask->curl);
	return s3_ask_start(ask) == 0;
}

static void ask_refused(struct s3_ask *ask)
{
	unsigned status = ask->head_read.status;
	struct s3_meaning meaning;

	s3_error_parse(ask->body, ask->body_len, &ask->error);
	meaning = s3_error_meaning(ask->error.code, status);
	/* A region in the head is worth more than any code. */
	if (ask->region[0] && status < 404 && ask_remedy(ask, S3_REGION))
		return;
	if (ask_remedy(ask, meaning.remedy))
		return;
	if (ask->head && !ask->wants_words && meaning.remedy == S3_REGION) {
		ask->wants_words = true;
		client_finish(&ask->curl);
		if (s3_ask_start(ask) == 0)
			return;
	}
	if (!ask->is_signed && meaning.err == -EACCES && ask->s3->unsigned_words[0])
		snprintf(ask->reason, sizeof ask->reason, "%.*s", (int)sizeof ask->reason - 1,
			ask->s3->unsigned_words);
	else if (ask->error.code[0] == '\0')
		snprintf(ask->reason, sizeof ask->reason, "HTTP %u", status);
	else
		snprintf(ask->reason, sizeof ask->reason, "%.88s (HTTP %u %.48s)",
			meaning.words           ? meaning.words
			: ask->error.message[0] ? ask->error.message
						: "refused by the server",
			status, ask->error.code);
	ask_end(ask, meaning.err);
}

static void ask_answered(struct client_request *curl, CURLcode result)
{
	struct s3_ask *ask = container_of(curl, struct s3_ask, curl);
	const struct http_head *head = &ask->head_read;

	/* An error that is too long to read is one all the same, and so is a whole object. */
	if (result == CURLE_WRITE_ERROR &&
		(head->status >= 300 || (ask->range && head->whole && head->status != 206)))
		result = CURLE_OK;
	if (result != CURLE_OK || !head->whole) {
		ask_broken(ask, result);
		return;
	}
	if (head->status >= 300) {
		ask_refused(ask);
		return;
	}
	if (head->bad || head->encoded) {
		snprintf(ask->reason, sizeof ask->reason, "%s",
			head->bad ? head->reason : "encoded answer though identity was asked for");
		ask_end(ask, -EPROTO);
		return;
	}
	ask_end(ask, 0);
}

/* ---- requests ----------------------------------------------------------------------------- */

static int ask_add_header(struct s3_ask *ask, const char *name, const char *value)
{
	cleanup_free char *line = NULL;

	if (text_print(&line, "%s: %s", name, value) < 0)
		return -ENOMEM;
	return client_add_headers(&ask->headers, line);
}

static int ask_make_headers(struct s3_ask *ask, const char *method, bool one_byte,
	const struct s3_credentials *credentials)
{
	const struct s3_about about = {
		.method = method,
		.key = ask->key,
		.query = ask->query,
		.wants_checksum = ask->wants_checksum,
	};
	cleanup(secret_free_at) char *lines = NULL;
	int err = s3_bucket_sign(ask->s3, ask->bucket, &about, credentials, &lines);

	client_free_headers(steal_pointer(&ask->headers));
	if (err == 0)
		err = client_add_headers(&ask->headers, lines);
	if (err == 0)
		err = ask_add_header(ask, "Accept-Encoding", "identity");
	if (err == 0 && ask->if_match)
		err = ask_add_header(ask, "If-Match", ask->if_match);
	if (err == 0 && one_byte)
		err = ask_add_header(ask, "Range", "bytes=0-0");
	else if (err == 0 && ask->range)
		err = ask_add_header(ask, "Range", ask->range);
	return err;
}

static int ask_prepare(struct s3_ask *ask, const struct s3_credentials *credentials)
{
	bool is_head = ask->head && !ask->wants_words;
	cleanup_free char *url = NULL;
	int err = s3_bucket_url(ask->bucket, ask->key, ask->query, &url);

	ask->curl.done = ask_answered;
	ask->head_read = (struct http_head){0};
	ask->head_bytes = 0;
	ask->too_long = 0;
	ask->body_len = 0;
	ask->date[0] = ask->region[0] = '\0';
	ask->epoch = ask->bucket->epoch;
	ask->is_signed = credentials != NULL;
	ask->has_session = credentials && credentials->token;
	ask->generation = credentials ? credentials->generation : 0;
	if (err == 0)
		err = ask_make_headers(
			ask, is_head ? "HEAD" : "GET", ask->head && !is_head, credentials);
	if (err == 0)
		err = client_easy(ask->s3->client, url, &ask->curl);
	if (err < 0)
		return err;
	client_set(&ask->curl, CURLOPT_HEADERFUNCTION, ask_take_header);
	client_set(&ask->curl, CURLOPT_HEADERDATA, ask);
	client_set(&ask->curl, CURLOPT_WRITEFUNCTION, ask_take_body);
	client_set(&ask->curl, CURLOPT_WRITEDATA, ask);
	client_set(&ask->curl, CURLOPT_HTTPHEADER, ask->headers);
	if (is_head)
		client_set(&ask->curl, CURLOPT_NOBODY, 1L);
	if (ask->is_quick)
		client_set(&ask->curl, CURLOPT_TIMEOUT_MS,
			(long)probe_timeout_ms(ask->body_max, ask->s3->timeout_ms));
	ask->curl.counts = &ask->s3->source.stats;
	return client_start(ask->s3->client, &ask->curl);
}

static void ask_send(struct s3_ask *ask, const struct s3_credentials *credentials)
{
	int err = ask_prepare(ask, credentials);

	if (err == 0)
		return;
	snprintf(ask->reason, sizeof ask->reason, "%s", strerror(-err));
	ask_end(ask, err);
}

static void ask_credentials(struct s3_credentials_want *want, int err)
{
	struct s3_ask *ask = container_of(want, struct s3_ask, want);
	const struct s3_credentials *credentials;

	err = s3_credentials_got(ask->s3, want, err, &credentials);
	if (err < 0) {
		snprintf(ask->reason, sizeof ask->reason, "%.150s", want->error);
		ask_end(ask, err);
		return;
	}
	ask_send(ask, credentials);
}

static void ask_timer_expired(struct loop_timer *timer)
{
	struct s3_ask *ask = container_of(timer, struct s3_ask, timer);
	int err = s3_ask_start(ask);

	if (err == 0)
		return;
	snprintf(ask->reason, sizeof ask->reason, "%s", strerror(-err));
	ask_end(ask, err);
}

int s3_ask_start(struct s3_ask *ask)
{
	const struct s3_credentials *credentials;

	ask->timer.expired = ask_timer_expired;
	if (s3_credentials_peek(ask->s3, &credentials))
		return ask_prepare(ask, credentials);
	ask->want.done = ask_credentials;
	s3_provider_get(ask->s3->provider, &ask->want);
	return 0;
}

void s3_ask_finish(struct s3_ask *ask)
{
	if (!ask->s3)
		return;
	s3_provider_cancel(ask->s3->provider, &ask->want);
	loop_timer_cancel(ask->s3->source.loop, &ask->timer);
	client_finish(&ask->curl);
	client_free_headers(steal_pointer(&ask->headers));
	free(steal_pointer(&ask->body));
	ask->body_room = 0;
	free(steal_pointer(&ask->key));
	free(steal_pointer(&ask->query));
	free(steal_pointer(&ask->range));
	free(steal_pointer(&ask->if_match));
}
