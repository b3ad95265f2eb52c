/*
 * doctor_fuse.c - may this process mount?
 *
 * Everybody opens /dev/fuse with rights of his own: fusermount3 drops its own first. Then mount(2)
 * is called directly with CAP_SYS_ADMIN, and by the setuid fusermount3 for others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "doctor.h"
#include "text.h"

static void check_device(struct doctor *doctor)
{
	cleanup_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? errno : 0;

	if (err == 0) {
		doctor_say(VERDICT_OK, "/dev/fuse", "opens");
		return;
	}
	doctor->mount_works = false;
	doctor_say(VERDICT_FAIL, "/dev/fuse", "%s", strerror(err));
	if (err == EACCES)
		doctor_fix("as root: chmod 666 /dev/fuse, as udev has it elsewhere");
	else if (doctor->in_container || err == EPERM)
		doctor_fix("docker run --device /dev/fuse --cap-add SYS_ADMIN "
			   "--security-opt apparmor=unconfined");
	else if (err == ENOENT || err == ENODEV)
		doctor_fix("as root: modprobe fuse");
}

/* NULL: nowhere in PATH; else to be freed. */
static char *program_find(const char *name)
{
	const char *path = getenv("PATH");
	cleanup_free char *copy = strdup(path ? path : "/usr/local/bin:/usr/bin:/bin");
	char *rest = copy, *directory;

	while (rest && (directory = strsep(&rest, ":"))) {
		char *file;

		if (text_print(&file, "%s/%s", *directory ? directory : ".", name) < 0)
			return NULL;
		if (access(file, X_OK) == 0)
			return file;
		free(file);
	}
	return NULL;
}

static void check_helper(struct doctor *doctor)
{
	cleanup_free char *file = program_find("fusermount3");
	struct stat status = {0};
	bool privileged = file && stat(file, &status) == 0 && status.st_uid == 0 &&
			  (status.st_mode & S_ISUID);

	if (privileged || (file && doctor->has_sys_admin)) {
		doctor_say(VERDICT_OK, "fusermount3", "%s%s", file,
			doctor->has_sys_admin ? ", and not needed with CAP_SYS_ADMIN" : "");
		return;
	}
	if (doctor->has_sys_admin) {
		doctor_say(
			VERDICT_OK, "fusermount3", "not there, and not needed with CAP_SYS_ADMIN");
		return;
	}
	doctor->mount_works = false;
	doctor_say(VERDICT_FAIL, "fusermount3", "%s%s", file ? file : "not in PATH",
		file ? ": not setuid root" : "");
	if (doctor->is_root)
		doctor_fix("docker run --device /dev/fuse --cap-add SYS_ADMIN");
	else
		doctor_fix(
			file ? "as root: chmod u+s fusermount3" : "as root: apt-get install fuse3");
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static bool user_may_allow_other(void)
{
	FILE *file cleanup(close_file) = fopen("/etc/fuse.conf", "re");
	char line[256], word[32];

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, " %31s", word) == 1 && strcmp(word, "user_allow_other") == 0)
			return true;
	return false;
}

static void check_configuration(const struct doctor *doctor)
{
	if (user_may_allow_other()) {
		doctor_say(VERDICT_OK, "user_allow_other", "set: -o allow_other is for everybody");
	} else if (doctor->is_root) {
		doctor_say(
			VERDICT_OK, "user_allow_other", "not set: -o allow_other is for root only");
	} else {
		doctor_say(
			VERDICT_WARN, "user_allow_other", "not set: your mounts are for you alone");
		doctor_fix("as root: echo user_allow_other >>/etc/fuse.conf");
	}
}

void doctor_check_fuse(struct doctor *doctor)
{
	check_device(doctor);
	check_helper(doctor);
	check_configuration(doctor);
}
