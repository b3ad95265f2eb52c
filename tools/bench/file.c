/*
 * file.c - the engines that read a file: on our own mount (fuse-*), which runs in a child as
 * `pagein mount -f` and so is what users get, or on any other file system (path-*).
 *
 * Cold is what posix_fadvise(POSIX_FADV_DONTNEED) makes of the page cache before each run. Random
 * accesses are announced as such (POSIX_FADV_RANDOM, MADV_RANDOM), so that the kernel's readahead,
 * which is the same for every file system, is not what is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "cleanup.h"

#define FUSE_SUPER_MAGIC 0x65735546 /* statfs(2) */
#define MOUNT_WAIT_MS 10000

extern char **environ;

struct file_state {
	char directory[64]; /* our mount's; "" if there is none */
	char path[512];
	pid_t child;
};

static int file_fail(struct bench_session *session, int err, const char *what)
{
	snprintf(session->error, sizeof session->error, "%.160s: %s", what, strerrordesc_np(-err));
	return err;
}

/* ---- the mount ---------------------------------------------------------------------------- */

static int wait_for_mount(struct file_state *state)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000000};
	struct statfs statfs_result;

	for (int waited_ms = 0; waited_ms < MOUNT_WAIT_MS; waited_ms += 10) {
		if (statfs(state->directory, &statfs_result) == 0 &&
			statfs_result.f_type == FUSE_SUPER_MAGIC)
			return 0;
		if (waitpid(state->child, NULL, WNOHANG) == state->child) {
			state->child = 0;
			return -EIO;
		}
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

static void fuse_finish(struct bench_session *session)
{
	struct file_state *state = session->state;

	if (state->child > 0) {
		kill(state->child, SIGTERM);
		waitpid(state->child, NULL, 0);
	}
	if (state->directory[0] != '\0')
		rmdir(state->directory);
	free(state);
}

/* Up to two arguments for each that was given. */
static size_t source_arguments(const struct options *options, const char **to)
{
	const struct s3_options *s3 = &options->s3;
	const struct {
		const char *name, *value;
	} rows[] = {
		{"--profile", s3->profile},
		{"--region", s3->region},
		{"--endpoint-url", s3->endpoint},
		{"--addressing-style", s3->addressing},
		{"--netrc-file", options->netrc_file},
		{"--token-file", options->token_file},
	};
	size_t used = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!rows[i].value)
			continue;
		to[used++] = rows[i].name;
		to[used++] = rows[i].value;
	}
	if (s3->no_sign_request)
		to[used++] = "--no-sign-request";
	if (s3->requester_pays)
		to[used++] = "--requester-pays";
	return used;
}

static int fuse_prepare(struct bench_session *session, const struct options *options)
{
	struct file_state *state = calloc(1, sizeof *state);
	const char *name = strrchr(session->target->path, '/') + 1;
	char connections[32], spin[32], loops[32];
	/* Room for all of source_arguments(), the two operands and the NULL. */
	const char *arguments[9 + 14 + 3] = {"pagein", "mount", "-f", "--connections", connections,
		"--spin", spin, "--loops", loops};
	size_t count = 9;
	int err;

	if (!state)
		return -ENOMEM;
	session->state = state;
	snprintf(connections, sizeof connections, "%llu", (unsigned long long)options->connections);
	snprintf(spin, sizeof spin, "%lluus", (unsigned long long)options->spin_ns / 1000);
	snprintf(loops, sizeof loops, "%llu", (unsigned long long)options->loops);
	strcpy(state->directory, "/tmp/pagein-bench-XXXXXX");
	if (!mkdtemp(state->directory)) {
		state->directory[0] = '\0';
		return file_fail(session, -errno, "mkdtemp");
	}
	count += source_arguments(options, arguments + count);
	arguments[count++] = session->target->url;
	arguments[count++] = state->directory;
	snprintf(state->path, sizeof state->path, "%s/%.400s", state->directory, name);
	err = -posix_spawn(
		&state->child, "/proc/self/exe", NULL, NULL, (char *const *)arguments, environ);
	if (err == 0)
		err = wait_for_mount(state);
	return err < 0 ? file_fail(session, err, "pagein mount") : 0;
}

