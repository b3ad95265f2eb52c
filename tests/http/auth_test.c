/*
 * auth_test.c - who pagein says it is, to whom: URLs, netrc and token files against nginx, which
 * wants user:secret below /basic/, t0ken below /bearer/, and nothing at all below /open/ on its
 * other name, localhost.
 */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>

#include "url.h"

#define SIZE 100000

struct world {
	struct server server;
	struct client client;
	struct local local;
	char secrets[200]; /* a file for them */
};

static void file_write(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

/* NULL: without one; which of the two options is the file's. */
static void world_open(struct world *world, const char *netrc, const char *tokens, mode_t mode)
{
	struct source_options options = {.timeout_ms = 2000, .netrc_file = ""};

	if (!server_start_nginx(&world->server))
		skip();
	local_make(&world->local, &world->server, "data", SIZE, 1);
	snprintf(world->secrets, sizeof world->secrets, "%s/.server/secrets", world->server.root);
	if (netrc || tokens)
		file_write(world->secrets, netrc ? netrc : tokens, mode);
	*(netrc ? &options.netrc_file : &options.token_file) = netrc || tokens ? world->secrets
									       : "";
	client_open(&world->client, &options);
}

static void world_close(struct world *world)
{
	client_close(&world->client);
	local_finish(&world->local);
	server_stop(&world->server);
}

/* "http://USER@127.0.0.1:PORT/path"; good until the second call after this one. */
static const char *url_with(const struct world *world, const char *user, const char *path)
{
	static char urls[2][300];
	static unsigned next;
	char *url = urls[next++ % 2];

	snprintf(url, sizeof *urls, "http://%s@127.0.0.1:%u/%s", user, world->server.port, path);
	return url;
}

static struct probed probed;

static int probe(struct world *world, const char *url)
{
	return client_probe(&world->client, &probed, url, false);
}

static int discard(struct listing *listing, const struct index_entry *entry)
{
	(void)listing;
	(void)entry;
	return 0;
}

struct listed {
	struct listing listing;
	bool done;
	int err;
};

static void listed_done(struct listing *listing, int err)
{
	struct listed *self = container_of(listing, struct listed, listing);

	self->done = true;
	self->err = err;
}

static int list(struct world *world, const char *url)
{
	struct listed listed = {.listing = {.url = url, .entry = discard, .done = listed_done}};

	assert_int_equal(world->client.source->ops->list(world->client.source, &listed.listing), 0);
	client_wait(&world->client, &listed.done);
	return listed.err;
}

/* Probe, listing and get. */
static void check_let_in(struct world *world, const char *url, const char *directory)
{
	struct remote *remote = client_pin(&world->client, url);

	assert_null(strstr(remote->url, "secret"));
	assert_int_equal(
		client_get(&world->client, remote, (struct range){4096, SIZE}, &world->local), 0);
	client_unpin(&world->client, remote);
	assert_int_equal(list(world, directory), 0);
}

static void without_credentials_there_is_no_way_in(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL, NULL, 0);
	assert_int_equal(probe(&world, server_url(&world.server, "basic/data")), -EACCES);
	assert_int_equal(probe(&world, server_url(&world.server, "bearer/data")), -EACCES);
	assert_int_equal(list(&world, server_url(&world.server, "basic/")), -EACCES);
	world_close(&world);
}

static void a_url_says_who_we_are_for_gets_too(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL, NULL, 0);
	check_let_in(&world, url_with(&world, "user:secret", "basic/data"),
		url_with(&world, "user:secret", "basic/"));
	/* Percent-encoded, as URLs are. */
	assert_int_equal(probe(&world, url_with(&world, "us%65r:s%65cret", "basic/data")), 0);
	world_close(&world);
}

static void a_secret_in_a_url_is_in_no_error(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL, NULL, 0);
	assert_int_equal(
		probe(&world, url_with(&world, "user:hunter2", "basic/data?k=hunter2")), -EACCES);
	assert_null(strstr(probed.probe.error, "hunter2"));
	assert_null(strstr(probed.probe.error, "user"));
	assert_non_null(strstr(probed.probe.error, "/basic/data: HTTP 401"));
	world_close(&world);
}

static void a_get_that_is_refused_tells_no_secret(void **state)
{
	struct got got = {0};
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world, NULL, NULL, 0);
	assert_int_equal(probe(&world, server_url(&world.server, "open/data")), 0);
	/* nginx refuses whoever says who he is below /open/. */
	assert_int_equal(world.client.source->ops->pin(world.client.source,
				 url_with(&world, "user:hunter2", "open/data"),
				 &probed.probe.version, &remote),
		0);
	got_start(&got, &world.client, remote, (struct range){0, 100});
	assert_int_equal(got_wait(&got), -EIO);
	assert_null(strstr(got.exchange.error, "hunter2"));
	got_finish(&got);
	client_unpin(&world.client, remote);
	world_close(&world);
}

