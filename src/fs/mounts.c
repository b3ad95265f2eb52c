/*
 * mounts.c - finds the mount at a directory. No state; any thread; one read of mountinfo a call.
 *
 * The directory's parent is resolved and the last name appended: realpath(3) of the directory
 * itself would ask its file system, and a FUSE mount whose server has died answers ENOTCONN.
 * Rejected: comparing st_dev with the parent's (the same reason), and setmntent(3) on /etc/mtab,
 * which decodes the same escapes but is a file in some containers.
 */
#include "mounts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* "a//b/" -> "a//b": what remains has a last name, or is "/" or "". */
static void strip_slashes(char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
}

static bool has_plain_name(const char *name)
{
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int resolve(const char *directory, char path[PATH_MAX])
{
	cleanup_free char *copy = strdup(directory);
	const char *parent = ".", *name;
	struct stat status;
	char *slash;
	size_t length;

	if (!copy)
		return -ENOMEM;
	strip_slashes(copy);
	/* A link to the mount point; a dead mount itself can't be looked at, and is no link. */
	if (lstat(copy, &status) == 0 && S_ISLNK(status.st_mode))
		return realpath(copy, path) ? 0 : -errno;
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (!has_plain_name(name))
		return realpath(directory, path) ? 0 : -errno;
	if (slash) {
		*slash = '\0';
		parent = slash == copy ? "/" : copy;
	}
	if (!realpath(parent, path))
		return -errno;
	length = strlen(path);
	if (length + 1 + strlen(name) >= PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(path + length, PATH_MAX - length, "%s%s", length == 1 ? "" : "/", name);
	return 0;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /the/point options tags... - type source options" */
static bool read_line(char *line, char **ret_point, char **ret_type)
{
	char *rest = line;
	char *field = NULL;

	for (int i = 0; i < 5; i++)
		field = strsep(&rest, " ");
	if (!field || !rest)
		return false;
	unescape(field);
	*ret_point = field;
	do
		field = strsep(&rest, " ");
	while (field && strcmp(field, "-") != 0);
	*ret_type = field ? strsep(&rest, " ") : NULL;
	return *ret_type;
}

int mount_point_find(const char *directory, struct mount_point *ret)
{
	cleanup(close_file) FILE *file = NULL;
	cleanup_free char *line = NULL;
	size_t line_max = 0;
	int err = resolve(directory, ret->path);

	ret->type[0] = '\0';
	if (err < 0)
		return err;
	file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return -errno;
	/* The last of several mounts at one point is the topmost. */
	while (getline(&line, &line_max, file) > 0) {
		char *point, *type;

		if (read_line(line, &point, &type) && strcmp(point, ret->path) == 0)
			snprintf(ret->type, sizeof ret->type, "%s", type);
	}
	return 0;
}
