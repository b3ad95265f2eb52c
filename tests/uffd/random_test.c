/*
 * random_test.c - whatever threads do to maps of a misbehaving server, every byte they see is the
 * local file's, and nothing is left behind.
 *
 * PAGEIN_TEST_SEED repeats a run as far as threads can be repeated, PAGEIN_TEST_SECONDS makes it
 * longer than five seconds. Each thread owns one map at a time, which it drops pages of, protects,
 * locks, moves, grows, cuts, writes to and replaces as it likes; all of them read one common map
 * besides, which only loses pages. A thousand signals a second interrupt them, and from time to
 * time one forks. An access either gives the right bytes or, where the server was too bad for too
 * long, SIGBUS and a reason.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"

#define THREADS 8
#define SIZE (6 * 1024 * 1024 + 4321)
#define PAGES (SIZE / PAGE + 1)

/* 10 % of 503, resets, cuts, delays; from time to time, worse. */
static const char *const weathers[] = {
	"",
	"path=/data percent=10 : status=503\npath=/data percent=5 seed=2 : reset\n"
	"path=/data percent=5 seed=3 : truncate=20000 reset\n"
	"path=/data percent=20 seed=4 : delay=3ms\n",
	"path=/data percent=10 : status=503\npath=/data percent=10 seed=5 : close-after=1ms\n"
	"path=/data percent=10 seed=6 : no-keepalive\npath=/data percent=5 seed=7 : cut-head=40\n",
	"path=/data percent=30 : status=503\npath=/data percent=30 seed=8 : truncate=5000\n",
	"path=/data percent=10 : content-range=\"bytes 0-1/6295777\"\n"
	"path=/data percent=10 seed=9 : gzip-label\npath=/data percent=10 seed=10 : shift=4096\n",
	"path=/data : rate=20M\n",
	"path=/data percent=20 : chunked\npath=/data percent=10 seed=11 : status=503\n",
};

static struct run {
	struct session session; /* with the common map */
	char url[64];           /* the object's */
	uint64_t end_ns;
	int pattern_fd; /* page i is all bytes i */
	uint64_t operations[THREADS], failures[THREADS];
	char problem[300]; /* the first; under lock */
	pthread_mutex_t lock;
} run = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct worker {
	pthread_t thread;
	size_t number;
	uint64_t seed;
	int null_fd;
	struct pagein_object *object; /* its own */
	struct pagein_map *map;
	uint8_t *bytes;
	size_t first, count;    /* pages of the object that its map shows */
	unsigned kind;          /* its flags */
	bool writes;            /* an overlay: */
	uint8_t written[PAGES]; /* ... of these: what the page was filled with; 0: nothing */
	bool gone[PAGES];       /* of these: unmapped, and somebody else's memory now */
	bool stop;              /* the thread that reads while it is unmapped */
	bool splits;            /* into several areas, or moves: mremap(2) moves one area */
};

static void problem(const struct worker *worker, const char *what, size_t page, int result)
{
	pthread_mutex_lock(&run.lock);
	if (run.problem[0] == '\0')
		snprintf(run.problem, sizeof run.problem, "thread %zu: %s: page %zu: %d",
			worker->number, what, page, result);
	pthread_mutex_unlock(&run.lock);
}

static size_t pick(struct worker *worker, size_t count)
{
	return random_next(&worker->seed) % count;
}

/* What is there now, which may be something else than a moment ago. */
static void wrong_bytes(struct worker *worker, struct pagein_map *map, const uint8_t *bytes,
	size_t page, int result)
{
	const uint8_t *local = run.session.local.bytes;
	size_t at = 0, other = 0;
	uint64_t found;
	char what[200];

	while (touch_compare(bytes + at, local + page * PAGE + at, PAGE) == 0)
		at += PAGE;
	if (result != -1 || touch_compare(bytes + at, local + page * PAGE + at, PAGE) != -1) {
		problem(worker, "wrong bytes for a moment, or a signal", page, result);
		return;
	}
	/* The object's bytes of elsewhere? */
	memcpy(&found, bytes + at, sizeof found);
	while (other < SIZE - PAGE && memcmp(local + other, &found, sizeof found) != 0)
		other += PAGE;
	snprintf(what, sizeof what,
		"wrong bytes (%s map of kind %u%s%s, %zu bytes on: %016jx, as at %zu)",
		map == worker->map ? "own" : "common", map == worker->map ? worker->kind : 0,
		worker->splits ? " splits" : "", worker->writes ? " writes" : "", at,
		(uintmax_t)found, other);
	problem(worker, what, page, result);
}

