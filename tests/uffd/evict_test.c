/*
 * evict_test.c - threads that touch, drop, pin, lock, populate and cut maps under a tiny limit see
 * the local file's bytes, and others' memory keeps its own.
 */
#include "memory.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 8

struct worker {
	pthread_t thread;
	const struct session *session;
	uint64_t seed;
	int null_fd;
	size_t wrong;
	bool rough; /* drops, pins, populates */
};

static void work_rough(struct worker *self, size_t page)
{
	struct pagein_map *map = self->session->map;

	switch (random_next(&self->seed) % 200) {
	case 0:
		madvise((void *)(uintptr_t)(self->session->bytes + page * PAGE), 64 * PAGE,
			MADV_DONTNEED);
		break;
	case 1:
		pagein_advise(map, page * PAGE, 64 * PAGE, PAGEIN_DONTNEED);
		break;
	case 2:
		self->wrong += pagein_populate(map, page * PAGE, 20 * PAGE, 20000) != 0;
		break;
	case 3:
		/* What others have pinned may leave no room. */
		(void)pagein_pin(map, page * PAGE, 10 * PAGE);
		pagein_unpin(map, page * PAGE, 10 * PAGE);
		break;
	case 4:
		self->wrong += write(self->null_fd, self->session->bytes + page * PAGE,
				       60 * PAGE) != 60 * PAGE;
		break;
	case 5:
		lock(self->session->bytes + page * PAGE, 3 * PAGE);
		unlock(self->session->bytes + page * PAGE, 3 * PAGE);
	}
}

static void *work(void *context)
{
	struct worker *self = context;
	size_t pages = self->session->local.size / PAGE;

	for (int i = 0; i < 2500; i++) {
		size_t page = random_next(&self->seed) % (pages - 64);
		size_t count = random_next(&self->seed) % 16 ? 1 : 40;

		self->wrong += session_compare(self->session, page, page + count) != 0;
		if (self->rough)
			work_rough(self, page);
	}
	return NULL;
}

static void run_workers(const struct session *session, bool rough)
{
	struct worker workers[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		FILE *null = fopen("/dev/null", "w");

		assert_non_null(null);
		workers[i] = (struct worker){.session = session,
			.seed = i + 1,
			.null_fd = dup(fileno(null)),
			.rough = rough};
		fclose(null);
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		close(workers[i].null_fd);
		assert_int_equal(workers[i].wrong, 0);
	}
}

static void threads_see_right_bytes_under_a_tiny_limit(void **state)
{
	struct session session;
	struct sampler sampler;

	(void)state;
	session_open(&session, 16 * MIB, &limit_1m);
	sampler_start(&sampler);
	run_workers(&session, false);
	assert_true(sampler_end(&sampler) <= MIB + SLACK);
	check_exact(&session);
	session_close(&session);
}

static void threads_that_drop_pin_lock_and_populate_see_right_bytes(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, 16 * MIB, &limit_1m);
	run_workers(&session, true);
	assert_int_equal(session_compare(&session, 0, 16 * MIB / PAGE), 0);
	/* What was dropped unseen has been found by now. */
	assert_true(map_stats(session.map).pinned_bytes == 0);
	assert_true(
		kernel_resident(session.bytes, 16 * MIB) <= map_stats(session.map).resident_bytes);
	assert_true(taken() <= MIB + SLACK);
	session_close(&session);
}

struct cutter {
	pthread_t thread;
	struct session *session;
	uint64_t seed;
	size_t wrong;
};

/* Memory of its own at addresses that the kernel chooses: nothing else may change it. */
static void *use_new_memory(void *context)
{
	struct cutter *self = context;

	for (int i = 0; i < 4000; i++) {
		size_t length = (1 + random_next(&self->seed) % 64) * PAGE;
		uint8_t *memory = mmap(
			NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(memory, (int)i | 1, length);
		sched_yield();
		for (size_t at = 0; at < length; at += PAGE)
			self->wrong += memory[at] != (uint8_t)(i | 1);
		munmap(memory, length);
	}
	return NULL;
}

/* Maps are cut to pieces while they evict, and others' new memory keeps what it holds. */
static void *cut_maps(void *context)
{
	struct cutter *self = context;
	const uint8_t *expected = self->session->local.bytes;

	for (int i = 0; i < 40; i++) {
		struct pagein_map *map;
		uint8_t *bytes;

		if (pagein_map(self->session->object, 0, 0, 0, &map) != 0)
			return (void *)(uintptr_t)(self->wrong += 1);
		bytes = pagein_address(map);
		for (int cut = 0; cut < 8; cut++) {
			size_t at = (size_t)cut * MIB, hole = at + 64 * PAGE, length = 100 * PAGE;
			uint8_t *own;

			self->wrong += touch_compare(bytes + at, expected + at, MIB) != 0;
			munmap(bytes + hole, length);
			own = mmap(bytes + hole, length, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			memset(own, 0x5a, length);
			self->wrong += touch_compare(bytes + at, expected + at, 64 * PAGE) != 0;
			for (size_t page = 0; page < length; page += PAGE)
				self->wrong += own[page] != 0x5a;
			munmap(own, length);
		}
		pagein_unmap(map);
	}
	return NULL;
}

static void cutting_maps_harms_nobody_else(void **state)
{
	struct session session;
	struct cutter cutters[4];

	(void)state;
	session_open(&session, 8 * MIB, &limit_1m);
	for (size_t i = 0; i < array_len(cutters); i++) {
		cutters[i] = (struct cutter){.session = &session, .seed = i + 1};
		pthread_create(
			&cutters[i].thread, NULL, i % 2 ? use_new_memory : cut_maps, &cutters[i]);
	}
	for (size_t i = 0; i < array_len(cutters); i++) {
		pthread_join(cutters[i].thread, NULL);
		assert_int_equal(cutters[i].wrong, 0);
	}
	assert_true(taken() <= MIB + SLACK);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_see_right_bytes_under_a_tiny_limit),
		cmocka_unit_test(threads_that_drop_pin_lock_and_populate_see_right_bytes),
		cmocka_unit_test(cutting_maps_harms_nobody_else),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
