/*
 * content_test.c - every byte of every map is the local file's, whoever reads it and in what order.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"
#include "map_private.h"

#define THREADS 8

static size_t pages_of(size_t size)
{
	return (size + PAGE - 1) / PAGE;
}

/* Numbers below count in some order. */
static size_t *shuffled(size_t count, uint64_t seed)
{
	size_t *order = calloc(count + 1, sizeof *order);

	for (size_t i = 0; i < count; i++) {
		size_t j = random_next(&seed) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

static void every_byte_is_the_files(void **state)
{
	static const size_t sizes[] = {
		1, 4095, 4096, 4097, 16384, 16385, 262143, 262144, 262145, 3000001};

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++) {
		size_t count = pages_of(sizes[i]), *order = shuffled(count, i + 1);
		struct session session;

		session_open(&session, sizes[i], NULL);
		assert_int_equal(pagein_length(session.map), sizes[i]);
		for (size_t page = 0; page < count; page++)
			assert_int_equal(
				session_compare(&session, order[page], order[page] + 1), 0);
		free(order);
		session_close(&session);
	}
}

static void bytes_behind_the_end_are_zero(void **state)
{
	static const size_t sizes[] = {1, 4095, 4097, 262145};
	static const uint8_t zeros[PAGE];

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++) {
		size_t tail = pages_of(sizes[i]) * PAGE - sizes[i];
		struct session session;

		session_open(&session, sizes[i], NULL);
		assert_int_equal(touch_compare(session.bytes + sizes[i], zeros, tail), 0);
		assert_int_equal(session_compare(&session, 0, pages_of(sizes[i])), 0);
		session_close(&session);
	}
}

static void an_empty_object_has_an_empty_map(void **state)
{
	struct pagein_error error;
	struct session session;

	(void)state;
	session_open(&session, 0, NULL);
	assert_null(session.bytes);
	assert_int_equal(pagein_length(session.map), 0);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(pagein_error(session.map, &session, &error), -EINVAL);
	session_close(&session);
}

static void a_part_is_mapped_at_its_offset(void **state)
{
	struct pagein_map *map;
	struct session session;

	(void)state;
	session_open(&session, 300000, NULL);
	assert_int_equal(pagein_map(session.object, 65536, 100001, 0, &map), 0);
	assert_int_equal(pagein_length(map), 100001);
	/* To the end of its last page, where the object goes on. */
	assert_int_equal(
		touch_compare(pagein_address(map), session.local.bytes + 65536, 25 * PAGE), 0);
	pagein_unmap(map);
	session_close(&session);
}

static void pages_past_the_end_raise_sigbus(void **state)
{
	struct pagein_error error;
	struct pagein_map *map;
	struct session session;
	uint8_t *bytes;

	(void)state;
	session_open(&session, 5000, NULL);
	assert_int_equal(pagein_map(session.object, 0, 5 * PAGE, 0, &map), 0);
	bytes = pagein_address(map);
	assert_int_equal(touch(bytes + 2 * PAGE, NULL), SIGBUS);
	assert_int_equal(touch(bytes + 5 * PAGE - 1, NULL), SIGBUS);
	assert_int_equal(pagein_error(map, bytes + 2 * PAGE, &error), 0);
	assert_int_equal(error.error, ENXIO);
	assert_true(error.offset == 2 * PAGE);
	assert_string_not_equal(error.message, "");
	assert_int_equal(touch_compare(bytes, session.local.bytes, 5000), 0);
	pagein_unmap(map);
	session_close(&session);
}

/* ---- many at once -------------------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	struct session *session;
	size_t span; /* pages */
	uint64_t seed;
	size_t wrong;
};

static void *read_in_random_order(void *context)
{
	struct reader *reader = context;
	size_t pages = pages_of(reader->session->local.size);
	size_t count = (pages + reader->span - 1) / reader->span;
	size_t *order = shuffled(count, reader->seed);

	for (size_t i = 0; i < count; i++) {
		size_t first = order[i] * reader->span;

		reader->wrong += session_compare(reader->session, first, first + reader->span) != 0;
	}
	free(order);
	return NULL;
}

