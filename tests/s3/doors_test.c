/*
 * doors_test.c - s3:// through what people use: the library's maps, mounts, ls, stat and cat,
 * against radosgw. Its arguments: the command, and presign.py.
 */
#include <errno.h>
#include <pagein.h>
#include <sys/stat.h>
#include <unistd.h>

#include "door.h"
#include "gateway.h"
#include "source_fixture.h"

#define SIZE 5000011
#define FILES 300 /* as many opens at once as no pool has connections for */

static struct gateway gateway;
static struct door door;
static const char *command, *presign;
static uint8_t *bytes;

static int start_gateway(void **state)
{
	uint64_t seed = 7;

	(void)state;
	gateway_start(&gateway);
	bytes = malloc(SIZE);
	assert_non_null(bytes);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)random_next(&seed);
	gateway_put(&gateway, "/bucket", NULL, 0);
	gateway_put(&gateway, "/bucket/models/weights.bin", bytes, SIZE);
	gateway_put(&gateway, "/bucket/models/100%25%3F%20a%2Bb", bytes, 5);
	gateway_put(&gateway, "/bucket/models/day%3D2024%253A05/part", bytes, 9);
	gateway_fill(&gateway, "/bucket/small/", FILES);
	s3_environment("tester-key", "tester-secret", NULL);
	door_open(&door, command, gateway.port);
	return 0;
}

static int stop_gateway(void **state)
{
	(void)state;
	door_close(&door);
	gateway_stop(&gateway);
	free(bytes);
	return 0;
}

static void expect(int status, const char *words, const char *arguments)
{
	door_expect(&door, status, words, arguments);
}

/* ---- subcommands -------------------------------------------------------------------------- */

static void names_are_listed(void **state)
{
	(void)state;
	expect(0, "models/\nsmall/\n", "ls s3://bucket");
	expect(0, "models/\nsmall/\n", "ls s3://bucket/");
	expect(0, "100%? a+b\nday=2024%3A05/\nweights.bin\n", "ls s3://bucket/models");
	expect(0, "5000011 20", "ls -l s3://bucket/models/");
	expect(0, "weights.bin\n", "ls s3://bucket/models/weights.bin");
	expect(0, "100%? a+b\n", "ls 's3://bucket/models/100%? a+b'");
	expect(0, "part\n", "ls 's3://bucket/models/day=2024%3A05'");
	expect(1, "no such key", "ls s3://bucket/model");
	expect(1, "no such bucket", "ls s3://buckets");
	expect(1, "not a bucket and a key", "ls s3://");
	expect(1, "not a bucket and a key", "ls s3://evil.host@bucket/key");
}

static void objects_are_told_of_and_copied(void **state)
{
	char path[128], text[256];
	struct stat status;

	(void)state;
	expect(0, "size:     5000011", "stat s3://bucket/models/weights.bin");
	expect(0, "ranges:   yes", "stat 's3://bucket/models/100%? a+b'");
	expect(0, "directory", "stat s3://bucket/models");
	expect(1, "is a directory", "cat s3://bucket/models");
	snprintf(path, sizeof path, "%s.copy", door.directory);
	assert_int_equal(
		door_run(&door, text, sizeof text, "cat s3://bucket/models/weights.bin >%s", path),
		0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, SIZE);
	unlink(path);
	assert_int_equal(door_run(&door, text, sizeof text,
				 "cat --range 4999-5004 s3://bucket/models/weights.bin"),
		0);
	assert_int_equal(door.printed, 6);
	assert_memory_equal(text, &bytes[4999], 6);
}

static void options_say_what_the_environment_does_not(void **state)
{
	char text[1024], *endpoint = strdup(getenv("AWS_ENDPOINT_URL"));

	(void)state;
	unsetenv("AWS_ENDPOINT_URL");
	assert_int_equal(door_run(&door, text, sizeof text,
				 "ls --endpoint-url=%s --region=us-east-1 --addressing-style=path "
				 "s3://bucket",
				 endpoint),
		0);
	setenv("AWS_ENDPOINT_URL", endpoint, 1);
	free(endpoint);
	expect(1, "access denied", "ls --no-sign-request s3://bucket");
	expect(0, "models/", "ls --requester-pays s3://bucket");
	expect(1, "profile", "ls --profile=nobodys s3://bucket");
	expect(1, "addressing", "ls --addressing-style=sideways s3://bucket");
	expect(1, "region", "ls --region=evil.host/ s3://bucket");
}

