/* names_test.c - directories through a mount are the local ones; and nothing can be changed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "fixture.h"

#define MANY 700 /* more than fit into one answer */

static void fill(const struct bed *bed)
{
	char name[64];

	bed_add_file(bed, "empty", 0, 0);
	bed_add_file(bed, "one", 1, 1);
	bed_add_file(bed, "a b&c%41#?\"'<>;.bin", 4097, 2);
	bed_add_file(bed, "\xc3\xa4\xe2\x82\xac", 10, 3);
	bed_add_file(bed, "+~!$()*,=@[]^`{|}", 11, 4);
	bed_add_directory(bed, "sub dir");
	bed_add_directory(bed, "sub dir/deep");
	bed_add_directory(bed, "nothing");
	bed_add_file(bed, "sub dir/deep/file", 300000, 5);
	bed_add_directory(bed, "many");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "many/file-with-a-longer-name-%u", i);
		bed_add_file(bed, name, i, i);
	}
}

static int set_up_html(void **state)
{
	static struct bed bed;

	bed_start(&bed, false, NULL);
	fill(&bed);
	bed_mount(&bed, "/", NULL);
	*state = &bed;
	return 0;
}

static int set_up_json(void **state)
{
	static struct bed bed;

	bed_start(&bed, true, NULL);
	fill(&bed);
	bed_mount(&bed, "/", NULL);
	*state = &bed;
	return 0;
}

static int tear_down(void **state)
{
	bed_finish(*state);
	return 0;
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void assert_same_attributes(const char *here, const char *there)
{
	struct stat a, b;

	assert_int_equal(stat(here, &a), 0);
	if (stat(there, &b) < 0)
		fail_msg("stat: %s: %s", there, strerror(errno));
	assert_int_equal(a.st_mode & S_IFMT, b.st_mode & S_IFMT);
	assert_int_equal(b.st_mode & 0777, S_ISDIR(b.st_mode) ? 0555 : 0444);
	assert_int_equal(b.st_uid, getuid());
	assert_int_equal(b.st_gid, getgid());
	if (!S_ISREG(a.st_mode))
		return;
	assert_int_equal(a.st_size, b.st_size);
	assert_int_equal(a.st_mtime, b.st_mtime);
	assert_int_equal(b.st_blocks, (b.st_size + 511) / 512);
}

/* Every entry of the directory there is one here, of the same kind; returns their number. */
static size_t compare_directory(const struct bed *bed, const char *name)
{
	DIR *there = opendir(remote(bed, name));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(there);
	while ((errno = 0, entry = readdir(there))) {
		char path[PATH_MAX];
		struct stat status;

		if (is_dot(entry->d_name))
			continue;
		count++;
		snprintf(path, sizeof path, "%s%s%s", name, *name ? "/" : "", entry->d_name);
		assert_same_attributes(local(bed, path), remote(bed, path));
		assert_int_equal(stat(remote(bed, path), &status), 0);
		assert_int_equal(entry->d_ino, status.st_ino);
		assert_int_equal(entry->d_type, S_ISDIR(status.st_mode) ? DT_DIR : DT_REG);
		if (entry->d_type == DT_DIR)
			count += compare_directory(bed, path);
	}
	assert_int_equal(errno, 0);
	closedir(there);
	return count;
}

static size_t count_local(const struct bed *bed, const char *name)
{
	DIR *here = opendir(local(bed, name));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(here);
	while ((entry = readdir(here))) {
		char path[PATH_MAX];

		if (is_dot(entry->d_name))
			continue;
		count++;
		snprintf(path, sizeof path, "%s%s%s", name, *name ? "/" : "", entry->d_name);
		if (entry->d_type == DT_DIR)
			count += count_local(bed, path);
	}
	closedir(here);
	return count;
}

static void the_tree_is_the_local_one(void **state)
{
	const struct bed *bed = *state;

	assert_int_equal(compare_directory(bed, ""), count_local(bed, ""));
	assert_same_file(bed, "a b&c%41#?\"'<>;.bin");
	assert_same_file(bed, "sub dir/deep/file");
	assert_same_file(bed, "+~!$()*,=@[]^`{|}");
}

static void a_listing_serves_all_its_files(void **state)
{
	const struct bed *bed = *state;
	uint64_t before = bed_stat(bed, "requests");

	assert_int_equal(compare_directory(bed, "many"), MANY);
	/* One for each of the two directories; once more if a second has passed. */
	assert_true(bed_stat(bed, "requests") - before <= 8);
}

static void sizes_that_are_not_listed_are_asked_for(void **state)
{
	struct bed *bed = *state;
	char page[8192] = "path=/x/ : body=\"";

	bed_unmount(bed);
	/* An index page with names only. */
	bed_add_directory(bed, "x");
	for (unsigned i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof name, "x/f%u", i);
		bed_add_file(bed, name, i, i);
		snprintf(page + strlen(page), 64, "<a href=f%u>f</a> ", i);
	}
	strcat(page, "<a href=missing>m</a>\" header=\"Content-Type: text/html\"");
	bed_set_script(bed, page);
	bed_mount(bed, "/", NULL);
	assert_int_equal(access(remote(bed, "x/missing"), F_OK), -1);
	assert_int_equal(errno, ENOENT);
	for (unsigned i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof name, "x/f%u", i);
		assert_same_attributes(local(bed, name), remote(bed, name));
		assert_same_file(bed, name);
	}
}

