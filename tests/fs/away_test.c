/*
 * away_test.c - a server that says nothing, or is not there: what readers are told and when, that
 * they go on when it is back, and that its mount can be unmounted.
 *
 * The limits are a tenth to a thirtieth of the defaults.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "fixture.h"

#define SIZE ((size_t)8 << 20)
#define FAR_OFF ((off_t)5 << 20)

static int set_up(void **state)
{
	static struct bed bed;

	bed_start(&bed, true, NULL);
	bed_add_file(&bed, "a", SIZE, 1);
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	bed_finish(*state);
	return 0;
}

static void server_kill(struct bed *bed)
{
	assert_int_equal(kill(bed->origin.pid, SIGKILL), 0);
	assert_int_equal(waitpid(bed->origin.pid, NULL, 0), bed->origin.pid);
	bed->origin.pid = 0;
}

static void server_restart(struct bed *bed)
{
	struct origin_options options = {
		.root = bed->www, .index_json = true, .port = bed->origin.port};

	assert_int_equal(origin_spawn(&options, &bed->origin), 0);
}

/* F11 */
static void a_read_that_has_failed_fails_at_once_for_a_moment(void **state)
{
	struct bed *bed = *state;
	cleanup_fd int fd = -1;
	char bytes[4096];
	uint64_t asks;

	bed_mount(bed, "/", "timeout=1s");
	fd = open_file(remote(bed, "a"));
	/* Is not tried again: each of the kernel's asks would be a request. */
	bed_set_script(bed, "range=5M-8M : status=403");
	asks = bed_stat(bed, "requests");
	assert_int_equal(pread(fd, bytes, sizeof bytes, FAR_OFF), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(bed_stat(bed, "requests"), asks + 1);
	assert_int_equal(pread(fd, bytes, sizeof bytes, FAR_OFF), -1);
	assert_int_equal(bed_stat(bed, "requests"), asks + 1);
	bed_unmount(bed);
}

static char touch(const volatile char *map, off_t offset)
{
	signal(SIGBUS, SIG_DFL); /* cmocka would catch it */
	return map[offset];
}

/* F11 */
static void it_heals_by_itself(void **state)
{
	struct bed *bed = *state;
	cleanup_fd int fd = -1;
	char bytes[4096], want[4096];
	const char *map;
	pid_t child;
	int status;

	bed_mount(bed, "/", "timeout=1s");
	fd = open_file(remote(bed, "a"));
	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	bed_set_script(bed, "range=5M-8M : stall=0");
	assert_int_equal(pread(fd, bytes, sizeof bytes, FAR_OFF), -1);
	assert_int_equal(errno, ETIMEDOUT);
	fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(touch(map, FAR_OFF));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	bed_set_script(bed, "");
	for (unsigned i = 0; i < 100 && pread(fd, bytes, sizeof bytes, FAR_OFF) < 0; i++)
		usleep(100000);
	memcpy(want, map + FAR_OFF, sizeof want);
	assert_memory_equal(bytes, want, sizeof want);
	assert_int_equal(munmap((void *)map, SIZE), 0);
	close_fd(&fd);
	fd = -1;
	assert_same_file(bed, "a");
	bed_unmount(bed);
}

static void a_stalled_answer_comes_by_a_second_request(void **state)
{
	struct bed *bed = *state;
	char bytes[4096], want[4096];
	cleanup_fd int fd = -1, here = open_file(local(bed, "a"));

	/* The deadline is beyond the test's own. */
	bed_mount(bed, "/", "timeout=1000s,loops=1");
	fd = open_file(remote(bed, "a"));
	bed_set_script(bed, "range=5M-8M first=1 : delay=1h");
	assert_int_equal(pread(fd, bytes, sizeof bytes, FAR_OFF), sizeof bytes);
	assert_int_equal(pread(here, want, sizeof want, FAR_OFF), sizeof want);
	assert_memory_equal(bytes, want, sizeof want);
	bed_unmount(bed);
}

/* Reads all of it through the mount, and compares: a child, as the server goes meanwhile. */
static void read_all(const struct bed *bed, int started)
{
	cleanup_fd int here = open_file(local(bed, "a"));
	cleanup_fd int there = open_file(remote(bed, "a"));
	static char a[65536], b[65536];

	for (size_t at = 0; at < SIZE; at += sizeof a) {
		if (pread(there, b, sizeof b, (off_t)at) != sizeof b)
			_exit(errno);
		if (pread(here, a, sizeof a, (off_t)at) != sizeof a || memcmp(a, b, sizeof a) != 0)
			_exit(255);
		if (at == 0)
			close(started);
	}
	_exit(0);
}

static pid_t start_reader(const struct bed *bed)
{
	int ends[2], status;
	pid_t child;
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		read_all(bed, ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0);
	return child;
}

static void readers_go_on_when_the_server_is_back(void **state)
{
	struct bed *bed = *state;
	int status;
	pid_t child;

	/* So slow that the reader is in the middle of it. */
	bed_set_script(bed, "range=100K-8M : rate=100K");
	bed_mount(bed, "/", "timeout=15s,memory=1M");
	child = start_reader(bed);
	server_kill(bed);
	usleep(4000000);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0);
	server_restart(bed);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_same_file(bed, "a");
	bed_unmount(bed);
}

