/*
 * pagemap_abi.h - what /proc/PID/pagemap says of a page, and its PAGEMAP_SCAN, whatever kernel
 * headers are installed: they have the second since 6.7 only. Sources:
 * Documentation/admin-guide/mm/pagemap.rst and include/uapi/linux/fs.h of Linux 6.8.
 */
#pragma once

#include <assert.h>
#include <linux/fs.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* Bits of a page's eight bytes. */
#define PAGEMAP_UFFD_WP (UINT64_C(1) << 57) /* write-protected by userfaultfd; since 5.14 */
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

#ifndef PAGEMAP_SCAN
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_HUGE (1 << 6)

struct page_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

struct pm_scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

static_assert(PAGEMAP_SCAN == 0xc0606610, "PAGEMAP_SCAN");
static_assert(sizeof(struct page_region) == 24, "struct page_region");
