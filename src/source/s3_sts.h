/*
 * s3_sts.h - what is said to the Security Token Service, and how its answers are read. Pure; any
 * thread.
 */
#pragma once

#include <stddef.h>

#include "s3_credentials.h"

struct s3_role;

#define S3_STS_CODE_MAX 64

/* The bodies of the two requests; secret_free() them. -ENOMEM */
int s3_sts_assume(const struct s3_role *role, char **ret);
int s3_sts_assume_with_token(const struct s3_role *role, const char *token, char **ret);

/*
 * Where it is: `endpoint`, if there is one, else AWS's for the region (NULL: the one for all).
 * *ret_host is as in the Host header, *ret_path at least "/", *ret_region what signatures say.
 */
struct s3_sts_place {
	char *url;
	char *host;
	char *path;
	char *region;
};
/* -EINVAL: the endpoint is not a URL; -ENOMEM. */
int s3_sts_place(const char *endpoint, const char *region, struct s3_sts_place *ret);
void s3_sts_place_finish(struct s3_sts_place *place);

/*
 * The credentials of an answer. -EPROTO: it is no such; then code has the error's Code if it has
 * one, of letters, digits, dots and hyphens, else it is "". -ENOMEM
 */
int s3_sts_read(
	const char *text, size_t len, struct s3_credentials **ret, char code[S3_STS_CODE_MAX]);
