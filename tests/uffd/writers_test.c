/*
 * writers_test.c - no write to an overlay is ever lost, whatever else goes on in it.
 *
 * Each thread has every eighth page for its own, writes to it and compares it with what it has
 * written, through memory, read(2) and process_vm_writev(2). Meanwhile they all have the common map
 * populated, advised, dropped (PAGEIN_DONTNEED of pages that others are writing), tried again, and
 * its failures healed, of a server that delays and fails. At the end what is dirty is exactly what
 * was written.
 *
 * PAGEIN_TEST_SEED repeats a run as far as threads can be repeated, PAGEIN_TEST_SECONDS makes it
 * longer than three seconds for each of the two modes.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "map_private.h"

#define THREADS 8
#define SIZE (4 * 1024 * 1024 + 1234)
#define PAGES (SIZE / PAGE + 1)

static const char *const weathers[] = {
	"",
	"path=/data percent=30 : delay=3ms\n",
	"path=/data percent=10 : status=503\npath=/data percent=20 seed=2 : truncate=9000\n",
	"path=/data percent=60 : status=500\npath=/data percent=20 seed=4 : delay=2ms\n",
};

static struct writing {
	struct session session;
	uint8_t *bytes;
	uint8_t *model;    /* what the pages ought to show */
	bool dirty[PAGES]; /* each is its thread's */
	uint64_t end_ns;
	uint64_t failures[THREADS];
	pthread_mutex_t lock;
	char problem[200]; /* the first; under lock */
} run = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct writer {
	pthread_t thread;
	size_t number;
	uint64_t seed;
	uint64_t operations;
	int fd; /* a file of its own */
};

static bool told = true, untold = false;

static void problem(const struct writer *writer, const char *what, size_t page, int result)
{
	pthread_mutex_lock(&run.lock);
	if (run.problem[0] == '\0')
		snprintf(run.problem, sizeof run.problem, "thread %zu: %s: page %zu: %d",
			writer->number, what, page, result);
	pthread_mutex_unlock(&run.lock);
}

static size_t pick(struct writer *writer, size_t count)
{
	return random_next(&writer->seed) % count;
}

static size_t pick_own(struct writer *writer)
{
	size_t page = pick(writer, PAGES / THREADS) * THREADS + writer->number;

	return page < PAGES ? page : writer->number;
}

/* A page that can't be had now can be later. */
static void meet_failure(struct writer *writer, const char *what, size_t page, int result)
{
	if (result != SIGBUS && result != EFAULT)
		problem(writer, what, page, result);
	run.failures[writer->number]++;
	if (pagein_retry(run.session.map, page * PAGE, 1) != 0)
		problem(writer, "retry", page, 0);
}

/* The bytes of an own page that are written next. */
struct piece {
	size_t page, offset, length;
	uint8_t bytes[64];
};

static struct piece pick_piece(struct writer *writer)
{
	struct piece piece = {.page = pick_own(writer)};

	piece.length = 1 + pick(writer, sizeof piece.bytes);
	piece.offset = piece.page * PAGE + pick(writer, PAGE - piece.length + 1);
	memset(piece.bytes, (int)pick(writer, 256), piece.length);
	return piece;
}

static void note(const struct piece *piece)
{
	memcpy(run.model + piece->offset, piece->bytes, piece->length);
	run.dirty[piece->page] = true;
}

static void check(struct writer *writer)
{
	size_t page = pick_own(writer);
	int result = touch_compare(run.bytes + page * PAGE, run.model + page * PAGE, PAGE);

	if (result != 0)
		meet_failure(writer, "wrong bytes or signal", page, result);
}

static void write_memory(struct writer *writer)
{
	struct piece piece = pick_piece(writer);
	int result = touch_write(run.bytes + piece.offset, piece.bytes, piece.length);

	if (result == 0)
		note(&piece);
	else
		meet_failure(writer, "signal at a write", piece.page, result);
}

static void write_by_read(struct writer *writer)
{
	struct piece piece = pick_piece(writer);

	if (pwrite(writer->fd, piece.bytes, piece.length, 0) != (ssize_t)piece.length)
		problem(writer, "pwrite", piece.page, errno);
	else if (pread(writer->fd, run.bytes + piece.offset, piece.length, 0) ==
		 (ssize_t)piece.length)
		note(&piece);
	else
		meet_failure(writer, "read(2)", piece.page, errno);
}

static void write_by_vm(struct writer *writer)
{
	struct piece piece = pick_piece(writer);
	struct iovec from = {piece.bytes, piece.length},
		     to = {run.bytes + piece.offset, piece.length};

	if (process_vm_writev(getpid(), &from, 1, &to, 1, 0) == (ssize_t)piece.length)
		note(&piece);
	else
		meet_failure(writer, "process_vm_writev", piece.page, errno);
}

static void forget(size_t page)
{
	size_t at = page * PAGE, length = SIZE - at < PAGE ? SIZE - at : PAGE;

	memset(run.model + at, 0, PAGE);
	memcpy(run.model + at, run.session.local.bytes + at, length);
	run.dirty[page] = false;
}

static void discard(struct writer *writer)
{
	size_t page = pick_own(writer);

	if (pagein_discard(run.session.map, page * PAGE, 1) != 0)
		problem(writer, "discard", page, 0);
	forget(page);
}

static void drop(struct writer *writer)
{
	size_t page = pick_own(writer);

	if (madvise(run.bytes + page * PAGE, PAGE, MADV_DONTNEED) != 0)
		problem(writer, "madvise", page, errno);
	forget(page);
}