static void rewinding_and_seeking(void **state)
{
	DIR *directory = opendir(remote(*state, "many"));
	struct dirent *entry;
	char name[256];
	long place = 0;

	assert_non_null(directory);
	for (int i = 0; i < MANY / 2; i++) {
		place = telldir(directory);
		entry = readdir(directory);
		assert_non_null(entry);
	}
	strcpy(name, entry->d_name);
	while (readdir(directory))
		;
	seekdir(directory, place);
	entry = readdir(directory);
	assert_non_null(entry);
	assert_string_equal(entry->d_name, name);
	rewinddir(directory);
	entry = readdir(directory);
	assert_non_null(entry);
	assert_string_equal(entry->d_name, ".");
	closedir(directory);
}

static void what_is_not_there(void **state)
{
	const struct bed *bed = *state;
	char long_name[300];

	assert_int_equal(open(remote(bed, "none"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(open(remote(bed, "one/none"), O_RDONLY), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_null(opendir(remote(bed, "one")));
	assert_int_equal(errno, ENOTDIR);
	memset(long_name, 'x', sizeof long_name);
	long_name[sizeof long_name - 1] = '\0';
	assert_int_equal(open(remote(bed, long_name), O_RDONLY), -1);
	assert_int_equal(errno, ENAMETOOLONG);
}

#define REFUSED(call)                           \
	do {                                    \
		assert_int_equal(call, -1);     \
		assert_int_equal(errno, EROFS); \
	} while (0)

static void all_changes_are_refused(const struct bed *bed)
{
	struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};

	REFUSED(open(remote(bed, "one"), O_WRONLY));
	REFUSED(open(remote(bed, "one"), O_RDWR));
	REFUSED(open(remote(bed, "one"), O_RDONLY | O_TRUNC));
	REFUSED(open(remote(bed, "new"), O_RDWR | O_CREAT, 0644));
	REFUSED(truncate(remote(bed, "one"), 0));
	REFUSED(chmod(remote(bed, "one"), 0600));
	REFUSED(chown(remote(bed, "one"), 0, 0));
	REFUSED(utimensat(AT_FDCWD, remote(bed, "one"), now, 0));
	REFUSED(unlink(remote(bed, "one")));
	REFUSED(rmdir(remote(bed, "nothing")));
	REFUSED(mkdir(remote(bed, "new"), 0755));
	REFUSED(mknod(remote(bed, "new"), S_IFREG | 0644, 0));
	REFUSED(symlink("x", remote(bed, "new")));
	REFUSED(link(remote(bed, "one"), remote(bed, "new")));
	REFUSED(rename(remote(bed, "one"), remote(bed, "new")));
	REFUSED(setxattr(remote(bed, "one"), "user.x", "y", 1, 0));
	REFUSED(removexattr(remote(bed, "one"), "user.x"));
}

/* F6 */
static void nothing_can_be_changed(void **state)
{
	const struct bed *bed = *state;

	all_changes_are_refused(bed);
	assert_int_equal(access(remote(bed, "one"), R_OK), 0);
	assert_int_equal(getxattr(remote(bed, "one"), "user.x", NULL, 0), -1);
	assert_int_equal(errno, ENODATA);
}

/* As above, but now the kernel asks us: it has been told that the mount is writable. */
static void nothing_can_be_changed_on_a_mount_made_writable(void **state)
{
	const struct bed *bed = *state;

	if (mount(NULL, bed->mnt, NULL, MS_REMOUNT, "default_permissions") < 0) {
		print_message("skipped: remount: %s\n", strerror(errno));
		skip();
	}
	if (geteuid() == 0) /* whom no permission keeps away */
		all_changes_are_refused(bed);
}

static void the_file_system_says_what_it_is(void **state)
{
	struct statvfs status;

	assert_int_equal(statvfs(remote(*state, ""), &status), 0);
	assert_int_equal(status.f_namemax, 255);
	assert_true(status.f_flag & ST_RDONLY);
	assert_true(status.f_flag & ST_NOSUID);
	assert_int_equal(status.f_blocks, 0);
}

static void one_object_is_one_file(void **state)
{
	struct bed *bed = *state;

	bed_unmount(bed);
	bed_mount(bed, "/a%20b&c%2541%23%3F%22'%3C%3E%3B.bin", NULL);
	assert_int_equal(compare_directory(bed, ""), 1);
	assert_same_file(bed, "a b&c%41#?\"'<>;.bin");
	assert_int_equal(access(remote(bed, "one"), F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

static void a_subdirectory_is_a_root(void **state)
{
	struct bed *bed = *state;

	bed_unmount(bed);
	bed_mount(bed, "/many", NULL); /* the origin redirects to /many/ */
	assert_int_equal(access(remote(bed, "file-with-a-longer-name-7"), R_OK), 0);
}

#define BOTH(test)                                                     \
	cmocka_unit_test_setup_teardown(test, set_up_html, tear_down), \
		cmocka_unit_test_setup_teardown(test, set_up_json, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(the_tree_is_the_local_one),
		BOTH(a_listing_serves_all_its_files),
		cmocka_unit_test_setup_teardown(
			sizes_that_are_not_listed_are_asked_for, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(rewinding_and_seeking, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_there, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(nothing_can_be_changed, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_can_be_changed_on_a_mount_made_writable, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(
			the_file_system_says_what_it_is, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(one_object_is_one_file, set_up_html, tear_down),
		cmocka_unit_test_setup_teardown(a_subdirectory_is_a_root, set_up_html, tear_down),
	};

	bed_require_fuse();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
