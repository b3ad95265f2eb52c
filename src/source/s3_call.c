/*
 * s3_call.c - a request by client.h, with its secrets in memory that is wiped: the headers, the
 * body, the answer. libcurl's own buffers of the request can't be reached.
 *
 * On the loop's thread; owned by who embeds it. An answer is received into one piece of memory, so
 * that growing leaves no copies behind.
 */
#include "s3_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_credentials.h"

static size_t call_take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct s3_call *call = context;
	size_t len = size * count;

	if (len > S3_ANSWER_MAX - call->answer_len)
		return 0;
	memcpy(call->answer + call->answer_len, bytes, len);
	call->answer_len += len;
	call->answer[call->answer_len] = '\0';
	return len;
}

static size_t call_take_header(char *line, size_t size, size_t count, void *context)
{
	static const char name[] = "date:";
	struct s3_call *call = context;
	size_t len = size * count, skip = strlen(name);

	if (len > skip && len - skip < S3_DATE_MAX && strncasecmp(line, name, skip) == 0) {
		memcpy(call->date, line + skip, len - skip);
		call->date[len - skip] = '\0';
	}
	return len;
}

static void call_done(struct client_request *curl, CURLcode result)
{
	struct s3_call *call = container_of(curl, struct s3_call, curl);
	long status = 0;

	curl_easy_getinfo(curl->easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = (unsigned)status;
	call->done(call, result);
}

static int call_add_header(struct s3_call *call, const char *line)
{
	struct curl_slist *headers = curl_slist_append(call->headers, line);

	if (!headers)
		return -ENOMEM;
	call->headers = headers;
	return 0;
}

static int call_add_headers(struct s3_call *call, const char *lines)
{
	cleanup(secret_free_at) char *copy = strdup(lines ? lines : "");
	char *rest = copy, *line;
	int err = copy ? 0 : -ENOMEM;

	while (err == 0 && (line = strsep(&rest, "\r\n")))
		if (*line)
			err = call_add_header(call, line);
	/* A POST's length is known, and need not be asked about first. */
	if (err == 0)
		err = call_add_header(call, "Expect:");
	/* strsep() has left NULs in it. */
	if (copy)
		explicit_bzero(copy, strlen(lines ? lines : ""));
	return err;
}

static void call_set_body(struct s3_call *call, const char *method)
{

	client_set(&call->curl, CURLOPT_CUSTOMREQUEST, method);
	if (!call->sent)
		return;
	client_set(&call->curl, CURLOPT_POSTFIELDS, call->sent);
	client_set(&call->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(call->sent));
}

int s3_call_start(
	struct s3_call *self, struct client *client, const struct s3_call_options *options)
{
	int err;

	s3_call_finish(self);
	self->curl.done = call_done;
	self->answer = calloc(1, S3_ANSWER_MAX + 1);
	self->sent = options->body ? strdup(options->body) : NULL;
	if (!self->answer || (options->body && !self->sent))
		return -ENOMEM;
	err = call_add_headers(self, options->headers);
	if (err == 0)
		err = client_easy(client, options->url, &self->curl);
	if (err < 0)
		return err;
	call_set_body(self, options->method);
	client_set(&self->curl, CURLOPT_HTTPHEADER, self->headers);
	client_set(&self->curl, CURLOPT_WRITEFUNCTION, call_take_body);
	client_set(&self->curl, CURLOPT_WRITEDATA, self);
	client_set(&self->curl, CURLOPT_HEADERFUNCTION, call_take_header);
	client_set(&self->curl, CURLOPT_HEADERDATA, self);
	client_set(&self->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)options->timeout_ms);
	client_set(&self->curl, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
	if (options->ca_bundle)
		client_set(&self->curl, CURLOPT_CAINFO, options->ca_bundle);
	if (options->is_local)
		client_set(&self->curl, CURLOPT_PROXY, "");
	return client_start(client, &self->curl);
}

void s3_call_finish(struct s3_call *self)
{
	client_finish(&self->curl);
	for (struct curl_slist *at = self->headers; at; at = at->next)
		explicit_bzero(at->data, strlen(at->data));
	curl_slist_free_all(self->headers);
	secret_free(self->sent);
	if (self->answer)
		explicit_bzero(self->answer, self->answer_len);
	free(self->answer);
	*self = (struct s3_call){.done = self->done};
}
