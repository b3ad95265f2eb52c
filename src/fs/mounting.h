/*
 * mounting.h - what it takes to mount: the checks before, and libfuse's session.
 *
 * For session.c, or for keeper.c in a process of its own. One mount at a time in a process:
 * libfuse's log handler has no context.
 */
#pragma once

#include "fs.h"

struct fuse_session;

/* Everything that can be told before the source is asked: 0, or -errno and error's words. */
int mounting_check(const char *mountpoint, char error[FS_ERROR_MAX]);

/*
 * Mounts at options->mountpoint, or takes the device of a mount that was made already, "/dev/fd/N".
 * options->source_url is a URL. A session that has failed is kept in *ret, too, or NULL is.
 */
int mounting_open(const struct fs_options *options, const char *device, void *context,
	struct fuse_session **ret, char error[FS_ERROR_MAX]);

/* "mount: what: reason"; returns err. */
int mounting_fail(char error[FS_ERROR_MAX], const char *what, const char *reason, int err);
