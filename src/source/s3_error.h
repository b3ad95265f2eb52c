/*
 * s3_error.h - what S3's error codes mean: errno, words, and what may help. Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define S3_ERROR_BODY_MAX ((size_t)64 << 10) /* more of an error's XML is not read */

/* An error's XML, as far as it concerns us; what is missing is "". */
struct s3_error {
	char code[64];
	char message[100];
	char region[64]; /* AuthorizationHeaderMalformed: the right one */
};

/* Any bytes will do; what is no XML of an error leaves everything "". */
void s3_error_parse(const char *bytes, size_t len, struct s3_error *ret);

enum s3_remedy {
	S3_FINAL,   /* nothing helps */
	S3_AGAIN,   /* it may pass */
	S3_REFRESH, /* other credentials may */
	S3_SESSION, /* the same, if these are a session's */
	S3_CLOCK,   /* the server's time may */
	S3_REGION,  /* another region may, if the answer says which */
};

struct s3_meaning {
	int err; /* -errno, of opening and listing */
	enum s3_remedy remedy;
	const char *words; /* NULL: the server's own */
};

/* code may be "" or unknown: the status decides then. */
struct s3_meaning s3_error_meaning(const char *code, unsigned status);
