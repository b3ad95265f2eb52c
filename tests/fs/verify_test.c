/* verify_test.c - files whose bytes can be checked: what a manifest says of them, and a server that
 * serves other bytes under the same ETag. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "digest.h"
#include "fixture.h"

#define SIZE ((size_t)3 << 20)
#define HASHED ((size_t)256 << 10)
#define CHUNK 65536

static unsigned char *oracle;

/* "a" of the bed, as "blocks" with hashes and as "whole" with a checksum. */
static void write_manifest(const struct bed *bed)
{
	static unsigned char hashes[SIZE / HASHED * 32], text[2 * sizeof hashes];
	char whole[DIGEST_TEXT_MAX];
	struct digest digest;
	FILE *file = fopen(local(bed, "list"), "we");

	assert_non_null(file);
	for (size_t i = 0; i < SIZE / HASHED; i++) {
		assert_int_equal(
			digest_make(DIGEST_SHA256, oracle + i * HASHED, HASHED, &digest), 0);
		memcpy(hashes + i * 32, digest.bytes, 32);
	}
	EVP_EncodeBlock(text, hashes, sizeof hashes);
	assert_int_equal(digest_make(DIGEST_CRC32C, oracle, SIZE, &digest), 0);
	fprintf(file,
		"{\"path\":\"blocks\",\"url\":\"a\",\"size\":%zu,\"block_size\":%zu,"
		"\"block_hashes\":\"sha256:%s\"}\n"
		"{\"path\":\"whole\",\"url\":\"a\",\"size\":%zu,\"digest\":\"%s\"}\n",
		SIZE, HASHED, (char *)text, SIZE, digest_print(&digest, whole));
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	static struct bed bed;
	int fd;

	bed_start(&bed, true, NULL);
	bed_add_file(&bed, "a", SIZE, 1);
	fd = open_file(local(&bed, "a"));
	oracle = malloc(SIZE);
	assert_non_null(oracle);
	assert_int_equal(read(fd, oracle, SIZE), SIZE);
	close(fd);
	write_manifest(&bed);
	bed_mount_manifest(&bed, "/list", "metadata-ttl=0");
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	free(oracle);
	bed_finish(*state);
	return 0;
}

/* Reads all of it: how many bytes failed with EIO; the others are the oracle's. */
static size_t failed_bytes(const struct bed *bed, const char *name)
{
	cleanup_fd int fd = open_file(remote(bed, name));
	static unsigned char bytes[CHUNK];
	size_t failed = 0;

	for (size_t at = 0; at < SIZE; at += CHUNK) {
		ssize_t count = pread(fd, bytes, CHUNK, (off_t)at);

		if (count < 0) {
			assert_int_equal(errno, EIO);
			failed += CHUNK;
			continue;
		}
		/* Some of it may be in the page cache, before what fails. */
		assert_memory_equal(bytes, oracle + at, (size_t)count);
		failed += CHUNK - (size_t)count;
	}
	return failed;
}

/* F10 */
static void a_wrong_block_is_never_read(void **state)
{
	const struct bed *bed = *state;

	/* Whatever is asked for from there on has a wrong byte at its beginning. */
	bed_set_script(bed, "path=/a range=512K-1T : corrupt=100");
	assert_true(failed_bytes(bed, "blocks") > 0);
	bed_set_script(bed, "");
	assert_int_equal(failed_bytes(bed, "blocks"), 0);
}

/* F10 */
static void all_but_one_of_the_blocks_are_read(void **state)
{
	const struct bed *bed = *state;
	cleanup_fd int fd = open_file(remote(bed, "blocks"));
	static unsigned char bytes[CHUNK];

	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	bed_set_script(bed, "path=/a range=1M-1100K : corrupt=100");
	/* Its last page is right, but not known to be. */
	assert_int_equal(pread(fd, bytes, 4096, (off_t)((1 << 20) + HASHED - 4096)), -1);
	assert_int_equal(errno, EIO);
	for (size_t at = 0; at < SIZE; at += HASHED) {
		if (at == 1 << 20)
			continue;
		assert_int_equal(pread(fd, bytes, 4096, (off_t)at + 4096), 4096);
		assert_memory_equal(bytes, oracle + at + 4096, 4096);
	}
}

/* F10 */
static void a_wrong_whole_is_never_read_wholly(void **state)
{
	const struct bed *bed = *state;
	unsigned char *bytes = malloc(SIZE);
	struct stat before, after;
	ssize_t count, all = 0;
	int fd = open_file(remote(bed, "whole"));

	assert_non_null(bytes);
	assert_int_equal(fstat(fd, &before), 0);
	bed_set_script(bed, "path=/a : corrupt=100");
	while ((count = read(fd, bytes + all, SIZE - (size_t)all)) > 0)
		all += count;
	assert_int_equal(count, -1);
	assert_int_equal(errno, EIO);
	assert_true(all < (ssize_t)SIZE);
	close(fd);
	/* Another inode: nothing of the old one's pages is shown to who opens it anew. */
	bed_set_script(bed, "");
	assert_int_equal(failed_bytes(bed, "whole"), 0);
	assert_int_equal(stat(remote(bed, "whole"), &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_wrong_block_is_never_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			all_but_one_of_the_blocks_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_wrong_whole_is_never_read_wholly, set_up, tear_down),
	};

	bed_require_fuse();
	return run_group(tests);
}
