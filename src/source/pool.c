/*
 * pool.c - hosts, their idle and busy connections, and their queues.
 *
 * Runs on the loop. Owns every host and connection. Invariants: an exchange is in exactly one of a
 * queue (connection NULL) and a connection; a host opens no more connections than exchanges are
 * queued; open + opening <= connections_max; ahead <= ahead_max(), but for what was urgent when it
 * began.
 *
 * A failed attempt to connect is the end of the exchange that waits longest, urgent ones first:
 * each has its own budget of attempts (core/transfer.c), the pool has none.
 */
#include "pool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "pool_private.h"

int pool_create(struct source *source, struct client *client, const struct source_options *options,
	struct pool **ret)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return -ENOMEM;
	pool->source = source;
	pool->client = client;
	pool->connections_max = options->connections_max ? options->connections_max
							 : SOURCE_CONNECTIONS;
	pool->timeout_ns = (options->timeout_ms ? options->timeout_ms : SOURCE_TIMEOUT_MS) *
			   NS_PER_MS;
	pool->hedge_percent = options->hedge_percent < 0   ? 0
			      : options->hedge_percent > 0 ? (unsigned)options->hedge_percent
							   : HEDGE_PERCENT;
	list_init(&pool->hosts);
	*ret = pool;
	return 0;
}

static unsigned host_ahead_max(const struct host *host)
{
	return (host->pool->connections_max * 2 + 2) / 3;
}

/* One more exchange that nobody waits for may begin. */
static bool host_may_go_ahead(const struct host *host)
{
	return host->ahead < host_ahead_max(host);
}

/* ---- connections -------------------------------------------------------------------------- */

void host_close(struct host *host, struct connection *connection)
{
	host->connections--;
	host->pool->source->stats.connections--;
	list_remove(&connection->node);
	connection_destroy(connection);
}

static struct exchange *host_next_exchange(struct host *host)
{
	struct list *queue = list_empty(&host->urgent) ? &host->queue : &host->urgent;
	struct exchange *exchange;

	if (list_empty(queue) || (queue == &host->queue && !host_may_go_ahead(host)))
		return NULL;
	exchange = list_first(queue, struct exchange, node);
	list_remove(&exchange->node);
	host->waiting--;
	return exchange;
}

/* Readahead, for which nobody waits, is not asked for twice. */
static uint64_t host_late_ns(const struct host *host, const struct exchange *exchange)
{
	return exchange->urgent ? hedge_wait_ns(&host->hedge) : HEDGE_NEVER_NS;
}

void host_serve(struct host *host, struct connection *connection, struct exchange *exchange)
{
	list_remove(&connection->node);
	list_append(&host->busy, &connection->node);
	host->ahead += !exchange->urgent;
	exchange->connection = connection;
	exchange->status = 0;
	exchange->digest.kind = DIGEST_NONE;
	connection_start(
		connection, exchange, host_late_ns(host, exchange), host->pool->timeout_ns);
	exchange->sent_ns = connection->sent_ns;
}

void host_release(struct host *host, struct connection *connection)
{
	struct exchange *exchange = host_next_exchange(host);

	if (exchange) {
		host_serve(host, connection, exchange);
		return;
	}
	list_remove(&connection->node);
	list_prepend(&host->idle, &connection->node);
}

/* proxy_refused: a proxy that does not CONNECT may still fetch plain HTTP for us. */
static void host_connect_failed(
	struct host *host, CURLcode result, bool proxy_refused, const char *words)
{
	struct exchange *exchange = host_next_exchange(host);
	struct curl_errno entry = curl_errno(result);

	if (!exchange)
		return;
	if (proxy_refused)
		http_remote_of(exchange)->use_fallback = true;
	exchange->again = entry.again || proxy_refused;
	exchange->at_no_cost = proxy_refused;
	snprintf(exchange->error, sizeof exchange->error, "connect: %s: %.160s", host->base,
		*words ? words : curl_easy_strerror(result));
	http_exchange_end(exchange, entry.err);
}

