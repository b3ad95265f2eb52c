/* change_test.c - objects that change: old bytes or ESTALE, never a mixture. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fixture.h"

#define SIZE ((size_t)4 << 20)
#define CHUNK 65536

static int set_up(void **state)
{
	static struct bed bed;

	bed_start(&bed, true, NULL);
	bed_add_file(&bed, "a", SIZE, 1);
	bed_mount(&bed, "/", "metadata-ttl=0,negative-ttl=0");
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	bed_finish(*state);
	return 0;
}

static unsigned char *read_local(const struct bed *bed, const char *name, size_t size)
{
	cleanup_fd int fd = open_file(local(bed, name));
	unsigned char *bytes = malloc(size);

	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, size, 0), size);
	return bytes;
}

/* Replaced, as a server's files are: not written over. */
static void replace(const struct bed *bed, size_t size, unsigned seed)
{
	bed_add_file(bed, ".new", size, seed);
	assert_int_equal(rename(local(bed, ".new"), local(bed, "a")), 0);
}

/* F2: what comes is the old version's, until ESTALE and for ever after. */
static void a_change_while_open(void **state)
{
	const struct bed *bed = *state;
	unsigned char *old = read_local(bed, "a", SIZE), bytes[CHUNK];
	cleanup_fd int fd = open_file(remote(bed, "a"));
	bool stale = false;

	assert_int_equal(pread(fd, bytes, CHUNK, 0), CHUNK);
	assert_memory_equal(bytes, old, CHUNK);
	replace(bed, SIZE, 2);
	for (size_t at = 0; at < SIZE; at += CHUNK) {
		ssize_t count = pread(fd, bytes, CHUNK, (off_t)at);

		if (count < 0) {
			assert_int_equal(errno, ESTALE);
			stale = true;
			continue;
		}
		assert_int_equal(count, CHUNK);
		assert_memory_equal(bytes, old + at, CHUNK);
	}
	assert_true(stale);
	/* The name is the new version's. */
	assert_same_file(bed, "a");
	free(old);
}

/* F3 */
static void a_mapping_never_mixes(void **state)
{
	const struct bed *bed = *state;
	unsigned char *old = read_local(bed, "a", SIZE);
	cleanup_fd int fd = open_file(remote(bed, "a"));
	const unsigned char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_memory_equal(map, old, SIZE / 2);
	replace(bed, SIZE, 2);
	assert_same_file(bed, "a");
	/* The first half is in the page cache, and stays. */
	assert_memory_equal(map, old, SIZE / 2);
	munmap((void *)map, SIZE);
	free(old);
}

/* 0, or 128 + the signal that this ended with. */
static int touch_in_child(const volatile unsigned char *address)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGBUS, SIG_DFL); /* cmocka would catch it */
		(void)*address;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static ino_t inode_of(const struct bed *bed, const char *name)
{
	struct stat status;

	assert_int_equal(stat(remote(bed, name), &status), 0);
	return status.st_ino;
}

/* F4: the change was met by readahead, and nobody has read there. */
static void an_open_of_what_readahead_found_changed(void **state)
{
	const struct bed *bed = *state;
	cleanup_fd int fd = open_file(remote(bed, "a"));
	ino_t inode = inode_of(bed, "a");
	unsigned char bytes[CHUNK];

	/* Who reads is the mount, not the kernel, and what it reads ahead is of another version. */
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	bed_set_script(bed, "range=512K-4M : etag=\"\\\"other\\\"\"");
	for (off_t at = 0; at < 7 * CHUNK; at += CHUNK)
		assert_int_equal(pread(fd, bytes, CHUNK, at), CHUNK);
	for (int ms = 0; ms < 10000 && inode_of(bed, "a") == inode; ms++)
		usleep(1000);
	bed_set_script(bed, "");
	assert_int_not_equal(inode_of(bed, "a"), inode);
	assert_same_file(bed, "a");
	/* Who had it open goes on with what is here, and no further. */
	assert_int_equal(pread(fd, bytes, CHUNK, SIZE - CHUNK), -1);
	assert_int_equal(errno, ESTALE);
}

/* F3: pages that were never fetched, and that nothing was read ahead for. */
static void a_mapping_of_an_object_that_is_gone(void **state)
{
	const struct bed *bed = *state;
	cleanup_fd int fd = open_file(remote(bed, "a"));
	unsigned char *old = read_local(bed, "a", SIZE);
	const unsigned char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(madvise((void *)map, SIZE, MADV_RANDOM), 0);
	assert_memory_equal(map, old, CHUNK / 16);
	replace(bed, SIZE, 2);
	assert_int_equal(touch_in_child(map + SIZE - CHUNK), 128 + SIGBUS);
	assert_int_equal(touch_in_child(map), 0);
	assert_memory_equal(map, old, CHUNK / 16);
	assert_same_file(bed, "a");
	munmap((void *)map, SIZE);
	free(old);
}

/* F4 */
static void a_change_between_opens(void **state)
{
	const struct bed *bed = *state;

	for (unsigned seed = 2; seed < 6; seed++) {
		assert_same_file(bed, "a");
		replace(bed, SIZE - (seed & 1), seed);
	}
	assert_same_file(bed, "a");
}

