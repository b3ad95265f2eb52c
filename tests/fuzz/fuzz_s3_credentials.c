/*
 * fuzz_s3_credentials.c - any bytes as credentials in JSON, of each kind, and in STS's XML. What is
 * accepted must be fit for a header; what is refused must say why.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "s3_credentials.h"
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
	check_key(credentials->access_key);
	check_key(credentials->secret);
	if (credentials->token)
		check_key(credentials->token);
	s3_credentials_destroy(credentials);
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
	return 0;
}
