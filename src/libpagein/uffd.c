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
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

#define PAGE_LENGTH 4096

#define FEATURES_NEEDED \
	(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)
#define FEATURES_WANTED UFFD_FEATURE_POISON

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
	*ret_features = api.features;
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
			ret->may_follow_fork =
				ask_api(fds[i], UFFD_FEATURE_EVENT_FORK, &features) == 0;
		close_fd(&fds[i]);
	}
}

int uffd_open(struct uffd *ret)
{
	bool user_mode_only;
	cleanup_fd int first = open_any(&user_mode_only);
	cleanup_fd int fd = -1;
	uint64_t features = 0;
	int err;

	if (first < 0)
		return first;
	err = ask_api(first, 0, &features);
	if (err < 0)
		return err;
	if ((features & FEATURES_NEEDED) != FEATURES_NEEDED)
		return -ENOTSUP;
	fd = open_any(&user_mode_only);
	if (fd < 0)
		return fd;
	err = ask_api(fd, FEATURES_NEEDED | (features & FEATURES_WANTED), &features);
	if (err < 0)
		return err;
	*ret = (struct uffd){
		.fd = steal_fd(&fd),
		.features = features,
		.user_mode_only = user_mode_only,
	};
	return 0;
}

void uffd_close(struct uffd *uffd)
{
	close_fd(&uffd->fd);
	uffd->fd = -1;
}

int uffd_register(const struct uffd *uffd, void *address, size_t length)
{
	struct uffdio_register argument = {
		.range = {.start = (uintptr_t)address, .len = length},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(uffd->fd, UFFDIO_REGISTER, &argument) < 0 ? -errno : 0;
}

int uffd_wake(const struct uffd *uffd, void *address, size_t length)
{
	struct uffdio_range range = {.start = (uintptr_t)address, .len = length};

	return ioctl(uffd->fd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

int uffd_copy(
	const struct uffd *uffd, void *to, const void *from, size_t length, size_t *ret_copied)
{
	/* .copy is zeroed: before 6.15 EAGAIN may leave it as it was. */
	struct uffdio_copy copy = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = length,
	};
	int err = ioctl(uffd->fd, UFFDIO_COPY, &copy) < 0 ? -errno : 0;

	*ret_copied = copy.copy > 0 ? (size_t)copy.copy : 0;
	return err;
}

int uffd_poison(const struct uffd *uffd, void *address, size_t length)
{
	struct uffdio_poison argument = {.range = {.start = (uintptr_t)address, .len = length}};

	if (!(uffd->features & UFFD_FEATURE_POISON))
		return -ENOTSUP;
	return ioctl(uffd->fd, UFFDIO_POISON, &argument) < 0 ? -errno : 0;
}

/*
 * Two questions, because the first does not tell whose descriptor it is, and the second would
 * register what is none's. UFFDIO_CONTINUE can't be done to anonymous memory: EINVAL, but ENOENT
 * where nothing is registered. Registering again what is registered changes nothing; what another
 * descriptor has is EBUSY. While the address space changes there is no answer.
 */
bool uffd_owns(const struct uffd *uffd, void *page)
{
	struct uffdio_continue argument = {.range = {.start = (uintptr_t)page, .len = PAGE_LENGTH}};

	if (!(uffd->features & UFFD_FEATURE_MINOR_SHMEM))
		return false;
	if (ioctl(uffd->fd, UFFDIO_CONTINUE, &argument) == 0 || errno != EINVAL)
		return false;
	return uffd_register(uffd, page, PAGE_LENGTH) == 0;
}

size_t uffd_read(const struct uffd *uffd, struct uffd_msg *messages, size_t max)
{
	ssize_t len;

	do
		len = read(uffd->fd, messages, max * sizeof *messages);
	while (len < 0 && errno == EINTR);
	return len > 0 ? (size_t)len / sizeof *messages : 0;
}
