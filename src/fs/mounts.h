/*
 * mounts.h - what is mounted at a directory, from /proc/self/mountinfo. Any thread; blocks.
 */
#pragma once

#include <limits.h>

#define MOUNT_TYPE_MAX 64
#define MOUNT_TYPE_PAGEIN "fuse.pagein"

struct mount_point {
	char path[PATH_MAX];       /* absolute, without links */
	char type[MOUNT_TYPE_MAX]; /* the topmost mount's, as in fstab; "" if nothing is mounted */
};

/*
 * Never asks the mounted file system for anything, so that a dead or hung one is found as well.
 * 0 or -errno: -ENOENT, -EACCES, -ENAMETOOLONG of the way to it.
 */
int mount_point_find(const char *directory, struct mount_point *ret);
