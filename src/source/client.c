/*
 * client.c - glue between curl_multi_socket_action() and the loop, and the settings that every
 * request has.
 *
 * Owns one multi handle and one share (TLS sessions; DNS and connections are the multi's own), so
 * that nothing crosses loops. libcurl tells which sockets to watch (client_socket_changed) and when
 * to be called (client_timer_changed); both only change what the loop watches, since libcurl must
 * not be entered from its own callbacks. Ends are reported from client_collect(), outside of them.
 *
 * A callback that fails makes libcurl give up the whole multi handle, without a word to those whose
 * requests are under way. So none does: a request whose socket can't be watched is *lost*, and
 * client_collect() ends it, as it ends all of them when libcurl itself has failed.
 *
 * Settings and their reasons: no FOLLOWLOCATION (http_request.c has rules of its own); HTTP/1.1,
 * which is what S3 and most stores speak; CAPATH NULL, because a directory of certificates switches
 * libcurl's CA cache off, 20 ms of CPU per TLS connection; MAXCONNECTS far above what is in use,
 * because the cache also holds the connections of CONNECT_ONLY handles and closes the oldest when
 * it is full.
 */
#include "client.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "loop.h"

#define CACHED_CONNECTIONS_MAX 4096L

struct client {
	struct loop *loop;
	CURLM *multi;
	CURLSH *share;
	struct loop_timer timer;
	struct list running; /* requests */
	unsigned timeout_ms;
	const char *ca_file; /* NULL: SSL_CERT_FILE says, or libcurl knows */
};

/* A socket of libcurl's that the loop watches. */
struct client_socket {
	struct loop_fd fd;
	struct client *client;
};

struct curl_errno curl_errno(CURLcode result)
{
	static const struct {
		CURLcode result;
		struct curl_errno value;
	} table[] = {
		{CURLE_OK, {0, false}},
		/* Of an answer: what is asked for has been parsed by us. */
		{CURLE_UNSUPPORTED_PROTOCOL, {-EPROTO, false}},
		{CURLE_URL_MALFORMAT, {-EINVAL, false}},
		{CURLE_OUT_OF_MEMORY, {-ENOMEM, false}},
		{CURLE_COULDNT_RESOLVE_HOST, {-EHOSTUNREACH, true}},
		{CURLE_COULDNT_RESOLVE_PROXY, {-EHOSTUNREACH, true}},
		{CURLE_COULDNT_CONNECT, {-ECONNREFUSED, true}},
		{CURLE_OPERATION_TIMEDOUT, {-ETIMEDOUT, true}},
		{CURLE_SEND_ERROR, {-EIO, true}},
		{CURLE_RECV_ERROR, {-EIO, true}},
		{CURLE_GOT_NOTHING, {-EIO, true}},
		{CURLE_PARTIAL_FILE, {-EIO, true}},
		{CURLE_TOO_MANY_REDIRECTS, {-ELOOP, false}},
		{CURLE_SSL_CONNECT_ERROR, {-EKEYREJECTED, false}},
		{CURLE_PEER_FAILED_VERIFICATION, {-EKEYREJECTED, false}},
		{CURLE_SSL_CACERT_BADFILE, {-EKEYREJECTED, false}},
		{CURLE_SSL_CERTPROBLEM, {-EKEYREJECTED, false}},
		{CURLE_SSL_ISSUER_ERROR, {-EKEYREJECTED, false}},
		{CURLE_SSL_PINNEDPUBKEYNOTMATCH, {-EKEYREJECTED, false}},
		{CURLE_WEIRD_SERVER_REPLY, {-EPROTO, false}},
		{CURLE_HTTP2, {-EPROTO, true}},
		{CURLE_BAD_CONTENT_ENCODING, {-EPROTO, false}},
		{CURLE_FILESIZE_EXCEEDED, {-EFBIG, false}},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].result == result)
			return table[i].value;
	return (struct curl_errno){-EIO, false};
}

/* NULL: it is a handle of libcurl's own. */
static struct client_request *client_request_of(CURL *easy)
{
	struct client_request *request = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
	return request;
}

static void client_report(struct client_request *request, CURLcode result)
{
	list_remove(&request->node);
	request->lost = false;
	request->done(request, result);
}

static struct client_request *client_find_lost(struct client *client)
{
	list_for_each (node, &client->running) {
		struct client_request *request = container_of(node, struct client_request, node);

		if (request->lost)
			return request;
	}
	return NULL;
}

