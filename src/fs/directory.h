/*
 * directory.h - one listing of a directory: its names, their attributes, and which version of a
 * file each of them stands for.
 *
 * The version is the entry's `number`, which is also its inode's. It is never used twice: whatever
 * shows that a name stands for other bytes than before (another listing, a probe, an open) gives
 * the entry a new number, and so the name a new inode, while the old inode lives on for those who
 * have it. A listing inherits the numbers of the one before for what has not changed.
 *
 * Pure data on the loop's thread; no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attribute_probe;
struct directory;
struct index_entry;
struct version;

struct entry {
	const char *name; /* the listing's memory */
	const char *href; /* behind the directory's URL */
	uint64_t number;
	/* What the listing said: compared with what the next one says. */
	uint64_t listed_size; /* INDEX_SIZE_UNKNOWN: a probe must tell */
	int64_t listed_mtime_s;
	/* What is shown. */
	uint64_t size;
	int64_t mtime_s; /* -1: unknown */
	/* What a probe found. */
	uint64_t probed_ns;            /* when; 0: never */
	uint64_t validator;            /* a hash of it; 0: none */
	struct attribute_probe *probe; /* under way */
	int probe_err;                 /* 0, or why there are no attributes */
	bool is_dir;
	bool has_size;
};

/* Empty, with one reference. -ENOMEM */
int directory_create(struct directory **ret);
struct directory *directory_get(struct directory *directory);
/* NULL is fine. */
void directory_put(struct directory *directory);

/* Copies. -ENOMEM */
int directory_add(struct directory *directory, const struct index_entry *entry);

/*
 * The last entry was added: sorts by name, drops the second of two with one name (directories win)
 * and numbers the entries: from `older` (NULL is fine) what is unchanged, from *next_number the
 * rest. Entries keep their addresses from here on.
 */
void directory_finish(
	struct directory *directory, const struct directory *older, uint64_t *next_number);

size_t directory_count(const struct directory *directory);
struct entry *directory_at(struct directory *directory, size_t index);
/* NULL: there is no such name. */
struct entry *directory_find(struct directory *directory, const char *name);

/* Else probe_err says why not, or nobody has asked yet. */
static inline bool entry_has_attributes(const struct entry *entry)
{
	return entry->is_dir || (entry->has_size && entry->probe_err == 0);
}

/* Takes over what a probe found; another version than known so far gets a new number. */
void entry_set_version(
	struct entry *entry, const struct version *version, uint64_t now_ns, uint64_t *next_number);
/* It has no attributes, for the time being. */
void entry_set_failed(struct entry *entry, int err, uint64_t now_ns);
/* It is another version, though nobody knows yet which. */
void entry_renumber(struct entry *entry, uint64_t *next_number);