/* A signal must have a reason, unless another thread has healed the page since. */
static void check_error(
	struct worker *worker, struct pagein_map *map, const uint8_t *bytes, size_t page)
{
	struct pagein_error error;

	run.failures[worker->number]++;
	if (pagein_error(map, bytes, &error) != 0)
		problem(worker, "no error at an address", page, 0);
	if (error.error != 0 && error.message[0] == '\0')
		problem(worker, "an error without words", page, error.error);
	pagein_retry(map, 0, 0);
}

/* Compares some pages from `page` (of the object) on, which lie at bytes. */
static void compare(struct worker *worker, struct pagein_map *map, const uint8_t *bytes,
	size_t page, size_t count)
{
	size_t length = count * PAGE, offset = page * PAGE;
	int result;

	if (length > SIZE - offset)
		length = SIZE - offset;
	result = touch_compare(bytes, run.session.local.bytes + offset, length);
	if (result == SIGBUS)
		check_error(worker, map, bytes, page);
	else if (result != 0)
		wrong_bytes(worker, map, bytes, page, result);
}

/* What was mapped where a part of the map was must stay what it is. */
static void check_gone(struct worker *worker, size_t at)
{
	const uint8_t *bytes = worker->bytes + at * PAGE;

	if (bytes[0] != 0x5a || bytes[PAGE - 1] != 0x5a)
		problem(worker, "memory that is not the map's", at, bytes[0]);
}

/* A page that was written to can't be had again: it must be there, and is never failed. */
static void check_written(struct worker *worker, size_t at)
{
	uint8_t expected[PAGE];
	int result;

	memset(expected, worker->written[at], sizeof expected);
	result = touch_compare(worker->bytes + at * PAGE, expected, PAGE);
	if (result != 0)
		problem(worker, "what was written", worker->first + at, result);
}

static void read_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count), end = at;
	size_t max = at + 1 + pick(worker, worker->count - at < 40 ? worker->count - at : 40);

	while (end < max && !worker->gone[end] && !worker->written[end])
		end++;
	if (end == at && worker->gone[at])
		check_gone(worker, at);
	else if (end == at)
		check_written(worker, at);
	else
		compare(worker, worker->map, worker->bytes + at * PAGE, worker->first + at,
			end - at);
}

static void read_common(struct worker *worker)
{
	size_t at = pick(worker, PAGES), count = 1 + pick(worker, PAGES - at < 8 ? PAGES - at : 8);

	compare(worker, run.session.map, run.session.bytes + at * PAGE, at, count);
}

static void drop_common(struct worker *worker)
{
	size_t offset = pick(worker, SIZE);

	if (pagein_advise(
		    run.session.map, offset, 1 + pick(worker, SIZE - offset), PAGEIN_DONTNEED))
		problem(worker, "DONTNEED", offset, 0);
}

static void populate_own(struct worker *worker)
{
	size_t offset = pick(worker, pagein_length(worker->map));
	size_t length = 1 + pick(worker, pagein_length(worker->map) - offset);
	int err = pagein_populate(worker->map, offset, length, (int)pick(worker, 200));

	/* -ENOMEM: of more than a memory limit. */
	if (err < 0 && err != -ETIMEDOUT && err != -EIO && err != -EPROTO && err != -ENOMEM)
		problem(worker, "populate", offset, err);
}

static void pin_own(struct worker *worker)
{
	size_t offset = pick(worker, pagein_length(worker->map));
	size_t length = 1 + pick(worker, pagein_length(worker->map) - offset);
	int err = pick(worker, 2) ? pagein_pin(worker->map, offset, length)
				  : pagein_unpin(worker->map, offset, length);

	if (err < 0 && err != -ENOMEM)
		problem(worker, "pin", offset, err);
}

static void advise_own(struct worker *worker)
{
	if (pagein_advise(worker->map, 0, 0, (int)pick(worker, PAGEIN_DONTNEED + 1)) != 0)
		problem(worker, "advise", 0, 0);
}

