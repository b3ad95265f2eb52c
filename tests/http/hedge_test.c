/*
 * hedge_test.c - second requests on the wire: when they are sent, who wins, and what is left
 * behind.
 *
 * Whose answer would come in an hour is a reason for one, so that no test depends on how fast this
 * machine is; those of 1.5 s wait for as long. Whether one pays: unit/hedge_test.c.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"

#define SIZE 3000001

struct scene {
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;
};

/* Nothing but a second request can bring bytes in time. */
static const struct source_options patient = {.timeout_ms = 100000};

static void scene_open(struct scene *scene, const struct source_options *options)
{
	server_start(&scene->server);
	local_make(&scene->local, &scene->server, "data", SIZE, 1);
	client_open(&scene->client, options);
	scene->remote = client_pin(&scene->client, server_url(&scene->server, "data"));
	server_reset_counts(&scene->server);
}

static void scene_close(struct scene *scene)
{
	client_unpin(&scene->client, scene->remote);
	client_close(&scene->client);
	local_finish(&scene->local);
	server_stop(&scene->server);
}

static const struct source_stats *stats_of(const struct scene *scene)
{
	return &scene->client.source->stats;
}

static void start_urgent(struct scene *scene, struct got *got, struct range range)
{
	*got = (struct got){.exchange.urgent = true};
	got_start(got, &scene->client, scene->remote, range);
}

static void finish_good(struct scene *scene, struct got *got)
{
	assert_int_equal(got_wait(got), 0);
	assert_memory_equal(got->bytes, scene->local.bytes + got->exchange.range.start,
		range_length(got->exchange.range));
	got_finish(got);
}

static void run_until_hedged(struct scene *scene, uint64_t hedges)
{
	for (unsigned ms = 0; stats_of(scene)->hedges < hedges && ms < 20000; ms++)
		client_run_for(&scene->client, 1);
	assert_int_equal(stats_of(scene)->hedges, hedges);
}

static void a_stalled_answer_comes_on_another_connection(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : delay=1h");
	start_urgent(&scene, &got, (struct range){5000, 105000});
	finish_good(&scene, &got);
	assert_int_equal(stats_of(&scene)->requests, 2);
	assert_int_equal(stats_of(&scene)->hedges, 1);
	assert_int_equal(stats_of(&scene)->hedges_won, 1);
	/* The other one is lost. */
	assert_int_equal(stats_of(&scene)->connections_opened, 2);
	assert_int_equal(stats_of(&scene)->connections, 1);
	scene_close(&scene);
}

/* The winner's bytes, and not one of the loser's, whoever that is. */
static void the_first_of_two_answers_wins(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : delay=3s\nnth=2 : delay=1h");
	start_urgent(&scene, &got, (struct range){0, 2000000});
	finish_good(&scene, &got);
	assert_int_equal(stats_of(&scene)->hedges, 1);
	assert_int_equal(stats_of(&scene)->hedges_won, 0);
	assert_int_equal(stats_of(&scene)->connections, 1);
	/* What is left serves on. */
	start_urgent(&scene, &got, (struct range){100, 200});
	finish_good(&scene, &got);
	assert_int_equal(stats_of(&scene)->connections_opened, 2);
	scene_close(&scene);
}

static void what_nobody_waits_for_is_not_asked_twice(void **state)
{
	struct got got = {0};
	struct scene scene;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : delay=1h");
	got_start(&got, &scene.client, scene.remote, (struct range){0, 4096});
	client_run_for(&scene.client, 1800);
	assert_int_equal(stats_of(&scene)->hedges, 0);
	/* Somebody does now. */
	scene.client.source->ops->get_hurry(scene.client.source, &got.exchange);
	finish_good(&scene, &got);
	assert_int_equal(stats_of(&scene)->hedges, 1);
	scene_close(&scene);
}

static void a_tail_is_asked_for_again_within_the_budget(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "every=100 : delay=1h");
	for (uint64_t i = 0; i < 600; i++) {
		start_urgent(&scene, &got, (struct range){i * 4096, (i + 1) * 4096});
		finish_good(&scene, &got);
	}
	assert_true(stats_of(&scene)->hedges_won >= 6);
	assert_true(stats_of(&scene)->hedges * 100 <= stats_of(&scene)->requests * 5 + 100);
	assert_int_equal(stats_of(&scene)->connections, 1);
	scene_close(&scene);
}

