/*
 * http_probe.c - what is this object now? One request, and what its answer means.
 *
 * Runs on the loop; owned by the probe. A probe is a GET of the first PROBE_BYTES or more, so that
 * version, size and the first page come in one round trip, and so that what it proves is exactly
 * what is needed: that this server serves ranges of this object. A server that answers 200 is
 * stopped at the head, not read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "http_private.h"

struct http_probe_call {
	struct http_request request;
	struct http_source *http;
	struct probe *probe;
	char *place;
};

static void call_free(struct http_probe_call *call)
{
	if (!call)
		return;
	http_request_finish(&call->request);
	free(call->place);
	free(call);
}

static int size_of_head(const struct http_request *request, uint64_t *ret, const char **reason)
{
	if (!request->head.has_length) {
		*reason = "HEAD without a Content-Length";
		return -ENOTSUP;
	}
	*ret = request->head.length;
	return 0;
}

static bool is_empty(const struct http_head *head)
{
	/* An empty object has no first byte: 416, or (nginx) the whole of nothing. */
	return (head->status == 416 && head->has_total && head->total == 0) ||
	       (head->status == 200 && head->has_length && head->length == 0);
}

static int probe_answer(struct http_probe_call *call, int err)
{
	struct http_request *request = &call->request;
	struct probe *probe = call->probe;
	const char *reason = request->reason;
	uint64_t size = 0;

	probe->status = request->head.status;
	/* A body that was refused in the middle, or a 416, may still be a fact about the object. */
	if (request->refused && request->head.status < 300)
		err = 0;
	if (request->method == HTTP_HEAD || !(err == 0 && is_empty(&request->head)))
		err = http_request_error(request, err);
	if (err == 0)
		err = request->method == HTTP_HEAD ? size_of_head(request, &size, &reason)
						   : http_head_probe(&request->head, request->max,
							     request->len, &size, &reason);
	if (err == 0) {
		reason = "out of memory";
		err = http_place_join(request->location,
			request->moved || request->named ? probe->url : NULL, &call->place);
	}
	if (err < 0) {
		http_say(probe->error, "open", probe->url, reason);
		return err;
	}
	http_head_version(&request->head, size, &probe->version);
	client_content_type(&request->curl, probe->content_type);
	probe->effective_url = call->place;
	probe->bytes = request->bytes;
	probe->bytes_len = probe->head_only || size == 0 ? 0 : request->len;
	return 0;
}

static int call_start(struct http_probe_call *call, enum http_method method);

/*
 * Is HEAD no answer, where GET may have one? apache2 leaves the length out where it is 0, and what
 * is made as it is sent has none. And HEAD may be refused alone: a presigned URL is signed for GET.
 */
static bool must_be_got(const struct http_request *request, int err)
{
	unsigned status = request->head.status;

	if (err < 0 || request->method != HTTP_HEAD || !request->head.whole)
		return false;
	if (status == 200)
		return !request->head.has_length && !request->head.chunked;
	return status == 400 || status == 403 || status == 405 || status == 501;
}

static void probe_ended(struct http_request *request, int err)
{
	struct http_probe_call *call = container_of(request, struct http_probe_call, request);
	struct probe *probe = call->probe;

	if (must_be_got(request, err) && call_start(call, HTTP_GET_START) == 0)
		return;
	probe->state = NULL;
	probe->done(probe, probe_answer(call, err));
	call_free(call);
}

static int call_start(struct http_probe_call *call, enum http_method method)
{
	struct http_source *http = call->http;

	http_request_finish(&call->request);
	call->request = (struct http_request){
		.http = http,
		.url = call->probe->url,
		.method = method,
		.max = probe_bytes(call->probe),
		.done = probe_ended,
	};
	return http_request_start(&call->request);
}

int http_probe(struct source *source, struct probe *probe)
{
	struct http_probe_call *call = calloc(1, sizeof *call);
	int err;

	probe->error[0] = '\0';
	if (!call)
		return -ENOMEM;
	call->probe = probe;
	call->http = http_of(source);
	err = call_start(call, probe->head_only ? HTTP_HEAD : HTTP_GET_START);
	if (err < 0) {
		http_say(probe->error, "open", probe->url, call->request.reason);
		call_free(call);
	} else {
		probe->state = call;
	}
	return err;
}

void http_probe_cancel(struct source *source, struct probe *probe)
{
	(void)source;
	call_free(probe->state);
	probe->state = NULL;
}