static void drop_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count), count;

	/* Others' memory would be zeros. */
	if (worker->splits)
		return;
	count = 1 + pick(worker, worker->count - at);
	if (madvise(worker->bytes + at * PAGE, count * PAGE, MADV_DONTNEED) != 0)
		problem(worker, "madvise", at, errno);
	memset(worker->written + at, 0, count);
}

/* By a system call: what can't be fetched is an error of it. */
static void overwrite_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count);
	uint8_t value = (uint8_t)(1 + pick(worker, 255));

	if (!worker->writes || worker->gone[at])
		return;
	/* Not by pread(3), of which ThreadSanitizer knows: others' memory may have been here, and
	 * that mremap(2) took it away, it does not know. */
	if (syscall(SYS_pread64, run.pattern_fd, worker->bytes + at * PAGE, PAGE,
		    (off_t)value * PAGE) == PAGE)
		worker->written[at] = value;
	else if (errno != EFAULT)
		problem(worker, "read", at, errno);
}

/* Exactly what was written is dirty. Where memory is locked and protected it may be more. */
static void ask_dirty(struct worker *worker)
{
	static _Thread_local struct pagein_range ranges[PAGES];
	bool dirty[PAGES] = {false};
	int count;

	if (!worker->writes || worker->splits || worker->count * PAGE != pagein_length(worker->map))
		return;
	count = pagein_dirty(worker->map, 0, 0, ranges, PAGES);
	for (int i = 0; i < count; i++)
		memset(dirty + ranges[i].offset / PAGE, true, ranges[i].length / PAGE);
	for (size_t i = 0; i < worker->count; i++)
		if (dirty[i] != (worker->written[i] != 0))
			problem(worker, dirty[i] ? "dirty" : "not dirty", i, count);
}

static void discard_own(struct worker *worker)
{
	size_t offset, length;

	if (!worker->writes || worker->splits || worker->count * PAGE != pagein_length(worker->map))
		return;
	offset = pick(worker, worker->count);
	length = 1 + pick(worker, worker->count - offset);
	if (pagein_discard(worker->map, offset * PAGE, length * PAGE) != 0)
		problem(worker, "discard", offset, 0);
	memset(worker->written + offset, 0, length);
}

static bool gone_in(const struct worker *worker, size_t at, size_t count)
{
	return memchr(worker->gone + at, true, count);
}

/* Writable and read-only again: the kernel sees three areas, and may join them. */
static void protect_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count), count = 1 + pick(worker, worker->count - at);

	if (!worker->splits || gone_in(worker, at, count))
		return;
	if (mprotect(worker->bytes + at * PAGE, count * PAGE, PROT_READ | PROT_WRITE) != 0)
		problem(worker, "mprotect", at, errno);
	read_own(worker);
	if (!worker->writes && mprotect(worker->bytes + at * PAGE, count * PAGE, PROT_READ) != 0)
		problem(worker, "mprotect", at, errno);
}

static void lock_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count), count = 1 + pick(worker, 8);

	if (count > worker->count - at)
		count = worker->count - at;
	if (!worker->splits || gone_in(worker, at, count))
		return;
	/* By the system call: sanitizers make the function do nothing. What a page that failed
	 * gives depends on the kernel. */
	if (syscall(SYS_mlock, worker->bytes + at * PAGE, count * PAGE) == 0)
		read_own(worker);
	syscall(SYS_munlock, worker->bytes + at * PAGE, count * PAGE);
}

static void write_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count), count = 1 + pick(worker, 4);

	if (count > worker->count - at)
		count = worker->count - at;
	if (pwrite(worker->null_fd, worker->bytes + at * PAGE, count * PAGE, 0) < 0 &&
		errno != EFAULT)
		problem(worker, "write", at, errno);
}

