/*
 * redirect_test.c - where redirects may lead, and places that stop working: an origin that sends
 * elsewhere, and moves, refuses or changes what is there.
 */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "url.h"

#define SIZE 100000

static struct probed probed;

static void script(const struct server *server, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void script(const struct server *server, const char *format, ...)
{
	va_list arguments;
	char rules[1024];

	va_start(arguments, format);
	vsnprintf(rules, sizeof rules, format, arguments);
	va_end(arguments);
	server_script(server, rules);
}

struct world {
	struct server server;
	struct client client;
	struct local local; /* /data and, with the same bytes and validator, /copy */
	char copy[200];
};

static void world_open(struct world *world)
{
	server_start(&world->server);
	local_make(&world->local, &world->server, "data", SIZE, 1);
	snprintf(world->copy, sizeof world->copy, "%s/copy", world->server.root);
	assert_int_equal(link(world->local.path, world->copy), 0);
	client_open(&world->client, NULL);
}

static void world_close(struct world *world)
{
	client_close(&world->client);
	local_finish(&world->local);
	server_stop(&world->server);
}

static const struct range all = {0, SIZE};

/* A get that may fail and come again, as core/transfer.c does. */
static int get(struct world *world, struct remote *remote)
{
	struct got got = {0};
	int err;

	for (int attempt = 0; attempt < 3; attempt++) {
		bool again;

		got_start(&got, &world->client, remote, all);
		err = got_wait(&got);
		again = got.exchange.again && got.exchange.at_no_cost;
		if (err == 0)
			assert_memory_equal(got.bytes, world->local.bytes, SIZE);
		got_finish(&got);
		if (!again)
			break;
	}
	return err;
}

static void a_few_redirects_are_followed_and_no_more(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	for (int length = 4; length <= 6; length++) {
		char rules[1024] = "";

		for (int i = 0; i < length; i++) {
			size_t used = strlen(rules);

			snprintf(rules + used, sizeof rules - used,
				"path=/hop%d : status=%d header=\"Location: /hop%d\"\n", i,
				(int[]){301, 302, 303, 307, 308, 301}[i], i + 1);
		}
		server_script(&world.server, rules);
		unlink(world.copy);
		snprintf(world.copy, sizeof world.copy, "%s/hop%d", world.server.root, length);
		assert_int_equal(link(world.local.path, world.copy), 0);
		assert_int_equal(client_probe(&world.client, &probed,
					 server_url(&world.server, "hop0"), false),
			length <= 5 ? 0 : -ELOOP);
	}
	world_close(&world);
}

static void a_loop_ends(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	script(&world.server, "path=/a : status=302 header=\"Location: /b\"\n"
			      "path=/b : status=302 header=\"Location: /a\"");
	assert_int_equal(
		client_probe(&world.client, &probed, server_url(&world.server, "a"), false),
		-ELOOP);
	assert_non_null(strstr(probed.probe.error, "too many redirects"));
	world_close(&world);
}

static void a_redirect_without_a_place_is_an_answer(void **state)
{
	struct world world;

	(void)state;
	world_open(&world);
	script(&world.server, "path=/data : status=302");
	assert_int_equal(
		client_probe(&world.client, &probed, server_url(&world.server, "data"), false),
		-ELOOP);
	world_close(&world);
}

static void link_local_addresses_are_not_for_redirects(void **state)
{
	static const char *const places[] = {"http://169.254.169.254/latest/meta-data/",
		"http://2852039166/latest/", "http://0xa9.0xfe.0xa9.0xfe/", "http://[fe80::1]/",
		"http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/latest/"};
	struct world world;

	(void)state;
	world_open(&world);
	for (size_t i = 0; i < array_len(places); i++) {
		script(&world.server, ": status=302 header=\"Location: %s\"", places[i]);
		assert_int_equal(client_probe(&world.client, &probed,
					 server_url(&world.server, "data"), false),
			-EACCES);
		if (!strstr(probed.probe.error, "link-local"))
			fail_msg("%s: %s", places[i], probed.probe.error);
	}
	world_close(&world);
}

/* ---- places that move --------------------------------------------------------------------- */

/* /go, which leads to /data. */
static struct remote *pin_redirected(struct world *world)
{
	script(&world->server, "path=/go : status=302 header=\"Location: /data\"");
	return client_pin(&world->client, server_url(&world->server, "go"));
}

static void a_place_that_expires_is_found_again(void **state)
{
	static const unsigned statuses[] = {401, 403, 404, 410};
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world);
	for (size_t i = 0; i < array_len(statuses); i++) {
		remote = pin_redirected(&world);
		assert_int_equal(get(&world, remote), 0);
		script(&world.server,
			"path=/go : status=302 header=\"Location: /copy?signature=2\"\n"
			"path=/data : status=%u",
			statuses[i]);
		assert_int_equal(get(&world, remote), 0);
		assert_string_equal(url_tell(remote->url).text, server_url(&world.server, "copy"));
		client_unpin(&world.client, remote);
	}
	world_close(&world);
}

