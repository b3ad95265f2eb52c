/*
 * listing_test.c - sentences of src/fs/SEMANTICS.md, by their numbers, on a bucket: what a listing
 * is good for, from its first page on, and for how long things are believed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage.h"

/* ---- what a listing is good for ----------------------------------------------------------- */

/* T4 */
static void a_listed_file_costs_only_its_get(void **state)
{
	(void)state;
	add("dir/a", 10000, 1);
	add("dir/b", 10000, 2);
	start(NULL);
	assert_int_equal(count_names("dir"), 2);
	bucket_reset_counts(bucket);
	assert_file("dir/a", 10000, 1);
	assert_int_equal(bucket->probes, 1);
	assert_int_equal(bucket->lists + bucket->heads + bucket->gets, 0);
	assert_missing("dir/c");
	assert_int_equal(bucket->lists, 0);
	bucket_unmount(&mount);
}

/* T4 */
static void the_get_of_an_open_brings_all_of_a_short_file(void **state)
{
	(void)state;
	add("dir/a", 131072, 1);
	add("dir/b", 131073, 2);
	start(NULL);
	assert_int_equal(count_names("dir"), 2);
	bucket_reset_counts(bucket);
	assert_file("dir/a", 131072, 1);
	assert_int_equal(bucket->probes, 1);
	assert_int_equal(bucket->lists + bucket->heads + bucket->gets, 0);
	assert_file("dir/b", 131073, 2);
	assert_int_equal(bucket->probes, 2);
	assert_true(bucket->gets > 0);
	bucket_unmount(&mount);
}

/* T4 */
static void find_lists_each_directory_once(void **state)
{
	char key[32];

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		for (unsigned j = 0; j < 100; j++)
			bucket_add(bucket, key, (size_t)sprintf(key, "d%03u/f%02u", i, j), 1, j);
	bucket_sort(bucket);
	start(NULL);
	assert_int_equal(find(""), 100000);
	/* The root's was listed before the mount. */
	assert_int_equal(bucket->lists, 1000);
	assert_int_equal(bucket->heads + bucket->probes + bucket->gets, 0);
	bucket_unmount(&mount);
}

static void add_pages(void)
{
	char key[32];

	bucket->page_keys = 10;
	for (unsigned i = 0; i < 55; i++)
		bucket_add(bucket, key, (size_t)sprintf(key, "d/%02u", i), 1, i);
	bucket_sort(bucket);
	start(NULL);
}

/* T5 */
static void names_are_shown_as_their_pages_come(void **state)
{
	struct stat status;
	DIR *directory;

	(void)state;
	add_pages();
	bucket->pages_max = 1;
	directory = opendir(path("d"));
	assert_non_null(directory);
	/* The dots and ten names, of which the last may still become a directory's. */
	for (int i = 0; i < 11; i++)
		assert_non_null(readdir(directory));
	assert_int_equal(stat(path("d/03"), &status), 0);
	assert_int_equal(bucket->pages, 1);
	bucket->pages_max = ULONG_MAX;
	for (int i = 11; i < 57; i++)
		assert_non_null(readdir(directory));
	assert_null(readdir(directory));
	closedir(directory);
	assert_int_equal(bucket->lists, 1);
	assert_int_equal(bucket->pages, 6);
	bucket_unmount(&mount);
}

/* T5 */
static void an_open_directory_keeps_its_listing(void **state)
{
	struct fs_options options = bucket_options();
	DIR *directory;
	size_t count = 0;
	char key[32];

	(void)state;
	/* More than fit into one answer to readdir, in one page, so that all has come at once. */
	bucket->page_keys = 2000;
	for (unsigned i = 0; i < 1999; i++)
		bucket_add(bucket, key, (size_t)sprintf(key, "d/with-a-long-name-%04u", i), 1, i);
	bucket_sort(bucket);
	options.metadata_ttl_ns = 0;
	start(&options);
	directory = opendir(path("d"));
	assert_non_null(directory);
	assert_non_null(readdir(directory));
	bucket_clear(bucket);
	add("d/z", 1, 1);
	assert_int_equal(count_names("d"), 1);
	while (readdir(directory))
		count++;
	assert_int_equal(count + 1, 2 + 1999);
	closedir(directory);
	bucket_unmount(&mount);
}

