/*
 * directory.c - the entries of one listing: an array that only grows, a hash table of their names,
 * and an arena for the strings.
 *
 * Owned by the loop's thread; shared by reference between the directory's inode, which has the
 * newest whole listing, a fetch under way, and open directory handles, which keep the one they
 * began with, so that an offset means the same entry for as long as somebody reads.
 *
 * Entries that have arrived wait in `held` with their source's names until a page or the listing
 * ends. There they are sorted, so that a file and a directory of one name are neighbours. A file F
 * that has no such neighbour stays held while the greatest name so far is less than "F/": that is,
 * for as long as all that came behind it begins with F and goes on with less than a '/'. Of a
 * source whose pages are in order, a few stay behind at the most.
 *
 * Invariants: shown names are unique; shown entries do not move; numbers are unique for ever.
 * Cost: an entry is 104 bytes, 8 of the hash table, and its strings, one where name and href are
 * the same; showing one is a hash, and another one in the listing before.
 *
 * Rejected: one sorted array (it can't be shown before it is whole); one malloc a name (a million
 * of them is the limit); reference counts of entries.
 */
#include "directory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "index.h"
#include "source.h"

#define ARENA_BYTES ((size_t)64 << 10)
#define CHUNK_ENTRIES 256
#define SLOTS_MIN 16

struct arena {
	struct arena *next;
	size_t used;
	char bytes[];
};

/* An entry whose name is still the source's. */
struct held {
	struct entry entry;
	size_t length; /* of its name, which may have NULs */
};

enum directory_state { ARRIVING, WHOLE, FAILED };

struct directory {
	unsigned refs;
	enum directory_state state;
	int err;
	uint64_t learned_ns;
	const char *const *inside;
	size_t depth;
	struct arena *arena;
	struct entry **chunks;
	size_t count;
	uint32_t *slots; /* index + 1; 0: free */
	size_t slot_count;
	struct held *held;
	size_t held_count;
	size_t held_max;
};

int directory_create(const char *const *inside, size_t depth, struct directory **ret)
{
	struct directory *directory = calloc(1, sizeof *directory);

	if (!directory)
		return -ENOMEM;
	directory->refs = 1;
	directory->inside = inside;
	directory->depth = depth;
	*ret = directory;
	return 0;
}

struct directory *directory_get(struct directory *directory)
{
	directory->refs++;
	return directory;
}

bool directory_is_shared(const struct directory *directory)
{
	return directory->refs > 1;
}

static size_t chunk_count(const struct directory *directory)
{
	return (directory->count + CHUNK_ENTRIES - 1) / CHUNK_ENTRIES;
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
	for (size_t i = 0; i < chunk_count(directory); i++)
		free(directory->chunks[i]);
	free(directory->chunks);
	free(directory->slots);
	free(directory->held);
	free(directory);
}

bool directory_is_arriving(const struct directory *directory)
{
	return directory->state == ARRIVING;
}

int directory_err(const struct directory *directory)
{
	return directory->err;
}

uint64_t directory_learned_ns(const struct directory *directory)
{
	return directory->learned_ns;
}

void directory_set_learned(struct directory *directory, uint64_t now_ns)
{
	directory->learned_ns = now_ns;
}

/* ---- arrival ------------------------------------------------------------------------------ */

static char *keep_bytes(struct directory *directory, const char *bytes, size_t length)
{
	struct arena *arena = directory->arena;
	char *copy;

	if (!arena || arena->used + length + 1 > ARENA_BYTES) {
		arena = malloc(sizeof *arena + (length < ARENA_BYTES ? ARENA_BYTES : length + 1));
		if (!arena)
			return NULL;
		arena->used = 0;
		arena->next = directory->arena;
		directory->arena = arena;
	}
	copy = memcpy(arena->bytes + arena->used, bytes, length);
	copy[length] = '\0';
	arena->used += length + 1;
	return copy;
}

static int make_room(struct directory *directory)
{
	size_t max = directory->held_max ? 2 * directory->held_max : 16;
	struct held *held;

	if (directory->held_count < directory->held_max)
		return 0;
	held = reallocarray(directory->held, max, sizeof *held);
	if (!held)
		return -ENOMEM;
	directory->held = held;
	directory->held_max = max;
	return 0;
}