static void eight_threads_read_in_random_order(void **state)
{
	static const struct {
		size_t size, span;
	} cases[] = {{262145, 1}, {(64 << 20) + 77, 16}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct reader readers[THREADS];
		struct session session;

		session_open(&session, cases[i].size, NULL);
		for (size_t j = 0; j < THREADS; j++) {
			readers[j] = (struct reader){
				.session = &session, .span = cases[i].span, .seed = j + 1};
			pthread_create(&readers[j].thread, NULL, read_in_random_order, &readers[j]);
		}
		for (size_t j = 0; j < THREADS; j++) {
			pthread_join(readers[j].thread, NULL);
			assert_int_equal(readers[j].wrong, 0);
		}
		/* Each page was filled once. Residency is a hint: a fault that was queued twice
		 * takes its page out of it. */
		assert_true(map_stats(session.map).bytes_filled ==
			    pages_of(cases[i].size) * (uint64_t)PAGE);
		assert_true(map_stats(session.map).resident_bytes <=
			    map_stats(session.map).bytes_filled);
		session_close(&session);
	}
}

static int read_as_a_process(void *context)
{
	const struct session *server = context;
	struct session session = *server;
	int result;

	if (pagein_open(server_url(&server->server, "data"), NULL, &session.object) < 0 ||
		pagein_map(session.object, 0, 0, 0, &session.map) < 0)
		return 2;
	session.bytes = pagein_address(session.map);
	result = session_compare(&session, 0, pages_of(server->local.size));
	pagein_unmap(session.map);
	pagein_close(session.object);
	return result != 0;
}

static void *touch_thread(void *address)
{
	touch(address, NULL);
	return NULL;
}

struct holder {
	struct loop_task task;
	sem_t held;
};

/* On the loop, so that it reads none of the faults before all are there. */
static void wait_for_all_faults(struct loop_task *task)
{
	sem_post(&container_of(task, struct holder, task)->held);
	for (int ms = 0; ms < 10000 && count_pending_faults() < THREADS; ms++)
		usleep(1000);
}

static void neighbours_that_fault_together_are_one_request(void **state)
{
	/* Two neighbours, one alone, one twice, and four in a row from behind. */
	static const size_t pages[THREADS] = {100, 101, 200, 300, 300, 403, 402, 401};
	struct holder holder = {.task.run = wait_for_all_faults};
	struct session session;
	pthread_t threads[THREADS];

	(void)state;
	session_open(&session, 500 * PAGE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	server_reset_counts(&session.server);
	sem_init(&holder.held, 0, 0);
	loop_post(context_loop(session.object->context), &holder.task);
	sem_wait(&holder.held);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(
			&threads[i], NULL, touch_thread, (void *)(session.bytes + pages[i] * PAGE));
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(session_compare(&session, pages[i], pages[i] + 1), 0);
	}
	assert_true(map_stats(session.map).faults == THREADS);
	assert_true(server_count(&session.server, "requests") == 4);
	sem_destroy(&holder.held);
	session_close(&session);
}