static void a_presigned_url_is_any_url(void **state)
{
	char line[512], url[1024] = "", text[256];
	FILE *from;

	(void)state;
	snprintf(line, sizeof line, "'%s' 127.0.0.1:%u /bucket/models/weights.bin", presign,
		gateway.port);
	from = popen(line, "re");
	assert_non_null(from);
	assert_non_null(fgets(url, sizeof url, from));
	assert_int_equal(pclose(from), 0);
	url[strcspn(url, "\n")] = '\0';
	assert_int_equal(door_run(&door, text, sizeof text, "cat --range 100-149 '%s'", url), 0);
	assert_int_equal(door.printed, 50);
	assert_memory_equal(text, &bytes[100], 50);
	*strrchr(url, '=') = '\0';
	assert_int_equal(door_run(&door, text, sizeof text, "cat '%s'", url), 1);
	assert_null(strstr(text, "Credential"));
}

/* ---- maps --------------------------------------------------------------------------------- */

static void a_map_has_the_objects_bytes(void **state)
{
	struct pagein_object *object;
	struct pagein_map *map;
	const uint8_t *address;
	uint64_t seed = 3;

	(void)state;
	if (pagein_open("s3://bucket/models/weights.bin", NULL, &object) < 0)
		fail_msg("%s", pagein_last_error());
	assert_int_equal(pagein_size(object), SIZE);
	assert_int_equal(pagein_version(object)[0], '"');
	if (pagein_map(object, 0, 0, 0, &map) < 0)
		fail_msg("%s", pagein_last_error());
	address = pagein_address(map);
	for (int i = 0; i < 100; i++) {
		uint64_t at = random_next(&seed) % SIZE;

		assert_int_equal(address[at], bytes[at]);
	}
	assert_memory_equal(address, bytes, SIZE);
	pagein_unmap(map);
	pagein_close(object);
}

static void the_librarys_options_are_its_callers(void **state)
{
	struct pagein_s3_options s3 = PAGEIN_S3_OPTIONS_INIT;
	struct pagein_options options = PAGEIN_OPTIONS_INIT;
	struct pagein_object *one, *other, *third;
	char endpoint[64];

	(void)state;
	strcpy(endpoint, getenv("AWS_ENDPOINT_URL"));
	options.s3 = &s3;
	s3.no_sign_request = 1;
	assert_int_equal(pagein_open("s3://bucket/models/weights.bin", &options, &one), -EACCES);
	assert_non_null(strstr(pagein_last_error(), "access denied"));
	s3.no_sign_request = 0;
	unsetenv("AWS_ENDPOINT_URL");
	s3.endpoint_url = endpoint;
	assert_int_equal(pagein_open("s3://bucket/models/weights.bin", &options, &one), 0);
	/* What was given may change and go. */
	setenv("AWS_ENDPOINT_URL", endpoint, 1);
	memset(endpoint, 'x', sizeof endpoint - 1);
	s3 = (struct pagein_s3_options)PAGEIN_S3_OPTIONS_INIT;
	assert_int_equal(pagein_open("s3://bucket/models/weights.bin", &options, &other), 0);
	assert_int_equal(pagein_open("s3://bucket/small/000001", NULL, &third), 0);
	pagein_close(one);
	pagein_close(other);
	pagein_close(third);
	s3.size = 1;
	assert_int_equal(pagein_open("s3://bucket/models/weights.bin", &options, &one), -EINVAL);
	s3.size = sizeof s3;
	s3.profile = "nobodys";
	assert_int_equal(pagein_open("s3://bucket/models/weights.bin", &options, &one), -EINVAL);
	assert_non_null(strstr(pagein_last_error(), "nobodys"));
}

/* ---- mounts ------------------------------------------------------------------------------- */

