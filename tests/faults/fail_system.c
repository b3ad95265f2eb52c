/*
 * fail_system.c - wrappers of the C library's and the kernel's calls. See fail.h.
 *
 * What a descriptor may say depends on what it is; /proc/self/fd tells, when the call is to fail.
 * UFFDIO_WAKE never fails: the kernel only refuses a range that is none, and who waits there would
 * wait on. What is named __X_chk or __X_2 a fortified build calls instead of X.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pwd.h>
#include <regex.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fail_wrap.h"

/* clang-format off: tables */

/* ---- memory ------------------------------------------------------------------------------- */

WRAP(FAIL_MEMORY, void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP(FAIL_MEMORY, void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
WRAP(FAIL_MEMORY, void *, realloc, (void *old, size_t size), (old, size), NULL, ENOMEM)
WRAP(FAIL_MEMORY, void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size),
	NULL, ENOMEM)
WRAP(FAIL_MEMORY, char *, strdup, (const char *text), (text), NULL, ENOMEM)
WRAP(FAIL_MEMORY, char *, strndup, (const char *text, size_t length), (text, length), NULL, ENOMEM)
WRAP(FAIL_MEMORY, FILE *, open_memstream, (char **text, size_t *size), (text, size), NULL, ENOMEM)
WRAP(FAIL_MEMORY, ssize_t, __getdelim, (char **line, size_t *size, int end, FILE *file),
	(line, size, end, file), -1, ENOMEM)
WRAP_CODE(FAIL_MEMORY, int, regcomp, (regex_t * expression, const char *text, int flags),
	(expression, text, flags), REG_ESPACE)
WRAP_CODE(FAIL_MEMORY, int, pthread_atfork,
	(void (*before)(void), void (*parent)(void), void (*child)(void)), (before, parent, child),
	ENOMEM)

/* ---- address space ------------------------------------------------------------------------ */

WRAP(FAIL_MAP, void *, mmap64,
	(void *address, size_t length, int protection, int flags, int fd, off64_t offset),
	(address, length, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP(FAIL_MAP, int, munmap, (void *address, size_t length), (address, length), -1, ENOMEM)
WRAP(FAIL_MAP, int, mprotect, (void *address, size_t length, int protection),
	(address, length, protection), -1, ENOMEM)
WRAP(FAIL_MAP, int, madvise, (void *address, size_t length, int advice), (address, length, advice),
	-1, ENOMEM, EAGAIN)
WRAP(FAIL_MAP, int, mincore, (void *address, size_t length, unsigned char *states),
	(address, length, states), -1, EAGAIN)

/* ---- descriptors that are made ------------------------------------------------------------ */

WRAP(FAIL_FD, int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1,
	EMFILE, ENOMEM)
WRAP(FAIL_FD, int, socketpair, (int domain, int type, int protocol, int *ends),
	(domain, type, protocol, ends), -1, EMFILE, ENOMEM)
WRAP(FAIL_FD, int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags),
	(fd, address, length, flags), -1, EMFILE, ECONNABORTED)
WRAP(FAIL_FD, int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE, ENOMEM)
WRAP(FAIL_FD, int, epoll_create1, (int flags), (flags), -1, EMFILE, ENOMEM)
WRAP(FAIL_FD, int, pipe2, (int *ends, int flags), (ends, flags), -1, EMFILE, ENFILE)
WRAP(FAIL_FD, int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE,
	ENOMEM)
WRAP(FAIL_FD, int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1, EMFILE, ENOSYS)
WRAP(FAIL_FD, int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), -1, EMFILE,
	ENOMEM)
WRAP(FAIL_FD, int, dup, (int fd), (fd), -1, EMFILE)
WRAP(FAIL_FD, int, dup3, (int fd, int as, int flags), (fd, as, flags), -1, EMFILE, EBUSY)
WRAP(FAIL_FD, int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags),
	-1, ENOSYS, EMFILE)
WRAP(FAIL_FD, int, mkostemp64, (char *name, int flags), (name, flags), -1, EMFILE, EACCES)
WRAP(FAIL_FD, int, __open64_2, (const char *path, int flags), (path, flags), -1, EMFILE, EACCES)
WRAP(FAIL_FD, DIR *, opendir, (const char *path), (path), NULL, EMFILE, EACCES)
WRAP(FAIL_FD, FILE *, fopen64, (const char *path, const char *mode), (path, mode), NULL, EMFILE,
	EACCES)

