/*
 * fd_bits.h - a set of descriptors, a bit for each number. Zeroed memory is an empty one. Not
 * thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct fd_bits {
	uint64_t *words;
	size_t count;
};

void fd_bits_finish(struct fd_bits *bits);
/* -ENOMEM */
int fd_bits_add(struct fd_bits *bits, int fd);
/* One that is not in it is fine. */
void fd_bits_remove(struct fd_bits *bits, int fd);
/* Closes all that are in it. No malloc: for the child of a fork(2). */
void fd_bits_close(const struct fd_bits *bits);
