/*
 * cases.c - what `pagein bench` has no engine for: one case a subcommand, for tests/bench/run.
 *
 *	first-touch URL...		open, map and touch; the first URL warms the connection
 *	scan-beside URL URL ROUNDS	touches of the first at random, beside scans of the second
 *	terabyte URL TOUCHES		memory of a map, before and after so many random touches
 *	limited-scan URL MEMORY		a scan without a limit, and under PAGEIN_MEMORY=MEMORY
 *	streams URL THREADS STEP	each thread touches every STEP bytes of its own part of a
 *map readers FILE PROCESSES		each process reads its own part of a file, which is cold
 *	tls-connections URL COUNT	processor time of opening, and of so many connections more
 *
 * It prints lines of `name value`; a failure is a line on stderr and exit status 1, a page that
 * can't be fetched the death by SIGBUS. Nothing but pagein.h is used, so that the same file is
 * compiled against the library of an older commit. Threads begin behind a barrier, so that making
 * them is not measured.
 *
 * Memory that a case will fill is touched and given back before its clock starts: a virtual machine
 * may have returned free memory to its host, and gets it back at 10 us a page.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pagein.h"

#define PAGE 4096
#define READ_BYTES (1 << 20) /* dd bs=1M */
#define MIB (1024.0 * 1024.0)
#define WARM_MARGIN_BYTES ((size_t)64 << 20)

/* ---- helpers ------------------------------------------------------------------------------- */

static void *check_memory(void *memory)
{
	if (memory)
		return memory;
	fprintf(stderr, "cases: out of memory\n");
	exit(EXIT_FAILURE);
}

static void check_pagein(int err)
{
	if (err == 0)
		return;
	fprintf(stderr, "cases: %s\n", pagein_last_error());
	exit(EXIT_FAILURE);
}

/* A system call's result, or errno's words. */
static int check_call(int result, const char *what)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "cases: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static double seconds_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double now_s(void)
{
	return seconds_of(CLOCK_MONOTONIC);
}

static double cpu_s(void)
{
	return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts the values. */
static double percentile(double *values, size_t count, unsigned percent)
{
	size_t at = count * percent / 100;

	if (count == 0)
		return 0;
	qsort(values, count, sizeof *values, compare_doubles);
	return values[at < count ? at : count - 1];
}

static void touch(const uint8_t *address)
{
	(void)*(const volatile uint8_t *)address;
}

static void touch_every(const uint8_t *bytes, size_t length, size_t step)
{
	for (size_t at = 0; at < length; at += step)
		touch(bytes + at);
}

static void warm_memory(size_t length)
{
	uint8_t *memory;

	length += WARM_MARGIN_BYTES;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	madvise(memory, length, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < length; at += PAGE)
		((volatile uint8_t *)memory)[at] = 1;
	munmap(memory, length);
}

static size_t page_count(const struct pagein_map *map)
{
	return (pagein_length(map) + PAGE - 1) / PAGE;
}

static struct pagein_object *open_object(const char *url)
{
	struct pagein_object *object;

	check_pagein(pagein_open(url, NULL, &object));
	return object;
}

static struct pagein_map *map_object(struct pagein_object *object)
{
	struct pagein_map *map;

	check_pagein(pagein_map(object, 0, 0, 0, &map));
	return map;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
	int err = pthread_create(thread, NULL, run, argument);

	if (err == 0)
		return;
	fprintf(stderr, "cases: pthread_create: %s\n", strerror(err));
	exit(EXIT_FAILURE);
}

static unsigned long parse_count(const char *text)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);

	if (*end == '\0' && count > 0)
		return count;
	fprintf(stderr, "cases: %s: not a number above zero\n", text);
	exit(EXIT_FAILURE);
}

/* ---- first-touch --------------------------------------------------------------------------- */

static double open_and_touch_s(const char *url)
{
	double start_s = now_s(), seconds;
	struct pagein_object *object = open_object(url);
	struct pagein_map *map = map_object(object);

	touch(pagein_address(map));
	seconds = now_s() - start_s;
	pagein_unmap(map);
	pagein_close(object);
	return seconds;
}

/* Each object is another one: what is known of one must not help the next. The first stays open,
 * and so does its connection. */
static void first_touch(char **urls)
{
	struct pagein_object *warm = open_object(urls[0]);
	size_t count = 0;
	double *seconds;

	while (urls[count + 1])
		count++;
	seconds = check_memory(calloc(count + 1, sizeof *seconds));
	for (size_t i = 0; i < count; i++)
		seconds[i] = open_and_touch_s(urls[i + 1]);
	printf("p50_ms %.6f\n", 1e3 * percentile(seconds, count, 50));
	printf("max_ms %.6f\n", 1e3 * percentile(seconds, count, 100));
	free(seconds);
	pagein_close(warm);
}

