/*
 * mount.c - `pagein mount` and `pagein umount`.
 *
 * Mounting. The parent forks and waits; the child makes the loop, checks the source, mounts and
 * serves: no thread and no libcurl before the forks. It leaves the terminal's session once it is
 * mounted and no earlier: an automounter lets its own process group alone pass to a directory that
 * it is about to mount, and everybody else wait for that, the child too if it were not in it.
 * Through a pipe the child tells how it went: one NUL byte when the kernel's INIT has been answered
 * and the mount serves, else the one line that says why not. So the parent's exit status is the
 * truth, and the next line of a script finds the files. Rejected: fuse_daemonize(), which exits 0
 * whatever comes.
 *
 * SIGTERM, SIGINT and SIGHUP are read from a descriptor of the loop and unmount; before there is a
 * mount they just end the process. A child whose parent was killed meanwhile unmounts again, since
 * nobody was told of the mount.
 *
 * With a sandbox there is one more process, the keeper (keeper.h), which mounts and unmounts for
 * the one that serves; that gives up what it takes to do so before the source is asked.
 *
 * Unmounting is umount(2) for who may, else fusermount3; only ever of a mount of ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "budget.h"
#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "core.h"
#include "fs.h"
#include "keeper.h"
#include "log.h"
#include "loop.h"
#include "mounts.h"
#include "needs.h"
#include "options.h"
#include "progress.h"
#include "sandbox.h"
#include "service.h"
#include "source.h"

extern char **environ;

struct mount {
	const struct options *options;
	struct loop *loops[LOOPS_LIMIT]; /* the first is this thread's */
	struct core *cores[LOOPS_LIMIT];
	unsigned count; /* of both */
	struct budget budget;
	struct keeper keeper; /* its socket -1: there is none */
	struct fs *fs;
	struct loop_fd signals;
	int report; /* the pipe to the parent; -1: in the foreground, or all was told */
	char error[FS_ERROR_MAX];
};

static int __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	va_list arguments;

	fputs("pagein: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

/* ---- the process that serves -------------------------------------------------------------- */

static void mount_signalled(struct loop_fd *signals, uint32_t events)
{
	struct mount *mount = container_of(signals, struct mount, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(signals->fd, &info, sizeof info) != sizeof info)
		return;
	if (!mount->fs)
		_exit(128 + (int)info.ssi_signo); /* the source is still being checked */
	log_info("mount: signal %u: unmounting", info.ssi_signo);
	service_notify("STOPPING=1");
	fs_unmount(mount->fs);
}

static int mount_catch_signals(struct mount *mount)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	mount->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	mount->signals.ready = mount_signalled;
	if (mount->signals.fd < 0)
		return -errno;
	return loop_add(mount->loops[0], &mount->signals, EPOLLIN);
}

/* The terminal belongs to others from here on. */
static void leave_terminal(void)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	service_log_to_syslog();
	if (chdir("/") < 0)
		log_warning("mount: /: %s", strerror(errno));
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
}

static void mount_serves(void *context)
{
	struct mount *mount = context;
	bool told;

	log_info("mount: %s: serves", mount->options->operands[1]);
	service_notify("READY=1\nSTATUS=Serves.");
	if (mount->report < 0)
		return;
	setsid();
	told = write(mount->report, "", 1) == 1;
	close_fd(&mount->report);
	mount->report = -1;
	if (told)
		leave_terminal();
	else
		fs_unmount(mount->fs);
}

/* One more loop and its core. All but the first have a thread of their own. */
static int mount_add_core(struct mount *mount, const struct core_options *options)
{
	unsigned i = mount->count;
	int err = loop_create(&mount->loops[i]);

	if (err < 0)
		return err;
	mount->count++;
	loop_set_spin(mount->loops[i], mount->options->spin_ns);
	err = core_create(mount->loops[i], options, &mount->cores[i]);
	if (err == 0 && i > 0)
		err = loop_start(mount->loops[i], "pagein");
	return err;
}

static struct source_options source_options_of(const struct options *options)
{
	return (struct source_options){
		.connections_max = (unsigned)options->connections,
		.url = options->operands[0],
		.s3 = &options->s3,
		.netrc_file = options->netrc_file,
		.token_file = options->token_file,
		.hedge_percent = option_hedge_percent(options),
	};
}

