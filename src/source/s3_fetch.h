/*
 * s3_fetch.h - credentials fetched once, from where a plan says: nothing is kept. On the loop's
 * thread; never waits.
 */
#pragma once

#include "s3_call.h"
#include "s3_plan.h"
#include "s3_process.h"

struct s3_fetch_step;

struct s3_fetch {
	/* from whom starts it */
	struct loop *loop;
	struct client *client;
	const struct s3_config *config;
	int64_t clock_offset_s; /* of the server's clock; corrected when STS says so */
	/*
	 * 0: credentials are there, to be stolen. Else error has the words: -EACCES, refused or
	 * none; -EPROTO, not understood; -ETIMEDOUT, -ECONNREFUSED, ...: not reached. May finish
	 * it.
	 */
	void (*done)(struct s3_fetch *self, int err);
	struct s3_credentials *credentials; /* with roles: first those of the role before */
	char error[SOURCE_ERROR_MAX];
	/* its own */
	struct s3_plan plan;
	const struct s3_fetch_step *step;
	int err;           /* that goes with the newest words */
	unsigned attempts; /* of this step, that failed */
	unsigned roles;    /* that were assumed */
	bool is_corrected; /* the clock, for this step */
	uint64_t random;   /* of pauses */
	char *token;       /* instance: IMDSv2's, or NULL */
	char *role_name;   /* instance */
	struct s3_call call;
	struct s3_process process;
	struct loop_timer timer; /* the next attempt, or the end */
};

/* Makes the plan and begins. done() will be called, not from inside. -ENOMEM: it will not. */
void s3_fetch_start(struct s3_fetch *self);
/* Ends it at whatever stage. One that is all zero is fine; `done` and what is above it stay. */
void s3_fetch_finish(struct s3_fetch *self);