/* ---- waiting ------------------------------------------------------------------------------ */

WRAP(FAIL_WAIT, int, poll, (struct pollfd * fds, nfds_t count, int timeout_ms),
	(fds, count, timeout_ms), -1, EINTR, ENOMEM)
WRAP(FAIL_WAIT, int, ppoll,
	(struct pollfd * fds, nfds_t count, const struct timespec *time, const sigset_t *mask),
	(fds, count, time, mask), -1, EINTR, ENOMEM)
WRAP(FAIL_WAIT, int, nanosleep, (const struct timespec *time, struct timespec *rest), (time, rest),
	-1, EINTR)
WRAP(FAIL_WAIT, int, usleep, (useconds_t us), (us), -1, EINTR)
WRAP(FAIL_WAIT, int, sem_wait, (sem_t * semaphore), (semaphore), -1, EINTR)
WRAP(FAIL_WAIT, pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1,
	EINTR, ECHILD)
WRAP(FAIL_EPOLL, int, epoll_wait, (int fd, struct epoll_event *events, int max, int timeout_ms),
	(fd, events, max, timeout_ms), -1, EINTR)

/* ---- files -------------------------------------------------------------------------------- */

WRAP(FAIL_FILE, int, fstat64, (int fd, struct stat64 *status), (fd, status), -1, EIO)
WRAP(FAIL_FILE, int, fstatat64, (int fd, const char *path, struct stat64 *status, int flags),
	(fd, path, status, flags), -1, EIO, ENOMEM)
WRAP(FAIL_FILE, int, stat64, (const char *path, struct stat64 *status), (path, status), -1, EACCES,
	EIO)
WRAP(FAIL_FILE, int, lstat64, (const char *path, struct stat64 *status), (path, status), -1, EACCES,
	EIO)
WRAP(FAIL_FILE, struct dirent64 *, readdir64, (DIR * directory), (directory), NULL, EIO)
WRAP(FAIL_FILE, int, access, (const char *path, int mode), (path, mode), -1, EACCES)
WRAP(FAIL_FILE, char *, realpath, (const char *path, char *ret), (path, ret), NULL, EACCES, ENOMEM)
WRAP(FAIL_FILE, char *, __realpath_chk, (const char *path, char *ret, size_t size),
	(path, ret, size), NULL, EACCES, ENOMEM)
WRAP(FAIL_FILE, int, rename, (const char *from, const char *to), (from, to), -1, EACCES, ENOSPC)
WRAP(FAIL_FILE, int, mkdir, (const char *path, mode_t mode), (path, mode), -1, EACCES, ENOSPC)
WRAP(FAIL_FILE, int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
WRAP(FAIL_FILE, char *, getcwd, (char *buffer, size_t size), (buffer, size), NULL, ENOENT)
WRAP(FAIL_FILE, ssize_t, getrandom, (void *bytes, size_t size, unsigned flags),
	(bytes, size, flags), -1, EINTR, ENOSYS)
WRAP(FAIL_FILE, struct passwd *, getpwuid, (uid_t uid), (uid), NULL, EIO)

/* ---- threads and processes ---------------------------------------------------------------- */

WRAP_CODE(FAIL_THREAD, int, pthread_create,
	(pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *),
		void *context),
	(thread, attributes, start, context), EAGAIN)
WRAP(FAIL_PROCESS, pid_t, fork, (void), (), -1, EAGAIN, ENOMEM)
WRAP_CODE(FAIL_PROCESS, int, posix_spawnp,
	(pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const *arguments,
		char *const *environment),
	(pid, path, actions, attributes, arguments, environment), EAGAIN, ENOENT)
WRAP_CODE(FAIL_PROCESS, int, posix_spawn_file_actions_init, (posix_spawn_file_actions_t * actions),
	(actions), ENOMEM)
WRAP_CODE(FAIL_PROCESS, int, posix_spawnattr_init, (posix_spawnattr_t * attributes), (attributes),
	ENOMEM)
WRAP_CODE(FAIL_PROCESS, int, posix_spawn_file_actions_adddup2,
	(posix_spawn_file_actions_t * actions, int fd, int as), (actions, fd, as), ENOMEM)
WRAP_CODE(FAIL_PROCESS, int, posix_spawn_file_actions_addopen,
	(posix_spawn_file_actions_t * actions, int fd, const char *path, int flags, mode_t mode),
	(actions, fd, path, flags, mode), ENOMEM)
