/*
 * uffd.c - opening by the permission ladder, and thin ioctls.
 *
 * /dev/userfaultfd and the system call without a flag give a descriptor that also serves faults of
 * the kernel (read(2) into a map); UFFD_USER_MODE_ONLY does not, and is what an unprivileged
 * process gets where vm.unprivileged_userfaultfd is 0. UFFDIO_API works once for each descriptor
 * and refuses unknown bits, so a throw-away one is asked for the mask.
 */
#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

#define REGISTER_TRIES 10000 /* some milliseconds: the question takes two system calls */

#define FEATURES_NEEDED \
	(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)
#define FEATURES_WANTED (UFFD_FEATURE_POISON | UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_MOVE)

_Atomic uint64_t uffd_features_off;

static int open_device(void)
{
	cleanup_fd int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd;

	if (device < 0)
		return -errno;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int open_syscall(int flags)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	return fd < 0 ? -errno : (int)fd;
}

static int open_any(bool *ret_user_mode_only)
{
	int fd = open_device();

	*ret_user_mode_only = false;
	if (fd < 0)
		fd = open_syscall(0);
	if (fd >= 0 || fd == -EMFILE || fd == -ENFILE)
		return fd;
	*ret_user_mode_only = true;
	return open_syscall(UFFD_USER_MODE_ONLY);
}

static int ask_api(int fd, uint64_t features, uint64_t *ret_features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};

	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return -errno;
	*ret_features = api.features & ~uffd_features_off;
	return 0;
}

void uffd_probe(struct uffd_access *ret)
{
	int device = open_device(), plain = open_syscall(0),
	    user = open_syscall(UFFD_USER_MODE_ONLY);
	int fds[] = {device, plain, user};
	uint64_t features;

	*ret = (struct uffd_access){
		.device_err = device < 0 ? device : 0,
		.syscall_err = plain < 0 ? plain : 0,
		.user_mode_err = user < 0 ? user : 0,
	};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (fds[i] >= 0 && ret->features == 0)
			ask_api(fds[i], 0, &ret->features);
		else if (fds[i] >= 0 && !ret->may_follow_fork)
			ret->may_follow_fork = ask_api(fds[i], UFFD_FEATURE_EVENT_FORK,
						       &features) == 0;
		close_fd(&fds[i]);
	}
}

int uffd_open(struct uffd *ret, uint64_t wanted, unsigned flags)
{
	bool user_mode_only;
	cleanup_fd int first = open_any(&user_mode_only);
	cleanup_fd int fd = -1;
	uint64_t needed = FEATURES_NEEDED, features = 0, enabled;
	bool follow;
	int err;

	if (first < 0)
		return first;
	err = ask_api(first, 0, &features);
	if (err < 0)
		return err;
	if (flags & UFFD_RAISE)
		needed |= UFFD_FEATURE_SIGBUS;
	features &= ~uffd_features_off;
	if ((features & needed) != needed)
		return -ENOTSUP;
	fd = open_any(&user_mode_only);
	if (fd < 0)
		return fd;
	enabled = features & (needed | FEATURES_WANTED | wanted);
	if (flags & UFFD_NO_REMOVE)
		enabled &= ~(uint64_t)UFFD_FEATURE_EVENT_REMOVE;
	follow = flags & UFFD_FOLLOW_FORK && features & UFFD_FEATURE_POISON;
	err = ask_api(fd, enabled | (follow ? UFFD_FEATURE_EVENT_FORK : 0), &features);
	if (err == -EPERM && follow) {
		follow = false;
		err = ask_api(fd, enabled, &features);
	}
	if (err < 0)
		return err;
	*ret = (struct uffd){
		.fd = steal_fd(&fd),
		.features = features & ~uffd_features_off,
		.enabled = enabled,
		.follows_fork = follow,
		.user_mode_only = user_mode_only,
	};
	return 0;
}

bool uffd_has_poison(void)
{
	struct uffd_access access;

	uffd_probe(&access);
	return access.features & ~uffd_features_off & UFFD_FEATURE_POISON;
}

void uffd_close(struct uffd *uffd)
{
	close_fd(&uffd->fd);
	uffd->fd = -1;
}

static int register_once(const struct uffd *uffd, void *address, size_t length, uint64_t modes)
{
	struct uffdio_register argument = {
		.range = {.start = (uintptr_t)address, .len = length},
		.mode = UFFDIO_REGISTER_MODE_MISSING | modes,
	};

	return ioctl(uffd->fd, UFFDIO_REGISTER, &argument) < 0 ? -errno : 0;
}

int uffd_register(const struct uffd *uffd, void *address, size_t length, uint64_t modes)
{
	int err = -EBUSY;

	/* Another map's loop may be asking whose the first page is: uffd_owns(). */
	for (int i = 0; i < REGISTER_TRIES && err == -EBUSY; i++) {
		if (i > 0)
			sched_yield();
		err = register_once(uffd, address, length, modes);
	}
	return err;
}

