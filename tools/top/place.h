/*
 * place.h - where the figures of a mount or a process are, and what they are now. Main thread;
 * errors are -errno, with words "WHAT: reason" in error.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "openmetrics.h"

#define TOP_ERROR_MAX 512

struct top_place {
	char path[4096]; /* a file, or a socket */
	pid_t process;   /* whose socket it is; 0: it is a file */
};

/* operand: a mount's directory; a process's number; or a socket's path. */
int top_place_find(const char *operand, struct top_place *ret, char error[TOP_ERROR_MAX]);

/* What it tells now; timeout_ns: for a process that does not answer. */
int top_place_read(const struct top_place *place, uint64_t timeout_ns, struct samples *ret,
	char error[TOP_ERROR_MAX]);
