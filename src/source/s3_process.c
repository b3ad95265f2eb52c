/*
 * s3_process.c - a child with a pipe for its output and a pidfd for its end, both in the loop.
 *
 * On the loop's thread. The child is over when it has exited, whoever may still hold the pipe: what
 * is in it then is read, and that is all. It has a process group of its own, so that a deadline
 * ends what a shell script started, too.
 *
 * The loop's thread has all signals blocked, and the application may ignore some: the child gets
 * neither. Nor does it get any descriptor of ours, close-on-exec or not.
 *
 * An application that ignores SIGCHLD, or waits for all children, takes the exit status away
 * (ECHILD): then what was printed decides.
 *
 * Rejected: popen(3) and a shell (botocore runs no shell, so quoting would differ); SIGCHLD, which
 * is the application's; stderr into the error's words, since nobody knows what a program says
 * there.
 */
#include "s3_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

extern char **environ;

/* Reads what there is; -EAGAIN: there may be more later; 0: the pipe has ended. */
static int output_read(struct s3_process *self)
{
	for (;;) {
		size_t room = S3_PROCESS_OUTPUT_MAX - self->len;
		ssize_t n;

		if (room == 0)
			return -E2BIG;
		n = read(self->output.fd, self->text + self->len, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		self->len += (size_t)n;
	}
}

static void output_close(struct s3_process *self)
{
	if (self->output.fd < 0)
		return;
	loop_remove(self->loop, &self->output);
	close_fd(&self->output.fd);
	self->output.fd = -1;
}

static void process_kill(struct s3_process *self)
{
	kill(-self->pid, SIGKILL);
	kill(self->pid, SIGKILL);
}

/* The end of the child: true if it was a good one, as far as can be known. */
static bool process_reap(struct s3_process *self)
{
	int status = 0;
	pid_t pid;

	do
		pid = waitpid(self->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	self->pid = 0;
	return pid < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void process_release(struct s3_process *self)
{
	output_close(self);
	loop_remove(self->loop, &self->exited);
	close_fd(&self->exited.fd);
	loop_timer_cancel(self->loop, &self->deadline);
	self->loop = NULL;
}

static void process_end(struct s3_process *self, int err, const char *reason)
{
	self->reason = reason;
	process_release(self);
	self->text[self->len] = '\0';
	self->done(self, err);
}

static void process_give_up(struct s3_process *self, int err, const char *reason)
{
	process_kill(self);
	process_reap(self);
	process_end(self, err, reason);
}

/* The end, when the pidfd could not be had because the child was gone already. */
static void process_output_ended(struct s3_process *self)
{
	output_close(self);
	if (self->exited.fd >= 0)
		return;
	self->pid = 0;
	process_end(self, 0, NULL);
}

static void process_output_ready(struct loop_fd *fd, uint32_t events)
{
	struct s3_process *self = container_of(fd, struct s3_process, output);
	int err = output_read(self);

	(void)events;
	if (err == -EAGAIN)
		return;
	if (err == -E2BIG)
		process_give_up(self, err, "it printed too much");
	else
		process_output_ended(self);
}

static void process_exited(struct loop_fd *fd, uint32_t events)
{
	struct s3_process *self = container_of(fd, struct s3_process, exited);
	bool is_good = process_reap(self);

	(void)events;
	if (self->output.fd >= 0 && output_read(self) == -E2BIG)
		process_end(self, -E2BIG, "it printed too much");
	else if (is_good)
		process_end(self, 0, NULL);
	else
		process_end(self, -EACCES, "the program failed");
}

static void process_deadline(struct loop_timer *timer)
{
	process_give_up(container_of(timer, struct s3_process, deadline), -ETIMEDOUT,
		"the program took too long");
}

/* ---- start --------------------------------------------------------------------------------- */

static int spawn_actions(posix_spawn_file_actions_t *actions, int output)
{
	int err = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (err == 0)
		err = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
	if (err == 0)
		err = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
	return err;
}

static int spawn_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	err = posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (err == 0)
		err = posix_spawnattr_setpgroup(attributes, 0);
	if (err == 0)
		err = posix_spawnattr_setsigmask(attributes, &none);
	if (err == 0)
		err = posix_spawnattr_setsigdefault(attributes, &all);
	return err;
}

static int spawn(char *const argv[], int output, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int err = posix_spawn_file_actions_init(&actions);

	if (err != 0)
		return -err;
	err = posix_spawnattr_init(&attributes);
	if (err == 0) {
		err = spawn_actions(&actions, output);
		if (err == 0)
			err = spawn_attributes(&attributes);
		if (err == 0)
			err = posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

static int process_watch(struct s3_process *self, unsigned timeout_ms)
{
	int err;

	self->exited = (struct loop_fd){.fd = pidfd_open(self->pid, 0), .ready = process_exited};
	/* ESRCH: it has ended, and an application that ignores SIGCHLD let it go. */
	if (self->exited.fd < 0 && errno != ESRCH)
		return -errno;
	err = self->exited.fd < 0 ? 0 : loop_add(self->loop, &self->exited, EPOLLIN);
	if (err == 0)
		err = loop_add(self->loop, &self->output, EPOLLIN);
	self->deadline.expired = process_deadline;
	if (err == 0)
		loop_timer_set(
			self->loop, &self->deadline, clock_now_ns() + timeout_ms * NS_PER_MS);
	return err;
}

int s3_process_start(
	struct s3_process *self, struct loop *loop, char *const argv[], unsigned timeout_ms)
{
	int fds[2], err;

	self->text = malloc(S3_PROCESS_OUTPUT_MAX + 1);
	self->len = 0;
	if (!self->text)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	self->output = (struct loop_fd){.fd = fds[0], .ready = process_output_ready};
	self->exited.fd = -1;
	self->loop = loop;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	err = spawn(argv, fds[1], &self->pid);
	close(fds[1]);
	if (err == 0)
		err = process_watch(self, timeout_ms);
	if (err < 0)
		s3_process_finish(self);
	return err;
}

void s3_process_finish(struct s3_process *self)
{
	if (self->pid > 0) {
		process_kill(self);
		process_reap(self);
	}
	if (self->loop)
		process_release(self);
	if (self->text)
		explicit_bzero(self->text, self->len);
	free(self->text);
	self->text = NULL;
	self->len = 0;
}