/* It does not answer, but its connections stay: a machine that is stopped, a network that drops. */
static void readers_go_on_when_the_server_wakes_up(void **state)
{
	struct bed *bed = *state;
	int status;
	pid_t child;

	bed_set_script(bed, "range=100K-8M : rate=100K");
	bed_mount(bed, "/", "timeout=15s,memory=1M");
	child = start_reader(bed);
	assert_int_equal(kill(bed->origin.pid, SIGSTOP), 0);
	usleep(4000000);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0);
	assert_int_equal(kill(bed->origin.pid, SIGCONT), 0);
	bed_set_script(bed, "");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	bed_unmount(bed);
}

/* F11: a page comes each half second, the last of these after more than a minute. */
static void a_read_ends_whatever_arrives(void **state)
{
	struct bed *bed = *state;
	cleanup_fd int fd = -1;
	static char bytes[1 << 20];
	uint64_t began_ns, lasted_ns;

	bed_mount(bed, "/", "timeout=60s,deadline=1500ms,hedge=0");
	fd = open(remote(bed, "a"), O_RDONLY | O_CLOEXEC | O_DIRECT);
	assert_true(fd >= 0);
	bed_set_script(bed, "range=1M-8M : rate=8K");
	began_ns = clock_now_ns();
	assert_int_equal(pread(fd, bytes, sizeof bytes, FAR_OFF), -1);
	lasted_ns = clock_now_ns() - began_ns;
	assert_int_equal(errno, ETIMEDOUT);
	assert_true(lasted_ns >= 1500 * NS_PER_MS && lasted_ns < 20 * NS_PER_S);
	/* What has come is there, and what comes is for the next. */
	assert_int_equal(pread(fd, bytes, 4096, FAR_OFF), 4096);
	/* An open file remembers what has failed for two seconds. */
	close_fd(&fd);
	fd = -1;
	bed_set_script(bed, "");
	server_kill(bed);
	server_restart(bed);
	assert_same_file(bed, "a");
	bed_unmount(bed);
}

static int run_umount(const struct bed *bed, const char *program, const char *argument)
{
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		execlp(program, program, argument, bed->mnt, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* Whoever waits is killed, and waits no longer: then nothing holds the mount. */
static void a_mount_without_a_server_can_be_unmounted(void **state)
{
	const char *pagein = getenv("PAGEIN");
	const struct {
		const char *program, *argument;
		bool silent;
	} ways[] = {
		{"fusermount3", "-u", false},
		{"fusermount3", "-u", true},
		{pagein ? pagein : "pagein", "umount", false},
		{pagein ? pagein : "pagein", "umount", true},
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		uint64_t began_ns;
		pid_t child;

		bed_mount(bed, "/", "timeout=100s");
		bed_set_script(bed, "range=5M-8M : stall=0");
		child = start_reader(bed);
		if (ways[i].silent)
			assert_int_equal(kill(bed->origin.pid, SIGSTOP), 0);
		else
			server_kill(bed);
		began_ns = clock_now_ns();
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_int_equal(run_umount(bed, ways[i].program, ways[i].argument), 0);
		assert_int_equal(bed_wait(bed), 0);
		/* "At once", on a machine that may have other things to do. */
		assert_true(clock_now_ns() - began_ns < 10 * NS_PER_S);
		assert_false(bed_is_mounted(bed));
		if (ways[i].silent)
			assert_int_equal(kill(bed->origin.pid, SIGCONT), 0);
		else
			server_restart(bed);
		bed_set_script(bed, "");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_read_that_has_failed_fails_at_once_for_a_moment),
		TEST(it_heals_by_itself),
		TEST(a_stalled_answer_comes_by_a_second_request),
		TEST(a_read_ends_whatever_arrives),
		TEST(readers_go_on_when_the_server_is_back),
		TEST(readers_go_on_when_the_server_wakes_up),
		TEST(a_mount_without_a_server_can_be_unmounted),
	};

	bed_require_fuse();
	return run_group(tests);
}
