/*
 * monitor_test.c - the figures of a process with libpagein, for others: the socket that
 * PAGEIN_METRICS asks for, whose it is, and that it tells what pagein_stats() and the server do.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "openmetrics.h"

#define SIZE (1024 * PAGE)

static char directory[64];

/* ---- the socket's side -------------------------------------------------------------------- */

static const char *socket_path(pid_t process)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%ld.sock", directory, (long)process);
	return path;
}

static bool socket_is_there(pid_t process)
{
	struct stat status;

	return lstat(socket_path(process), &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Connected; negative: -errno. */
static int socket_connect(pid_t process)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, socket_path(process));
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -errno;
}

/* -1: not a whole text. Also in a child, which can't fail the test. */
static int figures_of(pid_t process, struct samples *ret)
{
	cleanup_free char *text = malloc(SAMPLES_BYTES_MAX);
	cleanup_fd int fd = socket_connect(process);
	size_t length = 0;
	unsigned line;
	ssize_t count = 0;

	while (fd >= 0 && (count = read(fd, text + length, SAMPLES_BYTES_MAX - length)) > 0)
		length += (size_t)count;
	return fd >= 0 && count == 0 && samples_parse(text, length, ret, &line) == 0 ? 0 : -1;
}

static double number_now(const char *name)
{
	struct samples samples cleanup(samples_finish) = {0};

	assert_int_equal(figures_of(getpid(), &samples), 0);
	assert_non_null(samples_find(&samples, name, NULL));
	return samples_number(&samples, name, NULL);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/pagein-monitor-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	return setenv("PAGEIN_METRICS", directory, 1);
}

