/*
 * shared_test.c - PAGEIN_SHARED: many processes, one fetch of each page; and whatever happens to
 * one of them, the others are right.
 *
 * The processes are children that open the object for themselves. They keep step by a barrier in
 * shared memory, and tell by their exit status what they saw.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "source.h"

#define SIZE (4 * 1024 * 1024 + 4321)
#define PAGES (SIZE / PAGE + 1)
#define PROCESSES 3
#define KILLS 50

static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};

/* What a test and its children have in common. */
struct common {
	_Atomic unsigned steps; /* that children have made */
	_Atomic unsigned allowed;
	_Atomic uint64_t requests; /* of the child that counts them */
};

static struct common *make_common(void)
{
	struct common *common = mmap(
		NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(common, MAP_FAILED);
	return common;
}

static void await(_Atomic unsigned *number, unsigned at_least)
{
	while (atomic_load(number) < at_least)
		usleep(200);
}

/* A child's own view of the test's object; exits when it can't be had. */
static void child_open(struct session *session)
{
	if (pagein_open(server_url(&session->server, "data"), &patient, &session->object) < 0 ||
		pagein_map(session->object, 0, 0, PAGEIN_SHARED, &session->map) < 0) {
		fprintf(stderr, "child: %s\n", pagein_last_error());
		_exit(100);
	}
	session->bytes = pagein_address(session->map);
}

static void child_close(struct session *session)
{
	pagein_unmap(session->map);
	pagein_close(session->object);
}

/* true: all pages, in an order of the seed's. Without cmocka, which a child must not call. */
static bool compare_all(const struct session *session, uint64_t seed)
{
	size_t step = 1 + 2 * (size_t)(seed % 7), at = (size_t)(seed * 31 % PAGES);

	while (PAGES % step == 0)
		step++;
	for (size_t i = 0; i < PAGES; i++, at = (at + step) % PAGES)
		if (session_compare(session, at, at + 1) != 0)
			return false;
	return true;
}

static pid_t fork_child(
	void (*function)(struct session *session, struct common *common, uint64_t seed),
	struct session *session, struct common *common, uint64_t seed)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	/* The parent's are not ours. */
	session->object = NULL;
	session->map = NULL;
	alarm(60);
	function(session, common, seed);
	_exit(0);
}

