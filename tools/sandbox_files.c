/*
 * sandbox_files.c - which files can still be opened, by Landlock.
 *
 * A rule allows what is beneath a directory, or one file, and holds for the file itself, not for
 * its name: one that takes the name later is another. So what is replaced while a mount lives
 * (resolv.conf, credentials, tokens) is allowed as the directory it is in, except where that is
 * the whole home directory or the root, which would allow too much. Nothing can be executed,
 * whatever is beneath, and nothing be written but the tokens of single sign-on,
 * and a trace that was asked for.
 *
 * What is open stays open: FUSE's device, log files, sockets. Looking at a file (stat(2)) is not
 * restricted, nor are sockets with a path, which NSS needs.
 *
 * /etc is allowed as a whole: what resolvers and TLS read is there, and is replaced at any time.
 * Root could read more there than it needs; a mount by an ordinary user can't.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "landlock_abi.h"
#include "needs.h"
#include "sandbox.h"

#define READ (LANDLOCK_READ_FILE | LANDLOCK_READ_DIR)
#define REPLACE (LANDLOCK_WRITE_FILE | LANDLOCK_REMOVE_FILE | LANDLOCK_MAKE_REG | LANDLOCK_TRUNCATE)

/* What libc, its resolver and name services, TLS and pagein itself read. Those that exist. */
static const struct {
	const char *path;
	uint64_t allowed;
} common[] = {
	{"/etc", READ},
	{"/usr", READ}, /* name services are loaded when a name is first looked up */
	{"/lib", READ},
	{"/lib64", READ},
	{"/nix/store", READ}, /* where some systems have all of these */
	{"/gnu/store", READ},
	{"/var/lib/ca-certificates", READ},
	{"/var/lib/sss", READ},
	{"/run/systemd/resolve", READ}, /* where /etc/resolv.conf may be */
	{"/run/resolvconf", READ},
	{"/run/NetworkManager", READ},
	{"/run/nscd", READ},
	{"/proc", READ}, /* is a reader being killed? mountinfo. Landlock guards other's memory */
	{"/sys/devices/system", READ},
	{"/dev/urandom", READ},
	{"/dev/random", READ},
	{"/dev/null", READ | LANDLOCK_WRITE_FILE},
};

/* All that this ABI knows: what is not known yet is not denied. */
static struct landlock_rights rights_of(int abi)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	struct landlock_rights rights = {.fs = 2 * LANDLOCK_MAKE_SYM - 1};

	if (abi >= 2)
		rights.fs |= LANDLOCK_REFER;
	if (abi >= 3)
		rights.fs |= LANDLOCK_TRUNCATE;
	if (abi >= 4)
		rights.net = LANDLOCK_BIND_TCP;
	if (abi >= 5)
		rights.fs |= LANDLOCK_IOCTL_DEV;
	if (abi >= 6)
		rights.scoped = LANDLOCK_SCOPE_SIGNAL;
	/* The service manager's may be an abstract one. */
	if (abi >= 6 && !(notify && *notify == '@'))
		rights.scoped |= LANDLOCK_SCOPE_ABSTRACT;
	return rights;
}

/* What is not there needs no rule. */
static int allow(int ruleset, const char *path, uint64_t allowed)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_beneath rule = {.allowed = allowed, .parent_fd = fd};
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return 0;
	if (!S_ISDIR(status.st_mode))
		rule.allowed &= ~LANDLOCK_READ_DIR;
	return syscall(LANDLOCK_CALL_ADD, ruleset, LANDLOCK_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

/* A directory that holds more than what is looked for. */
static bool is_too_large(const char *directory)
{
	const char *variable = getenv("HOME");
	cleanup_free char *home = variable ? realpath(variable, NULL) : NULL;

	return strcmp(directory, "/") == 0 || (home && strcmp(directory, home) == 0);
}

static int allow_directory_of(int ruleset, const char *path, uint64_t allowed)
{
	cleanup_free char *copy = strdup(path), *directory = NULL;
	char *slash = copy ? strrchr(copy, '/') : NULL;

	if (!copy)
		return -ENOMEM;
	if (slash)
		slash[slash == copy] = '\0';
	directory = realpath(slash ? copy : ".", NULL);
	if (!directory || is_too_large(directory))
		return 0;
	return allow(ruleset, directory, allowed);
}

/* The file, where it is now, and where another of its name will be; links in between, too. */
static int allow_need(int ruleset, const struct need *need, uint64_t writing)
{
	cleanup_free char *real = realpath(need->path, NULL);
	int err = allow(ruleset, need->path, READ | (need->is_written ? writing : 0));

	if (err == 0 && need->is_renewed)
		err = allow_directory_of(ruleset, need->path, READ);
	if (err == 0 && need->is_renewed && real)
		err = allow_directory_of(ruleset, real, READ);
	return err;
}

static int allow_all(int ruleset, const struct needs *needs, uint64_t writing)
{
	const struct need resolver = {.path = (char *)"/etc/resolv.conf", .is_renewed = true};
	const char *trace = secure_getenv(
		"PAGEIN_TRACE"); /* core/trace.h: made by the first core */
	int err = allow_need(ruleset, &resolver, 0);

	if (err == 0 && trace)
		err = allow_directory_of(ruleset, trace, LANDLOCK_MAKE_REG | LANDLOCK_WRITE_FILE);
	for (size_t i = 0; i < sizeof common / sizeof *common && err == 0; i++)
		err = allow(ruleset, common[i].path, common[i].allowed);
	if (err == 0 && needs->any_file)
		err = allow(ruleset, "/", READ);
	for (size_t i = 0; i < needs->count && err == 0; i++)
		err = allow_need(ruleset, &needs->files[i], writing);
	return err;
}

int sandbox_files(const struct needs *needs)
{
	long abi = syscall(LANDLOCK_CALL_CREATE, NULL, 0UL, LANDLOCK_ASK_ABI);
	struct landlock_rights rights;
	cleanup_fd int ruleset = -1;
	int err;

	if (abi < 0)
		return -errno;
	rights = rights_of((int)abi);
	/* Zeros behind what a kernel knows are fine with it. */
	ruleset = (int)syscall(LANDLOCK_CALL_CREATE, &rights, sizeof rights, 0U);
	if (ruleset < 0)
		return -errno;
	err = allow_all(ruleset, needs, REPLACE & rights.fs);
	if (err == 0 && syscall(LANDLOCK_CALL_RESTRICT, ruleset, 0U) < 0)
		err = -errno;
	return err < 0 ? err : (int)abi;
}
