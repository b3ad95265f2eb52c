/*
 * uffd_kernel.c - the descriptor's half of uffd_kernel.h: what is read from it, what is filled, and
 * the system calls on the map's addresses. One map at a time, in one window of addresses, which are
 * nothing but numbers: no code reads a map's memory but the application's.
 */
#include "uffd_private.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory_source.h"

_Atomic uint64_t uffd_features_off;

/* ---- reading ------------------------------------------------------------------------------ */

static struct uffd_msg fault_message(const struct waiter *waiter)
{
	struct uffd_msg message = {.event = UFFD_EVENT_PAGEFAULT};

	message.arg.pagefault.address = page_address(waiter->page);
	message.arg.pagefault.feat.ptid = (uint32_t)waiter->thread;
	return message;
}

size_t uffd_read(const struct uffd *uffd, struct uffd_msg *messages, size_t max)
{
	size_t count = 0;

	(void)uffd;
	for (size_t i = 0; i < waiter_count && count < max; i++)
		if (waiters[i].unread) {
			messages[count++] = fault_message(&waiters[i]);
			waiters[i].unread = false;
		}
	for (size_t i = 0; i < event_count && count < max; i++)
		if (!events[i].read) {
			messages[count++] = events[i].message;
			events[i].read = true;
		}
	while (lie_count > 0 && count < max)
		messages[count++] = lies[--lie_count];
	return count;
}

/* ---- filling ------------------------------------------------------------------------------ */

static bool is_refused(int *ret_err)
{
	*ret_err = space.refusal_err;
	if (event_count > 0)
		*ret_err = -EAGAIN;
	else if (space.refusals > 0)
		space.refusals--;
	else
		return false;
	return true;
}

/* Is all of it one area? */
static bool is_one_area(size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (!pages[i].registered || pages[i].barred != pages[first].barred ||
			(i > first && pages[i].offset != pages[i - 1].offset + SPACE_PAGE))
			return false;
	return true;
}

static uint8_t expected_byte(uint64_t offset)
{
	return offset < space.object_size ? memory_byte(space.object_seed, offset) : 0;
}

static void check_bytes(const struct page *page, const uint8_t *bytes)
{
	if (space.lies)
		return;
	assert(page->offset < space.object_size);
	for (size_t i = 0; i < SPACE_PAGE; i++)
		assert((bytes ? bytes[i] : 0) == expected_byte(page->offset + i));
}

/* bytes NULL: zeros. */
static int fill(const void *to, const uint8_t *bytes, size_t length, size_t *ret_filled)
{
	size_t first, end;
	int err;

	*ret_filled = 0;
	assert((uintptr_t)to % SPACE_PAGE == 0 && length % SPACE_PAGE == 0 && length > 0);
	if (is_refused(&err))
		return err;
	if (!pages_of((uintptr_t)to, length, &first, &end) || !is_one_area(first, end))
		return -ENOENT;
	for (size_t i = first; i < end; i++) {
		if (pages[i].present)
			break;
		check_bytes(&pages[i], bytes ? bytes + *ret_filled : NULL);
		pages[i].present = true;
		pages[i].poisoned = false;
		space.filled++;
		*ret_filled += SPACE_PAGE;
	}
	waiters_wake(first, first + *ret_filled / SPACE_PAGE);
	if (*ret_filled == length)
		return 0;
	return *ret_filled > 0 ? -EAGAIN : -EEXIST;
}

int uffd_copy(const struct uffd *uffd, void *to, const void *from, size_t length, uint64_t mode,
	size_t *ret_copied)
{
	(void)uffd, (void)mode;
	return fill(to, from, length, ret_copied);
}

int uffd_zeropage(const struct uffd *uffd, void *to, size_t length, size_t *ret_zeroed)
{
	(void)uffd;
	return fill(to, NULL, length, ret_zeroed);
}

int uffd_wake(const struct uffd *uffd, void *address, size_t length)
{
	size_t first, end;

	(void)uffd;
	assert((uintptr_t)address % SPACE_PAGE == 0 || space.lies);
	if (pages_of((uintptr_t)address, length, &first, &end))
		waiters_wake(first, end);
	return 0;
}

int uffd_poison(const struct uffd *uffd, void *address, size_t length)
{
	size_t first, end;
	int err;

	if (!(uffd->features & UFFD_FEATURE_POISON))
		return -ENOTSUP;
	if (is_refused(&err))
		return err;
	if (!pages_of((uintptr_t)address, length, &first, &end) || !is_one_area(first, end))
		return -ENOENT;
	if (pages[first].present || pages[first].poisoned)
		return -EEXIST;
	assert(space.may_fail || space.lies || pages[first].offset >= space.object_size);
	for (size_t i = first; i < end; i++)
		pages[i].poisoned = true;
	space.poisoned += (unsigned)(end - first);
	waiters_wake(first, end);
	return 0;
}

/* ---- descriptors -------------------------------------------------------------------------- */

int uffd_open(struct uffd *ret, uint64_t wanted, unsigned flags)
{
	uint64_t features = UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
			    UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_THREAD_ID |
			    (space.has_poison ? UFFD_FEATURE_POISON : 0);

	(void)flags;
	*ret = (struct uffd){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.features = features,
		.enabled = features & (wanted | UFFD_FEATURE_THREAD_ID),
	};
	return ret->fd < 0 ? -errno : 0;
}

