/*
 * directory.c - the entries of one listing in one sorted array, their strings in an arena.
 *
 * Owned by the loop's thread; shared by reference between the directory's inode, which has the
 * newest listing, and open directory handles, which keep the one they began with, so that an offset
 * means the same entry for as long as somebody reads.
 *
 * Invariants, after directory_finish(): names are unique and ascending; numbers are unique for
 * ever. Cost: an entry is 100 bytes and its strings; finding one is a binary search; a refresh is
 * one sort and one merge with the listing before.
 *
 * Rejected: a hash of names (the array has to be sorted anyway for stable offsets), one malloc a
 * name (a million of them is the limit), and reference counts of entries.
 */
#include "directory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "index.h"
#include "source.h"

#define ARENA_BYTES ((size_t)64 << 10)

struct arena {
	struct arena *next;
	size_t used;
	char bytes[];
};

struct directory {
	unsigned refs;
	struct arena *arena;
	struct entry *entries;
	size_t count;
	size_t max;
};

int directory_create(struct directory **ret)
{
	struct directory *directory = calloc(1, sizeof *directory);

	if (!directory)
		return -ENOMEM;
	directory->refs = 1;
	*ret = directory;
	return 0;
}

struct directory *directory_get(struct directory *directory)
{
	directory->refs++;
	return directory;
}

void directory_put(struct directory *directory)
{
	if (!directory)
		return;
	assert(directory->refs > 0);
	if (--directory->refs > 0)
		return;
	while (directory->arena) {
		struct arena *next = directory->arena->next;

		free(directory->arena);
		directory->arena = next;
	}
	free(directory->entries);
	free(directory);
}

static const char *keep_string(struct directory *directory, const char *text)
{
	size_t length = strlen(text) + 1;
	struct arena *arena = directory->arena;
	char *copy;

	if (!arena || arena->used + length > ARENA_BYTES) {
		arena = malloc(sizeof *arena + (length > ARENA_BYTES ? length : ARENA_BYTES));
		if (!arena)
			return NULL;
		arena->used = 0;
		arena->next = directory->arena;
		directory->arena = arena;
	}
	copy = memcpy(arena->bytes + arena->used, text, length);
	arena->used += length;
	return copy;
}

static int make_room(struct directory *directory)
{
	size_t max = directory->max ? 2 * directory->max : 16;
	struct entry *entries;

	if (directory->count < directory->max)
		return 0;
	entries = reallocarray(directory->entries, max, sizeof *entries);
	if (!entries)
		return -ENOMEM;
	directory->entries = entries;
	directory->max = max;
	return 0;
}

int directory_add(struct directory *directory, const struct index_entry *from)
{
	int64_t mtime_s = from->mtime == INDEX_MTIME_UNKNOWN ? -1 : (int64_t)from->mtime;
	struct entry entry = {
		.is_dir = from->is_dir,
		.listed_size = from->is_dir ? 0 : from->size,
		.listed_mtime_s = mtime_s,
		.mtime_s = mtime_s,
	};
	int err = make_room(directory);

	if (err < 0)
		return err;
	entry.name = keep_string(directory, from->name);
	entry.href = keep_string(directory, from->href);
	if (!entry.name || !entry.href)
		return -ENOMEM;
	entry.has_size = from->is_dir || from->size != INDEX_SIZE_UNKNOWN;
	if (entry.has_size)
		entry.size = entry.listed_size;
	directory->entries[directory->count++] = entry;
	return 0;
}

static int compare(const void *a_, const void *b_)
{
	const struct entry *a = a_, *b = b_;
	int order = strcmp(a->name, b->name);

	return order != 0 ? order : (int)b->is_dir - (int)a->is_dir;
}

static void drop_duplicates(struct directory *directory)
{
	size_t kept = 0;

	for (size_t i = 0; i < directory->count; i++) {
		struct entry *entry = &directory->entries[i];

		if (kept == 0 || strcmp(directory->entries[kept - 1].name, entry->name) != 0)
			directory->entries[kept++] = *entry;
	}
	directory->count = kept;
}

/* The listing has nothing new to say about a name: what was found out by other means stands. */
static void inherit(struct entry *entry, const struct entry *older)
{
	entry->number = older->number;
	if (entry->is_dir)
		return;
	entry->has_size = older->has_size;
	entry->size = older->size;
	entry->mtime_s = older->mtime_s;
	entry->probed_ns = older->probed_ns;
	entry->probe_err = older->probe_err;
	entry->validator = older->validator;
}

static bool unchanged(const struct entry *entry, const struct entry *older)
{
	if (entry->is_dir || older->is_dir)
		return entry->is_dir == older->is_dir;
	return entry->listed_size == older->listed_size &&
	       entry->listed_mtime_s == older->listed_mtime_s;
}

void directory_finish(
	struct directory *directory, const struct directory *older, uint64_t *next_number)
{
	size_t count = older ? older->count : 0;
	size_t at = 0;

	if (directory->count > 0)
		qsort(directory->entries, directory->count, sizeof *directory->entries, compare);
	drop_duplicates(directory);
	for (size_t i = 0; i < directory->count; i++) {
		struct entry *entry = &directory->entries[i];
		int order = 1;

		while (at < count && (order = strcmp(older->entries[at].name, entry->name)) < 0)
			at++;
		if (at < count && order == 0 && unchanged(entry, &older->entries[at]))
			inherit(entry, &older->entries[at]);
		else
			entry->number = (*next_number)++;
	}
}

size_t directory_count(const struct directory *directory)
{
	return directory->count;
}

struct entry *directory_at(struct directory *directory, size_t index)
{
	assert(index < directory->count);
	return &directory->entries[index];
}

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct entry *)entry)->name);
}

struct entry *directory_find(struct directory *directory, const char *name)
{
	if (directory->count == 0)
		return NULL;
	return bsearch(name, directory->entries, directory->count, sizeof *directory->entries,
		compare_name);
}

/* FNV-1a: told apart are the few versions that one name has had, not hostile ones. */
static uint64_t hash_validator(const char *validator)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (!*validator)
		return 0;
	for (; *validator; validator++)
		hash = (hash ^ (unsigned char)*validator) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

void entry_set_version(
	struct entry *entry, const struct version *version, uint64_t now_ns, uint64_t *next_number)
{
	uint64_t validator = hash_validator(version_validator(version));
	bool changed = (entry->has_size && entry->size != version->size) ||
		       (entry->validator && entry->validator != validator);

	/* Tools compare times before and after reading, so that one version must show one time,
	 * though a listing has it in whole minutes and a probe in seconds. */
	if (changed || entry->mtime_s < 0)
		entry->mtime_s = version->mtime_s;
	if (changed)
		entry->number = (*next_number)++;
	entry->has_size = true;
	entry->size = version->size;
	entry->validator = validator;
	entry->probed_ns = now_ns;
	entry->probe_err = 0;
}

void entry_set_failed(struct entry *entry, int err, uint64_t now_ns)
{
	entry->probe_err = err;
	entry->probed_ns = now_ns;
}

void entry_renumber(struct entry *entry, uint64_t *next_number)
{
	entry->number = (*next_number)++;
	entry->probed_ns = 0;
	entry->validator = 0;
}
