/* read_test.c - what is read through a mount is what is in the local files, however it is read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fixture.h"

#define BIG_BYTES ((size_t)20 << 20 | 1234) /* more than any readahead window; an odd end */

static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 16384, 16385, 262143, 262144, 262145};

static int set_up(void **state)
{
	static struct bed bed;
	char name[32];

	bed_start(&bed, false, NULL);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		snprintf(name, sizeof name, "f%zu", sizes[i]);
		bed_add_file(&bed, name, sizes[i], (unsigned)i);
	}
	bed_add_file(&bed, "big", BIG_BYTES, 99);
	bed_mount(&bed, "/", NULL);
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	bed_finish(*state);
	return 0;
}

static void whole_files_of_all_sizes(void **state)
{
	const struct bed *bed = *state;
	char name[32];

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		snprintf(name, sizeof name, "f%zu", sizes[i]);
		assert_same_file(bed, name);
	}
	assert_same_file(bed, "big");
	assert_same_file(bed, "big"); /* out of the page cache */
}

static const unsigned char *map_local(const struct bed *bed, const char *name)
{
	cleanup_fd int fd = open_file(local(bed, name));
	void *map = mmap(NULL, BIG_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	return map;
}

/* The page cache is passed by, so that offsets and lengths arrive as they are. */
static void reads_at_random(const struct bed *bed, int flags, unsigned seed)
{
	const unsigned char *truth = map_local(bed, "big");
	cleanup_fd int fd = open(remote(bed, "big"), O_RDONLY | O_CLOEXEC | flags);
	unsigned char *bytes = aligned_alloc(4096, 3 << 20);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (int i = 0; i < 300; i++) {
		size_t offset = (size_t)rand_r(&seed) % (BIG_BYTES + 5000);
		size_t size = (size_t)rand_r(&seed) % (i % 10 == 0 ? 3 << 20 : 20000) + 1;
		size_t left = offset < BIG_BYTES ? BIG_BYTES - offset : 0;
		ssize_t count = pread(fd, bytes, size, (off_t)offset);

		assert_int_equal(count, size < left ? size : left);
		if (count > 0)
			assert_memory_equal(bytes, truth + offset, (size_t)count);
	}
	free(bytes);
	munmap((void *)truth, BIG_BYTES);
}

static void random_reads(void **state)
{
	reads_at_random(*state, 0, 1);
}

/* F8 */
static void random_direct_reads(void **state)
{
	reads_at_random(*state, O_DIRECT, 2);
}

static void reading_past_the_end(void **state)
{
	cleanup_fd int fd = open_file(remote(*state, "f4097"));
	char bytes[8192];

	assert_int_equal(pread(fd, bytes, sizeof bytes, 4096), 1);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 4097), 0);
	assert_int_equal(pread(fd, bytes, sizeof bytes, (off_t)1 << 50), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4097);
}

static void touches_of_a_mapping(void **state)
{
	const struct bed *bed = *state;
	const unsigned char *truth = map_local(bed, "big"), *map;
	cleanup_fd int fd = open_file(remote(bed, "big"));
	unsigned seed = 3;

	map = mmap(NULL, BIG_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(madvise((void *)map, BIG_BYTES, MADV_RANDOM), 0);
	for (int i = 0; i < 1000; i++) {
		size_t at = (size_t)rand_r(&seed) % BIG_BYTES;

		assert_int_equal(map[at], truth[at]);
	}
	/* The rest of the last page is zeros. */
	for (size_t at = BIG_BYTES; at % 4096 != 0; at++)
		assert_int_equal(map[at], 0);
	assert_memory_equal(map, truth, BIG_BYTES);
	munmap((void *)map, BIG_BYTES);
	munmap((void *)truth, BIG_BYTES);
}

/* Each child reads all in its own order: forwards, backwards, in strides. */
static void read_in_order(const struct bed *bed, size_t child)
{
	enum { STEP = 100000 };
	const unsigned char *truth = map_local(bed, "big");
	size_t steps = BIG_BYTES / STEP;
	int fd = open_file(remote(bed, "big"));
	static unsigned char bytes[STEP];

	for (size_t i = 0; i < steps; i++) {
		size_t step = child == 0 ? i : child == 1 ? steps - 1 - i : i * 37 % steps;
		off_t offset = (off_t)(step * STEP);

		if (pread(fd, bytes, STEP, offset) != STEP ||
			memcmp(bytes, truth + offset, STEP) != 0)
			_exit(1);
	}
	_exit(0);
}

static void several_readers_of_one_file(void **state)
{
	enum { CHILDREN = 6 };
	pid_t children[CHILDREN];
	int status;

	fflush(NULL);
	for (size_t i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0)
			read_in_order(*state, i);
	}
	for (size_t i = 0; i < CHILDREN; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
}

static void a_small_memory_limit_is_enough(void **state)
{
	struct bed *bed = *state;

	bed_unmount(bed);
	bed_mount(bed, "/", "memory=1M");
	assert_same_file(bed, "big");
	several_readers_of_one_file(state);
	bed_unmount(bed);
	bed_mount(bed, "/", NULL);
}

static void a_failing_server_is_asked_again(void **state)
{
	struct bed *bed = *state;

	bed_set_script(bed, "path=/big every=3 : status=503\npath=/big every=5 : truncate=10000");
	bed_unmount(bed);
	bed_mount(bed, "/", NULL);
	assert_same_file(bed, "big");
	bed_set_script(bed, "");
}

/* T4: what the index page told the size of. */
static void a_short_file_is_one_request(void **state)
{
	struct bed *bed = *state;
	struct stat status;
	uint64_t before;

	bed_unmount(bed);
	bed_add_file(bed, "short", 131072, 9);
	bed_mount(bed, "/", "metadata-ttl=600s");
	assert_int_equal(stat(remote(bed, "short"), &status), 0);
	before = bed_stat(bed, "ranged_requests");
	assert_same_file(bed, "short");
	assert_int_equal(bed_stat(bed, "ranged_requests") - before, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_files_of_all_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_direct_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reading_past_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(touches_of_a_mapping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(several_readers_of_one_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_small_memory_limit_is_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failing_server_is_asked_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_short_file_is_one_request, set_up, tear_down),
	};

	bed_require_fuse();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
