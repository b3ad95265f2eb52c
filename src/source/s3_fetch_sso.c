/*
 * s3_fetch_sso.c - single sign-on: a token that is about to end is renewed if it can be, and then
 * asked for a role's keys. Steps of s3_fetch.c, on the loop's thread.
 *
 *	cached token --fresh, or not to be renewed--> keys (GET)
 *	             \--ends soon--> renewal (POST) --> keys with the new one, or with the old one
 *	                                               as long as it lasts
 *
 * Neither request is signed: the token is what they know us by.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "s3_fetch_private.h"
#include "text.h"

#define SSO_TIMEOUT_MS 10000 /* far, and behind TLS; it answers within a second if at all */
#define SSO_ATTEMPTS 3
#define RENEW_BEFORE_S 900 /* botocore's */

/* ---- keys ---------------------------------------------------------------------------------- */

static int keys_start(struct s3_fetch *self)
{
	const struct s3_sso *sso = &self->plan.sso;
	cleanup(secret_free_at) char *headers = NULL;

	if (sso->expires_s <= fetch_now_s(self))
		return fetch_complain(self, -EACCES, "the login has ended: %s", sso->login);
	if (text_print(&headers, "Accept: application/json\r\nx-amz-sso_bearer_token: %s\r\n",
		    sso->token) < 0)
		return -ENOMEM;
	return fetch_call(self, &(struct s3_call_options){.method = "GET",
					.url = sso->role_url,
					.headers = headers,
					.timeout_ms = SSO_TIMEOUT_MS,
					.ca_bundle = self->config->ca_bundle});
}

static int keys_answer(struct s3_fetch *self)
{
	unsigned status = self->call.status;

	if (status == 200)
		return fetch_take_json(self, S3_JSON_SSO);
	if (status == 401)
		return fetch_complain(
			self, -EACCES, "the login is not valid: %s", self->plan.sso.login);
	if (status / 100 != 5 && status != 429 && status != 408)
		return fetch_complain(self, -EACCES, "no keys for this role: HTTP %u", status);
	fetch_complain(self, -EIO, "HTTP %u", status);
	return FETCH_AGAIN;
}

static const struct s3_fetch_step step_keys = {.name = "role's keys",
	.start = keys_start,
	.answer = keys_answer,
	.attempts = SSO_ATTEMPTS};

/* ---- another token ------------------------------------------------------------------------- */

static int renewal_start(struct s3_fetch *self)
{
	const struct s3_sso *sso = &self->plan.sso;

	if (!sso->renewal || sso->expires_s - fetch_now_s(self) >= RENEW_BEFORE_S) {
		self->step = &step_keys;
		return keys_start(self);
	}
	return fetch_call(self, &(struct s3_call_options){.method = "POST",
					.url = sso->renewal_url,
					.headers = "Content-Type: application/json\r\n",
					.body = sso->renewal,
					.timeout_ms = SSO_TIMEOUT_MS,
					.ca_bundle = self->config->ca_bundle});
}

/* Whatever it is: the old one may still do. */
static int renewal_answer(struct s3_fetch *self)
{
	struct s3_call *call = &self->call;
	int err = call->status != 200 ? -EPROTO
				      : s3_sso_renewed(&self->plan.sso, call->answer,
						call->answer_len, fetch_now_s(self));

	if (err == -EPROTO)
		log_warning("credentials: SSO: the token was not renewed: HTTP %u", call->status);
	return err == -ENOMEM ? err : 0;
}

static int renewal_silence(struct s3_fetch *self, CURLcode result)
{
	(void)self;
	log_warning("credentials: SSO: the token was not renewed: %s", curl_easy_strerror(result));
	return 0;
}

const struct s3_fetch_step step_sso = {.name = "renewal",
	.start = renewal_start,
	.answer = renewal_answer,
	.silence = renewal_silence,
	.next = &step_keys,
	.attempts = 1};
