/*
 * tree.c - a hash table of inodes by number, and their reference counts.
 *
 * Owned by the loop's thread. An inode stays as long as the kernel has looked it up or somebody
 * here holds it; it holds its parent, so that a URL can be put together at any time and is stored
 * by no inode but the root: a million inodes are a million names.
 *
 * Invariants: a number is in the table once; lookups + refs > 0 for each inode in it; what a file
 * is, its size above all, is fixed when the inode is made. Cost: an inode is 112 bytes and its
 * name; numbers are given in sequence, so that masking them spreads them evenly.
 *
 * Rejected: the inode's address as its number (shorter, but addresses come again, and st_ino with
 * them); a second table by parent and name (what a name stands for is its entry's number).
 */
#include "tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directory.h"

#define BUCKETS_MIN 256

static struct inode **bucket(const struct tree *tree, uint64_t number)
{
	return &tree->buckets[number & (tree->bucket_count - 1)];
}

static void tree_grow(struct tree *tree)
{
	struct tree grown = {.bucket_count = 2 * tree->bucket_count};

	grown.buckets = calloc(grown.bucket_count, sizeof *grown.buckets);
	if (!grown.buckets)
		return; /* longer chains, then */
	for (size_t i = 0; i < tree->bucket_count; i++) {
		struct inode *inode;

		while ((inode = tree->buckets[i])) {
			struct inode **to = bucket(&grown, inode->number);

			tree->buckets[i] = inode->chain;
			inode->chain = *to;
			*to = inode;
		}
	}
	free(tree->buckets);
	tree->buckets = grown.buckets;
	tree->bucket_count = grown.bucket_count;
}

static int inode_create(struct tree *tree, uint64_t number, const char *name, const char *href,
	bool is_dir, struct inode **ret)
{
	size_t name_size = strlen(name) + 1;
	size_t href_size = strcmp(name, href) == 0 ? 0 : strlen(href) + 1;
	struct inode *inode = calloc(1, sizeof *inode + name_size + href_size);

	if (!inode)
		return -ENOMEM;
	inode->number = number;
	inode->is_dir = is_dir;
	inode->mtime_s = -1;
	inode->refs = 1;
	memcpy(inode->name, name, name_size);
	inode->href = href_size ? memcpy(inode->name + name_size, href, href_size) : inode->name;
	if (is_dir)
		list_init(&inode->dir.listed);
	if (tree->count >= tree->bucket_count)
		tree_grow(tree);
	inode->chain = *bucket(tree, number);
	*bucket(tree, number) = inode;
	tree->count++;
	*ret = inode;
	return 0;
}

int tree_init(struct tree *tree, const char *url, struct inode **ret_root)
{
	int err;

	*tree = (struct tree){.bucket_count = BUCKETS_MIN};
	list_init(&tree->listed);
	tree->buckets = calloc(BUCKETS_MIN, sizeof *tree->buckets);
	if (!tree->buckets)
		return -ENOMEM;
	err = inode_create(tree, ROOT_NUMBER, "", url, true, ret_root);
	if (err < 0)
		tree_finish(tree);
	return err;
}

void tree_finish(struct tree *tree)
{
	assert(tree->count == 0);
	free(tree->buckets);
	tree->buckets = NULL;
}

struct inode *tree_find(const struct tree *tree, uint64_t number)
{
	struct inode *inode = *bucket(tree, number);

	while (inode && inode->number != number)
		inode = inode->chain;
	return inode;
}

int tree_get(struct tree *tree, struct inode *parent, const struct entry *entry, struct inode **ret)
{
	struct inode *inode = tree_find(tree, entry->number);
	int err;

	if (inode) {
		assert(inode->is_dir == entry->is_dir);
		if (!inode->is_dir && inode->size != entry->size)
			return -ESTALE;
		if (inode->is_dir)
			inode->mtime_s = entry->mtime_s;
		*ret = inode_get(inode);
		return 0;
	}
	err = inode_create(tree, entry->number, entry->name, entry->href, entry->is_dir, &inode);
	if (err < 0)
		return err;
	inode->parent = inode_get(parent);
	inode->size = entry->size;
	inode->listed_validator = entry->validator;
	inode->mtime_s = entry->mtime_s;
	*ret = inode;
	return 0;
}

