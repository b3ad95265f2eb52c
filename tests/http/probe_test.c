/*
 * probe_test.c - what a probe finds out, and what it refuses, at our server and at a foreign one.
 */
#include "fixture.h"

#include <errno.h>

#include "url.h"

static struct probed probed;

static void a_probe_tells_size_version_and_first_bytes(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 16383, 16384, 16385, 1000000};

	(void)state;
	for (int nginx = 0; nginx < 2; nginx++) {
		struct server server;
		struct client client;

		if (!nginx)
			server_start(&server);
		else if (!server_start_nginx(&server))
			return;
		client_open(&client, NULL);
		for (size_t i = 0; i < array_len(sizes); i++) {
			struct local local;

			local_make(&local, &server, "data", sizes[i], i + 1);
			assert_int_equal(
				client_probe(&client, &probed, server_url(&server, "data"), false),
				0);
			assert_true(probed.probe.version.size == sizes[i]);
			assert_true(probed.probe.version.etag[0] == '"');
			assert_true(probed.probe.version.mtime_s > 1500000000);
			assert_int_equal(probed.probe.status, 206);
			assert_int_equal(
				probed.bytes_len, sizes[i] < PROBE_BYTES ? sizes[i] : PROBE_BYTES);
			assert_memory_equal(probed.bytes, local.bytes, probed.bytes_len);
			local_finish(&local);
		}
		client_close(&client);
		server_stop(&server);
	}
}

static void a_probe_may_want_more(void **state)
{
	static const size_t sizes[] = {1, 16385, 131072, 131073};
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	client_open(&client, NULL);
	for (size_t i = 0; i < array_len(sizes); i++) {
		size_t expected = sizes[i] < PROBE_BYTES_MAX ? sizes[i] : PROBE_BYTES_MAX;
		struct local local;

		local_make(&local, &server, "data", sizes[i], i + 1);
		assert_int_equal(
			client_probe_more(&client, &probed, server_url(&server, "data")), 0);
		assert_true(probed.probe.version.size == sizes[i]);
		assert_int_equal(probed.bytes_len, expected);
		assert_memory_equal(probed.bytes, local.bytes, expected);
		local_finish(&local);
	}
	server_script(&server, "path=/data : truncate=20000");
	assert_true(client_probe_more(&client, &probed, server_url(&server, "data")) < 0);
	client_close(&client);
	server_stop(&server);
}

static void an_empty_object_is_one(void **state)
{
	(void)state;
	/* Ours answers 416 to a range of nothing, nginx 200 with all of it. */
	for (int nginx = 0; nginx < 2; nginx++) {
		struct server server;
		struct client client;
		struct local local;

		if (!nginx)
			server_start(&server);
		else if (!server_start_nginx(&server))
			return;
		client_open(&client, NULL);
		local_make(&local, &server, "empty", 0, 1);
		assert_int_equal(
			client_probe(&client, &probed, server_url(&server, "empty"), false), 0);
		assert_true(probed.probe.version.size == 0);
		assert_int_equal(probed.bytes_len, 0);
		local_finish(&local);
		client_close(&client);
		server_stop(&server);
	}
}

static void a_head_probe_tells_the_version_alone(void **state)
{
	struct probed whole;
	struct server server;
	struct client client;
	struct local local;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", 100000, 1);
	client_open(&client, NULL);
	assert_int_equal(client_probe(&client, &whole, server_url(&server, "data"), false), 0);
	assert_int_equal(client_probe(&client, &probed, server_url(&server, "data"), true), 0);
	assert_true(probed.probe.version.size == 100000);
	assert_string_equal(probed.probe.version.etag, whole.probe.version.etag);
	assert_string_equal(probed.probe.version.modified, whole.probe.version.modified);
	assert_int_equal(probed.bytes_len, 0);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static const struct refusal {
	const char *rule;
	int err;
} refusals[] = {
	{"ignore-range", -ENOTSUP},
	{"status=204", -EPROTO},
	{"status=304", -ELOOP},
	{"status=400", -EINVAL},
	{"status=401", -EACCES},
	{"status=403", -EACCES},
	{"status=404", -ENOENT},
	{"status=405", -ENOTSUP},
	{"status=410", -ENOENT},
	{"status=416", -ESTALE},
	{"status=429", -EIO},
	{"status=500", -EIO},
	{"status=503", -EIO},
	{"content-range=\"bytes 0-16383/*\"", -EPROTO},
	{"content-range=\"bytes 1-16384/100000\"", -EPROTO},
	{"content-range=\"bytes 0-16382/100000\"", -EPROTO},
	{"content-range=\"octets 0-16383/100000\"", -EPROTO},
	{"content-range=\"bytes 0-16383/9223372036854775808\"", -EPROTO},
	{"drop-header=Content-Range", -EPROTO},
	{"header=\"Content-Type: multipart/byteranges; boundary=x\"", -EPROTO},
	{"gzip-label", -EPROTO},
	{"add-header=\"X-Folded: a\\r\\n b\"", -EPROTO},
	{"truncate=100", -EIO},
	{"cut-head=40", -EIO},
	{"cut-head=150", -EIO},
	{"close", -EIO},
	{"reset", -EIO},
	{"stall=10", -ETIMEDOUT},
	{"delay=1h", -ETIMEDOUT},
	{"header-flood=100000", -EPROTO},
};

/* One probe for each rule, all at once: those of passing faults are repeated after pauses. */
static void check_refusals(const struct refusal *cases, size_t count, bool head_only)
{
	struct probed *several = calloc(count, sizeof *several);
	char(*urls)[128] = calloc(count, sizeof *urls);
	char script[8192] = "";
	struct server server;
	struct client client;

	assert_true(several && urls);
	server_start(&server);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(script);

		snprintf(script + len, sizeof script - len, "path=/generated/100000-%zu : %s\n", i,
			cases[i].rule);
		snprintf(urls[i], sizeof urls[i], "%s%zu", server_url(&server, "generated/100000-"),
			i);
	}
	server_script(&server, script);
	client_open(&client, NULL);
	for (size_t i = 0; i < count; i++)
		client_probe_start(&client, &several[i], urls[i], head_only);
	for (size_t i = 0; i < count; i++) {
		client_wait(&client, &several[i].done);
		if (several[i].err != cases[i].err)
			fail_msg("%s: %d (%s)", cases[i].rule, several[i].err,
				several[i].probe.error);
		assert_string_not_equal(several[i].probe.error, "");
	}
	client_close(&client);
	server_stop(&server);
	free(several);
	free(urls);
}