/* Reports every request that has ended; each report may start and finish others. */
static void client_collect(struct client *client)
{
	struct client_request *request;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			client_report(
				client_request_of(message->easy_handle), message->data.result);
	while ((request = client_find_lost(client)))
		client_report(request, CURLE_OUT_OF_MEMORY);
}

/* Tells libcurl that something can go on. */
static void client_act(struct client *client, curl_socket_t fd, int mask)
{
	int running;

	if (curl_multi_socket_action(client->multi, fd, mask, &running) != CURLM_OK)
		list_for_each (node, &client->running)
			container_of(node, struct client_request, node)->lost = true;
	client_collect(client);
}

static void client_socket_ready(struct loop_fd *fd, uint32_t events)
{
	struct client *client = container_of(fd, struct client_socket, fd)->client;
	int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
		   (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		   (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

	client_act(client, fd->fd, mask);
}

static void client_unwatch(struct client_socket *watched)
{
	if (watched)
		loop_remove(watched->client->loop, &watched->fd);
	free(watched);
}

static int client_watch(struct client *client, curl_socket_t fd, uint32_t events)
{
	struct client_socket *watched = calloc(1, sizeof *watched);
	int err;

	if (!watched)
		return -ENOMEM;
	watched->client = client;
	watched->fd = (struct loop_fd){.fd = fd, .ready = client_socket_ready};
	err = loop_add(client->loop, &watched->fd, events);
	if (err == 0 && curl_multi_assign(client->multi, fd, watched) != CURLM_OK)
		err = -EINVAL;
	if (err < 0)
		client_unwatch(watched);
	return err;
}

static int client_socket_changed(
	CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
	struct client_request *request = client_request_of(easy);
	struct client *client = context;
	struct client_socket *watched = assigned;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) |
			  (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
	int err = 0;

	if (what == CURL_POLL_REMOVE)
		client_unwatch(watched); /* which libcurl forgets by itself */
	else if (watched)
		err = loop_modify(client->loop, &watched->fd, events);
	else
		err = client_watch(client, fd, events);
	if (err < 0 && request)
		request->lost = true;
	return 0;
}

bool client_same_address(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	if (a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)(const void *)a)->sin_addr,
			       &((const struct sockaddr_in *)b)->sin_addr,
			       sizeof(struct in_addr)) == 0;
	return a->sa_family == AF_INET6 &&
	       memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

/* To an address without a socket libcurl says that it could not connect, and tries the next. */
static curl_socket_t client_socket_open(
	void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct client_request *request = context;
	int fd;

	(void)purpose;
	if (client_same_address(&address->addr, &request->avoid)) {
		request->avoided = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	(void)loop_own(request->client->loop, fd);
	return fd;
}

static int client_socket_close(void *context, curl_socket_t fd)
{
	loop_disown(context, fd);
	return close(fd);
}

static void client_timer_expired(struct loop_timer *timer)
{
	struct client *client = container_of(timer, struct client, timer);

	client_act(client, CURL_SOCKET_TIMEOUT, 0);
}

static int client_timer_changed(CURLM *multi, long timeout_ms, void *context)
{
	struct client *client = context;

	(void)multi;
	if (timeout_ms < 0) {
		loop_timer_cancel(client->loop, &client->timer);
		return 0;
	}
	loop_timer_set(
		client->loop, &client->timer, clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS);
	return 0;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_init(void)
{
	/* Never undone: an application that uses libcurl too would lose it. */
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool client_set_up(struct client *client, unsigned connections_max)
{
	CURLM *multi = client->multi;
	CURLMcode failed = CURLM_OK;

	/* Without it, TLS sessions are made anew: slower. */
	(void)curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	failed |= curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, client_socket_changed);
	failed |= curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
	failed |= curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, client_timer_changed);
	failed |= curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
	failed |= curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CACHED_CONNECTIONS_MAX);
	failed |= curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)connections_max);
	return failed == CURLM_OK;
}

int client_create(
	struct loop *loop, unsigned timeout_ms, unsigned connections_max, struct client **ret)
{
	struct client *client = calloc(1, sizeof *client);

	pthread_once(&curl_once, curl_init);
	if (!client)
		return -ENOMEM;
	client->loop = loop;
	client->timeout_ms = timeout_ms;
	client->timer.expired = client_timer_expired;
	list_init(&client->running);
	client->multi = curl_multi_init();
	client->share = curl_share_init();
	if (!client->multi || !client->share || !client_set_up(client, connections_max)) {
		client_destroy(client);
		return -ENOMEM;
	}
	*ret = client;
	return 0;
}

