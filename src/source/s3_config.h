/*
 * s3_config.h - what the environment and the files in ~/.aws say about S3, as botocore reads them.
 *
 * s3_config_load() reads the environment and two small local files and blocks meanwhile: call it
 * before a loop serves. Afterwards the struct is never changed; it must outlive those who use it.
 *
 * The order for each setting is: the caller's option, the environment, the profile. Files that are
 * not there are no error; a malformed line is one, and names file and line.
 */
#pragma once

#include <stdbool.h>

#include "source.h"

/* All may be NULL or false: not given. */
struct s3_options {
	const char *profile; /* then the environment's keys don't count, as with aws --profile */
	const char *region;
	const char *endpoint;   /* "https://host:port", also with a path */
	const char *addressing; /* "auto", "path", "virtual" */
	bool no_sign_request;   /* public buckets: no credentials are looked for */
	bool requester_pays;
};

enum s3_addressing {
	S3_ADDRESSING_AUTO, /* virtual host where the bucket's name and the endpoint allow it */
	S3_ADDRESSING_PATH,
	S3_ADDRESSING_VIRTUAL,
};

struct s3_environment; /* s3_environment.h; its values may be secrets */

struct s3_config {
	char *profile;   /* "default" when nobody named one */
	char *region;    /* NULL: nobody said; the bucket's answers may tell */
	char *endpoint;  /* NULL: AWS's own for the region */
	char *ca_bundle; /* a file of certificates to trust in place of the usual one; or NULL */
	enum s3_addressing addressing;
	bool anonymous;
	bool requester_pays;
	bool use_dualstack;  /* s3.dualstack.REGION. */
	bool use_fips;       /* s3-fips.REGION. */
	bool use_accelerate; /* BUCKET.s3-accelerate. */

	/* for s3_provider.c */
	bool profile_is_explicit; /* by option */
	char *sts_endpoint;       /* NULL: AWS's own, as with the next two */
	char *sso_endpoint;
	char *sso_oidc_endpoint;
	struct s3_environment *environment;
};

/* -EINVAL with words: a bad file, profile or value. -ENOMEM */
int s3_config_load(
	const struct s3_options *options, struct s3_config **ret, char error[SOURCE_ERROR_MAX]);
/* NULL is fine. */
void s3_config_destroy(struct s3_config *config);

/* What stands behind "s3.REGION." in the names of AWS's own servers: "amazonaws.com". */
const char *s3_dns_suffix(const char *region);
