/*
 * radosgw_test.c - the S3 source against radosgw: who is let in, which keys come through, pages,
 * ranges, and versions. The oracle is what was put there.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway.h"
#include "keys.h"
#include "source_fixture.h"

#define KEYS 20000
#define SIZE 3000017

static struct gateway gateway;
static struct client client;

static int start_gateway(void **state)
{
	(void)state;
	gateway_start(&gateway);
	gateway_put(&gateway, "/first", NULL, 0);
	return 0;
}

static int stop_gateway(void **state)
{
	(void)state;
	gateway_stop(&gateway);
	return 0;
}

static int start(void **state)
{
	(void)state;
	s3_environment("tester-key", "tester-secret", NULL);
	s3_open(&client, gateway.port, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_close(&client);
	return 0;
}

static void reopen(const char *access_key, const char *secret, const char *token)
{
	client_close(&client);
	s3_environment(access_key, secret, token);
	s3_open(&client, gateway.port, NULL);
}

static void expect_probe(const char *url, int expected, const char *words)
{
	static struct probed probed;
	int err = client_probe(&client, &probed, url, false);

	if (err != expected || (words && !strstr(probed.probe.error, words)))
		fail_msg("%s: %d, %s", url, err, probed.probe.error);
}

static void expect_list(const char *url, int expected, const char *words)
{
	struct listed listed;
	int err = s3_list_all(&client, &listed, url);

	if (err != expected || (words && !strstr(listed.listing.error, words)))
		fail_msg("%s: %d, %s", url, err, listed.listing.error);
	listed_finish(&listed);
}

/* The whole object, by a probe and gets. */
static void expect_bytes(const char *url, const void *bytes, size_t length)
{
	static struct probed probed;
	struct remote *remote;
	struct got got = {0};

	if (client_probe(&client, &probed, url, false) < 0)
		fail_msg("%s: %s", url, probed.probe.error);
	assert_int_equal(probed.probe.version.size, length);
	assert_int_equal(probed.bytes_len, length < PROBE_BYTES ? length : PROBE_BYTES);
	assert_memory_equal(probed.bytes, bytes, probed.bytes_len);
	if (length == 0)
		return;
	/* It is its own effective URL, which the fixture has no room for. */
	assert_int_equal(
		client.source->ops->pin(client.source, url, &probed.probe.version, &remote), 0);
	got_start(&got, &client, remote, (struct range){0, length});
	if (got_wait(&got) < 0)
		fail_msg("%s: %s", url, got.exchange.error);
	assert_memory_equal(got.bytes, bytes, length);
	got_finish(&got);
	client_unpin(&client, remote);
}

/* ---- who is let in ------------------------------------------------------------------------ */

static void the_right_secret_opens(void **state)
{
	(void)state;
	gateway_put(&gateway, "/first/hello", "hello", 5);
	expect_bytes("s3://first/hello", "hello", 5);
	expect_list("s3://first/", 0, NULL);
	expect_probe("s3://first/nope", -ENOENT, "no such key");
	expect_probe("s3://nowhere/nope", -ENOENT, "no such bucket");
	expect_list("s3://nowhere/", -ENOENT, "no such bucket");
	expect_list("s3://first/nope/", -ENOENT, "no key begins so");
}

static void wrong_keys_are_told_apart(void **state)
{
	(void)state;
	gateway_put(&gateway, "/first/hello", "hello", 5);
	reopen("tester-key", "wrong", NULL);
	expect_probe("s3://first/hello", -EACCES, "wrong secret key");
	expect_list("s3://first/", -EACCES, "wrong secret key");
	reopen("nobody-key", "wrong", NULL);
	expect_probe("s3://first/hello", -EACCES, "does not know the access key");
	reopen("stranger-key", "stranger-secret", NULL);
	expect_probe("s3://first/hello", -EACCES, "access denied");
	reopen(NULL, NULL, NULL);
	expect_probe("s3://first/hello", -EACCES, "none in the environment");
}

