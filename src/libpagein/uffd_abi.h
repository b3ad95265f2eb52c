/*
 * uffd_abi.h - userfaultfd(2) as this library needs it, whatever kernel headers are installed.
 *
 * Debian 12's <linux/userfaultfd.h> is of 6.1: what came later is defined here, and every ioctl
 * number is asserted, because a wrong one fails in silence (UFFDIO_WAKE is _IOR although it only
 * reads from user space). Source: include/uapi/linux/userfaultfd.h of Linux 6.8.
 */
#pragma once

#include <assert.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (UINT64_C(1) << 14)
#endif

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (UINT64_C(1) << 15)
#endif

#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (UINT64_C(1) << 16)
#endif

#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON _IOWR(0xAA, 0x08, struct uffdio_poison)
#endif

#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (UINT64_C(1) << 16)
#endif

#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(0xAA, 0x05, struct uffdio_move)
#endif

static_assert(UFFDIO_API == 0xc018aa3f, "UFFDIO_API");
static_assert(UFFDIO_REGISTER == 0xc020aa00, "UFFDIO_REGISTER");
static_assert(UFFDIO_UNREGISTER == 0x8010aa01, "UFFDIO_UNREGISTER");
static_assert(UFFDIO_WAKE == 0x8010aa02, "UFFDIO_WAKE");
static_assert(UFFDIO_COPY == 0xc028aa03, "UFFDIO_COPY");
static_assert(UFFDIO_ZEROPAGE == 0xc020aa04, "UFFDIO_ZEROPAGE");
static_assert(UFFDIO_MOVE == 0xc028aa05, "UFFDIO_MOVE");
static_assert(UFFDIO_WRITEPROTECT == 0xc018aa06, "UFFDIO_WRITEPROTECT");
static_assert(UFFDIO_CONTINUE == 0xc020aa07, "UFFDIO_CONTINUE");
static_assert(UFFDIO_POISON == 0xc020aa08, "UFFDIO_POISON");
static_assert(sizeof(struct uffd_msg) == 32, "struct uffd_msg");