static int mount_create_cores(struct mount *mount)
{
	const struct options *options = mount->options;
	char words[SOURCE_ERROR_MAX] = "";
	unsigned count = options->loops ? (unsigned)options->loops : loops_default();
	struct core_options core_options = {
		.source = source_options_of(options),
		.budget = &mount->budget,
		.verify = (enum verify)options->verify,
		.timeout_ms = (unsigned)((options->timeout_ns + NS_PER_MS - 1) / NS_PER_MS),
		.deadline_ms = (unsigned)((options->deadline_ns + NS_PER_MS - 1) / NS_PER_MS),
	};
	int err = 0;

	core_options.source.error = words;
	budget_init(&mount->budget, options->memory_bytes, count);
	while (err == 0 && mount->count < count)
		err = mount_add_core(mount, &core_options);
	if (words[0] != '\0')
		snprintf(mount->error, sizeof mount->error, "mount: %s", words);
	return err;
}

static void mount_destroy_cores(struct mount *mount)
{
	for (unsigned i = 0; i < mount->count; i++) {
		loop_stop(mount->loops[i]);
		loop_join(mount->loops[i]);
		core_destroy(mount->cores[i]);
		loop_destroy(mount->loops[i]);
	}
}

static struct fs_options fs_options_of(const struct options *options)
{
	return (struct fs_options){
		.source_url = options->operands[0],
		.mountpoint = options->operands[1],
		.metadata_ttl_ns = options->metadata_ttl_ns,
		.negative_ttl_ns = options->negative_ttl_ns,
		.immutable = options->immutable,
		.uid = options->uid == ID_SELF ? getuid() : (uid_t)options->uid,
		.gid = options->gid == ID_SELF ? getgid() : (gid_t)options->gid,
		.file_mode = (mode_t)(options->file_mode & ~options->umask),
		.dir_mode = (mode_t)(options->dir_mode & ~options->umask),
		.allow_other = options->allow_other,
		.mount_options = options->mount_options,
		.ready = mount_serves,
	};
}

static int mount_prepare(struct mount *mount)
{
	struct fs_options fs_options = fs_options_of(mount->options);
	int err = mount_create_cores(mount);

	fs_options.context = mount;
	fs_options.keeper = mount->keeper.socket < 0 ? NULL : &mount->keeper;
	if (err == 0)
		err = mount_catch_signals(mount);
	if (err == 0)
		err = fs_create(mount->cores, mount->count, &fs_options, &mount->fs, mount->error);
	if (err < 0 && mount->error[0] == '\0')
		snprintf(mount->error, sizeof mount->error, "mount: %s", strerror(-err));
	return err;
}

/* ---- the sandbox -------------------------------------------------------------------------- */

/*
 * The keeper's process. Who looks for the server of a mount finds it by the directory in its
 * command line: here it is no more.
 */
static void keeper_live(const struct options *options, int socket)
{
	struct fs_options fs_options = fs_options_of(options);
	cleanup_free char *directory = strdup(fs_options.mountpoint);

	memset(options->operands[1], 0, strlen(options->operands[1]));
	fs_options.mountpoint = directory;
	_exit(directory ? keeper_run(socket, &fs_options) : EXIT_FAILURE);
}

/* Nothing that has to be undone may stand in memory yet: the keeper has a copy of it. */
static int mount_start_keeper(struct mount *mount)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		keeper_live(mount->options, ends[1]);
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return -errno;
	}
	mount->keeper = (struct keeper){ends[0], child};
	return 0;
}

static int mount_enter_sandbox(struct mount *mount)
{
	struct source_options source = source_options_of(mount->options);
	cleanup(needs_finish) struct needs needs = {.count = 0};
	int err;

	if (!mount->options->sandbox)
		return 0;
	err = mount_start_keeper(mount);
	if (err == 0)
		err = needs_find(&source, &needs);
	if (err == 0)
		sandbox_enter(&needs);
	return err;
}