static void a_public_bucket_needs_no_keys(void **state)
{
	static const char policy[] =
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*"
		"\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":[\"arn:aws:s3:::"
		"public\",\"arn:aws:s3:::public/*\"]}]}";
	struct s3_options options = {.no_sign_request = true};

	(void)state;
	gateway_put(&gateway, "/public", NULL, 0);
	gateway_put(&gateway, "/public/hello", "hello", 5);
	gateway_put(&gateway, "/public?policy=", policy, sizeof policy - 1);
	reopen(NULL, NULL, NULL);
	expect_bytes("s3://public/hello", "hello", 5);
	expect_list("s3://public/", 0, NULL);
	client_close(&client);
	s3_environment("nobody-key", "wrong", NULL);
	s3_open(&client, gateway.port, &options);
	expect_bytes("s3://public/hello", "hello", 5);
	expect_list("s3://public/", 0, NULL);
}

/* ---- sessions ----------------------------------------------------------------------------- */

#define ASSUME                                                                         \
	"Action=AssumeRole&RoleArn=arn:aws:iam:::role/reader&RoleSessionName=session&" \
	"DurationSeconds=1&Version=2011-06-15"

static char *between(const char *text, const char *tag)
{
	char open[64];
	const char *from;

	snprintf(open, sizeof open, "<%s>", tag);
	from = strstr(text, open);
	assert_non_null(from);
	from += strlen(open);
	return strndup(from, strcspn(from, "<"));
}

static void wait_for_the_end(void)
{
	struct gateway_answer answer;
	unsigned tries = 0;

	/* Until the gateway itself says no to what it has given. */
	do {
		static struct probed probed;

		assert_true(tries++ < 100);
		answer.status = client_probe(&client, &probed, "s3://first/hello", false);
		usleep(100000);
	} while (answer.status == 0);
	assert_int_equal(answer.status, -EACCES);
}

static void an_expired_session_is_refused(void **state)
{
	struct gateway_answer answer = gateway_ask(
		&gateway, "POST", "/", ASSUME, sizeof ASSUME - 1, "sts");
	char *access_key, *secret, *token;

	(void)state;
	gateway_put(&gateway, "/first/hello", "hello", 5);
	if (answer.status != 200)
		fail_msg("%ld, %s", answer.status, answer.body);
	access_key = between(answer.body, "AccessKeyId");
	secret = between(answer.body, "SecretAccessKey");
	token = between(answer.body, "SessionToken");
	reopen(access_key, secret, token);
	wait_for_the_end();
	expect_list("s3://first/", -EACCES, NULL);
	free(access_key);
	free(secret);
	free(token);
	free(answer.body);
}

static void __attribute__((format(printf, 3, 4)))
write_file(const char *path, mode_t mode, const char *format, ...)
{
	va_list arguments;
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	fclose(file);
	chmod(path, mode);
}

/* A program that gets sessions of one second from the gateway, and does not tell when they end. */
static void make_sessions(const char *directory)
{
	char path[128];

	snprintf(path, sizeof path, "%s/sessions", directory);
	write_file(path, 0700,
		"#!/bin/sh\necho >>%s/calls\n"
		"curl -s --noproxy '*' --aws-sigv4 aws:amz:us-east-1:sts -u tester-key:tester-secret "
		"-d '" ASSUME "' http://127.0.0.1:%u/ | sed -E 's#.*<AccessKeyId>([^<]*)<.*"
		"<SecretAccessKey>([^<]*)<.*<SessionToken>([^<]*)<.*#{\"Version\":1,"
		"\"AccessKeyId\":\"\\1\",\"SecretAccessKey\":\"\\2\",\"SessionToken\":\"\\3\"}#'\n",
		directory, gateway.port);
	snprintf(path, sizeof path, "%s/config", directory);
	write_file(path, 0600, "[default]\ncredential_process = %s/sessions\n", directory);
	s3_environment(NULL, NULL, NULL);
	setenv("AWS_CONFIG_FILE", path, 1);
	client_close(&client);
	s3_open(&client, gateway.port, NULL);
}

static unsigned count_lines(const char *directory)
{
	char path[128];
	struct stat status;

	snprintf(path, sizeof path, "%s/calls", directory);
	return stat(path, &status) == 0 ? (unsigned)status.st_size : 0;
}

static void a_session_is_renewed_when_it_is_refused(void **state)
{
	char directory[] = "/tmp/pagein-test-XXXXXX", command[64];
	const struct local local = {.bytes = (const uint8_t *)"hello", .size = 5};
	struct remote *remote;

	(void)state;
	assert_non_null(mkdtemp(directory));
	gateway_put(&gateway, "/first/hello", "hello", 5);
	make_sessions(directory);
	remote = client_pin(&client, "s3://first/hello");
	/* Gets, each by itself, until one had to renew the session: none of them fails for good. */
	for (unsigned tries = 0; count_lines(directory) < 2; tries++) {
		struct got got = {0};

		assert_true(tries < 200);
		got_start(&got, &client, remote, (struct range){0, 5});
		if (got_wait(&got) < 0)
			assert_true(got.exchange.again && got.exchange.at_no_cost);
		got_finish(&got);
		usleep(50000);
	}
	assert_int_equal(client_get(&client, remote, (struct range){0, 5}, &local), 0);
	client_unpin(&client, remote);
	expect_bytes("s3://first/hello", "hello", 5);
	snprintf(command, sizeof command, "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* ---- keys --------------------------------------------------------------------------------- */

/* What has been found, by the key that was put. */
struct walk {
	bool found[array_len(keys)];
};

static void walk_down(struct walk *walk, const char *url, const char *prefix)
{
	struct listed listed;

	if (s3_list_all(&client, &listed, url) < 0)
		fail_msg("%s", listed.listing.error);
	for (size_t i = 0; i < listed.count; i++) {
		const struct listed_entry *entry = &listed.entries[i];
		char *below, *key;
		size_t k = 0;

		assert_true(asprintf(&below, "%s%s", url, entry->href) > 0);
		assert_true(asprintf(&key, "%s%s%s", prefix, entry->name,
				    entry->is_dir ? "/" : "") >= 0);
		if (entry->is_dir) {
			walk_down(walk, below, key);
		} else {
			while (k < array_len(keys) && strcmp(keys[k], key) != 0)
				k++;
			if (k == array_len(keys))
				fail_msg("not one of ours: %s", key);
			assert_false(walk->found[k]);
			walk->found[k] = true;
			/* Its bytes are its name. */
			expect_bytes(below, key, strlen(key));
		}
		free(below);
		free(key);
	}
	listed_finish(&listed);
}

static void every_key_comes_through(void **state)
{
	struct walk walk = {0};

	(void)state;
	gateway_put(&gateway, "/hostile", NULL, 0);
	for (size_t i = 0; i < array_len(keys); i++) {
		char *target = key_target("/hostile/", keys[i]);

		gateway_put(&gateway, target, keys[i], strlen(keys[i]));
		free(target);
	}
	walk_down(&walk, "s3://hostile/", "");
	for (size_t i = 0; i < array_len(keys); i++)
		if (!walk.found[i])
			fail_msg("not listed: %s", keys[i]);
}

/* ---- pages -------------------------------------------------------------------------------- */

static void a_listing_takes_no_more_requests_than_pages(void **state)
{
	struct relay relay;
	struct listed listed;

	(void)state;
	gateway_put(&gateway, "/many", NULL, 0);
	gateway_fill(&gateway, "/many/dir/k", KEYS);
	relay_start(&relay, &gateway, "list-type=2");
	client_close(&client);
	s3_open(&client, relay.port, NULL);
	assert_int_equal(s3_list_all(&client, &listed, "s3://many/dir/"), 0);
	assert_int_equal(listed.count, KEYS);
	for (unsigned i = 0; i < KEYS; i++) {
		char name[16];

		snprintf(name, sizeof name, "k%06u", i);
		assert_string_equal(listed.entries[i].name, name);
		assert_int_equal(listed.entries[i].size, 1);
		assert_non_null(listed.entries[i].etag);
		assert_true(listed.entries[i].mtime > 1700000000);
	}
	assert_int_equal(relay_count(&relay), KEYS / 1000);
	listed_finish(&listed);
	client_close(&client);
	s3_open(&client, gateway.port, NULL);
	relay_stop(&relay);
}

/* ---- bytes and versions ------------------------------------------------------------------- */

static uint8_t *random_bytes(size_t size, uint64_t seed)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)random_next(&seed);
	return bytes;
}

static void ranges_are_the_objects_bytes(void **state)
{
	uint8_t *bytes = random_bytes(SIZE, 1);
	const struct local local = {.bytes = bytes, .size = SIZE};
	uint64_t seed = 2;
	struct remote *remote;

	(void)state;
	gateway_put(&gateway, "/first/big", bytes, SIZE);
	remote = client_pin(&client, "s3://first/big");
	assert_int_equal(client_get(&client, remote, (struct range){0, SIZE}, &local), 0);
	assert_int_equal(client_get(&client, remote, (struct range){SIZE - 1, SIZE}, &local), 0);
	for (int i = 0; i < 50; i++) {
		uint64_t start = random_next(&seed) % SIZE;
		uint64_t end = start + 1 + random_next(&seed) % 100000;
		struct range range = {start, end < SIZE ? end : SIZE};

		assert_int_equal(client_get(&client, remote, range, &local), 0);
	}
	client_unpin(&client, remote);
	gateway_put(&gateway, "/first/none", "", 0);
	expect_bytes("s3://first/none", "", 0);
	free(bytes);
}

static void an_overwritten_object_is_stale(void **state)
{
	const struct local local = {.bytes = (const uint8_t *)"one", .size = 3};
	struct remote *remote;

	(void)state;
	gateway_put(&gateway, "/first/changing", "one", 3);
	remote = client_pin(&client, "s3://first/changing");
	assert_string_equal(remote->version.id, "");
	assert_int_equal(client_get(&client, remote, (struct range){0, 3}, &local), 0);
	gateway_put(&gateway, "/first/changing", "two", 3);
	assert_int_equal(client_get(&client, remote, (struct range){0, 3}, &local), -ESTALE);
	client_unpin(&client, remote);
	expect_bytes("s3://first/changing", "two", 3);
	free(gateway_ask(&gateway, "DELETE", "/first/changing", NULL, 0, "s3").body);
	expect_probe("s3://first/changing", -ENOENT, NULL);
}

static void a_version_outlives_its_overwriting(void **state)
{
	static const char versioning[] = "<VersioningConfiguration><Status>Enabled</Status>"
					 "</VersioningConfiguration>";
	const struct local local = {.bytes = (const uint8_t *)"one", .size = 3};
	struct remote *remote;

	(void)state;
	gateway_put(&gateway, "/versions", NULL, 0);
	gateway_put(&gateway, "/versions?versioning=", versioning, sizeof versioning - 1);
	gateway_put(&gateway, "/versions/key", "one", 3);
	remote = client_pin(&client, "s3://versions/key");
	assert_string_not_equal(remote->version.id, "");
	gateway_put(&gateway, "/versions/key", "two", 3);
	assert_int_equal(client_get(&client, remote, (struct range){0, 3}, &local), 0);
	expect_bytes("s3://versions/key", "two", 3);
	/* Behind a delete marker, too. */
	free(gateway_ask(&gateway, "DELETE", "/versions/key", NULL, 0, "s3").body);
	assert_int_equal(client_get(&client, remote, (struct range){0, 3}, &local), 0);
	expect_probe("s3://versions/key", -ENOENT, NULL);
	client_unpin(&client, remote);
}

static void whoever_may_not_name_versions_reads_all_the_same(void **state)
{
	static const char policy[] =
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{"
		"\"AWS\":\"arn:aws:iam:::user/stranger\"},\"Action\":[\"s3:GetObject\"],"
		"\"Resource\":[\"arn:aws:s3:::versions/*\"]}]}";
	const struct local local = {.bytes = (const uint8_t *)"one", .size = 3};
	struct remote *remote;
	struct got got = {0};
	int err = -EAGAIN;

	(void)state;
	gateway_put(&gateway, "/versions", NULL, 0);
	gateway_put(&gateway, "/versions/shared", "one", 3);
	gateway_put(&gateway, "/versions?policy=", policy, sizeof policy - 1);
	reopen("stranger-key", "stranger-secret", NULL);
	remote = client_pin(&client, "s3://versions/shared");
	assert_string_not_equal(remote->version.id, "");
	for (int i = 0; err < 0 && i < 4; i++) {
		got_start(&got, &client, remote, (struct range){0, 3});
		err = got_wait(&got);
		if (err < 0)
			assert_true(got.exchange.again && got.exchange.at_no_cost);
		got_finish(&got);
	}
	assert_int_equal(err, 0);
	assert_int_equal(client_get(&client, remote, (struct range){0, 3}, &local), 0);
	client_unpin(&client, remote);
}

static void a_bucket_may_be_a_host(void **state)
{
	char endpoint[64];
	struct s3_options options = {.endpoint = endpoint, .addressing = "virtual"};

	(void)state;
	gateway_put(&gateway, "/first/hello", "hello", 5);
	snprintf(endpoint, sizeof endpoint, "http://s3.localhost:%u", gateway.port);
	client_close(&client);
	s3_open(&client, 0, &options);
	expect_bytes("s3://first/hello", "hello", 5);
	expect_list("s3://first/", 0, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(the_right_secret_opens),
		TEST(wrong_keys_are_told_apart),
		TEST(a_public_bucket_needs_no_keys),
		TEST(an_expired_session_is_refused),
		TEST(a_session_is_renewed_when_it_is_refused),
		TEST(every_key_comes_through),
		TEST(a_listing_takes_no_more_requests_than_pages),
		TEST(ranges_are_the_objects_bytes),
		TEST(an_overwritten_object_is_stale),
		TEST(a_version_outlives_its_overwriting),
		TEST(whoever_may_not_name_versions_reads_all_the_same),
		TEST(a_bucket_may_be_a_host),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, start_gateway, stop_gateway);
}
