/*
 * inline_random_test.c - threads that fill their own pages from a cache far smaller than the
 * object, while others drop them, move and unmap maps, and signals come at 1 kHz: every byte is
 * right.
 *
 * PAGEIN_TEST_SEED and PAGEIN_TEST_SECONDS as in random_test.c.
 */
#include "guarded.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"

#define SIZE (4 * 1024 * 1024 + 5)
#define PAGES (SIZE / PAGE + 1)
#define THREADS 8

static atomic_int signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static struct storm {
	struct session session;
	uint64_t end_ns;
	atomic_int wrong; /* 1 + the first page that was */
} storm;

struct storm_thread {
	pthread_t thread;
	uint64_t seed, touches;
};

static void *touch_at_random(void *context)
{
	struct storm_thread *self = context;

	while (clock_now_ns() < storm.end_ns && !storm.wrong) {
		size_t page = random_next(&self->seed) % PAGES;
		size_t end = page + 1 + random_next(&self->seed) % 3;

		if (compare(&storm.session, page, end < PAGES ? end : PAGES) != 0)
			storm.wrong = (int)page + 1;
		self->touches++;
	}
	return NULL;
}

/* Each has a map of its own, which it unmaps and moves. */
static void *map_at_random(void *context)
{
	struct storm_thread *self = context;

	while (clock_now_ns() < storm.end_ns && !storm.wrong) {
		size_t first = random_next(&self->seed) % (PAGES - 64), at;
		struct pagein_map *map;
		uint8_t *bytes, *place;

		if (pagein_map(storm.session.object, first * PAGE, 64 * PAGE, PAGEIN_INLINE, &map) <
			0)
			abort();
		bytes = pagein_address(map);
		for (int i = 0; i < 6; i++) {
			at = random_next(&self->seed) % 64;
			if (compare_at(&storm.session, bytes + at * PAGE, first + at,
				    first + at + 1) != 0)
				storm.wrong = (int)(first + at) + 1;
			place = mmap(
				NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (mremap(bytes, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				    place) != place)
				abort();
			bytes = place;
		}
		pagein_unmap(map);
		self->touches += 6;
	}
	return NULL;
}

static void *drop_at_random(void *context)
{
	struct storm_thread *self = context;

	while (clock_now_ns() < storm.end_ns && !storm.wrong) {
		size_t page = random_next(&self->seed) % PAGES;
		size_t count = 1 + random_next(&self->seed) % (PAGES - page);

		madvise((void *)(storm.session.bytes + page * PAGE), count * PAGE, MADV_DONTNEED);
		self->touches++;
		usleep(200);
	}
	return NULL;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_byte_is_right_whatever_happens(void **state)
{
	static void *(*const works[THREADS + 2])(void *) = {touch_at_random, touch_at_random,
		touch_at_random, touch_at_random, touch_at_random, touch_at_random, touch_at_random,
		touch_at_random, map_at_random, drop_at_random};
	const struct pagein_options tiny = {
		.size = sizeof tiny, .timeout_ms = 20000, .cache_bytes = 1 << 20};
	const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
	uint64_t seed = from_environment("PAGEIN_TEST_SEED", clock_now_ns() % 1000000000);
	uint64_t seconds = from_environment("PAGEIN_TEST_SECONDS", 5), touches = 0;
	struct storm_thread threads[THREADS + 2];

	(void)state;
	printf("PAGEIN_TEST_SEED=%llu PAGEIN_TEST_SECONDS=%llu\n", (unsigned long long)seed,
		(unsigned long long)seconds);
	fflush(stdout);
	signal(SIGUSR1, count_signal);
	signal(SIGALRM, count_signal);
	storm.wrong = 0;
	/* A quarter of it fits. */
	session_open_inline(&storm.session, SIZE, &tiny, 0);
	storm.end_ns = clock_now_ns() + seconds * NS_PER_S;
	for (size_t i = 0; i < array_len(threads); i++) {
		threads[i] = (struct storm_thread){.seed = (seed + i + 1) * 0x9e3779b97f4a7c15};
		pthread_create(&threads[i].thread, NULL, works[i], &threads[i]);
	}
	setitimer(ITIMER_REAL, &often, NULL);
	while (clock_now_ns() < storm.end_ns && !storm.wrong) {
		for (size_t i = 0; i < array_len(threads); i++)
			pthread_kill(threads[i].thread, SIGUSR1);
		usleep(1000);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	for (size_t i = 0; i < array_len(threads); i++) {
		pthread_join(threads[i].thread, NULL);
		touches += threads[i].touches;
	}
	printf("%llu touches, %d signals\n", (unsigned long long)touches, signals);
	if (storm.wrong)
		fail_msg("page %d", storm.wrong - 1);
	assert_int_equal(compare(&storm.session, 0, PAGES), 0);
	session_close(&storm.session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_right_whatever_happens),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
