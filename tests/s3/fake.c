/* fake.c - see fake.h. */
#include "fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

struct fake_connection {
	struct fake *fake;
	int fd;
};

static bool read_head(int fd, struct fake_request *request)
{
	size_t len = 0;

	while (len < FAKE_HEAD_MAX) {
		ssize_t n = recv(fd, request->head + len, FAKE_HEAD_MAX - len, 0);

		if (n <= 0)
			return false;
		len += (size_t)n;
		request->head[len] = '\0';
		if (strstr(request->head, "\r\n\r\n"))
			break;
	}
	request->is_head = strncmp(request->head, "HEAD ", 5) == 0;
	return sscanf(request->head, "%*s %8191s", request->target) == 1;
}

static void send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static void send_chunks(int fd, const char *body, size_t len)
{
	char line[32];

	for (int i = 0; i < 2; i++) {
		size_t part = i == 0 ? len / 2 : len - len / 2;

		if (part == 0)
			continue;
		send_all(fd, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", part));
		send_all(fd, body, part);
		send_all(fd, "\r\n", 2);
		body += part;
	}
	send_all(fd, "0\r\n\r\n", 5);
}

static void serve(struct fake *fake, int fd, struct fake_request *request)
{
	struct fake_answer answer = {.status = 500};
	char head[2048];
	size_t body_len;
	int len;

	pthread_mutex_lock(&fake->lock);
	request->number = ++fake->requests;
	strcpy(fake->last_head, request->head);
	fake->answer(fake, request, &answer);
	/* The test may go on, and free its own, while this is being sent. */
	if (answer.body && !answer.free_body)
		answer.body = strdup(answer.body);
	pthread_mutex_unlock(&fake->lock);
	body_len = answer.body ? strlen(answer.body) : 0;
	len = snprintf(head, sizeof head, "HTTP/1.1 %u Fake\r\n%s", answer.status,
		answer.is_chunked ? "Transfer-Encoding: chunked\r\n" : "");
	if (!answer.is_chunked)
		len += snprintf(
			head + len, sizeof head - (size_t)len, "Content-Length: %zu\r\n", body_len);
	len += snprintf(head + len, sizeof head - (size_t)len, "Connection: close\r\n%s\r\n",
		answer.headers);
	send_all(fd, head, (size_t)len);
	if (!request->is_head && answer.is_chunked)
		send_chunks(fd, answer.body, body_len);
	else if (!request->is_head)
		send_all(fd, answer.body, body_len);
	free((char *)answer.body);
	/* What the client has not sent yet must not reset the connection under the answer. */
	shutdown(fd, SHUT_WR);
	recv(fd, head, sizeof head, 0);
}

static void *connection_run(void *context)
{
	struct fake_connection *connection = context;
	struct fake *fake = connection->fake;
	struct fake_request *request = calloc(1, sizeof *request);

	if (request && read_head(connection->fd, request))
		serve(fake, connection->fd, request);
	free(request);
	close(connection->fd);
	free(connection);
	pthread_mutex_lock(&fake->lock);
	fake->serving--;
	pthread_mutex_unlock(&fake->lock);
	return NULL;
}

static void *fake_run(void *context)
{
	struct fake *fake = context;
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		struct fake_connection *connection;
		pthread_t thread;
		int fd = accept4(fake->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			break;
		connection = malloc(sizeof *connection);
		if (!connection)
			abort();
		*connection = (struct fake_connection){fake, fd};
		pthread_mutex_lock(&fake->lock);
		fake->serving++;
		pthread_mutex_unlock(&fake->lock);
		if (pthread_create(&thread, &detached, connection_run, connection) != 0)
			abort();
	}
	pthread_attr_destroy(&detached);
	return NULL;
}

void fake_start(struct fake *fake)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;

	fake->requests = fake->serving = 0;
	pthread_mutex_init(&fake->lock, NULL);
	fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fake->fd >= 0);
	assert_int_equal(bind(fake->fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fake->fd, 64), 0);
	assert_int_equal(getsockname(fake->fd, (struct sockaddr *)&address, &len), 0);
	fake->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

/* The clients are gone by now, so that every connection ends. */
void fake_stop(struct fake *fake)
{
	bool busy = true;

	shutdown(fake->fd, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	close(fake->fd);
	while (busy) {
		pthread_mutex_lock(&fake->lock);
		busy = fake->serving > 0;
		pthread_mutex_unlock(&fake->lock);
		if (busy)
			usleep(1000);
	}
	pthread_mutex_destroy(&fake->lock);
}

void fake_use(struct fake *fake,
	void (*answer)(
		struct fake *self, const struct fake_request *request, struct fake_answer *ret),
	void *context)
{
	pthread_mutex_lock(&fake->lock);
	fake->answer = answer;
	fake->context = context;
	pthread_mutex_unlock(&fake->lock);
}

void fake_store(struct fake *fake, int *place, int value)
{
	pthread_mutex_lock(&fake->lock);
	*place = value;
	pthread_mutex_unlock(&fake->lock);
}

const char *fake_last_head(struct fake *fake)
{
	pthread_mutex_lock(&fake->lock);
	strcpy(fake->told_head, fake->last_head);
	pthread_mutex_unlock(&fake->lock);
	return fake->told_head;
}

unsigned fake_count(struct fake *fake)
{
	unsigned count;

	pthread_mutex_lock(&fake->lock);
	count = fake->requests;
	pthread_mutex_unlock(&fake->lock);
	return count;
}

bool fake_says(const struct fake_request *request, const char *text)
{
	return strstr(request->head, text) != NULL;
}
