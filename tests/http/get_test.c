/*
 * get_test.c - ranges of an object: their bytes, and the connections that they come over.
 */
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

#define SIZE 3000001

static void ranges_have_the_files_bytes(void **state)
{
	static const struct range ranges[] = {{0, 1}, {0, 4096}, {4096, 8192}, {4095, 4097},
		{SIZE - 1, SIZE}, {1, SIZE}, {0, SIZE}, {2097152, 3000000}};

	(void)state;
	for (int nginx = 0; nginx < 2; nginx++) {
		struct server server;
		struct client client;
		struct local local;
		struct remote *remote;
		uint64_t seed = 2;

		if (!nginx)
			server_start(&server);
		else if (!server_start_nginx(&server))
			return;
		local_make(&local, &server, "data", SIZE, 1);
		client_open(&client, NULL);
		remote = client_pin(&client, server_url(&server, "data"));
		for (size_t i = 0; i < array_len(ranges); i++)
			assert_int_equal(client_get(&client, remote, ranges[i], &local), 0);
		for (int i = 0; i < 300; i++) {
			uint64_t start = random_next(&seed) % SIZE;
			uint64_t length = 1 +
					  random_next(&seed) %
						  (SIZE - start < 100000 ? SIZE - start : 100000);

			assert_int_equal(client_get(&client, remote,
						 (struct range){start, start + length}, &local),
				0);
		}
		/* One after the other: one connection. */
		assert_true(client.source->stats.connections_opened == 1);
		assert_true(client.source->stats.connections == 1);
		assert_true(client.source->stats.requests == 300 + array_len(ranges));
		client_unpin(&client, remote);
		client_close(&client);
		local_finish(&local);
		server_stop(&server);
	}
}

static void many_gets_at_once_have_their_own_bytes(void **state)
{
	struct got gots[50] = {0};
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "data"));
	for (size_t i = 0; i < array_len(gots); i++)
		got_start(&gots[i], &client, remote, (struct range){i * 50000, i * 50000 + 60000});
	for (size_t i = 0; i < array_len(gots); i++) {
		assert_int_equal(got_wait(&gots[i]), 0);
		assert_memory_equal(gots[i].bytes, local.bytes + i * 50000, 60000);
		got_finish(&gots[i]);
	}
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void bytes_arrive_while_the_rest_is_on_its_way(void **state)
{
	struct got got = {0};
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "data"));
	server_script(&server, "path=/data : stall=8192 stall-for=200ms");
	got_start(&got, &client, remote, (struct range){0, 100000});
	for (int ms = 0; got.exchange.received_bytes < 8192 && ms < 10000; ms++)
		client_run_for(&client, 1);
	assert_true(got.exchange.received_bytes == 8192 && !got.done);
	assert_memory_equal(got.bytes, local.bytes, 8192);
	assert_int_equal(got_wait(&got), 0);
	assert_memory_equal(got.bytes, local.bytes, 100000);
	got_finish(&got);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

/* What the core does: a closed idle connection is at no cost. */
static int get_as_the_core_does(
	struct client *client, struct remote *remote, const struct local *local)
{
	struct got got = {0};
	int err;

	for (int i = 0; i < 5; i++) {
		got_start(&got, client, remote, (struct range){5000, 50000});
		err = got_wait(&got);
		if (err == 0)
			assert_memory_equal(got.bytes, local->bytes + 5000, 45000);
		got_finish(&got);
		if (err == 0 || !got.exchange.at_no_cost)
			break;
	}
	return err;
}

