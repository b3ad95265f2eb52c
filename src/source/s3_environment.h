/*
 * s3_environment.h - the variables that matter to S3, as they were when the config was loaded: an
 * application may change its environment while a loop's thread would read it.
 */
#pragma once

#include <stdbool.h>

/* clang-format off */
#define S3_VARIABLES(X) \
	X(ACCESS_KEY, "AWS_ACCESS_KEY_ID") \
	X(SECRET_KEY, "AWS_SECRET_ACCESS_KEY") \
	X(SECURITY_TOKEN, "AWS_SECURITY_TOKEN")	/* SESSION_TOKEN's name of old; looked at first */ \
	X(SESSION_TOKEN, "AWS_SESSION_TOKEN") \
	X(EXPIRATION, "AWS_CREDENTIAL_EXPIRATION") \
	X(DEFAULT_PROFILE, "AWS_DEFAULT_PROFILE") \
	X(PROFILE, "AWS_PROFILE") \
	X(CONFIG_FILE, "AWS_CONFIG_FILE") \
	X(CREDENTIALS_FILE, "AWS_SHARED_CREDENTIALS_FILE") \
	X(REGION, "AWS_REGION") \
	X(DEFAULT_REGION, "AWS_DEFAULT_REGION") \
	X(ENDPOINT_URL, "AWS_ENDPOINT_URL") \
	X(ENDPOINT_URL_S3, "AWS_ENDPOINT_URL_S3") \
	X(ENDPOINT_URL_SSO, "AWS_ENDPOINT_URL_SSO") \
	X(ENDPOINT_URL_SSO_OIDC, "AWS_ENDPOINT_URL_SSO_OIDC") \
	X(ENDPOINT_URL_STS, "AWS_ENDPOINT_URL_STS") \
	X(IGNORE_ENDPOINTS, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") \
	X(CA_BUNDLE, "AWS_CA_BUNDLE") \
	X(USE_DUALSTACK, "AWS_USE_DUALSTACK_ENDPOINT") \
	X(USE_FIPS, "AWS_USE_FIPS_ENDPOINT") \
	X(ROLE_ARN, "AWS_ROLE_ARN") \
	X(ROLE_SESSION_NAME, "AWS_ROLE_SESSION_NAME") \
	X(TOKEN_FILE, "AWS_WEB_IDENTITY_TOKEN_FILE") \
	X(CONTAINER_RELATIVE, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") \
	X(CONTAINER_FULL, "AWS_CONTAINER_CREDENTIALS_FULL_URI") \
	X(CONTAINER_TOKEN, "AWS_CONTAINER_AUTHORIZATION_TOKEN") \
	X(CONTAINER_TOKEN_FILE, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") \
	X(METADATA_DISABLED, "AWS_EC2_METADATA_DISABLED") \
	X(METADATA_V1_DISABLED, "AWS_EC2_METADATA_V1_DISABLED") \
	X(METADATA_ENDPOINT, "AWS_EC2_METADATA_SERVICE_ENDPOINT") \
	X(METADATA_ENDPOINT_MODE, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") \
	X(METADATA_TIMEOUT, "AWS_METADATA_SERVICE_TIMEOUT") \
	X(METADATA_ATTEMPTS, "AWS_METADATA_SERVICE_NUM_ATTEMPTS")
/* clang-format on */

enum s3_variable {
#define X(id, name) S3_##id,
	S3_VARIABLES(X)
#undef X
		S3_VARIABLE_COUNT,
};

struct s3_environment {
	char *values[S3_VARIABLE_COUNT]; /* NULL: not set */
	char *config_file;               /* with ~ expanded */
	char *credentials_file;
	char *sso_folder; /* where `aws sso login` leaves its tokens */
};

/* -ENOMEM */
int s3_environment_take(struct s3_environment **ret);
/* Wipes it first. NULL is fine. */
void s3_environment_destroy(struct s3_environment *environment);

/* NULL: not set, or set to "". */
const char *s3_variable(const struct s3_environment *environment, enum s3_variable which);

/* The variable, else what the profile has under this name; NULL: neither. */
struct s3_profiles;
const char *s3_setting(const struct s3_environment *environment, enum s3_variable which,
	const struct s3_profiles *profiles, const char *profile, const char *name);

/* As botocore takes it: "true" in any case, and nothing else. NULL is false. */
bool s3_is_true(const char *value);
