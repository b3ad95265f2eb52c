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
	uint64_t features;   /* that the kernel has */
	uint64_t enabled;    /* that this descriptor was opened with */
	bool follows_fork;   /* UFFD_EVENT_FORK comes */
	bool user_mode_only; /* faults of the kernel itself (read(2) into the range) get EFAULT */
};

/* How far up the ladder this process comes, for pagein doctor. */
struct uffd_access {
	int device_err;       /* /dev/userfaultfd: 0 or -errno */
	int syscall_err;      /* userfaultfd(0) */
	int user_mode_err;    /* userfaultfd(UFFD_USER_MODE_ONLY) */
	uint64_t features;    /* what the kernel has; 0 if all three fail */
	bool may_follow_fork; /* EVENT_FORK: CAP_SYS_PTRACE */
};
void uffd_probe(struct uffd_access *ret);

/*
 * Opens a non-blocking descriptor with the events that a map needs: device, else syscall, else user
 * mode only. Of the features in `wanted` it has those that the kernel has. -EPERM, -EACCES,
 * -ENOSYS, -EMFILE; -ENOTSUP: a kernel without the events.
 */
#define UFFD_FOLLOW_FORK 0x1U /* if the process may, and the kernel has UFFDIO_POISON */
#define UFFD_NO_REMOVE 0x2U   /* no events of dropped pages */
#define UFFD_RAISE 0x4U       /* a touch of an absent page is SIGBUS, and no message */
int uffd_open(struct uffd *ret, uint64_t wanted, unsigned flags);
void uffd_close(struct uffd *uffd);

/* For missing pages; modes: UFFDIO_REGISTER_MODE_WP and so on, besides. */
int uffd_register(const struct uffd *uffd, void *address, size_t length, uint64_t modes);
/* A touch of a missing page finds zeros from now on; write protection is off. Wakes. */
int uffd_unregister(const struct uffd *uffd, void *address, size_t length);
int uffd_wake(const struct uffd *uffd, void *address, size_t length);

/* Has the kernel UFFDIO_POISON? */
bool uffd_has_poison(void);
/* For tests: features that all descriptors do without, as if the kernel had not got them. */
extern _Atomic uint64_t uffd_features_off;

/* Whole pages; *ret_copied is right in every case. mode: UFFDIO_COPY_MODE_WP, or 0. */
int uffd_copy(const struct uffd *uffd, void *to, const void *from, size_t length, uint64_t mode,
	size_t *ret_copied);

/* mode: UFFDIO_WRITEPROTECT_MODE_WP protects what is there, 0 ends it and wakes. */
int uffd_write_protect(const struct uffd *uffd, void *address, size_t length, uint64_t mode);

/* Pages of zeros, which take no memory; *ret_zeroed as above. */
int uffd_zeropage(const struct uffd *uffd, void *to, size_t length, size_t *ret_zeroed);

/*
 * The pages themselves move from private writable memory of this process, huge ones as they are.
 * *ret_moved as above. -EINVAL: the two areas are not alike; -EBUSY: a page is used by others, too.
 */
int uffd_move(const struct uffd *uffd, void *to, void *from, size_t length, size_t *ret_moved);

/* Shows what the file behind the range holds; *ret_shown as above. -EFAULT: a hole. */
int uffd_continue(const struct uffd *uffd, void *to, size_t length, size_t *ret_shown);

/* A touch of the range raises SIGBUS from now on; wakes. -EEXIST: a page is there; -ENOTSUP. */
int uffd_poison(const struct uffd *uffd, void *address, size_t length);

/*
 * Is this page, about which nothing is known, in an area that any descriptor is registered for;
 * that this one is? Asks with a descriptor that is registered for nothing: uffd_open_probe(),
 * -errno as uffd_open(). Neither waits for events. uffd_owns() is not for a page that another
 * thread may be putting ordinary memory over: it could register that.
 */
int uffd_open_probe(void);
bool uffd_is_taken(int probe_fd, void *page, size_t length);
bool uffd_owns(const struct uffd *uffd, int probe_fd, void *page, size_t length);

/*
 * Does an event wait to be read, or is one about to come? No: all addresses that were registered
 * when the last events had been read have been so until now.
 */
bool uffd_is_changing(const struct uffd *uffd);

/* Messages read, 0 when there are none. Fewer than max: there are no more for now. */
size_t uffd_read(const struct uffd *uffd, struct uffd_msg *messages, size_t max);
