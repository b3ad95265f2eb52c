/*
 * hostile_test.c - answers to a ranged request that are wrong in one way: each is an error with its
 * errno, and no byte of its body counts where the head was wrong.
 */
#include "fixture.h"

#include <errno.h>

#define SIZE 1000000

static const struct hostile {
	const char *rule;
	int err;
	bool again;     /* another attempt may help */
	bool has_bytes; /* some of the body may have been delivered */
} cases[] = {
	{"ignore-range", -ENOTSUP, false, false},
	{"status=204", -EPROTO, false, false},
	{"status=205", -EPROTO, false, false},
	{"status=304", -ESTALE, false, false},
	{"status=401", -EACCES, false, false},
	{"status=403", -EACCES, false, false},
	{"status=404", -ESTALE, false, false},
	{"status=410", -ESTALE, false, false},
	{"status=412", -ESTALE, false, false},
	{"status=416", -ESTALE, false, false},
	{"status=429", -EIO, true, false},
	{"status=500", -EIO, true, false},
	{"status=503", -EIO, true, false},
	{"status=200 body=\"<Error><Code>InternalError</Code></Error>\"", -ENOTSUP, false, false},
	{"drop-header=Content-Range", -EPROTO, false, false},
	{"content-range=\"bytes */1000000\"", -EPROTO, false, false},
	{"content-range=\"bytes 70000-60000/1000000\"", -EPROTO, false, false},
	{"content-range=\"bytes -65536/1000000\"", -EPROTO, false, false},
	{"content-range=\"bytes 65536-99999/9223372036854775808\"", -EPROTO, false, false},
	{"content-range=\"bytes 65536-99998/1000000\"", -EPROTO, false, false},
	{"content-range=\"bytes 65537-99999/1000000\"", -EPROTO, false, false},
	{"content-range=\"bytes 65536-99999/1000001\"", -ESTALE, false, false},
	{"content-range=\"bits 65536-99999/1000000\"", -EPROTO, false, false},
	{"shift=4096", -EPROTO, false, false},
	{"etag=\"\\\"other\\\"\" ignore-conditions", -ESTALE, false, false},
	{"etag=\"W/\\\"weak\\\"\" ignore-conditions", -ESTALE, false, false},
	{"drop-header=ETag", -ESTALE, false, false},
	{"length=34463", -EPROTO, false, false},
	{"length=34465", -EPROTO, false, false},
	{"length=-1", -EPROTO, false, false},
	{"add-header=\"Content-Length: 5\"", -EPROTO, false, false},
	{"drop-header=Content-Length", -EPROTO, false, false},
	{"gzip-label", -EPROTO, false, false},
	{"header=\"Content-Type: multipart/byteranges; boundary=x\"", -EPROTO, false, false},
	{"add-header=\"X-Folded: a\\r\\n b\"", -EPROTO, false, false},
	{"header-long=100000", -EPROTO, false, false},
	{"header-flood=10000", -EPROTO, false, false},
	{"interim=1000", -EPROTO, false, false},
	/* It may be what was left of the connection's last answer. */
	{"status-line=\"HTTP/2 206 OK\"", -EPROTO, true, false},
	{"status-line=\"SIP/2.0 206 OK\"", -EPROTO, true, false},
	{"cut-head=30", -EIO, true, false},
	{"close", -EIO, true, false},
	{"reset", -ECONNRESET, true, false},
	{"truncate=10000", -EIO, true, true},
	{"truncate=10000 reset", -ECONNRESET, true, true},
	{"stall=10000", -ETIMEDOUT, true, true},
	{"stall=0", -ETIMEDOUT, true, false},
	{"delay=1h", -ETIMEDOUT, true, false},
};

static void check_case(struct client *client, const struct server *server, struct remote *remote,
	const struct hostile *hostile)
{
	struct got got = {0};
	char rule[200];
	int err;

	snprintf(rule, sizeof rule, "path=/data : %s", hostile->rule);
	server_script(server, rule);
	got_start(&got, client, remote, (struct range){65536, 100000});
	err = got_wait(&got);
	if (err != hostile->err || got.exchange.again != hostile->again)
		fail_msg("%s: %d%s: %s", hostile->rule, err, got.exchange.again ? " again" : "",
			got.exchange.error);
	if (!hostile->has_bytes && got.exchange.received_bytes > 0)
		fail_msg("%s: bytes of it count", hostile->rule);
	assert_non_null(strstr(got.exchange.error, "/data"));
	got_finish(&got);
}

static void each_wrong_answer_has_its_errno(void **state)
{
	static const struct source_options options = {.timeout_ms = 200};
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, &options);
	remote = client_pin(&client, server_url(&server, "data"));
	for (size_t i = 0; i < array_len(cases); i++) {
		check_case(&client, &server, remote, &cases[i]);
		/* The connection is not used again for what may be left on it. */
		server_script(&server, "");
		assert_int_equal(
			client_get(&client, remote, (struct range){4096, 500000}, &local), 0);
	}
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void a_body_that_is_too_long_ends_its_connection(void **state)
{
	static const struct range range = {0, 10};
	struct got got = {0};
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;
	uint64_t opened;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", SIZE, 1);
	client_open(&client, NULL);
	remote = client_pin(&client, server_url(&server, "data"));
	assert_int_equal(client_get(&client, remote, range, &local), 0);
	opened = client.source->stats.connections_opened;
	server_script(&server, "path=/data : body=0123456789HTTP/1.1 length=10");
	got_start(&got, &client, remote, range);
	assert_int_equal(got_wait(&got), 0);
	assert_memory_equal(got.bytes, "0123456789", 10);
	got_finish(&got);
	server_script(&server, "");
	assert_int_equal(client_get(&client, remote, range, &local), 0);
	assert_true(client.source->stats.connections_opened == opened + 1);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void harmless_differences_are_taken(void **state)
{
	static const char *const rules[] = {"interim=3", "http10", "no-keepalive",
		"one-byte-per=10us", "header=\"Server: \"", "add-header=\"X-A: b\"", "rate=2M",
		"header-long=10000", "header-flood=50", "status-line=\"HTTP/1.1 206\""};
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
		char rule[100];
		int err;

		snprintf(rule, sizeof rule, "path=/data : %s", rules[i]);
		server_script(&server, rule);
		err = client_get(&client, remote, (struct range){4096, 14096}, &local);
		if (err < 0)
			fail_msg("%s: %d", rules[i], err);
	}
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void a_changed_object_is_stale_at_nginx_too(void **state)
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
	remote = client_pin(&client, server_url(&server, "data"));
	assert_int_equal(client_get(&client, remote, (struct range){0, 5000}, &local), 0);
	local_overwrite(&local, 2);
	assert_int_equal(client_get(&client, remote, (struct range){0, 5000}, &local), -ESTALE);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void retry_after_is_handed_on(void **state)
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
	server_script(&server, "path=/data : status=503 header=\"Retry-After: 7\"");
	got_start(&got, &client, remote, (struct range){0, 4096});
	assert_int_equal(got_wait(&got), -EIO);
	assert_true(got.exchange.retry_after_ms == 7000);
	assert_int_equal(got.exchange.status, 503);
	got_finish(&got);
	client_unpin(&client, remote);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wrong_answer_has_its_errno),
		cmocka_unit_test(a_body_that_is_too_long_ends_its_connection),
		cmocka_unit_test(harmless_differences_are_taken),
		cmocka_unit_test(a_changed_object_is_stale_at_nginx_too),
		cmocka_unit_test(retry_after_is_handed_on),
	};

	return run_group(tests);
}
