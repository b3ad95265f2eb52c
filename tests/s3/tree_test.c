/*
 * tree_test.c - buckets of radosgw as trees, through the pagein command and the kernel: every key
 * has a path, which leads back to it, whatever it is made of; how many requests names and files
 * cost; and what becomes of what is overwritten. The oracle is what was put there, and
 * src/fs/SEMANTICS.md read backwards (unescape.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "door.h"
#include "gateway.h"
#include "keys.h"
#include "source_fixture.h"
#include "unescape.h"

#define PAGE 1000  /* names of a listing that one request brings */
#define FILES 5000 /* of the directory with many */
#define ROUNDS 4   /* of random keys; $ROUNDS makes it more */
#define RANDOM_KEYS 40
#define KEY_BYTES 7
#define KEY_ROOM 2048 /* twice of the longest */

/* Believed for longer than a test lasts, so that only what has to be asked for is. */
#define BELIEVE "-o metadata-ttl=600s,negative-ttl=600s"

static struct gateway gateway;
static struct relay relay; /* counts all requests */
static struct door door;
static const char *command;

static void put(const char *bucket, const char *key, const void *bytes, size_t size)
{
	char *target = key_target(bucket, key);

	gateway_put(&gateway, target, bytes, size);
	free(target);
}

static int start_gateway(void **state)
{
	(void)state;
	gateway_start(&gateway);
	relay_start(&relay, &gateway, " HTTP/1.1\r\n");
	s3_environment("tester-key", "tester-secret", NULL);
	door_open(&door, command, relay.port);
	return 0;
}

static int stop_gateway(void **state)
{
	(void)state;
	door_close(&door);
	relay_stop(&relay);
	gateway_stop(&gateway);
	return 0;
}

/* ---- every key has a path ----------------------------------------------------------------- */

struct expected {
	const char *bucket;
	const char *const *keys;
	size_t count;
	bool found[64];
};

/* The file's bytes and its URL are its key. */
static void check_file(struct expected *expected, const char *path, const char *key)
{
	char url[PATH_MAX], told[PATH_MAX] = "";
	ssize_t length;
	size_t i = 0;

	while (i < expected->count && strcmp(expected->keys[i], key) != 0)
		i++;
	if (i == expected->count)
		fail_msg("%s: %s is not one of the keys", path, key);
	if (expected->found[i])
		fail_msg("%s: a second path for %s", path, key);
	expected->found[i] = true;
	door_expect_file(&door, path, key, strlen(key));
	snprintf(url, sizeof url, "s3://%s/%s", expected->bucket, key);
	length = getxattr(door_path(&door, path), "user.pagein.url", told, sizeof told - 1);
	assert_int_equal(length, strlen(url));
	assert_string_equal(told, url);
}

/* key: what the directory's path stands for, up to where its names go on. */
static void walk(struct expected *expected, const char *path, const char *key)
{
	DIR *directory = opendir(door_path(&door, path));
	struct dirent *entry;

	if (!directory)
		fail_msg("opendir: %s: %s", path, strerror(errno));
	while ((errno = 0, entry = readdir(directory))) {
		char below[PATH_MAX], longer[KEY_ROOM];
		size_t length = strlen(key);
		enum unescaped how;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", entry->d_name);
		strcpy(longer, key);
		how = unescape(entry->d_name, longer, &length);
		longer[length] = '\0';
		if (entry->d_type == DT_DIR) {
			strcpy(longer + length, how == UNESCAPED_MORE ? "" : "/");
			walk(expected, below, longer);
		} else {
			assert_int_equal(entry->d_type, DT_REG);
			check_file(expected, below, longer);
		}
	}
	assert_int_equal(errno, 0);
	closedir(directory);
}

static void expect_tree(const char *bucket, const char *const *all, size_t count)
{
	struct expected expected = {.bucket = bucket, .keys = all, .count = count};
	char target[64], source[64];

	assert_true(count <= array_len(expected.found));
	snprintf(target, sizeof target, "/%s", bucket);
	gateway_put(&gateway, target, NULL, 0);
	snprintf(target, sizeof target, "/%s/", bucket);
	for (size_t i = 0; i < count; i++)
		put(target, all[i], all[i], strlen(all[i]));
	snprintf(source, sizeof source, "s3://%s", bucket);
	door_mount(&door, BELIEVE, source);
	walk(&expected, "", "");
	for (size_t i = 0; i < count; i++)
		if (!expected.found[i])
			fail_msg("no path for %s", all[i]);
	door_unmount(&door);
}

