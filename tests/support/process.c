/*
 * process.c - counts by reading /proc/self; and children whose end is awaited with a limit.
 */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define CHILD_LIMIT_MS 10000

static int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	if (!directory)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory));)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

int count_fds(void)
{
	/* Without the one that reads the directory. */
	return count_entries("/proc/self/fd") - 1;
}

static bool thread_has_name(const char *thread, const char *name)
{
	char path[300], found[32] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%s/comm", thread);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(found, sizeof found, file))
		found[0] = '\0';
	fclose(file);
	found[strcspn(found, "\n")] = '\0';
	return strcmp(found, name) == 0;
}

static int count_threads_now(const char *name)
{
	DIR *directory = opendir("/proc/self/task");
	int count = 0;

	if (!directory)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory));)
		count += thread_has_name(entry->d_name, name);
	closedir(directory);
	return count;
}

int count_threads(const char *name, int expected)
{
	int count = count_threads_now(name);

	for (int ms = 0; count != expected && ms < 5000; ms++) {
		usleep(1000);
		count = count_threads_now(name);
	}
	return count;
}

static int fd_pending(const char *fd)
{
	char path[300], target[64] = "", line[128];
	int pending = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/fd/%s", fd);
	if (readlink(path, target, sizeof target - 1) < 0 || !strstr(target, "[userfaultfd]"))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%s", fd);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "pending: %d", &pending);
	fclose(file);
	return pending;
}

int count_pending_faults(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int sum = -1;

	if (!directory)
		return -1;
	for (struct dirent *entry; (entry = readdir(directory));) {
		int pending = fd_pending(entry->d_name);

		if (pending >= 0)
			sum = (sum < 0 ? 0 : sum) + pending;
	}
	closedir(directory);
	return sum;
}

/* ThreadSanitizer ends a child that makes threads, unless it is asked not to. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

int run_in_child(int (*function)(void *context), void *context)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		_exit(function(context));
	}
	if (pid < 0)
		return -1;
	for (int ms = 0; ms < CHILD_LIMIT_MS; ms += 5) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		usleep(5000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}
