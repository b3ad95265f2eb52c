/* wait_test.c - those who wait for a server that says nothing: killed, signalled, unmounted. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fixture.h"

#define SIZE ((size_t)4 << 20)

static int set_up(void **state)
{
	static struct bed bed;

	bed_start(&bed, true, NULL);
	bed_add_file(&bed, "a", SIZE, 1);
	bed_add_file(&bed, "b", SIZE, 2);
	bed_add_directory(&bed, "sub");
	bed_add_file(&bed, "sub/c", 100, 3);
	/* No test waits for so long, but for an end to a test that goes wrong. */
	bed_mount(&bed, "/", "timeout=100s,metadata-ttl=3600s");
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	bed_finish(*state);
	return 0;
}

/* How a child may wait for bytes, at an offset that nobody has read yet. */

static void read_pages(const struct bed *bed)
{
	cleanup_fd int fd = open_file(remote(bed, "a"));
	char bytes[4096];

	_exit(pread(fd, bytes, sizeof bytes, 3 << 20) == sizeof bytes ? 0 : errno);
}

/* Without the page cache's readahead: the kernel asks for us, and waits itself. */
static void read_directly(const struct bed *bed)
{
	cleanup_fd int fd = open(remote(bed, "a"), O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *bytes = aligned_alloc(4096, 4096);

	_exit(bytes && pread(fd, bytes, 4096, 3 << 20) == 4096 ? 0 : errno);
}

static void touch_page(const struct bed *bed)
{
	cleanup_fd int fd = open_file(remote(bed, "a"));
	const volatile char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	madvise((void *)map, SIZE, MADV_RANDOM);
	_exit(map[3 << 20] == 0 ? 0 : 0);
}

static void open_only(const struct bed *bed)
{
	_exit(open(remote(bed, "b"), O_RDONLY) >= 0 ? 0 : errno);
}

static void list_directory(const struct bed *bed)
{
	_exit(opendir(remote(bed, "sub")) ? 0 : errno);
}

static void look_up(const struct bed *bed)
{
	_exit(access(remote(bed, "sub/c"), F_OK) == 0 ? 0 : errno);
}

static const char stall[] =
	"path=/a range=1M-4M : stall=0\npath=/b : stall=0\npath=/sub/ : stall=0";

/* The origin has got the request that the child waits for. */
static void wait_for_request(const struct bed *bed, uint64_t before)
{
	while (bed_stat(bed, "requests") == before)
		usleep(2000);
}

static pid_t start_waiting(const struct bed *bed, void (*wait)(const struct bed *))
{
	uint64_t before;
	pid_t child;

	bed_set_script(bed, stall);
	before = bed_stat(bed, "requests");
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		wait(bed);
	/* An open's probe comes first when something in the file is read. */
	wait_for_request(bed, before);
	if (wait != open_only && wait != list_directory && wait != look_up)
		wait_for_request(bed, before + 1);
	return child;
}

static void (*const ways[])(const struct bed *) = {
	read_pages,
	read_directly,
	touch_page,
	open_only,
	list_directory,
	look_up,
};

static void a_killed_process_is_gone_at_once(void **state)
{
	const struct bed *bed = *state;
	int status;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		pid_t child = start_waiting(bed, ways[i]);

		assert_int_equal(kill(child, i & 1 ? SIGKILL : SIGTERM), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
	}
	bed_set_script(bed, "");
	assert_same_file(bed, "a");
	assert_same_file(bed, "b");
	assert_same_file(bed, "sub/c");
}

static void ignore(int number)
{
	(void)number;
}

/* A first signal that is handled, then one that kills. */
static void with_alarms(const struct bed *bed, void (*wait)(const struct bed *))
{
	struct sigaction action = {.sa_handler = ignore};
	struct itimerval often = {{0, 20000}, {0, 20000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	wait(bed);
}

static void read_directly_with_alarms(const struct bed *bed)
{
	with_alarms(bed, read_directly);
}

static void touch_page_with_alarms(const struct bed *bed)
{
	with_alarms(bed, touch_page);
}

static void other_signals_do_not_disturb(void **state)
{
	static void (*const alarmed[])(const struct bed *) = {
		read_directly_with_alarms,
		touch_page_with_alarms,
	};
	const struct bed *bed = *state;
	int status;

	bed_set_script(bed, "path=/a range=1M-4M : delay=400ms");
	for (size_t i = 0; i < 2; i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			alarmed[i](bed);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

static void a_kill_after_another_signal(void **state)
{
	const struct bed *bed = *state;
	pid_t child = start_waiting(bed, read_directly_with_alarms);
	int status;

	usleep(100000); /* the kernel has told of an alarm by now, and will not tell of more */
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

/* The server ends while somebody waits, who gets an error, and the mount is gone. */
static void an_unmount_ends_all_waiting(void **state)
{
	struct bed *bed = *state;
	int status;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		pid_t child = start_waiting(bed, ways[i]);

		bed_unmount(bed);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_not_equal(status, 0);
		bed_set_script(bed, "");
		bed_mount(bed, "/", "timeout=100s,metadata-ttl=3600s");
	}
}

static void an_unmount_from_outside(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(umount2(bed->mnt, 0), 0);
	assert_int_equal(bed_wait(bed), 0);
}

/* Lazily, with a file open: it can be read until it is closed; then the server ends. */
static void a_lazy_unmount(void **state)
{
	struct bed *bed = *state;
	int fd = open_file(remote(bed, "a"));
	char bytes[4096];

	assert_int_equal(umount2(bed->mnt, MNT_DETACH), 0);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 2 << 20), sizeof bytes);
	assert_int_equal(close(fd), 0);
	assert_int_equal(bed_wait(bed), 0);
}

static uint64_t server_switches(const struct bed *bed)
{
	char path[64], line[256];
	uint64_t total = 0, count;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", bed->server);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "voluntary_ctxt_switches: %ju", &count) == 1)
			total = count;
	fclose(file);
	return total;
}

static void an_idle_mount_sleeps(void **state)
{
	const struct bed *bed = *state;
	uint64_t before;

	assert_same_file(bed, "a");
	usleep(300000); /* the last close, and what libcurl has to tidy up */
	before = server_switches(bed);
	usleep(1500000);
	assert_int_equal(server_switches(bed), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_killed_process_is_gone_at_once),
		TEST(other_signals_do_not_disturb),
		TEST(a_kill_after_another_signal),
		TEST(an_unmount_ends_all_waiting),
		TEST(an_unmount_from_outside),
		TEST(a_lazy_unmount),
		TEST(an_idle_mount_sleeps),
	};

	bed_require_fuse();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