WRAP_CODE(FAIL_PROCESS, int, posix_spawn_file_actions_addclosefrom_np,
	(posix_spawn_file_actions_t * actions, int first), (actions, first), ENOMEM)

/* ---- bytes -------------------------------------------------------------------------------- */

WRAP(FAIL_IO, ssize_t, pread64, (int fd, void *bytes, size_t size, off64_t offset),
	(fd, bytes, size, offset), -1, EIO, EINTR)
WRAP(FAIL_IO, ssize_t, recv, (int fd, void *bytes, size_t size, int flags),
	(fd, bytes, size, flags), -1, ECONNRESET, EINTR)
WRAP(FAIL_IO, ssize_t, send, (int fd, const void *bytes, size_t size, int flags),
	(fd, bytes, size, flags), -1, ECONNRESET, EINTR)
WRAP(FAIL_IO, ssize_t, sendto,
	(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
		socklen_t length),
	(fd, bytes, size, flags, address, length), -1, ECONNREFUSED, EINTR)
WRAP(FAIL_IO, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags),
	-1, ECONNRESET, EINTR)
WRAP(FAIL_IO, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
	(fd, message, flags), -1, EPIPE, EINTR)
WRAP(FAIL_IO, int, connect, (int fd, const struct sockaddr *address, socklen_t length),
	(fd, address, length), -1, ECONNREFUSED, EINTR)
WRAP(FAIL_IO, int, bind, (int fd, const struct sockaddr *address, socklen_t length),
	(fd, address, length), -1, EADDRINUSE, ENOMEM)
WRAP(FAIL_IO, int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
WRAP(FAIL_IO, int, getsockname, (int fd, struct sockaddr *address, socklen_t *length),
	(fd, address, length), -1, ENOBUFS)
WRAP(FAIL_IO, int, getpeername, (int fd, struct sockaddr *address, socklen_t *length),
	(fd, address, length), -1, ENOTCONN)
WRAP(FAIL_IO, int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
	(fd, level, name, value, length), -1, ENOPROTOOPT)
WRAP(FAIL_IO, int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
	(fd, level, name, value, length), -1, ENOPROTOOPT)
WRAP(FAIL_IO, int, eventfd_read, (int fd, eventfd_t *count), (fd, count), -1, EINTR)
WRAP(FAIL_IO, int, eventfd_write, (int fd, eventfd_t count), (fd, count), -1, EINTR)
WRAP(FAIL_IO, int, ftruncate64, (int fd, off64_t size), (fd, size), -1, ENOSPC, EINTR)

/* clang-format on */

/* 0, or the error that a read or write of this kind of descriptor may have. */
static int fail_io(const char *name, int fd, const void *site)
{
	static const struct {
		const char *kind;
		int errors[2];
	} kinds[] = {
		{"anon_inode:", {EINTR, EINTR}},
		{"socket:", {ECONNRESET, EINTR}},
		{"pipe:", {EPIPE, EINTR}},
		{"/dev/fuse", {ENODEV, EINTR}},
		{"", {EIO, EINTR}},
	};
	char path[32], target[64] = "";
	size_t i = 0;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof target - 1) < 0)
		target[0] = '\0';
	while (strncmp(target, kinds[i].kind, strlen(kinds[i].kind)) != 0)
		i++;
	return fail_now(FAIL_IO, name, kinds[i].errors, 2, site);
}