static void two_processes_map_the_same_object(void **state)
{
	struct session session;
	int status;
	pid_t pid;

	(void)state;
	session_start_server(&session, 5000000);
	pid = fork();
	if (pid == 0)
		_exit(read_as_a_process(&session));
	assert_int_equal(read_as_a_process(&session), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	session_close(&session);
}

static void two_hundred_maps_at_once(void **state)
{
	struct pagein_map *maps[200];
	struct session session;
	uint64_t seed = 4;

	(void)state;
	session_open(&session, 3000001, NULL);
	for (size_t i = 0; i < array_len(maps); i++)
		assert_int_equal(pagein_map(session.object, i * PAGE, 0, 0, &maps[i]), 0);
	assert_true(process_stats().maps == session.before.maps + 201);
	for (size_t i = 0; i < 4 * array_len(maps); i++) {
		size_t n = random_next(&seed) % array_len(maps);
		size_t length = session.local.size - n * PAGE;
		size_t at = random_next(&seed) % length, part = 1 + random_next(&seed) % 9000;

		if (part > length - at)
			part = length - at;
		assert_int_equal(touch_compare((uint8_t *)pagein_address(maps[n]) + at,
					 session.local.bytes + n * PAGE + at, part),
			0);
	}
	for (size_t i = 0; i < array_len(maps); i++)
		pagein_unmap(maps[(i * 77) % array_len(maps)]);
	session_close(&session);
}

/* ---- system calls --------------------------------------------------------------------------- */

static void write_takes_its_bytes_from_a_map(void **state)
{
	struct session session;
	size_t size = 300001;
	uint8_t *copy = malloc(size);
	int fd = memfd_create("copy", MFD_CLOEXEC);

	(void)state;
	session_open(&session, size, NULL);
	assert_int_equal(pwrite(fd, session.bytes, size, 0), size);
	assert_int_equal(pread(fd, copy, size, 0), size);
	assert_memory_equal(copy, session.local.bytes, size);
	session_close(&session);
	close(fd);
	free(copy);
}

static void process_vm_readv_reads_a_map(void **state)
{
	struct session session;
	size_t size = 100000;
	uint8_t *copy = malloc(size);
	struct iovec to = {copy, size}, from;

	(void)state;
	session_open(&session, size, NULL);
	from = (struct iovec){(void *)session.bytes, size};
	assert_int_equal(process_vm_readv(getpid(), &to, 1, &from, 1, 0), size);
	assert_memory_equal(copy, session.local.bytes, size);
	session_close(&session);
	free(copy);
}

static void a_map_can_not_be_written(void **state)
{
	struct session session;
	int fd;

	(void)state;
	session_open(&session, 100000, NULL);
	fd = open(session.local.path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, (void *)session.bytes, 10), -1);
	assert_int_equal(errno, EFAULT);
	close(fd);
	assert_int_equal(session_compare(&session, 0, 25), 0);
	session_close(&session);
}

/* Whoever makes it writable has a private copy: what he writes, and the object's bytes around it.
 */
