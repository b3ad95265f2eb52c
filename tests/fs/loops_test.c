/*
 * loops_test.c - open files on several loops: right, independent of each other, and gone in time.
 *
 * The first file that is open is the main loop's. Tests hold one open, so that all others are
 * served by loops that only get what the main one hands over.
 */
#include <dirent.h>
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
#include "fixture.h"

#define FILES 8u
#define BYTES ((size_t)5 << 20 | 777)
#define READERS 6u
#define PAGE 4096

#define SANITIZER_THREADS WITH_TSAN /* once there is a second thread */

static const char options[] = "loops=4,timeout=100s,metadata-ttl=3600s";

static const char *file_name(unsigned i)
{
	static const char names[FILES][4] = {"f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7"};

	return names[i % FILES];
}

static int set_up(void **state)
{
	static struct bed bed;

	bed_start(&bed, true, NULL);
	for (unsigned i = 0; i < FILES; i++)
		bed_add_file(&bed, file_name(i), BYTES, i);
	bed_add_file(&bed, "main", PAGE, FILES);
	bed_mount(&bed, "/", options);
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	bed_finish(*state);
	return 0;
}

static void mount_again(struct bed *bed, const char *with)
{
	bed_unmount(bed);
	bed_mount(bed, "/", with);
}

/* ---- children ----------------------------------------------------------------------------- */

/* A failing assertion of a child would jump back into the test, which is the parent's. */
static int open_or_exit(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(9);
	return fd;
}

static const unsigned char *map_or_exit(const char *path)
{
	cleanup_fd int fd = open_or_exit(path);
	void *map = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		_exit(10);
	return map;
}

/* Each has a number; its exit status is the function's result. */
static void start_children(const struct bed *bed, pid_t *children, unsigned count,
	int (*run)(const struct bed *bed, unsigned number))
{
	fflush(NULL);
	for (unsigned i = 0; i < count; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			signal(SIGBUS, SIG_DFL); /* cmocka would catch it */
			_exit(run(bed, i));
		}
	}
}

static void end_children(const pid_t *children, unsigned count)
{
	int status;

	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
}

static void run_children(
	const struct bed *bed, unsigned count, int (*run)(const struct bed *bed, unsigned number))
{
	pid_t children[READERS];

	assert_true(count <= READERS);
	start_children(bed, children, count, run);
	end_children(children, count);
}

/* ---- contents ----------------------------------------------------------------------------- */

static int compare_by_reading(const unsigned char *truth, const char *path, size_t step)
{
	static unsigned char bytes[1 << 20];
	cleanup_fd int fd = open_or_exit(path);

	for (size_t at = 0; at < BYTES; at += step) {
		size_t left = BYTES - at < step ? BYTES - at : step;

		if (pread(fd, bytes, step, (off_t)at) != (ssize_t)left)
			return 1;
		if (memcmp(bytes, truth + at, left) != 0)
			return 2;
	}
	return 0;
}

static int compare_by_mapping(const unsigned char *truth, const char *path)
{
	const unsigned char *map = map_or_exit(path);
	int result = memcmp(map, truth, BYTES) == 0 ? 0 : 3;

	munmap((void *)map, BYTES);
	return result;
}

/* All files, each child from another one on; some read, some map. */
static int compare_all(const struct bed *bed, unsigned number)
{
	int result = 0;

	for (unsigned i = number; i < number + FILES && result == 0; i++) {
		const unsigned char *truth = map_or_exit(local(bed, file_name(i)));
		const char *path = remote(bed, file_name(i));

		result = number % 3 == 0 ? compare_by_mapping(truth, path)
					 : compare_by_reading(truth, path, 10000 + number * 90000);
		munmap((void *)truth, BYTES);
	}
	return result;
}

static void many_readers_of_many_files(void **state)
{
	const struct bed *bed = *state;

	run_children(bed, READERS, compare_all);
	for (unsigned i = 0; i < FILES; i++)
		assert_same_file(bed, file_name(i));
}

static void many_readers_with_little_memory(void **state)
{
	struct bed *bed = *state;

	mount_again(bed, "loops=4,memory=1M");
	run_children(bed, READERS, compare_all);
}

static void many_readers_on_one_loop(void **state)
{
	struct bed *bed = *state;

	mount_again(bed, "loops=1");
	run_children(bed, READERS, compare_all);
}

