/*
 * fork_test.c - maps in the child of a fork(2), by each policy: the right bytes or a signal, never
 * zeros, whoever of the two lives longer.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define SIZE (64 * PAGE)

static const struct pagein_options deny = {
	.size = sizeof deny, .fork = PAGEIN_FORK_DENY, .timeout_ms = 2000};
static const struct pagein_options patient = {
	.size = sizeof patient, .timeout_ms = 60000, .hedge_percent = -1};

static int compare_all(void *context)
{
	return session_compare(context, 0, 64);
}

static void a_child_sees_what_was_resident_and_fetches_the_rest(void **state)
{
	struct session session;
	uint64_t requests;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 10, 30), 0);
	requests = process_stats().requests;
	assert_int_equal(run_in_child(compare_all, &session), 0);
	/* For itself, on its own connections. */
	assert_true(process_stats().requests == requests);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static int compare_resident(void *context)
{
	struct session *session = context;
	uint64_t requests = process_stats().requests;

	if (session_compare(session, 10, 30) != 0)
		return 2;
	return process_stats().requests == requests && map_stats(session->map).faults == 0 ? 0 : 3;
}

static void what_was_resident_is_not_fetched_again(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_populate(session.map, 10 * PAGE, 20 * PAGE, -1), 0);
	assert_int_equal(run_in_child(compare_resident, &session), 0);
	session_close(&session);
}

static int use_all_calls(void *context)
{
	struct session *parent = context;
	struct pagein_error error;
	struct pagein_map *map;
	int result;

	if (pagein_populate(parent->map, 0, 20 * PAGE, 5000) != 0 ||
		pagein_advise(parent->map, 0, 0, PAGEIN_DONTNEED) != 0 ||
		map_stats(parent->map).resident_bytes != 0 ||
		pagein_error(parent->map, parent->bytes, &error) != 0 || error.error != 0 ||
		pagein_retry(parent->map, 0, 0) != 0)
		return 2;
	if (session_compare(parent, 0, 64) != 0)
		return 3;
	if (pagein_map(parent->object, 0, 0, 0, &map) != 0)
		return 4;
	result = touch_compare(pagein_address(map), parent->local.bytes, SIZE);
	pagein_unmap(map);
	pagein_unmap(parent->map);
	pagein_close(parent->object);
	if (touch(parent->bytes, NULL) != SIGSEGV || process_stats().maps != 0 ||
		process_stats().objects != 0)
		return 5;
	return result;
}

static void all_calls_work_in_a_child(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 10, 30), 0);
	assert_int_equal(run_in_child(use_all_calls, &session), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static void a_grandchild_goes_on_when_its_parent_has_ended(void **state)
{
	struct session session;
	int ends[2], status;
	char byte = 1;
	pid_t pid;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 10), 0);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		if (fork() != 0)
			_exit(0);
		/* Until the one between has ended. */
		for (int ms = 0; getppid() != 1 && ms < 2000; ms++)
			usleep(1000);
		byte = (char)session_compare(&session, 0, 64);
		_exit(write(ends[1], &byte, 1) == 1 ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	close(ends[0]);
	session_close(&session);
}

static void a_child_is_made_while_threads_wait(void **state)
{
	struct toucher toucher;
	struct session session;

	(void)state;
	session_open(&session, SIZE, &patient);
	server_script(&session.server, "path=/data first=1 : stall=0");
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	toucher_start(&toucher, session.bytes + 30 * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	/* The page is asked for here, and by nobody there. */
	assert_int_equal(run_in_child(compare_all, &session), 0);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(toucher_join(&toucher), SIGSEGV);
	session_close(&session);
}

/* A connection that the parent closes is closed, however long the child lives. */
static void a_child_has_none_of_its_parents_connections(void **state)
{
	struct session session;
	int ends[2], status;
	char byte;
	pid_t pid;

	(void)state;
	session_open(&session, SIZE, &deny);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	assert_true(server_count(&session.server, "connections_open") > 1);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		_exit((int)read(ends[0], &byte, 1));
	}
	pagein_unmap(session.map);
	pagein_close(session.object);
	session.map = NULL;
	session.object = NULL;
	/* The question is one itself. */
	for (int ms = 0; server_count(&session.server, "connections_open") > 1 && ms < 5000; ms++)
		usleep(1000);
	assert_int_equal(server_count(&session.server, "connections_open"), 1);
	close(ends[1]);
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	session_close(&session);
}

