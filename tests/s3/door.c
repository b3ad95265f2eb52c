/*
 * door.c - see door.h.
 */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

void door_open(struct door *door, const char *command, uint16_t port)
{
	char endpoint[64];

	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
	setenv("AWS_ENDPOINT_URL", endpoint, 1);
	*door = (struct door){.command = command, .directory = "/tmp/pagein-test-XXXXXX"};
	assert_non_null(mkdtemp(door->directory));
}

void door_close(struct door *door)
{
	/* Busy, as long as the test that failed has something open. */
	if (door->mounted)
		(void)umount2(door->directory, MNT_DETACH);
	rmdir(door->directory);
}

int door_run(struct door *door, char *text, size_t room, const char *format, ...)
{
	cleanup_free char *tail = NULL, *line = NULL;
	va_list arguments;
	FILE *from;
	int status;

	va_start(arguments, format);
	assert_true(vasprintf(&tail, format, arguments) > 0);
	va_end(arguments);
	assert_true(asprintf(&line, "exec 2>&1; '%s' %s", door->command, tail) > 0);
	from = popen(line, "re");
	assert_non_null(from);
	door->printed = fread(text, 1, room - 1, from);
	text[door->printed] = '\0';
	status = pclose(from);
	return WEXITSTATUS(status);
}

void door_expect(struct door *door, int status, const char *words, const char *arguments)
{
	char text[4096];
	int found = door_run(door, text, sizeof text, "%s", arguments);

	if (found != status || !strstr(text, words))
		fail_msg("pagein %s: %d, %s", arguments, found, text);
}

void door_mount(struct door *door, const char *options, const char *source)
{
	char text[1024];

	if (access("/dev/fuse", R_OK | W_OK) < 0)
		skip_because("no /dev/fuse");
	if (door_run(door, text, sizeof text, "mount %s '%s' %s", options, source,
		    door->directory) != 0)
		fail_msg("mount %s: %s", source, text);
	door->mounted = true;
}

void door_unmount(struct door *door)
{
	char text[1024];

	door->mounted = false;
	if (door_run(door, text, sizeof text, "umount %s", door->directory) != 0)
		fail_msg("%s", text);
}

const char *door_path(const struct door *door, const char *name)
{
	static char path[PATH_MAX];

	assert_true(snprintf(path, sizeof path, "%s/%s", door->directory, name) < PATH_MAX);
	return path;
}

void door_expect_file(const struct door *door, const char *name, const void *bytes, size_t size)
{
	cleanup_fd int fd = open(door_path(door, name), O_RDONLY | O_CLOEXEC);
	uint8_t *found = malloc(size + 1);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	while ((n = read(fd, found + have, size + 1 - have)) > 0)
		have += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(have, size);
	assert_memory_equal(found, bytes, size);
	free(found);
}