/* N1 to N8 */
static void every_key_has_a_path_that_leads_back(void **state)
{
	(void)state;
	expect_tree("hostile", keys, array_len(keys));
}

static void random_keys(uint64_t *random, char (*all)[KEY_BYTES + 1])
{
	static const char alphabet[] = {'a', '-', '/', '.', '\x01'};
	size_t count = 0;

	while (count < RANDOM_KEYS) {
		size_t length = 1 + random_next(random) % KEY_BYTES, i = 0;

		memset(all[count], 0, sizeof all[count]);
		while (i < length)
			all[count][i++] = alphabet[random_next(random) % array_len(alphabet)];
		for (i = 0; strcmp(all[i], all[count]) != 0; i++)
			;
		count += i == count;
	}
}

static void random_keys_have_one_each(void **state)
{
	const char *rounds = getenv("ROUNDS");
	uint64_t count = rounds ? strtoull(rounds, NULL, 10) : ROUNDS, random = 11;

	(void)state;
	for (uint64_t round = 0; round < count; round++) {
		char all[RANDOM_KEYS][KEY_BYTES + 1], bucket[32];
		const char *pointers[RANDOM_KEYS];

		print_message("round %ju\n", (uintmax_t)round);
		random_keys(&random, all);
		for (size_t i = 0; i < RANDOM_KEYS; i++)
			pointers[i] = all[i];
		snprintf(bucket, sizeof bucket, "random-%ju", (uintmax_t)round);
		expect_tree(bucket, pointers, RANDOM_KEYS);
	}
}

/* What is told of a file can be given back. */
static void a_url_that_is_told_can_be_given(void **state)
{
	static const char *const odd[] = {"?q=1&r#h", "con%2Fcat", "100%", "a b", "a+b^c|d"};
	char text[1024], words[256];

	(void)state;
	gateway_put(&gateway, "/odd", NULL, 0);
	for (size_t i = 0; i < array_len(odd); i++) {
		put("/odd/", odd[i], odd[i], strlen(odd[i]));
		snprintf(words, sizeof words, "url:      s3://odd/%s\n", odd[i]);
		assert_int_equal(
			door_run(&door, text, sizeof text, "stat 's3://odd/%s'", odd[i]), 0);
		if (!strstr(text, words))
			fail_msg("%s: %s", odd[i], text);
	}
}

/* ---- what names and files cost ------------------------------------------------------------ */

static unsigned requests_since(unsigned *before)
{
	unsigned now = relay_count(&relay), count = now - *before;

	*before = now;
	return count;
}

static size_t count_names(const char *path)
{
	DIR *directory = opendir(door_path(&door, path));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(directory);
	while ((errno = 0, entry = readdir(directory))) {
		struct stat status;

		if (entry->d_name[0] == '.')
			continue;
		assert_int_equal(fstatat(dirfd(directory), entry->d_name, &status, 0), 0);
		assert_int_equal(status.st_size, 1);
		count++;
	}
	assert_int_equal(errno, 0);
	closedir(directory);
	return count;
}

/* T4 */
static void a_directory_takes_as_many_requests_as_pages(void **state)
{
	unsigned before;

	(void)state;
	gateway_put(&gateway, "/many", NULL, 0);
	gateway_fill(&gateway, "/many/dir/k", FILES);
	door_mount(&door, BELIEVE, "s3://many");
	before = relay_count(&relay);
	assert_int_equal(count_names("dir"), FILES);
	assert_int_equal(requests_since(&before), FILES / PAGE);
	door_unmount(&door);
}

static void a_page_may_end_at_any_key(void **state)
{
	(void)state;
	gateway_put(&gateway, "/ends", NULL, 0);
	gateway_fill(&gateway, "/ends/dir/%01%20%2B%25%26", PAGE + 500);
	door_mount(&door, BELIEVE, "s3://ends");
	assert_int_equal(count_names("dir"), PAGE + 500);
	assert_int_equal(access(door_path(&door, "dir/%{01} +%&001499"), F_OK), 0);
	door_unmount(&door);
}

