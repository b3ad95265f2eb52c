/*
 * s3_fetch_instance.c - the metadata service of the machine: IMDSv2's token, the name of the role,
 * its keys. Steps of s3_fetch.c, on the loop's thread.
 *
 * Most machines have no such service, and then nobody answers at its address: the plan's deadline
 * for each request is a second, and one who can't be connected to is not asked anything else.
 *
 * Version 1, without a token, is asked where there is no version 2, or where a container is one hop
 * too far for the token's answer; unless AWS_EC2_METADATA_V1_DISABLED.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_fetch_private.h"
#include "text.h"

#define TOKEN_LIFE_S "21600" /* the longest that can be asked for; it is used for one fetch */
#define ROLE_PATH "latest/meta-data/iam/security-credentials/"
#define EXTENSION_MIN_S 1020 /* see instance_extend(): 15 minutes, and 2 to 10 more */
#define EXTENSION_JITTER_S 480

static int instance_ask(
	struct s3_fetch *self, const char *method, const char *path, const char *tail)
{
	cleanup(secret_free_at) char *headers = NULL;
	cleanup_free char *url = NULL;
	bool is_put = strcmp(method, "PUT") == 0;

	if (text_print(&url, "%s%s%s", self->plan.url, path, tail) < 0)
		return -ENOMEM;
	if (is_put)
		headers = strdup("x-aws-ec2-metadata-token-ttl-seconds: " TOKEN_LIFE_S
				 "\r\nContent-Length: 0\r\n");
	else if (!self->token)
		headers = strdup("");
	else
		text_print(&headers, "x-aws-ec2-metadata-token: %s\r\n", self->token);
	if (!headers)
		return -ENOMEM;
	return fetch_call(self, &(struct s3_call_options){.method = method,
					.url = url,
					.headers = headers,
					.timeout_ms = self->plan.timeout_ms,
					.is_local = true});
}

static int token_start(struct s3_fetch *self)
{
	return instance_ask(self, "PUT", "latest/api/token", "");
}

/* Without a token there is version 1, which needs none. */
static int token_missing(struct s3_fetch *self)
{
	if (self->plan.needs_token)
		return fetch_complain(self, -EACCES, "no token for IMDSv2");
	return 0;
}

/* Text that can go into a header or a path: no spaces, nothing below or above ASCII. */
static char *word_of(const struct s3_call *call)
{
	size_t len = strcspn(call->answer, "\r\n");

	for (size_t i = 0; i < len; i++)
		if (call->answer[i] <= ' ' || call->answer[i] == '\x7f')
			return NULL;
	return len > 0 ? strndup(call->answer, len) : NULL;
}

static int token_answer(struct s3_fetch *self)
{
	switch (self->call.status) {
	case 200:
		self->token = word_of(&self->call);
		return self->token ? 0 : fetch_complain(self, -EPROTO, "token: not one");
	case 403:
	case 404:
	case 405:
		return token_missing(self);
	case 400:
		return fetch_complain(self, -EACCES, "token: HTTP 400");
	default:
		fetch_complain(self, -EIO, "token: HTTP %u", self->call.status);
		return FETCH_AGAIN;
	}
}

/*
 * A container is often one hop too far for the token's answer, but not for version 1. An address
 * where nobody is, on the other hand, need not be asked twice.
 */
static int token_silence(struct s3_fetch *self, CURLcode result)
{
	long sent = 0;

	curl_easy_getinfo(self->call.curl.easy, CURLINFO_REQUEST_SIZE, &sent);
	if (result == CURLE_OPERATION_TIMEDOUT && sent > 0)
		return token_missing(self);
	return FETCH_AGAIN;
}

static int role_name_start(struct s3_fetch *self)
{
	return instance_ask(self, "GET", ROLE_PATH, "");
}

/* Of an answer without credentials. */
static int instance_refusal(struct s3_fetch *self)
{
	if (self->call.status == 404)
		return fetch_complain(self, -EACCES, "it has no role");
	fetch_complain(self, -EIO, "%s: HTTP %u", self->step->name, self->call.status);
	return FETCH_AGAIN;
}

static int role_name_answer(struct s3_fetch *self)
{
	if (self->call.status != 200)
		return instance_refusal(self);
	self->role_name = word_of(&self->call);
	if (self->role_name && !strpbrk(self->role_name, "?#/"))
		return 0;
	fetch_complain(self, -EIO, "%s: not one", self->step->name);
	free(self->role_name);
	self->role_name = NULL;
	return FETCH_AGAIN;
}

static int instance_start(struct s3_fetch *self)
{
	return instance_ask(self, "GET", ROLE_PATH, self->role_name);
}

/*
 * The service gives new keys hours before the old ones expire. If these don't have a quarter of an
 * hour left it is in trouble; AWS then takes expired keys for a while, and wants to be asked later
 * and not all the time, so they are given some more life, as botocore does.
 */
static void instance_extend(struct s3_fetch *self)
{
	int64_t later_s = fetch_now_s(self) + EXTENSION_MIN_S +
			  (int64_t)(self->random % EXTENSION_JITTER_S);

	if (self->credentials->expires_s < later_s)
		self->credentials->expires_s = later_s;
}

static int instance_answer(struct s3_fetch *self)
{
	int result;

	if (self->call.status != 200)
		return instance_refusal(self);
	result = fetch_take_json(self, S3_JSON_INSTANCE);
	if (result == 0)
		instance_extend(self);
	return result;
}

static const struct s3_fetch_step step_keys = {
	.name = "keys", .start = instance_start, .answer = instance_answer};
static const struct s3_fetch_step step_role_name = {
	.name = "role", .start = role_name_start, .answer = role_name_answer, .next = &step_keys};
const struct s3_fetch_step step_instance_token = {.name = "token",
	.start = token_start,
	.answer = token_answer,
	.silence = token_silence,
	.next = &step_role_name};