static int touch_in_child(void *context)
{
	/* Any byte that is read, zero or not, is an exit instead of the signal. */
	return *(const volatile uint8_t *)context;
}

static void a_denied_child_gets_sigsegv(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &deny);
	assert_int_equal(session_compare(&session, 10, 11), 0);
	assert_int_equal(
		run_in_child(touch_in_child, (void *)(session.bytes + 10 * PAGE)), 128 + SIGSEGV);
	assert_int_equal(
		run_in_child(touch_in_child, (void *)(session.bytes + 20 * PAGE)), 128 + SIGSEGV);
	/* The parent does not notice. */
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

/* Each call would wait for the parent's thread for ever, if it did not know. */
static int use_the_parents_in_child(void *context)
{
	const struct session *parent = context;
	struct pagein_map *map;
	struct pagein_stats stats;
	struct pagein_error error;

	if (pagein_populate(parent->map, 0, 0, -1) != -ECHILD ||
		pagein_advise(parent->map, 0, 0, PAGEIN_WILLNEED) != -ECHILD ||
		pagein_retry(parent->map, 0, 0) != -ECHILD ||
		pagein_error(parent->map, parent->bytes, &error) != -ECHILD ||
		pagein_stats(parent->map, &stats) != -ECHILD ||
		pagein_map(parent->object, 0, 0, 0, &map) != -ECHILD)
		return 2;
	pagein_unmap(parent->map);
	pagein_close(parent->object);
	return 0;
}

static void a_denied_child_can_not_use_its_parents_maps(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &deny);
	assert_int_equal(run_in_child(use_the_parents_in_child, &session), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static int map_in_child(void *context)
{
	const struct session *parent = context;
	struct session session = *parent;

	if (pagein_open(server_url(&parent->server, "data"), &deny, &session.object) < 0 ||
		pagein_map(session.object, 0, 0, 0, &session.map) < 0)
		return 2;
	session.bytes = pagein_address(session.map);
	if (session_compare(&session, 0, 64) != 0)
		return 3;
	pagein_unmap(session.map);
	pagein_close(session.object);
	return 0;
}

static void a_denied_child_makes_maps_of_its_own(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, &deny);
	assert_int_equal(session_compare(&session, 0, 32), 0);
	assert_int_equal(run_in_child(map_in_child, &session), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static void a_clone_behind_libcs_back_gets_sigsegv(void **state)
{
	struct session session;
	int status;
	long pid;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 10, 11), 0);
	pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		syscall(SYS_exit_group, *(const volatile uint8_t *)(session.bytes + 20 * PAGE));
	}
	assert_true(waitpid((pid_t)pid, &status, 0) == pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	session_close(&session);
}

static int sleep_in_child(void *context)
{
	(void)context;
	usleep(200000);
	return 0;
}

/* ---- with a memory limit ---- */

#define LIMITED_PAGES 2048

struct limited_child {
	struct session *session;
	int born[2]; /* a byte: there is the child */
	int gone[2]; /* closed: the parent's map is gone */
};

/* Single pages, again and again: their bytes are kept when they are evicted. */
static int touch_scattered(void *context)
{
	struct limited_child *child = context;
	const struct session *session = child->session;
	uint64_t seed = 4711;
	char byte;

	close(child->gone[1]);
	if (write(child->born[1], "", 1) != 1 || read(child->gone[0], &byte, 1) != 0)
		return 2;
	for (int i = 0; i < 6000; i++) {
		size_t page = random_next(&seed) % (i < 3000 ? LIMITED_PAGES : 600);

		if (session_compare(session, page, page + 1) != 0)
			return 3;
	}
	return map_stats(session->map).refilled > 0 ? 0 : 4;
}