int directory_add(struct directory *directory, const struct index_entry *from)
{
	int64_t mtime_s = from->mtime == INDEX_MTIME_UNKNOWN ? -1 : (int64_t)from->mtime;
	uint64_t validator = from->etag ? validator_hash(from->etag) : 0;
	struct entry entry = {
		.is_dir = from->is_dir,
		.listed_size = from->is_dir ? 0 : from->size,
		.listed_mtime_s = mtime_s,
		.listed_validator = validator,
		.mtime_s = mtime_s,
		.validator = validator,
		/* What tools leave behind to make a directory of a prefix. */
		.is_marker = !from->is_dir && from->name_length == 0 && from->size == 0,
	};
	int err = make_room(directory);

	assert(directory->state == ARRIVING);
	if (err < 0)
		return err;
	entry.name = keep_bytes(directory, from->name, from->name_length);
	entry.href = entry.name && strcmp(entry.name, from->href) == 0
			     ? entry.name
			     : keep_bytes(directory, from->href, strlen(from->href));
	if (!entry.name || !entry.href)
		return -ENOMEM;
	entry.has_size = from->is_dir || from->size != INDEX_SIZE_UNKNOWN;
	if (entry.has_size)
		entry.size = entry.listed_size;
	directory->held[directory->held_count++] = (struct held){entry, from->name_length};
	return 0;
}

/* ---- finding ------------------------------------------------------------------------------ */

/* FNV-1a: told apart are the few versions that one name has had, not hostile ones. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t validator_hash(const char *validator)
{
	uint64_t hash = *validator ? hash_text(validator) : 0;

	return *validator && hash == 0 ? 1 : hash;
}

size_t directory_count(const struct directory *directory)
{
	return directory->count;
}

struct entry *directory_at(const struct directory *directory, size_t index)
{
	assert(index < directory->count);
	return &directory->chunks[index / CHUNK_ENTRIES][index % CHUNK_ENTRIES];
}

/* Where the name is, or would be. There is always a free one. */
static uint32_t *slot_find(const struct directory *directory, const char *name)
{
	size_t mask = directory->slot_count - 1;
	uint64_t hash = hash_text(name);

	for (size_t i = (size_t)(hash ^ hash >> 32) & mask;; i = (i + 1) & mask) {
		uint32_t *slot = &directory->slots[i];

		if (*slot == 0 || strcmp(directory_at(directory, *slot - 1)->name, name) == 0)
			return slot;
	}
}

struct entry *directory_find(const struct directory *directory, const char *name)
{
	uint32_t *slot = directory->count > 0 ? slot_find(directory, name) : NULL;

	return slot && *slot ? directory_at(directory, *slot - 1) : NULL;
}

/* Room for one more entry: three quarters of the slots are used at the most. */
static int slots_grow(struct directory *directory)
{
	size_t count = directory->slot_count ? 2 * directory->slot_count : SLOTS_MIN;

	if (directory->count < directory->slot_count / 4 * 3)
		return 0;
	free(directory->slots);
	directory->slots = calloc(count, sizeof *directory->slots);
	directory->slot_count = directory->slots ? count : 0;
	if (!directory->slots)
		return -ENOMEM;
	for (size_t i = 0; i < directory->count; i++)
		*slot_find(directory, directory_at(directory, i)->name) = (uint32_t)i + 1;
	return 0;
}

static int chunks_grow(struct directory *directory)
{
	size_t at = directory->count / CHUNK_ENTRIES;
	struct entry **chunks;

	if (directory->count % CHUNK_ENTRIES != 0)
		return 0;
	chunks = reallocarray(directory->chunks, at + 1, sizeof *chunks);
	if (!chunks)
		return -ENOMEM;
	directory->chunks = chunks;
	chunks[at] = malloc(CHUNK_ENTRIES * sizeof **chunks);
	return chunks[at] ? 0 : -ENOMEM;
}

/* ---- showing ------------------------------------------------------------------------------ */

/* What is needed to number what is shown. */
struct numbering {
	const struct directory *older;
	uint64_t *next;
};

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
		return entry->is_dir == older->is_dir && !*entry->href == !*older->href;
	return entry->listed_size == older->listed_size &&
	       entry->listed_mtime_s == older->listed_mtime_s &&
	       entry->listed_validator == older->listed_validator;
}

/* What has the name of something that is shown is dropped. */
static int show(struct directory *directory, const struct entry *from, struct numbering numbering)
{
	const struct entry *older = numbering.older ? directory_find(numbering.older, from->name)
						    : NULL;
	struct entry *entry;
	uint32_t *slot;
	int err = slots_grow(directory);

	if (err < 0)
		return err;
	slot = slot_find(directory, from->name);
	if (*slot)
		return 0;
	err = chunks_grow(directory);
	if (err < 0)
		return err;
	directory->count++;
	*slot = (uint32_t)directory->count;
	entry = directory_at(directory, directory->count - 1);
	*entry = *from;
	if (older && unchanged(entry, older))
		inherit(entry, older);
	else
		entry->number = (*numbering.next)++;
	return 0;
}

