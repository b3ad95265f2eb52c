/* tree_test.c - listings and inodes: which version a name stands for, and who keeps what alive. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "directory.h"
#include "index.h"
#include "source.h"
#include "tree.h"

static void add(
	struct directory *directory, const char *name, bool is_dir, uint64_t size, time_t mtime)
{
	struct index_entry entry = {
		.name = name,
		.name_length = strlen(name),
		.href = name,
		.is_dir = is_dir,
		.size = size,
		.mtime = mtime,
	};

	assert_int_equal(directory_add(directory, &entry), 0);
}

static struct directory *listing(void)
{
	struct directory *directory;

	assert_int_equal(directory_create(NULL, 0, &directory), 0);
	return directory;
}

static struct version version(uint64_t size, const char *etag)
{
	struct version made = {.size = size, .mtime_s = 7};

	strcpy(made.etag, etag);
	return made;
}

/* N9 */
static void names_are_sorted_and_unique(void **state)
{
	struct directory *directory = listing();
	uint64_t next = 2;

	(void)state;
	add(directory, "b", false, 1, 1);
	add(directory, "a", false, 2, 1);
	add(directory, "a", false, 2, 1);
	add(directory, "b", true, INDEX_SIZE_UNKNOWN, 1);
	add(directory, "\xc3\xbf", false, 3, 1);
	assert_int_equal(directory_finish(directory, NULL, &next), 0);
	assert_int_equal(directory_count(directory), 4);
	assert_string_equal(directory_at(directory, 0)->name, "a");
	assert_true(directory_find(directory, "b")->is_dir);
	assert_int_equal(directory_find(directory, "b%{object}")->size, 1);
	assert_int_equal(directory_find(directory, "\xc3\xbf")->size, 3);
	assert_null(directory_find(directory, "c"));
	assert_int_equal(next, 6);
	directory_put(directory);
}

static void an_empty_listing_has_nothing(void **state)
{
	struct directory *directory = listing();
	uint64_t next = 2;

	(void)state;
	assert_int_equal(directory_finish(directory, NULL, &next), 0);
	assert_int_equal(directory_count(directory), 0);
	assert_null(directory_find(directory, ""));
	directory_put(directory);
}

static void what_is_unchanged_keeps_its_number(void **state)
{
	struct directory *before = listing(), *after = listing();
	uint64_t next = 2;

	(void)state;
	add(before, "same", false, 1, 1);
	add(before, "size", false, 1, 1);
	add(before, "time", false, 1, 1);
	add(before, "dir", true, 0, 1);
	add(before, "kind", false, 0, 1);
	add(before, "gone", false, 1, 1);
	assert_int_equal(directory_finish(before, NULL, &next), 0);
	add(after, "same", false, 1, 1);
	add(after, "size", false, 2, 1);
	add(after, "time", false, 1, 2);
	add(after, "dir", true, 0, 2);
	add(after, "kind", true, 0, 1);
	add(after, "new", false, 1, 1);
	assert_int_equal(directory_finish(after, before, &next), 0);
#define NUMBER(in, name) (directory_find(in, name)->number)
	assert_int_equal(NUMBER(before, "same"), NUMBER(after, "same"));
	assert_int_equal(NUMBER(before, "dir"), NUMBER(after, "dir"));
	assert_int_not_equal(NUMBER(before, "size"), NUMBER(after, "size"));
	assert_int_not_equal(NUMBER(before, "time"), NUMBER(after, "time"));
	assert_int_not_equal(NUMBER(before, "kind"), NUMBER(after, "kind"));
	assert_true(NUMBER(after, "new") >= 8);
	assert_int_equal(directory_find(after, "dir")->mtime_s, 2);
	directory_put(before);
	directory_put(after);
}

