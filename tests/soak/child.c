/*
 * child.c - programs that a worker runs: what they print is read to the end, and their end waited
 * for. They die with their worker. A worker's one thread.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define OUT_MAX (16 << 20) /* more than anybody prints */

static pid_t spawn(const char *const argv[], int out, int err, int death)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, death);
	if (getppid() != parent)
		_exit(126);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Appends what there is to read. False at the end. */
static bool read_out(int fd, struct child *child)
{
	char *more = realloc(child->out, child->out_length + 65537);
	ssize_t count;

	if (!more)
		abort();
	child->out = more;
	count = read(fd, more + child->out_length, 65536);
	if (count > 0)
		child->out_length += (size_t)count;
	child->out[child->out_length] = '\0';
	return count > 0 && child->out_length < OUT_MAX;
}

/* The last of it is what tells. */
static bool read_err(int fd, struct child *child)
{
	size_t used = strlen(child->err), keep = sizeof child->err / 2;
	ssize_t count;

	if (used > keep) {
		memmove(child->err, child->err + used - keep, keep);
		used = keep;
	}
	count = read(fd, child->err + used, sizeof child->err - 1 - used);
	child->err[used + (count > 0 ? (size_t)count : 0)] = '\0';
	return count > 0;
}

static void read_both(int out, int err, struct child *child)
{
	struct pollfd fds[] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, array_len(fds), -1) < 0)
			continue;
		if (fds[0].revents && !read_out(out, child))
			fds[0].fd = -1;
		if (fds[1].revents && !read_err(err, child))
			fds[1].fd = -1;
	}
}

bool child_run(struct worker *worker, const char *const argv[], struct child *ret)
{
	int out[2], err[2];
	pid_t pid;

	*ret = (struct child){0};
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
		problem(worker, "pipe: %s", strerror(errno));
		return false;
	}
	pid = spawn(argv, out[1], err[1], SIGKILL);
	close(out[1]);
	close(err[1]);
	if (pid > 0)
		read_both(out[0], err[0], ret);
	close(out[0]);
	close(err[0]);
	if (pid < 0 || waitpid(pid, &ret->status, 0) != pid ||
		(WIFEXITED(ret->status) && WEXITSTATUS(ret->status) >= 126)) {
		problem(worker, "%s: %s", argv[0], pid < 0 ? strerror(errno) : ret->err);
		child_finish(ret);
		return false;
	}
	return true;
}

void child_finish(struct child *child)
{
	free(steal_pointer(&child->out));
}

pid_t child_start(const char *const argv[], const char *log)
{
	cleanup_fd int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	/* It unmounts then. */
	return fd < 0 ? -1 : spawn(argv, fd, fd, SIGTERM);
}
