/*
 * large_test.c - one large file on nginx, through both doors at once the same bytes as the local
 * one.
 *
 * PAGEIN_TEST_LARGE_MIB is its size (64 by default; the project's promise is made of 1024); each
 * order of accesses has a seed, so that a failure is found again. The mount is the program $PAGEIN.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "data.h"
#include "pagein.h"
#include "server.h"

#define PAGE 4096
#define THREADS 8
#define ACCESSES 10000
#define FUSE_SUPER_MAGIC 0x65735546 /* statfs(2) */
#define RSS_MAX_KIB (100 * 1024)

extern char **environ;

static struct server server;
static struct local file;
static char mountpoint[] = "/tmp/pagein-large-XXXXXX";
static pid_t mount_pid;

static size_t large_bytes(void)
{
	const char *mib = getenv("PAGEIN_TEST_LARGE_MIB");

	/* An odd end. */
	return ((mib ? strtoull(mib, NULL, 10) : 64) << 20) - 1234;
}

/* ---- the mount ---------------------------------------------------------------------------- */

static void mount_start(void)
{
	char *arguments[] = {
		"pagein", "mount", "-f", (char *)server_url(&server, "data"), mountpoint, NULL};
	struct statfs status;

	assert_non_null(mkdtemp(mountpoint));
	assert_int_equal(
		posix_spawn(&mount_pid, getenv("PAGEIN"), NULL, NULL, arguments, environ), 0);
	for (int i = 0; i < 1000; i++) {
		if (statfs(mountpoint, &status) == 0 && status.f_type == FUSE_SUPER_MAGIC)
			return;
		usleep(10000);
	}
	fail_msg("pagein mount does not mount");
}

static int mounted_open(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "%s/data", mountpoint);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* A number from /proc/PID/status. */
static unsigned long mount_status(const char *name)
{
	char path[64], line[256];
	unsigned long value = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", mount_pid);
	status = fopen(path, "re");
	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (strncmp(line, name, strlen(name)) == 0)
			value += strtoul(strchr(line, ':') + 1, NULL, 10);
	fclose(status);
	return value;
}

static int set_up(void **state)
{
	(void)state;
	if (!server_start_nginx(&server))
		return 0;
	local_make(&file, &server, "data", large_bytes(), 1);
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		mount_start();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (mount_pid > 0) {
		kill(mount_pid, SIGTERM);
		waitpid(mount_pid, NULL, 0);
		rmdir(mountpoint);
	}
	local_finish(&file);
	server_stop(&server);
	return 0;
}

static void need_mount(void)
{
	if (mount_pid == 0)
		skip_because("no /dev/fuse, or no nginx");
}

/* ---- through the mount --------------------------------------------------------------------- */

static void the_mount_reads_the_whole_file(void **state)
{
	const size_t piece = 1 << 20;
	uint8_t *bytes = malloc(piece);
	cleanup_fd int fd = -1;
	ssize_t count;
	size_t at = 0;

	(void)state;
	need_mount();
	fd = mounted_open();
	while ((count = read(fd, bytes, piece)) > 0) {
		assert_true(at + (size_t)count <= file.size);
		assert_memory_equal(bytes, file.bytes + at, (size_t)count);
		at += (size_t)count;
	}
	assert_int_equal(count, 0);
	assert_true(at == file.size);
	free(bytes);
}

static void the_mount_preads_at_random(void **state)
{
	cleanup_fd int fd = -1;
	uint64_t seed = 7;

	(void)state;
	need_mount();
	fd = mounted_open();
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (int i = 0; i < ACCESSES; i++) {
		size_t offset = random_next(&seed) % file.size;
		size_t length = random_next(&seed) % 9000 + 1;
		size_t left = file.size - offset;
		uint8_t bytes[9000];

		assert_int_equal(
			pread(fd, bytes, length, (off_t)offset), length < left ? length : left);
		assert_memory_equal(bytes, file.bytes + offset, length < left ? length : left);
	}
}

static void the_mount_maps_at_random(void **state)
{
	cleanup_fd int fd = -1;
	const uint8_t *bytes;
	uint64_t seed = 8;

	(void)state;
	need_mount();
	fd = mounted_open();
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	bytes = mmap(NULL, file.size, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	madvise((void *)bytes, file.size, MADV_RANDOM);
	for (int i = 0; i < ACCESSES; i++) {
		size_t offset = random_next(&seed) % (file.size - 16);

		assert_memory_equal(bytes + offset, file.bytes + offset, 16);
	}
	munmap((void *)bytes, file.size);
}

static void the_mount_is_small_and_idle_afterwards(void **state)
{
	unsigned long switches;

	(void)state;
	need_mount();
	if (WITH_SANITIZER)
		skip_because("a sanitizer's memory is not the mount's");
	assert_true(mount_status("VmRSS") < RSS_MAX_KIB);
	/* Closing the files has been told by now, or will be at once. */
	usleep(300000);
	switches = mount_status("voluntary_ctxt_switches") +
		   mount_status("nonvoluntary_ctxt_switches");
	usleep(1000000);
	assert_int_equal(mount_status("voluntary_ctxt_switches") +
				 mount_status("nonvoluntary_ctxt_switches"),
		switches);
}

/* ---- through a map ------------------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	const uint8_t *bytes;
	uint64_t seed;
	size_t wrong;
};

/* Every page once, in an order of its own: a walk with a step that no power of two divides. */
static void *read_all(void *context)
{
	struct reader *reader = context;
	size_t pages = (file.size + PAGE - 1) / PAGE;
	size_t step = (random_next(&reader->seed) % pages) | 1, page = reader->seed % pages;

	while (step % 2 == 0 || pages % step == 0)
		step += 2;
	for (size_t i = 0; i < pages; i++, page = (page + step) % pages) {
		size_t offset = page * PAGE;
		size_t length = file.size - offset < PAGE ? file.size - offset : PAGE;

		if (memcmp(reader->bytes + offset, file.bytes + offset, length) != 0)
			reader->wrong++;
	}
	return NULL;
}

static void eight_threads_read_a_map_in_random_order(void **state)
{
	struct reader readers[THREADS] = {0};
	struct pagein_object *object;
	struct pagein_map *map;
	struct pagein_stats stats;

	(void)state;
	if (server.pid == 0)
		skip_because("no nginx");
	if (pagein_open(server_url(&server, "data"), NULL, &object) < 0 ||
		pagein_map(object, 0, 0, 0, &map) < 0)
		skip_because("%s", pagein_last_error());
	for (size_t i = 0; i < THREADS; i++) {
		readers[i].bytes = pagein_address(map);
		readers[i].seed = i + 1;
		assert_int_equal(
			pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	/* Walked with a step, some pages may be met by nobody; compare what is left. */
	assert_memory_equal(pagein_address(map), file.bytes, file.size);
	assert_int_equal(pagein_stats(map, &stats), 0);
	assert_int_equal(stats.poisoned, 0);
	pagein_unmap(map);
	pagein_close(object);
	assert_int_equal(pagein_stats(NULL, &stats), 0);
	assert_int_equal(stats.objects + stats.maps + stats.resident_bytes + stats.transfers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mount_reads_the_whole_file),
		cmocka_unit_test(the_mount_preads_at_random),
		cmocka_unit_test(the_mount_maps_at_random),
		cmocka_unit_test(the_mount_is_small_and_idle_afterwards),
		cmocka_unit_test(eight_threads_read_a_map_in_random_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