/* Passing faults are of one shard's connections, and told to its readers only. */
static void many_readers_of_a_failing_server(void **state)
{
	const struct bed *bed = *state;

	bed_set_script(bed, "path=/f* range=1M-6M first=8 : status=503\n"
			    "path=/f* range=1M-6M every=10 : truncate=10000");
	run_children(bed, READERS, compare_all);
}

static int open_and_close(const struct bed *bed, unsigned number)
{
	const unsigned char *truths[FILES];
	unsigned char bytes[PAGE];

	for (unsigned i = 0; i < FILES; i++)
		truths[i] = map_or_exit(local(bed, file_name(i)));
	for (unsigned i = 0; i < 150; i++) {
		unsigned file = (i * 7 + number * 3) % FILES;
		size_t at = (size_t)(i * 37 + number * 11) % (BYTES / PAGE) * PAGE;
		cleanup_fd int fd = open_or_exit(remote(bed, file_name(file)));

		/* Not out of the page cache, where another has put it. */
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		if (i % 3 != 0 && pread(fd, bytes, PAGE, (off_t)at) != PAGE)
			return 1;
		if (i % 3 != 0 && memcmp(bytes, truths[file] + at, PAGE) != 0)
			return 2;
	}
	return 0;
}

static int open_and_close_or_compare(const struct bed *bed, unsigned number)
{
	return number % 2 ? open_and_close(bed, number) : compare_all(bed, number);
}

static void files_come_and_go_while_others_are_read(void **state)
{
	run_children(*state, READERS, open_and_close_or_compare);
}

/* ---- threads ------------------------------------------------------------------------------ */

#define LOOPS_MAX 16

/* The server's threads: their voluntary context switches, in the order of their making. */
static unsigned count_loops(const struct bed *bed, uint64_t switches[LOOPS_MAX])
{
	char path[300], line[256];
	unsigned count = 0;
	DIR *tasks;

	snprintf(path, sizeof path, "/proc/%d/task", bed->server);
	tasks = opendir(path);
	assert_non_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));) {
		bool named = false;
		FILE *status;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/status", bed->server, entry->d_name);
		status = fopen(path, "re");
		if (!status)
			continue;
		assert_true(count < LOOPS_MAX);
		while (fgets(line, sizeof line, status)) {
			named |= strcmp(line, "Name:\tpagein\n") == 0;
			(void)sscanf(line, "voluntary_ctxt_switches: %ju", &switches[count]);
		}
		count += named;
		fclose(status);
	}
	closedir(tasks);
	return count;
}

static void there_are_as_many_threads_as_asked_for(void **state)
{
	static const char *const with[] = {"loops=1", "loops=2", "loops=3", "loops=7"};
	static const unsigned counts[] = {1, 2, 3, 7};
	struct bed *bed = *state;
	uint64_t switches[LOOPS_MAX];

	for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
		unsigned count = 0, wanted;

		mount_again(bed, with[i]);
		assert_same_file(bed, file_name(0));
		/* libcurl has threads of its own for moments. */
		wanted = counts[i] + (counts[i] > 1 ? SANITIZER_THREADS : 0);
		for (int ms = 0; ms < 5000 && count != wanted; ms++) {
			count = count_loops(bed, switches);
			usleep(1000);
		}
		if (count != wanted)
			fail_msg("%s: %u threads", with[i], count);
	}
}

static void open_files_are_spread_over_all_loops(void **state)
{
	struct bed *bed = *state;
	uint64_t before[LOOPS_MAX], after[LOOPS_MAX];
	int files[4];
	char bytes[PAGE];

	if (WITH_SANITIZER)
		skip(); /* their own threads are among them */
	/* The kernel releases what others have closed when it likes, and keeps what they read. */
	mount_again(bed, "loops=4");
	for (unsigned i = 0; i < 4; i++)
		files[i] = open_file(remote(bed, file_name(i)));
	assert_int_equal(count_loops(bed, before), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pread(files[i], bytes, PAGE, 3 << 20), PAGE);
		close(files[i]);
	}
	/* Each has been woken for something: that is counted when it goes to sleep again. */
	for (unsigned i = 0, ms = 0; i < 4 && ms < 5000; ms++) {
		assert_int_equal(count_loops(bed, after), 4);
		for (i = 0; i < 4 && after[i] > before[i]; i++)
			;
		usleep(1000);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(after[i] > before[i]);
}