static void host_connected(struct client_request *request, CURLcode result)
{
	struct connection *connection = container_of(request, struct connection, curl);
	struct host *host = connection->host;
	char words[CURL_ERROR_SIZE] = "";
	long proxy_status = 0;

	host->opening_count -= !connection->is_second;
	if (result == CURLE_OK && connection_open(connection, host->pool->source, host->tls) < 0)
		result = CURLE_OUT_OF_MEMORY;
	if (result == CURLE_OK) {
		host->pool->source->stats.connections_opened++;
		if (connection->hedges)
			host_hedge_opened(host, connection);
		else
			host_release(host, connection);
		return;
	}
	/* An exchange that waits has a connection of its own on the way. */
	if (connection->is_second) {
		host_hedge_failed(host, connection);
		host_reconnect(host);
		return;
	}
	memcpy(words, request->error, sizeof words);
	if (request->easy && !host->tls)
		curl_easy_getinfo(request->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	host_close(host, connection);
	host_connect_failed(host, result, proxy_status >= 300, words);
	host_reconnect(host);
}

int host_open(struct host *host, const struct sockaddr_storage *avoid, struct connection **ret)
{
	/* Not calloc: bytes[] needs no zeros. */
	struct connection *connection = malloc(sizeof *connection);
	int err;

	if (!connection)
		return -ENOMEM;
	memset(connection, 0, offsetof(struct connection, bytes));
	connection->host = host;
	connection->curl.done = host_connected;
	err = client_easy(host->pool->client, host->base, &connection->curl);
	if (err == 0) {
		client_set(&connection->curl, CURLOPT_CONNECT_ONLY, 1L);
		/* Through a proxy by CONNECT: what is sent on it must reach the server as it is. */
		client_set(&connection->curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
		if (avoid)
			connection->curl.avoid = *avoid;
		err = client_start(host->pool->client, &connection->curl);
	}
	if (err < 0) {
		client_finish(&connection->curl);
		free(connection);
		return err;
	}
	list_append(&host->opening, &connection->node);
	host->connections++;
	host->pool->source->stats.connections++;
	*ret = connection;
	return 0;
}

/* Begins to open one more connection, if one may be and somebody needs it. */
static int host_connect(struct host *host)
{
	struct connection *connection;
	int err;

	if (host->connections == host->pool->connections_max ||
		host->opening_count >= host->waiting)
		return 0;
	if (list_empty(&host->urgent) && host->ahead + host->opening_count >= host_ahead_max(host))
		return 0;
	err = host_open(host, NULL, &connection);
	host->opening_count += err == 0;
	return err;
}

/*
 * Without the memory for one, those that exist will serve the queue; when there is none, the queue
 * must not wait for ever.
 */
void host_reconnect(struct host *host)
{
	int err = host_connect(host);

	while (err < 0 && host->connections == 0 && host->waiting > 0)
		host_connect_failed(host, CURLE_OUT_OF_MEMORY, false, "");
}

/* ---- exchanges ---------------------------------------------------------------------------- */

int host_submit(struct host *host, struct exchange *exchange)
{
	int err;

	exchange_reset(exchange);
	if (!list_empty(&host->idle) && (exchange->urgent || host_may_go_ahead(host))) {
		host_serve(host, list_first(&host->idle, struct connection, node), exchange);
		return 0;
	}
	if (exchange->queued_ns == 0)
		exchange->queued_ns = clock_now_ns();
	list_append(exchange->urgent ? &host->urgent : &host->queue, &exchange->node);
	host->waiting++;
	err = host_connect(host);
	if (err == 0 || host->connections > 0)
		return 0;
	list_remove(&exchange->node);
	host->waiting--;
	return err;
}

void host_cancel(struct host *host, struct exchange *exchange)
{
	if (exchange->connection) {
		host->ahead -= !exchange->urgent;
		host_drop_second(host, exchange);
		host_close(host, exchange->connection);
		exchange->connection = NULL;
		host_reconnect(host);
		return;
	}
	list_remove(&exchange->node);
	host->waiting--;
}

void host_hurry(struct host *host, struct exchange *exchange)
{
	if (exchange->urgent)
		return;
	exchange->urgent = true;
	if (exchange->connection) {
		host->ahead--;
		connection_hurry(exchange->connection, hedge_wait_ns(&host->hedge));
		return;
	}
	list_remove(&exchange->node);
	if (!list_empty(&host->idle)) {
		host->waiting--;
		host_serve(host, list_first(&host->idle, struct connection, node), exchange);
		return;
	}
	list_append(&host->urgent, &exchange->node);
	host_reconnect(host);
}

void host_exchange_done(struct connection *connection, int err, bool reusable)
{
	struct exchange *exchange = connection->exchange;
	struct host *host = connection->host;

	if (err < 0 && exchange->again && host_lean_on_other(host, connection))
		return;
	host_drop_other(host, connection);
	connection->exchange = NULL;
	connection->reused = true;
	host->ahead -= !exchange->urgent;
	exchange->connection = NULL;
	loop_timer_cancel(host->pool->source->loop, &connection->timer);
	if (err == 0 && reusable)
		host_release(host, connection);
	else
		host_close(host, connection);
	http_exchange_end(exchange, err);
	host_reconnect(host);
}

void host_connection_closed(struct connection *connection)
{
	host_close(connection->host, connection);
}

/* ---- hosts -------------------------------------------------------------------------------- */

int pool_host(struct pool *pool, const char *base, struct host **ret)
{
	struct host *host;

	list_for_each (node, &pool->hosts) {
		host = list_entry(node, struct host, node);
		if (strcmp(host->base, base) == 0) {
			*ret = host;
			return 0;
		}
	}
	host = calloc(1, sizeof *host);
	if (!host || !(host->base = strdup(base))) {
		free(host);
		return -ENOMEM;
	}
	host->pool = pool;
	host->tls = strncmp(base, "https:", 6) == 0;
	list_init(&host->idle);
	list_init(&host->busy);
	list_init(&host->opening);
	list_init(&host->urgent);
	list_init(&host->queue);
	hedge_init(&host->hedge, pool->hedge_percent);
	list_append(&pool->hosts, &host->node);
	*ret = host;
	return 0;
}

static void host_destroy(struct host *host)
{
	assert(host->waiting == 0 && list_empty(&host->busy));
	list_for_each_safe (node, &host->idle)
		host_close(host, list_entry(node, struct connection, node));
	list_for_each_safe (node, &host->opening)
		host_close(host, list_entry(node, struct connection, node));
	list_remove(&host->node);
	free(host->base);
	free(host);
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	list_for_each_safe (node, &pool->hosts)
		host_destroy(list_entry(node, struct host, node));
	free(pool);
}
