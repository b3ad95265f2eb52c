/*
 * s3_plan.h - where credentials will come from: decided before anything is asked for.
 *
 * A plan is one origin, and roles to be assumed from there, one after another. Making one reads the
 * small files that s3_profile.h and tokens are in, and nothing else; any thread.
 */
#pragma once

#include "s3_config.h"
#include "s3_credentials.h"
#include "s3_sso.h"

#define S3_ROLES_MAX 8 /* that lead to one another; people have one or two */

enum s3_origin {
	S3_ORIGIN_STATIC,       /* the keys are in the plan */
	S3_ORIGIN_WEB_IDENTITY, /* STS, for a token that a file has */
	S3_ORIGIN_PROCESS,      /* a program prints them */
	S3_ORIGIN_SSO,          /* single sign-on, for the token of a login */
	S3_ORIGIN_CONTAINER,    /* an endpoint that the environment names */
	S3_ORIGIN_INSTANCE,     /* the machine's own */
};

struct s3_role {
	char *arn;
	char *session;
	char *external_id;   /* NULL: none */
	unsigned duration_s; /* 0: the server's default */
};

struct s3_plan {
	enum s3_origin origin;
	const char *name;    /* of the origin, for words: "environment", "credentials file" */
	bool is_last_resort; /* nothing is configured; the instance may have some all the same */

	struct s3_credentials *credentials; /* static */
	char *process;                      /* credential_process as it stands in the file */
	struct s3_role identity;            /* web identity: the role */
	char *identity_token;               /* ... and what the file had in it */
	struct s3_sso sso;
	char *url;           /* container: all of it; instance: up to "latest/" */
	char *authorization; /* container; NULL: none */
	unsigned timeout_ms; /* container, instance: of each request */
	unsigned attempts;   /* instance */
	bool needs_token;    /* instance: without IMDSv2's token nothing is asked */

	struct s3_role roles[S3_ROLES_MAX]; /* the first one is assumed first */
	unsigned roles_count;
};

/*
 * -EACCES: there are none, or those that there are can't be had; -EINVAL: what is written is wrong;
 * both with words. -ENOMEM.
 */
int s3_plan_make(const struct s3_config *config, struct s3_plan *ret, char error[SOURCE_ERROR_MAX]);
/* Wipes it. A zeroed one is fine. */
void s3_plan_finish(struct s3_plan *plan);