static void a_bucket_is_a_file_system(void **state)
{
	(void)state;
	door_mount(&door, "", "s3://bucket");
	door_expect_file(&door, "models/weights.bin", bytes, SIZE);
	door_expect_file(&door, "models/100%? a+b", bytes, 5);
	door_expect_file(&door, "models/day=2024%3A05/part", bytes, 9);
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];

		snprintf(name, sizeof name, "small/%06u", i);
		door_expect_file(&door, name, "x", 1);
	}
	door_unmount(&door);
}

static void a_prefix_and_an_object_are_too(void **state)
{
	(void)state;
	door_mount(&door, "", "s3://bucket/models");
	door_expect_file(&door, "weights.bin", bytes, SIZE);
	door_unmount(&door);
	door_mount(&door, "", "s3://bucket/models/day=2024%3A05/");
	door_expect_file(&door, "part", bytes, 9);
	door_unmount(&door);
	door_mount(&door, "", "s3://bucket/models/100%? a+b");
	door_expect_file(&door, "100%? a+b", bytes, 5);
	door_unmount(&door);
}

/* Credentials that are not in the environment, in a directory which nothing else makes readable. */
static void write_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static const char *gateway_url(void)
{
	static char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%u", gateway.port);
	return url;
}

static void mount_with(const char *folder, const char *variable, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	s3_environment(NULL, NULL, NULL);
	setenv("AWS_ENDPOINT_URL", gateway_url(), 1);
	setenv(variable, path, 1);
	door_mount(&door, "", "s3://bucket/models");
	door_expect_file(&door, "weights.bin", bytes, SIZE);
	door_unmount(&door);
	(void)unlink(path);
}

static void a_mounts_sandbox_lets_credentials_in(void **state)
{
	char folder[] = "/tmp/pagein-test-XXXXXX", path[64], config[512];
	struct stat status;

	(void)state;
	assert_non_null(mkdtemp(folder));
	write_file(folder, "credentials",
		"[default]\naws_access_key_id = tester-key\n"
		"aws_secret_access_key = tester-secret\n");
	mount_with(folder, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
	/* A program that keeps something, as most do. */
	snprintf(path, sizeof path, "%s/kept", folder);
	snprintf(config, sizeof config,
		"[default]\ncredential_process = sh -c 'echo kept >%s; echo \"{\\\"Version\\\": 1, "
		"\\\"AccessKeyId\\\": \\\"tester-key\\\", "
		"\\\"SecretAccessKey\\\": \\\"tester-secret\\\"}\"'\n",
		path);
	write_file(folder, "config", config);
	mount_with(folder, "AWS_CONFIG_FILE", "config");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 5);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	s3_environment("tester-key", "tester-secret", NULL);
	setenv("AWS_ENDPOINT_URL", gateway_url(), 1);
}

static void what_can_not_be_mounted_says_why(void **state)
{
	char line[256];
	static const struct {
		const char *source, *words;
	} rows[] = {
		{"s3://buckets", "no such bucket"},
		{"s3://bucket/nope", "no such key"},
		{"s3://bucket/nope/", "no key begins so"},
		{"-o no_sign_request s3://bucket", "access denied"},
		{"-o profile=nobodys s3://bucket", "nobodys"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		snprintf(line, sizeof line, "mount %s %s", rows[i].source, door.directory);
		expect(1, rows[i].words, line);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_listed),
		cmocka_unit_test(objects_are_told_of_and_copied),
		cmocka_unit_test(options_say_what_the_environment_does_not),
		cmocka_unit_test(a_presigned_url_is_any_url),
		cmocka_unit_test(a_map_has_the_objects_bytes),
		cmocka_unit_test(the_librarys_options_are_its_callers),
		cmocka_unit_test(a_bucket_is_a_file_system),
		cmocka_unit_test(a_prefix_and_an_object_are_too),
		cmocka_unit_test(a_mounts_sandbox_lets_credentials_in),
		cmocka_unit_test(what_can_not_be_mounted_says_why),
	};

	assert_int_equal(argc, 3);
	command = argv[1];
	presign = argv[2];
	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, start_gateway, stop_gateway);
}
