/*
 * cleanup.h - scoped cleanup of locals, as __attribute__((cleanup)) gives it.
 *
 * A local marked `cleanup(f)` is passed by address to f when it goes out of scope. To hand its
 * value on, steal it: `*ret = steal_pointer(&object);` leaves NULL behind, which every destroy
 * function accepts.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define cleanup(function) __attribute__((cleanup(function)))

#define steal_pointer(address)                              \
	({                                                  \
		__auto_type steal_address_ = (address);     \
		__auto_type steal_value_ = *steal_address_; \
		*steal_address_ = NULL;                     \
		steal_value_;                               \
	})

static inline int steal_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void free_pointer(void *address)
{
	free(*(void **)address);
}

#define cleanup_free cleanup(free_pointer)
#define cleanup_fd cleanup(close_fd)

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - __builtin_offsetof(type, member)))