/* T4: the listing's ETag says which version the GET must bring. */
static void a_listed_file_costs_only_its_get(void **state)
{
	char name[32];
	unsigned before;

	(void)state;
	gateway_put(&gateway, "/listed", NULL, 0);
	gateway_fill(&gateway, "/listed/dir/k", 10);
	door_mount(&door, BELIEVE, "s3://listed");
	assert_int_equal(count_names("dir"), 10);
	before = relay_count(&relay);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "dir/k%06u", i);
		door_expect_file(&door, name, "x", 1);
		assert_int_equal(requests_since(&before), 1);
	}
	assert_int_equal(access(door_path(&door, "dir/none"), F_OK), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(requests_since(&before), 0);
	door_unmount(&door);
}

#define BIG 3000017

static uint8_t *bytes_of(uint64_t seed)
{
	uint8_t *bytes = malloc(BIG);

	assert_non_null(bytes);
	for (size_t i = 0; i < BIG; i++)
		bytes[i] = (uint8_t)random_next(&seed);
	return bytes;
}

/* A file that is 128 KiB long comes with the one GET; what is open is not asked for again. */
static void a_short_file_is_one_request(void **state)
{
	uint8_t *bytes = bytes_of(7);
	unsigned before;

	(void)state;
	gateway_put(&gateway, "/short", NULL, 0);
	put("/short/", "all", bytes, 131072);
	put("/short/", "more", bytes, 131073);
	door_mount(&door, BELIEVE, "s3://short");
	assert_int_equal(access(door_path(&door, "all"), F_OK), 0);
	before = relay_count(&relay);
	door_expect_file(&door, "all", bytes, 131072);
	assert_int_equal(requests_since(&before), 1);
	door_expect_file(&door, "more", bytes, 131073);
	assert_true(requests_since(&before) > 1);
	door_unmount(&door);
	free(bytes);
}

/* T8: the GET names the version that the listing told, wherever it reads. */
static void what_is_immutable_is_opened_without_a_request(void **state)
{
	uint8_t *bytes = bytes_of(8);
	uint8_t found[4096];
	unsigned before;
	int fd;

	(void)state;
	gateway_put(&gateway, "/immutable", NULL, 0);
	put("/immutable/", "a", bytes, BIG);
	put("/immutable/", "b", bytes, BIG);
	door_mount(&door, "-o immutable", "s3://immutable");
	assert_int_equal(access(door_path(&door, "a"), F_OK), 0);
	before = relay_count(&relay);
	fd = open(door_path(&door, "a"), O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(requests_since(&before), 0);
	assert_int_equal(pread(fd, found, sizeof found, 2000000), sizeof found);
	assert_memory_equal(found, &bytes[2000000], sizeof found);
	assert_int_equal(requests_since(&before), 1);
	close(fd);
	/* Who was promised wrongly gets no bytes of another version, and finds it the next time. */
	put("/immutable/", "b", "new", 3);
	fd = open(door_path(&door, "b"), O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, found, sizeof found, 0), -1);
	assert_int_equal(errno, ESTALE);
	close(fd);
	door_expect_file(&door, "b", "new", 3);
	door_unmount(&door);
	free(bytes);
}

/* ---- what is overwritten ------------------------------------------------------------------ */

