/*
 * stage.h - one bucket and one mount of it for each test of a program, and the questions that are
 * asked of them. The test's thread only; what goes wrong fails the test.
 */
#pragma once

#include "bucket.h"

extern struct bucket *bucket;
extern struct bucket_mount mount;

int stage_set_up(void **state);
int stage_tear_down(void **state);

/* An object, of which nobody knows yet. */
void add(const char *key, uint64_t size, unsigned seed);
/* Mounts (NULL: bucket_options()) and begins to count requests. */
void start(const struct fs_options *options);
/* Good until the eighth call after this one. */
const char *path(const char *name);

/* Opens it, and looks at its size and some of its bytes. */
void assert_file(const char *name, uint64_t size, unsigned seed);
void assert_directory(const char *name);
void assert_missing(const char *name);
/* As readdir(3) shows them, but for the dots. */
size_t count_names(const char *directory);
/* stat(2) in a process of its own, which may wait: 0 from stat_end() is that it is of this size. */
pid_t stat_begin(const char *name, uint64_t size);
int stat_end(pid_t process);
/* Looks at everything below; the number of files. */
size_t find(const char *name);
