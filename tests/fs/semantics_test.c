/*
 * semantics_test.c - sentences of src/fs/SEMANTICS.md, by their numbers, on a bucket: what names
 * keys have, what is bounded, and what stat(2) and its like show.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "stage.h"

/* ---- names -------------------------------------------------------------------------------- */

/* N1 N2 N3 N4 N5 N6 */
static void awkward_keys(void **state)
{
	static const struct {
		const char *key, *name;
	} cases[] = {
		{"plain", "plain"},
		{".pagein/in", "%{2e}pagein/in"},
		{"sub/.pagein", "sub/.pagein"},
		{"dir/sub/file", "dir/sub/file"},
		{"dt=2024%2F05/100%", "dt=2024%2F05/100%"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"line\nbreak\x7f", "line%{0a}break%{7f}"},
		{"caf\xe9", "caf%{e9}"},
		{"%{01}", "%{25}{01}"},
		{"a//b", "a/%{}/b"},
		{"/lead", "%{}/lead"},
		{"//", "%{}/%{}/%{}"},
		{"x/../y", "x/%{2e2e}/y"},
		{"x/./y", "x/%{2e}/y"},
		{"x/..", "x/%{2e2e}%{object}"},
		{"folder/", "folder/%{}"},
		{"folder//in", "folder/%{}/in"},
		{"both", "both%{object}"},
		{"both/in", "both/in"},
		{"both-", "both-"},
		{"folder2/", "folder2/%{}"},
	};

	(void)state;
	bucket->page_keys = 2;
	for (size_t i = 0; i < array_len(cases); i++)
		bucket_add(bucket, cases[i].key, strlen(cases[i].key), 1000 + i, (unsigned)i);
	bucket_sort(bucket);
	start(NULL);
	for (size_t i = 0; i < array_len(cases); i++) {
		const char *name = cases[i].name;

		/* The empty part is a directory, too. */
		if (strcmp(cases[i].key, "folder/") == 0)
			name = "folder/%{}%{object}";
		assert_file(name, 1000 + i, (unsigned)i);
	}
	assert_directory("both");
	assert_directory("folder/%{}");
	bucket_unmount(&mount);
}

/* N10 */
static void our_own_name_is_ours(void **state)
{
	(void)state;
	add(".pagein", 10, 1);
	add(".pagein/in", 20, 2);
	add(".pagein-", 30, 3);
	start(NULL);
	assert_int_equal(count_names(""), 3);
	assert_file("%{2e}pagein%{object}", 10, 1);
	assert_file("%{2e}pagein/in", 20, 2);
	assert_file(".pagein-", 30, 3);
	assert_directory(".pagein");
	assert_int_equal(count_names(".pagein"), 1);
	assert_missing(".pagein/in");
	bucket_unmount(&mount);
}

/* N5 */
static void markers_are_not_listed(void **state)
{
	(void)state;
	add("folder/", 0, 1);
	add("folder/file", 10, 2);
	add("full/", 10, 3);
	start(NULL);
	assert_int_equal(count_names("folder"), 1);
	assert_file("folder/%{}", 0, 1);
	assert_int_equal(count_names("full"), 1);
	assert_file("full/%{}", 10, 3);
	bucket_unmount(&mount);
}

/* N7 */
static void long_names_go_on_in_directories(void **state)
{
	char key[1000], name[1200];

	(void)state;
	memset(key, 'k', sizeof key);
	bucket->page_keys = 3;
	bucket_add(bucket, key, 255, 100, 1);
	bucket_add(bucket, key, 256, 100, 2);
	bucket_add(bucket, key, 1000, 100, 3);
	key[600] = '/';
	bucket_add(bucket, key, 700, 100, 4);
	bucket_add(bucket, key, 600, 100, 5);
	bucket_sort(bucket);
	start(NULL);
	assert_int_equal(count_names(""), 2);
	snprintf(name, sizeof name, "%.255s", key);
	assert_file(name, 100, 1);
	snprintf(name, sizeof name, "%.251s%%{+}/%.5s", key, key);
	assert_file(name, 100, 2);
	snprintf(name, sizeof name, "%.251s%%{+}/%.251s%%{+}/%.251s%%{+}/%.247s", key, key, key,
		key);
	assert_file(name, 100, 3);
	snprintf(name, sizeof name, "%.251s%%{+}/%.251s%%{+}/%.98s/%.99s", key, key, key, key);
	assert_file(name, 100, 4);
	snprintf(name, sizeof name, "%.251s%%{+}/%.251s%%{+}/%.98s%%{object}", key, key, key);
	assert_file(name, 100, 5);
	/* One more of them than of the directory that it stands in: the rest of 1,000. */
	snprintf(name, sizeof name, "%.251s%%{+}", key);
	assert_int_equal(count_names(name), 2);
	snprintf(name, sizeof name, "%.251s%%{+}/none", key);
	assert_missing(name);
	bucket_unmount(&mount);
}

