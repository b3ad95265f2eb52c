/* stage.c - see stage.h. */
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define OBJECTS_MAX 101000
#define KEYS_BYTES (16 << 20)

struct bucket *bucket;
struct bucket_mount mount;

int stage_set_up(void **state)
{
	(void)state;
	bucket = bucket_create(OBJECTS_MAX, KEYS_BYTES);
	return 0;
}

int stage_tear_down(void **state)
{
	(void)state;
	bucket_clean(&mount);
	bucket_destroy(bucket);
	return 0;
}

void add(const char *key, uint64_t size, unsigned seed)
{
	bucket_add(bucket, key, strlen(key), size, seed);
	bucket_sort(bucket);
}

void start(const struct fs_options *options)
{
	struct fs_options usual = bucket_options();

	bucket_mount(bucket, &mount, options ? options : &usual);
	bucket_reset_counts(bucket);
}

const char *path(const char *name)
{
	return bucket_path(&mount, name);
}

void assert_file(const char *name, uint64_t size, unsigned seed)
{
	cleanup_fd int fd = open(path(name), O_RDONLY | O_CLOEXEC);
	unsigned char byte;
	struct stat status;

	if (fd < 0)
		fail_msg("open: %s: %s", name, strerror(errno));
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, size);
	for (uint64_t at = 0; at < size; at += 1 + size / 10) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		assert_int_equal(byte, bucket_byte(seed, at));
	}
}

void assert_directory(const char *name)
{
	struct stat status;

	if (stat(path(name), &status) < 0)
		fail_msg("stat: %s: %s", name, strerror(errno));
	assert_true(S_ISDIR(status.st_mode));
}

void assert_missing(const char *name)
{
	assert_int_equal(access(path(name), F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* But for the dots. */
size_t count_names(const char *directory)
{
	DIR *open_directory = opendir(path(directory));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(open_directory);
	while ((errno = 0, entry = readdir(open_directory)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	assert_int_equal(errno, 0);
	closedir(open_directory);
	return count;
}

pid_t stat_begin(const char *name, uint64_t size)
{
	struct stat status;
	pid_t process;

	fflush(NULL);
	process = fork();
	assert_true(process >= 0);
	if (process == 0)
		_exit(stat(path(name), &status) < 0 ? errno : (uint64_t)status.st_size != size);
	return process;
}

int stat_end(pid_t process)
{
	int status;

	assert_int_equal(waitpid(process, &status, 0), process);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

size_t find(const char *name)
{
	DIR *directory = opendir(path(name));
	struct dirent *entry;
	struct stat status;
	size_t count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		char below[300];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof below, "%s%s%s", name, *name ? "/" : "", entry->d_name);
		assert_int_equal(stat(path(below), &status), 0);
		count += S_ISDIR(status.st_mode) ? find(below) : 1;
	}
	closedir(directory);
	return count;
}
