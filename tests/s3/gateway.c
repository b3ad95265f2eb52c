/* gateway.c - see gateway.h. */
#include "gateway.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

#define PARALLEL 32

/* ---- the process -------------------------------------------------------------------------- */

static pid_t run_script(int input, int output)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	execl(RADOSGW_SCRIPT, RADOSGW_SCRIPT, NULL);
	_exit(127);
}

void gateway_start(struct gateway *gateway)
{
	int input[2], output[2], status;
	char line[256] = "";
	FILE *from;

	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	gateway->pid = run_script(input[0], output[1]);
	gateway->input = input[1];
	close(input[0]);
	close(output[1]);
	from = fdopen(output[0], "r");
	if (fgets(line, sizeof line, from) &&
		sscanf(line, "listening on 127.0.0.1:%hu", &gateway->port) == 1) {
		fclose(from);
		curl_global_init(CURL_GLOBAL_DEFAULT);
		return;
	}
	fclose(from);
	waitpid(gateway->pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		fputs(line, stderr);
		exit(77);
	}
	fprintf(stderr, "radosgw did not start: %s\n", line);
	exit(1);
}

void gateway_stop(struct gateway *gateway)
{
	int status;

	close(gateway->input);
	while (waitpid(gateway->pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* ---- requests ----------------------------------------------------------------------------- */

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
	struct gateway_answer *answer = context;
	size_t len = size * count;

	answer->body = realloc(answer->body, answer->length + len + 1);
	assert_non_null(answer->body);
	memcpy(answer->body + answer->length, bytes, len);
	answer->length += len;
	answer->body[answer->length] = '\0';
	return len;
}

static CURL *prepare(const struct gateway *gateway, const char *method, const char *target,
	const void *body, size_t length, const char *service, struct curl_slist *headers)
{
	cleanup_free char *url = NULL, *scope = NULL;
	CURL *easy = curl_easy_init();

	assert_non_null(easy);
	assert_true(asprintf(&url, "http://127.0.0.1:%u%s", gateway->port, target) > 0);
	assert_true(asprintf(&scope, "aws:amz:us-east-1:%s", service) > 0);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	/* libcurl 8.14 refuses to sign with it (CURLE_BAD_FUNCTION_ARGUMENT). */
	if (strstr(target, "/."))
		curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, scope);
	curl_easy_setopt(easy, CURLOPT_USERPWD, "tester-key:tester-secret");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)length);
	curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body ? body : "");
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return easy;
}

static struct curl_slist *make_headers(const char *service)
{
	/* libcurl 7.88 signs wrong what has lines that remove a header. */
	if (strcmp(service, "s3") != 0)
		return NULL;
	return curl_slist_append(NULL, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
}

struct gateway_answer gateway_ask(const struct gateway *gateway, const char *method,
	const char *target, const void *body, size_t length, const char *service)
{
	struct gateway_answer answer = {.body = calloc(1, 1)};
	struct curl_slist *headers = make_headers(service);
	CURL *easy = prepare(gateway, method, target, body, length, service, headers);

	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
	assert_int_equal(curl_easy_perform(easy), CURLE_OK);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	return answer;
}

void gateway_put(const struct gateway *gateway, const char *target, const void *body, size_t length)
{
	struct gateway_answer answer = gateway_ask(gateway, "PUT", target, body, length, "s3");

	if (answer.status / 100 != 2)
		fail_msg("PUT %s: %ld, %s", target, answer.status, answer.body);
	free(answer.body);
}

static void collect(CURLM *multi)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left))) {
		CURL *easy = message->easy_handle;
		long status = 0;

		assert_int_equal(message->data.result, CURLE_OK);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		assert_int_equal(status, 200);
		curl_multi_remove_handle(multi, easy);
		curl_easy_cleanup(easy);
	}
}

void gateway_fill(const struct gateway *gateway, const char *prefix, unsigned count)
{
	struct curl_slist *headers = make_headers("s3");
	CURLM *multi = curl_multi_init();
	unsigned started = 0;
	int running = 0;

	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)PARALLEL);
	while (started < count || running > 0) {
		for (; started < count && running < PARALLEL; started++, running++) {
			char target[256];

			snprintf(target, sizeof target, "%s%06u", prefix, started);
			curl_multi_add_handle(
				multi, prepare(gateway, "PUT", target, "x", 1, "s3", headers));
		}
		assert_int_equal(curl_multi_perform(multi, &running), CURLM_OK);
		collect(multi);
		if (running > 0)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
}

/* ---- the relay ---------------------------------------------------------------------------- */

struct relayed {
	struct relay *relay;
	int client, server;
};

static int relay_connect(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		abort();
	return fd;
}

/* Requests without a body come in one piece each, as they are sent in one. */
static bool pass_on(struct relay *relay, int from, int to)
{
	char bytes[65537];
	ssize_t n = recv(from, bytes, sizeof bytes - 1, 0);

	if (n <= 0)
		return false;
	bytes[n] = '\0';
	if (relay && strstr(bytes, relay->text))
		__atomic_fetch_add(&relay->count, 1, __ATOMIC_SEQ_CST);
	return send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static void *relayed_run(void *context)
{
	struct relayed *relayed = context;
	struct pollfd fds[] = {{relayed->client, POLLIN, 0}, {relayed->server, POLLIN, 0}};
	bool more = true;

	while (more && poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			more = pass_on(relayed->relay, relayed->client, relayed->server);
		if (more && fds[1].revents)
			more = pass_on(NULL, relayed->server, relayed->client);
	}
	close(relayed->client);
	close(relayed->server);
	free(relayed);
	return NULL;
}

static void *relay_run(void *context)
{
	struct relay *relay = context;
	int fd;

	while ((fd = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct relayed *relayed = malloc(sizeof *relayed);
		pthread_t thread;

		*relayed = (struct relayed){relay, fd, relay_connect(relay->to)};
		if (pthread_create(&thread, NULL, relayed_run, relayed) != 0)
			abort();
		pthread_detach(thread);
	}
	return NULL;
}

void relay_start(struct relay *relay, const struct gateway *gateway, const char *text)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	pthread_t thread;

	*relay = (struct relay){.text = text, .to = gateway->port};
	relay->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(relay->fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(relay->fd, 64), 0);
	assert_int_equal(getsockname(relay->fd, (struct sockaddr *)&address, &len), 0);
	relay->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&thread, NULL, relay_run, relay), 0);
	relay->thread = thread;
}

unsigned relay_count(const struct relay *relay)
{
	return __atomic_load_n(&relay->count, __ATOMIC_SEQ_CST);
}

void relay_stop(struct relay *relay)
{
	shutdown(relay->fd, SHUT_RDWR);
	pthread_join(relay->thread, NULL);
	close(relay->fd);
}
