/* data.c - see data.h. A file is written once, and replaced as a whole. */
#include "data.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

#define PIECE_BYTES (1 << 20)

static void write_file(const char *path, size_t size, uint64_t seed)
{
	cleanup_free uint64_t *piece = malloc(PIECE_BYTES);
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_non_null(piece);
	assert_true(fd >= 0);
	seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	while (size > 0) {
		size_t part = size < PIECE_BYTES ? size : PIECE_BYTES;

		for (size_t i = 0; i < PIECE_BYTES / sizeof *piece; i++)
			piece[i] = random_next(&seed);
		assert_int_equal(write(fd, piece, part), part);
		size -= part;
	}
}

void local_make(struct local *local, const struct server *server, const char *name, size_t size,
	uint64_t seed)
{
	cleanup_fd int fd = -1;

	*local = (struct local){.size = size};
	snprintf(local->path, sizeof local->path, "%s/%s", server->root, name);
	write_file(local->path, size, seed);
	if (size == 0)
		return;
	fd = open(local->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	local->bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(local->bytes, MAP_FAILED);
}

void local_overwrite(const struct local *local, uint64_t seed)
{
	char path[sizeof local->path + 8];
	struct timespec times[2] = {{.tv_sec = 1700000000 + (time_t)seed}, {.tv_sec = 1700000000}};

	/* By a rename, so that the old file lives on under the oracle; nginx's ETag has seconds. */
	snprintf(path, sizeof path, "%s.new", local->path);
	write_file(path, local->size, seed);
	times[1].tv_sec += (time_t)seed;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(rename(path, local->path), 0);
}

void local_finish(struct local *local)
{
	if (local->bytes)
		munmap((void *)local->bytes, local->size);
	unlink(local->path);
	local->bytes = NULL;
}