static void all_loops_of_an_idle_mount_sleep(void **state)
{
	const struct bed *bed = *state;
	uint64_t before[LOOPS_MAX], after[LOOPS_MAX];

	if (WITH_SANITIZER)
		skip(); /* their own threads wake up */
	run_children(bed, READERS, compare_all);
	usleep(300000); /* the last close, and what libcurl has to tidy up */
	assert_int_equal(count_loops(bed, before), 4);
	usleep(1500000);
	assert_int_equal(count_loops(bed, after), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(after[i], before[i]);
}

/* ---- memory ------------------------------------------------------------------------------- */

static uint64_t server_anonymous_kib(const struct bed *bed)
{
	char path[64], line[256];
	uint64_t kib = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", bed->server);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		(void)sscanf(line, "RssAnon: %ju", &kib);
	fclose(status);
	return kib;
}

static int read_own(const struct bed *bed, unsigned number)
{
	const unsigned char *truth = map_or_exit(local(bed, file_name(number)));

	return compare_by_reading(truth, remote(bed, file_name(number)), 1 << 17);
}

/* Answers take long, so that all streams read far ahead, and come slowly, so that none is over. */
static void the_memory_limit_is_one_for_all_loops(void **state)
{
	enum { LIMIT_KIB = 8 << 10, WAITED_KIB = READERS << 10, SLACK_KIB = 4 << 10 };
	struct bed *bed = *state;
	pid_t children[READERS];
	uint64_t before, most = 0;
	int status;

	if (WITH_SANITIZER)
		skip(); /* their memory is not the mount's */
	mount_again(bed, "loops=4,memory=8M");
	assert_same_file(bed, "main");
	before = server_anonymous_kib(bed);
	bed_set_script(bed, "path=/f* : delay=20ms rate=1MB");
	start_children(bed, children, READERS, read_own);
	for (int i = 0; i < 150; i++) {
		uint64_t now = server_anonymous_kib(bed);

		most = now > most ? now : most;
		usleep(20000);
	}
	for (unsigned i = 0; i < READERS; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
	}
	if (most - before > LIMIT_KIB + WAITED_KIB + SLACK_KIB)
		fail_msg("%ju KiB, and %ju KiB before", most, before);
}

/* ---- who waits ---------------------------------------------------------------------------- */

static const char *const stall = "path=/f* range=1M-6M : stall=0";

static int read_page(const struct bed *bed, unsigned number)
{
	cleanup_fd int fd = open_or_exit(remote(bed, file_name(number)));
	char bytes[PAGE];

	return pread(fd, bytes, sizeof bytes, 3 << 20) == sizeof bytes ? 0 : errno;
}

static int touch_page(const struct bed *bed, unsigned number)
{
	const volatile unsigned char *map = map_or_exit(remote(bed, file_name(number)));

	/* The kernel asks for this page alone, and the fault waits for it. */
	madvise((void *)map, BYTES, MADV_RANDOM);
	(void)map[3 << 20];
	return 0;
}

static int read_or_touch(const struct bed *bed, unsigned number)
{
	return number % 2 ? touch_page(bed, number) : read_page(bed, number);
}

/* Until each has opened its own file and asked for a page that does not come. */
static void start_waiting(const struct bed *bed, pid_t *children, unsigned count)
{
	uint64_t asks;

	bed_set_script(bed, stall);
	asks = bed_stat(bed, "requests") + 2 * count;
	start_children(bed, children, count, read_or_touch);
	while (bed_stat(bed, "requests") < asks)
		usleep(2000);
}

static void killed_readers_are_gone_at_once(void **state)
{
	const struct bed *bed = *state;
	int first = open_file(remote(bed, "main"));
	pid_t children[READERS];
	int status;

	start_waiting(bed, children, READERS);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(kill(children[i], i % 3 ? SIGKILL : SIGTERM), 0);
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_true(WIFSIGNALED(status));
	}
	/* Others are served; what the stalled connections have will be asked for again in time. */
	bed_set_script(bed, "");
	for (unsigned i = READERS; i < FILES; i++)
		assert_same_file(bed, file_name(i));
	close(first);
}

/* A kill and an answer at the same time: whoever comes first, others are not disturbed. */
static void readers_are_killed_while_they_are_answered(void **state)
{
	const struct bed *bed = *state;
	int first = open_file(remote(bed, "main"));
	pid_t children[READERS];
	int status;

	for (useconds_t round = 0; round < 20; round++) {
		start_children(bed, children, READERS, compare_all);
		usleep(1000 + round * 1500);
		/* The last one lives, on files that the others have open, too. */
		for (unsigned i = 0; i < READERS - 1; i++)
			assert_int_equal(kill(children[i], SIGKILL), 0);
		for (unsigned i = 0; i < READERS - 1; i++)
			waitpid(children[i], &status, 0);
		end_children(&children[READERS - 1], 1);
	}
	close(first);
}