static void a_listed_etag_tells_versions_apart(void **state)
{
	static const struct {
		const char *before, *after;
		bool same;
	} cases[] = {
		{"\"1\"", "\"1\"", true}, {"\"1\"", "\"2\"", false},
		{"W/\"1\"", "W/\"2\"", true}, /* which nobody would send with the bytes */
	};
	struct index_entry entry = {.name = "a", .name_length = 1, .href = "a", .size = 1};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct directory *before = listing(), *after = listing();
		uint64_t next = 2;

		entry.etag = cases[i].before;
		assert_int_equal(directory_add(before, &entry), 0);
		assert_int_equal(directory_finish(before, NULL, &next), 0);
		entry.etag = cases[i].after;
		assert_int_equal(directory_add(after, &entry), 0);
		assert_int_equal(directory_finish(after, before, &next), 0);
		assert_int_equal(NUMBER(before, "a") == NUMBER(after, "a"), cases[i].same);
		directory_put(before);
		directory_put(after);
	}
}

static void a_probe_fills_in_what_the_listing_lacks(void **state)
{
	struct directory *before = listing(), *after = listing();
	struct version found = version(100, "\"1\"");
	uint64_t next = 2, number;
	struct entry *entry;

	(void)state;
	add(before, "a", false, INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN);
	assert_int_equal(directory_finish(before, NULL, &next), 0);
	entry = directory_find(before, "a");
	number = entry->number;
	assert_false(entry_has_attributes(entry));
	entry_set_version(entry, &found, 5, &next);
	assert_true(entry_has_attributes(entry));
	assert_int_equal(entry->number, number);
	assert_int_equal(entry->size, 100);
	assert_int_equal(entry->mtime_s, 7);
	/* It survives a listing that knows nothing new. */
	add(after, "a", false, INDEX_SIZE_UNKNOWN, INDEX_MTIME_UNKNOWN);
	assert_int_equal(directory_finish(after, before, &next), 0);
	entry = directory_find(after, "a");
	assert_int_equal(entry->number, number);
	assert_int_equal(entry->size, 100);
	/* The same once more is the same version; with another validator it is not. */
	entry_set_version(entry, &found, 6, &next);
	assert_int_equal(entry->number, number);
	found = version(100, "\"2\"");
	entry_set_version(entry, &found, 7, &next);
	assert_int_not_equal(entry->number, number);
	directory_put(before);
	directory_put(after);
}

static void another_size_is_another_version_though_a_probe_failed_between(void **state)
{
	struct directory *directory = listing();
	struct version found = version(100, "");
	uint64_t next = 2, number;
	struct entry *entry;

	(void)state;
	add(directory, "a", false, INDEX_SIZE_UNKNOWN, 1);
	assert_int_equal(directory_finish(directory, NULL, &next), 0);
	entry = directory_find(directory, "a");
	entry_set_version(entry, &found, 5, &next);
	number = entry->number;
	entry_set_failed(entry, -5, 6);
	assert_false(entry_has_attributes(entry));
	found.size = 101;
	entry_set_version(entry, &found, 7, &next);
	assert_true(entry_has_attributes(entry));
	assert_int_not_equal(entry->number, number);
	directory_put(directory);
}

/* A tree with http://h/ and one directory, which has one file. */
struct small_tree {
	struct tree tree;
	struct inode *root, *directory, *file;
	struct directory *top, *below;
};

static void small_tree_make(struct small_tree *small)
{
	uint64_t next = 2;

	assert_int_equal(tree_init(&small->tree, "http://h/", &small->root), 0);
	small->top = listing();
	add(small->top, "d%20/", true, 0, 1);
	assert_int_equal(directory_finish(small->top, NULL, &next), 0);
	small->below = listing();
	add(small->below, "f", false, 9, 1);
	assert_int_equal(directory_finish(small->below, NULL, &next), 0);
	assert_int_equal(
		tree_get(&small->tree, small->root, directory_at(small->top, 0), &small->directory),
		0);
	assert_int_equal(tree_get(&small->tree, small->directory, directory_at(small->below, 0),
				 &small->file),
		0);
}

