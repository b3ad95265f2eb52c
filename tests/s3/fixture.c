/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "loop.h"
#include "process.h"
#include "s3_environment.h"

#define WAIT_MAX_MS 60000
#define ANSWER_MAX ((size_t)1 << 20)

extern char **environ;

/* ---- variables and files ------------------------------------------------------------------- */

void world_make(struct world *world)
{
	static const char *const names[] = {
#define X(id, name) name,
		S3_VARIABLES(X)
#undef X
	};

	for (size_t i = 0; i < array_len(names); i++)
		unsetenv(names[i]);
	unsetenv("http_proxy");
	strcpy(world->folder, "/tmp/pagein-test-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	setenv("HOME", world->folder, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_METADATA_SERVICE_TIMEOUT", "20", 1);
	assert_int_equal(mkdir(world_path(world, ".aws"), 0700), 0);
	assert_int_equal(mkdir(world_path(world, ".aws/sso"), 0700), 0);
	assert_int_equal(mkdir(world_path(world, ".aws/sso/cache"), 0700), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void world_finish(struct world *world)
{
	nftw(world->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *world_path(const struct world *world, const char *name)
{
	static char paths[4][160];
	static unsigned next;
	char *path = paths[next++ % array_len(paths)];

	snprintf(path, sizeof *paths, "%s/%s", world->folder, name);
	return path;
}

void world_file(const struct world *world, const char *name, const char *text)
{
	FILE *file;

	if (strncmp(name, "~/", 2) == 0)
		name += 2;
	if (!text) {
		unlink(world_path(world, name));
		return;
	}
	file = fopen(world_path(world, name), "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

void world_variables(const struct world *world, const char *settings)
{
	cleanup_free char *copy = strdup(settings);
	char *rest = copy, *setting;

	assert_non_null(copy);
	while ((setting = strsep(&rest, " "))) {
		char *value = strchr(setting, '='), expanded[512];

		if (!value)
			continue;
		*value++ = '\0';
		snprintf(expanded, sizeof expanded, "%s%s", *value == '~' ? world->folder : "",
			value + (*value == '~'));
		setenv(setting, expanded, 1);
	}
}

struct s3_config *world_config(const char *profile)
{
	struct s3_config *config = NULL;
	char error[SOURCE_ERROR_MAX];

	if (s3_config_load(&(struct s3_options){.profile = profile}, &config, error) < 0)
		fail_msg("%s", error);
	return config;
}

/* ---- endpoints
 * ----------------------------------------------------------------------------------- */

/* Its stdin is a pipe of ours, with which it ends: even when the test is killed. */
static int endpoints_stdin = -1;

bool endpoints_start(struct endpoints *endpoints)
{
	char *argv[] = {(char *)ENDPOINTS_PROGRAM, NULL};
	posix_spawn_file_actions_t actions;
	char line[16] = "";
	int in[2], out[2];
	size_t len = 0;
	ssize_t n;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&endpoints->pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	endpoints_stdin = in[1];
	/* All of the line: who closes the pipe in its middle ends the program. */
	while (len < sizeof line - 1 && !strchr(line, '\n') &&
		(n = read(out[0], line + len, sizeof line - 1 - len)) > 0)
		len += (size_t)n;
	close(out[0]);
	endpoints->port = (uint16_t)strtoul(line, NULL, 10);
	if (endpoints->port > 0)
		return true;
	endpoints_stop(endpoints, 0);
	fprintf(stderr, "skipped: no Python for the endpoints\n");
	return false;
}

int endpoints_stop(struct endpoints *endpoints, int result)
{
	close(endpoints_stdin);
	kill(endpoints->pid, SIGKILL);
	waitpid(endpoints->pid, NULL, 0);
	return result;
}

const char *endpoints_url(const struct endpoints *endpoints, const char *path)
{
	static char urls[4][256];
	static unsigned next;
	char *url = urls[next++ % array_len(urls)];

	snprintf(url, sizeof *urls, "http://127.0.0.1:%u%s", endpoints->port, path);
	return url;
}

/* One request; the body of its answer, good until the next call. */
static const char *control(
	const struct endpoints *endpoints, const char *method, const char *path, const char *body)
{
	static char answer[ANSWER_MAX];
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(endpoints->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_free char *request = NULL;
	size_t len = 0;
	ssize_t n;
	int request_len = asprintf(&request,
		"%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, strlen(body), body);
	char *start;

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(send(fd, request, (size_t)request_len, MSG_NOSIGNAL), request_len);
	while ((n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	start = strstr(answer, "\r\n\r\n");
	assert_non_null(start);
	assert_true(strstr(answer, " 200 ") || strstr(answer, " 204 "));
	return start + 4;
}

void endpoints_answer(
	const struct endpoints *endpoints, const char *request, const char *how, const char *body)
{
	cleanup_free char *text = NULL;

	assert_true(asprintf(&text, "%s\n%s\n%s", request, how ? how : "", body) > 0);
	control(endpoints, "PUT", "/.answer", text);
}

void endpoints_reset(const struct endpoints *endpoints)
{
	control(endpoints, "PUT", "/.reset", "");
}

unsigned endpoints_count(const struct endpoints *endpoints)
{
	return (unsigned)strtoul(control(endpoints, "GET", "/.count", ""), NULL, 10);
}

const char *endpoints_request(const struct endpoints *endpoints, unsigned index)
{
	char path[32];

	snprintf(path, sizeof path, "/.request/%u", index);
	return control(endpoints, "GET", path, "");
}

/* ---- the loop
 * --------------------------------------------------------------------------------------- */

static int fds_before;

void engine_open(struct engine *engine)
{
	fds_before = count_fds();
	assert_int_equal(loop_create(&engine->loop), 0);
	assert_int_equal(client_create(engine->loop, 5000, 8, &engine->client), 0);
}

void engine_close(struct engine *engine)
{
	client_destroy(engine->client);
	loop_destroy(engine->loop);
	assert_int_equal(count_fds(), fds_before);
}

struct watch {
	struct loop_timer timer;
	struct loop *loop;
};

static void stop_loop(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct watch, timer)->loop);
}

void engine_run(struct engine *engine)
{
	struct watch watch = {.timer.expired = stop_loop, .loop = engine->loop};

	loop_timer_set(engine->loop, &watch.timer, clock_now_ns() + NS_PER_MS);
	assert_int_equal(loop_run(engine->loop), 0);
	loop_timer_cancel(engine->loop, &watch.timer);
}

void engine_wait(struct engine *engine, const bool *done)
{
	uint64_t limit_ns = clock_now_ns() + WAIT_MAX_MS * NS_PER_MS;

	while (!*done) {
		if (clock_now_ns() > limit_ns)
			fail_msg("nothing has happened for %d ms", WAIT_MAX_MS);
		engine_run(engine);
	}
}
