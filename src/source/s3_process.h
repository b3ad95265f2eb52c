/*
 * s3_process.h - runs a credential_process: a program that prints credentials. On the loop's
 * thread, which is not held up but for the program's start (posix_spawn(3): the time of a vfork).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "loop.h"

#define S3_PROCESS_TIMEOUT_S 60 /* as other SDKs: it may ask an identity provider far away */
#define S3_PROCESS_OUTPUT_MAX ((size_t)64 << 10)

struct s3_process {
	struct loop *loop; /* NULL: it does not run */
	pid_t pid;
	struct loop_fd exited; /* a pidfd */
	struct loop_fd output;
	struct loop_timer deadline;
	char *text; /* what it has printed: S3_PROCESS_OUTPUT_MAX + 1 */
	size_t len;
	int err;            /* of the output so far */
	const char *reason; /* words for done(), none from the program */
	/*
	 * 0: it has ended well, text and len are what it printed, with a NUL behind. -EACCES: it
	 * ended otherwise; -ETIMEDOUT: it was killed; -E2BIG: too much output. May finish it.
	 */
	void (*done)(struct s3_process *self, int err);
};

/*
 * Starts it with this argv, found in PATH; the environment is this process's, stdin is empty,
 * stderr the same. done() is not called from inside. -errno of posix_spawn(3) and pidfd_open(2).
 */
int s3_process_start(
	struct s3_process *self, struct loop *loop, char *const argv[], unsigned timeout_ms);
/* Kills it if it runs, reaps it, wipes its output. One that is all zero is fine. */
void s3_process_finish(struct s3_process *self);
