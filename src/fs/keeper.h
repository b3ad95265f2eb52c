/*
 * keeper.h - a process of its own that mounts and unmounts, so that the one which serves, and reads
 * what servers say, can give up all that this takes (tools/sandbox.h).
 *
 *	socketpair(); fork();
 *	child: keeper_run(socket, &options)		parent: keeper = {socket, child}
 *
 * The two say a byte and an errno with words, and the device's descriptor once. Where and how is
 * mounted is the keeper's from the beginning: whoever has taken over the server can have the mount
 * made or ended that was meant anyway, and nothing else.
 *
 * The fork must come before threads; the rest is for the main loop's thread.
 */
#pragma once

#include "fs.h"

struct keeper {
	int socket; /* -1: there is none */
	pid_t pid;
};

/*
 * The whole life of the keeper: until its other end is closed. A mount whose server was killed
 * stays, and says ENOTCONN: nobody shall find the directory below it instead. Returns what to exit
 * with.
 */
int keeper_run(int socket, const struct fs_options *options);

/* Ends it, and waits for its end. Nothing if there is none. */
void keeper_finish(struct keeper *keeper);

/* mounting_check(), as the keeper sees it. */
int keeper_check(struct keeper *keeper, char error[FS_ERROR_MAX]);

/* Mounts; *ret_device is the caller's, and the only one there is. */
int keeper_mount(struct keeper *keeper, int *ret_device, char error[FS_ERROR_MAX]);

/*
 * Ends the connection that the device is, then unmounts, unless the kernel has. The descriptor
 * remains, and is that of nothing.
 */
void keeper_unmount(struct keeper *keeper, int device);