/* ---- scan-beside --------------------------------------------------------------------------- */

struct scan {
	const uint8_t *bytes;
	size_t length;
	double seconds;
	pthread_barrier_t start;
	atomic_bool done;
};

static void *scan_run(void *argument)
{
	struct scan *scan = argument;
	double start_s;

	pthread_barrier_wait(&scan->start);
	start_s = now_s();
	touch_every(scan->bytes, scan->length, PAGE);
	scan->seconds = now_s() - start_s;
	atomic_store(&scan->done, true);
	return NULL;
}

/* The numbers of all pages, shuffled: no page is touched twice in a round. */
static uint64_t *shuffled_pages(size_t count, uint64_t seed)
{
	uint64_t *pages = check_memory(calloc(count, sizeof *pages));

	for (size_t i = 0; i < count; i++)
		pages[i] = i;
	for (size_t i = 0; i + 1 < count; i++) {
		size_t j = i + random_next(&seed) % (count - i);
		uint64_t swap = pages[i];

		pages[i] = pages[j];
		pages[j] = swap;
	}
	return pages;
}

struct touches {
	uint64_t *pages; /* in this order */
	size_t page_count;
	double *seconds; /* of each touch, of all rounds */
	size_t count;
};

/* Touches at random for as long as the scan runs; at the most every page but the last, short one.
 */
static void touch_beside(struct touches *touches, const uint8_t *bytes, struct scan *scan)
{
	pthread_t thread;

	atomic_store(&scan->done, false);
	pthread_barrier_init(&scan->start, NULL, 2);
	start_thread(&thread, scan_run, scan);
	pthread_barrier_wait(&scan->start);
	for (size_t i = 0; i < touches->page_count && !atomic_load(&scan->done); i++) {
		double start_s = now_s();

		touch(bytes + touches->pages[i] * PAGE);
		touches->seconds[touches->count++] = now_s() - start_s;
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&scan->start);
}

/* Both maps are new in each round, and cold. Their removal is not measured. */
static void scan_beside(const char *random_url, const char *scan_url, size_t rounds)
{
	struct pagein_object *random = open_object(random_url), *scanned = open_object(scan_url);
	struct touches touches = {.page_count = (size_t)(pagein_size(random) / PAGE)};
	double scan_seconds = 0, scan_bytes = 0;

	touches.seconds = check_memory(
		calloc(touches.page_count * rounds + 1, sizeof *touches.seconds));
	for (size_t round = 0; round < rounds; round++) {
		struct pagein_map *random_map = map_object(random), *scan_map = map_object(scanned);
		struct scan scan = {
			.bytes = pagein_address(scan_map), .length = pagein_length(scan_map)};

		touches.pages = shuffled_pages(touches.page_count, round + 1);
		warm_memory(scan.length);
		touch_beside(&touches, pagein_address(random_map), &scan);
		scan_seconds += scan.seconds;
		scan_bytes += (double)scan.length;
		pagein_unmap(random_map);
		pagein_unmap(scan_map);
		free(touches.pages);
	}
	printf("touches %zu\n", touches.count);
	printf("p50_ms %.6f\n", 1e3 * percentile(touches.seconds, touches.count, 50));
	printf("p99_ms %.6f\n", 1e3 * percentile(touches.seconds, touches.count, 99));
	printf("scan_gb_per_s %.6f\n", scan_bytes / scan_seconds / 1e9);
	free(touches.seconds);
	pagein_close(random);
	pagein_close(scanned);
}

/* ---- terabyte ------------------------------------------------------------------------------ */

/* The number behind `field`, which the kernel gives in KiB. */
static double memory_mib(const char *path, const char *field)
{
	FILE *file = fopen(path, "re");
	char line[256];
	double kib = 0;

	if (!file)
		check_call(-1, path);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtod(line + strlen(field), NULL);
	fclose(file);
	return kib * 1024 / MIB;
}

/* Counted page by page: the numbers in status lag behind. */
static double rss_mib(void)
{
	return memory_mib("/proc/self/smaps_rollup", "Rss:");
}

static double page_tables_mib(void)
{
	return memory_mib("/proc/self/status", "VmPTE:");
}

