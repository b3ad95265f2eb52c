/*
 * landlock_abi.h - Landlock as the kernel has it, up to ABI 6 (Linux 6.12), by names of our own:
 * Debian 12's headers end at ABI 3, and its libc has no calls. Which ABI there is is asked at run
 * time.
 */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>

#ifdef SYS_landlock_create_ruleset
#define LANDLOCK_CALL_CREATE SYS_landlock_create_ruleset
#define LANDLOCK_CALL_ADD SYS_landlock_add_rule
#define LANDLOCK_CALL_RESTRICT SYS_landlock_restrict_self
#else
/* The same on all architectures but alpha. */
#define LANDLOCK_CALL_CREATE 444
#define LANDLOCK_CALL_ADD 445
#define LANDLOCK_CALL_RESTRICT 446
#endif

#define LANDLOCK_ASK_ABI 1U /* flag of create: returns the ABI's number */
#define LANDLOCK_BENEATH 1  /* type of a rule */

/* Rights to files; the comment is the first ABI that has them. */
#define LANDLOCK_EXECUTE (UINT64_C(1) << 0) /* 1 */
#define LANDLOCK_WRITE_FILE (UINT64_C(1) << 1)
#define LANDLOCK_READ_FILE (UINT64_C(1) << 2)
#define LANDLOCK_READ_DIR (UINT64_C(1) << 3)
#define LANDLOCK_REMOVE_FILE (UINT64_C(1) << 5)
#define LANDLOCK_MAKE_REG (UINT64_C(1) << 8)
#define LANDLOCK_MAKE_SYM (UINT64_C(1) << 12)  /* the last of ABI 1 */
#define LANDLOCK_REFER (UINT64_C(1) << 13)     /* 2 */
#define LANDLOCK_TRUNCATE (UINT64_C(1) << 14)  /* 3 */
#define LANDLOCK_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */

#define LANDLOCK_BIND_TCP (UINT64_C(1) << 0) /* 4 */

#define LANDLOCK_SCOPE_ABSTRACT (UINT64_C(1) << 0) /* 6: connecting to abstract sockets */
#define LANDLOCK_SCOPE_SIGNAL (UINT64_C(1) << 1)   /* 6 */

/* An older kernel takes a shorter one, or zeros behind its end. */
struct landlock_rights {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct landlock_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));