static void read_puts_its_bytes_into_a_map_that_was_made_writable(void **state)
{
	const uint8_t word[] = "some bytes of a pipe";
	const size_t at = 5 * PAGE - 7; /* over the edge of two pages, both absent */
	struct session session;
	int ends[2];

	(void)state;
	session_open(&session, 100000, NULL);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(mprotect((void *)session.bytes, 25 * PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(write(ends[1], word, sizeof word), sizeof word);
	assert_int_equal(read(ends[0], (void *)(session.bytes + at), sizeof word), sizeof word);
	assert_memory_equal(session.bytes + at, word, sizeof word);
	assert_memory_equal(session.bytes, session.local.bytes, at);
	assert_memory_equal(session.bytes + at + sizeof word,
		session.local.bytes + at + sizeof word, 100000 - at - sizeof word);
	close(ends[0]);
	close(ends[1]);
	session_close(&session);
}

/* ---- what a call refuses --------------------------------------------------------------------- */

static void map_refuses_what_it_can_not_do(void **state)
{
	static const struct {
		uint64_t offset;
		size_t length;
		unsigned flags;
	} cases[] = {{1, 0, 0}, {4095, 1, 0}, {12288, 0, 0}, {0, 0, 1U << 30},
		{0, 0, PAGEIN_HUGE | PAGEIN_SHARED}, {0, SIZE_MAX, 0}, {0, SIZE_MAX / 2 + 1, 0},
		{UINT64_MAX - 4095, 1, 0}};
	struct pagein_map *map;
	struct session session;

	(void)state;
	session_open(&session, 8192, NULL);
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_int_equal(pagein_map(session.object, cases[i].offset, cases[i].length,
					 cases[i].flags, &map),
			-EINVAL);
		assert_string_not_equal(pagein_last_error(), "");
	}
	assert_int_equal(pagein_map(session.object, 0, SIZE_MAX / 2, 0, &map), -ENOMEM);
	session_close(&session);
}

static void open_says_why_it_fails(void **state)
{
	static const struct {
		const char *path, *rule;
		int err;
	} cases[] = {
		{"missing", "", -ENOENT},
		{"data", ": status=410", -ENOENT},
		{"data", ": status=401", -EACCES},
		{"data", ": status=403", -EACCES},
		{"data", ": ignore-range", -ENOTSUP},
		{"data", ": status=500", -EIO},
		{"data", ": content-range=\"bytes 1-2/3\"", -EPROTO},
		{"data", ": gzip-label", -EPROTO},
	};
	struct pagein_options wrong = {.size = 3};
	struct session session;

	(void)state;
	session_start_server(&session, 100000);
	for (size_t i = 0; i < array_len(cases); i++) {
		const char *url = server_url(&session.server, cases[i].path);

		server_script(&session.server, cases[i].rule);
		assert_int_equal(pagein_open(url, &quick_options, &session.object), cases[i].err);
		assert_non_null(strstr(pagein_last_error(), url));
	}
	assert_int_equal(pagein_open("ftp://host/file", NULL, &session.object), -EINVAL);
	assert_int_equal(pagein_open("", NULL, &session.object), -EINVAL);
	assert_int_equal(pagein_open("http://", NULL, &session.object), -EINVAL);
	assert_int_equal(pagein_open("http://127.0.0.1/", &wrong, &session.object), -EINVAL);
	server_kill(&session.server);
	assert_int_equal(
		pagein_open(server_url(&session.server, "data"), &quick_options, &session.object),
		-ECONNREFUSED);
	session.object = NULL;
	session_close(&session);
}

static void nothing_happens_to_null(void **state)
{
	(void)state;
	pagein_close(NULL);
	assert_int_equal(pagein_unmap(NULL), 0);
}

/* Until all that was asked for has come; false after ten seconds. */
static bool wait_for_transfers(void)
{
	for (int i = 0; i < 10000; i++) {
		if (process_stats().transfers == 0)
			return true;
		usleep(1000);
	}
	return false;
}

/* Three pages at equal distances: two more come, but nothing between them; the mark is held back.
 */
static void the_pieces_of_a_stride_are_fetched_ahead(void **state)
{
	struct session session;
	struct pagein_stats before;

	(void)state;
	session_open(&session, 4096 * PAGE, NULL);
	before = process_stats();
	for (size_t page = 300; page <= 340; page += 20)
		assert_int_equal(session_compare(&session, page, page + 1), 0);
	assert_true(wait_for_transfers());
	assert_true(process_stats().bytes_fetched - before.bytes_fetched == 5 * PAGE);
	assert_true(map_stats(session.map).resident_bytes == 4 * PAGE);
	assert_int_equal(session_compare(&session, 360, 361), 0);
	assert_true(map_stats(session.map).faults == 3);
	/* The mark: its bytes are here, and the next pieces are asked for. */
	assert_int_equal(session_compare(&session, 380, 381), 0);
	assert_true(wait_for_transfers());
	assert_true(map_stats(session.map).faults == 4);
	assert_true(process_stats().bytes_fetched - before.bytes_fetched == 9 * PAGE);
	for (size_t page = 400; page < 4096; page += 20)
		assert_int_equal(session_compare(&session, page, page + 1), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_the_files),
		cmocka_unit_test(bytes_behind_the_end_are_zero),
		cmocka_unit_test(an_empty_object_has_an_empty_map),
		cmocka_unit_test(a_part_is_mapped_at_its_offset),
		cmocka_unit_test(pages_past_the_end_raise_sigbus),
		cmocka_unit_test(eight_threads_read_in_random_order),
		cmocka_unit_test(neighbours_that_fault_together_are_one_request),
		cmocka_unit_test(two_processes_map_the_same_object),
		cmocka_unit_test(two_hundred_maps_at_once),
		cmocka_unit_test(write_takes_its_bytes_from_a_map),
		cmocka_unit_test(process_vm_readv_reads_a_map),
		cmocka_unit_test(a_map_can_not_be_written),
		cmocka_unit_test(read_puts_its_bytes_into_a_map_that_was_made_writable),
		cmocka_unit_test(map_refuses_what_it_can_not_do),
		cmocka_unit_test(open_says_why_it_fails),
		cmocka_unit_test(nothing_happens_to_null),
		cmocka_unit_test(the_pieces_of_a_stride_are_fetched_ahead),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
