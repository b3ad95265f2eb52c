/* test_spawn.c - the server in a child: what it inherits, and how it ends. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct client client;
static struct response response;

static void test_serves_until_it_is_finished(void **state)
{
	struct origin_process process;

	(void)state;
	assert_int_equal(
		origin_spawn(&(struct origin_options){.script = ": status=418"}, &process), 0);
	client_open(&client, process.port);
	client_request(&client, "GET", "/generated/10", NULL, &response);
	assert_int_equal(response.status, 418);
	assert_int_equal(origin_process_finish(&process), 0);
	assert_int_equal(client_receive_rest(&client, &response), 0);
	assert_int_equal(origin_process_finish(&process), 0);
	client_close(&client);
}

static void test_a_killed_child_is_an_error(void **state)
{
	struct origin_process process;

	(void)state;
	assert_int_equal(origin_spawn(&(struct origin_options){0}, &process), 0);
	kill(process.pid, SIGKILL);
	assert_int_equal(origin_process_finish(&process), -EIO);
}

/* Were a descriptor kept open there, closing it here would have no effect. */
static void test_holds_no_descriptor_of_ours(void **state)
{
	struct origin_process process;
	struct pollfd poll_fd = {.events = POLLIN};
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(origin_spawn(&(struct origin_options){.root = "/"}, &process), 0);
	client_open(&client, process.port);
	client_request(&client, "HEAD", "/generated/1", NULL, &response);
	assert_int_equal(response.status, 200);
	close(ends[1]);
	poll_fd.fd = ends[0];
	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	client_close(&client);
	assert_int_equal(origin_process_finish(&process), 0);
}

/* Nobody listens any more, once the kernel has ended it: soon, but not at once. */
static bool refuses(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0;

	close(fd);
	return refused;
}

static void test_dies_with_its_parent(void **state)
{
	struct origin_process process = {0};
	int ends[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid)
		_exit(origin_spawn(&(struct origin_options){0}, &process) ||
			write(ends[1], &process, sizeof(process)) != sizeof(process));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &process, sizeof(process)), sizeof(process));
	for (int i = 0; i < 2000 && !refuses(process.port); i++)
		poll(NULL, 0, 10);
	assert_true(refuses(process.port));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_until_it_is_finished),
		cmocka_unit_test(test_a_killed_child_is_an_error),
		cmocka_unit_test(test_holds_no_descriptor_of_ours),
		cmocka_unit_test(test_dies_with_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
