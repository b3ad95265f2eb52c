/*
 * fuzz_s3_credentials.c - any bytes as credentials in JSON, of each kind, and in STS's XML. What is
 * accepted must be fit for a header; what is refused must say why.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_credentials.h"
#include "s3_plan.h"
#include "s3_sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_key(const char *key)
{
	assert(*key);
	for (; *key; key++)
		assert((unsigned char)*key > ' ' && *key != 0x7f);
}

static void check_credentials(struct s3_credentials *credentials)
{
	struct s3_credentials *again;

	check_key(credentials->access_key);
	check_key(credentials->secret);
	if (credentials->token)
		check_key(credentials->token);
	assert(s3_credentials_create(credentials->access_key, credentials->secret,
		       credentials->token, credentials->expires_s, &again) == 0);
	assert(s3_credentials_equal(credentials, again) && !s3_credentials_equal(again, NULL));
	s3_credentials_destroy(again);
	s3_credentials_destroy(credentials);
}

/* One line of a form, whatever the names are; a place, if it is a URL. */
static void check_request(const char *text, size_t len)
{
	cleanup_free char *name = strndup(text, len), *form = NULL;
	const struct s3_role role = {.arn = name,
		.session = name,
		.external_id = len & 1 ? name : NULL,
		.duration_s = len & 2};
	struct s3_sts_place place;

	assert((len & 4 ? s3_sts_assume_with_token(&role, name, &form)
			: s3_sts_assume(&role, &form)) == 0);
	check_key(form);
	if (s3_sts_place(len & 8 ? NULL : name, len & 16 ? "eu-west-1" : NULL, &place) < 0)
		return;
	assert(place.host[0] && place.path[0] == '/' && place.region[0]);
	s3_sts_place_finish(&place);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *text = (const char *)bytes;
	struct s3_credentials *credentials = NULL;
	char code[S3_STS_CODE_MAX];

	for (enum s3_json kind = S3_JSON_PROCESS; kind <= S3_JSON_SSO; kind++) {
		const char *reason = NULL;
		int err = s3_credentials_from_json(text, len, kind, &credentials, &reason);

		assert(err == 0 || (err == -EPROTO && reason));
		if (err == 0)
			check_credentials(credentials);
	}
	if (s3_sts_read(text, len, &credentials, code) == 0)
		check_credentials(credentials);
	assert(strlen(code) < S3_STS_CODE_MAX);
	check_request(text, len);
	return 0;
}