static void a_server_that_becomes_slow_is_not_given_more_to_do(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	for (uint64_t i = 0; i < 300; i++) {
		if (i == 200)
			server_script(&scene.server, ": delay=30ms");
		start_urgent(&scene, &got, (struct range){i * 4096, (i + 1) * 4096});
		finish_good(&scene, &got);
	}
	assert_true(stats_of(&scene)->hedges * 100 <= stats_of(&scene)->requests * 5 + 100);
	scene_close(&scene);
}

static void none_are_sent_if_none_are_wanted(void **state)
{
	const struct source_options options = {.timeout_ms = 2000, .hedge_percent = -1};
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &options);
	server_script(&scene.server, "nth=1 : delay=1h");
	start_urgent(&scene, &got, (struct range){0, 4096});
	assert_int_equal(got_wait(&got), -ETIMEDOUT);
	assert_true(got.exchange.again && !got.exchange.at_no_cost);
	got_finish(&got);
	assert_int_equal(stats_of(&scene)->requests, 1);
	scene_close(&scene);
}

static void if_the_first_breaks_the_second_goes_on(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : delay=3s reset\nnth=2 : delay=4s");
	start_urgent(&scene, &got, (struct range){0, 100000});
	finish_good(&scene, &got);
	assert_int_equal(stats_of(&scene)->requests, 2);
	assert_int_equal(stats_of(&scene)->connections, 1);
	scene_close(&scene);
}

static void if_the_second_breaks_the_first_goes_on(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : delay=3s\nnth=2 : status=503");
	start_urgent(&scene, &got, (struct range){0, 100000});
	finish_good(&scene, &got);
	assert_int_equal(stats_of(&scene)->requests, 2);
	assert_int_equal(stats_of(&scene)->hedges_won, 0);
	assert_int_equal(got.exchange.status, 206);
	scene_close(&scene);
}

/* What can't be put right by waiting for the other one: both are asked about the same version. */
static void if_the_second_says_that_the_object_has_changed_so_it_has(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : delay=1h\nnth=2 : etag=\"\\\"other\\\"\"");
	start_urgent(&scene, &got, (struct range){0, 100000});
	assert_int_equal(got_wait(&got), -ESTALE);
	assert_false(got.exchange.again);
	assert_int_equal(got.exchange.received_bytes, 0);
	got_finish(&got);
	assert_int_equal(stats_of(&scene)->connections, 0);
	scene_close(&scene);
}

static void both_may_break(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "first=2 : delay=1h");
	start_urgent(&scene, &got, (struct range){0, 100000});
	run_until_hedged(&scene, 1);
	server_kill(&scene.server);
	assert_true(got_wait(&got) < 0);
	assert_true(got.exchange.again);
	got_finish(&got);
	assert_int_equal(stats_of(&scene)->connections, 0);
	scene_close(&scene);
}

static void both_can_be_cancelled(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "first=2 : delay=1h");
	start_urgent(&scene, &got, (struct range){0, 100000});
	run_until_hedged(&scene, 1);
	scene.client.source->ops->get_cancel(scene.client.source, &got.exchange);
	got_finish(&got);
	assert_int_equal(stats_of(&scene)->connections, 0);
	start_urgent(&scene, &got, (struct range){0, 100000});
	finish_good(&scene, &got);
	scene_close(&scene);
}

/* What came stands, and the rest is to be asked for at once. */
static void a_body_that_stalls_is_given_up(void **state)
{
	struct scene scene;
	struct got got;

	(void)state;
	scene_open(&scene, &patient);
	server_script(&scene.server, "nth=1 : stall=10000");
	start_urgent(&scene, &got, (struct range){0, 100000});
	assert_int_equal(got_wait(&got), -ETIMEDOUT);
	assert_true(got.exchange.again && got.exchange.at_no_cost);
	assert_int_equal(got.exchange.received_bytes, 10000);
	assert_memory_equal(got.bytes, scene.local.bytes, 10000);
	got_finish(&got);
	assert_int_equal(stats_of(&scene)->hedges, 1);
	assert_int_equal(stats_of(&scene)->connections, 0);
	scene_close(&scene);
}

/* Connections that have been silent since before the one that timed out was asked. */
static void idle_connections_to_who_is_silent_are_not_believed_in(void **state)
{
	const struct source_options options = {.timeout_ms = 300, .hedge_percent = -1};
	struct got gots[6];
	struct scene scene;

	(void)state;
	scene_open(&scene, &options);
	server_script(&scene.server, ": delay=50ms");
	for (size_t i = 0; i < array_len(gots); i++)
		start_urgent(&scene, &gots[i], (struct range){i * 4096, (i + 1) * 4096});
	for (size_t i = 0; i < array_len(gots); i++)
		finish_good(&scene, &gots[i]);
	assert_int_equal(stats_of(&scene)->connections, array_len(gots));
	server_script(&scene.server, ": delay=1h");
	start_urgent(&scene, &gots[0], (struct range){0, 4096});
	assert_int_equal(got_wait(&gots[0]), -ETIMEDOUT);
	got_finish(&gots[0]);
	assert_int_equal(stats_of(&scene)->connections, 0);
	scene_close(&scene);
}

