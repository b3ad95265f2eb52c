/*
 * random_test.c - whatever threads do to maps of a misbehaving server, every byte they see is the
 * local file's, and nothing is left behind.
 *
 * PAGEIN_TEST_SEED repeats a run as far as threads can be repeated, PAGEIN_TEST_SECONDS makes it
 * longer than five seconds. Each thread owns one map at a time, which it drops pages of, moves and
 * replaces as it likes; all of them read one common map besides, which only loses pages. An access
 * either gives the right bytes or, where the server was too bad for too long, SIGBUS and a reason.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"

#define THREADS 6
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
	uint64_t operations[THREADS], failures[THREADS];
	char problem[200]; /* the first; under lock */
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
	size_t first, count; /* pages of the object that its map shows */
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
		problem(worker, "wrong bytes or signal", page, result);
}

static void read_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count);
	size_t count = 1 + pick(worker, worker->count - at < 40 ? worker->count - at : 40);

	compare(worker, worker->map, worker->bytes + at * PAGE, worker->first + at, count);
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

	if (err < 0 && err != -ETIMEDOUT && err != -EIO && err != -EPROTO)
		problem(worker, "populate", offset, err);
}

static void advise_own(struct worker *worker)
{
	if (pagein_advise(worker->map, 0, 0, (int)pick(worker, PAGEIN_DONTNEED + 1)) != 0)
		problem(worker, "advise", 0, 0);
}

static void drop_own(struct worker *worker)
{
	size_t at = pick(worker, worker->count);

	if (madvise(worker->bytes + at * PAGE, (1 + pick(worker, worker->count - at)) * PAGE,
		    MADV_DONTNEED) != 0)
		problem(worker, "madvise", at, errno);
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

static void move_own(struct worker *worker)
{
	size_t length = worker->count * PAGE;
	void *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *moved = mremap(worker->bytes, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);

	if (moved == MAP_FAILED)
		problem(worker, "mremap", 0, errno);
	else
		worker->bytes = moved;
}

/* The end of the map, for good. */
static void shorten_own(struct worker *worker)
{
	size_t gone = worker->count / 4;

	if (gone == 0)
		return;
	worker->count -= gone;
	munmap(worker->bytes + worker->count * PAGE, gone * PAGE);
}

static void unmap_own(struct worker *worker)
{
	pagein_unmap(worker->map);
	pagein_close(worker->object);
	worker->map = NULL;
	worker->object = NULL;
}

static bool map_own(struct worker *worker)
{
	static const unsigned kinds[] = {0, PAGEIN_HUGE, PAGEIN_SHARED};
	const struct pagein_options options = {.size = sizeof options,
		.timeout_ms = 1000,
		.connections = (unsigned)pick(worker, 3) * 5,
		.loops = (unsigned)pick(worker, 4),
		.cache_bytes = pick(worker, 2) * 2 * 1024 * 1024};

	/* A probe is not repeated; the weather will change. */
	if (pagein_open(run.url, &options, &worker->object) < 0)
		return false;
	worker->first = pick(worker, PAGES);
	worker->count = 1 + pick(worker, PAGES - worker->first);
	if (pagein_map(worker->object, worker->first * PAGE, worker->count * PAGE,
		    kinds[pick(worker, array_len(kinds))], &worker->map) < 0) {
		problem(worker, "map", worker->first, 0);
		return false;
	}
	worker->bytes = pagein_address(worker->map);
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
		advise_own,
		drop_own,
		write_own,
		move_own,
		shorten_own,
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

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_byte_that_is_seen_is_right(void **state)
{
	uint64_t seed = from_environment("PAGEIN_TEST_SEED", clock_now_ns() % 1000000000);
	uint64_t seconds = from_environment("PAGEIN_TEST_SECONDS", 5);
	const struct pagein_options options = {.size = sizeof options,
		.timeout_ms = 3000,
		.cache_bytes = seed % 2 * 3 * 1024 * 1024};
	struct worker workers[THREADS];
	uint64_t operations = 0, failures = 0;

	(void)state;
	printf("PAGEIN_TEST_SEED=%llu PAGEIN_TEST_SECONDS=%llu\n", (unsigned long long)seed,
		(unsigned long long)seconds);
	fflush(stdout);
	session_open(&run.session, SIZE, &options);
	snprintf(run.url, sizeof run.url, "%s", server_url(&run.session.server, "data"));
	run.end_ns = clock_now_ns() + seconds * NS_PER_S;
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.number = i,
			.seed = (seed + i + 1) * 0x9e3779b97f4a7c15,
			.null_fd = memfd_create("sink", MFD_CLOEXEC)};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	while (clock_now_ns() < run.end_ns) {
		server_script(
			&run.session.server, weathers[random_next(&seed) % array_len(weathers)]);
		usleep(300000);
	}
	server_script(&run.session.server, "");
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		close(workers[i].null_fd);
		operations += run.operations[i];
		failures += run.failures[i];
	}
	printf("%llu operations, %llu of them met a failed page\n", (unsigned long long)operations,
		(unsigned long long)failures);
	if (run.problem[0])
		fail_msg("%s", run.problem);
	/* In fair weather again, all is well. */
	pagein_retry(run.session.map, 0, 0);
	assert_int_equal(pagein_populate(run.session.map, 0, 0, 60000), 0);
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
