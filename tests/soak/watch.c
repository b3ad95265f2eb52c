/*
 * watch.c - is anything stuck, does anything grow, is anything left? The driver's process.
 *
 * A worker is stuck when one operation lasts STUCK_S: attempts, deadlines and the kernel's own
 * repetitions of a page are done by then, on a busy machine, too. Memory is flat when what a mount
 * takes at most in the last quarter of the time is no more than in the second, but for SLACK; the
 * same holds for workers, which look at themselves when they hold nothing.
 */
#include "watch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cleanup.h"

#define STUCK_S 240
#define LEFT_S 30 /* for a process whose mount is gone to end */
/* A sanitizer keeps what was freed, or shadows of it: only what is far off can be seen there. */
#define SLACK_KIB (WITH_SANITIZER ? 96 << 10 : 6 << 10)

/* ---- stuck --------------------------------------------------------------------------------- */

static void print_file(const char *path, const char *name)
{
	char text[500];
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t count = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	if (count <= 0)
		return;
	text[count] = '\0';
	fprintf(stderr, "  %s: %s%s", name, text, text[count - 1] == '\n' ? "" : "\n");
}

void watch_print_process(pid_t pid)
{
	static const char *const names[] = {"comm", "wchan", "syscall", "stack"};
	char path[300];
	struct dirent *task;
	DIR *tasks;

	fprintf(stderr, "process %d:\n", pid);
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks))) {
		if (task->d_name[0] == '.')
			continue;
		fprintf(stderr, " thread %s:\n", task->d_name);
		for (size_t i = 0; i < array_len(names); i++) {
			snprintf(path, sizeof path, "/proc/%d/task/%.20s/%s", pid, task->d_name,
				names[i]);
			print_file(path, names[i]);
		}
	}
	if (tasks)
		closedir(tasks);
}

/* Those that the worker has started. */
static void print_group(pid_t group)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes)))
		if (isdigit(entry->d_name[0]) && getpgid(atoi(entry->d_name)) == group)
			watch_print_process(atoi(entry->d_name));
	if (processes)
		closedir(processes);
}

bool watch_workers(void)
{
	for (size_t i = 0; i < WORKERS; i++) {
		const struct worker *worker = &soak->workers[i];

		if (worker->pid <= 0 ||
			clock_now_ns() < worker->doing_since_ns + STUCK_S * NS_PER_S)
			continue;
		print_group(worker->pid);
		problem(worker, "stuck in \"%s\"", worker->doing);
		return false;
	}
	return true;
}

/* ---- grown --------------------------------------------------------------------------------- */

static int count_entries(pid_t pid, const char *what)
{
	char path[64];
	DIR *directory;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
	directory = opendir(path);
	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	return count - 2;
}

void watch_sample(struct watch *watch)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t left_ns = soak->end_ns > now_ns ? soak->end_ns - now_ns : 0;
	size_t eighth = 7 - (size_t)(left_ns * 8 / (soak->seconds * NS_PER_S + 1));

	if (now_ns < watch->next_ns)
		return;
	watch->next_ns = now_ns + NS_PER_S / 2;
	for (size_t i = 0; i < MOUNTS; i++) {
		unsigned long kib = memory_kib(watch->mount_pids[i]);
		int fds = count_entries(watch->mount_pids[i], "fd");

		if (kib > watch->memory[i][eighth])
			watch->memory[i][eighth] = kib;
		if (fds > watch->fds_max[i])
			watch->fds_max[i] = fds;
		watch->threads_max[i] = count_entries(watch->mount_pids[i], "task");
	}
}

static unsigned long larger(const unsigned long pair[2])
{
	return pair[0] > pair[1] ? pair[0] : pair[1];
}

void watch_judge(const struct watch *watch)
{
	const struct worker driver = {.name = "driver"};

	for (size_t i = 0; i < MOUNTS; i++) {
		unsigned long before = larger(&watch->memory[i][2]);
		unsigned long after = larger(&watch->memory[i][6]);

		if (after > before + SLACK_KIB)
			problem(&driver, "the mount %zu has grown from %lu to %lu KiB", i, before,
				after);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		const struct worker *worker = &soak->workers[i];

		if (worker->memory_last > worker->memory_first + SLACK_KIB)
			problem(worker, "has grown from %lu to %lu KiB", worker->memory_first,
				worker->memory_last);
	}
}

/* ---- told ---------------------------------------------------------------------------------- */

static void report_faults(void)
{
	printf("%-16s %10s %s\n", "fault", "times", "errors that it explains");
	for (size_t i = 0; weather_fault_name(i); i++)
		printf("%-16s %10ju %ju\n", weather_fault_name(i), (uintmax_t)soak->fault_count[i],
			(uintmax_t)soak->explained[i]);
	printf("errors:");
	for (int i = 0; i < ERRNO_MAX; i++)
		if (soak->errors[i])
			printf(" %s %ju", i ? strerrorname_np(i) : "untold",
				(uintmax_t)soak->errors[i]);
	putchar('\n');
}

void watch_report(const struct watch *watch)
{
	uint64_t operations = 0;

	report_faults();
	printf("%-10s %10s %10s %10s  KiB\n", "worker", "operations", "first", "last");
	for (size_t i = 0; i < WORKERS; i++) {
		const struct worker *worker = &soak->workers[i];

		operations += worker->operations;
		printf("%-10s %10ju %10lu %10lu\n", worker->name, (uintmax_t)worker->operations,
			worker->memory_first, worker->memory_last);
	}
	for (size_t i = 0; i < MOUNTS; i++) {
		printf("mount %zu: %d descriptors at most, %d threads; KiB:", i, watch->fds_max[i],
			watch->threads_max[i]);
		for (size_t j = 0; j < array_len(watch->memory[i]); j++)
			printf(" %lu", watch->memory[i][j]);
		putchar('\n');
	}
	printf("%ju operations, %ju MiB compared\n", (uintmax_t)operations,
		(uintmax_t)soak->bytes_compared >> 20);
	fflush(stdout);
}

/* ---- left ---------------------------------------------------------------------------------- */

size_t watch_unmount_below(const char *directory)
{
	char *line cleanup_free = NULL, path[PATH_ROOM];
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	size_t room = 0, count = 0;

	while (mounts && getline(&line, &room, mounts) > 0)
		if (sscanf(line, "%*s %*s %*s %*s %159s", path) == 1 &&
			strncmp(path, directory, strlen(directory)) == 0) {
			umount2(path, MNT_DETACH);
			count++;
		}
	if (mounts)
		fclose(mounts);
	return count;
}

static pid_t find_process(const char *directory)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (processes && !found && (entry = readdir(processes))) {
		char path[300], arguments[1000];
		cleanup_fd int fd = -1;
		ssize_t count;

		snprintf(path, sizeof path, "/proc/%.20s/cmdline", entry->d_name);
		if (isdigit(entry->d_name[0]))
			fd = open(path, O_RDONLY | O_CLOEXEC);
		count = fd < 0 ? 0 : read(fd, arguments, sizeof arguments);
		if (count > 0 && memmem(arguments, (size_t)count, directory, strlen(directory)))
			found = atoi(entry->d_name);
	}
	if (processes)
		closedir(processes);
	return found;
}

bool watch_processes_end(const char *directory)
{
	uint64_t end_ns = clock_now_ns() + LEFT_S * NS_PER_S;
	pid_t pid;

	while ((pid = find_process(directory)) > 0) {
		if (clock_now_ns() > end_ns) {
			watch_print_process(pid);
			return false;
		}
		pause_ms(20);
	}
	return true;
}