/* ---- another address ----------------------------------------------------------------------- */

/*
 * "localhost" is 127.0.0.1 and ::1, in an order that libcurl knows. A server at each, played by the
 * test: connections are accepted when it says so.
 */
struct pair {
	struct client client;
	struct remote *remote;
	int listeners[2];
	int asked; /* the listener that was asked first */
	int first; /* its connection */
	int filler;
};

/* -1: there is no such address here, or no such port. */
static int listen_at(int family, uint16_t *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} address = {.any.sa_family = (sa_family_t)family};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	socklen_t len = family == AF_INET ? sizeof address.four : sizeof address.six;

	if (family == AF_INET) {
		address.four.sin_port = htons(*port);
		address.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
		address.six.sin6_port = htons(*port);
		address.six.sin6_addr = in6addr_loopback;
	}
	if (fd >= 0 && bind(fd, &address.any, len) == 0 && listen(fd, 0) == 0 &&
		getsockname(fd, &address.any, &len) == 0) {
		*port = ntohs(family == AF_INET ? address.four.sin_port : address.six.sin6_port);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The one who accepts next within 20 s. */
static int pair_accept(struct pair *pair, int *ret_listener)
{
	for (unsigned ms = 0; ms < 20000; ms++) {
		client_run_for(&pair->client, 1);
		for (int i = 0; i < 2; i++) {
			int fd = accept4(pair->listeners[i], NULL, NULL, SOCK_CLOEXEC);

			*ret_listener = i;
			if (fd >= 0)
				return fd;
		}
	}
	fail_msg("nobody has connected");
	return -1;
}

/* With a get under way that one of the two has accepted, and does not answer. */
static void pair_open(struct pair *pair, struct got *got)
{
	static const struct version version = {.size = SIZE, .mtime_s = -1, .etag = "\"v\""};
	uint16_t port = 0;
	char url[64];

	*pair = (struct pair){.filler = -1};
	pair->listeners[0] = listen_at(AF_INET6, &port);
	if (pair->listeners[0] < 0)
		skip_because("there is no ::1");
	pair->listeners[1] = listen_at(AF_INET, &port);
	if (pair->listeners[1] < 0)
		skip_because("127.0.0.1:%u is somebody else's", port);
	client_open(&pair->client, &patient);
	snprintf(url, sizeof url, "http://localhost:%u/data", port);
	assert_int_equal(
		pair->client.source->ops->pin(pair->client.source, url, &version, &pair->remote),
		0);
	*got = (struct got){.exchange.urgent = true};
	got_start(got, &pair->client, pair->remote, (struct range){0, 4});
	pair->first = pair_accept(pair, &pair->asked);
}

static void pair_close(struct pair *pair)
{
	client_unpin(&pair->client, pair->remote);
	client_close(&pair->client);
	close(pair->listeners[0]);
	close(pair->listeners[1]);
	close(pair->first);
	if (pair->filler >= 0)
		close(pair->filler);
}

/* The other one's queue is full, so that who connects to it waits. */
static void pair_block_other(struct pair *pair)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;
	int other = pair->listeners[!pair->asked];

	assert_int_equal(getsockname(other, (struct sockaddr *)&address, &len), 0);
	pair->filler = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair->filler, (struct sockaddr *)&address, len), 0);
}

static void pair_run_until_it_connects(struct pair *pair, const struct got *got)
{
	for (unsigned ms = 0; !got->exchange.second && ms < 20000; ms++)
		client_run_for(&pair->client, 1);
	assert_non_null(got->exchange.second);
	client_run_for(&pair->client, 50);
	assert_int_equal(pair->client.source->stats.hedges, 0);
	assert_int_equal(pair->client.source->stats.connections, 2);
}

static void answer(int fd, const char *bytes)
{
	assert_true(dprintf(fd,
			    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/%u\r\n"
			    "Content-Length: 4\r\nETag: \"v\"\r\n\r\n%s",
			    SIZE, bytes) > 0);
}