/* F1 F4: the listing has it, or only the open finds out. */
static void another_version_is_another_inode(void **state)
{
	struct fs_options options = bucket_options();
	struct stat before, after;

	(void)state;
	add("a", 10, 1);
	options.metadata_ttl_ns = 0;
	start(&options);
	assert_int_equal(stat(path("a"), &before), 0);
	assert_int_equal(stat(path("a"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	bucket->objects[0].seed = 2;
	assert_int_equal(stat(path("a"), &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_file("a", 10, 2);
	bucket_unmount(&mount);

	start(NULL);
	assert_int_equal(stat(path("a"), &before), 0);
	bucket->objects[0].seed = 3;
	assert_file("a", 10, 3);
	assert_int_equal(stat(path("a"), &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(after.st_mtime, BUCKET_MTIME + 3);
	bucket_unmount(&mount);
}

/* ---- bounds ------------------------------------------------------------------------------- */

static uint64_t server_bytes(void)
{
	char status[64], line[256];
	uint64_t kib = 0;
	FILE *file;

	snprintf(status, sizeof status, "/proc/%d/status", mount.server);
	file = fopen(status, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "RssAnon: %ju", &kib);
	fclose(file);
	assert_true(kib > 0);
	return kib << 10;
}

/* L1 */
static void a_large_directory_costs_its_pages_and_little_memory(void **state)
{
	uint64_t before, listed, stated;
	char key[32];

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		bucket_add(bucket, key, (size_t)sprintf(key, "d/object-%08u", i), i, i);
	bucket_sort(bucket);
	start(NULL);
	before = server_bytes();
	assert_int_equal(count_names("d"), 100000);
	assert_in_range(bucket->pages, 100, 101);
	assert_int_equal(bucket->lists, 1);
	listed = server_bytes();
	assert_int_equal(find("d"), 100000);
	stated = server_bytes();
	assert_int_equal(bucket->lists, 1);
	assert_int_equal(bucket->heads + bucket->probes + bucket->gets, 0);
	print_message("bytes an object: %ju listed, %ju with its inode\n",
		(uintmax_t)((listed - before) / 100000), (uintmax_t)((stated - before) / 100000));
	if (!WITH_SANITIZER) {
		assert_in_range(listed - before, 1, 200 * 100000);
		assert_in_range(stated - before, 1, 300 * 100000);
	}
	bucket_unmount(&mount);
}

static bool kernel_can_be_asked_to_forget(void)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	assert_int_equal(uname(&name), 0);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	return major > 6 || (major == 6 && minor >= 18);
}

/* L2 */
static void inodes_are_bounded(void **state)
{
	struct fs_options options = bucket_options();
	char key[32];

	if (!kernel_can_be_asked_to_forget())
		skip_because("FUSE_NOTIFY_PRUNE is of Linux 6.18");

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		bucket_add(bucket, key, (size_t)sprintf(key, "d/%04u", i), 1, i);
	add("e/f", 1, 1);
	options.inodes_max = 100;
	start(&options);
	assert_int_equal(find("d"), 5000);
	assert_int_equal(find("d"), 5000);
	assert_int_equal(find("e"), 1); /* a request, which tells */
	/* One answer to a readdir may bring some 200. */
	assert_in_range(bucket->inodes, 50, 400);
	assert_int_equal(bucket->lists, 2);
	bucket_unmount(&mount);
}

/* L2 */
static void listings_are_bounded(void **state)
{
	struct fs_options options = bucket_options();
	char key[32];

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		for (unsigned j = 0; j < 100; j++)
			bucket_add(bucket, key, (size_t)sprintf(key, "d%02u/f%02u", i, j), 1, j);
	bucket_sort(bucket);
	options.names_max = 1000;
	start(&options);
	assert_int_equal(find(""), 2000);
	assert_int_equal(bucket->lists, 20);
	assert_in_range(bucket->names, 800, 1000);
	/* The newest are still there; the oldest is asked for once more. */
	assert_int_equal(find("d19"), 100);
	assert_int_equal(bucket->lists, 20);
	assert_int_equal(find("d00"), 100);
	assert_int_equal(bucket->lists, 21);
	bucket_unmount(&mount);
}

/* L2: what is dropped while a lookup waits for a probe is not asked for again: lookups in three
 * directories would drop each other's listings for ever. */
static void a_dropped_listing_answers_who_waits(void **state)
{
	struct fs_options options = bucket_options();
	pid_t waiting;

	(void)state;
	add("d/a", 10, 1);
	add("e/a", 20, 2);
	bucket->lists_etags = false;
	options.names_max = 1;
	start(&options);
	bucket->heads_max = 0;
	waiting = stat_begin("d/a", 10);
	while (bucket->ends == 0)
		usleep(1000);
	/* The root's listing has made room for the one of `d`, and is now the one that stays. */
	assert_directory("e");
	assert_int_equal(bucket->lists, 2);
	bucket->heads_max = ULONG_MAX;
	assert_int_equal(stat_end(waiting), 0);
	assert_int_equal(bucket->lists, 2);
	assert_int_equal(bucket->heads, 1);
	bucket_unmount(&mount);
}

/* ---- what stat(2) and its like show ------------------------------------------------------- */

/* F5 */
static void owner_and_modes_are_options(void **state)
{
	struct fs_options options = bucket_options();
	struct stat status;

	(void)state;
	add("d/a", 5000, 1);
	options.uid = 1234;
	options.gid = 2345;
	options.file_mode = 0640;
	options.dir_mode = 0750;
	start(&options);
	assert_int_equal(stat(path("d/a"), &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | 0640);
	assert_int_equal(status.st_uid, 1234);
	assert_int_equal(status.st_gid, 2345);
	assert_int_equal(status.st_size, 5000);
	assert_int_equal(status.st_blocks, 10);
	assert_int_equal(status.st_nlink, 1);
	assert_int_equal(status.st_mtime, BUCKET_MTIME + 1);
	assert_int_equal(stat(path("d"), &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0750);
	bucket_unmount(&mount);
}

static void assert_xattr(const char *name, const char *attribute, const char *expected)
{
	char value[256];
	ssize_t length = getxattr(path(name), attribute, NULL, 0);

	assert_int_equal(length, expected ? (ssize_t)strlen(expected) : -1);
	if (!expected) {
		assert_int_equal(errno, ENODATA);
		return;
	}
	assert_int_equal(getxattr(path(name), attribute, value, sizeof value), length);
	assert_memory_equal(value, expected, (size_t)length);
	assert_int_equal(getxattr(path(name), attribute, value, 1), length > 1 ? -1 : length);
}

/* F7 */
static void extended_attributes_can_be_asked_for(void **state)
{
	char list[16];
	int fd;

	(void)state;
	add("d/a b", 5000, 7);
	start(NULL);
	assert_xattr("d/a b", "user.pagein.url", "http://bucket/d/a%20b");
	assert_xattr("d", "user.pagein.url", "http://bucket/d/");
	assert_int_equal(bucket->heads, 0);
	assert_xattr("d/a b", "user.pagein.etag", "\"7\"");
	assert_xattr("d/a b", "user.pagein.version", "\"7\"");
	assert_int_equal(bucket->heads, 1);
	assert_xattr("d/a b", "user.pagein.content-type", NULL);
	assert_xattr("d/a b", "user.other", NULL);
	assert_xattr("d", "user.pagein.etag", NULL);
	assert_xattr("d/a b", "user.pagein.resident", "0");
	fd = open(path("d/a b"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_xattr("d/a b", "user.pagein.resident", "5000");
	close(fd);
	assert_int_equal(listxattr(path("d/a b"), list, sizeof list), 0);
	bucket_unmount(&mount);
}

/* F7: they are the inode's version's, or it has gone. */
static void extended_attributes_are_of_one_version(void **state)
{
	(void)state;
	add("a", 5000, 7);
	start(NULL);
	assert_int_equal(access(path("a"), F_OK), 0);
	bucket->objects[0].seed = 8;
	/* The path is looked up once more, and leads to the new one. */
	assert_xattr("a", "user.pagein.etag", "\"8\"");
	bucket_clear(bucket);
	assert_int_equal(getxattr(path("a"), "user.pagein.content-type", NULL, 0), -1);
	assert_true(errno == ENODATA); /* what was asked last is still believed */
	bucket_unmount(&mount);
}

/* L3 */
static void df_shows_no_sizes(void **state)
{
	struct statvfs status;

	(void)state;
	start(NULL);
	assert_int_equal(statvfs(mount.mnt, &status), 0);
	assert_int_equal(status.f_blocks, 0);
	assert_int_equal(status.f_bavail, 0);
	assert_int_equal(status.f_namemax, 255);
	assert_true(status.f_flag & ST_RDONLY);
	bucket_unmount(&mount);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(awkward_keys),
		TEST(our_own_name_is_ours),
		TEST(markers_are_not_listed),
		TEST(long_names_go_on_in_directories),
		TEST(another_version_is_another_inode),
		TEST(a_large_directory_costs_its_pages_and_little_memory),
		TEST(inodes_are_bounded),
		TEST(listings_are_bounded),
		TEST(a_dropped_listing_answers_who_waits),
		TEST(owner_and_modes_are_options),
		TEST(extended_attributes_can_be_asked_for),
		TEST(extended_attributes_are_of_one_version),
		TEST(df_shows_no_sizes),
	};

	bucket_require_fuse();
	return run_group(tests);
}
