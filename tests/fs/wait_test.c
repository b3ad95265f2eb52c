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

/* A file for each child: what one is waiting for, another must not find on its way. */
#define FILES 7
static const char *awaited;

static int set_up(void **state)
{
	static struct bed bed;
	char name[8];

	bed_start(&bed, true, NULL);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "a%u", i);
		bed_add_file(&bed, name, SIZE, i);
	}
	bed_add_directory(&bed, "sub");
	bed_add_file(&bed, "sub/c", 100, FILES);
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
	cleanup_fd int fd = open_file(remote(bed, awaited));
	char bytes[4096];

	_exit(pread(fd, bytes, sizeof bytes, 3 << 20) == sizeof bytes ? 0 : errno);
}

/* Were it not opened as such, the kernel would wait for the end of it whatever comes. */
static void read_direct(const struct bed *bed)
{
	cleanup_fd int fd = open(remote(bed, awaited), O_RDONLY | O_DIRECT | O_CLOEXEC);
	char bytes[4096];

	_exit(pread(fd, bytes, sizeof bytes, 3 << 20) == sizeof bytes ? 0 : errno);
}

/* Without readahead: the kernel asks for this page alone, and the fault waits for the answer. */
static void touch_page(const struct bed *bed)
{
	cleanup_fd int fd = open_file(remote(bed, awaited));
	const volatile char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	signal(SIGBUS, SIG_DFL); /* cmocka would catch it */
	madvise((void *)map, SIZE, MADV_RANDOM);
	(void)map[3 << 20];
	_exit(0);
}

static void open_only(const struct bed *bed)
{
	_exit(open(remote(bed, awaited), O_RDONLY) >= 0 ? 0 : errno);
}

static void list_directory(const struct bed *bed)
{
	_exit(opendir(remote(bed, "sub")) ? 0 : errno);
}

static void look_up(const struct bed *bed)
{
	_exit(access(remote(bed, "sub/c"), F_OK) == 0 ? 0 : errno);
}

struct way {
	void (*wait)(const struct bed *bed);
	const char *file;
	const char *stall; /* what the origin does not answer */
};

static const struct way ways[] = {
	{read_pages, "a0", "path=/a0 range=1M-4M : stall=0"},
	{touch_page, "a1", "path=/a1 range=1M-4M : stall=0"},
	{open_only, "a2", "path=/a2 : stall=0"},
	{read_direct, "a6", "path=/a6 range=1M-4M : stall=0"},
	{list_directory, "", "path=/sub/ : stall=0"},
	{look_up, "", "path=/sub/ : stall=0"},
};
#define WAYS (sizeof ways / sizeof *ways)

static pid_t start_waiting(const struct bed *bed, const struct way *way)
{
	/* What reads asks for twice, since an open's probe comes first. */
	uint64_t asks = strstr(way->stall, "range") ? 2 : 1;
	pid_t child;

	bed_set_script(bed, way->stall);
	asks += bed_stat(bed, "requests");
	awaited = way->file;
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		way->wait(bed);
	while (bed_stat(bed, "requests") < asks)
		usleep(2000);
	return child;
}

/* F9 */
static void a_killed_process_is_gone_at_once(void **state)
{
	const struct bed *bed = *state;
	int status;

	for (size_t i = 0; i < WAYS; i++) {
		pid_t child = start_waiting(bed, &ways[i]);

		assert_int_equal(kill(child, i % 3 == 0   ? SIGKILL
					     : i % 3 == 1 ? SIGTERM
							  : SIGINT),
			0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
	}
	bed_set_script(bed, "");
	assert_same_file(bed, "a1");
	assert_same_file(bed, "a2");
	assert_same_file(bed, "sub/c");
}

static void ignore(int number)
{
	(void)number;
}

static void touch_page_with_alarms(const struct bed *bed)
{
	struct sigaction action = {.sa_handler = ignore};
	struct itimerval often = {{0, 20000}, {0, 20000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	touch_page(bed);
}

/* F9: to a fault, an interrupted read would be a bus error. */
static void other_signals_do_not_disturb(void **state)
{
	const struct bed *bed = *state;
	int status;
	pid_t child;

	bed_set_script(bed, "path=/a4 range=1M-4M : delay=400ms");
	awaited = "a4";
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		touch_page_with_alarms(bed);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* The kernel tells of the first alarm, and of nothing that comes later. */
static void a_kill_after_another_signal(void **state)
{
	static const struct way way = {
		touch_page_with_alarms, "a5", "path=/a5 range=1M-4M : stall=0"};
	const struct bed *bed = *state;
	pid_t child = start_waiting(bed, &way);
	int status;

	usleep(100000);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

/* The server ends while somebody waits, who gets an error, and the mount is gone. */
static void an_unmount_ends_all_waiting(void **state)
{
	struct bed *bed = *state;
	int status;

	for (size_t i = 0; i < WAYS; i++) {
		pid_t child = start_waiting(bed, &ways[i]);

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
	int fd = open_file(remote(bed, "a3"));
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
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", bed->server);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "voluntary_ctxt_switches: %ju", &count) == 1)
			total = count;
	fclose(status);
	return total;
}

static void an_idle_mount_sleeps(void **state)
{
	const struct bed *bed = *state;
	uint64_t before;

	assert_same_file(bed, "a3");
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
