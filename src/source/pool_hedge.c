/*
 * pool_hedge.c - second requests for the same bytes, on another connection.
 *
 *	exchange:  connection -------------------- answers first --> second is dropped
 *	               \--late--> second: opening --> sent ---- answers first --> becomes connection
 *
 * Runs on the loop. Whether a second request pays is hedge.c's question. S1 an exchange has a
 * second connection only beside a first, and only until one of the two has a head that passed its
 * checks: not a byte is delivered before that, and none of the other's after it. S2 it is not in a
 * queue: it takes an idle connection, or has one opened when nobody else waits for one; a
 * connection whose exchange has ended before it is open becomes an ordinary idle one.
 *
 * One of the two that fails in a way that may pass leaves the other to go on. An answer that does
 * not go on in its middle is given up, and what is missing asked for anew: two halves of a body
 * from two connections would gain little and be hard to tell apart.
 *
 * A stalled request's second one prefers another address, where the name has several: an idle
 * connection to one, else a new one that avoids the first's (client.h).
 *
 * Cost where nothing is late: the connection's timer, which there is anyway, expires earlier, or
 * would have. Rejected: a queue of late exchanges with a timer of its own.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "http_remote.h"
#include "pool_private.h"

void host_drop_second(struct host *host, struct exchange *exchange)
{
	struct connection *second = exchange->second;

	exchange->second = NULL;
	if (!second)
		return;
	if (!second->hedges) {
		host_close(host, second);
		return;
	}
	second->hedges = NULL;
	hedge_give_back(&host->hedge);
}

void host_drop_other(struct host *host, struct connection *connection)
{
	struct exchange *exchange = connection->exchange;

	if (connection != exchange->second) {
		host_drop_second(host, exchange);
		return;
	}
	host_close(host, exchange->connection);
	exchange->connection = connection;
	exchange->second = NULL;
}

bool host_lean_on_other(struct host *host, struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	struct connection *second = exchange->second;

	if (!second || second->hedges)
		return false;
	if (connection == exchange->connection)
		exchange->connection = second;
	exchange->second = NULL;
	exchange->status = 0;
	exchange->again = exchange->at_no_cost = false;
	exchange->retry_after_ms = 0;
	host_close(host, connection);
	host_reconnect(host);
	return true;
}

void host_answered(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	struct connection *other = exchange->connection;
	struct host *host = connection->host;
	uint64_t now_ns = connection->active_ns;

	hedge_earn(&host->hedge);
	/* Those that nobody waits for come many at a time, and wait for each other. */
	if (exchange->urgent)
		hedge_note(&host->hedge, now_ns - connection->sent_ns);
	if (!exchange->second)
		return;
	if (connection == exchange->second) {
		host->pool->source->stats.hedges_won++;
		hedge_note_lost(&host->hedge, now_ns - other->sent_ns);
		hedge_note_winner(&host->hedge, true);
	} else if (!((struct connection *)exchange->second)->hedges) {
		hedge_note_winner(&host->hedge, false);
	}
	host_drop_other(host, connection);
	host_reconnect(host);
}

/* ---- the second request -------------------------------------------------------------------- */

static void host_send_second(
	struct host *host, struct connection *connection, struct exchange *exchange)
{
	list_remove(&connection->node);
	list_append(&host->busy, &connection->node);
	exchange->second = connection;
	host->pool->source->stats.hedges++;
	connection_start(connection, exchange, HEDGE_NEVER_NS, host->pool->timeout_ns);
}

void host_hedge_opened(struct host *host, struct connection *connection)
{
	struct exchange *exchange = connection->hedges;

	connection->hedges = NULL;
	host_send_second(host, connection, exchange);
}

static int host_open_second(
	struct host *host, struct exchange *exchange, const struct sockaddr_storage *avoid)
{
	struct connection *connection;
	int err = host_open(host, avoid, &connection);

	if (err < 0)
		return err;
	connection->is_second = true;
	connection->hedges = exchange;
	exchange->second = connection;
	return 0;
}

void host_hedge_failed(struct host *host, struct connection *connection)
{
	struct exchange *exchange = connection->hedges;
	bool avoided = connection->curl.avoided;

	host_close(host, connection);
	if (!exchange)
		return;
	exchange->second = NULL;
	/* There is no other address, or none that answers. */
	if (!avoided || host_open_second(host, exchange, NULL) < 0)
		hedge_give_back(&host->hedge);
}

static struct sockaddr_storage connection_address(const struct connection *connection)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof address;

	if (getpeername(connection->fd.fd, (struct sockaddr *)&address, &len) < 0)
		address.ss_family = AF_UNSPEC;
	return address;
}

/* NULL: none that will do. */
static struct connection *host_find_idle(
	const struct host *host, const struct sockaddr_storage *avoid)
{
	list_for_each (node, &host->idle) {
		struct connection *connection = list_entry(node, struct connection, node);
		struct sockaddr_storage address;

		if (!avoid)
			return connection;
		address = connection_address(connection);
		if (!client_same_address((const struct sockaddr *)&address, avoid))
			return connection;
	}
	return NULL;
}

static bool host_ask_again(
	struct host *host, struct exchange *exchange, const struct sockaddr_storage *avoid)
{
	struct connection *idle = host_find_idle(host, avoid);

	if (idle)
		host_send_second(host, idle, exchange);
	else if (host->connections == host->pool->connections_max)
		return false;
	else
		return host_open_second(host, exchange, avoid) == 0;
	return true;
}

static bool host_hedge(struct connection *connection, enum hedge_reason reason)
{
	struct exchange *exchange = connection->exchange;
	struct host *host = connection->host;
	struct sockaddr_storage avoid;

	if (host->waiting > 0 || !hedge_take(&host->hedge, reason))
		return false;
	if (reason == HEDGE_STALL) {
		avoid = connection_address(connection);
		if (host_ask_again(host, exchange, &avoid))
			return true;
	}
	if (host_ask_again(host, exchange, NULL))
		return true;
	hedge_give_back(&host->hedge);
	return false;
}

/* ---- when it is late ----------------------------------------------------------------------- */

/* In the middle of its body. */
static uint64_t host_body_late(struct connection *connection, uint64_t now_ns)
{
	struct host *host = connection->host;
	uint64_t stall_ns = connection->active_ns + host->hedge.stall_ns;

	if (now_ns < stall_ns)
		return stall_ns;
	if (!hedge_take(&host->hedge, HEDGE_STALL))
		return UINT64_MAX;
	host->pool->source->stats.hedges++;
	connection_abandon(connection);
	return 0;
}

uint64_t host_connection_late(struct connection *connection, uint64_t now_ns)
{
	struct exchange *exchange = connection->exchange;
	struct hedge *hedge = &connection->host->hedge;
	uint64_t waited_ns = now_ns - connection->sent_ns;

	if (!exchange->urgent || exchange->second)
		return UINT64_MAX;
	if (connection->answered)
		return host_body_late(connection, now_ns);
	if (waited_ns >= hedge->stall_ns) {
		(void)host_hedge(connection, HEDGE_STALL);
		return UINT64_MAX;
	}
	if (waited_ns >= hedge->tail_ns && host_hedge(connection, HEDGE_TAIL))
		return UINT64_MAX;
	return connection->sent_ns +
	       (waited_ns < hedge->tail_ns ? hedge_wait_ns(hedge) : hedge->stall_ns);
}

void host_distrust(const struct connection *connection)
{
	struct host *host = connection->host;

	list_for_each_safe (node, &host->idle) {
		struct connection *idle = list_entry(node, struct connection, node);

		if (idle->active_ns < connection->sent_ns)
			host_close(host, idle);
	}
}
