/*
 * pagemap.c - thin calls, without a state. Cost: a read tells 512 pages in 4 KiB and some 10 us; a
 * scan passes over what was never touched by whole page tables, so that its cost follows what is
 * resident.
 */
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup.h"
#include "pages.h"

int pagemap_open(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool pagemap_can_scan(void)
{
	cleanup_fd int fd = pagemap_open();
	struct page_region region;
	uintptr_t address = align_down((uintptr_t)&region, PAGE_BYTES);

	return fd >= 0 && pagemap_scan_written(fd, &address, address + PAGE_BYTES, &region, 1) >= 0;
}

int pagemap_read(int fd, uintptr_t address, uint64_t *words, size_t count)
{
	size_t length = count * sizeof *words;
	off_t at = (off_t)(address / PAGE_BYTES * sizeof *words);
	ssize_t got;

	do
		got = pread(fd, words, length, at);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got == length ? 0 : -EIO;
}

int pagemap_scan_written(
	int fd, uintptr_t *address, uintptr_t end, struct page_region *regions, size_t max)
{
	struct pm_scan_arg argument = {
		.size = sizeof argument,
		.start = *address,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = max,
		.category_mask = PAGE_IS_WRITTEN,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT,
	};
	int count;

	do
		count = ioctl(fd, PAGEMAP_SCAN, &argument);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	*address = (uintptr_t)argument.walk_end;
	return count;
}

bool pagemap_is_huge(int fd, uintptr_t address, size_t length)
{
	struct page_region region = {0};
	struct pm_scan_arg argument = {
		.size = sizeof argument,
		.start = address,
		.end = address + length,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = PAGE_IS_HUGE,
		.return_mask = PAGE_IS_HUGE,
	};

	return ioctl(fd, PAGEMAP_SCAN, &argument) < 0 || region.end - region.start == length;
}
