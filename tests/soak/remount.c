/*
 * remount.c - workers that mount, look around, and unmount: by each way to end a mount there is.
 *
 * A mount that can't be made says why, and leaves nothing. However one ends, its process ends, and
 * with 0 unless it was killed.
 */
#include "soak.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "mounts.h"

/* How it ends. */
enum ending { ENDING_UMOUNT, ENDING_SIGNAL, ENDING_LAZY, ENDING_KILL, ENDINGS };

struct mounting {
	struct worker *worker;
	char directory[PATH_ROOM];
	char log[PATH_ROOM + 8];
	char options[200];
	pid_t server; /* in the foreground; 0: it went to the background */
	uint64_t since_ns;
};

static const char *pagein_program(void)
{
	const char *program = getenv("PAGEIN");

	return program ? program : "pagein";
}

static bool is_mounted(const struct mounting *mounting)
{
	struct mount_point point;

	return mount_point_find(mounting->directory, &point) == 0 && point.type[0] != '\0';
}

static void choose_options(struct mounting *mounting)
{
	struct worker *worker = mounting->worker;

	snprintf(mounting->options, sizeof mounting->options,
		"timeout=" TIMEOUT
		",deadline=60s,memory=%zuM,connections=%zu,loops=%zu,metadata-ttl=%zums,"
		"negative-ttl=0ms",
		1 + pick(worker, 3), 1 + pick(worker, 4), 1 + pick(worker, 3), pick(worker, 2000));
}

static const char *last_words(const struct mounting *mounting)
{
	static char words[1000];
	cleanup_fd int fd = open(mounting->log, O_RDONLY | O_CLOEXEC);
	ssize_t count = fd < 0 ? 0 : pread(fd, words, sizeof words - 1, 0);

	words[count > 0 ? count : 0] = '\0';
	return words;
}

/* The way of scripts: the command returns once the mount serves. */
static bool mount_in_background(struct mounting *mounting)
{
	const char *const argv[] = {pagein_program(), "mount", soak->url, mounting->directory, "-o",
		mounting->options, NULL};
	struct child child;
	bool mounted;

	if (!child_run(mounting->worker, argv, &child))
		return false;
	mounted = child_succeeded(&child);
	if (mounted != is_mounted(mounting))
		problem(mounting->worker, "mount has ended with status %#x: %s", child.status,
			child.err);
	if (!mounted)
		record_error(mounting->worker, child.err, errno_any, mounting->since_ns);
	child_finish(&child);
	return mounted;
}

/* The way of services. */
static bool mount_in_foreground(struct mounting *mounting)
{
	const char *const argv[] = {pagein_program(), "mount", "-f", soak->url, mounting->directory,
		"-o", mounting->options, NULL};

	unlink(mounting->log);
	mounting->server = child_start(argv, mounting->log);
	if (mounting->server < 0) {
		problem(mounting->worker, "mount: %s", strerror(errno));
		return false;
	}
	while (!is_mounted(mounting)) {
		if (waitpid(mounting->server, NULL, WNOHANG) == 0) {
			pause_ms(2);
			continue;
		}
		mounting->server = 0;
		record_error(mounting->worker, last_words(mounting), errno_any, mounting->since_ns);
		return false;
	}
	return true;
}

static void look_around(struct mounting *mounting)
{
	const struct file *file = &files[pick(mounting->worker, FILES)];
	size_t at = pick(mounting->worker, file->size);
	char path[2 * PATH_ROOM];
	uint8_t bytes[PAGE];
	struct stat status;
	ssize_t count;
	int fd;

	if (stat(mounting->directory, &status) < 0)
		record_error(mounting->worker, "stat of the root", errno, mounting->since_ns);
	snprintf(path, sizeof path, "%s/%s", mounting->directory, file->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	count = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, (off_t)at);
	if (count < 0)
		record_error(mounting->worker, "read", errno, mounting->since_ns);
	else if (memcmp(bytes, file->bytes + at, (size_t)count) != 0)
		problem(mounting->worker, "wrong bytes in %s at %zu", path, at);
	if (fd >= 0)
		close(fd);
}

static void unmount_by_command(struct mounting *mounting)
{
	const char *const argv[] = {pagein_program(), "umount", mounting->directory, NULL};
	struct child child;

	if (!child_run(mounting->worker, argv, &child))
		return;
	if (!child_succeeded(&child))
		problem(mounting->worker, "umount: %s", child.err);
	child_finish(&child);
}

static void end_mount(struct mounting *mounting, enum ending ending)
{
	int status = 0, expected = ending == ENDING_KILL ? SIGKILL : 0;

	if (ending == ENDING_SIGNAL || ending == ENDING_KILL)
		kill(mounting->server, ending == ENDING_KILL ? SIGKILL : SIGTERM);
	else if (ending == ENDING_LAZY && umount2(mounting->directory, MNT_DETACH) < 0)
		problem(mounting->worker, "umount2: %s", strerror(errno));
	else if (ending == ENDING_UMOUNT)
		unmount_by_command(mounting);
	if (mounting->server && waitpid(mounting->server, &status, 0) != mounting->server)
		problem(mounting->worker, "waitpid: %s", strerror(errno));
	if (mounting->server && status != expected)
		problem(mounting->worker, "the mount has ended with status %#x: %s", status,
			last_words(mounting));
	/* The dead mount of a killed process is still there. */
	if (ending == ENDING_KILL)
		unmount_by_command(mounting);
	if (is_mounted(mounting))
		problem(mounting->worker, "still mounted");
}

static void mount_once(struct mounting *mounting)
{
	struct worker *worker = mounting->worker;
	bool foreground = pick(worker, 2);
	size_t looks = pick(worker, 4);
	bool mounted;

	choose_options(mounting);
	mounting->server = 0;
	mounting->since_ns = clock_now_ns();
	begin(worker, "mount");
	mounted = foreground ? mount_in_foreground(mounting) : mount_in_background(mounting);
	if (!mounted)
		return;
	for (size_t i = 0; i < looks; i++) {
		begin(worker, "look around");
		look_around(mounting);
	}
	begin(worker, "unmount");
	end_mount(mounting, foreground        ? (enum ending)pick(worker, ENDINGS)
			    : pick(worker, 2) ? ENDING_UMOUNT
					      : ENDING_LAZY);
}

void remount(struct worker *worker)
{
	struct mounting mounting = {.worker = worker};

	snprintf(mounting.directory, sizeof mounting.directory, "%s/remount-%zu", soak->base,
		worker->number);
	snprintf(mounting.log, sizeof mounting.log, "%s.log", mounting.directory);
	if (mkdir(mounting.directory, 0755) < 0) {
		problem(worker, "%s: %s", mounting.directory, strerror(errno));
		return;
	}
	while (!is_over()) {
		mount_once(&mounting);
		record_memory(worker);
		pause_ms((unsigned)pick(worker, 100));
	}
}
