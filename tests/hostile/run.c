/*
 * run.c - what a case does at its door: a mount's file or directory, a map, `pagein ls`.
 *
 * Bytes are compared wherever any were delivered, before an error, too. A step that hangs is told
 * by name, and ends the program: there is no way to take a thread out of a page fault.
 */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "clock.h"
#include "data.h"

#include "pattern.h"
#include "shared.h"
#include "touch.h"

#define PAGE 4096
#define WINDOW ((size_t)64 << 10)
#define WORKERS 64 /* those that wait for a deadline are many */
#define HANG_S (2 * A_WHILE_S)
#define TEXT_MAX 65536 /* of what `pagein ls` prints */

struct pagein_options map_options = PAGEIN_OPTIONS_INIT;

/* ---- bytes -------------------------------------------------------------------------------- */

uint64_t row_size(const struct hostile *row)
{
	return row->generated ? row->generated : shared_file(row->file)->size;
}

void row_bytes(const struct hostile *row, uint64_t offset, void *to, size_t len)
{
	if (row->generated)
		pattern_fill(0, offset, to, len);
	else if (len > 0)
		memcpy(to, shared_file(row->file)->bytes + offset, len);
}

static void job_fail(struct job *job, int err, const char *words)
{
	job->err = err;
	snprintf(job->words, sizeof job->words, "%s", words);
}

static void read_file(struct job *job, uint64_t offset, const uint8_t *expected, size_t len)
{
	cleanup_free uint8_t *bytes = malloc(len + 1);
	size_t have = 0;

	while (have < len && job->err == 0) {
		ssize_t n = pread(job->fd, bytes + have, len - have, (off_t)(offset + have));

		if (n > 0) {
			job->wrong |= memcmp(bytes + have, expected + have, (size_t)n) != 0;
			have += (size_t)n;
		} else if (n < 0) {
			job_fail(job, errno, "");
		} else {
			job_fail(job, ENODATA, "the file ends too early");
		}
	}
}

/* A page at a time, so that those before one that fails are compared, too. */
static void touch_failed(struct job *job, struct pagein_map *map, const uint8_t *page, int signal)
{
	struct pagein_error error = {0};
	char words[96];
	int err = pagein_error(map, page, &error);

	if (err == 0 && error.error) {
		job_fail(job, error.error, error.message);
		return;
	}
	/* No page raises a signal without a reason. */
	snprintf(words, sizeof words, "signal %d, and pagein_error() says %d; touched again: %d",
		signal, err, touch(page, NULL));
	job_fail(job, EFAULT, words);
}

static void read_memory(
	struct job *job, struct pagein_map *map, size_t at, const uint8_t *expected, size_t len)
{
	const uint8_t *bytes = pagein_address(map);

	for (size_t done = 0; done < len && job->err == 0; done += PAGE) {
		size_t part = len - done < PAGE ? len - done : PAGE;
		int result = touch_compare(bytes + at + done, expected + done, part);

		if (result == -1)
			job->wrong = true;
		else if (result > 0)
			touch_failed(job, map, bytes + at + done, result);
	}
}

static void read_mapped(struct job *job, uint64_t offset, const uint8_t *expected, size_t len)
{
	struct pagein_map *map = NULL;
	int err;

	if (job->map) {
		read_memory(job, job->map, (size_t)offset, expected, len);
		return;
	}
	err = pagein_map(job->object, offset, len, 0, &map);
	if (err < 0)
		job_fail(job, -err, pagein_last_error());
	else
		read_memory(job, map, 0, expected, len);
	pagein_unmap(map);
}

static void read_range(struct job *job, uint64_t offset, size_t len)
{
	uint64_t size = row_size(job->row);
	cleanup_free uint8_t *expected = NULL;

	if (job->err || offset >= size)
		return;
	if (len > size - offset)
		len = (size_t)(size - offset);
	expected = malloc(len);
	row_bytes(job->row, offset, expected, len);
	if (job->door == DOOR_MOUNT)
		read_file(job, offset, expected, len);
	else
		read_mapped(job, offset, expected, len);
}

/* ---- opening and closing ------------------------------------------------------------------ */

static void open_file(struct job *job)
{
	struct stat status;

	job->fd = open(job->place, O_RDONLY | O_CLOEXEC);
	if (job->fd < 0) {
		job_fail(job, errno, "");
		return;
	}
	/* No more than is asked for: what follows is to be met later. */
	posix_fadvise(job->fd, 0, 0, POSIX_FADV_RANDOM);
	if (fstat(job->fd, &status) == 0 && S_ISREG(status.st_mode) &&
		(uint64_t)status.st_size != row_size(job->row))
		job->wrong = true;
}

static void open_object(struct job *job)
{
	int err = pagein_open(job->place, &map_options, &job->object);

	if (err < 0)
		job_fail(job, -err, pagein_last_error());
	else if (pagein_size(job->object) != row_size(job->row))
		job->wrong = true;
}

static void job_open(struct job *job)
{
	if (job->door == DOOR_MOUNT)
		open_file(job);
	else
		open_object(job);
}

static void job_close(struct job *job)
{
	pagein_unmap(job->map);
	pagein_close(job->object);
	if (job->fd >= 0)
		close(job->fd);
	job->fd = -1;
	job->map = NULL;
	job->object = NULL;
}

