/*
 * process_test.c - programs that print credentials: how they end, what they are given, and what is
 * left of them.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "s3_process.h"

struct run {
	struct s3_process process;
	bool done;
	int err;
	char text[4096];
};

static void run_done(struct s3_process *process, int err)
{
	struct run *run = container_of(process, struct run, process);

	run->err = err;
	run->done = true;
	snprintf(run->text, sizeof run->text, "%s", process->text);
	if (err < 0)
		assert_non_null(process->reason);
	s3_process_finish(process);
}

static struct engine engine;

static int run_shell(struct run *run, const char *script, unsigned timeout_ms)
{
	char *argv[] = {"sh", "-c", (char *)script, NULL};

	*run = (struct run){.process.done = run_done};
	assert_int_equal(s3_process_start(&run->process, engine.loop, argv, timeout_ms), 0);
	assert_false(run->done);
	engine_wait(&engine, &run->done);
	return run->err;
}

static int setup(void **state)
{
	(void)state;
	engine_open(&engine);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	engine_close(&engine);
	/* No child is left, dead or alive. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static void output_and_end(void **state)
{
	static const struct {
		const char *script, *text;
		int err;
	} table[] = {
		{"printf abc", "abc", 0},
		{":", "", 0},
		{"printf a; sleep 0.01; printf b", "ab", 0},
		{"printf abc; exit 1", "abc", -EACCES},
		{"kill -9 $$", "", -EACCES},
		{"printf abc; exec >&-; sleep 0.01", "abc", 0},
		/* Who goes on behind it is not waited for. */
		{"printf abc; sleep 2 2>&- & :", "abc", 0},
		{"head -c 65535 /dev/zero | tr '\\0' x >/dev/null; printf abc", "abc", 0},
		{"head -c 70000 /dev/zero", "", -E2BIG},
		{"exec cat /dev/zero", "", -E2BIG},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct run run;
		int err = run_shell(&run, table[i].script, 10000);

		if (err != table[i].err || strcmp(run.text, table[i].text) != 0)
			fail_msg("%s: %d %s", table[i].script, err, run.text);
	}
}

/* Neither our signal mask, nor what we ignore, nor our descriptors, nor our stdin. */
static void what_it_is_given(void **state)
{
	cleanup_fd int fd = open("/dev/null", O_RDONLY); /* not close-on-exec */
	sigset_t all, before;
	struct run run;

	(void)state;
	assert_true(fd > 3);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	signal(SIGPIPE, SIG_IGN);
	/* Signals 32 and 33 are glibc's own. */
	assert_int_equal(run_shell(&run,
				 "grep -E 'Sig(Blk|Ign)' /proc/self/status |"
				 " grep -Ev '0000000(00|18)0000000$'; ls /proc/self/fd |"
				 " grep -v '^[0-3]$'; cat",
				 10000),
		0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(run.text, "");
}

static void deadline(void **state)
{
	char folder[] = "/tmp/pagein-test-XXXXXX", script[128];
	struct run run;

	(void)state;
	assert_non_null(mkdtemp(folder));
	/* Its child, too: it would write the file. */
	snprintf(script, sizeof script, "(sleep 1; : > %s/late) & wait", folder);
	assert_int_equal(run_shell(&run, script, 50), -ETIMEDOUT);
	usleep(1200000);
	assert_int_equal(rmdir(folder), 0);
}

static void cancelled(void **state)
{
	char *argv[] = {"sleep", "60", NULL};
	struct s3_process process = {.done = NULL};

	(void)state;
	assert_int_equal(s3_process_start(&process, engine.loop, argv, 10000), 0);
	s3_process_finish(&process);
	s3_process_finish(&process);
}

/* What the kernel says to pidfd_open(2) instead; 0: what it likes. */
static int pidfd_errno;

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);

int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
	if (pidfd_errno == 0)
		return __real_pidfd_open(pid, flags);
	errno = pidfd_errno;
	return -1;
}

static void not_a_program(void **state)
{
	char *nowhere[] = {"/nowhere/program", NULL}, *folder[] = {"/tmp", NULL};
	char *sleeper[] = {"sleep", "60", NULL};
	struct s3_process process = {.done = NULL};

	(void)state;
	assert_int_equal(s3_process_start(&process, engine.loop, nowhere, 10000), -ENOENT);
	assert_int_equal(s3_process_start(&process, engine.loop, folder, 10000), -EACCES);
	/* It runs, and can't be watched: it is ended. */
	pidfd_errno = EPERM;
	assert_int_equal(s3_process_start(&process, engine.loop, sleeper, 10000), -EPERM);
	pidfd_errno = 0;
}

/* An application that does not want to know of children: the output decides. */
static void nobody_waits_for_children(void **state)
{
	struct run run;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	pidfd_errno = ESRCH;
	assert_int_equal(run_shell(&run, "printf abc; exit 1", 10000), 0);
	assert_string_equal(run.text, "abc");
	pidfd_errno = 0;
	assert_int_equal(run_shell(&run, "sleep 0.05; printf abc; exit 1", 10000), 0);
	signal(SIGCHLD, SIG_DFL);
	assert_string_equal(run.text, "abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(output_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(what_it_is_given, setup, teardown),
		cmocka_unit_test_setup_teardown(deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(not_a_program, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_waits_for_children, setup, teardown),
	};

	return run_group(tests);
}
