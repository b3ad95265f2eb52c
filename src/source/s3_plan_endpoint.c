/*
 * s3_plan_endpoint.c - endpoints that give credentials to who can reach them: a container's and the
 * instance's.
 *
 * Any thread; see s3_plan.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3_container.h"
#include "s3_environment.h"
#include "s3_plan_private.h"
#include "text.h"

#define INSTANCE_URL "http://169.254.169.254/"
#define INSTANCE_URL_IPV6 "http://[fd00:ec2::254]/"
#define INSTANCE_TIMEOUT_S 1  /* botocore's: it is on the same machine, or nowhere */
#define CONTAINER_TIMEOUT_S 2 /* botocore's; a longer metadata_service_timeout counts here, too */
#define INSTANCE_ATTEMPTS 1
#define INSTANCE_LIMIT 60 /* of both */

static unsigned number_setting(struct planner *planner, const char *profile, enum s3_variable which,
	const char *name, unsigned usual)
{
	const char *text = s3_setting(
		planner->environment, which, &planner->profiles, profile, name);
	unsigned long value = text ? strtoul(text, NULL, 10) : usual;

	return value >= 1 && value <= INSTANCE_LIMIT ? (unsigned)value : usual;
}

static unsigned metadata_timeout_s(struct planner *planner, const char *profile, unsigned usual)
{
	return number_setting(
		planner, profile, S3_METADATA_TIMEOUT, "metadata_service_timeout", usual);
}

int plan_container(struct planner *planner, const char *profile)
{
	static const char name[] = "container";
	const struct s3_environment *environment = planner->environment;
	const char *relative = s3_variable(environment, S3_CONTAINER_RELATIVE);
	const char *full = s3_variable(environment, S3_CONTAINER_FULL);
	const char *file = s3_variable(environment, S3_CONTAINER_TOKEN_FILE);
	struct s3_plan *plan = planner->plan;
	int err;

	if (!relative && !full)
		return NOT_MINE;
	err = s3_container_url(relative, full, &plan->url);
	if (err == -EPERM)
		return plan_complain(planner, -EACCES,
			"%s: AWS_CONTAINER_CREDENTIALS_FULL_URI: neither https: nor a host that "
			"containers are given",
			name);
	if (err == -EINVAL)
		return plan_complain(planner, -EINVAL, "%s: the URI is malformed", name);
	if (err == 0)
		err = file ? plan_token_read(planner, name, file, &plan->authorization)
			   : plan_copy(s3_variable(environment, S3_CONTAINER_TOKEN),
				     &plan->authorization);
	if (err == 0 && plan->authorization && strpbrk(plan->authorization, "\r\n"))
		err = plan_complain(planner, -EACCES, "%s: the token has a line break in it", name);
	plan->origin = S3_ORIGIN_CONTAINER;
	plan->name = name;
	plan->timeout_ms = 1000 * metadata_timeout_s(planner, profile, CONTAINER_TIMEOUT_S);
	if (plan->timeout_ms < 1000 * CONTAINER_TIMEOUT_S)
		plan->timeout_ms = 1000 * CONTAINER_TIMEOUT_S;
	return err < 0 ? err : FOUND;
}

int plan_instance(struct planner *planner, const char *profile)
{
	const struct s3_environment *environment = planner->environment;
	const struct s3_profiles *profiles = &planner->profiles;
	const char *url = s3_setting(environment, S3_METADATA_ENDPOINT, profiles, profile,
		"ec2_metadata_service_endpoint");
	const char *mode = s3_setting(environment, S3_METADATA_ENDPOINT_MODE, profiles, profile,
		"ec2_metadata_service_endpoint_mode");
	struct s3_plan *plan = planner->plan;
	size_t len;

	if (s3_is_true(s3_variable(environment, S3_METADATA_DISABLED)))
		return NOT_MINE;
	if (!url)
		url = mode && strcasecmp(mode, "ipv6") == 0 ? INSTANCE_URL_IPV6 : INSTANCE_URL;
	len = strlen(url);
	plan->origin = S3_ORIGIN_INSTANCE;
	plan->name = "instance";
	plan->timeout_ms = 1000 * metadata_timeout_s(planner, profile, INSTANCE_TIMEOUT_S);
	plan->attempts = number_setting(planner, profile, S3_METADATA_ATTEMPTS,
		"metadata_service_num_attempts", INSTANCE_ATTEMPTS);
	plan->needs_token = s3_is_true(s3_setting(environment, S3_METADATA_V1_DISABLED, profiles,
		profile, "ec2_metadata_v1_disabled"));
	if (text_print(&plan->url, "%s%s", url, url[len - 1] == '/' ? "" : "/") < 0)
		return -ENOMEM;
	return FOUND;
}