void uffd_close(struct uffd *uffd)
{
	if (uffd->fd < 0)
		return;
	/* They would find zeros. */
	assert(waiter_count == 0 || space.lies);
	close(uffd->fd);
	uffd->fd = -1;
	for (size_t i = 0; i < SPACE_PAGES; i++)
		pages[i].registered = false;
	waiter_count = event_count = lie_count = 0;
}

int uffd_register(const struct uffd *uffd, void *address, size_t length, uint64_t modes)
{
	size_t first, end;

	(void)uffd, (void)modes;
	if (!pages_of((uintptr_t)address, length, &first, &end))
		return -EINVAL;
	for (size_t i = first; i < end; i++)
		pages[i].registered = true;
	return 0;
}

int uffd_unregister(const struct uffd *uffd, void *address, size_t length)
{
	(void)uffd, (void)address, (void)length;
	return -EINVAL; /* only detaching does that */
}

bool uffd_is_taken(int probe_fd, void *page, size_t length)
{
	size_t first, end;

	(void)probe_fd;
	return pages_of((uintptr_t)page, length, &first, &end) && is_one_area(first, end);
}

bool uffd_owns(const struct uffd *uffd, int probe_fd, void *page, size_t length)
{
	(void)uffd;
	return uffd_is_taken(probe_fd, page, length);
}

bool uffd_is_changing(const struct uffd *uffd)
{
	(void)uffd;
	return event_count > 0;
}

int uffd_open_probe(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

bool uffd_has_poison(void)
{
	return space.has_poison;
}

void uffd_probe(struct uffd_access *ret)
{
	*ret = (struct uffd_access){0};
}

/* Other kinds of memory are not a target's. */
int uffd_write_protect(const struct uffd *uffd, void *address, size_t length, uint64_t mode)
{
	(void)uffd, (void)address, (void)length, (void)mode;
	return -EINVAL;
}

int uffd_move(const struct uffd *uffd, void *to, void *from, size_t length, size_t *ret_moved)
{
	(void)uffd, (void)to, (void)from, (void)length;
	*ret_moved = 0;
	return -EINVAL;
}

int uffd_continue(const struct uffd *uffd, void *to, size_t length, size_t *ret_shown)
{
	(void)uffd, (void)to, (void)length;
	*ret_shown = 0;
	return -EINVAL;
}

/* ---- system calls ------------------------------------------------------------------------- */

void *__wrap_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
void *__real_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t length);
int __real_munmap(void *at, size_t length);
int __wrap_mprotect(void *at, size_t length, int protection);
int __real_mprotect(void *at, size_t length, int protection);
int __wrap_madvise(void *at, size_t length, int advice);
int __real_madvise(void *at, size_t length, int advice);
int __wrap_mincore(void *at, size_t length, unsigned char *ret);
int __real_mincore(void *at, size_t length, unsigned char *ret);
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at);
ssize_t __real_pread64(int fd, void *to, size_t size, off_t at);

static void *make_map(size_t length)
{
	space.makes_map = false;
	assert(space.place + length / SPACE_PAGE <= SPACE_PAGES);
	for (size_t i = 0; i < length / SPACE_PAGE; i++)
		pages[space.place + i] = (struct page){
			.kind = OURS, .offset = space.offset + i * SPACE_PAGE};
	return (void *)(uintptr_t)page_address(space.place);
}

void *__wrap_mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	size_t first, end;

	if (space.makes_map)
		return make_map(length);
	if (!(flags & MAP_FIXED) || !pages_of((uintptr_t)at, length, &first, &end))
		return __real_mmap64(at, length, protection, flags, fd, offset);
	/* The end of a map: what waits there stays until it is woken. */
	assert(protection == PROT_NONE);
	pages_forget(first, end - first);
	return at;
}

int __wrap_munmap(void *at, size_t length)
{
	size_t first, end;

	if (!pages_of((uintptr_t)at, length, &first, &end))
		return __real_munmap(at, length);
	pages_forget(first, end - first);
	return 0;
}

int __wrap_mprotect(void *at, size_t length, int protection)
{
	size_t first, end;

	if (!pages_of((uintptr_t)at, length, &first, &end))
		return __real_mprotect(at, length, protection);
	for (size_t i = first; i < end; i++)
		pages[i].barred = pages[i].kind == OURS && protection == PROT_NONE;
	return 0;
}

/* With UFFD_NO_REMOVE, as maps with a limit are opened: at once, and nobody is told. */
int __wrap_madvise(void *at, size_t length, int advice)
{
	size_t first, end;

	if (!pages_of((uintptr_t)at, length, &first, &end))
		return __real_madvise(at, length, advice);
	for (size_t i = first; i < end && advice == MADV_DONTNEED; i++)
		pages[i].present = pages[i].poisoned = false;
	return 0;
}

int __wrap_mincore(void *at, size_t length, unsigned char *ret)
{
	size_t first, end;

	if (!pages_of((uintptr_t)at, length, &first, &end))
		return __real_mincore(at, length, ret);
	for (size_t i = first; i < end; i++)
		ret[i - first] = pages[i].present;
	return 0;
}

/* /proc/self/mem: the page as it was filled. */
ssize_t __wrap_pread64(int fd, void *to, size_t size, off_t at)
{
	size_t first, end;

	if (!pages_of((uint64_t)at, size, &first, &end))
		return __real_pread64(fd, to, size, at);
	if (!pages[first].present || size != SPACE_PAGE) {
		errno = EIO;
		return -1;
	}
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = expected_byte(pages[first].offset + i);
	return (ssize_t)size;
}
