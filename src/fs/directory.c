/*
 * directory.c - the entries of one listing that are shown: an array that only grows, a hash table
 * of their names, and an arena for the strings. How they come to be shown is arrival.c's.
 *
 * Owned by the loop's thread; shared by reference between the directory's inode, which has the
 * newest whole listing, a fetch under way, and open directory handles, which keep the one they
 * began with, so that an offset means the same entry for as long as somebody reads.
 *
 * Invariants: shown names are unique; shown entries do not move; numbers are unique for ever.
 * Cost: an entry is 112 bytes, 8 of the hash table, and its strings, one where name and href are
 * the same; showing one is a hash, and another one in the listing before.
 *
 * Rejected: one sorted array (it can't be shown before it is whole); one malloc a name (a million
 * of them is the limit); reference counts of entries.
 */
#include "directory_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

#define ARENA_BYTES ((size_t)64 << 10)
#define CHUNK_ENTRIES 256
#define SLOTS_MIN 16

struct arena {
	struct arena *next;
	size_t used;
	char bytes[];
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

void directory_keep_etags(struct directory *directory)
{
	directory->keeps_etags = true;
}

void directory_reserve(struct directory *directory)
{
	directory->reserves = true;
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

char *directory_keep(struct directory *directory, const char *bytes, size_t length)
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

/* ---- what is shown ------------------------------------------------------------------------ */

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

int directory_show(
	struct directory *directory, const struct entry *from, struct numbering numbering)
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
		entry_renumber(entry, next_number);
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
	entry->listed_etag = NULL;
}
