/*
 * mounting.c - see mounting.h. The mount itself is libfuse's, which knows mount(2) for root and
 * fusermount3 for others; here are the checks, the options and the words.
 *
 * Keeps what libfuse said last, as it says why only to a log. Blocks as long as mount(2) or
 * fusermount3 take.
 */
#include "mounting.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_private.h"
#include "log.h"
#include "mounts.h"
#include "scheme.h"
#include "text.h"

#define FUSE_DEVICE "/dev/fuse"

/* What libfuse had to say last: its handler has no context. */
static char fuse_words[FS_ERROR_MAX / 2];

static void __attribute__((format(printf, 2, 0)))
fuse_said(enum fuse_log_level level, const char *format, va_list arguments)
{
	size_t length;

	if (level > FUSE_LOG_WARNING)
		return;
	vsnprintf(fuse_words, sizeof fuse_words, format, arguments);
	length = strlen(fuse_words);
	while (length > 0 && fuse_words[length - 1] == '\n')
		fuse_words[--length] = '\0';
	log_info("%s", fuse_words);
}

int mounting_fail(char error[FS_ERROR_MAX], const char *what, const char *reason, int err)
{
	snprintf(error, FS_ERROR_MAX, "mount: %s: %s", what, reason);
	return err;
}

/* ---- before the mount --------------------------------------------------------------------- */

static int check_device(char error[FS_ERROR_MAX])
{
	if (access(FUSE_DEVICE, F_OK) < 0)
		return mounting_fail(error, FUSE_DEVICE,
			"missing: load the kernel's fuse module, or give the container this device",
			-errno);
	if (access(FUSE_DEVICE, R_OK | W_OK) < 0)
		return mounting_fail(error, FUSE_DEVICE, strerror(errno), -errno);
	return 0;
}

int mounting_check(const char *mountpoint, char error[FS_ERROR_MAX])
{
	struct mount_point point;
	struct stat status;
	int err = mount_point_find(mountpoint, &point);

	if (err < 0)
		return mounting_fail(error, mountpoint, strerror(-err), err);
	if (strcmp(point.type, MOUNT_TYPE_PAGEIN) == 0)
		return mounting_fail(
			error, mountpoint, "busy: a pagein mount is there already", -EBUSY);
	/* autofs's own mount is where those of a direct map, and systemd's, shall be put. */
	if (point.type[0] != '\0' && strcmp(point.type, "autofs") != 0) {
		snprintf(error, FS_ERROR_MAX, "mount: %s: busy: a %s mount is there already",
			mountpoint, point.type);
		return -EBUSY;
	}
	if (stat(mountpoint, &status) < 0)
		return mounting_fail(error, mountpoint, strerror(errno), -errno);
	if (!S_ISDIR(status.st_mode))
		return mounting_fail(error, mountpoint, "not a directory", -ENOTDIR);
	return check_device(error);
}

/* ---- the mount ---------------------------------------------------------------------------- */

static int mount_arguments(const struct fs_options *options, struct fuse_args *arguments)
{
	cleanup_free char *source = scheme_told(options->source_url);
	cleanup_free char *name = NULL, *all = NULL;

	if (!source || text_print(&name, "fsname=%s", source) < 0)
		return -ENOMEM;
	if (fuse_opt_add_opt(&all, "ro,nosuid,nodev,default_permissions,subtype=pagein") < 0 ||
		(options->allow_other && fuse_opt_add_opt(&all, "allow_other") < 0) ||
		(options->mount_options && *options->mount_options &&
			fuse_opt_add_opt(&all, options->mount_options) < 0) ||
		fuse_opt_add_opt_escaped(&all, name) < 0)
		return -ENOMEM;
	if (fuse_opt_add_arg(arguments, "pagein") < 0 || fuse_opt_add_arg(arguments, "-o") < 0 ||
		fuse_opt_add_arg(arguments, all) < 0)
		return -ENOMEM;
	return 0;
}

static int mount_at(const struct fs_options *options, const char *path, void *context,
	struct fuse_session **ret)
{
	struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
	int err = mount_arguments(options, &arguments);

	if (err == 0) {
		*ret = fuse_session_new(&arguments, &fs_ops, sizeof fs_ops, context);
		if (!*ret)
			err = -EINVAL;
	}
	fuse_opt_free_args(&arguments);
	if (err == 0 && fuse_session_mount(*ret, path) < 0)
		err = errno ? -errno : -EIO;
	return err;
}

int mounting_open(const struct fs_options *options, const char *device, void *context,
	struct fuse_session **ret, char error[FS_ERROR_MAX])
{
	const char *mountpoint = options->mountpoint;
	struct mount_point point;
	int err = 0;

	*ret = NULL;
	if (!device)
		err = mounting_check(mountpoint, error);
	if (err < 0)
		return err;
	if (!device)
		err = mount_point_find(mountpoint, &point);
	fuse_words[0] = '\0';
	fuse_set_log_func(fuse_said);
	if (err == 0)
		err = mount_at(options, device ? device : point.path, context, ret);
	if (err < 0)
		return mounting_fail(
			error, mountpoint, fuse_words[0] ? fuse_words : strerror(-err), err);
	return 0;
}