static void a_netrc_file_says_it_for_its_machine(void **state)
{
	struct world world;

	(void)state;
	world_open(&world,
		"machine localhost login other password wrong\n"
		"machine 127.0.0.1\n	login user\n	password \"secret\"\n",
		NULL, 0600);
	check_let_in(&world, server_url(&world.server, "basic/data"),
		server_url(&world.server, "basic/"));
	world_close(&world);
}

static void a_user_in_the_url_chooses_from_the_netrc_file(void **state)
{
	struct world world;

	(void)state;
	world_open(&world,
		"machine 127.0.0.1 login other password wrong\n"
		"machine 127.0.0.1 login user password secret\n",
		NULL, 0600);
	assert_int_equal(probe(&world, server_url(&world.server, "basic/data")), -EACCES);
	assert_int_equal(probe(&world, url_with(&world, "user", "basic/data")), 0);
	world_close(&world);
}

static void a_token_file_says_it_to_who_is_asked(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL, "# mine\nelsewhere.example no\nt0ken\n", 0400);
	check_let_in(&world, server_url(&world.server, "bearer/data"),
		server_url(&world.server, "bearer/"));
	world_close(&world);
}

static void a_token_may_be_for_one_host(void **state)
{
	struct world world;

	(void)state;
	world_open(&world, NULL, "127.0.0.1 t0ken \r\nno\n", 0600);
	assert_int_equal(probe(&world, server_url(&world.server, "bearer/data")), 0);
	world_close(&world);
}

static void a_token_bound_to_a_server_is_for_no_other(void **state)
{
	struct source_options options = {.timeout_ms = 2000, .netrc_file = ""};
	struct client other;
	struct world world;
	char bound[64];

	(void)state;
	world_open(&world, NULL, "t0ken", 0600);
	options.token_file = world.secrets;
	options.token_server = "file:///list";
	client_open(&other, &options);
	assert_int_equal(
		client_probe(&other, &probed, server_url(&world.server, "bearer/data"), false),
		-EACCES);
	client_close(&other);
	snprintf(bound, sizeof bound, "http://127.0.0.1:%u/m", world.server.port);
	options.token_server = bound;
	client_open(&other, &options);
	assert_int_equal(
		client_probe(&other, &probed, server_url(&world.server, "bearer/data"), false), 0);
	client_close(&other);
	world_close(&world);
}

static void a_file_that_others_can_read_is_refused(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0660, 0602};

	(void)state;
	for (size_t i = 0; i < 2 * array_len(modes); i++) {
		struct world world;

		if (i % 2)
			world_open(&world, "machine 127.0.0.1 login user password secret\n", NULL,
				modes[i / 2]);
		else
			world_open(&world, NULL, "t0ken\n", modes[i / 2]);
		assert_int_equal(client_probe(&world.client, &probed,
					 server_url(&world.server, "basic/data"), false),
			-EACCES);
		assert_non_null(strstr(probed.probe.error, world.secrets));
		assert_non_null(strstr(probed.probe.error, "chmod 600"));
		assert_null(strstr(probed.probe.error, "secret:"));
		world_close(&world);
	}
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
	static const struct {
		const char *netrc, *tokens;
		int err;
		const char *words;
	} cases[] = {
		{"machine 127.0.0.1 login user\npasswort x\n", NULL, -EINVAL, "line 2"},
		{"machine\n", NULL, -EINVAL, "not a netrc file"},
		{"machine 127.0.0.1 login a:b password c\n", NULL, -EINVAL, "colon"},
		{NULL, "127.0.0.1 two words\n", -EINVAL, "not a token"},
		{NULL, "\x01\n", -EINVAL, "not a token"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct world world;

		world_open(&world, cases[i].netrc, cases[i].tokens, 0600);
		assert_int_equal(client_probe(&world.client, &probed,
					 server_url(&world.server, "data"), false),
			cases[i].err);
		if (!strstr(probed.probe.error, cases[i].words))
			fail_msg("%s: %s", cases[i].words, probed.probe.error);
		world_close(&world);
	}
}

static void a_file_that_is_missing_is_an_error(void **state)
{
	const struct source_options options = {.netrc_file = "/nonexistent/netrc"};
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	client_open(&client, &options);
	assert_int_equal(client_probe(&client, &probed, server_url(&server, "generated/10"), false),
		-ENOENT);
	assert_non_null(strstr(probed.probe.error, "/nonexistent/netrc"));
	client_close(&client);
	server_stop(&server);
}

