/*
 * read.c - workers that read files of a mount, in all ways there are to read a file.
 *
 * A file is open for a few operations, so that opening is tested, too, and an error can only come
 * from the weather of that time. Now and then the kernel is asked to drop what it has in its page
 * cache, or nothing would be read twice.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "touch.h"

#define READ_MAX (300 << 10)
#define OPERATIONS 12 /* of an open file */

struct reader {
	struct worker *worker;
	const struct file *file;
	int fd;
	uint64_t since_ns; /* it is open */
	uint8_t *buffer;   /* READ_MAX, aligned for O_DIRECT */
	bool failed;       /* an open file that has changed stays so */
};

static void reader_failed(struct reader *reader, const char *what, int number)
{
	record_error(reader->worker, what, number, reader->since_ns);
	reader->failed = true;
}

static void check_bytes(struct reader *reader, const char *what, size_t offset, size_t length)
{
	atomic_fetch_add(&soak->bytes_compared, length);
	if (memcmp(reader->buffer, reader->file->bytes + offset, length) != 0)
		problem(reader->worker, "%s: wrong bytes in %s, %zu at %zu", what,
			reader->file->name, length, offset);
}

/* A read is only short at the end of the file, or where the rest can't be had. */
static void read_at(struct reader *reader, const char *what, size_t offset, size_t length)
{
	size_t size = reader->file->size;
	size_t wanted = offset >= size ? 0 : length < size - offset ? length : size - offset;
	size_t have = 0;

	while (have < wanted) {
		ssize_t count = pread(
			reader->fd, reader->buffer + have, length - have, (off_t)(offset + have));

		if (count < 0) {
			reader_failed(reader, what, errno);
			break;
		}
		if (count == 0) {
			problem(reader->worker, "%s: %s ends at %zu", what, reader->file->name,
				offset + have);
			break;
		}
		have += (size_t)count;
	}
	check_bytes(reader, what, offset, have);
}

static void read_somewhere(struct reader *reader)
{
	size_t offset = pick(reader->worker, reader->file->size + PAGE);

	read_at(reader, "read", offset, 1 + pick(reader->worker, READ_MAX - 1));
}

static void read_on(struct reader *reader)
{
	size_t offset = pick(reader->worker, reader->file->size);

	for (int i = 0; i < 10 && !reader->failed; i++, offset += 65536)
		read_at(reader, "read on", offset, 65536);
}

static void read_direct(struct reader *reader)
{
	size_t offset = pick(reader->worker, reader->file->size / PAGE) * PAGE;

	if (fcntl(reader->fd, F_SETFL, O_DIRECT) < 0) {
		problem(reader->worker, "O_DIRECT: %s", strerror(errno));
		return;
	}
	read_at(reader, "read past the cache", offset,
		(1 + pick(reader->worker, READ_MAX / PAGE - 1)) * PAGE);
	fcntl(reader->fd, F_SETFL, 0);
}

static void read_map(struct reader *reader)
{
	size_t size = reader->file->size;
	int flags = pick(reader->worker, 2) ? MAP_SHARED : MAP_PRIVATE;
	uint8_t *bytes = mmap(NULL, size, PROT_READ, flags, reader->fd, 0);
	int result = 0;

	if (bytes == MAP_FAILED) {
		problem(reader->worker, "mmap: %s", strerror(errno));
		return;
	}
	for (int i = 0; i < 20 && result == 0; i++) {
		size_t at = pick(reader->worker, size), length = 1 + pick(reader->worker, 2 * PAGE);

		if (length > size - at)
			length = size - at;
		result = touch_compare(bytes + at, reader->file->bytes + at, length);
		atomic_fetch_add(&soak->bytes_compared, length);
		if (result == SIGBUS)
			reader_failed(reader, "a mapped page", errno_any);
		else if (result != 0)
			problem(reader->worker, "wrong bytes in a mapping of %s at %zu: %d",
				reader->file->name, at, result);
	}
	munmap(bytes, size);
}

static void drop_cache(struct reader *reader)
{
	posix_fadvise(reader->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void read_a_file(struct reader *reader, const char *mount)
{
	static const struct {
		const char *name;
		void (*run)(struct reader *reader);
	} operations[] = {
		{"read", read_somewhere},
		{"read on", read_on},
		{"read past the cache", read_direct},
		{"map", read_map},
		{"drop the cache", drop_cache},
	};
	char path[2 * PATH_ROOM];
	struct stat status;

	reader->file = &files[pick(reader->worker, FILES)];
	snprintf(path, sizeof path, "%s/%s", mount, reader->file->name);
	begin(reader->worker, "open");
	reader->since_ns = clock_now_ns();
	reader->failed = false;
	reader->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (reader->fd < 0) {
		reader_failed(reader, "open", errno);
		return;
	}
	if (fstat(reader->fd, &status) < 0 || status.st_size != (off_t)reader->file->size)
		problem(reader->worker, "%s has %jd bytes", path, (intmax_t)status.st_size);
	for (int i = 0; i < OPERATIONS && !reader->failed && !is_over(); i++) {
		size_t which = pick(reader->worker, array_len(operations));

		begin(reader->worker, operations[which].name);
		operations[which].run(reader);
	}
	close(reader->fd);
}

/* All pages that one open file shows are of one version. */
static void read_changing(struct reader *reader, const char *mount)
{
	char path[2 * PATH_ROOM];
	int64_t version = -1, found;

	snprintf(path, sizeof path, "%s/f/changing", mount);
	begin(reader->worker, "read what changes");
	reader->since_ns = clock_now_ns();
	reader->fd = open(path, O_RDONLY | O_CLOEXEC);
	/* ESTALE: changed between its listing and its opening, or while it is open. */
	if (reader->fd < 0 && errno != ESTALE)
		reader_failed(reader, "open what changes", errno);
	for (int i = 0; i < 10 && reader->fd >= 0; i++) {
		size_t page = pick(reader->worker, CHANGING_PAGES);
		ssize_t count = pread(reader->fd, reader->buffer, PAGE, (off_t)page * PAGE);

		if (count < 0 && errno != ESTALE)
			reader_failed(reader, "read what changes", errno);
		if (count < 0)
			break;
		found = count == PAGE ? changing_version(reader->buffer, page) : -1;
		if (found < 0 || (version >= 0 && found != version)) {
			problem(reader->worker,
				"page %zu of what changes, %zd bytes: version %jd beside %jd", page,
				count, (intmax_t)found, (intmax_t)version);
			break;
		}
		version = found;
	}
	if (reader->fd >= 0)
		close(reader->fd);
}

void read_mount(struct worker *worker)
{
	struct reader reader = {.worker = worker};
	size_t files_read = 0;

	if (posix_memalign((void **)&reader.buffer, PAGE, READ_MAX) != 0)
		abort();
	while (!is_over()) {
		const char *mount = soak->mounts[pick(worker, MOUNTS)];

		if (pick(worker, 4) == 0)
			read_changing(&reader, mount);
		else
			read_a_file(&reader, mount);
		if (++files_read % 10 == 0)
			record_memory(worker);
		pause_ms((unsigned)pick(worker, 20));
	}
	free(reader.buffer);
}