#define WRAP_IO(name, parameters, arguments)                                                \
	ssize_t __real_##name parameters;                                                   \
	ssize_t __wrap_##name parameters;                                                   \
	ssize_t __wrap_##name parameters                                                    \
	{                                                                                   \
		int saved = errno, error = fail_io(#name, fd, __builtin_return_address(0)); \
                                                                                            \
		errno = error ? error : saved;                                              \
		return error ? -1 : __real_##name arguments;                                \
	}
WRAP_IO(read, (int fd, void *bytes, size_t size), (fd, bytes, size))
WRAP_IO(__read_chk, (int fd, void *bytes, size_t size, size_t room), (fd, bytes, size, room))
WRAP_IO(write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
WRAP_IO(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))

/* ---- those that are several --------------------------------------------------------------- */

int __real_vasprintf(char **ret, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static int __attribute__((format(printf, 3, 0)))
fail_vasprintf(const void *site, char **ret, const char *format, va_list arguments)
{
	if (fail_now(FAIL_MEMORY, "vasprintf", (const int[]){ENOMEM}, 1, site)) {
		*ret = (char *)1; /* is undefined then */
		errno = ENOMEM;
		return -1;
	}
	return __real_vasprintf(ret, format, arguments);
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
	return fail_vasprintf(__builtin_return_address(0), ret, format, arguments);
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list arguments);
int __attribute__((format(printf, 3, 0)))
__wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list arguments)
{
	(void)flag;
	return fail_vasprintf(__builtin_return_address(0), ret, format, arguments);
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode)
{
	int error = FAIL_NOW(FAIL_FD, "open", EMFILE, EACCES);

	if (error == 0)
		return __real_open64(path, flags, mode);
	errno = error;
	return -1;
}

int __real_fcntl64(int fd, int command, long argument);
int __wrap_fcntl64(int fd, int command, long argument);
int __wrap_fcntl64(int fd, int command, long argument)
{
	int error = FAIL_NOW(FAIL_FD, "fcntl", command == F_DUPFD_CLOEXEC ? EMFILE : EPERM);

	if (error == 0)
		return __real_fcntl64(fd, command, argument);
	errno = error;
	return -1;
}

int __real_epoll_ctl(int fd, int operation, int target, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int target, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int target, struct epoll_event *event)
{
	/* Only what adds takes memory. */
	int error = operation == EPOLL_CTL_ADD ? FAIL_NOW(FAIL_EPOLL, "epoll_ctl", ENOSPC, ENOMEM)
					       : 0;

	if (error == 0)
		return __real_epoll_ctl(fd, operation, target, event);
	errno = error;
	return -1;
}

static int fail_ioctl(unsigned long request, const void *site)
{
	static const struct {
		unsigned long request;
		const char *name;
		int errors[2];
	} rows[] = {
		{UFFDIO_API, "UFFDIO_API", {EINVAL, EINVAL}},
		{UFFDIO_REGISTER, "UFFDIO_REGISTER", {ENOMEM, ENOMEM}},
		{UFFDIO_UNREGISTER, "UFFDIO_UNREGISTER", {ENOMEM, ENOMEM}},
		{UFFDIO_COPY, "UFFDIO_COPY", {EAGAIN, ENOMEM}},
		{UFFDIO_ZEROPAGE, "UFFDIO_ZEROPAGE", {EAGAIN, ENOMEM}},
		{UFFDIO_WRITEPROTECT, "UFFDIO_WRITEPROTECT", {EAGAIN, ENOMEM}},
		{UFFDIO_CONTINUE, "UFFDIO_CONTINUE", {EAGAIN, ENOMEM}},
		{_IOWR(UFFDIO, 0x08, char[32]), "UFFDIO_POISON", {EAGAIN, ENOMEM}},
		{_IOWR(UFFDIO, 0x05, char[40]), "UFFDIO_MOVE", {EAGAIN, ENOMEM}},
		{_IOWR('f', 16, char[96]), "PAGEMAP_SCAN", {ENOMEM, EINTR}},
		{_IO(0xAA, 0x00), "USERFAULTFD_IOC_NEW", {EMFILE, ENOMEM}},
	};

	for (size_t i = 0; i < array_len(rows); i++)
		if (rows[i].request == request)
			return fail_now(FAIL_IOCTL, rows[i].name, rows[i].errors, 2, site);
	return 0;
}

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	int error = fail_ioctl(request, __builtin_return_address(0));

	if (error == 0)
		return __real_ioctl(fd, request, argument);
	errno = error;
	return -1;
}

/* Some calls have no function in the C library, or not one for signal handlers. */
static int fail_syscall(long number, const void *site)
{
	switch (number) {
	case SYS_userfaultfd:
		return fail_now(FAIL_FD, "userfaultfd", (const int[]){EMFILE, EPERM}, 2, site);
	case SYS_epoll_pwait2:
		return fail_now(FAIL_EPOLL, "epoll_pwait2", (const int[]){EINTR, ENOSYS}, 2, site);
	case SYS_write:
		return fail_now(FAIL_IO, "syscall write", (const int[]){EINTR}, 1, site);
	case SYS_nanosleep:
		return fail_now(FAIL_WAIT, "syscall nanosleep", (const int[]){EINTR}, 1, site);
	default:
		return 0;
	}
}

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	int error = fail_syscall(number, __builtin_return_address(0));

	if (error == 0)
		return __real_syscall(number, a, b, c, d, e, f);
	errno = error;
	return -1;
}