/* T6 */
static void closing_a_directory_ends_its_listing(void **state)
{
	DIR *directory;

	(void)state;
	add_pages();
	bucket->pages_max = 2;
	directory = opendir(path("d"));
	assert_non_null(directory);
	assert_non_null(readdir(directory));
	closedir(directory);
	/* The release comes when the close is over: the server has seen it before this one. */
	assert_missing("none");
	bucket->pages_max = ULONG_MAX;
	/* Were it still coming, this would be the rest of it. */
	assert_int_equal(count_names("d"), 55);
	assert_int_equal(bucket->lists, 2);
	bucket_unmount(&mount);
}

/* T6: of two that read it, one is somebody else. */
static void closing_a_directory_leaves_others_their_listing(void **state)
{
	DIR *directories[2];
	size_t count = 0;

	(void)state;
	add_pages();
	bucket->pages_max = 2;
	for (int i = 0; i < 2; i++) {
		directories[i] = opendir(path("d"));
		assert_non_null(directories[i]);
		assert_non_null(readdir(directories[i]));
	}
	closedir(directories[0]);
	assert_missing("none");
	bucket->pages_max = ULONG_MAX;
	while (readdir(directories[1]))
		count++;
	assert_int_equal(count + 1, 2 + 55);
	closedir(directories[1]);
	assert_int_equal(bucket->lists, 1);
	bucket_unmount(&mount);
}

/* T7: while nobody waits for more of it, but somebody will read on. */
static void a_listing_that_broke_off_is_no_end(void **state)
{
	DIR *directory;

	(void)state;
	add_pages();
	bucket->list_err = -EACCES;
	bucket->pages_max = 2;
	directory = opendir(path("d"));
	assert_non_null(directory);
	while (bucket->ends == 0)
		usleep(1000);
	while ((errno = 0, readdir(directory)))
		;
	assert_int_equal(errno, EACCES);
	closedir(directory);
	bucket_unmount(&mount);
}

/* T7 */
static void a_listing_that_breaks_off_is_no_end(void **state)
{
	DIR *directory;
	size_t count = 0;

	(void)state;
	add_pages();
	bucket->list_err = -EACCES;
	bucket->pages_max = 2;
	directory = opendir(path("d"));
	assert_non_null(directory);
	while ((errno = 0, readdir(directory)))
		count++;
	assert_int_equal(errno, EACCES);
	assert_in_range(count, 2 + 9, 2 + 20);
	closedir(directory);
	bucket->pages_max = ULONG_MAX;
	bucket->list_err = 0;
	assert_int_equal(count_names("d"), 55);
	bucket_unmount(&mount);
}

/* T5 T7: and what was found in it before is good for who has waited for its size since. */
static void a_name_outlives_its_listing(void **state)
{
	pid_t waiting;

	(void)state;
	bucket->lists_etags = false;
	add_pages();
	bucket->list_err = -EACCES;
	bucket->pages_max = 1;
	bucket->heads_max = 0;
	waiting = stat_begin("d/03", 1);
	while (bucket->ends == 0)
		usleep(1000);
	bucket->heads_max = ULONG_MAX;
	assert_int_equal(stat_end(waiting), 0);
	assert_int_equal(bucket->lists, 1);
	bucket_unmount(&mount);
}

/* ---- how long ----------------------------------------------------------------------------- */

