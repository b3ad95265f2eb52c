/*
 * place.c - see place.h.
 *
 * A number is a process. Is it the server of a mount, its command line has the mount's directory;
 * else its figures are behind the socket that libpagein has made in the directory PAGEIN_METRICS of
 * that process's environment, or of ours, or in $XDG_RUNTIME_DIR/pagein. Who listens there must be
 * that process: a directory may be one in which others can make names.
 */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "mounts.h"

#define VARIABLE "PAGEIN_METRICS="
#define FILE_IN_MOUNT ".pagein/metrics"
#define WAIT_MAX_NS (UINT64_C(86400) * NS_PER_S) /* longer is for ever */
#define PROC_BYTES_MAX ((size_t)4 << 20)         /* of an environment or a command line */

__attribute__((format(printf, 3, 4))) static int say(
	char error[TOP_ERROR_MAX], int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, TOP_ERROR_MAX, format, arguments);
	va_end(arguments);
	return err;
}

/* ---- streams ------------------------------------------------------------------------------ */

/* All of what the descriptor has, with a NUL behind it. -EFBIG: more than max bytes. */
static int read_all(int fd, size_t max, uint64_t deadline_ns, char **ret, size_t *ret_length)
{
	cleanup_free char *bytes = malloc(max + 1);
	size_t length = 0;

	if (!bytes)
		return -ENOMEM;
	for (;;) {
		struct pollfd poll_fd = {fd, POLLIN, 0};
		uint64_t now_ns = clock_now_ns();
		uint64_t left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;
		int wait_ms = left_ns < WAIT_MAX_NS ? (int)(left_ns / NS_PER_MS) : -1;
		ssize_t count;

		if (poll(&poll_fd, 1, wait_ms) == 0)
			return -ETIMEDOUT;
		count = read(fd, bytes + length, max + 1 - length);
		if (count < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (count < 0)
			return -errno;
		if (count == 0)
			break;
		length += (size_t)count;
		if (length > max)
			return -EFBIG;
	}
	bytes[length] = '\0';
	*ret = steal_pointer(&bytes);
	*ret_length = length;
	return 0;
}

static int read_file(const char *path, size_t max, char **ret, size_t *ret_length)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : read_all(fd, max, UINT64_MAX, ret, ret_length);
}

/* ---- finding ------------------------------------------------------------------------------ */

static bool is_mount(const char *directory, struct top_place *ret)
{
	struct mount_point point;

	if (mount_point_find(directory, &point) < 0 || strcmp(point.type, MOUNT_TYPE_PAGEIN) != 0)
		return false;
	return (size_t)snprintf(ret->path, sizeof ret->path, "%s/" FILE_IN_MOUNT, point.path) <
	       sizeof ret->path;
}

static bool is_socket(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* An argument that is a mount's directory; a relative one is seen from where the server is. */
static bool find_mount_of(pid_t process, struct top_place *ret)
{
	cleanup_free char *words = NULL;
	char path[4096];
	size_t length;

	snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)process);
	if (read_file(path, PROC_BYTES_MAX, &words, &length) < 0)
		return false;
	for (char *word = words; word < words + length; word += strlen(word) + 1) {
		if (*word != '/')
			snprintf(path, sizeof path, "/proc/%ld/cwd/%s", (long)process, word);
		if (*word && is_mount(*word == '/' ? word : path, ret))
			return true;
	}
	return false;
}

static bool socket_in(
	const char *directory, const char *below, pid_t process, struct top_place *ret)
{
	if (!directory || !*directory)
		return false;
	ret->process = process;
	return (size_t)snprintf(ret->path, sizeof ret->path, "%s%s/%ld.sock", directory, below,
		       (long)process) < sizeof ret->path &&
	       is_socket(ret->path);
}

/* By its environment as it began; it may be another user's. */
static bool find_socket_of(pid_t process, struct top_place *ret)
{
	cleanup_free char *words = NULL;
	char path[64];
	size_t length;

	snprintf(path, sizeof path, "/proc/%ld/environ", (long)process);
	if (read_file(path, PROC_BYTES_MAX, &words, &length) == 0)
		for (char *word = words; word < words + length; word += strlen(word) + 1)
			if (strncmp(word, VARIABLE, strlen(VARIABLE)) == 0 &&
				socket_in(word + strlen(VARIABLE), "", process, ret))
				return true;
	return socket_in(getenv("PAGEIN_METRICS"), "", process, ret) ||
	       socket_in(getenv("XDG_RUNTIME_DIR"), "/pagein", process, ret);
}

static int find_process(pid_t process, struct top_place *ret, char error[TOP_ERROR_MAX])
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%ld", (long)process);
	if (access(path, F_OK) < 0)
		return say(error, -ESRCH, "%ld: no such process", (long)process);
	if (find_mount_of(process, ret) || find_socket_of(process, ret))
		return 0;
	return say(error, -ENOENT,
		"%ld: neither the server of a mount, nor a process with libpagein that was "
		"started with PAGEIN_METRICS=DIRECTORY",
		(long)process);
}

int top_place_find(const char *operand, struct top_place *ret, char error[TOP_ERROR_MAX])
{
	size_t digits = strspn(operand, "0123456789");
	const char *name = strrchr(operand, '/');

	*ret = (struct top_place){.process = 0};
	if (digits > 0 && operand[digits] == '\0' && digits < 10)
		return find_process((pid_t)strtol(operand, NULL, 10), ret, error);
	if (is_mount(operand, ret))
		return 0;
	if (!is_socket(operand))
		return say(error, -EINVAL, "%.200s: neither a mount of pagein's, nor a process",
			operand);
	/* Its name says whose it should be. */
	ret->process = (pid_t)strtol(name ? name + 1 : operand, NULL, 10);
	snprintf(ret->path, sizeof ret->path, "%s", operand);
	return ret->process > 0 ? 0 : say(error, -EINVAL, "%.200s: not PID.sock", operand);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int connect_to(const struct top_place *place, int *ret)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (strlen(place->path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, place->path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return -errno;
	if (peer.pid != place->process)
		return -EPERM;
	*ret = steal_fd(&fd);
	return 0;
}

static int place_text(
	const struct top_place *place, uint64_t timeout_ns, char **ret, size_t *length)
{
	cleanup_fd int fd = -1;
	int err;

	if (place->process == 0)
		return read_file(place->path, SAMPLES_BYTES_MAX, ret, length);
	err = connect_to(place, &fd);
	if (err < 0)
		return err;
	return read_all(fd, SAMPLES_BYTES_MAX, clock_now_ns() + timeout_ns, ret, length);
}

int top_place_read(const struct top_place *place, uint64_t timeout_ns, struct samples *ret,
	char error[TOP_ERROR_MAX])
{
	cleanup_free char *text = NULL;
	size_t length;
	unsigned line;
	int err = place_text(place, timeout_ns, &text, &length);

	if (err == -EPERM)
		return say(error, err, "%.200s: is another process's", place->path);
	if (err < 0)
		return say(error, err, "%.200s: %s", place->path, strerror(-err));
	err = samples_parse(text, length, ret, &line);
	if (err == -EINVAL)
		return say(
			error, err, "%.200s: line %u is not what pagein writes", place->path, line);
	return err < 0 ? say(error, err, "out of memory") : 0;
}
