/*
 * fixture.c - processes and directories of a test. See fixture.h. Test programs are single-threaded
 * when they call it.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "mounts.h"

#define ANSWER_MAX 65536
#define POLL_NS 2000000
#define POLLS_MAX 10000 /* 20 s: only a broken server takes so long */

void bed_require_fuse(void)
{
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		return;
	printf("skipped: /dev/fuse: %s\n", strerror(errno));
	exit(77);
}

static void run(const char *program, const char *argument, const char *path)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		execlp(program, program, argument, path, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

void bed_start(struct bed *bed, bool index_json, const char *script)
{
	struct origin_options options = {.index_json = index_json, .script = script};

	*bed = (struct bed){.base = "/tmp/pagein-fs-XXXXXX"};
	assert_non_null(mkdtemp(bed->base));
	snprintf(bed->www, sizeof bed->www, "%s/www", bed->base);
	snprintf(bed->mnt, sizeof bed->mnt, "%s/mnt", bed->base);
	assert_int_equal(mkdir(bed->www, 0755), 0);
	assert_int_equal(mkdir(bed->mnt, 0755), 0);
	options.root = bed->www;
	assert_int_equal(origin_spawn(&options, &bed->origin), 0);
}

void bed_finish(struct bed *bed)
{
	if (bed->server) {
		kill(bed->server, SIGKILL);
		waitpid(bed->server, NULL, 0);
	}
	while (bed_is_mounted(bed) && umount2(bed->mnt, MNT_DETACH) == 0)
		;
	origin_process_finish(&bed->origin);
	run("rm", "-rf", bed->base);
}

/* ---- local files -------------------------------------------------------------------------- */

const char *local(const struct bed *bed, const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", bed->www, name);
	return path;
}

const char *remote(const struct bed *bed, const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", bed->mnt, name);
	return path;
}

static void set_time(const char *path, unsigned seed)
{
	struct timespec times[2] = {
		{.tv_sec = BED_MTIME + 60 * (time_t)seed},
		{.tv_sec = BED_MTIME + 60 * (time_t)seed},
	};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

void bed_add_file(const struct bed *bed, const char *name, size_t size, unsigned seed)
{
	const char *path = local(bed, name);
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (seed + 1);
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (size_t at = 0; at < size; at += sizeof state) {
		size_t part = size - at < sizeof state ? size - at : sizeof state;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		assert_int_equal(fwrite(&state, 1, part, file), part);
	}
	assert_int_equal(fclose(file), 0);
	set_time(path, seed);
}

void bed_add_directory(const struct bed *bed, const char *name)
{
	assert_int_equal(mkdir(local(bed, name), 0755), 0);
	set_time(local(bed, name), 0);
}

int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_msg("open: %s: %s", path, strerror(errno));
	return fd;
}

void assert_same_file(const struct bed *bed, const char *name)
{
	cleanup_fd int here = open_file(local(bed, name));
	cleanup_fd int there = open_file(remote(bed, name));
	static char a[1 << 16], b[1 << 16];
	off_t offset = 0;
	ssize_t count;

	while ((count = pread(here, a, sizeof a, offset)) > 0) {
		ssize_t done = 0;

		while (done < count) {
			ssize_t part = pread(
				there, b + done, (size_t)(count - done), offset + done);

			if (part <= 0)
				fail_msg("%s: at %jd: %s", name, (intmax_t)(offset + done),
					part < 0 ? strerror(errno) : "end of file");
			done += part;
		}
		assert_memory_equal(a, b, (size_t)count);
		offset += count;
	}
	assert_int_equal(count, 0);
	assert_int_equal(pread(there, b, sizeof b, offset), 0);
}

/* ---- the origin's own pages --------------------------------------------------------------- */

static void ask_origin(const struct bed *bed, const char *request, char answer[ANSWER_MAX])
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(bed->origin.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t length = 0;
	ssize_t count;

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while ((count = read(fd, answer + length, ANSWER_MAX - 1 - length)) > 0)
		length += (size_t)count;
	answer[length] = '\0';
}

void bed_set_script(const struct bed *bed, const char *script)
{
	static char request[8192], answer[ANSWER_MAX];

	snprintf(request, sizeof request,
		"PUT /.origin/script HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		strlen(script), script);
	ask_origin(bed, request, answer);
	if (!strstr(answer, " 204 "))
		fail_msg("script: %s", answer);
}

uint64_t bed_stat(const struct bed *bed, const char *name)
{
	static char answer[ANSWER_MAX];
	char key[64];
	const char *value;

	ask_origin(bed, "GET /.origin/stats HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n",
		answer);
	snprintf(key, sizeof key, "\"%s\":", name);
	value = strstr(answer, key);
	if (!value)
		fail_msg("no %s in %s", name, answer);
	return strtoull(value + strlen(key), NULL, 10);
}

/* ---- the mount ---------------------------------------------------------------------------- */

bool bed_is_mounted(const struct bed *bed)
{
	struct mount_point point;

	return mount_point_find(bed->mnt, &point) == 0 && point.type[0] != '\0';
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
}

static void server_exec(
	const struct bed *bed, const char *kind, const char *path, const char *options)
{
	const char *program = getenv("PAGEIN");
	char url[PATH_MAX];

	/* Ends with this process, and unmounts. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(url, sizeof url, "%shttp://127.0.0.1:%u%s", kind, bed->origin.port, path);
	execl(program ? program : "pagein", "pagein", "mount", "-f", url, bed->mnt, "-o",
		options ? options : "metadata-ttl=1s", (char *)NULL);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

static void mount_source(struct bed *bed, const char *kind, const char *path, const char *options)
{
	struct stat status;
	int polls = 0;

	fflush(NULL);
	bed->server = fork();
	assert_true(bed->server >= 0);
	if (bed->server == 0)
		server_exec(bed, kind, path, options);
	while (!bed_is_mounted(bed)) {
		if (waitpid(bed->server, NULL, WNOHANG) != 0) {
			bed->server = 0;
			fail_msg("mount: the server ended");
		}
		assert_true(polls++ < POLLS_MAX);
		pause_briefly();
	}
	/* Is answered once INIT is. */
	assert_int_equal(stat(bed->mnt, &status), 0);
}

int bed_wait(struct bed *bed)
{
	int status, polls = 0;
	pid_t pid;

	while ((pid = waitpid(bed->server, &status, WNOHANG)) == 0) {
		assert_true(polls++ < POLLS_MAX);
		pause_briefly();
	}
	assert_int_equal(pid, bed->server);
	bed->server = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void bed_mount(struct bed *bed, const char *path, const char *options)
{
	mount_source(bed, "", path, options);
}

void bed_mount_manifest(struct bed *bed, const char *path, const char *options)
{
	mount_source(bed, "manifest:", path, options);
}

void bed_unmount(struct bed *bed)
{
	assert_int_equal(kill(bed->server, SIGTERM), 0);
	assert_int_equal(bed_wait(bed), 0);
	assert_false(bed_is_mounted(bed));
}