static void *end_limited_parent(void *context)
{
	struct limited_child *child = context;
	uint8_t *bytes = pagein_address(child->session->map);
	char byte;

	(void)!read(child->born[0], &byte, 1);
	for (size_t i = 0; i < LIMITED_PAGES; i++)
		(void)!memset(mmap(bytes + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
				      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			0x5a, PAGE);
	close(child->gone[1]);
	return NULL;
}

static void a_limited_child_keeps_its_own_bytes(void **state)
{
	const struct pagein_options limited = {
		.size = sizeof limited, .timeout_ms = 10000, .memory = UINT64_C(2) << 20};
	struct limited_child child;
	struct session session;
	pthread_t thread;

	(void)state;
	session_open(&session, (size_t)LIMITED_PAGES * PAGE, &limited);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	child.session = &session;
	assert_int_equal(pipe(child.born), 0);
	assert_int_equal(pipe(child.gone), 0);
	assert_int_equal(pthread_create(&thread, NULL, end_limited_parent, &child), 0);
	assert_int_equal(run_in_child(touch_scattered, &child), 0);
	pthread_join(thread, NULL);
	close(child.born[0]);
	close(child.born[1]);
	close(child.gone[0]);
	session_close(&session);
}

/* Another library's memory, asked for in the child before pagein has its turn there. */
static void *occupied;

static void occupy(void)
{
	if (occupied)
		memset(mmap(occupied, PAGE, PROT_READ | PROT_WRITE,
			       MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
			0x5a, PAGE);
}

static int use_what_is_occupied(void *context)
{
	const uint8_t *bytes = occupied;

	for (int i = 0; i < 2; i++) {
		for (size_t at = 0; at < PAGE; at++)
			if (bytes[at] != 0x5a)
				return 2 + i;
		pagein_unmap(context);
		context = NULL;
	}
	return 0;
}

static void a_child_keeps_what_others_put_where_it_has_lost_a_map(void **state)
{
	struct session session;
	struct pagein_map *map;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_map(session.object, 0, 0, PAGEIN_SHARED, &map), 0);
	occupied = pagein_address(map);
	assert_int_equal(run_in_child(use_what_is_occupied, map), 0);
	occupied = NULL;
	pagein_unmap(map);
	session_close(&session);
}

static void *fork_in_thread(void *context)
{
	*(int *)context = run_in_child(sleep_in_child, NULL);
	return NULL;
}

static void a_living_child_does_not_hold_up_the_parents_unmap(void **state)
{
	struct toucher toucher;
	struct session session;
	pthread_t thread;
	int result = -2;

	(void)state;
	session_open(&session, SIZE, &patient);
	server_script(&session.server, "path=/data : stall=0");
	toucher_start(&toucher, session.bytes + 30 * PAGE);
	assert_true(wait_for_faults(session.map, 1));
	pthread_create(&thread, NULL, fork_in_thread, &result);
	usleep(20000);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(toucher_join(&toucher), SIGSEGV);
	pthread_join(thread, NULL);
	assert_int_equal(result, 0);
	session_close(&session);
}

static void a_child_knows_what_mremap_did(void **state)
{
	struct session session;
	uint8_t *moved;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, NULL);
	assert_int_equal(pagein_map(session.object, 0, 16 * PAGE, 0, &session.map), 0);
	/* Grown, and nobody has touched that. */
	moved = mremap(pagein_address(session.map), 16 * PAGE, SIZE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(moved, MAP_FAILED);
	session.bytes = moved;
	assert_int_equal(run_in_child(compare_all, &session), 0);
	session_close(&session);
}

struct reader {
	pthread_t thread;
	const struct session *session;
	bool *end;
	uint64_t seed;
	int result;
};

static void *read_and_drop(void *context)
{
	struct reader *self = context;

	while (self->result == 0 && !__atomic_load_n(self->end, __ATOMIC_ACQUIRE)) {
		size_t first = random_next(&self->seed) % 60;

		self->result = session_compare(self->session, first, first + 4);
		if (random_next(&self->seed) % 4 == 0)
			pagein_advise(self->session->map, first * PAGE, 4 * PAGE, PAGEIN_DONTNEED);
	}
	return NULL;
}

/* fork(2) in the middle of faults, fills and events. */
static void check_children_of_a_busy_parent(
	const struct pagein_options *options, const char *script, int children)
{
	struct reader readers[4];
	struct session session;
	bool end = false;

	session_open(&session, SIZE, options);
	server_script(&session.server, script);
	for (size_t i = 0; i < array_len(readers); i++) {
		readers[i] = (struct reader){.session = &session, .end = &end, .seed = i + 1};
		pthread_create(&readers[i].thread, NULL, read_and_drop, &readers[i]);
	}
	for (int i = 0; i < children; i++)
		assert_int_equal(run_in_child(compare_all, &session), 0);
	__atomic_store_n(&end, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
	}
	session_close(&session);
}

static void children_of_a_busy_parent_see_right_bytes(void **state)
{
	(void)state;
	check_children_of_a_busy_parent(NULL, "path=/data percent=30 : delay=2ms", 60);
}

/* No descriptor is to be had when the child's maps need some. */
static void a_child_that_can_not_have_its_maps_gets_sigsegv(void **state)
{
	struct rlimit before, few;
	struct session session;
	int result;

	(void)state;
	session_open(&session, SIZE, NULL);
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){3, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	result = run_in_child(touch_in_child, (void *)(session.bytes + 20 * PAGE));
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(result, 128 + SIGSEGV);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

/* ---- served by the parent -------------------------------------------------------------------- */

static const struct pagein_options serve = {
	.size = sizeof serve, .fork = PAGEIN_FORK_SERVE, .timeout_ms = 5000};

/* A loop works while the process forks. */
static void skip_served(void)
{
	if (WITH_TSAN)
		skip_because("ThreadSanitizer holds its locks while a process forks");
}

static int compare_without_requests(void *context)
{
	uint64_t requests = process_stats().requests;

	if (session_compare(context, 0, 64) != 0)
		return 2;
	return process_stats().requests == requests ? 0 : 3;
}

static void the_parent_fetches_for_a_served_child(void **state)
{
	struct session session;
	uint64_t requests;

	(void)state;
	skip_served();
	session_open(&session, SIZE, &serve);
	assert_int_equal(session_compare(&session, 10, 20), 0);
	requests = process_stats().requests;
	assert_int_equal(run_in_child(compare_without_requests, &session), 0);
	assert_true(process_stats().requests > requests);
	/* Its own are as they were. */
	assert_true(map_stats(session.map).resident_bytes < SIZE);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static void a_served_child_may_touch_and_nothing_else(void **state)
{
	struct session session;

	(void)state;
	skip_served();
	session_open(&session, SIZE, &serve);
	assert_int_equal(run_in_child(use_the_parents_in_child, &session), 0);
	assert_int_equal(session_compare(&session, 0, 64), 0);
	session_close(&session);
}

static int fork_and_touch(void *context)
{
	struct session *session = context;

	return run_in_child(touch_in_child, (void *)(session->bytes + 20 * PAGE));
}

static void a_served_childs_children_get_sigsegv(void **state)
{
	struct session session;

	(void)state;
	skip_served();
	session_open(&session, SIZE, &serve);
	assert_int_equal(run_in_child(fork_and_touch, &session), 128 + SIGSEGV);
	session_close(&session);
}

/* A child that begins to read when it is told, and tells what came of it. */
struct told_child {
	pid_t pid;
	int start[2], end[2];
};

static void told_child_start(struct told_child *child, const struct session *session)
{
	char byte = 2;

	assert_int_equal(pipe(child->start), 0);
	assert_int_equal(pipe(child->end), 0);
	child->pid = fork();
	if (child->pid != 0)
		return;
	if (read(child->start[0], &byte, 1) == 1)
		byte = (char)session_compare(session, 0, 64);
	_exit(write(child->end[1], &byte, 1) == 1 ? 0 : 1);
}

/* Lets it go on; its result. */
static int told_child_end(struct told_child *child)
{
	char byte = 3;
	int status;

	assert_int_equal(write(child->start[1], &byte, 1), 1);
	assert_int_equal(read(child->end[0], &byte, 1), 1);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	for (int i = 0; i < 2; i++) {
		close(child->start[i]);
		close(child->end[i]);
	}
	return byte;
}

static void a_child_goes_on_when_its_parent_unmaps(void **state)
{
	struct told_child child;
	struct session session;

	(void)state;
	skip_served();
	session_open(&session, SIZE, &serve);
	assert_int_equal(session_compare(&session, 5, 7), 0);
	told_child_start(&child, &session);
	pagein_unmap(session.map);
	session.map = NULL;
	assert_int_equal(told_child_end(&child), 0);
	session_close(&session);
}

/* Runs as a process of its own, and is killed; its child is not its parent's to wait for. */
static void serve_and_be_killed(struct session *session, int to, bool move)
{
	char byte = 1;

	session_open_object(session, &serve);
	session_map(session);
	if (session_compare(session, 5, 7) != 0)
		_exit(1);
	if (fork() == 0) {
		struct session copy = *session;

		if (move)
			copy.bytes = mremap((void *)session->bytes, SIZE, SIZE,
				MREMAP_MAYMOVE | MREMAP_FIXED,
				mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		byte = (char)session_compare(&copy, 10, 20);
		if (write(to, &byte, 1) != 1)
			_exit(1);
		byte = (char)session_compare(&copy, 0, 64);
		_exit(write(to, &byte, 1) == 1 ? 0 : 1);
	}
	pause();
}

/* The child waits in a fault when the parent is killed: the server gives it nothing until then. */
static void check_killed_parent(bool move)
{
	struct session session;
	int ends[2], status;
	char byte = 9;
	pid_t pid;

	skip_served();
	session_start_server(&session, SIZE);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0)
		serve_and_be_killed(&session, ends[1], move);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	server_script(&session.server, "path=/data first=4 : delay=300ms");
	usleep(50000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	byte = 9;
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 0);
	close(ends[0]);
	session_close(&session);
}

static void a_child_goes_on_when_its_parent_is_killed(void **state)
{
	(void)state;
	check_killed_parent(false);
}

static void it_knows_what_it_moved_when_its_parent_is_killed(void **state)
{
	(void)state;
	check_killed_parent(true);
}

static void a_busy_parent_serves_its_children(void **state)
{
	(void)state;
	skip_served();
	check_children_of_a_busy_parent(&serve, "", 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_sees_what_was_resident_and_fetches_the_rest),
		cmocka_unit_test(what_was_resident_is_not_fetched_again),
		cmocka_unit_test(all_calls_work_in_a_child),
		cmocka_unit_test(a_grandchild_goes_on_when_its_parent_has_ended),
		cmocka_unit_test(a_child_is_made_while_threads_wait),
		cmocka_unit_test(a_child_has_none_of_its_parents_connections),
		cmocka_unit_test(a_denied_child_gets_sigsegv),
		cmocka_unit_test(a_denied_child_can_not_use_its_parents_maps),
		cmocka_unit_test(a_denied_child_makes_maps_of_its_own),
		cmocka_unit_test(a_clone_behind_libcs_back_gets_sigsegv),
		cmocka_unit_test(a_limited_child_keeps_its_own_bytes),
		cmocka_unit_test(a_child_keeps_what_others_put_where_it_has_lost_a_map),
		cmocka_unit_test(a_living_child_does_not_hold_up_the_parents_unmap),
		cmocka_unit_test(a_child_knows_what_mremap_did),
		cmocka_unit_test(children_of_a_busy_parent_see_right_bytes),
		cmocka_unit_test(a_child_that_can_not_have_its_maps_gets_sigsegv),
		cmocka_unit_test(the_parent_fetches_for_a_served_child),
		cmocka_unit_test(a_served_child_may_touch_and_nothing_else),
		cmocka_unit_test(a_served_childs_children_get_sigsegv),
		cmocka_unit_test(a_child_goes_on_when_its_parent_unmaps),
		cmocka_unit_test(a_child_goes_on_when_its_parent_is_killed),
		cmocka_unit_test(it_knows_what_it_moved_when_its_parent_is_killed),
		cmocka_unit_test(a_busy_parent_serves_its_children),
	};

	/* Before pagein's own, which come with its first object. */
	pthread_atfork(NULL, NULL, occupy);
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
