/*
 * s3_fetch_private.h - between s3_fetch.c, which runs steps, and those who know what one asks:
 * s3_fetch.c (programs and containers), s3_fetch_instance.c, s3_fetch_sso.c, s3_fetch_sts.c.
 */
#pragma once

#include "s3_fetch.h"

/* What an answer leads to, besides 0 (the next step) and -errno (the end). */
enum {
	FETCH_AGAIN = 1, /* another attempt after a pause, if any is left; else self->err */
	FETCH_NOW = 2,   /* the same once more, at once, and not counted */
};

struct s3_fetch_step {
	const char *name; /* for words */
	/* Sets off a call or a process. 0, or -errno with words, which ends it. */
	int (*start)(struct s3_fetch *self);
	/* The call's answer, whatever its status. */
	int (*answer)(struct s3_fetch *self);
	/* There was none. NULL: FETCH_AGAIN. */
	int (*silence)(struct s3_fetch *self, CURLcode result);
	const struct s3_fetch_step *next; /* NULL: the keys are there */
	unsigned attempts;                /* 0: the plan's, without a pause between them */
	unsigned pause_ms;                /* 0: by backoff.h */
};

extern const struct s3_fetch_step step_instance_token; /* the first of three */
extern const struct s3_fetch_step step_sso;            /* the first of two */
extern const struct s3_fetch_step step_web_identity;
extern const struct s3_fetch_step step_assume; /* self->plan.roles[self->roles] */

/* Words "credentials: ORIGIN: ..."; returns err, which is kept, too. */
int fetch_complain(struct s3_fetch *self, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int fetch_call(struct s3_fetch *self, const struct s3_call_options *options);
/* The call's answer as credentials: 0, FETCH_AGAIN or -ENOMEM. */
int fetch_take_json(struct s3_fetch *self, enum s3_json kind);
/* On the server's clock, as far as it is known. */
int64_t fetch_now_s(const struct s3_fetch *self);