static int tear_down(void **state)
{
	(void)state;
	unsetenv("PAGEIN_METRICS");
	(void)unlink(socket_path(getpid()));
	/* Not empty: something was left. */
	return rmdir(directory);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void nothing_is_made_unless_asked_for(void **state)
{
	struct session session;

	(void)state;
	unsetenv("PAGEIN_METRICS");
	session_open(&session, SIZE, NULL);
	assert_false(socket_is_there(getpid()));
	assert_int_equal(count_threads("pagein-metrics", 0), 0);
	session_close(&session);
}

static void it_is_its_owners_and_lives_as_long_as_objects_do(void **state)
{
	struct session session;
	struct stat status;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(lstat(socket_path(getpid()), &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(session_compare(&session, 0, 100), 0);
	/* Descriptors and threads are all gone, too. */
	session_close(&session);
	assert_false(socket_is_there(getpid()));
	assert_int_equal(count_threads("pagein-metrics", 0), 0);
}

static void a_directory_that_is_missing_is_made(void **state)
{
	struct session session;
	struct stat status;
	char path[sizeof directory + 8];

	(void)state;
	snprintf(path, sizeof path, "%s/below", directory);
	setenv("PAGEIN_METRICS", path, 1);
	session_open(&session, SIZE, NULL);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	session_close(&session);
	assert_int_equal(rmdir(path), 0);
}

/* What it tells is what the process itself and the server have counted. */
static void it_agrees_with_the_stats_and_with_the_server(void **state)
{
	struct samples samples cleanup(samples_finish) = {0};
	const struct sample *object, *thread;
	struct session session;
	struct pagein_stats stats;

	(void)state;
	session_start_server(&session, SIZE);
	server_reset_counts(&session.server);
	session_open_object(&session, NULL);
	session_map(&session);
	assert_int_equal(session_compare(&session, 0, SIZE / PAGE), 0);
	stats = map_stats(session.map);
	assert_int_equal(figures_of(getpid(), &samples), 0);
#define NUMBER(name) (uint64_t) samples_number(&samples, name, NULL)
	assert_int_equal(NUMBER("pagein_faults_total"), stats.faults);
	assert_int_equal(NUMBER("pagein_fills_total"), stats.fills);
	assert_int_equal(NUMBER("pagein_filled_bytes_total"), SIZE);
	assert_int_equal(NUMBER("pagein_resident_bytes"), SIZE);
	assert_int_equal(NUMBER("pagein_maps"), 1);
	assert_int_equal(NUMBER("pagein_objects"), 1);
	assert_int_equal(
		NUMBER("pagein_fetched_bytes_total") + NUMBER("pagein_question_bytes_total"),
		server_count(&session.server, "body_bytes"));
	assert_int_equal(NUMBER("pagein_requests_total") + NUMBER("pagein_questions_total"),
		server_count(&session.server, "requests"));
	assert_int_equal(NUMBER("pagein_wait_seconds_count"), stats.faults);
	object = samples_find(&samples, "pagein_object_used_bytes_total", NULL);
	assert_non_null(object);
	assert_string_equal(object->value, server_url(&session.server, "data"));
	assert_int_equal(object->number, SIZE);
	thread = samples_find(&samples, "pagein_thread_faults_total", NULL);
	assert_non_null(thread);
	assert_int_equal(atoi(thread->value), gettid());
	assert_int_equal(thread->number, stats.faults);
#undef NUMBER
	session_close(&session);
}

/* A map, an object and a loop that have gone count on, as long as there is another. */
static void counters_never_fall(void **state)
{
	const struct pagein_options others = {
		.size = sizeof others, .cache_bytes = 4 * SIZE, .timeout_ms = 3000};
	struct pagein_object *object;
	struct pagein_map *map;
	struct session session;
	double faults, stalled, used;

	(void)state;
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 10), 0);
	assert_int_equal(pagein_open(server_url(&session.server, "data"), &others, &object), 0);
	assert_int_equal(pagein_map(object, 0, 0, 0, &map), 0);
	assert_int_equal(pagein_populate(map, 0, 0, 10000), 0);
	assert_int_equal(pagein_advise(map, 0, 0, PAGEIN_DONTNEED), 0);
	for (size_t i = 0; i < 100; i++)
		(void)*(volatile const uint8_t *)((uint8_t *)pagein_address(map) + i * PAGE);
	faults = number_now("pagein_faults_total");
	stalled = number_now("pagein_thread_stalled_seconds_total");
	used = number_now("pagein_object_used_bytes_total");
	assert_true(number_now("pagein_fault_hits_total") > 0);
	assert_true(stalled > 0 && used >= 2 * SIZE - 1000 * PAGE);
	pagein_unmap(map);
	assert_true(number_now("pagein_faults_total") == faults);
	assert_true(number_now("pagein_thread_stalled_seconds_total") == stalled);
	pagein_close(object);
	assert_true(number_now("pagein_faults_total") == faults);
	assert_true(number_now("pagein_thread_stalled_seconds_total") == stalled);
	assert_true(number_now("pagein_object_used_bytes_total") == used);
	assert_true(number_now("pagein_maps") == 1);
	session_close(&session);
}

/* Who does not read keeps nobody waiting: not the faults, not the others, not the end. */
static void slow_readers_disturb_nobody(void **state)
{
	struct session session;
	int readers[40];

	(void)state;
	session_open(&session, SIZE, NULL);
	for (size_t i = 0; i < array_len(readers); i++)
		readers[i] = socket_connect(getpid());
	assert_int_equal(session_compare(&session, 0, SIZE / PAGE), 0);
	for (size_t i = 0; i < array_len(readers); i++)
		if (readers[i] >= 0)
			close(readers[i]);
	assert_true(number_now("pagein_faults_total") > 0);
	session_close(&session);
}

/* The number of a row in what `pagein top` prints of this process; -1: it prints none. */
static double top_row(const char *words)
{
	char command[512], line[512];
	double number = -1;
	FILE *output;

	/* It finds the directory in its own environment: ours was set too late for /proc. */
	snprintf(command, sizeof command, "%s top --once %ld", getenv("PAGEIN"), (long)getpid());
	output = popen(command, "re");
	assert_non_null(output);
	while (fgets(line, sizeof line, output))
		if (strncmp(line, words, strlen(words)) == 0)
			number = strtod(line + strlen(words), NULL);
	assert_int_equal(pclose(output), 0);
	return number;
}

static void top_shows_the_same(void **state)
{
	struct pagein_stats stats;
	struct session session;

	(void)state;
	if (!getenv("PAGEIN"))
		skip_because("PAGEIN does not name the program");
	session_open(&session, SIZE, NULL);
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_RANDOM), 0);
	assert_int_equal(session_compare(&session, 100, 150), 0);
	stats = process_stats();
	assert_true(top_row("faults ") == (double)(stats.faults - session.before.faults));
	assert_true(top_row("requests ") == (double)(stats.requests - session.before.requests));
	assert_true(top_row("fills ") == (double)(stats.fills - session.before.fills));
	assert_true(top_row("maps ") == 1);
	session_close(&session);
}

/* ---- names that are taken ----------------------------------------------------------------- */

static int socket_bind(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, socket_path(getpid()));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void a_stale_socket_is_replaced(void **state)
{
	struct session session;

	(void)state;
	close(socket_bind());
	assert_true(socket_is_there(getpid()));
	session_open(&session, SIZE, NULL);
	assert_true(number_now("pagein_objects") == 1);
	session_close(&session);
	assert_false(socket_is_there(getpid()));
}