static int path_prepare(struct bench_session *session, const struct options *options)
{
	struct file_state *state;

	if (!options->path)
		return file_fail(session, -EINVAL, "--path FILE is needed");
	state = calloc(1, sizeof *state);
	if (!state)
		return -ENOMEM;
	snprintf(state->path, sizeof state->path, "%s", options->path);
	session->state = state;
	return 0;
}

static void path_finish(struct bench_session *session)
{
	free(session->state);
}

/* ---- the file ----------------------------------------------------------------------------- */

static int file_open(struct bench_session *session, enum pattern pattern)
{
	struct file_state *state = session->state;
	struct stat status;

	session->fd = open(state->path, O_RDONLY | O_CLOEXEC);
	if (session->fd < 0)
		return file_fail(session, -errno, state->path);
	if (fstat(session->fd, &status) < 0 || status.st_size == 0)
		return file_fail(session, -EINVAL, "the file is empty");
	session->size = (uint64_t)status.st_size;
	posix_fadvise(session->fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(session->fd, 0, 0,
		pattern == PATTERN_SEQUENTIAL ? POSIX_FADV_SEQUENTIAL : POSIX_FADV_RANDOM);
	return 0;
}

static void file_close(struct bench_session *session)
{
	close_fd(&session->fd);
	session->fd = -1;
}

static int file_map(struct bench_session *session, enum pattern pattern)
{
	int err = file_open(session, pattern);
	void *memory;

	if (err < 0)
		return err;
	memory = mmap(NULL, session->size, PROT_READ, MAP_SHARED, session->fd, 0);
	if (memory == MAP_FAILED) {
		err = file_fail(session, -errno, "mmap");
		file_close(session);
		return err;
	}
	madvise(memory, session->size,
		pattern == PATTERN_SEQUENTIAL ? MADV_SEQUENTIAL : MADV_RANDOM);
	session->memory = memory;
	return 0;
}

static void file_unmap(struct bench_session *session)
{
	munmap((void *)session->memory, session->size);
	session->memory = NULL;
	file_close(session);
}

/* Of the page cache, whose pages those of any mapping are. */
static int file_resident(
	struct bench_session *session, uint64_t first, uint64_t count, uint8_t *ret)
{
	void *memory = mmap(
		NULL, count * 4096, PROT_READ, MAP_SHARED, session->fd, (off_t)(first * 4096));
	int err;

	if (memory == MAP_FAILED)
		return -errno;
	err = mincore(memory, count * 4096, ret) < 0 ? -errno : 0;
	munmap(memory, count * 4096);
	for (uint64_t i = 0; i < count && err == 0; i++)
		ret[i] &= 1;
	return err;
}

const struct bench_engine bench_fuse_read = {
	.name = "fuse-read",
	.floor = &bench_floor,
	.prepare = fuse_prepare,
	.finish = fuse_finish,
	.resident = file_resident,
	.open = file_open,
	.close = file_close,
};

const struct bench_engine bench_fuse_mmap = {
	.name = "fuse-mmap",
	.floor = &bench_floor,
	.prepare = fuse_prepare,
	.finish = fuse_finish,
	.resident = file_resident,
	.open = file_map,
	.close = file_unmap,
};

const struct bench_engine bench_path_read = {
	.name = "path-read",
	.floor = &bench_floor,
	.needs_path = true,
	.prepare = path_prepare,
	.finish = path_finish,
	.resident = file_resident,
	.open = file_open,
	.close = file_close,
};

const struct bench_engine bench_path_mmap = {
	.name = "path-mmap",
	.floor = &bench_floor,
	.needs_path = true,
	.prepare = path_prepare,
	.finish = path_finish,
	.resident = file_resident,
	.open = file_map,
	.close = file_unmap,
};