/* Several areas would be moved in part (Linux 6.17), or not at all; hence worker->splits. */
static void move_own(struct worker *worker)
{
	size_t length = worker->count * PAGE;
	void *place, *moved;

	if (worker->splits)
		return;
	place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mremap(worker->bytes, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (moved == MAP_FAILED)
		problem(worker, "mremap", 0, errno);
	else
		worker->bytes = moved;
}

/* More of the object, at a new place. */
static void grow_own(struct worker *worker)
{
	size_t more = PAGES - worker->first - worker->count;
	void *moved;

	if (worker->splits || more == 0)
		return;
	more = 1 + pick(worker, more);
	moved = mremap(
		worker->bytes, worker->count * PAGE, (worker->count + more) * PAGE, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED) {
		problem(worker, "mremap, growing", more, errno);
		return;
	}
	worker->bytes = moved;
	worker->count += more;
}

/* A part of the map is unmapped, and its addresses are used for something else. */
static void reuse_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count), count = 1 + pick(worker, 8);
	uint8_t *memory;

	if (!worker->splits)
		return;
	if (count > worker->count - at)
		count = worker->count - at;
	memory = mmap(worker->bytes + at * PAGE, count * PAGE, PROT_READ | PROT_WRITE,
		MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		problem(worker, "mmap", at, errno);
		return;
	}
	memset(memory, 0x5a, count * PAGE);
	memset(worker->written + at, 0, count);
	memset(worker->gone + at, true, count);
}

/* The end of the map, for good. */
static void shorten_own(struct worker *worker)
{
	size_t gone = worker->count / 4;

	if (gone == 0)
		return;
	worker->count -= gone;
	memset(worker->written + worker->count, 0, gone);
	munmap(worker->bytes + worker->count * PAGE, gone * PAGE);
}

static int compare_in_child(void *context)
{
	struct worker *worker = context;

	/* Children have no shared maps. */
	for (int i = 0; i < 20 && run.problem[0] == '\0'; i++)
		(i % 2 && worker->kind != PAGEIN_SHARED ? read_own : read_common)(worker);
	if (run.problem[0] != '\0')
		fprintf(stderr, "in a child: %s\n", run.problem);
	return run.problem[0] != '\0';
}

static void fork_own(struct worker *worker)
{
	int result;

	/* A sanitizer's own locks may be held by any of the other threads: its children wait for
	 * them for ever, now and then. fork_test.c's have quieter parents. */
	if (pick(worker, 20) != 0 || WITH_SANITIZER)
		return;
	result = run_in_child(compare_in_child, worker);
	if (result != 0)
		problem(worker, "fork", 0, result);
}

/* Reads until it is told to stop, or there is no map any more. */
static void *read_until_the_end(void *context)
{
	struct worker *worker = context;
	const uint8_t *bytes = worker->bytes;

	for (size_t i = 0; !__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE); i++)
		if (touch(bytes + i % worker->count * PAGE, NULL) == SIGSEGV)
			break;
	return NULL;
}

static void unmap_own(struct worker *worker)
{
	/* The addresses may be another thread's at once: a race to ThreadSanitizer. */
	bool under_reader = !WITH_TSAN && pick(worker, 2) == 0;
	pthread_t reader;

	worker->stop = false;
	if (under_reader)
		pthread_create(&reader, NULL, read_until_the_end, worker);
	if (under_reader)
		usleep((useconds_t)pick(worker, 2000));
	pagein_unmap(worker->map);
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
	if (under_reader)
		pthread_join(reader, NULL);
	for (size_t i = 0; i < worker->count; i++)
		if (worker->gone[i]) {
			check_gone(worker, i);
			munmap(worker->bytes + i * PAGE, PAGE);
		}
	memset(worker->gone, false, sizeof worker->gone);
	memset(worker->written, 0, sizeof worker->written);
	pagein_close(worker->object);
	worker->map = NULL;
	worker->object = NULL;
}

static bool map_own(struct worker *worker)
{
	static const unsigned kinds[] = {
		0, PAGEIN_PRIVATE, PAGEIN_PRIVATE, PAGEIN_HUGE, PAGEIN_SHARED};
	const struct pagein_options options = {.size = sizeof options,
		.timeout_ms = 1000,
		.connections = (unsigned)pick(worker, 3) * 5,
		.loops = (unsigned)pick(worker, 4),
		.cache_bytes = pick(worker, 2) * 2 * 1024 * 1024,
		.memory = pick(worker, 2) * (1 + pick(worker, 4)) * 1024 * 1024};

	/* A probe is not repeated; the weather will change. */
	if (pagein_open(run.url, &options, &worker->object) < 0)
		return false;
	worker->kind = kinds[pick(worker, array_len(kinds))];
	worker->writes = worker->kind == PAGEIN_PRIVATE;
	worker->first = pick(worker, PAGES);
	worker->count = 1 + pick(worker, PAGES - worker->first);
	if (pagein_map(worker->object, worker->first * PAGE, worker->count * PAGE, worker->kind,
		    &worker->map) < 0) {
		problem(worker, "map", worker->first, 0);
		return false;
	}
	worker->bytes = pagein_address(worker->map);
	worker->splits = pick(worker, 2);
	return true;
}

