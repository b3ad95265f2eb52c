/*
 * s3_credentials.h - one set of AWS credentials: made, read from what endpoints and programs say,
 * and wiped. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

struct s3_credentials {
	char *access_key;
	char *secret;
	char *token;         /* NULL: none */
	int64_t expires_s;   /* seconds since 1970; S3_NEVER */
	uint64_t generation; /* which of its provider's this is: see s3_provider_expired() */
};

#define S3_NEVER INT64_MAX

/* Copies; token NULL or "": none. -ENOMEM; -EINVAL: a key that no header can bear. */
int s3_credentials_create(const char *access_key, const char *secret, const char *token,
	int64_t expires_s, struct s3_credentials **ret);
/* Overwrites all of it first. NULL is fine. */
void s3_credentials_destroy(struct s3_credentials *credentials);

/* The same keys, whatever their age? Either may be NULL, which equals nothing. */
bool s3_credentials_equal(const struct s3_credentials *a, const struct s3_credentials *b);

/* Who wrote the JSON: they name the token differently, and demand other members. */
enum s3_json {
	S3_JSON_PROCESS, /* credential_process: Version 1, SessionToken and Expiration if they like
			  */
	S3_JSON_CONTAINER, /* Token and Expiration, always */
	S3_JSON_INSTANCE,  /* the same, and Code may say that there are none */
	S3_JSON_SSO,       /* inside of roleCredentials, with an expiration in milliseconds */
};

/*
 * -EPROTO: *ret_reason has the words, none of them from the text; -ENOMEM. Numbers, null and
 * strings with a NUL in them are not keys.
 */
int s3_credentials_from_json(const char *text, size_t len, enum s3_json kind,
	struct s3_credentials **ret, const char **ret_reason);

/* "2024-05-01T12:00:00Z", with a fraction or an offset (+02:00) if it has one. False: it is not. */
bool s3_time_parse(const char *text, int64_t *ret_s);
