/*
 * walk.c - uses all of a mount's files: faults-walk MOUNT DIRECTORY
 *
 * The directory has the same files. Exit status 0: all are the same; 2: something failed, each with
 * a line on stdout; 1: a byte, a size or a name is wrong, and the last line says which.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "touch.h"

#define ERRORS_MAX 3 /* each may take all of its deadline: enough is known then */

static unsigned errors;

static __attribute__((format(printf, 2, 3))) void tell(bool is_wrong, const char *format, ...)
{
	va_list arguments;

	fputs(is_wrong ? "wrong: " : "", stdout);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (is_wrong)
		exit(1);
	if (++errors == ERRORS_MAX)
		exit(2);
}

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* -1: it could not be read. */
static int count_names(const char *path)
{
	cleanup(close_directory) DIR *directory = opendir(path);
	int count = 0;

	if (!directory) {
		tell(false, "opendir: %s: %s", path, strerror(errno));
		return -1;
	}
	errno = 0;
	while (readdir(directory))
		count++;
	if (errno != 0) {
		tell(false, "readdir: %s: %s", path, strerror(errno));
		return -1;
	}
	return count;
}

static void *map_file(int fd, size_t size)
{
	void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (bytes == MAP_FAILED)
		tell(true, "mmap: %s", strerror(errno));
	return bytes;
}

static void walk_bytes(const char *path, int fd, const uint8_t *expected, size_t size)
{
	static uint8_t bytes[65536];
	uint8_t *map;
	int number;

	for (size_t at = 0; at < size;) {
		ssize_t count = pread(fd, bytes, sizeof bytes, (off_t)at);

		if (count < 0) {
			tell(false, "read: %s: at %zu: %s", path, at, strerror(errno));
			break;
		}
		if (count == 0 || memcmp(bytes, expected + at, (size_t)count) != 0)
			tell(true, "read: %s: at %zu: %zd bytes", path, at, count);
		at += (size_t)count;
	}
	map = map_file(fd, size);
	number = touch_compare(map, expected, size);
	if (number != 0)
		tell(number < 0, "mmap: %s: %d", path, number);
	munmap(map, size);
}

static void walk_file(const char *path, int local, const struct stat *expected)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = (size_t)expected->st_size;
	struct stat status;
	uint8_t *bytes;

	if (fd < 0) {
		tell(false, "open: %s: %s", path, strerror(errno));
		return;
	}
	if (fstat(fd, &status) < 0)
		tell(false, "fstat: %s: %s", path, strerror(errno));
	else if (status.st_size != expected->st_size)
		tell(true, "size: %s: %jd", path, (intmax_t)status.st_size);
	if (size == 0)
		return;
	bytes = map_file(local, size);
	walk_bytes(path, fd, bytes, size);
	munmap(bytes, size);
}

static void walk_attributes(const char *path)
{
	char names[4096], value[4096];
	ssize_t length = listxattr(path, names, sizeof names);

	if (length < 0)
		tell(false, "listxattr: %s: %s", path, strerror(errno));
	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1)
		if (getxattr(path, names + at, value, sizeof value) < 0)
			tell(false, "getxattr: %s: %s: %s", path, names + at, strerror(errno));
}

static void walk(const char *mount, const char *directory)
{
	cleanup(close_directory) DIR *entries = opendir(directory);
	int here = 0, there = count_names(mount);

	for (struct dirent *entry; (entry = readdir(entries));) {
		char path[4096], local[4096];
		struct stat status, expected;

		here++;
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", mount, entry->d_name);
		snprintf(local, sizeof local, "%s/%s", directory, entry->d_name);
		cleanup_fd int fd = open(local, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || fstat(fd, &expected) < 0)
			tell(true, "%s: %s", local, strerror(errno));
		if (stat(path, &status) < 0)
			tell(false, "stat: %s: %s", path, strerror(errno));
		else if ((status.st_mode & S_IFMT) != (expected.st_mode & S_IFMT))
			tell(true, "type: %s", path);
		if (S_ISDIR(expected.st_mode)) {
			walk(path, local);
		} else {
			walk_file(path, fd, &expected);
			walk_attributes(path);
		}
	}
	if (there >= 0 && here != there)
		tell(true, "readdir: %s: %d names instead of %d", mount, there, here);
}

int main(int argc, char **argv)
{
	struct statfs status;
	char path[4096];

	if (argc != 3)
		return 1;
	walk(argv[1], argv[2]);
	snprintf(path, sizeof path, "%s/nothing", argv[1]);
	if (access(path, F_OK) == 0)
		tell(true, "%s: is there", path);
	else if (errno != ENOENT)
		tell(false, "access: %s: %s", path, strerror(errno));
	if (statfs(argv[1], &status) < 0)
		tell(false, "statfs: %s", strerror(errno));
	return errors ? 2 : 0;
}