static void terabyte(const char *url, size_t touches)
{
	double before_open = rss_mib(), tables = page_tables_mib(), before_map, mapped;
	double filled = (double)touches * PAGE / MIB;
	struct pagein_object *object = open_object(url);
	struct pagein_map *map;
	const uint8_t *bytes;
	uint64_t seed = 1;

	before_map = rss_mib();
	map = map_object(object);
	mapped = rss_mib();
	bytes = pagein_address(map);
	/* Two of the same page are one in 26,000. */
	for (size_t i = 0; i < touches; i++)
		touch(bytes + random_next(&seed) % page_count(map) * PAGE);
	printf("open_mib %.6f\n", mapped - before_open);
	printf("map_mib %.6f\n", mapped - before_map);
	printf("touched_mib %.6f\n", rss_mib() - mapped - filled);
	printf("page_tables_mib %.6f\n", page_tables_mib() - tables);
	pagein_unmap(map);
	pagein_close(object);
}

/* ---- limited-scan --------------------------------------------------------------------------- */

#define SAMPLE_BYTES ((size_t)1 << 24)

/* All at once, if half a MiB behind: page by page would count those that come and go meanwhile. */
static double rss_now_mib(void)
{
	return memory_mib("/proc/self/status", "VmRSS:");
}

/* most_mib: how much memory it took at most; NULL: not sampled, for that takes time. */
static double scan_s(const char *url, double *most_mib)
{
	struct pagein_object *object = open_object(url);
	struct pagein_map *map = map_object(object);
	const uint8_t *bytes = pagein_address(map);
	double before = rss_now_mib(), start_s = now_s(), seconds;

	for (size_t at = 0; at < pagein_length(map); at += PAGE) {
		double now;

		touch(bytes + at);
		if (!most_mib || at % SAMPLE_BYTES != 0)
			continue;
		now = rss_now_mib() - before;
		*most_mib = now > *most_mib ? now : *most_mib;
	}
	seconds = now_s() - start_s;
	pagein_unmap(map);
	pagein_close(object);
	return seconds;
}

/* By the environment: older libraries know no option for it. */
static void limited_scan(const char *url, const char *memory)
{
	double unlimited_s, limited_s, most_mib = 0;
	struct pagein_object *object = open_object(url);

	warm_memory(pagein_size(object));
	pagein_close(object);
	unlimited_s = scan_s(url, NULL);
	setenv("PAGEIN_MEMORY", memory, 1);
	limited_s = scan_s(url, NULL);
	scan_s(url, &most_mib);
	printf("unlimited_s %.6f\n", unlimited_s);
	printf("limited_s %.6f\n", limited_s);
	printf("limited_mib %.6f\n", most_mib);
}

/* ---- streams ------------------------------------------------------------------------------- */

struct stream {
	pthread_t thread;
	pthread_barrier_t *start;
	const uint8_t *bytes;
	size_t length;
	size_t step;
};

static void *stream_run(void *argument)
{
	const struct stream *stream = argument;

	pthread_barrier_wait(stream->start);
	touch_every(stream->bytes, stream->length, stream->step);
	return NULL;
}

/* Part `number` of `count`, in whole steps; the last one has what is left over. */
static size_t part_start(size_t length, size_t step, size_t number, size_t count)
{
	return number == count ? length : length / step * number / count * step;
}

static void streams(const char *url, size_t threads, size_t step)
{
	struct pagein_object *object = open_object(url);
	struct pagein_map *map = map_object(object);
	struct stream *all = check_memory(calloc(threads, sizeof *all));
	size_t length = pagein_length(map);
	pthread_barrier_t start;
	double start_s;

	warm_memory(length / step * PAGE);
	pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
	for (size_t i = 0; i < threads; i++) {
		size_t from = part_start(length, step, i, threads);

		all[i] = (struct stream){.start = &start,
			.bytes = (const uint8_t *)pagein_address(map) + from,
			.length = part_start(length, step, i + 1, threads) - from,
			.step = step};
		start_thread(&all[i].thread, stream_run, &all[i]);
	}
	start_s = now_s();
	pthread_barrier_wait(&start);
	for (size_t i = 0; i < threads; i++)
		pthread_join(all[i].thread, NULL);
	printf("seconds %.6f\n", now_s() - start_s);
	printf("touches %zu\n", (length + step - 1) / step);
	pthread_barrier_destroy(&start);
	free(all);
	pagein_unmap(map);
	pagein_close(object);
}

/* ---- readers ------------------------------------------------------------------------------- */

static void read_part(const char *path, off_t at, off_t end)
{
	int fd = check_call(open(path, O_RDONLY | O_CLOEXEC), path);
	uint8_t *buffer = check_memory(malloc(READ_BYTES));

	while (at < end) {
		size_t wanted = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
		ssize_t count = pread(fd, buffer, wanted, at);

		if (count <= 0)
			check_call(count < 0 ? -1 : (errno = EIO, -1), path);
		at += count;
	}
	free(buffer);
	close(fd);
}

