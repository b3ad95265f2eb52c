/*
 * s3_sign.h - AWS Signature Version 4 in headers. Pure; any thread.
 *
 * Signed are the method, the path, the query, Host, and the x-amz-* headers that s3_sign() makes;
 * nothing else. So one set of headers serves all requests for an object that differ in Range and
 * If-Match only, for as long as servers take its date: 15 minutes. S3_SIGNATURE_S leaves room for
 * clocks that differ.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3_credentials.h"

/* How long one set of headers is used. */
#define S3_SIGNATURE_S 300

/* Hashes of the body, as x-amz-content-sha256 has them. */
#define S3_PAYLOAD_UNSIGNED "UNSIGNED-PAYLOAD"
#define S3_PAYLOAD_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_HASH_MAX 65 /* 64 hexadecimal digits and the NUL */

struct s3_request {
	const char *method; /* "GET" */
	const char *host;   /* as in the Host header: with its port, if that is there */
	const char *path;   /* as sent: starts with a slash, percent-encoded once: s3_encode() */
	const char
		*query; /* as sent, each name and value by s3_encode(); in any order; NULL: none */
	const char *payload; /* the body's hash: s3_hash(), or one of the above */
	bool requester_pays;
	bool wants_checksum;      /* the answer shall tell it */
	const char *content_type; /* signed if there is one; NULL: none */
};

/* Who asks, where and when. */
struct s3_scope {
	const struct s3_credentials *credentials;
	const char *region;  /* "us-east-1" */
	const char *service; /* "s3" */
	int64_t now_s;       /* seconds since 1970, on the server's clock: see s3_clock_offset() */
};

/*
 * Lines of "Name: value\r\n" to send besides Host and Content-Type: Authorization, x-amz-date,
 * x-amz-content-sha256 (S3 only), and x-amz-checksum-mode, x-amz-request-payer and
 * x-amz-security-token where there are such. They hold the session token: end with secret_free().
 * -ENOMEM; -EINVAL: the time is none, or a value has a control character.
 */
int s3_sign(const struct s3_request *request, const struct s3_scope *scope, char **ret);

/* The body's hash, for `payload`. -ENOMEM */
int s3_hash(const void *bytes, size_t len, char ret[S3_HASH_MAX]);

/*
 * Percent-encodes all but A-Za-z0-9-._~ (and the slash, if so told), in upper case, as S3 signs it:
 * a key becomes a path, a name or value a part of a query. At most 3 * len + 1 bytes are written
 * to `ret`, with a NUL; returns the length without it.
 */
size_t s3_encode(const char *text, size_t len, bool keep_slash, char *ret);

/*
 * What must be added to this machine's clock to have the server's, by the Date header of its
 * answer (RequestTimeTooSkewed): 0 when the header is missing or bad, or they differ by less than
 * S3_SKEW_MIN_S.
 */
#define S3_SKEW_MIN_S 240 /* servers allow 900; answers may have waited on their way */
int64_t s3_clock_offset(const char *date, int64_t now_s);