int uffd_unregister(const struct uffd *uffd, void *address, size_t length)
{
	struct uffdio_range range = {.start = (uintptr_t)address, .len = length};

	return ioctl(uffd->fd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

int uffd_wake(const struct uffd *uffd, void *address, size_t length)
{
	struct uffdio_range range = {.start = (uintptr_t)address, .len = length};

	return ioctl(uffd->fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

int uffd_copy(const struct uffd *uffd, void *to, const void *from, size_t length, uint64_t mode,
	size_t *ret_copied)
{
	/* .copy is zeroed: before 6.15 EAGAIN may leave it as it was. */
	struct uffdio_copy copy = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = length,
		.mode = mode,
	};
	int err = ioctl(uffd->fd, UFFDIO_COPY, &copy) < 0 ? -errno : 0;

	*ret_copied = copy.copy > 0 ? (size_t)copy.copy : 0;
	return err;
}

int uffd_write_protect(const struct uffd *uffd, void *address, size_t length, uint64_t mode)
{
	struct uffdio_writeprotect argument = {
		.range = {.start = (uintptr_t)address, .len = length},
		.mode = mode,
	};

	return ioctl(uffd->fd, UFFDIO_WRITEPROTECT, &argument) < 0 ? -errno : 0;
}

int uffd_zeropage(const struct uffd *uffd, void *to, size_t length, size_t *ret_zeroed)
{
	struct uffdio_zeropage argument = {.range = {.start = (uintptr_t)to, .len = length}};
	int err = ioctl(uffd->fd, UFFDIO_ZEROPAGE, &argument) < 0 ? -errno : 0;

	*ret_zeroed = argument.zeropage > 0 ? (size_t)argument.zeropage : 0;
	return err;
}

int uffd_move(const struct uffd *uffd, void *to, void *from, size_t length, size_t *ret_moved)
{
	struct uffdio_move argument = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = length,
	};
	int err = ioctl(uffd->fd, UFFDIO_MOVE, &argument) < 0 ? -errno : 0;

	*ret_moved = argument.move > 0 ? (size_t)argument.move : 0;
	return err;
}

int uffd_continue(const struct uffd *uffd, void *to, size_t length, size_t *ret_shown)
{
	struct uffdio_continue argument = {.range = {.start = (uintptr_t)to, .len = length}};
	int err = ioctl(uffd->fd, UFFDIO_CONTINUE, &argument) < 0 ? -errno : 0;

	*ret_shown = argument.mapped > 0 ? (size_t)argument.mapped : 0;
	return err;
}

int uffd_poison(const struct uffd *uffd, void *address, size_t length)
{
	struct uffdio_poison argument = {.range = {.start = (uintptr_t)address, .len = length}};

	if (!(uffd->features & UFFD_FEATURE_POISON))
		return -ENOTSUP;
	return ioctl(uffd->fd, UFFDIO_POISON, &argument) < 0 ? -errno : 0;
}

/* What is asked for is nonsense, but whether there is a change is looked at first. */
bool uffd_is_changing(const struct uffd *uffd)
{
	struct uffdio_copy nothing = {0};

	return ioctl(uffd->fd, UFFDIO_COPY, &nothing) < 0 && errno == EAGAIN;
}

int uffd_open_probe(void)
{
	bool user_mode_only;
	int fd = open_any(&user_mode_only), err;
	uint64_t features;

	if (fd < 0)
		return fd;
	err = ask_api(fd, 0, &features);
	if (err < 0)
		close_fd(&fd);
	return err < 0 ? err : fd;
}

/* Is it anybody's? Then another descriptor can't register it. */
bool uffd_is_taken(int probe_fd, void *page, size_t length)
{
	const struct uffd probe = {.fd = probe_fd};
	struct uffdio_range range = {.start = (uintptr_t)page, .len = length};
	int err = probe_fd < 0 ? -EBADF : register_once(&probe, page, length, 0);

	/* Somebody's ordinary memory, for the length of these calls. Who touched it meanwhile and
	 * was queued after the kernel's own wake, as UNREGISTER began, would wait for ever (seen on
	 * 6.18: a descriptor that nobody reads, with one pending fault). */
	if (err == 0) {
		ioctl(probe_fd, UFFDIO_UNREGISTER, &range);
		ioctl(probe_fd, UFFDIO_WAKE, &range);
	}
	return err == -EBUSY;
}

/*
 * If it is this one's, registering it again changes nothing. Asked without the other question, this
 * one would take what is nobody's, and it still does if that has come there between the two.
 */
bool uffd_owns(const struct uffd *uffd, int probe_fd, void *page, size_t length)
{
	return uffd_is_taken(probe_fd, page, length) && register_once(uffd, page, length, 0) == 0;
}

size_t uffd_read(const struct uffd *uffd, struct uffd_msg *messages, size_t max)
{
	ssize_t len;

	do
		len = read(uffd->fd, messages, max * sizeof *messages);
	while (len < 0 && errno == EINTR);
	return len > 0 ? (size_t)len / sizeof *messages : 0;
}
