/*
 * walk.c - workers that map objects with libpagein, under limits that are far too small.
 *
 * A worker lives many lives. In each, two threads open an object, map it in some way and do to the
 * map what programs do, for a while; then all is closed, and what must be nothing is looked at:
 * gauges, descriptors, threads, memory. An access gives the right bytes, or a signal whose reason
 * the weather explains; an overlay keeps what was written whatever the weather.
 */
#include "soak.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pagein.h"
#include "process.h"
#include "touch.h"

#define THREADS 2
#define LIFE_OPERATIONS 150
#define RUN_PAGES 24 /* compared at once */

struct walker {
	pthread_t thread;
	struct worker worker; /* the thread's own random numbers */
	struct worker *owner;
	const struct file *file;
	struct pagein_object *object;
	struct pagein_map *map;
	uint8_t *bytes;
	size_t first, count; /* pages of the file that the map shows */
	unsigned flags;
	uint64_t since_ns; /* of the object */
	uint8_t *written;  /* an overlay: what a page was filled with; 0: nothing */
	int null_fd;
	bool ended; /* the object has changed, as far as it knows */
};

static size_t length_of(const struct walker *walker, size_t at, size_t count)
{
	size_t offset = (walker->first + at) * PAGE, length = count * PAGE;

	return length < walker->file->size - offset ? length : walker->file->size - offset;
}

/* A signal: the map must know why. */
static void check_error(struct walker *walker, const uint8_t *address)
{
	struct pagein_error error;

	if (pagein_error(walker->map, address, &error) < 0)
		problem(walker->owner, "no error at an address");
	else if (error.error == 0)
		; /* another page of the run */
	else if (error.message[0] == '\0')
		problem(walker->owner, "an error without words: %d", error.error);
	else
		record_error(walker->owner, error.message, error.error, walker->since_ns);
	walker->ended = error.error == ESTALE;
	pagein_retry(walker->map, 0, 0);
}

