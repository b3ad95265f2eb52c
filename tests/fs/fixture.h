/*
 * fixture.h - a local directory, an origin that serves it, and a mount of that origin, in processes
 * of their own.
 *
 * The local files are the oracle: whatever is read through the mount must be what is in them. Each
 * function fails the running test when something goes wrong; bed_finish() always leaves nothing
 * mounted and nothing running. The server of the mount is the program that $PAGEIN names. It
 * unmounts when this process dies, however it dies.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "check.h"

#include "origin.h"

#define BED_MTIME 1714979280 /* 2024-05-06 07:08:00 UTC: index pages have whole minutes */

struct bed {
	char base[64];
	char www[80];
	char mnt[80];
	struct origin_process origin;
	pid_t server; /* 0: nothing is mounted */
};

/* Ends the test program with 77 when this machine can't mount. */
void bed_require_fuse(void);

/* An origin on an empty directory; script may be NULL. */
void bed_start(struct bed *bed, bool index_json, const char *script);
void bed_finish(struct bed *bed);

/* Local files, of bytes that differ with seed, last changed at BED_MTIME + seed minutes. */
void bed_add_file(const struct bed *bed, const char *name, size_t size, unsigned seed);
void bed_add_directory(const struct bed *bed, const char *name);
void bed_set_script(const struct bed *bed, const char *script);
/* The origin's counter of that name. */
uint64_t bed_stat(const struct bed *bed, const char *name);

/* Mounts the origin's path ("/" for all); options as for -o, or NULL. Returns when it serves. */
void bed_mount(struct bed *bed, const char *path, const char *options);
/* The same of what the manifest at the origin's path lists. */
void bed_mount_manifest(struct bed *bed, const char *path, const char *options);
/* SIGTERM; the server must exit with 0 and leave nothing. */
void bed_unmount(struct bed *bed);
/* Waits for the server's own end, and returns its exit status. */
int bed_wait(struct bed *bed);
bool bed_is_mounted(const struct bed *bed);

/* Paths; good until the call after the next three. */
const char *local(const struct bed *bed, const char *name);
const char *remote(const struct bed *bed, const char *name);

/* open(2) for reading, which must succeed. */
int open_file(const char *path);
/* Same size, same bytes. */
void assert_same_file(const struct bed *bed, const char *name);
