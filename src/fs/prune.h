/*
 * prune.h - keeps the kernel from remembering more files than we want to remember for it.
 */
#pragma once

struct fs;

#define INODES_MAX ((size_t)1 << 18) /* some 35 MB of ours, and 250 of the kernel's */

/* When there are too many inodes: asks the kernel to forget some that nobody uses. Main loop. */
void prune_inodes(struct fs *fs);