/* A child of a process with threads can't make any under ThreadSanitizer. */
static void skip_if_children_are_lame(void)
{
	if (WITH_TSAN)
		skip_because("ThreadSanitizer allows no threads in a child of fork(2)");
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- one fetch ----------------------------------------------------------------------------- */

static void read_all(struct session *session, struct common *common, uint64_t seed)
{
	child_open(session);
	atomic_fetch_add(&common->steps, 1);
	await(&common->allowed, 1);
	if (!compare_all(session, seed))
		_exit(1);
	/* Nobody leaves before all have read. */
	atomic_fetch_add(&common->steps, 1);
	await(&common->allowed, 2);
	child_close(session);
}

static void no_byte_is_fetched_twice(void **state)
{
	struct common *common = make_common();
	pid_t pids[PROCESSES];
	struct session session;
	uint64_t bytes;

	(void)state;
	session_start_server(&session, SIZE);
	for (size_t i = 0; i < PROCESSES; i++)
		pids[i] = fork_child(read_all, &session, common, i + 1);
	await(&common->steps, PROCESSES);
	server_reset_counts(&session.server);
	atomic_store(&common->allowed, 1);
	await(&common->steps, 2 * PROCESSES);
	bytes = server_count(&session.server, "body_bytes");
	atomic_store(&common->allowed, 2);
	for (size_t i = 0; i < PROCESSES; i++)
		assert_int_equal(status_of(pids[i]), 0);
	/* Each has had the object's beginning from its own question what it is. */
	assert_true(bytes == SIZE - PROBE_BYTES);
	munmap(common, sizeof *common);
	session_close(&session);
}

static void count_requests(struct session *session, struct common *common, uint64_t seed)
{
	struct pagein_stats before, stats;

	pagein_stats(NULL, &before);
	child_open(session);
	if (pagein_populate(session->map, 0, 0, -1) < 0 || !compare_all(session, seed))
		_exit(1);
	pagein_stats(NULL, &stats);
	atomic_store(&common->requests, stats.requests - before.requests);
	child_close(session);
}

/* Who asks finds the group if its keeper has time to answer: a busy machine gets several tries. */
static bool another_needs_no_request(struct session *session, struct common *common)
{
	for (int i = 0; i < 20; i++) {
		assert_int_equal(status_of(fork_child(count_requests, session, common, 5)), 0);
		if (common->requests == 0)
			return true;
	}
	return false;
}

static void what_one_has_fetched_others_find(void **state)
{
	struct common *common = make_common();
	struct session session;

	(void)state;
	skip_if_children_are_lame();
	session_start_server(&session, SIZE);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
	assert_true(another_needs_no_request(&session, common));
	/* And so does who has dropped it. */
	server_reset_counts(&session.server);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_true(map_stats(session.map).resident_bytes == 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_true(server_count(&session.server, "body_bytes") == 0);
	munmap(common, sizeof *common);
	session_close(&session);
}

static void another_version_is_another_group(void **state)
{
	struct common *common = make_common();
	struct session session;

	(void)state;
	skip_if_children_are_lame();
	session_start_server(&session, SIZE);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	local_overwrite(&session.local, 99);
	/* The child's oracle is the old file, which it must not see. */
	assert_int_equal(status_of(fork_child(count_requests, &session, common, 5)), 1);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	munmap(common, sizeof *common);
	session_close(&session);
}

static void several_maps_of_one_process_share(void **state)
{
	struct session session;
	struct pagein_map *part;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	assert_int_equal(
		pagein_map(session.object, 100 * PAGE, 50 * PAGE, PAGEIN_SHARED, &part), 0);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	pagein_advise(part, 0, 0, PAGEIN_RANDOM);
	assert_int_equal(session_compare(&session, 100, 125), 0);
	server_reset_counts(&session.server);
	assert_int_equal(
		touch_compare(pagein_address(part), session.local.bytes + 100 * PAGE, 25 * PAGE),
		0);
	assert_true(server_count(&session.server, "body_bytes") == 0);
	assert_int_equal(pagein_populate(part, 0, 0, -1), 0);
	assert_int_equal(
		touch_compare(pagein_address(part), session.local.bytes + 100 * PAGE, 50 * PAGE),
		0);
	pagein_unmap(part);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

/* ---- what a map must be like anyway -------------------------------------------------------- */

static void every_byte_is_the_files(void **state)
{
	static const size_t sizes[] = {1, 4096, 4097, 262145, 3000001};

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++) {
		static const uint8_t zeros[PAGE];
		struct session session;
		size_t count = (sizes[i] + PAGE - 1) / PAGE;

		session_start_server(&session, sizes[i]);
		session_open_object(&session, &patient);
		session_map_as(&session, PAGEIN_SHARED);
		for (size_t page = count; page-- > 0;)
			assert_int_equal(session_compare(&session, page, page + 1), 0);
		assert_int_equal(
			touch_compare(session.bytes + sizes[i], zeros, count * PAGE - sizes[i]), 0);
		session_close(&session);
	}
}

static void pages_past_the_end_raise_sigbus(void **state)
{
	struct pagein_error error;
	struct session session;
	struct pagein_map *map;
	uint8_t *bytes;

	(void)state;
	session_start_server(&session, 5000);
	session_open_object(&session, &patient);
	assert_int_equal(pagein_map(session.object, 0, 5 * PAGE, PAGEIN_SHARED, &map), 0);
	bytes = pagein_address(map);
	assert_int_equal(touch(bytes + 2 * PAGE, NULL), SIGBUS);
	assert_int_equal(pagein_error(map, bytes + 2 * PAGE, &error), 0);
	assert_int_equal(error.error, ENXIO);
	assert_int_equal(touch_compare(bytes, session.local.bytes, 5000), 0);
	pagein_unmap(map);
	session_close(&session);
}

static void failed_pages_heal(void **state)
{
	const struct pagein_options one_attempt = {
		.size = sizeof one_attempt, .timeout_ms = 20000, .attempts = 1};
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, &one_attempt);
	session_map_as(&session, PAGEIN_SHARED);
	server_script(&session.server, "path=/data : status=500\n");
	assert_int_equal(touch(session.bytes + 50 * PAGE, NULL), SIGBUS);
	assert_int_equal(pagein_populate(session.map, 60 * PAGE, PAGE, -1), -EIO);
	server_script(&session.server, "path=/data first=2 : truncate=100001 reset\n");
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	server_script(&session.server, "");
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

static void it_may_be_moved_cut_and_is_not_inherited(void **state)
{
	struct session session;
	uint8_t *place, *moved;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	assert_int_equal(session_compare(&session, 10, 20), 0);
	assert_int_equal(munmap((void *)(session.bytes + 5 * PAGE), 10 * PAGE), 0);
	place = mmap(NULL, 100 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	moved = mremap((void *)(session.bytes + 200 * PAGE), 100 * PAGE, 100 * PAGE,
		MREMAP_MAYMOVE | MREMAP_FIXED, place);
	assert_ptr_not_equal(moved, MAP_FAILED);
	assert_int_equal(touch_compare(moved, session.local.bytes + 200 * PAGE, 100 * PAGE), 0);
	assert_int_equal(session_compare(&session, 0, 5), 0);
	assert_int_equal(session_compare(&session, 15, 200), 0);
	assert_int_equal(session_compare(&session, 300, PAGES), 0);
	session_close(&session);
}

static void write_a_byte(struct session *session, struct common *common, uint64_t seed)
{
	(void)common, (void)seed;
	child_open(session);
	signal(SIGSEGV, SIG_DFL);
	*(volatile uint8_t *)(uintptr_t)session->bytes = 1;
}

static void it_can_not_be_written(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	/* A sanitizer makes an exit of it. */
	assert_int_not_equal(status_of(fork_child(write_a_byte, &session, NULL, 0)), 0);
	session_close(&session);
}

/* ---- those who die ------------------------------------------------------------------------- */

static void read_until_killed(struct session *session, struct common *common, uint64_t seed)
{
	child_open(session);
	atomic_fetch_add(&common->steps, 1);
	for (;;) {
		if (seed % 3 == 0 && pagein_populate(session->map, 0, 0, -1) < 0)
			_exit(1);
		if (!compare_all(session, seed++))
			_exit(1);
		pagein_advise(session->map, 0, 0, PAGEIN_DONTNEED);
	}
}

static void kill_at(pid_t pid, uint64_t us)
{
	usleep((useconds_t)us);
	kill(pid, SIGKILL);
}

static void a_killed_process_leaves_the_others_right(void **state)
{
	struct common *common = make_common();
	uint64_t seed = 77;
	struct session session;

	(void)state;
	skip_if_children_are_lame();
	session_start_server(&session, SIZE);
	for (unsigned round = 0; round < KILLS; round++) {
		bool child_first = round % 2;
		pid_t pid;

		server_script(&session.server, round % 4 < 2 ? "" : "path=/data : rate=40M\n");
		if (!child_first) {
			session_open_object(&session, &patient);
			session_map_as(&session, PAGEIN_SHARED);
		}
		pid = fork_child(read_until_killed, &session, common, round);
		if (child_first) {
			await(&common->steps, round + 1);
			session_open_object(&session, &patient);
			session_map_as(&session, PAGEIN_SHARED);
		}
		kill_at(pid, random_next(&seed) % 20000);
		if (!compare_all(&session, round + 3))
			fail_msg("wrong bytes after kill number %u", round);
		assert_int_equal(status_of(pid), 128 + SIGKILL);
		atomic_store(&common->steps, round + 1);
		pagein_unmap(session.map);
		pagein_close(session.object);
		session.object = NULL;
		session.map = NULL;
	}
	munmap(common, sizeof *common);
	session_close(&session);
}

static void hold_leases(struct session *session, struct common *common, uint64_t seed)
{
	(void)seed;
	child_open(session);
	atomic_store(&common->steps, 1);
	await(&common->allowed, 1);
	pagein_advise(session->map, 0, 0, PAGEIN_WILLNEED);
	atomic_store(&common->steps, 2);
	for (;;)
		pause();
}

/* What one asks for never comes; then it dies, or only stops. */
static void leases_end_with_their_owner(void **state)
{
	static const int signals[] = {SIGKILL, SIGSTOP};

	(void)state;
	skip_if_children_are_lame();
	for (size_t i = 0; i < array_len(signals); i++) {
		struct common *common = make_common();
		struct session session;
		pid_t pid;

		session_start_server(&session, SIZE);
		session_open_object(&session, &patient);
		session_map_as(&session, PAGEIN_SHARED);
		pid = fork_child(hold_leases, &session, common, 0);
		await(&common->steps, 1);
		server_script(&session.server, "path=/data : delay=60s\n");
		atomic_store(&common->allowed, 1);
		await(&common->steps, 2);
		server_script(&session.server, "");
		kill(pid, signals[i]);
		assert_int_equal(session_compare(&session, 100, PAGES), 0);
		kill(pid, SIGKILL);
		assert_int_equal(status_of(pid), 128 + SIGKILL);
		munmap(common, sizeof *common);
		session_close(&session);
	}
}

static void a_new_keeper_knows_what_the_old_one_did(void **state)
{
	struct common *common = make_common();
	struct session session;
	pid_t keeper;

	(void)state;
	skip_if_children_are_lame();
	session_start_server(&session, SIZE);
	keeper = fork_child(read_until_killed, &session, common, 1);
	await(&common->steps, 1);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	assert_true(compare_all(&session, 4));
	kill(keeper, SIGKILL);
	assert_int_equal(status_of(keeper), 128 + SIGKILL);
	/* We know of it a moment later. */
	assert_true(another_needs_no_request(&session, common));
	munmap(common, sizeof *common);
	session_close(&session);
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* Descriptors of this process that are unix sockets with a name. */
static int count_sockets(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	for (struct dirent *entry; (entry = readdir(directory));) {
		struct sockaddr_un address = {0};
		socklen_t length = sizeof address;

		if (getsockname(atoi(entry->d_name), (struct sockaddr *)&address, &length) == 0)
			count += address.sun_family == AF_UNIX &&
				 length > sizeof address.sun_family;
	}
	closedir(directory);
	return count;
}

static void tell_sockets(struct session *session, struct common *common, uint64_t seed)
{
	(void)session, (void)common, (void)seed;
	_exit(count_sockets());
}

/* Else a name would live on that nobody answers at. */
static void a_child_of_fork_holds_no_door_open(void **state)
{
	int before = count_sockets();
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	assert_true(count_sockets() > before);
	assert_int_equal(status_of(fork_child(tell_sockets, &session, NULL, 0)), before);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_the_files),
		cmocka_unit_test(pages_past_the_end_raise_sigbus),
		cmocka_unit_test(failed_pages_heal),
		cmocka_unit_test(it_may_be_moved_cut_and_is_not_inherited),
		cmocka_unit_test(it_can_not_be_written),
		cmocka_unit_test(several_maps_of_one_process_share),
		cmocka_unit_test(no_byte_is_fetched_twice),
		cmocka_unit_test(what_one_has_fetched_others_find),
		cmocka_unit_test(another_version_is_another_group),
		cmocka_unit_test(a_killed_process_leaves_the_others_right),
		cmocka_unit_test(leases_end_with_their_owner),
		cmocka_unit_test(a_new_keeper_knows_what_the_old_one_did),
		cmocka_unit_test(a_child_of_fork_holds_no_door_open),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
