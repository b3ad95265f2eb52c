/*
 * s3_fetch_sts.c - roles: web identity, which needs no signature, and AssumeRole, signed with the
 * keys that there are so far. Steps of s3_fetch.c, on the loop's thread.
 *
 * A refusal with a Date that is far from ours is repeated once with that clock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_fetch_private.h"
#include "s3_sign.h"
#include "s3_sts.h"
#include "text.h"

#define STS_TIMEOUT_MS 10000 /* far, and behind TLS; it answers within a second if at all */
#define STS_ATTEMPTS 3

static const char form_type[] = "application/x-www-form-urlencoded; charset=utf-8";

/* The lines of a signed request; self->credentials are those of the role before. */
static int sts_headers(struct s3_fetch *self, const struct s3_sts_place *place, const char *form,
	bool is_signed, char **ret)
{
	cleanup(secret_free_at) char *signed_lines = NULL;
	char hash[S3_HASH_MAX];
	int err = s3_hash(form, strlen(form), hash);

	if (err == 0 && is_signed)
		err = s3_sign(&(struct s3_request){.method = "POST",
				      .host = place->host,
				      .path = place->path,
				      .payload = hash,
				      .content_type = form_type},
			&(struct s3_scope){.credentials = self->credentials,
				.region = place->region,
				.service = "sts",
				.now_s = fetch_now_s(self)},
			&signed_lines);
	if (err < 0)
		return err;
	return text_print(
		ret, "Content-Type: %s\r\n%s", form_type, signed_lines ? signed_lines : "");
}

static int sts_ask(struct s3_fetch *self, const char *form, bool is_signed)
{
	cleanup(s3_sts_place_finish) struct s3_sts_place place = {0};
	cleanup(secret_free_at) char *headers = NULL;
	int err = s3_sts_place(self->config->sts_endpoint, self->config->region, &place);

	if (err == -EINVAL)
		return fetch_complain(self, err, "the sts endpoint is not a URL");
	if (err == 0)
		err = sts_headers(self, &place, form, is_signed, &headers);
	if (err < 0)
		return err;
	return fetch_call(self, &(struct s3_call_options){.method = "POST",
					.url = place.url,
					.headers = headers,
					.body = form,
					.timeout_ms = STS_TIMEOUT_MS,
					.ca_bundle = self->config->ca_bundle});
}

static bool is_one_of(const char *code, const char *const *codes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	return false;
}

/* True, once for each step: the clocks differ, and now we know by how much. */
static bool sts_correct_clock(struct s3_fetch *self, const char *code)
{
	/* AWS says the first one when the signature has expired, too. */
	static const char *const codes[] = {"SignatureDoesNotMatch", "RequestTimeTooSkewed",
		"RequestExpired", "InvalidSignatureException"};
	int64_t offset_s = s3_clock_offset(self->call.date, fetch_now_s(self));

	if (self->is_corrected || offset_s == 0 ||
		!is_one_of(code, codes, sizeof codes / sizeof *codes))
		return false;
	self->is_corrected = true;
	self->clock_offset_s += offset_s;
	return true;
}

static bool sts_may_pass(unsigned status, const char *code)
{
	/* The last two are of web identity: its provider was not reached, or is new. */
	static const char *const codes[] = {"Throttling", "ThrottlingException",
		"RequestLimitExceeded", "IDPCommunicationError", "InvalidIdentityToken"};

	return is_one_of(code, codes, sizeof codes / sizeof *codes) || status >= 500 ||
	       status == 429 || status == 408;
}

static int sts_answer(struct s3_fetch *self, const char *arn)
{
	struct s3_credentials *credentials = NULL;
	struct s3_call *call = &self->call;
	char code[S3_STS_CODE_MAX];
	bool may_pass;
	int err = s3_sts_read(call->answer, call->answer_len, &credentials, code);

	if (err == -ENOMEM)
		return err;
	if (err == 0 && call->status == 200) {
		s3_credentials_destroy(self->credentials);
		self->credentials = credentials;
		return 0;
	}
	s3_credentials_destroy(credentials);
	if (sts_correct_clock(self, code))
		return FETCH_NOW;
	if (call->status == 200)
		return fetch_complain(self, -EPROTO, "%.120s: not an answer of STS", arn);
	may_pass = sts_may_pass(call->status, code);
	fetch_complain(self, may_pass ? -EIO : -EACCES, "%.120s: %s%sHTTP %u", arn, code,
		code[0] ? ", " : "", call->status);
	return may_pass ? FETCH_AGAIN : -EACCES;
}

static int identity_start(struct s3_fetch *self)
{
	cleanup(secret_free_at) char *form = NULL;
	int err = s3_sts_assume_with_token(&self->plan.identity, self->plan.identity_token, &form);

	return err < 0 ? err : sts_ask(self, form, false);
}

static int identity_answer(struct s3_fetch *self)
{
	return sts_answer(self, self->plan.identity.arn);
}

const struct s3_fetch_step step_web_identity = {.name = "STS",
	.start = identity_start,
	.answer = identity_answer,
	.attempts = STS_ATTEMPTS};

static int assume_start(struct s3_fetch *self)
{
	cleanup(secret_free_at) char *form = NULL;
	int err = s3_sts_assume(&self->plan.roles[self->roles], &form);

	return err < 0 ? err : sts_ask(self, form, true);
}

static int assume_answer(struct s3_fetch *self)
{
	int result = sts_answer(self, self->plan.roles[self->roles].arn);

	self->roles += result == 0;
	return result;
}

const struct s3_fetch_step step_assume = {
	.name = "STS", .start = assume_start, .answer = assume_answer, .attempts = STS_ATTEMPTS};