/* The whole life of a mount. */
static int mount_run(const struct options *options, int report)
{
	struct mount mount = {
		.options = options, .signals.fd = -1, .keeper.socket = -1, .report = report};
	int err;

	log_set_level((enum log_level)options->log_level);
	service_log_to_stderr();
	service_raise_files();
	err = mount_enter_sandbox(&mount);
	if (err == 0)
		err = mount_prepare(&mount);
	if (err == 0)
		err = loop_run(mount.loops[0]);
	if (err < 0 && mount.error[0] == '\0')
		snprintf(mount.error, sizeof mount.error, "mount: %s", strerror(-err));
	fs_destroy(mount.fs);
	mount_destroy_cores(&mount);
	close_fd(&mount.signals.fd);
	keeper_finish(&mount.keeper);
	if (err < 0 && mount.report < 0)
		complain("%s", mount.error);
	if (err < 0 && mount.report >= 0)
		dprintf(mount.report, "%s", mount.error);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the process that was called ---------------------------------------------------------- */

static int child_died(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return complain("mount: %s", strerror(errno));
	if (WIFSIGNALED(status))
		return complain("mount: the server was killed by signal %d", WTERMSIG(status));
	return complain("mount: the server ended with status %d", WEXITSTATUS(status));
}

/* As read(2); how long it has been waiting for is shown meanwhile. */
static ssize_t read_patiently(int fd, void *to, size_t length, struct progress *progress)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	while (progress->is_on && poll(&ready, 1, PROGRESS_PAUSE_NS / NS_PER_MS) == 0)
		progress_add(progress, 0);
	progress_end(progress);
	return read(fd, to, length);
}

/* Until the child has told how it went, or is gone. */
static int wait_for_child(pid_t child, int report)
{
	char words[FS_ERROR_MAX + 1];
	struct progress progress;
	size_t length = 0;

	progress_start(&progress, "mount", "", 0);
	while (length < sizeof words - 1) {
		ssize_t count = read_patiently(
			report, words + length, sizeof words - 1 - length, &progress);

		if (count < 0 && errno == EINTR)
			continue;
		/* Whatever it says, nobody hears it: a mount that nobody knows of must not stay. */
		if (count < 0) {
			int err = errno;

			kill(child, SIGTERM);
			waitpid(child, NULL, 0);
			return complain("mount: pipe: %s", strerror(err));
		}
		if (count == 0)
			break;
		length += (size_t)count;
		if (words[0] == '\0')
			return EXIT_SUCCESS;
	}
	if (length == 0)
		return child_died(child);
	words[length] = '\0';
	complain("%s", words);
	waitpid(child, NULL, 0);
	return EXIT_FAILURE;
}

int command_mount(const struct options *options)
{
	/* Kept to the end: what the operand was is no more. */
	cleanup_free char *source = strdup(options->operands[0]);
	char *operands[] = {source, options->operands[1]};
	struct options own = *options;
	int ends[2];
	pid_t child;

	if (!source)
		return complain("mount: out of memory");
	service_hide_url(options->operands[0]);
	own.operands = operands;
	options = &own;

	if (options->foreground)
		return mount_run(options, -1);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return complain("mount: pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		return complain("mount: fork: %s", strerror(errno));
	if (child == 0) {
		close(ends[0]);
		exit(mount_run(options, ends[1]));
	}
	close(ends[1]);
	return wait_for_child(child, ends[0]);
}

/* ---- umount ------------------------------------------------------------------------------- */

static int umount_with_helper(const char *path)
{
	char *arguments[] = {"fusermount3", "-u", "--", (char *)path, NULL};
	int status = 0;
	pid_t child;
	int err = posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ);

	if (err != 0)
		return complain("umount: fusermount3: %s", strerror(err));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return complain("umount: %s", strerror(errno));
	/* fusermount3 has said why. */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_umount(const struct options *options)
{
	const char *directory = options->operands[0];
	struct mount_point point;
	int err = mount_point_find(directory, &point);

	if (err < 0)
		return complain("umount: %s: %s", directory, strerror(-err));
	if (point.type[0] == '\0')
		return complain("umount: %s: not mounted", directory);
	if (strcmp(point.type, MOUNT_TYPE_PAGEIN) != 0)
		return complain("umount: %s: not a pagein mount, but %s", directory, point.type);
	if (umount2(point.path, UMOUNT_NOFOLLOW) == 0)
		return EXIT_SUCCESS;
	if (errno == EPERM)
		return umount_with_helper(point.path);
	if (errno == EBUSY)
		return complain(
			"umount: %s: busy: `fuser -vm %s` tells who uses it", directory, directory);
	return complain("umount: %s: %s", directory, strerror(errno));
}
