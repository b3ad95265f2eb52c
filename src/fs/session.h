/*
 * session.h - one mount's connection with the kernel, on the loop.
 */
#pragma once

#include <stdbool.h>

#include "fs.h"
#include "loop.h"
#include "request.h"

struct fs;
struct fuse_conn_info;

enum session_state {
	SESSION_NONE,
	SESSION_MOUNTED, /* INIT has not been answered yet */
	SESSION_SERVING,
	SESSION_ENDED,
};

/* Mounts, and serves from the loop's next round on. 0, or -errno and error's words. */
int session_mount(struct fs *fs, char error[FS_ERROR_MAX]);

/* The init function of fuse_lowlevel_ops. */
void session_init(void *userdata, struct fuse_conn_info *connection);

/* Answers everybody, unmounts, calls ended(). Nothing if that has been done. */
void session_end(struct fs *fs);

/* Ends it, and frees. */
void session_finish(struct fs *fs);