/* The names under which it is to be looked for; those of other directories are not for this one. */
static int show_escaped(struct directory *directory, const struct held *held, bool is_object,
	struct numbering numbering)
{
	struct escape escape = {held->entry.name, held->length, is_object, 0, false};
	struct entry entry = held->entry;
	char name[NAME_MAX + 1];

	for (size_t i = 0; i < directory->depth; i++)
		if (!escape_next(&escape, name) || strcmp(name, directory->inside[i]) != 0)
			return 0;
	if (!escape_next(&escape, name))
		return 0;
	if (!escape.done) /* the rest is in a directory that only we know of */
		entry = (struct entry){
			.is_dir = true, .has_size = true, .mtime_s = -1, .listed_mtime_s = -1,
			.href = ""};
	entry.name = keep_bytes(directory, name, strlen(name));
	return entry.name ? show(directory, &entry, numbering) : -ENOMEM;
}

static int show_held(struct directory *directory, const struct held *held, bool is_object,
	struct numbering numbering)
{
	if (directory->depth == 0 && !is_object &&
		!escape_is_needed(held->entry.name, held->length))
		return show(directory, &held->entry, numbering);
	return show_escaped(directory, held, is_object, numbering);
}

static int compare_bytes(const struct held *a, const struct held *b)
{
	size_t length = a->length < b->length ? a->length : b->length;
	int order = memcmp(a->entry.name, b->entry.name, length);

	return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* By name, directories first. */
static int compare(const void *a_, const void *b_)
{
	const struct held *a = a_, *b = b_;
	int order = compare_bytes(a, b);

	return order != 0 ? order : (int)b->entry.is_dir - (int)a->entry.is_dir;
}

/* A byte of the name, with the '/' behind a directory's; -1 behind its end. */
static int key_at(const struct held *held, size_t at)
{
	if (at < held->length)
		return (unsigned char)held->entry.name[at];
	return at == held->length && held->entry.is_dir ? '/' : -1;
}

static const struct held *greatest_key(const struct held *held, size_t count)
{
	const struct held *greatest = held;

	for (size_t i = 1; i < count; i++) {
		size_t at = 0;

		while (key_at(&held[i], at) >= 0 && key_at(&held[i], at) == key_at(greatest, at))
			at++;
		if (key_at(&held[i], at) > key_at(greatest, at))
			greatest = &held[i];
	}
	return greatest;
}

/* May its name with a '/' behind it still come, though nothing up to `greatest` will? */
static bool may_become_directory(const struct held *file, const struct held *greatest)
{
	return greatest->length >= file->length &&
	       memcmp(greatest->entry.name, file->entry.name, file->length) == 0 &&
	       key_at(greatest, file->length) < '/';
}

static int show_all(struct directory *directory, struct numbering numbering, bool is_last)
{
	struct held *held = directory->held, greatest = {.length = 0};
	size_t count = directory->held_count, kept = 0;
	int err = 0;

	if (count == 0)
		return 0;
	greatest = *greatest_key(held, count);
	qsort(held, count, sizeof *held, compare);
	for (size_t i = 0; i < count && err == 0; i++) {
		bool is_dir = held[i].entry.is_dir;
		bool is_object = !is_dir && i > 0 && held[i - 1].entry.is_dir &&
				 compare_bytes(&held[i - 1], &held[i]) == 0;

		if (!is_last && !is_dir && !is_object && may_become_directory(&held[i], &greatest))
			held[kept++] = held[i];
		else
			err = show_held(directory, &held[i], is_object, numbering);
	}
	directory->held_count = kept;
	return err;
}

int directory_page(
	struct directory *directory, const struct directory *older, uint64_t *next_number)
{
	assert(directory->state == ARRIVING);
	return show_all(directory, (struct numbering){older, next_number}, false);
}

int directory_finish(
	struct directory *directory, const struct directory *older, uint64_t *next_number)
{
	int err;

	assert(directory->state == ARRIVING);
	err = show_all(directory, (struct numbering){older, next_number}, true);
	free(steal_pointer(&directory->held));
	directory->held_max = 0;
	directory->inside = NULL;
	if (err == 0)
		directory->state = WHOLE;
	return err;
}

void directory_fail(struct directory *directory, int err)
{
	assert(directory->state == ARRIVING && err < 0);
	directory->state = FAILED;
	directory->err = err;
	directory->inside = NULL;
}

/* ---- versions ----------------------------------------------------------------------------- */

void entry_set_version(
	struct entry *entry, const struct version *version, uint64_t now_ns, uint64_t *next_number)
{
	uint64_t validator = validator_hash(version_validator(version));
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