/* Only the server's validator tells: size and listed time are the same. */
static void a_change_that_the_listing_does_not_show(void **state)
{
	const struct bed *bed = *state;
	struct stat before, after;

	assert_same_file(bed, "a");
	assert_int_equal(stat(remote(bed, "a"), &before), 0);
	replace(bed, SIZE, 2);
	bed_add_file(bed, "same-time", 1, 1);
	assert_int_equal(stat(local(bed, "same-time"), &after), 0);
	{
		struct timespec times[2] = {after.st_mtim, after.st_mtim};

		times[0].tv_nsec = times[1].tv_nsec = 5;
		assert_int_equal(utimensat(AT_FDCWD, local(bed, "a"), times, 0), 0);
	}
	assert_same_file(bed, "a");
	assert_int_equal(stat(remote(bed, "a"), &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
}

static void an_inode_keeps_its_attributes(void **state)
{
	const struct bed *bed = *state;
	cleanup_fd int fd = open_file(remote(bed, "a"));
	struct stat before, after, named;

	assert_int_equal(fstat(fd, &before), 0);
	replace(bed, SIZE / 2, 2);
	assert_int_equal(stat(remote(bed, "a"), &named), 0);
	assert_int_equal(named.st_size, SIZE / 2);
	assert_int_not_equal(named.st_ino, before.st_ino);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mtime, before.st_mtime);
}

static void an_unchanged_file_keeps_its_inode_and_pages(void **state)
{
	const struct bed *bed = *state;
	struct stat before, after;
	uint64_t bytes;

	assert_same_file(bed, "a");
	assert_int_equal(stat(remote(bed, "a"), &before), 0);
	bytes = bed_stat(bed, "body_bytes");
	assert_same_file(bed, "a");
	assert_int_equal(stat(remote(bed, "a"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	/* Listings, and what came with the probe; not the file. */
	assert_true(bed_stat(bed, "body_bytes") - bytes < SIZE / 10);
}

static void a_file_that_comes_and_goes(void **state)
{
	const struct bed *bed = *state;

	assert_int_equal(access(remote(bed, "b"), F_OK), -1);
	assert_int_equal(errno, ENOENT);
	bed_add_file(bed, "b", 5000, 3);
	assert_same_file(bed, "b");
	assert_int_equal(unlink(local(bed, "b")), 0);
	assert_int_equal(open(remote(bed, "b"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	/* A directory in its place. */
	bed_add_directory(bed, "b");
	bed_add_file(bed, "b/c", 5000, 4);
	assert_same_file(bed, "b/c");
}

/* The listing is believed, but the file has gone. */
static void a_listed_file_that_is_gone(void **state)
{
	struct bed *bed = *state;

	bed_unmount(bed);
	bed_mount(bed, "/", "metadata-ttl=3600s");
	assert_int_equal(access(remote(bed, "a"), R_OK), 0);
	assert_int_equal(unlink(local(bed, "a")), 0);
	assert_int_equal(open(remote(bed, "a"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
}

/* The same for one that has another size: the open succeeds, with what is there now. */
static void a_listed_file_that_has_changed(void **state)
{
	struct bed *bed = *state;
	struct stat status;

	bed_unmount(bed);
	bed_mount(bed, "/", "metadata-ttl=3600s");
	assert_int_equal(stat(remote(bed, "a"), &status), 0);
	replace(bed, 12345, 2);
	assert_same_file(bed, "a");
	assert_int_equal(stat(remote(bed, "a"), &status), 0);
	assert_int_equal(status.st_size, 12345);
}

static void errors_of_opens(void **state)
{
	static const struct {
		const char *script;
		int err;
	} cases[] = {
		{"path=/a : status=403", EACCES},
		{"path=/a : status=404", ENOENT},
		{"path=/a : status=410", ENOENT},
		{"path=/a : ignore-range", ENOTSUP},
		{"path=/a : shift=1", EPROTO},
	};
	const struct bed *bed = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bed_set_script(bed, cases[i].script);
		assert_int_equal(open(remote(bed, "a"), O_RDONLY), -1);
		if (errno != cases[i].err)
			fail_msg("%s: %s", cases[i].script, strerror(errno));
	}
	bed_set_script(bed, "");
	assert_same_file(bed, "a");
}

/* The pages that can't be had fail; the others don't, and later all is well. */
static void errors_of_reads(void **state)
{
	const struct bed *bed = *state;
	cleanup_fd int fd = open_file(remote(bed, "a"));
	char bytes[4096];

	bed_set_script(bed, "path=/a range=1M-4M : status=403");
	assert_int_equal(pread(fd, bytes, sizeof bytes, 2 << 20), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 100000), sizeof bytes);
	bed_set_script(bed, "");
	assert_same_file(bed, "a");
}

static void a_listing_that_fails(void **state)
{
	const struct bed *bed = *state;

	bed_set_script(bed, "path=/ : status=403");
	assert_int_equal(access(remote(bed, "a"), F_OK), -1);
	assert_int_equal(errno, EACCES);
	bed_set_script(bed, "path=/ : body=\"no index\" header=\"Content-Type: text/plain\"");
	assert_int_equal(access(remote(bed, "a"), F_OK), -1);
	assert_int_equal(errno, EPROTO);
	bed_set_script(bed, "");
	assert_same_file(bed, "a");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_change_while_open),
		TEST(a_mapping_never_mixes),
		TEST(a_mapping_of_an_object_that_is_gone),
		TEST(an_open_of_what_readahead_found_changed),
		TEST(a_change_between_opens),
		TEST(a_change_that_the_listing_does_not_show),
		TEST(an_inode_keeps_its_attributes),
		TEST(an_unchanged_file_keeps_its_inode_and_pages),
		TEST(a_file_that_comes_and_goes),
		TEST(a_listed_file_that_is_gone),
		TEST(a_listed_file_that_has_changed),
		TEST(errors_of_opens),
		TEST(errors_of_reads),
		TEST(a_listing_that_fails),
	};

	bed_require_fuse();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