/* HOME's is read unasked; and then its trouble is that of those only whom it is about. */
static void the_usual_netrc_file_is_read_if_there_is_one(void **state)
{
	const struct source_options options = {.timeout_ms = 2000};
	struct client client;
	struct world world;
	char path[250], *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;

	(void)state;
	world_open(&world, NULL, NULL, 0);
	snprintf(path, sizeof path, "%s/.server", world.server.root);
	setenv("HOME", path, 1);
	client_open(&client, &options);
	assert_int_equal(
		client_probe(&client, &probed, server_url(&world.server, "basic/data"), false),
		-EACCES);
	client_close(&client);
	snprintf(path, sizeof path, "%s/.server/.netrc", world.server.root);
	file_write(path, "machine 127.0.0.1 login user password secret\n", 0600);
	client_open(&client, &options);
	assert_int_equal(
		client_probe(&client, &probed, server_url(&world.server, "basic/data"), false), 0);
	client_close(&client);
	file_write(path, "machine elsewhere.example login user password secret\n", 0644);
	client_open(&client, &options);
	assert_int_equal(
		client_probe(&client, &probed, server_url(&world.server, "data"), false), 0);
	client_close(&client);
	if (home)
		setenv("HOME", home, 1);
	free(home);
	world_close(&world);
}

/* ---- redirects ---------------------------------------------------------------------------- */

static void credentials_do_not_follow_to_another_host(void **state)
{
	static const char *const netrc =
		"machine 127.0.0.1 login user password secret\n"
		"machine localhost login user password secret\ndefault login user password secret\n";
	struct remote *remote;
	struct world world;

	(void)state;
	for (int way = 0; way < 3; way++) {
		const char *url;

		world_open(&world, way == 0 ? netrc : NULL, way == 1 ? "t0ken\n" : NULL, 0600);
		url = way == 2 ? url_with(&world, "user:secret", "away/?to=data")
			       : server_url(&world.server, "away/?to=data");
		/* /open/ answers 400 to whoever says who he is. */
		if (probe(&world, url) < 0)
			fail_msg("%s", probed.probe.error);
		assert_non_null(strstr(probed.effective_url, "http://localhost"));
		remote = client_pin(&world.client, url);
		assert_int_equal(
			client_get(&world.client, remote, (struct range){0, SIZE}, &world.local),
			0);
		client_unpin(&world.client, remote);
		world_close(&world);
	}
}

static void credentials_go_where_the_same_host_leads(void **state)
{
	struct remote *remote;
	struct world world;

	(void)state;
	world_open(&world, NULL, NULL, 0);
	remote = client_pin(&world.client, url_with(&world, "user:secret", "moved/?to=basic/data"));
	assert_int_equal(
		client_get(&world.client, remote, (struct range){0, SIZE}, &world.local), 0);
	client_unpin(&world.client, remote);
	world_close(&world);
}

static void a_redirect_can_not_bring_credentials(void **state)
{
	struct server server;
	struct world world;
	char rule[400];

	(void)state;
	world_open(&world, NULL, NULL, 0);
	server_start(&server);
	snprintf(rule, sizeof rule, ": status=302 header=\"Location: %s\"",
		url_with(&world, "user:secret", "basic/data"));
	server_script(&server, rule);
	assert_int_equal(probe(&world, server_url(&server, "generated/10")), -EACCES);
	server_stop(&server);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_credentials_there_is_no_way_in),
		cmocka_unit_test(a_url_says_who_we_are_for_gets_too),
		cmocka_unit_test(a_secret_in_a_url_is_in_no_error),
		cmocka_unit_test(a_get_that_is_refused_tells_no_secret),
		cmocka_unit_test(a_netrc_file_says_it_for_its_machine),
		cmocka_unit_test(a_user_in_the_url_chooses_from_the_netrc_file),
		cmocka_unit_test(a_token_file_says_it_to_who_is_asked),
		cmocka_unit_test(a_token_may_be_for_one_host),
		cmocka_unit_test(a_token_bound_to_a_server_is_for_no_other),
		cmocka_unit_test(a_file_that_others_can_read_is_refused),
		cmocka_unit_test(what_is_wrong_with_a_file_is_said),
		cmocka_unit_test(a_file_that_is_missing_is_an_error),
		cmocka_unit_test(the_usual_netrc_file_is_read_if_there_is_one),
		cmocka_unit_test(credentials_do_not_follow_to_another_host),
		cmocka_unit_test(credentials_go_where_the_same_host_leads),
		cmocka_unit_test(a_redirect_can_not_bring_credentials),
	};

	return run_group(tests);
}