/* One page of the run could not be had, or was not to be had a moment ago. */
static void find_error(struct walker *walker, const char *what, size_t at, size_t count)
{
	unsigned char states[RUN_PAGES];
	struct pagein_error error;
	int number;

	/* A child that its parent serves can't ask. */
	if (pagein_residency(walker->map, at * PAGE, length_of(walker, at, count), states) < 0) {
		record_error(walker->owner, what, errno_any, walker->since_ns);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (states[i] == PAGEIN_FAILED) {
			check_error(walker, walker->bytes + (at + i) * PAGE);
			return;
		}
	for (size_t i = 0; i < count; i++) {
		uint8_t *address = walker->bytes + (at + i) * PAGE;

		number = touch(address, NULL);
		if (number == 0)
			continue;
		pagein_error(walker->map, address, &error);
		problem(walker->owner,
			"%s: map of kind %#x: signal %d at page %zu, whose state is %u and whose "
			"error %d: %s",
			what, walker->flags, number, walker->first + at + i, states[i], error.error,
			error.message);
	}
}

static void compare(struct walker *walker, size_t at, size_t count)
{
	const uint8_t *local = walker->file->bytes + (walker->first + at) * PAGE;
	size_t length = length_of(walker, at, count);
	int result = touch_compare(walker->bytes + at * PAGE, local, length);

	atomic_fetch_add(&soak->bytes_compared, length);
	if (result == SIGBUS)
		find_error(walker, "read", at, count);
	else if (result != 0)
		problem(walker->owner,
			"wrong bytes in a map of kind %#x, pages %zu and %zu more: %d",
			walker->flags, walker->first + at, count, result);
}

static void check_written(struct walker *walker, size_t at)
{
	uint8_t expected[PAGE];

	memset(expected, walker->written[at], sizeof expected);
	if (touch_compare(walker->bytes + at * PAGE, expected, PAGE) != 0)
		problem(walker->owner, "what was written to page %zu of an overlay", at);
}

static void read_run(struct walker *walker)
{
	size_t at = pick(&walker->worker, walker->count);
	size_t left = walker->count - at, count = 0;
	size_t max = 1 + pick(&walker->worker, left < RUN_PAGES ? left : RUN_PAGES);

	while (count < max && !walker->written[at + count])
		count++;
	if (count > 0)
		compare(walker, at, count);
	else
		check_written(walker, at);
}

static void read_through(struct walker *walker)
{
	size_t start = pick(&walker->worker, walker->count);

	for (size_t at = start; at < walker->count && at < start + 200 && !walker->ended; at++)
		if (!walker->written[at])
			compare(walker, at, 1);
}

static void populate(struct walker *walker)
{
	size_t length = pagein_length(walker->map), offset = pick(&walker->worker, length);
	int err = pagein_populate(walker->map, offset, 1 + pick(&walker->worker, length - offset),
		(int)pick(&walker->worker, 2000));

	/* -ETIMEDOUT: in the time that was given; -ENOMEM: more than the memory limit. */
	if (err < 0 && err != -ETIMEDOUT && err != -ENOMEM)
		record_error(walker->owner, pagein_last_error(), -err, walker->since_ns);
	walker->ended = err == -ESTALE;
}

static void advise(struct walker *walker)
{
	size_t length = pagein_length(walker->map), offset = pick(&walker->worker, length);
	int advice = (int)pick(&walker->worker, PAGEIN_DONTNEED + 1);
	int err = pagein_advise(
		walker->map, offset, 1 + pick(&walker->worker, length - offset), advice);

	if (err < 0)
		problem(walker->owner, "advise %d: %s", advice, pagein_last_error());
}

static void pin(struct walker *walker)
{
	size_t length = pagein_length(walker->map), offset = pick(&walker->worker, length);
	size_t part = 1 + pick(&walker->worker, length - offset);
	int err = pick(&walker->worker, 2) ? pagein_pin(walker->map, offset, part)
					   : pagein_unpin(walker->map, offset, part);

	if (err < 0 && err != -ENOMEM)
		problem(walker->owner, "pin: %s", pagein_last_error());
}

static void write_overlay(struct walker *walker)
{
	size_t at = pick(&walker->worker, walker->count);
	uint8_t value = (uint8_t)(1 + pick(&walker->worker, 255)), page[PAGE];
	int result;

	if (walker->flags != PAGEIN_PRIVATE)
		return;
	memset(page, value, sizeof page);
	result = touch_write(walker->bytes + at * PAGE, page, sizeof page);
	if (result == 0)
		walker->written[at] = value;
	else if (walker->written[at])
		problem(walker->owner, "signal %d at a page that was written before", result);
	else
		find_error(walker, "write to the overlay", at, 1);
}

static void discard(struct walker *walker)
{
	size_t at = pick(&walker->worker, walker->count);
	size_t count = 1 + pick(&walker->worker, walker->count - at);

	if (walker->flags != PAGEIN_PRIVATE)
		return;
	if (pagein_discard(walker->map, at * PAGE, length_of(walker, at, count)) < 0)
		problem(walker->owner, "discard: %s", pagein_last_error());
	memset(walker->written + at, 0, count);
}

/* By the kernel: EFAULT is all that it can say. */
static void write_out(struct walker *walker)
{
	size_t at = pick(&walker->worker, walker->count);
	size_t count = 1 + pick(&walker->worker, walker->count - at < 8 ? walker->count - at : 8);

	if (pwrite(walker->null_fd, walker->bytes + at * PAGE, count * PAGE, 0) >= 0)
		return;
	if (errno != EFAULT)
		problem(walker->owner, "write: %s", strerror(errno));
	else
		find_error(walker, "write", at, count);
}

/* In a child, which has a life of its own. */
static void fork_walker(struct walker *walker)
{
	int status;
	pid_t pid;

	/* A sanitizer's locks may be held by the other thread, for ever in the child. */
	if (WITH_SANITIZER || walker->flags == PAGEIN_SHARED || pick(&walker->worker, 4) != 0)
		return;
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 5 && !walker->ended && !is_over(); i++)
			read_run(walker);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		problem(walker->owner, "fork: %s", strerror(errno));
	else if (status != 0)
		problem(walker->owner, "a child ended with status %#x", status);
}

/* ---- a life --------------------------------------------------------------------------------- */

static bool map_object(struct walker *walker)
{
	static const unsigned kinds[] = {0, 0, PAGEIN_PRIVATE, PAGEIN_HUGE, PAGEIN_SHARED};
	size_t pages = (walker->file->size + PAGE - 1) / PAGE;

	walker->flags = kinds[pick(&walker->worker, array_len(kinds))];
	walker->first = pick(&walker->worker, 2) * pick(&walker->worker, pages);
	walker->count = 1 + pick(&walker->worker, pages - walker->first);
	/* Everything within its own timeout: the weather changes. */
	if (pagein_map(walker->object, walker->first * PAGE, length_of(walker, 0, walker->count),
		    walker->flags | (pick(&walker->worker, 4) ? 0 : PAGEIN_WAIT),
		    &walker->map) < 0) {
		problem(walker->owner, "map: %s", pagein_last_error());
		return false;
	}
	walker->bytes = pagein_address(walker->map);
	walker->written = calloc(walker->count, 1);
	return walker->written;
}