static void advise(struct writer *writer)
{
	size_t offset = pick(writer, SIZE);

	if (pagein_advise(run.session.map, offset, 1 + pick(writer, SIZE - offset),
		    pick(writer, 2) ? PAGEIN_DONTNEED : PAGEIN_WILLNEED) != 0)
		problem(writer, "advise", offset, 0);
}

static void populate(struct writer *writer)
{
	size_t offset = pick(writer, SIZE);

	pagein_populate(
		run.session.map, offset, 1 + pick(writer, SIZE - offset), (int)pick(writer, 20));
}

static void retry(struct writer *writer)
{
	(void)writer;
	pagein_retry(run.session.map, 0, 0);
}

static void ask(struct writer *writer)
{
	struct pagein_range ranges[8];
	size_t page = pick_own(writer);
	int count = pagein_dirty(run.session.map, page * PAGE, 1, ranges, array_len(ranges));

	/* Its own page: nobody else writes there. */
	if (count != run.dirty[page])
		problem(writer, run.dirty[page] ? "dirty, but not told" : "clean, but told", page,
			count);
}

static void *work(void *context)
{
	static void (*const often[])(struct writer * writer) = {
		write_memory, write_memory, write_by_read, write_by_vm, check, check, ask};
	static void (*const seldom[])(struct writer * writer) = {
		discard, drop, advise, advise, populate, retry};
	struct writer *writer = context;

	while (clock_now_ns() < run.end_ns) {
		if (pick(writer, 30) == 0)
			seldom[pick(writer, array_len(seldom))](writer);
		else
			often[pick(writer, array_len(often))](writer);
		writer->operations++;
	}
	return NULL;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void open_run(bool told_of_writes, uint64_t cache_bytes)
{
	const struct pagein_options options = {.size = sizeof options,
		.timeout_ms = 3000,
		.attempts = 2,
		.cache_bytes = cache_bytes};

	session_start_server(&run.session, SIZE);
	session_open_object(&run.session, &options);
	overlay_allow_async(!told_of_writes);
	assert_int_equal(pagein_map(run.session.object, 0, 0, PAGEIN_PRIVATE, &run.session.map), 0);
	overlay_allow_async(true);
	assert_true(overlay_is_async(run.session.map) == !told_of_writes);
	run.session.bytes = run.bytes = pagein_address(run.session.map);
	run.model = malloc(PAGES * PAGE);
	for (size_t page = 0; page < PAGES; page++)
		forget(page);
}

static void check_end(void)
{
	static struct pagein_range ranges[PAGES];
	bool dirty[PAGES] = {false};
	int count;

	pagein_retry(run.session.map, 0, 0);
	assert_int_equal(pagein_populate(run.session.map, 0, 0, 60000), 0);
	assert_int_equal(touch_compare(run.bytes, run.model, PAGES * PAGE), 0);
	count = pagein_dirty(run.session.map, 0, 0, ranges, PAGES);
	assert_true(count >= 0);
	for (int i = 0; i < count; i++)
		for (size_t at = 0; at < ranges[i].length; at += PAGE)
			dirty[(ranges[i].offset + at) / PAGE] = true;
	for (size_t page = 0; page < PAGES; page++)
		if (dirty[page] != run.dirty[page])
			fail_msg("page %zu is told %s", page, dirty[page] ? "dirty" : "clean");
}

static void no_write_is_lost(void **state)
{
	uint64_t seed = from_environment("PAGEIN_TEST_SEED", clock_now_ns() % 1000000000);
	uint64_t seconds = from_environment("PAGEIN_TEST_SECONDS", 3);
	struct writer writers[THREADS];
	uint64_t operations = 0, failures = 0;
	struct uffd_access access;

	uffd_probe(&access);
	if (!*(bool *)*state && !(access.features & UFFD_FEATURE_WP_ASYNC))
		skip_because("the kernel has no UFFD_FEATURE_WP_ASYNC (6.7)");
	printf("PAGEIN_TEST_SEED=%llu PAGEIN_TEST_SECONDS=%llu\n", (unsigned long long)seed,
		(unsigned long long)seconds);
	fflush(stdout);
	open_run(*(bool *)*state, seed % 2 * 2 * 1024 * 1024);
	run.end_ns = clock_now_ns() + seconds * NS_PER_S;
	for (size_t i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){.number = i,
			.seed = (seed + i + 1) * 0x9e3779b97f4a7c15,
			.fd = memfd_create("writer", MFD_CLOEXEC)};
		pthread_create(&writers[i].thread, NULL, work, &writers[i]);
	}
	while (clock_now_ns() < run.end_ns) {
		server_script(
			&run.session.server, weathers[random_next(&seed) % array_len(weathers)]);
		usleep(100000);
	}
	server_script(&run.session.server, "");
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(writers[i].thread, NULL);
		close(writers[i].fd);
		operations += writers[i].operations;
		failures += run.failures[i];
		run.failures[i] = 0;
	}
	printf("%llu operations, %llu of them met a failed page\n", (unsigned long long)operations,
		(unsigned long long)failures);
	if (run.problem[0])
		fail_msg("%s", run.problem);
	check_end();
	free(run.model);
	session_close(&run.session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"no_write_is_lost (told)", no_write_is_lost, NULL, NULL, &told},
		{"no_write_is_lost (untold)", no_write_is_lost, NULL, NULL, &untold},
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