void tree_set_listing(struct tree *tree, struct inode *inode, struct directory *listing)
{
	struct inode_dir *dir = &inode->dir;

	if (dir->listing)
		tree->listed_entries -= directory_count(dir->listing);
	directory_put(dir->listing);
	dir->listing = listing;
	list_remove(&dir->listed);
	if (!listing)
		return;
	tree->listed_entries += directory_count(listing);
	list_append(&tree->listed, &dir->listed);
}

void tree_use_listing(struct tree *tree, struct inode *inode)
{
	list_remove(&inode->dir.listed);
	list_append(&tree->listed, &inode->dir.listed);
}

void tree_drop_listings(struct tree *tree, size_t max)
{
	while (tree->listed_entries > max && tree->listed.next != tree->listed.prev)
		tree_set_listing(tree, list_first(&tree->listed, struct inode, dir.listed), NULL);
}

static void inode_free(struct tree *tree, struct inode *inode)
{
	struct inode **link = bucket(tree, inode->number);

	while (*link != inode)
		link = &(*link)->chain;
	*link = inode->chain;
	tree->count--;
	if (inode->is_dir) {
		assert(!inode->dir.fetch);
		tree_set_listing(tree, inode, NULL);
	} else {
		assert(!inode->file.file && !inode->file.opening);
		free(inode->file.validator);
	}
	free(inode);
}

/* Upwards, not recursively: a path may be as deep as somebody cares to make it. */
static void inode_reap(struct tree *tree, struct inode *inode)
{
	while (inode && inode->lookups == 0 && inode->refs == 0) {
		struct inode *parent = inode->parent;

		inode_free(tree, inode);
		if (parent) {
			assert(parent->refs > 0);
			parent->refs--;
		}
		inode = parent;
	}
}

struct inode *inode_get(struct inode *inode)
{
	inode->refs++;
	return inode;
}

void inode_put(struct tree *tree, struct inode *inode)
{
	assert(inode->refs > 0);
	inode->refs--;
	inode_reap(tree, inode);
}

void inode_forget(struct tree *tree, struct inode *inode, uint64_t count)
{
	assert(inode->lookups >= count);
	inode->lookups -= count;
	inode_reap(tree, inode);
}

void tree_forget_all(struct tree *tree)
{
	/* All are held first, so that freeing one can't free the next in the walk, its parent. */
	for (size_t i = 0; i < tree->bucket_count; i++) {
		for (struct inode *inode = tree->buckets[i]; inode; inode = inode->chain) {
			inode_get(inode);
			inode->lookups = 0;
		}
	}
	for (size_t i = 0; i < tree->bucket_count; i++) {
		for (struct inode *inode = tree->buckets[i], *next; inode; inode = next) {
			next = inode->chain;
			inode_put(tree, inode);
		}
	}
}

static bool is_inside(const struct inode *inode)
{
	return inode->parent && !*inode->href;
}

int inode_inside(const struct inode *inode, const char ***ret, size_t *ret_depth)
{
	const char **names;
	size_t depth = 0;

	for (const struct inode *at = inode; is_inside(at); at = at->parent)
		depth++;
	names = calloc(depth + 1, sizeof *names);
	if (!names)
		return -ENOMEM;
	*ret_depth = depth;
	for (const struct inode *at = inode; is_inside(at); at = at->parent)
		names[--depth] = at->name;
	*ret = names;
	return 0;
}

int inode_url(const struct inode *inode, char **ret)
{
	return inode_url_of(inode, "", ret);
}

int inode_url_of(const struct inode *inode, const char *href, char **ret)
{
	size_t length = strlen(href);
	char *url, *end;

	for (const struct inode *at = inode; at; at = at->parent)
		length += strlen(at->href);
	url = malloc(length + 1);
	if (!url)
		return -ENOMEM;
	end = url + length;
	*end = '\0';
	for (const struct inode *at = inode;; href = at->href, at = at->parent) {
		length = strlen(href);
		end -= length;
		memcpy(end, href, length);
		if (!at)
			break;
	}
	*ret = url;
	return 0;
}
