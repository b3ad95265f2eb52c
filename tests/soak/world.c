/*
 * world.c - what is served, and how to tell whether what comes is that.
 *
 * Files of random bytes never change: the oracle is the local file. f/changing is replaced as a
 * whole, several times a second; each of its 64-bit words tells its version and its place, so that
 * any page can be checked by itself, and pages of one open file with one another. In big/ all names
 * are there always; in flux/ every second one comes and goes. fio writes its own files, which it
 * can verify by what it wrote into them.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "data.h"

struct file files[FILES];
static struct local locals[FILES];

static const char *path(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *path(const char *format, ...)
{
	static _Thread_local char paths[2][2 * PATH_ROOM];
	static _Thread_local unsigned next;
	char *to = paths[next++ % 2];
	va_list arguments;
	size_t used = (size_t)snprintf(to, sizeof *paths, "%s/", soak->root);

	va_start(arguments, format);
	vsnprintf(to + used, sizeof *paths - used, format, arguments);
	va_end(arguments);
	return to;
}

/* ---- f/changing ---------------------------------------------------------------------------- */

static uint64_t changing_word(uint32_t version, size_t index)
{
	return (uint64_t)version << 32 | (uint32_t)((index + 1) * 2654435761u);
}

int64_t changing_version(const uint8_t *page, size_t number)
{
	uint64_t words[PAGE / 8];
	uint32_t version;

	memcpy(words, page, PAGE);
	version = (uint32_t)(words[0] >> 32);
	for (size_t i = 0; i < array_len(words); i++)
		if (words[i] != changing_word(version, number * array_len(words) + i))
			return -1;
	return version;
}

int world_change(struct worker *worker, uint32_t version)
{
	static uint64_t words[CHANGING_PAGES * PAGE / 8];
	const char *fresh = path(".new");
	cleanup_fd int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	for (size_t i = 0; i < array_len(words); i++)
		words[i] = changing_word(version, i);
	if (fd < 0 || write(fd, words, sizeof words) != sizeof words ||
		rename(fresh, path("f/changing")) < 0) {
		problem(worker, "f/changing: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

/* ---- directories --------------------------------------------------------------------------- */

int name_number(const char *name)
{
	int number, end = 0;

	if (sscanf(name, "n-%4d%n", &number, &end) != 1 || end != 6 || name[end] != '\0')
		return -1;
	return number;
}

static void make_file(const char *name)
{
	cleanup_fd int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "small\n", 6), 6);
}

static void make_directory(const char *name, unsigned count, unsigned step)
{
	assert_int_equal(mkdir(path("%s", name), 0755), 0);
	for (unsigned i = 0; i < count; i += step)
		make_file(path("%s/n-%04u", name, i));
}

int world_flux(struct worker *worker)
{
	const char *name = path("flux/n-%04zu", 2 * pick(worker, FLUX_NAMES / 2) + 1);
	cleanup_fd int fd = -1;

	if (unlink(name) == 0)
		return 0;
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, "small\n", 6) == 6)
		return 0;
	problem(worker, "%s: %s", name, strerror(errno));
	return -errno;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void make_fio_file(unsigned number)
{
	char filename[2 * PATH_ROOM], output[2 * PATH_ROOM];
	const char *const argv[] = {"/usr/bin/fio", "--name=verify", filename, "--size=4M",
		"--bs=64k", "--rw=randwrite", "--verify=crc32c", "--do_verify=0",
		"--verify_state_save=0", "--randseed=1", output, NULL};
	struct worker maker = {.name = "maker"};
	struct child child;

	snprintf(filename, sizeof filename, "--filename=%s", path("f/fio-%u", number));
	snprintf(output, sizeof output, "--aux-path=%s", soak->base);
	assert_true(child_run(&maker, argv, &child));
	if (!child_succeeded(&child))
		fail_msg("fio: %s", child.err);
	child_finish(&child);
}

void world_make(const struct server *server)
{
	static const size_t sizes[FILES] = {6 * 1024 * 1024 + 4321, 777777, 3 * 1024 * 1024};
	struct worker maker = {.name = "maker"};

	assert_int_equal(mkdir(path("f"), 0755), 0);
	for (size_t i = 0; i < FILES; i++) {
		snprintf(files[i].name, sizeof files[i].name, "f/%zu", i);
		local_make(&locals[i], server, files[i].name, sizes[i], i + 1);
		files[i].bytes = locals[i].bytes;
		files[i].size = sizes[i];
	}
	make_directory("big", BIG_NAMES, 1);
	make_directory("flux", FLUX_NAMES, 2);
	assert_int_equal(world_change(&maker, 1), 0);
	for (unsigned i = 0; i < FIO_FILES; i++)
		make_fio_file(i);
}

void world_finish(void)
{
	for (size_t i = 0; i < FILES; i++)
		local_finish(&locals[i]);
}
