/*
 * s3_call.h - one small request to an endpoint that gives credentials: no redirects, a deadline for
 * all of it, and an answer of S3_ANSWER_MAX at the most, which is wiped. On the loop's thread.
 */
#pragma once

#include "client.h"

#define S3_ANSWER_MAX ((size_t)64 << 10) /* credentials take 2 KiB, a large token some 12 */
#define S3_DATE_MAX 64

struct s3_call {
	struct client_request curl;
	struct curl_slist *headers;
	char *sent;   /* the body, if any */
	char *answer; /* S3_ANSWER_MAX + 1 */
	size_t answer_len;
	unsigned status;
	char date[S3_DATE_MAX]; /* of the answer; "" if it had none */
	/* CURLE_OK: an answer, whatever its status, with a NUL behind it. It may finish the call.
	 */
	void (*done)(struct s3_call *self, CURLcode result);
};

struct s3_call_options {
	const char *method; /* "GET", "PUT", "POST" */
	const char *url;
	const char *headers; /* lines that end with \r\n; or NULL */
	const char *body;    /* of a POST; NULL: none */
	unsigned timeout_ms;
	const char *ca_bundle; /* NULL: the usual one */
	bool is_local; /* on this machine or its host: no proxy could reach it, nor shall one see it
			*/
};

/* Sets self->done's call going, not from inside this call. Copies all but `done`. -ENOMEM */
int s3_call_start(
	struct s3_call *self, struct client *client, const struct s3_call_options *options);
/* Ends it at whatever stage; wipes. One that is all zero is fine. */
void s3_call_finish(struct s3_call *self);