static void a_stalled_answer_is_asked_for_at_another_address(void **state)
{
	struct pair pair;
	struct got got;
	int second, listener;

	(void)state;
	pair_open(&pair, &got);
	second = pair_accept(&pair, &listener);
	assert_int_not_equal(listener, pair.asked);
	answer(second, "good");
	assert_int_equal(got_wait(&got), 0);
	assert_memory_equal(got.bytes, "good", 4);
	got_finish(&got);
	assert_int_equal(pair.client.source->stats.hedges_won, 1);
	close(second);
	pair_close(&pair);
}

static void if_the_other_address_refuses_the_same_one_is_asked(void **state)
{
	struct pair pair;
	struct got got;
	int second, listener;

	(void)state;
	pair_open(&pair, &got);
	assert_int_equal(shutdown(pair.listeners[!pair.asked], SHUT_RDWR), 0);
	second = pair_accept(&pair, &listener);
	assert_int_equal(listener, pair.asked);
	answer(second, "good");
	assert_int_equal(got_wait(&got), 0);
	got_finish(&got);
	assert_int_equal(pair.client.source->stats.hedges_won, 1);
	close(second);
	pair_close(&pair);
}

/* The connection comes too late, and is kept for others. */
static void the_first_may_answer_while_the_second_connects(void **state)
{
	struct pair pair;
	struct got got;
	int second, listener;

	(void)state;
	pair_open(&pair, &got);
	pair_block_other(&pair);
	pair_run_until_it_connects(&pair, &got);
	answer(pair.first, "good");
	assert_int_equal(got_wait(&got), 0);
	got_finish(&got);
	assert_int_equal(pair.client.source->stats.requests, 1);
	assert_int_equal(pair.client.source->stats.connections, 2);
	/* What fills the queue, then the one that was waited for. */
	close(pair_accept(&pair, &listener));
	second = pair_accept(&pair, &listener);
	for (unsigned ms = 0; pair.client.source->stats.connections_opened < 2 && ms < 20000; ms++)
		client_run_for(&pair.client, 1);
	assert_int_equal(pair.client.source->stats.connections_opened, 2);
	assert_int_equal(pair.client.source->stats.requests, 1);
	close(second);
	pair_close(&pair);
}

static void it_may_be_cancelled_while_the_second_connects(void **state)
{
	struct pair pair;
	struct got got;

	(void)state;
	pair_open(&pair, &got);
	pair_block_other(&pair);
	pair_run_until_it_connects(&pair, &got);
	pair.client.source->ops->get_cancel(pair.client.source, &got.exchange);
	got_finish(&got);
	assert_int_equal(pair.client.source->stats.connections, 1);
	pair_close(&pair);
}

static void it_may_fail_while_the_second_connects(void **state)
{
	struct pair pair;
	struct got got;

	(void)state;
	pair_open(&pair, &got);
	pair_block_other(&pair);
	pair_run_until_it_connects(&pair, &got);
	assert_int_equal(shutdown(pair.first, SHUT_RDWR), 0);
	assert_int_equal(got_wait(&got), -EIO);
	assert_true(got.exchange.again);
	got_finish(&got);
	assert_int_equal(pair.client.source->stats.connections, 1);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stalled_answer_comes_on_another_connection),
		cmocka_unit_test(the_first_of_two_answers_wins),
		cmocka_unit_test(what_nobody_waits_for_is_not_asked_twice),
		cmocka_unit_test(a_tail_is_asked_for_again_within_the_budget),
		cmocka_unit_test(a_server_that_becomes_slow_is_not_given_more_to_do),
		cmocka_unit_test(none_are_sent_if_none_are_wanted),
		cmocka_unit_test(if_the_first_breaks_the_second_goes_on),
		cmocka_unit_test(if_the_second_breaks_the_first_goes_on),
		cmocka_unit_test(if_the_second_says_that_the_object_has_changed_so_it_has),
		cmocka_unit_test(both_may_break),
		cmocka_unit_test(both_can_be_cancelled),
		cmocka_unit_test(a_body_that_stalls_is_given_up),
		cmocka_unit_test(idle_connections_to_who_is_silent_are_not_believed_in),
		cmocka_unit_test(a_stalled_answer_is_asked_for_at_another_address),
		cmocka_unit_test(if_the_other_address_refuses_the_same_one_is_asked),
		cmocka_unit_test(the_first_may_answer_while_the_second_connects),
		cmocka_unit_test(it_may_be_cancelled_while_the_second_connects),
		cmocka_unit_test(it_may_fail_while_the_second_connects),
	};

	return run_group(tests);
}