/* And the process works all the same, without figures for others. */
static void what_is_anothers_stays(void **state)
{
	struct session session;
	struct stat before, after;
	int other = socket_bind();

	(void)state;
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(lstat(socket_path(getpid()), &before), 0);
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 10), 0);
	session_close(&session);
	assert_int_equal(lstat(socket_path(getpid()), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	close(other);
	unlink(socket_path(getpid()));

	close(open(socket_path(getpid()), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 10), 0);
	session_close(&session);
	assert_int_equal(lstat(socket_path(getpid()), &after), 0);
	assert_true(S_ISREG(after.st_mode));
}

static void a_bad_place_is_a_warning_only(void **state)
{
	static const char *const places[] = {
		"relative", "/proc/nothing", "/dev/null", "/tmp/no/such/directory"};
	struct session session;

	(void)state;
	for (size_t i = 0; i < array_len(places); i++) {
		setenv("PAGEIN_METRICS", places[i], 1);
		session_open(&session, 10 * PAGE, NULL);
		assert_int_equal(session_compare(&session, 0, 10), 0);
		session_close(&session);
	}
}

/* ---- processes ---------------------------------------------------------------------------- */

/* A child has its own socket, with its own figures; the parent's is untouched, and outlives it. */
static int child_looks(void *context)
{
	const struct session *session = context;
	struct samples samples cleanup(samples_finish) = {0};

	if (session_compare(session, 500, 510) != 0)
		return 1;
	if (figures_of(getpid(), &samples) < 0)
		return 2;
	if (!samples_find(&samples, "pagein_faults_total", NULL))
		return 3;
	return figures_of(getppid(), &samples) < 0 ? 4 : 0;
}

static int child_looks_and_leaves(void *context)
{
	int result = child_looks(context);

	/* As exit(3) does: run_in_child() would leave without it. */
	pagein_unmap(((const struct session *)context)->map);
	pagein_close(((const struct session *)context)->object);
	return result ? result : socket_is_there(getpid()) ? 5 : 0;
}

static void a_child_has_its_own(void **state)
{
	struct session session;

	(void)state;
	if (WITH_TSAN)
		skip_because("ThreadSanitizer has no processes that make threads");
	session_open(&session, SIZE, NULL);
	assert_int_equal(session_compare(&session, 0, 10), 0);
	assert_int_equal(run_in_child(child_looks_and_leaves, &session), 0);
	assert_true(socket_is_there(getpid()));
	assert_true(number_now("pagein_objects") == 1);
	session_close(&session);
}

/* ... unless it has nothing that could be told of. */
static int child_has_none(void *context)
{
	(void)context;
	return socket_is_there(getpid());
}

static void a_child_without_objects_has_none(void **state)
{
	struct pagein_options options = quick_options;
	struct session session;

	(void)state;
	options.fork = PAGEIN_FORK_DENY;
	session_open(&session, SIZE, &options);
	assert_int_equal(run_in_child(child_has_none, NULL), 0);
	assert_true(socket_is_there(getpid()));
	session_close(&session);
}

/* A process that does not close anything, in a child: fork first, so that it is a process of its
 * own. */
static int exits_with_objects_open(void *context)
{
	const struct session *session = context;
	struct pagein_object *object;

	if (pagein_open(server_url(&session->server, "data"), NULL, &object) < 0)
		_exit(1);
	if (!socket_is_there(getpid()))
		_exit(2);
	exit(0);
}

static void the_socket_is_gone_after_an_exit(void **state)
{
	struct session session;
	int status;
	pid_t child;

	(void)state;
	session_start_server(&session, SIZE);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		exits_with_objects_open(&session);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_false(socket_is_there(child));
	server_stop(&session.server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_made_unless_asked_for),
		TEST(it_is_its_owners_and_lives_as_long_as_objects_do),
		TEST(a_directory_that_is_missing_is_made),
		TEST(it_agrees_with_the_stats_and_with_the_server),
		TEST(counters_never_fall),
		TEST(slow_readers_disturb_nobody),
		TEST(top_shows_the_same),
		TEST(a_stale_socket_is_replaced),
		TEST(what_is_anothers_stays),
		TEST(a_bad_place_is_a_warning_only),
		TEST(a_child_has_its_own),
		TEST(a_child_without_objects_has_none),
		TEST(the_socket_is_gone_after_an_exit),
	};

	if (userfaultfd_is_missing())
		return 77;
	return run_group(tests);
}