/* A child, which reads when nobody holds the pipe's other end any more. */
static pid_t start_reader(const char *path, off_t at, off_t end, const int pipe_fds[2])
{
	pid_t child = check_call(fork(), "fork");
	char byte;

	if (child != 0)
		return child;
	close(pipe_fds[1]);
	if (read(pipe_fds[0], &byte, 1) < 0)
		_exit(EXIT_FAILURE);
	read_part(path, at, end);
	_exit(EXIT_SUCCESS);
}

static bool reader_succeeded(pid_t child)
{
	int status;

	return waitpid(child, &status, 0) == child && status == 0;
}

static off_t cold_size(const char *path)
{
	int fd = check_call(open(path, O_RDONLY | O_CLOEXEC), path);
	struct stat status;

	check_call(fstat(fd, &status), path);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return status.st_size;
}

static void readers(const char *path, size_t count)
{
	pid_t *children = check_memory(calloc(count, sizeof *children));
	size_t size = (size_t)cold_size(path);
	bool succeeded = true;
	int pipe_fds[2];
	double start_s;

	warm_memory(size);
	check_call(pipe2(pipe_fds, O_CLOEXEC), "pipe");
	for (size_t i = 0; i < count; i++)
		children[i] = start_reader(path, (off_t)part_start(size, PAGE, i, count),
			(off_t)part_start(size, PAGE, i + 1, count), pipe_fds);
	start_s = now_s();
	close(pipe_fds[1]);
	for (size_t i = 0; i < count; i++)
		succeeded &= reader_succeeded(children[i]);
	printf("seconds %.6f\n", now_s() - start_s);
	close(pipe_fds[0]);
	free(children);
	if (!succeeded)
		exit(EXIT_FAILURE);
}

/* ---- tls-connections ----------------------------------------------------------------------- */

static uint64_t connections_opened(void)
{
	struct pagein_stats stats;

	check_pagein(pagein_stats(NULL, &stats));
	return stats.connections_opened;
}

/* So many threads touch a page each at the same time: for each, a connection is opened. The
 * processor time is that of the process, so the touches' is in it. */
static void tls_connections(const char *url, size_t count)
{
	double before_open_s = cpu_s(), before_s;
	struct pagein_object *object = open_object(url);
	double open_s = cpu_s() - before_open_s;
	struct pagein_map *map = map_object(object);
	struct stream *all = check_memory(calloc(count, sizeof *all));
	uint64_t opened = connections_opened(), seed = 1;
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, (unsigned)count + 1);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *bytes = pagein_address(map);

		all[i] = (struct stream){.start = &start,
			.bytes = bytes + random_next(&seed) % page_count(map) * PAGE,
			.length = 1,
			.step = 1};
		start_thread(&all[i].thread, stream_run, &all[i]);
	}
	before_s = cpu_s();
	pthread_barrier_wait(&start);
	for (size_t i = 0; i < count; i++)
		pthread_join(all[i].thread, NULL);
	opened = connections_opened() - opened;
	if (opened == 0) {
		fprintf(stderr, "cases: %s: no connection was opened\n", url);
		exit(EXIT_FAILURE);
	}
	printf("open_cpu_ms %.6f\n", 1e3 * open_s);
	printf("connections %zu\n", (size_t)opened);
	printf("cpu_ms %.6f\n", 1e3 * (cpu_s() - before_s) / (double)opened);
	pthread_barrier_destroy(&start);
	free(all);
	pagein_unmap(map);
	pagein_close(object);
}

/* ---- main ---------------------------------------------------------------------------------- */

static int run_case(int count, char **arguments)
{
	const char *name = count > 0 ? arguments[0] : "";

	if (strcmp(name, "first-touch") == 0 && count >= 3)
		first_touch(arguments + 1);
	else if (strcmp(name, "scan-beside") == 0 && count == 4)
		scan_beside(arguments[1], arguments[2], parse_count(arguments[3]));
	else if (strcmp(name, "terabyte") == 0 && count == 3)
		terabyte(arguments[1], parse_count(arguments[2]));
	else if (strcmp(name, "limited-scan") == 0 && count == 3)
		limited_scan(arguments[1], arguments[2]);
	else if (strcmp(name, "streams") == 0 && count == 4)
		streams(arguments[1], parse_count(arguments[2]), parse_count(arguments[3]));
	else if (strcmp(name, "readers") == 0 && count == 3)
		readers(arguments[1], parse_count(arguments[2]));
	else if (strcmp(name, "tls-connections") == 0 && count == 3)
		tls_connections(arguments[1], parse_count(arguments[2]));
	else
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	if (run_case(argc - 1, argv + 1) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "usage: cases first-touch|scan-beside|terabyte|"
			"limited-scan|streams|readers|tls-connections ARGUMENT...\n");
	return EXIT_FAILURE;
}