static void a_refusal_has_its_errno(void **state)
{
	(void)state;
	check_refusals(refusals, array_len(refusals), false);
}

static void a_head_that_is_cut_tells_no_version(void **state)
{
	struct refusal cases[24];
	char rules[array_len(cases)][20];

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		snprintf(rules[i], sizeof rules[i], "cut-head=%zu", 20 + 10 * i);
		cases[i] = (struct refusal){rules[i], -EIO};
	}
	check_refusals(cases, array_len(cases), true);
}

static void a_whole_object_is_not_read_to_find_that_ranges_are_missing(void **state)
{
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	server_script(&server, "path=/generated/* : ignore-range");
	client_open(&client, NULL);
	assert_int_equal(client_probe(&client, &probed, server_url(&server, "generated/1G"), false),
		-ENOTSUP);
	client_close(&client);
	assert_true(server_count(&server, "body_bytes") < 100 * 1000 * 1000);
	server_stop(&server);
}

static void a_validator_that_is_unusable_is_as_if_there_were_none(void **state)
{
	struct server server;
	struct client client;
	struct local local;
	char rule[600];

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", 100000, 1);
	client_open(&client, NULL);
	sprintf(rule, "path=/data : etag=\"\\\"%0500d\\\"\"", 0);
	server_script(&server, rule);
	assert_int_equal(client_probe(&client, &probed, server_url(&server, "data"), false), 0);
	assert_string_equal(probed.probe.version.etag, "");
	assert_string_not_equal(version_validator(&probed.probe.version), "");
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void redirects_are_followed_and_remembered(void **state)
{
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;

	(void)state;
	if (!server_start_nginx(&server))
		skip_because("no nginx");
	local_make(&local, &server, "data", 100000, 1);
	client_open(&client, NULL);
	assert_int_equal(
		client_probe(&client, &probed, server_url(&server, "moved/?to=data"), false), 0);
	assert_string_equal(url_tell(probed.effective_url).text, server_url(&server, "data"));
	remote = client_pin(&client, server_url(&server, "moved/?to=data"));
	assert_int_equal(client_get(&client, remote, (struct range){0, 100000}, &local), 0);
	client_unpin(&client, remote);
	assert_int_equal(
		client_probe(&client, &probed, server_url(&server, "loop"), false), -ELOOP);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void redirects_to_other_schemes_are_refused(void **state)
{
	static const char *const places[] = {"file:///etc/passwd", "ftp://127.0.0.1/x",
		"gopher://127.0.0.1/x", "data:text/plain,x"};
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	client_open(&client, NULL);
	for (size_t i = 0; i < array_len(places); i++) {
		char rule[160];

		snprintf(rule, sizeof rule, ": status=302 header=\"Location: %s\"", places[i]);
		server_script(&server, rule);
		assert_true(client_probe(&client, &probed, server_url(&server, "generated/10"),
				    false) < 0);
	}
	client_close(&client);
	server_stop(&server);
}

static void nginx_says_no_in_its_own_words(void **state)
{
	static const struct {
		const char *path;
		int err;
	} cases[] = {{"missing", -ENOENT}, {"forbidden", -EACCES}, {"noranges/data", -ENOTSUP}};
	struct server server;
	struct client client;
	struct local local;

	(void)state;
	if (!server_start_nginx(&server))
		skip_because("no nginx");
	local_make(&local, &server, "data", 100000, 1);
	client_open(&client, NULL);
	for (size_t i = 0; i < array_len(cases); i++)
		assert_int_equal(
			client_probe(&client, &probed, server_url(&server, cases[i].path), false),
			cases[i].err);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

static void a_server_that_is_not_there_refuses_the_connection(void **state)
{
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	client_open(&client, NULL);
	server_kill(&server);
	assert_int_equal(
		client_probe(&client, &probed, server_url(&server, "data"), false), -ECONNREFUSED);
	client_close(&client);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_tells_size_version_and_first_bytes),
		cmocka_unit_test(a_probe_may_want_more),
		cmocka_unit_test(an_empty_object_is_one),
		cmocka_unit_test(a_head_probe_tells_the_version_alone),
		cmocka_unit_test(a_head_that_is_cut_tells_no_version),
		cmocka_unit_test(a_refusal_has_its_errno),
		cmocka_unit_test(a_whole_object_is_not_read_to_find_that_ranges_are_missing),
		cmocka_unit_test(a_validator_that_is_unusable_is_as_if_there_were_none),
		cmocka_unit_test(redirects_are_followed_and_remembered),
		cmocka_unit_test(redirects_to_other_schemes_are_refused),
		cmocka_unit_test(nginx_says_no_in_its_own_words),
		cmocka_unit_test(a_server_that_is_not_there_refuses_the_connection),
	};

	return run_group(tests);
}