static bool open_object(struct walker *walker)
{
	struct worker *worker = &walker->worker;
	const struct pagein_options options = {
		.size = sizeof options,
		.timeout_ms = TIMEOUT_MS,
		.deadline_ms = DEADLINE_MS,
		.connections = 1 + (unsigned)pick(worker, 4),
		.loops = (unsigned)pick(worker, 3),
		.cache_bytes = pick(worker, 2) * (1 + pick(worker, 2)) * 1024 * 1024,
		.memory = pick(worker, 2) * (1 + pick(worker, 3)) * 1024 * 1024,
		.fork = (unsigned)pick(worker, PAGEIN_FORK_DENY),
	};
	char url[128];
	int err;

	walker->file = &files[pick(worker, FILES)];
	snprintf(url, sizeof url, "%s/%s", soak->url, walker->file->name);
	walker->since_ns = clock_now_ns();
	err = pagein_open(url, &options, &walker->object);
	if (err < 0)
		record_error(walker->owner, pagein_last_error(), -err, walker->since_ns);
	else if (pagein_size(walker->object) != walker->file->size)
		problem(walker->owner, "an object of another size: %ju",
			(uintmax_t)pagein_size(walker->object));
	return err == 0 && map_object(walker);
}

static void *live(void *context)
{
	static const struct {
		const char *name;
		void (*run)(struct walker *walker);
	} operations[] = {
		{"read a run", read_run},
		{"read a run", read_run},
		{"read a run", read_run},
		{"read through", read_through},
		{"populate", populate},
		{"advise", advise},
		{"pin", pin},
		{"write to the overlay", write_overlay},
		{"discard", discard},
		{"write out", write_out},
		{"fork", fork_walker},
	};
	struct walker *walker = context;

	if (open_object(walker)) {
		for (int i = 0; i < LIFE_OPERATIONS && !walker->ended && !is_over(); i++) {
			size_t which = pick(&walker->worker, array_len(operations));

			begin(walker->owner, operations[which].name);
			operations[which].run(walker);
		}
	}
	begin(walker->owner, "unmap");
	pagein_unmap(walker->map);
	pagein_close(walker->object);
	free(walker->written);
	return NULL;
}

static void check_nothing_is_left(struct worker *worker, int fds)
{
	struct pagein_stats stats;
	int fds_now;

	if (pagein_stats(NULL, &stats) < 0 || stats.objects || stats.maps || stats.resident_bytes ||
		stats.transfers || stats.connections || stats.cached_bytes || stats.pinned_bytes)
		problem(worker,
			"gauges are left: objects %ju, maps %ju, resident %ju, transfers %ju, "
			"connections %ju, cached %ju, pinned %ju",
			(uintmax_t)stats.objects, (uintmax_t)stats.maps,
			(uintmax_t)stats.resident_bytes, (uintmax_t)stats.transfers,
			(uintmax_t)stats.connections, (uintmax_t)stats.cached_bytes,
			(uintmax_t)stats.pinned_bytes);
	fds_now = count_fds();
	if (fds_now != fds)
		problem(worker, "%d descriptors, not %d as before", fds_now, fds);
	if (count_threads("pagein", 0) != 0)
		problem(worker, "threads are left");
}

void walk(struct worker *worker)
{
	struct walker walkers[THREADS];
	int null_fd = memfd_create("sink", MFD_CLOEXEC), fds = count_fds();

	while (!is_over()) {
		begin(worker, "begin a life");
		for (size_t i = 0; i < THREADS; i++) {
			walkers[i] = (struct walker){.owner = worker,
				.null_fd = null_fd,
				.worker.seed = random_next(&worker->seed) *
						       UINT64_C(0x9e3779b97f4a7c15) |
					       1};
			pthread_create(&walkers[i].thread, NULL, live, &walkers[i]);
		}
		for (size_t i = 0; i < THREADS; i++)
			pthread_join(walkers[i].thread, NULL);
		check_nothing_is_left(worker, fds);
		record_memory(worker);
	}
	close(null_fd);
}