static void operate(struct worker *worker)
{
	static void (*const operations[])(struct worker * worker) = {
		read_own,
		read_own,
		read_own,
		read_own,
		read_common,
		read_common,
		read_common,
		drop_common,
		populate_own,
		pin_own,
		advise_own,
		drop_own,
		write_own,
		protect_own,
		lock_own,
		move_own,
		grow_own,
		shorten_own,
		reuse_own,
		overwrite_own,
		overwrite_own,
		ask_dirty,
		discard_own,
		fork_own,
	};

	if (!worker->map && !map_own(worker)) {
		read_common(worker);
		return;
	}
	if (pick(worker, 60) == 0)
		unmap_own(worker);
	else
		operations[pick(worker, array_len(operations))](worker);
}

static void *work(void *context)
{
	struct worker *worker = context;

	while (clock_now_ns() < run.end_ns) {
		operate(worker);
		run.operations[worker->number]++;
	}
	if (worker->object)
		unmap_own(worker);
	return NULL;
}

static void on_alarm(int number)
{
	(void)number;
}

/* A thousand signals a second, to whichever thread the kernel likes. */
static void set_alarm(long interval_us)
{
	const struct itimerval interval = {{0, interval_us}, {0, interval_us}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void make_patterns(void)
{
	uint8_t page[PAGE];

	run.pattern_fd = memfd_create("patterns", MFD_CLOEXEC);
	for (int i = 0; i < 256; i++) {
		memset(page, i, sizeof page);
		assert_int_equal(pwrite(run.pattern_fd, page, PAGE, (off_t)i * PAGE), PAGE);
	}
}

static void every_byte_that_is_seen_is_right(void **state)
{
	uint64_t seed = from_environment("PAGEIN_TEST_SEED", clock_now_ns() % 1000000000);
	uint64_t seconds = from_environment("PAGEIN_TEST_SECONDS", 5);
	const struct pagein_options options = {.size = sizeof options,
		.timeout_ms = 3000,
		.cache_bytes = seed % 2 * 3 * 1024 * 1024,
		.memory = seed / 2 % 2 * 2 * 1024 * 1024};
	static struct worker workers[THREADS];
	uint64_t operations = 0, failures = 0;

	(void)state;
	printf("PAGEIN_TEST_SEED=%llu PAGEIN_TEST_SECONDS=%llu\n", (unsigned long long)seed,
		(unsigned long long)seconds);
	fflush(stdout);
	session_open(&run.session, SIZE, &options);
	make_patterns();
	snprintf(run.url, sizeof run.url, "%s", server_url(&run.session.server, "data"));
	run.end_ns = clock_now_ns() + seconds * NS_PER_S;
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.number = i,
			.seed = (seed + i + 1) * 0x9e3779b97f4a7c15,
			.null_fd = memfd_create("sink", MFD_CLOEXEC)};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	set_alarm(1000); /* us */
	while (clock_now_ns() < run.end_ns) {
		server_script(
			&run.session.server, weathers[random_next(&seed) % array_len(weathers)]);
		usleep(300000);
	}
	set_alarm(0);
	server_script(&run.session.server, "");
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		close(workers[i].null_fd);
		operations += run.operations[i];
		failures += run.failures[i];
	}
	printf("%llu operations, %llu of them met a failed page\n", (unsigned long long)operations,
		(unsigned long long)failures);
	close(run.pattern_fd);
	if (run.problem[0])
		fail_msg("%s", run.problem);
	/* In fair weather again, all is well. */
	pagein_retry(run.session.map, 0, 0);
	assert_int_equal(
		pagein_populate(run.session.map, 0, 0, 60000), options.memory > 0 ? -ENOMEM : 0);
	assert_int_equal(session_compare(&run.session, 0, PAGES), 0);
	session_close(&run.session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_that_is_seen_is_right),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
