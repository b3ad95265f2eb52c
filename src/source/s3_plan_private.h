/*
 * s3_plan_private.h - between s3_plan.c, which asks one provider after another, and those who know
 * what a provider is configured by: s3_plan.c (keys and programs), s3_plan_endpoint.c,
 * s3_plan_role.c, s3_plan_sso.c. For those four files only.
 */
#pragma once

#include "s3_plan.h"
#include "s3_profile.h"

#define FOUND 1
#define NOT_MINE 0

struct planner {
	const struct s3_config *config;
	const struct s3_environment *environment;
	struct s3_profiles profiles;
	bool ignores_environment; /* a profile that was named, or leads to another */
	struct s3_plan *plan;
	char *error;
};

/* FOUND, NOT_MINE, or -errno with words. */
typedef int provider_function(struct planner *planner, const char *profile);

provider_function plan_environment, plan_role, plan_web_identity, plan_sso, plan_container,
	plan_instance;
/* What can stand in a profile, by itself or as the source of another's role. */
provider_function plan_profile;

/* Words "credentials: ..."; returns err. */
int plan_complain(struct planner *planner, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* NULL is NULL. -ENOMEM */
int plan_copy(const char *value, char **ret);
/* A file of one line, which is a secret. */
int plan_token_read(struct planner *planner, const char *name, const char *path, char **ret);