static void small_tree_end(struct small_tree *small)
{
	inode_put(&small->tree, small->root);
	tree_finish(&small->tree);
	directory_put(small->top);
	directory_put(small->below);
}

static void a_url_is_put_together(void **state)
{
	struct small_tree small;
	cleanup_free char *url = NULL, *entry_url = NULL;

	(void)state;
	small_tree_make(&small);
	assert_int_equal(inode_url(small.file, &url), 0);
	assert_string_equal(url, "http://h/d%20/f");
	assert_int_equal(inode_url_of(small.root, "x", &entry_url), 0);
	assert_string_equal(entry_url, "http://h/x");
	inode_put(&small.tree, small.file);
	inode_put(&small.tree, small.directory);
	small_tree_end(&small);
}

static void an_inode_never_changes_its_size(void **state)
{
	struct small_tree small;
	struct inode *inode;

	(void)state;
	small_tree_make(&small);
	directory_at(small.below, 0)->size++;
	assert_int_equal(
		tree_get(&small.tree, small.directory, directory_at(small.below, 0), &inode),
		-ESTALE);
	inode_put(&small.tree, small.file);
	inode_put(&small.tree, small.directory);
	small_tree_end(&small);
}

static void a_file_keeps_its_directories_alive(void **state)
{
	struct small_tree small;
	uint64_t number;

	(void)state;
	small_tree_make(&small);
	number = small.directory->number;
	small.file->lookups = 2;
	inode_put(&small.tree, small.file);
	inode_put(&small.tree, small.directory);
	assert_ptr_equal(tree_find(&small.tree, number), small.directory);
	inode_forget(&small.tree, small.file, 1);
	assert_non_null(tree_find(&small.tree, number));
	inode_forget(&small.tree, small.file, 1);
	assert_null(tree_find(&small.tree, number));
	assert_int_equal(small.tree.count, 1);
	small_tree_end(&small);
}

static void a_kernel_that_is_gone_forgets_all(void **state)
{
	struct small_tree small;

	(void)state;
	small_tree_make(&small);
	small.file->lookups = 1000;
	small.directory->lookups = 3;
	inode_put(&small.tree, small.file);
	inode_put(&small.tree, small.directory);
	tree_forget_all(&small.tree);
	assert_int_equal(small.tree.count, 1);
	small_tree_end(&small);
}

static void many_inodes_are_found_again(void **state)
{
	enum { COUNT = 5000 };
	struct directory *directory = listing();
	struct inode *root, *inode;
	uint64_t next = 2;
	struct tree tree;
	char name[16];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "%d", i);
		add(directory, name, false, (uint64_t)i, 1);
	}
	assert_int_equal(directory_finish(directory, NULL, &next), 0);
	assert_int_equal(tree_init(&tree, "http://h/", &root), 0);
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(tree_get(&tree, root, directory_at(directory, i), &inode), 0);
		inode->lookups++;
		inode_put(&tree, inode);
	}
	for (size_t i = 0; i < COUNT; i++) {
		inode = tree_find(&tree, directory_at(directory, i)->number);
		assert_non_null(inode);
		assert_string_equal(inode->name, directory_at(directory, i)->name);
	}
	tree_forget_all(&tree);
	inode_put(&tree, root);
	tree_finish(&tree);
	directory_put(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_sorted_and_unique),
		cmocka_unit_test(an_empty_listing_has_nothing),
		cmocka_unit_test(what_is_unchanged_keeps_its_number),
		cmocka_unit_test(a_listed_etag_tells_versions_apart),
		cmocka_unit_test(a_probe_fills_in_what_the_listing_lacks),
		cmocka_unit_test(another_size_is_another_version_though_a_probe_failed_between),
		cmocka_unit_test(a_url_is_put_together),
		cmocka_unit_test(an_inode_never_changes_its_size),
		cmocka_unit_test(a_file_keeps_its_directories_alive),
		cmocka_unit_test(a_kernel_that_is_gone_forgets_all),
		cmocka_unit_test(many_inodes_are_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
