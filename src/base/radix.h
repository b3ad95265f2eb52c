/*
 * radix.h - a sparse array of pointers, indexed by number: a 64-way tree whose height follows the
 * number of slots. A tree over 2^58 slots costs 24 bytes until it is used; a slot that is used
 * costs at most height x 512 bytes, and all are freed with the tree. Not thread-safe.
 */
#pragma once

#include <stdint.h>

struct radix_node;

struct radix {
	struct radix_node *root;
	struct radix_node *spare; /* made before they are needed */
	uint64_t slots;
	unsigned height;
	unsigned spares;
};

/* An array of `slots` NULLs. No malloc. */
void radix_init(struct radix *radix, uint64_t slots);

/* Frees the tree; what the slots point at is the owner's. */
void radix_finish(struct radix *radix);

/* The value at index, NULL if none (also past the end). At most `height` loads. */
void *radix_get(const struct radix *radix, uint64_t index);

/* Where the value at index (< slots) is kept, made if need be; NULL: out of memory. Stays valid
 * until radix_finish(). */
void **radix_slot(struct radix *radix, uint64_t index);

/*
 * Makes nodes now, as many as one radix_slot() may need, so that the next one mallocs nothing.
 * Called where there is time. Without the memory for them, nothing happens.
 */
void radix_reserve(struct radix *radix);

/*
 * The first value in [*index, end); sets *index to its place. NULL: there is none. Looks at no more
 * of the tree than that.
 */
void *radix_next(const struct radix *radix, uint64_t *index, uint64_t end);