static void an_unmount_ends_the_waiting_on_all_loops(void **state)
{
	struct bed *bed = *state;
	int first = open_file(remote(bed, "main"));
	pid_t children[READERS];
	int status;

	start_waiting(bed, children, READERS);
	bed_unmount(bed);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_not_equal(status, 0);
	}
	close(first);
}

static void an_unmount_amid_reads(void **state)
{
	struct bed *bed = *state;
	pid_t children[READERS];
	int status;

	for (useconds_t round = 0; round < 10; round++) {
		start_children(bed, children, READERS, open_and_close_or_compare);
		usleep(1000 + round * 2000);
		bed_unmount(bed);
		for (unsigned i = 0; i < READERS; i++)
			assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		bed_mount(bed, "/", options);
	}
}

/* ---- objects that change ------------------------------------------------------------------ */

static void replace(const struct bed *bed, const char *name, unsigned seed)
{
	bed_add_file(bed, ".new", BYTES, seed);
	assert_int_equal(rename(local(bed, ".new"), local(bed, name)), 0);
}

/* What is read ahead has to find room, so that most of a file is never here before it changes. */
#define TIGHT ",timeout=100s,metadata-ttl=3600s,memory=1M"

/*
 * Reads in order until the change is noticed: old bytes, then ESTALE. Then the name must be the new
 * version's at once, while the old one is still open, and though the listing is believed for long.
 */
static void read_until_stale(const struct bed *bed, int flags, useconds_t pause_us)
{
	enum { STEP = 1 << 16, CHANGE_AT = 1 << 20 };
	int first = open_file(remote(bed, "main"));
	cleanup_fd int fd = open(remote(bed, "f1"), O_RDONLY | O_CLOEXEC | flags);
	const unsigned char *old = map_or_exit(local(bed, "f1"));
	unsigned char *bytes = aligned_alloc(PAGE, STEP);
	bool changed = false;
	ssize_t count = 0;

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (size_t at = 0; at < BYTES; at += (size_t)count) {
		if (at >= CHANGE_AT && !changed)
			replace(bed, "f1", 50);
		changed = at >= CHANGE_AT;
		if (changed)
			usleep(pause_us);
		count = pread(fd, bytes, STEP, (off_t)at);
		if (count <= 0)
			break;
		assert_memory_equal(bytes, old + at, (size_t)count);
	}
	assert_int_equal(count, -1);
	assert_int_equal(errno, ESTALE);
	assert_same_file(bed, "f1");
	free(bytes);
	munmap((void *)old, BYTES);
	close(first);
}

static void a_changed_object_is_opened_anew_at_once(void **state)
{
	mount_again(*state, "loops=4" TIGHT);
	read_until_stale(*state, 0, 0);
}

/* Nobody waited for the pages that could not be had: who reads next is told, and it is known. */
static void a_change_that_readahead_meets_is_known_too(void **state)
{
	mount_again(*state, "loops=4" TIGHT);
	read_until_stale(*state, O_DIRECT, 20000);
}

/* The same where nothing is handed over. */
static void a_change_that_readahead_meets_on_the_main_loop(void **state)
{
	struct bed *bed = *state;

	mount_again(bed, "loops=1" TIGHT);
	read_until_stale(bed, O_DIRECT, 20000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_readers_of_many_files),
		TEST(many_readers_with_little_memory),
		TEST(many_readers_on_one_loop),
		TEST(many_readers_of_a_failing_server),
		TEST(files_come_and_go_while_others_are_read),
		TEST(there_are_as_many_threads_as_asked_for),
		TEST(open_files_are_spread_over_all_loops),
		TEST(all_loops_of_an_idle_mount_sleep),
		TEST(the_memory_limit_is_one_for_all_loops),
		TEST(killed_readers_are_gone_at_once),
		TEST(readers_are_killed_while_they_are_answered),
		TEST(an_unmount_ends_the_waiting_on_all_loops),
		TEST(an_unmount_amid_reads),
		TEST(a_changed_object_is_opened_anew_at_once),
		TEST(a_change_that_readahead_meets_is_known_too),
		TEST(a_change_that_readahead_meets_on_the_main_loop),
	};

	bed_require_fuse();
	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
