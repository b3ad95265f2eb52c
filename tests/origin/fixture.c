/*
 * fixture.c - starts the origin, and speaks HTTP with it by hand.
 *
 * Every wait has a limit of 20 s, so that a server that hangs fails the test instead of the run.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MAX_MS 20000
/* Long enough for loopback; a slower machine only makes the check weaker, never wrong. */
#define SILENCE_MS 50

static void *server_thread(void *data)
{
	struct server *server = data;

	return (void *)(intptr_t)origin_run(server->origin);
}

void server_start(struct server *server, struct origin_options options)
{
	*server = (struct server){0};
	if (options.root && !*options.root) {
		strcpy(server->root, "/tmp/origin-test-XXXXXX");
		assert_non_null(mkdtemp(server->root));
		options.root = server->root;
	}
	assert_int_equal(origin_create(&options, &server->origin), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, server_thread, server), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

void server_stop(struct server *server)
{
	void *result;

	origin_stop(server->origin);
	assert_int_equal(pthread_join(server->thread, &result), 0);
	assert_null(result);
	origin_destroy(server->origin);
	if (*server->root)
		assert_int_equal(nftw(server->root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void set_modified(const char *path)
{
	static const struct timespec times[2] = {
		{.tv_sec = 1714979289, .tv_nsec = 500000000},
		{.tv_sec = 1714979289, .tv_nsec = 500000000},
	};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

void server_add_file(const struct server *server, const char *name, const void *data, size_t len)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", server->root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	set_modified(path);
}

void server_add_directory(const struct server *server, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", server->root, name);
	assert_int_equal(mkdir(path, 0755), 0);
	set_modified(path);
}

void client_open(struct client *client, uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;

	client->length = 0;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(client->fd >= 0);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
}

void client_send(struct client *client, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(client->fd, text, len, MSG_NOSIGNAL), len);
}

/* More bytes into the buffer: their number, 0 at the end, -errno. */
static ssize_t receive_some(struct client *client)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};
	ssize_t count;

	assert_true(client->length < sizeof(client->buffer));
	if (poll(&poll_fd, 1, WAIT_MAX_MS) != 1)
		fail_msg("no answer within %d ms", WAIT_MAX_MS);
	count = recv(client->fd, client->buffer + client->length,
		sizeof(client->buffer) - client->length, 0);
	if (count < 0)
		return -errno;
	client->length += (size_t)count;
	return count;
}

static void consume(struct client *client, size_t count)
{
	client->length -= count;
	memmove(client->buffer, client->buffer + count, client->length);
}

bool client_receive_head(struct client *client, struct response *response)
{
	char *end;
	size_t len;

	response->length = 0;
	while (!(end = memmem(client->buffer, client->length, "\r\n\r\n", 4)))
		if (receive_some(client) <= 0)
			return false;
	len = (size_t)(end + 4 - client->buffer);
	assert_true(len < sizeof(response->head));
	memcpy(response->head, client->buffer, len);
	response->head[len] = '\0';
	consume(client, len);
	response->status = 0;
	sscanf(response->head, "HTTP/%*s %d", &response->status);
	return true;
}

void client_receive_body(struct client *client, struct response *response, size_t len)
{
	while (len) {
		size_t count = client->length < len ? client->length : len;

		assert_true(response->length + count <= sizeof(response->body));
		memcpy(response->body + response->length, client->buffer, count);
		consume(client, count);
		response->length += count;
		len -= count;
		if (len && receive_some(client) <= 0)
			fail_msg("the body is %zu bytes short", len);
	}
}

void client_receive(struct client *client, struct response *response, bool head_only)
{
	if (!client_receive_head(client, response))
		fail_msg("no answer");
	if (!head_only)
		client_receive_body(client, response,
			strtoul(response_field(response, "Content-Length"), NULL, 10));
}

int client_receive_rest(struct client *client, struct response *response)
{
	ssize_t count;

	do {
		client_receive_body(client, response, client->length);
		count = receive_some(client);
	} while (count > 0);
	return (int)-count;
}

bool client_is_silent(struct client *client)
{
	struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};

	return !client->length && poll(&poll_fd, 1, SILENCE_MS) == 0;
}

void client_request(struct client *client, const char *method, const char *path, const char *fields,
	struct response *response)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n", method, path,
		fields ? fields : "");
	client_send(client, text);
	client_receive(client, response, !strcmp(method, "HEAD"));
}

const char *response_field(const struct response *response, const char *name)
{
	static char value[4096];
	size_t len = strlen(name);
	const char *line = response->head;

	while ((line = strstr(line, "\r\n"))) {
		line += 2;
		if (!strncasecmp(line, name, len) && line[len] == ':') {
			line += len + 1;
			line += strspn(line, " ");
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r"), line);
			return value;
		}
	}
	return "";
}

void client_set_script(struct client *client, const char *script)
{
	struct response *response = malloc(sizeof(*response));
	char text[4096];

	assert_non_null(response);
	snprintf(text, sizeof(text),
		"PUT /.origin/script HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(script), script);
	client_send(client, text);
	client_receive(client, response, false);
	if (response->status != 204)
		fail_msg("%s: %.*s", script, (int)response->length, response->body);
	free(response);
}
