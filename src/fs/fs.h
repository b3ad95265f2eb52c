/*
 * fs.h - door 1: a source as a read-only file system, through FUSE.
 *
 *	fs_create(cores, n, &options, &fs, error);	checks the source, then mounts
 *	loop_run(core_loop(cores[0]));	serves, until fs_unmount(), umount(8) or fusermount3 -u
 *	fs_destroy(fs);			unmounts, if need be
 *
 * A file is one version of an object: when the object changes, its name gets a new inode, and those
 * who have the old one open read old bytes or get ESTALE. Every operation that would change
 * something answers EROFS. A reader that is killed gets out at once; other signals do not disturb a
 * read, as on a disk.
 *
 * All on the first core's loop, the main one, or by who made that loop while it does not run.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct core;
struct fs;
struct keeper;

#define FS_ERROR_MAX 512

struct fs_options {
	/* http(s)://host/dir/ is a directory and its index, s3://bucket[/prefix] one of keys;
	 * anything else one object, which becomes the only file in mountpoint. */
	const char *source_url;
	const char *mountpoint;
	uint64_t metadata_ttl_ns; /* names and attributes are believed for so long; 0: not at all */
	uint64_t negative_ttl_ns; /* and that there is no such name */
	bool immutable;           /* nothing ever changes: the three are for ever */
	uid_t uid;                /* the owner of everything */
	gid_t gid;
	mode_t file_mode; /* permissions, after the umask */
	mode_t dir_mode;
	/* How many are kept that are not in use: see SEMANTICS.md, L2; 0: the usual. */
	size_t inodes_max;
	size_t names_max;
	bool allow_other;          /* let other users in */
	const char *mount_options; /* for mount(2), as "noexec,noatime"; NULL is fine */
	struct keeper *keeper;     /* who mounts and unmounts (keeper.h); NULL: this process */
	/* The kernel's INIT has been answered: the mount serves. NULL is fine. */
	void (*ready)(void *context);
	/* The mount is gone, for whatever reason. NULL: loop_stop(). */
	void (*ended)(void *context);
	void *context;
};

/*
 * cores: at least one. The first one's loop is the main one; open files are spread over all. The
 * others' loops must run, on threads of their own, until fs_destroy() has returned.
 *
 * Runs the main loop for as long as the source needs to answer, so that it must not run already. On
 * failure error has one line without the newline: "mount: what: reason", and nothing is mounted.
 * Exactly one mount may be made by a process at a time (libfuse's log handler is global).
 */
int fs_create(struct core *const *cores, unsigned count, const struct fs_options *options,
	struct fs **ret, char error[FS_ERROR_MAX]);

/* Ends the mount: who still reads gets ECONNABORTED. ended() is called. Twice is fine. */
void fs_unmount(struct fs *fs);

struct fs_stats {
	size_t inodes; /* that the kernel knows, or we need: files and directories */
	size_t names;  /* in the listings that are kept */
};
struct fs_stats fs_stats(const struct fs *fs);

/* NULL is fine. */
void fs_destroy(struct fs *fs);
