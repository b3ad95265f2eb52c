/*
 * library.c - what a program does with libpagein, while one of the library's calls to others fails.
 *
 *	faults-library SCENARIO URL FILE	FILE: the same bytes
 *
 * FAIL in the environment says which call fails (fail.h). Whatever it is: each byte that can be
 * read is the file's; what can't be had is an error with words, and heals when nothing fails any
 * more; nothing is left at the end: no descriptor, no thread, no gauge, no memory (LSan). Exit
 * status 0, or 1 and what was wrong. Errors that are allowed are told on stdout.
 *
 * A scenario is steps that are made in the window in which calls fail. Behind it, all of the map is
 * read again. Those named "-end" open the window for the teardown alone. This file's own calls in
 * between must not be those of calls.txt, or must be __real_ ones.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fail.h"
#include "pagein.h"
#include "process.h"
#include "touch.h"

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define SIGNALS_MAX 3
#define REFUSALS 3 /* of mmap(2), mprotect(2) and munmap(2) */

struct world {
	const struct scenario *scenario;
	const char *url;
	struct pagein_object *object;
	struct pagein_map *map;
	const uint8_t *bytes; /* of the file */
	size_t size;
	unsigned signals; /* pages that failed */
};

struct scenario {
	const char *name;
	void (*steps)(struct world *world); /* with a map */
	unsigned flags;                     /* of the map */
	bool at_end;                        /* the window is open for the teardown only */
	bool moves;                         /* the map is not one range at its end */
	struct pagein_options options;
};

pid_t __real_fork(void);
pid_t __real_waitpid(pid_t pid, int *status, int options);
int __real_munmap(void *address, size_t length);