/* F4: though its old version was listed, and is believed. */
static void a_new_open_sees_what_was_overwritten(void **state)
{
	struct stat before, after;

	(void)state;
	gateway_put(&gateway, "/changing", NULL, 0);
	put("/changing/", "a", "one", 3);
	door_mount(&door, BELIEVE, "s3://changing");
	assert_int_equal(stat(door_path(&door, "a"), &before), 0);
	put("/changing/", "a", "two", 3);
	door_expect_file(&door, "a", "two", 3);
	assert_int_equal(stat(door_path(&door, "a"), &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	put("/changing/", "a", "three", 5);
	door_expect_file(&door, "a", "three", 5);
	door_unmount(&door);
}

/* F2: pages of the old bytes until it fails, if it does. */
static ssize_t read_on(int fd, const uint8_t *bytes)
{
	static uint8_t found[65536];
	size_t at = 0;
	ssize_t n;

	while ((n = pread(fd, found, sizeof found, (off_t)at)) > 0) {
		assert_memory_equal(found, &bytes[at], (size_t)n);
		at += (size_t)n;
	}
	return n < 0 ? -errno : (ssize_t)at;
}

static ssize_t overwrite_under_a_reader(const char *bucket)
{
	uint8_t *old = bytes_of(1), *new = bytes_of(2), first[100];
	char source[64];
	ssize_t result;
	int fd;

	snprintf(source, sizeof source, "/%s/", bucket);
	put(source, "a", old, BIG);
	snprintf(source, sizeof source, "s3://%s", bucket);
	door_mount(&door, BELIEVE, source);
	fd = open(door_path(&door, "a"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, first, sizeof first, 0), sizeof first);
	assert_memory_equal(first, old, sizeof first);
	snprintf(source, sizeof source, "/%s/", bucket);
	put(source, "a", new, BIG);
	result = read_on(fd, old);
	close(fd);
	door_expect_file(&door, "a", new, BIG);
	door_unmount(&door);
	free(old);
	free(new);
	return result;
}

static void a_reader_of_the_old_version_gets_no_mixture(void **state)
{
	(void)state;
	gateway_put(&gateway, "/mixture", NULL, 0);
	assert_int_equal(overwrite_under_a_reader("mixture"), -ESTALE);
}

/* F7, and that a bucket which keeps versions keeps those that are open. */
static void a_version_that_is_kept_is_read_to_its_end(void **state)
{
	static const char versioning[] = "<VersioningConfiguration><Status>Enabled</Status>"
					 "</VersioningConfiguration>";
	char version[256] = "", in_list[300];
	struct gateway_answer answer;

	(void)state;
	gateway_put(&gateway, "/kept", NULL, 0);
	gateway_put(&gateway, "/kept?versioning=", versioning, sizeof versioning - 1);
	assert_int_equal(overwrite_under_a_reader("kept"), BIG);
	put("/kept/", "b", "one", 3);
	door_mount(&door, BELIEVE, "s3://kept");
	assert_true(getxattr(door_path(&door, "b"), "user.pagein.version", version,
			    sizeof version - 1) > 0);
	answer = gateway_ask(&gateway, "GET", "/kept?prefix=b&versions=", NULL, 0, "s3");
	snprintf(in_list, sizeof in_list, "<VersionId>%s</VersionId>", version);
	assert_non_null(strstr(answer.body, in_list));
	free(answer.body);
	door_unmount(&door);
}

/* F7 */
static void attributes_of_a_version(void **state)
{
	char told[300] = "";
	struct gateway_answer answer;
	ssize_t length;

	(void)state;
	gateway_put(&gateway, "/attributes", NULL, 0);
	put("/attributes/", "a", "one", 3);
	door_mount(&door, BELIEVE, "s3://attributes");
	length = getxattr(door_path(&door, "a"), "user.pagein.etag", told, sizeof told - 1);
	assert_int_equal(length, 34);
	answer = gateway_ask(&gateway, "GET", "/attributes?list-type=2", NULL, 0, "s3");
	/* There in XML. */
	told[33] = '\0';
	assert_non_null(strstr(answer.body, &told[1]));
	free(answer.body);
	memset(told, 0, sizeof told);
	length = getxattr(door_path(&door, "a"), "user.pagein.content-type", told, sizeof told - 1);
	assert_true(length > 0);
	/* What libcurl says that it sends. */
	assert_string_equal(told, "application/x-www-form-urlencoded");
	door_unmount(&door);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_has_a_path_that_leads_back),
		cmocka_unit_test(random_keys_have_one_each),
		cmocka_unit_test(a_url_that_is_told_can_be_given),
		cmocka_unit_test(a_directory_takes_as_many_requests_as_pages),
		cmocka_unit_test(a_page_may_end_at_any_key),
		cmocka_unit_test(a_listed_file_costs_only_its_get),
		cmocka_unit_test(a_short_file_is_one_request),
		cmocka_unit_test(what_is_immutable_is_opened_without_a_request),
		cmocka_unit_test(a_new_open_sees_what_was_overwritten),
		cmocka_unit_test(a_reader_of_the_old_version_gets_no_mixture),
		cmocka_unit_test(a_version_that_is_kept_is_read_to_its_end),
		cmocka_unit_test(attributes_of_a_version),
	};

	assert_int_equal(argc, 2);
	command = argv[1];
	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, start_gateway, stop_gateway);
}