static void an_object_that_begins_to_redirect_is_followed(void **state)
{
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world);
	remote = client_pin(&world.client, server_url(&world.server, "data"));
	script(&world.server, "path=/data : status=307 header=\"Location: /copy\"");
	assert_int_equal(get(&world, remote), 0);
	client_unpin(&world.client, remote);
	world_close(&world);
}

static void another_version_at_the_new_place_is_stale(void **state)
{
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world);
	remote = pin_redirected(&world);
	/* Late, so that the get that comes again is one of those that wait. */
	script(&world.server, "path=/go : delay=50ms status=302 header=\"Location: /copy\"\n"
			      "path=/data : status=403\npath=/copy : etag=\"\\\"other\\\"\"");
	assert_int_equal(get(&world, remote), -ESTALE);
	client_unpin(&world.client, remote);
	world_close(&world);
}

static void a_place_that_refuses_at_once_is_not_asked_for_ever(void **state)
{
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world);
	remote = pin_redirected(&world);
	/* Probes are let through, gets are not. */
	script(&world.server, "path=/go : status=302 header=\"Location: /data\"\n"
			      "path=/data range=16K-100K : status=403");
	server_reset_counts(&world.server);
	for (int i = 0; i < 5; i++) {
		struct got got = {0};

		got_start(&got, &world.client, remote, (struct range){20000, 30000});
		assert_int_equal(got_wait(&got), -EACCES);
		got_finish(&got);
	}
	/* One probe, which is two requests, and five gets. */
	client_run_for(&world.client, 100);
	assert_true(server_count(&world.server, "requests") <= 5 + 2);
	client_unpin(&world.client, remote);
	world_close(&world);
}

static void what_only_was_refused_is_not_asked_again(void **state)
{
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world);
	remote = client_pin(&world.client, server_url(&world.server, "data"));
	script(&world.server, "path=/data : status=403");
	server_reset_counts(&world.server);
	assert_int_equal(get(&world, remote), -EACCES);
	assert_int_equal(server_count(&world.server, "requests"), 1);
	client_unpin(&world.client, remote);
	world_close(&world);
}

static void gets_that_wait_for_a_place_can_be_cancelled(void **state)
{
	struct got got[3] = {{.done = false}};
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world);
	remote = pin_redirected(&world);
	script(&world.server, "path=/go : delay=1h\npath=/data : status=403");
	got_start(&got[0], &world.client, remote, all);
	assert_int_equal(got_wait(&got[0]), -EACCES);
	assert_true(got[0].exchange.again);
	got_finish(&got[0]);
	for (int i = 0; i < 3; i++)
		got_start(&got[i], &world.client, remote, all);
	client_run_for(&world.client, 20);
	for (int i = 0; i < 3; i++) {
		assert_false(got[i].done);
		world.client.source->ops->get_cancel(world.client.source, &got[i].exchange);
		got_finish(&got[i]);
	}
	client_unpin(&world.client, remote);
	world_close(&world);
}

/* ---- https -------------------------------------------------------------------------------- */

static void https_does_not_lead_to_http(void **state)
{
	struct server tls;
	struct client client;
	struct remote *remote;
	struct local local;
	char url[100], certificate[128];

	(void)state;
	if (!server_start_foreign(&tls, NGINX_TLS))
		skip();
	snprintf(certificate, sizeof certificate, "%s/.server/certificate", tls.root);
	setenv("SSL_CERT_FILE", certificate, 1);
	local_make(&local, &tls, "data", SIZE, 1);
	client_open(&client, NULL);
	snprintf(url, sizeof url, "https://127.0.0.1:%u/down", tls.port);
	assert_int_equal(client_probe(&client, &probed, url, false), -EACCES);
	assert_non_null(strstr(probed.probe.error, "from https:// to http://"));
	snprintf(url, sizeof url, "https://127.0.0.1:%u/same", tls.port);
	remote = client_pin(&client, url);
	assert_int_equal(client_get(&client, remote, all, &local), 0);
	client_unpin(&client, remote);
	client_close(&client);
	unsetenv("SSL_CERT_FILE");
	local_finish(&local);
	server_stop(&tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_redirects_are_followed_and_no_more),
		cmocka_unit_test(a_loop_ends),
		cmocka_unit_test(a_redirect_without_a_place_is_an_answer),
		cmocka_unit_test(link_local_addresses_are_not_for_redirects),
		cmocka_unit_test(a_place_that_expires_is_found_again),
		cmocka_unit_test(an_object_that_begins_to_redirect_is_followed),
		cmocka_unit_test(another_version_at_the_new_place_is_stale),
		cmocka_unit_test(a_place_that_refuses_at_once_is_not_asked_for_ever),
		cmocka_unit_test(what_only_was_refused_is_not_asked_again),
		cmocka_unit_test(gets_that_wait_for_a_place_can_be_cancelled),
		cmocka_unit_test(https_does_not_lead_to_http),
	};

	return run_group(tests);
}