void client_destroy(struct client *client)
{
	if (!client)
		return;
	if (client->multi)
		curl_multi_cleanup(client->multi);
	if (client->share)
		curl_share_cleanup(client->share);
	loop_timer_cancel(client->loop, &client->timer);
	free(client);
}

int client_easy(struct client *client, const char *url, struct client_request *request)
{
	CURL *easy = curl_easy_init();
	const char *ca_file = client->ca_file ? client->ca_file : getenv("SSL_CERT_FILE");

	if (!easy)
		return -ENOMEM;
	*request = (struct client_request){.easy = easy, .done = request->done};
	client_set(request, CURLOPT_PRIVATE, request);
	client_set(request, CURLOPT_ERRORBUFFER, request->error);
	client_set(request, CURLOPT_SHARE, client->share);
	client_set(request, CURLOPT_NOSIGNAL, 1L);
	client_set(request, CURLOPT_OPENSOCKETFUNCTION, client_socket_open);
	client_set(request, CURLOPT_OPENSOCKETDATA, request);
	client_set(request, CURLOPT_CLOSESOCKETFUNCTION, client_socket_close);
	client_set(request, CURLOPT_CLOSESOCKETDATA, client->loop);
	client_set(request, CURLOPT_NOPROGRESS, 1L);
	/* Else the end of a request waits for the resolver's thread, and the loop with it. */
	client_set(request, CURLOPT_QUICK_EXIT, 1L);
	client_set(request, CURLOPT_PROTOCOLS_STR, "http,https");
	client_set(request, CURLOPT_PATH_AS_IS, 1L);
	client_set(request, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	client_set(request, CURLOPT_HTTP09_ALLOWED, 0L);
	client_set(request, CURLOPT_USERAGENT, USER_AGENT);
	client_set(request, CURLOPT_CONNECTTIMEOUT_MS, (long)client->timeout_ms);
	client_set(request, CURLOPT_LOW_SPEED_LIMIT, 1L);
	client_set(request, CURLOPT_LOW_SPEED_TIME, (long)((client->timeout_ms + 999) / 1000));
	/* A TLS library that has none refuses. */
	(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (ca_file && *ca_file)
		client_set(request, CURLOPT_CAINFO, ca_file);
	client_set(request, CURLOPT_URL, url);
	if (!request->set_failed)
		return 0;
	client_finish(request);
	return -ENOMEM;
}

void client_trust(struct client *client, const char *file)
{
	client->ca_file = file;
}

int client_add_headers(struct curl_slist **list, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\r\n");
		char *line = strndup(lines, len);
		struct curl_slist *more = line ? curl_slist_append(*list, line) : NULL;

		if (line)
			explicit_bzero(line, len);
		free(line);
		if (!more)
			return -ENOMEM;
		*list = more;
		lines += len;
		lines += strspn(lines, "\r\n");
	}
	return 0;
}

void client_free_headers(struct curl_slist *list)
{
	for (struct curl_slist *at = list; at; at = at->next)
		explicit_bzero(at->data, strlen(at->data));
	curl_slist_free_all(list);
}

int client_start(struct client *client, struct client_request *request)
{
	CURLMcode result;

	if (request->set_failed)
		return -ENOMEM;
	result = curl_multi_add_handle(client->multi, request->easy);
	if (result != CURLM_OK)
		return result == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
	if (request->counts)
		request->counts->questions++;
	request->client = client;
	list_append(&client->running, &request->node);
	return 0;
}

bool client_got_leftover(const struct client_request *request, CURLcode result)
{
	long connects = 1;

	curl_easy_getinfo(request->easy, CURLINFO_NUM_CONNECTS, &connects);
	return connects == 0 &&
	       (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_WEIRD_SERVER_REPLY);
}

void client_content_type(const struct client_request *request, char to[CONTENT_TYPE_MAX + 1])
{
	char *type = NULL;

	if (request->easy)
		curl_easy_getinfo(request->easy, CURLINFO_CONTENT_TYPE, &type);
	strcpy(to, type && strlen(type) <= CONTENT_TYPE_MAX ? type : "");
}

static void client_count_bytes(const struct client_request *request)
{
	curl_off_t bytes = 0;

	curl_easy_getinfo(request->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
	request->counts->question_bytes += (uint64_t)bytes;
}

void client_finish(struct client_request *request)
{
	if (request->client && request->counts)
		client_count_bytes(request);
	if (request->client) {
		list_remove(&request->node);
		curl_multi_remove_handle(request->client->multi, request->easy);
	}
	if (request->easy)
		curl_easy_cleanup(request->easy);
	request->client = NULL;
	request->easy = NULL;
}