/* ---- directories -------------------------------------------------------------------------- */

static void list_mounted(struct job *job)
{
	DIR *directory = opendir(job->place);
	const struct dirent *entry;

	if (!directory) {
		job_fail(job, errno, "");
		return;
	}
	for (errno = 0; (entry = readdir(directory)); errno = 0)
		job->names += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (errno)
		job_fail(job, errno, "");
	closedir(directory);
}

/* Its exit status tells no errno: any error is -1. */
static void list_by_command(struct job *job)
{
	cleanup_free char *command = NULL, *text = malloc(TEXT_MAX);
	size_t len;
	FILE *out;

	(void)!(asprintf(&command, "'%s' ls --netrc-file=%s --timeout=%dms '%s' 2>&1",
			getenv("PAGEIN"), map_options.netrc_file, TIMEOUT_MS, job->place) > 0);
	out = popen(command, "re");
	while ((len = fread(text, 1, TEXT_MAX - 1, out)) > 0) {
		text[len] = '\0';
		snprintf(job->words, sizeof job->words, "%s", text);
		for (size_t i = 0; i < len; i++)
			job->names += text[i] == '\n';
	}
	if (pclose(out) != 0)
		job->err = -1;
	else
		job->words[0] = '\0';
}

static void list_directory(struct job *job)
{
	if (job->door == DOOR_LS)
		list_by_command(job);
	else
		list_mounted(job);
}

/* ---- steps -------------------------------------------------------------------------------- */

static void read_three(struct job *job)
{
	uint64_t size = row_size(job->row);

	/* A page first: the kernel asks for each page of a window that can't be had. */
	read_range(job, 0, PAGE);
	read_range(job, 0, WINDOW);
	read_range(job, size / 2 / PAGE * PAGE, WINDOW);
	read_range(job, size > 5000 ? (size - 5000) / PAGE * PAGE : 0, WINDOW);
}

void step_open(struct job *job)
{
	if (job->row->subject == OBJECT) {
		job_open(job);
		read_three(job);
		job_close(job);
	} else {
		list_directory(job);
	}
}

void step_prepare(struct job *job)
{
	int err = 0;

	if (job->row->subject != OBJECT) {
		list_directory(job);
		return;
	}
	job_open(job);
	if (job->door == DOOR_MAP && !job->err) {
		err = pagein_map(job->object, 0, 0, 0, &job->map);
		if (err == 0)
			err = pagein_advise(job->map, 0, 0, PAGEIN_RANDOM);
	}
	if (err < 0)
		job_fail(job, -err, pagein_last_error());
	read_range(job, 0, PAGE);
}

static void read_later(struct job *job)
{
	read_range(job, row_size(job->row) / 4 * 3 / PAGE * PAGE, 2 * PAGE);
}

void step_later(struct job *job)
{
	if (job->row->subject == OBJECT)
		read_later(job);
	else
		list_directory(job);
}

void step_heal(struct job *job)
{
	int before = job->err;

	job->err = 0;
	job->wrong = false;
	job->words[0] = '\0';
	job->names = 0;
	if (job->row->subject != OBJECT || job->moment == AT_OPEN || before == ESTALE) {
		job_close(job);
		step_open(job);
		return;
	}
	if (job->map)
		pagein_retry(job->map, 0, 0);
	read_range(job, 0, PAGE);
	read_later(job);
	job_close(job);
}

/* ---- many at a time ----------------------------------------------------------------------- */

struct crew {
	struct job *const *jobs;
	size_t count;
	atomic_size_t next, done;
	void (*step)(struct job *job);
};

static void *work(void *context)
{
	struct crew *crew = context;
	size_t i;

	while ((i = atomic_fetch_add(&crew->next, 1)) < crew->count) {
		struct job *job = crew->jobs[i];
		uint64_t begin_ns = clock_now_ns();

		__atomic_store_n(&job->running, true, __ATOMIC_RELAXED);
		crew->step(job);
		__atomic_store_n(&job->running, false, __ATOMIC_RELAXED);
		job->seconds = (double)(clock_now_ns() - begin_ns) / NS_PER_S;
		atomic_fetch_add(&crew->done, 1);
	}
	return NULL;
}

static void tell_hang(const struct crew *crew)
{
	for (size_t i = 0; i < crew->count; i++)
		if (__atomic_load_n(&crew->jobs[i]->running, __ATOMIC_RELAXED))
			fprintf(stderr, "hangs: %s: %s\n", crew->jobs[i]->row->name,
				crew->jobs[i]->place);
	_exit(1);
}

void run_step(struct job *const *jobs, size_t count, void (*step)(struct job *job))
{
	struct crew crew = {.jobs = jobs, .count = count, .step = step};
	pthread_t threads[WORKERS];
	uint64_t limit_ns = clock_now_ns() + HANG_S * NS_PER_S;

	for (size_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &crew), 0);
	while (atomic_load(&crew.done) < count) {
		if (clock_now_ns() > limit_ns)
			tell_hang(&crew);
		usleep(5000);
	}
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
}

bool log_tells(const char *path, const char *tag, const char *words)
{
	FILE *log = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t size = 0;
	bool told = false;

	while (log && !told && getline(&line, &size, log) > 0)
		told = strstr(line, words) && (!tag || strstr(line, tag));
	if (log)
		fclose(log);
	return told;
}