/* T1 */
static void names_are_believed_for_the_metadata_ttl(void **state)
{
	struct fs_options options = bucket_options();

	(void)state;
	add("a", 10, 1);
	start(&options);
	assert_file("a", 10, 1);
	add("b", 10, 2);
	assert_int_equal(count_names(""), 1);
	assert_int_equal(bucket->lists, 0);
	bucket_unmount(&mount);
	options.metadata_ttl_ns = 0;
	start(&options);
	assert_int_equal(count_names(""), 2);
	add("c", 10, 3);
	assert_int_equal(count_names(""), 3);
	bucket_unmount(&mount);
}

/* T2 */
static void misses_are_believed_for_the_negative_ttl(void **state)
{
	struct fs_options options = bucket_options();

	(void)state;
	add("a", 10, 1);
	options.metadata_ttl_ns = 0;
	start(&options);
	assert_missing("b");
	add("b", 10, 2);
	assert_missing("b");
	assert_missing("b");
	assert_file("a", 10, 1);
	bucket_unmount(&mount);

	options = bucket_options();
	options.negative_ttl_ns = 0;
	start(&options);
	assert_missing("c");
	assert_int_equal(bucket->lists, 1);
	add("c", 10, 3);
	assert_file("c", 10, 3);
	assert_int_equal(bucket->lists, 2);
	assert_file("a", 10, 1);
	assert_int_equal(bucket->lists, 2);
	bucket_unmount(&mount);
}

/* T3 */
static void what_is_immutable_is_not_asked_for_again(void **state)
{
	struct fs_options options = bucket_options();
	struct stat status;

	(void)state;
	add("a", 10, 1);
	options.metadata_ttl_ns = options.negative_ttl_ns = 0;
	options.immutable = true;
	start(&options);
	assert_file("a", 10, 1);
	assert_missing("b");
	add("b", 10, 2);
	bucket->objects[0].size = 20;
	assert_missing("b");
	assert_int_equal(stat(path("a"), &status), 0);
	assert_int_equal(status.st_size, 10);
	assert_int_equal(count_names(""), 1);
	assert_int_equal(bucket->lists, 0);
	bucket_unmount(&mount);
}

/* T8 */
static void what_is_immutable_is_opened_without_a_request(void **state)
{
	struct fs_options options = bucket_options();
	unsigned char byte;
	int fd;

	(void)state;
	add("dir/a", 1000000, 1);
	add("dir/b", 1000000, 2);
	options.immutable = true;
	start(&options);
	assert_int_equal(count_names("dir"), 2);
	bucket_reset_counts(bucket);
	fd = open(path("dir/a"), O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(bucket->lists + bucket->heads + bucket->probes + bucket->gets, 0);
	assert_int_equal(pread(fd, &byte, 1, 700000), 1);
	assert_int_equal(byte, bucket_byte(1, 700000));
	assert_int_equal(bucket->gets, 1);
	close(fd);
	assert_int_equal(bucket->lists + bucket->heads + bucket->probes, 0);
	/* Who does not tell versions is asked for them. */
	bucket->lists_etags = false;
	bucket_unmount(&mount);
	start(&options);
	bucket_reset_counts(bucket);
	assert_file("dir/b", 1000000, 2);
	assert_int_equal(bucket->probes, 1);
	bucket_unmount(&mount);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_listed_file_costs_only_its_get),
		TEST(the_get_of_an_open_brings_all_of_a_short_file),
		TEST(find_lists_each_directory_once),
		TEST(names_are_shown_as_their_pages_come),
		TEST(an_open_directory_keeps_its_listing),
		TEST(closing_a_directory_ends_its_listing),
		TEST(closing_a_directory_leaves_others_their_listing),
		TEST(a_listing_that_broke_off_is_no_end),
		TEST(a_listing_that_breaks_off_is_no_end),
		TEST(a_name_outlives_its_listing),
		TEST(names_are_believed_for_the_metadata_ttl),
		TEST(misses_are_believed_for_the_negative_ttl),
		TEST(what_is_immutable_is_not_asked_for_again),
		TEST(what_is_immutable_is_opened_without_a_request),
	};

	bucket_require_fuse();
	return run_group(tests);
}