static __attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *format, ...)
{
	va_list arguments;

	fail_close();
	va_start(arguments, format);
	fputs("wrong: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	_exit(1);
}

/* 0 as it is; an error must have a cause, and words. */
static int check(const char *call, int result)
{
	const char *words = pagein_last_error();

	if (result >= 0)
		return result;
	printf("%s: %d: %s\n", call, result, words);
	if (fail_count() == 0)
		wrong("%s failed, and nothing had: %d: %s", call, result, words);
	if (words[0] == '\0')
		wrong("%s: %d without words", call, result);
	return result;
}

static const uint8_t *address(const struct world *world)
{
	return pagein_address(world->map);
}

static void check_signal(struct world *world, size_t page, int number)
{
	struct pagein_error error;
	int err;

	if (number == 0)
		return;
	if (number < 0)
		wrong("page %zu: a wrong byte", page);
	world->signals++;
	if (fail_count() == 0)
		wrong("page %zu: signal %d, and nothing had failed", page, number);
	err = check("pagein_error", pagein_error(world->map, address(world) + page * PAGE, &error));
	if (err < 0)
		return;
	printf("page %zu: signal %d: %d: %s\n", page, number, error.error, error.message);
	if (error.error == 0 || error.message[0] == '\0')
		wrong("page %zu: signal %d without an error", page, number);
}

struct comparing {
	const uint8_t *bytes, *expected;
	size_t length;
};

static int compare_guarded(void *context)
{
	const struct comparing *comparing = context;

	return memcmp(comparing->bytes, comparing->expected, comparing->length) ? 1 : 0;
}

/* As touch_compare(). The handlers of a map with PAGEIN_INLINE are the library's. */
static int compare(const struct world *world, size_t from, size_t length)
{
	struct comparing comparing = {address(world) + from, world->bytes + from, length};
	int result;

	if (!(world->scenario->flags & PAGEIN_INLINE))
		return touch_compare(comparing.bytes, comparing.expected, length);
	result = pagein_guard(compare_guarded, &comparing);
	return result < 0 ? SIGBUS : -result;
}

/*
 * Pages one by one: each is right, or fails with words. A kernel that refuses everything keeps each
 * touch waiting for two seconds, so whoever has seen a few goes home.
 */
static void read_pages(struct world *world, size_t first, size_t end)
{
	for (size_t page = first; page < end && page * PAGE < world->size; page++) {
		if (world->signals == SIGNALS_MAX)
			return;
		size_t from = page * PAGE;
		size_t length = world->size - from < PAGE ? world->size - from : PAGE;

		check_signal(world, page, compare(world, from, length));
	}
}

/* ---- scenarios ---------------------------------------------------------------------------- */

static void step_touch(struct world *world)
{
	read_pages(world, 100, 101);
	read_pages(world, 50, 51);
	read_pages(world, 0, 40);
	read_pages(world, 140, SIZE_MAX);
}

static void step_ask(struct world *world)
{
	static unsigned char states[4096];
	struct pagein_thread_stats threads[4];
	struct pagein_stats stats;

	check("advise", pagein_advise(world->map, 0, 20 * PAGE, PAGEIN_WILLNEED));
	if (check("populate", pagein_populate(world->map, 10 * PAGE, 50 * PAGE, 5000)) == 0)
		read_pages(world, 10, 60);
	check("pin", pagein_pin(world->map, 0, 10 * PAGE));
	check("residency", pagein_residency(world->map, 0, 0, states));
	check("advise", pagein_advise(world->map, 0, 30 * PAGE, PAGEIN_DONTNEED));
	read_pages(world, 0, 12);
	check("unpin", pagein_unpin(world->map, 0, 10 * PAGE));
	check("advise", pagein_advise(world->map, 0, 0, PAGEIN_SEQUENTIAL));
	read_pages(world, 60, 90);
	check("threads", pagein_thread_stats(world->map, threads, array_len(threads)));
	check("stats", pagein_stats(world->map, &stats));
}

/* Enough requests of their own to know which of them are late. */
static void step_alone(struct world *world)
{
	check("advise", pagein_advise(world->map, 0, 0, PAGEIN_RANDOM));
	for (size_t odd = 0; odd < 2; odd++)
		for (size_t page = odd; page * PAGE < world->size; page += 2)
			read_pages(world, page, page + 1);
}

/* What is called verified is so. */
static void step_verify(struct world *world)
{
	int integrity;

	read_pages(world, 0, SIZE_MAX);
	integrity = check("integrity", pagein_integrity(world->object));
	if (fail_count() == 0 && integrity != PAGEIN_VERIFIED && integrity != PAGEIN_BY_BLOCK)
		wrong("not verified: %d", integrity);
	if (integrity == PAGEIN_BAD && world->scenario->options.verify != PAGEIN_VERIFY_REQUIRE)
		wrong("what nobody requires is bad");
}

static void step_scan(struct world *world)
{
	read_pages(world, 0, SIZE_MAX);
}

static void step_populate(struct world *world)
{
	if (check("populate", pagein_populate(world->map, 0, world->size, 15000)) == 0)
		read_pages(world, 0, SIZE_MAX);
	else
		read_pages(world, 0, 3);
}

/* What is written stays, and what is discarded is the object's again. */
static void step_write(struct world *world)
{
	static const char text[] = "written by the test";
	uint8_t *to = pagein_address(world->map);
	struct pagein_range ranges[8];
	int number;

	read_pages(world, 2, 8);
	for (size_t page = 4; page < 12; page += 3) {
		number = touch_write(to + page * PAGE, text, sizeof text);
		check_signal(world, page, number);
		if (number == 0 && touch_compare(to + page * PAGE, text, sizeof text) != 0)
			wrong("page %zu: what was written is lost", page);
	}
	check("dirty", pagein_dirty(world->map, 0, 0, ranges, array_len(ranges)));
	read_pages(world, 20, 22);
	check("advise", pagein_advise(world->map, 0, 20 * PAGE, PAGEIN_DONTNEED));
	if (check("discard", pagein_discard(world->map, 0, 0)) == 0)
		read_pages(world, 0, 14);
}

static void step_detach(struct world *world)
{
	void *memory;

	if (check("populate", pagein_populate(world->map, 0, world->size, 15000)) < 0 ||
		check("detach", pagein_detach(world->map, &memory)) < 0)
		return;
	world->map = NULL;
	if (touch_compare(memory, world->bytes, world->size) != 0)
		wrong("detached memory is not the object's");
	__real_munmap(memory, (world->size + PAGE - 1) / PAGE * PAGE);
}

static void step_move(struct world *world)
{
	uint8_t *from = pagein_address(world->map), *place, *to;
	size_t length = 30 * PAGE;

	read_pages(world, 0, 2);
	place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (place == MAP_FAILED)
		return;
	to = mremap(from + 10 * PAGE, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (to == MAP_FAILED)
		wrong("mremap: %s", strerror(errno));
	for (size_t page = 0; page < 30 && world->signals < SIGNALS_MAX; page += 7) {
		int number = touch_compare(
			to + page * PAGE, world->bytes + (10 + page) * PAGE, PAGE);

		if (number < 0)
			wrong("page %zu: a wrong byte where it was moved", page);
		world->signals += number > 0;
	}
	__real_munmap(to + 5 * PAGE, 10 * PAGE);
	if (touch_compare(to + 16 * PAGE, world->bytes + 26 * PAGE, PAGE) == -1)
		wrong("a wrong byte behind an unmapped one");
	read_pages(world, 0, 10);
	read_pages(world, 40, 50);
}

static void step_guard(struct world *world)
{
	struct comparing comparing = {address(world), world->bytes, 3 * PAGE};
	int result = pagein_guard(compare_guarded, &comparing);

	if (result < 0 && fail_count() == 0)
		wrong("a guard that fails without a cause: %d", result);

	if (result > 0)
		wrong("a wrong byte in a guard");
	read_pages(world, 60, 70);
}

/* A child that can't have a map has signals; never other bytes. */
static void child_run(struct world *world)
{
	for (size_t page = 0; page < 60 && world->signals < SIGNALS_MAX; page += 3) {
		int number = compare(world, page * PAGE, PAGE);

		if (number < 0)
			_exit(100);
		world->signals += number > 0;
	}
	pagein_unmap(world->map);
	pagein_close(world->object);
	_exit(0);
}

/*
 * A child that is served waits for as long as the kernel refuses its pages, poisoned ones included:
 * there is nothing else that its parent could do to another's memory. So at some time it stops.
 */
static void step_fork(struct world *world)
{
	bool served = world->scenario->options.fork == PAGEIN_FORK_SERVE;
	pid_t child;
	int status;

	read_pages(world, 0, 5);
	child = __real_fork();
	if (child == 0)
		child_run(world);
	if (child < 0)
		wrong("fork: %s", strerror(errno));
	read_pages(world, 20, 30);
	if (served)
		fail_close();
	while (__real_waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (served)
		fail_open();
	/* Who can't be rid of memory that would read as zeros ends itself. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && fail_count() >= REFUSALS)
		return;
	if (WIFSIGNALED(status))
		wrong("the child was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		wrong("the child ended with %d", WEXITSTATUS(status));
	read_pages(world, 40, 50);
}

static void step_caps(struct world *world)
{
	struct pagein_caps caps;

	if (pagein_caps(&caps) < 0 && (caps.error == 0 || caps.message[0] == '\0'))
		wrong("pagein_caps() without words");
	read_pages(world, 0, 1);
}

#define OPTIONS(...)                                       \
	.options = {.size = sizeof(struct pagein_options), \
		.timeout_ms = 9000,                        \
		.attempts = 2,                             \
		.loops = 1,                                \
		__VA_ARGS__}

static const struct scenario scenarios[] = {
	{"touch", step_touch, OPTIONS()},
	{"ask", step_ask, OPTIONS()},
	{"limit", step_scan, OPTIONS(.memory = MIB)},
	{"limit-ask", step_ask, OPTIONS(.memory = MIB)},
	{"cache", step_ask, OPTIONS(.cache_bytes = MIB)},
	{"inline", step_ask, .flags = PAGEIN_INLINE, OPTIONS(.cache_bytes = MIB)},
	{"private", step_write, .flags = PAGEIN_PRIVATE, OPTIONS()},
	{"private-limit", step_write, .flags = PAGEIN_PRIVATE, OPTIONS(.memory = MIB)},
	{"detach", step_detach, OPTIONS()},
	{"huge", step_populate, .flags = PAGEIN_HUGE, OPTIONS()},
	{"shared", step_ask, .flags = PAGEIN_SHARED, OPTIONS()},
	{"move", step_move, .moves = true, OPTIONS()},
	{"guard", step_guard, OPTIONS()},
	{"caps", step_caps, OPTIONS()},
	{"fork", step_fork, OPTIONS()},
	{"fork-serve", step_fork, OPTIONS(.fork = PAGEIN_FORK_SERVE)},
	{"fork-private", step_fork, .flags = PAGEIN_PRIVATE, OPTIONS()},
	{"private-read", step_touch, .flags = PAGEIN_PRIVATE, OPTIONS()},
	{"hedge", step_alone, OPTIONS(.hedge_percent = 100)},
	{"verify", step_verify, OPTIONS()},
	{"verify-require", step_verify, OPTIONS(.verify = PAGEIN_VERIFY_REQUIRE)},
	{"verify-blocks", step_verify, OPTIONS(.verify = PAGEIN_VERIFY_BLOCKS)},
	{"touch-end", step_touch, .at_end = true, OPTIONS()},
	{"cache-end", step_touch, .at_end = true, OPTIONS(.cache_bytes = MIB)},
	{"private-end", step_touch, .at_end = true, .flags = PAGEIN_PRIVATE, OPTIONS()},
	{"shared-end", step_touch, .at_end = true, .flags = PAGEIN_SHARED, OPTIONS()},
};

/* ---- the run ------------------------------------------------------------------------------ */

static void world_open(struct world *world)
{
	const struct scenario *scenario = world->scenario;

	if (check("open", pagein_open(world->url, &scenario->options, &world->object)) < 0)
		world->object = NULL;
	else if (pagein_size(world->object) != world->size)
		wrong("the size is not the file's");
	else if (!pagein_version(world->object))
		wrong("no version");
	else if (check("map", pagein_map(world->object, 0, 0, scenario->flags, &world->map)) < 0)
		world->map = NULL;
	else if (pagein_length(world->map) < world->size)
		wrong("the length is not the file's");
}

static void world_close(struct world *world)
{
	check("unmap", pagein_unmap(world->map));
	pagein_close(world->object);
	world->map = NULL;
	world->object = NULL;
}

/* Nothing fails any more: all that is left of the map is right, or becomes so. */
static void world_heal(struct world *world)
{
	const uint8_t *bytes = address(world);

	/* What can't be verified any more, and must be, is to be opened anew. */
	if (world->scenario->moves || pagein_integrity(world->object) == PAGEIN_BAD)
		return;
	if (pagein_retry(world->map, 0, 0) < 0)
		wrong("retry: %s", pagein_last_error());
	for (size_t from = 0; from < world->size; from += PAGE) {
		size_t length = world->size - from < PAGE ? world->size - from : PAGE;
		int number = compare(world, from, length);
		struct pagein_error error = {0};

		/* What was refused in the window may be given up right behind it, each time that
		 * it was touched there. */
		for (int i = 0; number > 0 && i < SIGNALS_MAX; i++)
			if (pagein_retry(world->map, from, PAGE) == 0)
				number = compare(world, from, length);
		if (number == 0)
			continue;
		if (number > 0)
			pagein_error(world->map, bytes + from, &error);
		/* The page that was written, and that a failing discard has left. */
		if (number < 0 && world->scenario->steps == step_write &&
			memcmp(bytes + from, "written", 7) == 0)
			continue;
		wrong("page %zu does not heal: %d: %s", from / PAGE, number, error.message);
	}
}

static void check_nothing_left(int fds)
{
	struct pagein_stats stats;

	if (pagein_stats(NULL, &stats) < 0)
		wrong("stats: %s", pagein_last_error());
	if (stats.objects || stats.maps || stats.resident_bytes || stats.transfers ||
		stats.connections || stats.cached_bytes || stats.pinned_bytes)
		wrong("left: %ju objects, %ju maps, %ju bytes, %ju transfers, %ju connections, %ju "
		      "cached, %ju pinned",
			(uintmax_t)stats.objects, (uintmax_t)stats.maps,
			(uintmax_t)stats.resident_bytes, (uintmax_t)stats.transfers,
			(uintmax_t)stats.connections, (uintmax_t)stats.cached_bytes,
			(uintmax_t)stats.pinned_bytes);
	if (count_threads("pagein", 0) != 0)
		wrong("a thread is left");
	if (count_fds() != fds)
		wrong("%d descriptors instead of %d", count_fds(), fds);
}

static void world_run(struct world *world)
{
	if (!world->scenario->at_end)
		fail_open();
	world_open(world);
	if (world->map)
		world->scenario->steps(world);
	if (world->scenario->at_end) {
		fail_open();
		world_close(world);
		fail_close();
		return;
	}
	fail_close();
	if (world->map)
		world_heal(world);
	world_close(world);
}

static void read_file(const char *path, struct world *world)
{
	static uint8_t bytes[4 * MIB];
	FILE *file = fopen(path, "re");

	if (!file)
		wrong("%s: %s", path, strerror(errno));
	world->size = fread(bytes, 1, sizeof bytes, file);
	world->bytes = bytes;
	fclose(file);
}

int main(int argc, char **argv)
{
	struct world world = {0};
	int fds;

	if (argc != 4)
		wrong("usage: faults-library SCENARIO URL FILE");
	for (size_t i = 0; i < array_len(scenarios); i++)
		if (strcmp(scenarios[i].name, argv[1]) == 0)
			world.scenario = &scenarios[i];
	if (!world.scenario)
		wrong("%s: no such scenario", argv[1]);
	world.url = argv[2];
	read_file(argv[3], &world);
	fds = count_fds();
	world_run(&world);
	check_nothing_left(fds);
	/* And a second life. */
	world_open(&world);
	if (!world.map)
		wrong("nothing can be mapped afterwards: %s", pagein_last_error());
	if (compare(&world, 0, world.size) != 0)
		wrong("a second map is not right");
	world_close(&world);
	check_nothing_left(fds);
	return 0;
}
