/*
 * cancel_test.c - a probe, a listing or a get may be cancelled at every stage; afterwards nothing
 * of it is touched, and the next one works.
 */
#include "fixture.h"

#include <errno.h>

#include "index.h"

#define SIZE 3000001

static struct server server;
static struct client client;
static struct local local;
static struct remote *remote;

static int open_scene(void **state)
{
	static const struct source_options options = {.connections_max = 2, .timeout_ms = 5000};

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, &options);
	remote = client_pin(&client, server_url(&server, "data"));
	return 0;
}

static int close_scene(void **state)
{
	(void)state;
	server_script(&server, "");
	assert_int_equal(client_get(&client, remote, (struct range){0, SIZE}, &local), 0);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
	return 0;
}

static void cancel(struct got *got)
{
	client.source->ops->get_cancel(client.source, &got->exchange);
	memset(&got->exchange, 0xaa, sizeof got->exchange);
	got_finish(got);
}

static void before_it_is_connected(void **state)
{
	struct got got = {0};

	(void)state;
	got_start(&got, &client, remote, (struct range){0, 5000});
	cancel(&got);
	client_run_for(&client, 20);
	assert_false(got.done);
}

static void while_it_waits_for_a_connection(void **state)
{
	struct got gots[6] = {0};

	(void)state;
	server_script(&server, "path=/data : delay=20ms");
	for (size_t i = 0; i < array_len(gots); i++)
		got_start(&gots[i], &client, remote, (struct range){0, 5000});
	client_run_for(&client, 5);
	for (size_t i = 2; i < array_len(gots); i++)
		cancel(&gots[i]);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(got_wait(&gots[i]), 0);
		got_finish(&gots[i]);
	}
}

static void while_the_answer_is_awaited(void **state)
{
	struct got got = {0};

	(void)state;
	server_script(&server, "path=/data : delay=1h");
	got_start(&got, &client, remote, (struct range){0, 5000});
	client_run_for(&client, 20);
	cancel(&got);
	client_run_for(&client, 20);
}

static void between_two_pieces_of_the_body(void **state)
{
	struct got got = {0};

	(void)state;
	server_script(&server, "path=/data : stall=10000");
	got_start(&got, &client, remote, (struct range){0, 50000});
	for (int ms = 0; got.exchange.received_bytes == 0 && ms < 10000; ms++)
		client_run_for(&client, 1);
	assert_true(got.exchange.received_bytes > 0);
	cancel(&got);
	client_run_for(&client, 20);
}

static void from_inside_received(void **state)
{
	static const uint64_t places[] = {1, 10000, 100000, 1000000, SIZE};

	(void)state;
	for (size_t i = 0; i < array_len(places); i++) {
		struct got got = {.cancel_at = places[i]};

		got_start(&got, &client, remote, (struct range){0, SIZE});
		client_wait(&client, &got.done);
		got_finish(&got);
		client_run_for(&client, 5);
	}
}

static void from_inside_received_of_the_fallback(void **state)
{
	server_script(&server, "path=/data : chunked");
	for (int i = 0; i < 2; i++) {
		struct got got = {0};

		/* The first one finds out that the fallback is needed. */
		got_start(&got, &client, remote, (struct range){0, 10000});
		(void)got_wait(&got);
		got_finish(&got);
	}
	from_inside_received(state);
}

static void at_a_random_moment(void **state)
{
	uint64_t seed = 6;

	(void)state;
	server_script(&server, "path=/data percent=50 : delay=2ms");
	for (int round = 0; round < 150; round++) {
		struct got gots[4] = {0};

		for (size_t i = 0; i < array_len(gots); i++)
			got_start(&gots[i], &client, remote,
				(struct range){i, 1 + random_next(&seed) % 100000 + i});
		client_run_for(&client, (unsigned)(random_next(&seed) % 4));
		for (size_t i = 0; i < array_len(gots); i++)
			if (gots[i].done) {
				assert_int_equal(gots[i].err, 0);
				got_finish(&gots[i]);
			} else {
				cancel(&gots[i]);
			}
	}
}

static void probe_ended(struct probe *probe, int err)
{
	(void)err;
	container_of(probe, struct probed, probe)->done = true;
}

static void a_probe(void **state)
{
	static struct probed probed;

	(void)state;
	server_script(&server, "path=/data : stall=100");
	for (unsigned ms = 0; ms < 20; ms += 4) {
		probed = (struct probed){
			.probe = {.url = server_url(&server, "data"), .done = probe_ended}};
		assert_int_equal(client.source->ops->probe(client.source, &probed.probe), 0);
		client_run_for(&client, ms);
		assert_false(probed.done);
		client.source->ops->probe_cancel(client.source, &probed.probe);
		client_run_for(&client, 1);
		assert_false(probed.done);
	}
}

static int entry_ignored(struct listing *listing, const struct index_entry *entry)
{
	(void)listing;
	(void)entry;
	return 0;
}

static void listing_ended(struct listing *listing, int err)
{
	(void)listing;
	(void)err;
	fail();
}

static void a_listing(void **state)
{
	struct listing listing = {
		.url = server_url(&server, ""), .entry = entry_ignored, .done = listing_ended};

	(void)state;
	server_script(&server, "path=/ : stall=10");
	for (unsigned ms = 0; ms < 20; ms += 4) {
		assert_int_equal(client.source->ops->list(client.source, &listing), 0);
		client_run_for(&client, ms);
		client.source->ops->list_cancel(client.source, &listing);
		client_run_for(&client, 1);
	}
}

int main(void)
{
#define cancel_test(f) cmocka_unit_test_setup_teardown(f, open_scene, close_scene)
	const struct CMUnitTest tests[] = {
		cancel_test(before_it_is_connected),
		cancel_test(while_it_waits_for_a_connection),
		cancel_test(while_the_answer_is_awaited),
		cancel_test(between_two_pieces_of_the_body),
		cancel_test(from_inside_received),
		cancel_test(from_inside_received_of_the_fallback),
		cancel_test(at_a_random_moment),
		cancel_test(a_probe),
		cancel_test(a_listing),
	};

	return run_group(tests);
}
