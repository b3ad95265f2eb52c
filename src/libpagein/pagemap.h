/*
 * pagemap.h - what the kernel's page tables say of this process's memory: /proc/self/pagemap. Any
 * thread; the scans not on a loop: what is asked for may be gigabytes of addresses.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pagemap_abi.h"

/* 0 or more: the descriptor; -errno: there is no /proc, or it is not for us. */
int pagemap_open(void);

/* Has the kernel PAGEMAP_SCAN, and may this process use it? */
bool pagemap_can_scan(void);

/* The words (PAGEMAP_PRESENT and so on) of `count` pages from address on. -errno */
int pagemap_read(int fd, uintptr_t address, uint64_t *words, size_t count);

/*
 * The next regions of [*address, end) that have been written: whose pages are there, or swapped
 * out, and not write-protected. *address moves to where to go on; it is end when all are told.
 * How many, or -errno.
 */
int pagemap_scan_written(
	int fd, uintptr_t *address, uintptr_t end, struct page_region *regions, size_t max);

/* Are these bytes, one huge page or many small ones, a huge page? Yes, where nobody can tell. */
bool pagemap_is_huge(int fd, uintptr_t address, size_t length);
