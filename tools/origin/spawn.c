/*
 * spawn.c - the server in a child process.
 *
 * The socket listens before fork(), so that the caller may connect at once, and errors of the
 * options are its own. The child is a copy of a program with threads, descriptors and handlers of
 * which none may matter: it closes the descriptors (a copy of a userfaultfd or of a connection
 * would outlive the original), resets the signals it answers to, and never returns.
 *
 * Nothing of it has to be put away, so that SIGTERM may just end it, and being ended by SIGTERM is
 * how it ends well.
 */
#include "origin.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "server.h"

static int compare_fds(const void *left, const void *right)
{
	const int *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void close_all_but(const struct origin *origin)
{
	int kept[] = {
		origin->epoll_fd, origin->listen_fd, origin->stop_fd, origin->resources.root_fd};
	unsigned first = STDERR_FILENO + 1;

	qsort(kept, sizeof(kept) / sizeof(*kept), sizeof(*kept), compare_fds);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		unsigned fd = (unsigned)kept[i];

		if (kept[i] < (int)first)
			continue;
		if (fd > first)
			close_range(first, fd - 1, 0);
		first = fd + 1;
	}
	close_range(first, UINT_MAX, 0);
}

static _Noreturn void child_run(struct origin *origin, pid_t parent)
{
	struct rlimit files;
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	close_all_but(origin);
	signal(SIGTERM, SIG_DFL);
	/* Control-C is for the parent, which ends us in its own time. */
	signal(SIGINT, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	_exit(origin_run(origin) ? 1 : 0);
}

static void origin_cleanup(struct origin **origin)
{
	origin_destroy(*origin);
}

int origin_spawn(const struct origin_options *options, struct origin_process *ret)
{
	struct origin *origin cleanup(origin_cleanup) = NULL;
	pid_t parent = getpid();
	sigset_t all, before;
	int err = origin_create(options, &origin);
	pid_t pid;

	if (err)
		return err;
	/* None of the caller's handlers may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = fork();
	err = pid < 0 ? -errno : 0;
	if (!pid)
		child_run(origin, parent);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return err;
	*ret = (struct origin_process){.pid = pid, .port = origin_port(origin)};
	return 0;
}

int origin_process_finish(struct origin_process *process)
{
	int status;
	pid_t pid = process->pid;

	if (pid <= 0)
		return 0;
	process->pid = 0;
	kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? 0 : -EIO;
}
