/*
 * uffd.h - the kernel's userfaultfd, one call each; the only place that issues its ioctls.
 *
 * Results are 0 or -errno as the kernel gives them; what they mean stands in map_fill.c. Any
 * thread, but a descriptor is read and filled by one loop only, so that events are applied before
 * any later fill.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uffd_abi.h"

struct uffd {
	int fd;
	uint64_t features;
	bool user_mode_only; /* faults of the kernel itself (read(2) into the range) get EFAULT */
};

/* How far up the ladder this process comes, for pagein doctor. */
struct uffd_access {
	int device_err;    /* /dev/userfaultfd: 0 or -errno */
	int syscall_err;   /* userfaultfd(0) */
	int user_mode_err; /* userfaultfd(UFFD_USER_MODE_ONLY) */
	uint64_t features; /* what the kernel has; 0 if all three fail */
	bool may_follow_fork; /* EVENT_FORK: CAP_SYS_PTRACE */
};
void uffd_probe(struct uffd_access *ret);

/*
 * Opens a non-blocking descriptor with the events that a map needs: device, else syscall, else user
 * mode only. -EPERM, -EACCES, -ENOSYS, -EMFILE; -ENOTSUP: a kernel without the events.
 */
int uffd_open(struct uffd *ret);
void uffd_close(struct uffd *uffd);

int uffd_register(const struct uffd *uffd, void *address, size_t length);
int uffd_wake(const struct uffd *uffd, void *address, size_t length);

/* Whole pages; *ret_copied is right in every case. */
int uffd_copy(
	const struct uffd *uffd, void *to, const void *from, size_t length, size_t *ret_copied);

/* A touch of the range raises SIGBUS from now on; wakes. -EEXIST: a page is there; -ENOTSUP. */
int uffd_poison(const struct uffd *uffd, void *address, size_t length);

/* Is this page, about which nothing is known, in an area that this descriptor is registered for? */
bool uffd_owns(const struct uffd *uffd, void *page);

/* Messages read, 0 when there are none. Fewer than max: there are no more for now. */
size_t uffd_read(const struct uffd *uffd, struct uffd_msg *messages, size_t max);