static void a_connection_that_is_closed_between_requests_costs_nothing(void **state)
{
	static const char *const rules[] = {
		"path=/data : close-after=1ms", "path=/data : no-keepalive", "path=/data : http10"};
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "data"));
	for (size_t i = 0; i < array_len(rules); i++) {
		server_script(&server, rules[i]);
		for (int j = 0; j < 6; j++) {
			assert_int_equal(get_as_the_core_does(&client, remote, &local), 0);
			/* Now the server closes: seen by the loop, or only by the next request. */
			if (j % 2)
				client_run_for(&client, 20);
			else
				usleep(20000);
		}
	}
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void answers_in_chunks_are_taken_by_the_fallback(void **state)
{
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "data"));
	server_script(&server, "path=/data : chunked");
	assert_int_equal(get_as_the_core_does(&client, remote, &local), 0);
	/* From now on at once. */
	assert_int_equal(client_get(&client, remote, (struct range){0, SIZE}, &local), 0);
	assert_int_equal(client_get(&client, remote, (struct range){77, 78}, &local), 0);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void the_fallback_checks_what_the_fast_path_does(void **state)
{
	static const struct {
		const char *rule;
		int err;
	} cases[] = {
		{"status=403", -EACCES},
		{"status=404", -ESTALE},
		{"status=503", -EIO},
		{"ignore-range", -ENOTSUP},
		{"shift=4096", -EPROTO},
		{"drop-header=ETag", -ESTALE},
		{"gzip-label", -EPROTO},
		{"truncate=1000", -EIO},
		{"reset", -EIO},
		{"stall=1000", -ETIMEDOUT},
		{"chunked truncate=1000", -EIO},
		{"cut-head=40", -EIO},
		{"cut-head=150", -EIO},
	};
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "data"));
	server_script(&server, "path=/data : chunked");
	assert_int_equal(get_as_the_core_does(&client, remote, &local), 0);
	for (size_t i = 0; i < array_len(cases); i++) {
		char rule[100];
		int err;

		snprintf(rule, sizeof rule, "path=/data : %s", cases[i].rule);
		server_script(&server, rule);
		err = client_get(&client, remote, (struct range){4096, 500000}, &local);
		if (err != cases[i].err)
			fail_msg("%s: %d", cases[i].rule, err);
	}
	server_script(&server, "");
	assert_int_equal(client_get(&client, remote, (struct range){4096, 500000}, &local), 0);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void nginx_may_end_a_connection_after_each_request(void **state)
{
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	if (!server_start_nginx(&server))
		skip_because("no nginx");
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "short/data"));
	for (int i = 0; i < 10; i++)
		assert_int_equal(get_as_the_core_does(&client, remote, &local), 0);
	assert_true(client.source->stats.connections_opened >= 10);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void names_and_queries_reach_the_server_as_they_are(void **state)
{
	static const char *const names[] = {
		"a b", "100%", "\xc3\xa9t\xc3\xa9", "a+b&c=d", "~x;y,z"};
	static const char *const paths[] = {
		"a%20b", "100%25", "%C3%A9t%C3%A9", "a+b&c=d?q=%2F&r", "~x;y,z"};
	struct server server;
	struct client client;

	(void)state;
	if (!server_start_nginx(&server))
		skip_because("no nginx");
	client_open(&client, NULL);
	for (size_t i = 0; i < array_len(names); i++) {
		struct local local;
		struct remote *remote;

		local_make(&local, &server, names[i], 50000, i + 1);
		remote = client_pin(&client, server_url(&server, paths[i]));
		assert_int_equal(
			client_get(&client, remote, (struct range){100, 50000}, &local), 0);
		client_unpin(&client, remote);
		local_finish(&local);
	}
	client_close(&client);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_have_the_files_bytes),
		cmocka_unit_test(many_gets_at_once_have_their_own_bytes),
		cmocka_unit_test(bytes_arrive_while_the_rest_is_on_its_way),
		cmocka_unit_test(a_connection_that_is_closed_between_requests_costs_nothing),
		cmocka_unit_test(answers_in_chunks_are_taken_by_the_fallback),
		cmocka_unit_test(the_fallback_checks_what_the_fast_path_does),
		cmocka_unit_test(nginx_may_end_a_connection_after_each_request),
		cmocka_unit_test(names_and_queries_reach_the_server_as_they_are),
	};

	return run_group(tests);
}
