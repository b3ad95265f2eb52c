/*
 * directory.h - one listing of a directory: its names, their attributes, and which version of a
 * file each of them stands for.
 *
 *	ARRIVING --directory_page()--> ARRIVING --directory_finish()--> WHOLE
 *	                                       \--directory_fail()----> FAILED
 *
 * Entries are added under the names that their source has, and are held back until no later one can
 * change the names that they are shown by (escape.h). From then on they have an index, an address,
 * and can be found.
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
	const char *name; /* the listing's memory, as is href */
	const char *href; /* behind the directory's URL; of a directory "": more of the same one */
	uint64_t number;
	/* What the listing said: compared with what the next one says. */
	uint64_t listed_size; /* INDEX_SIZE_UNKNOWN: a probe must tell */
	int64_t listed_mtime_s;
	uint64_t listed_validator; /* a hash of it; 0: none */
	const char *listed_etag;   /* where they are kept, and it is still right; or NULL */
	/* What is shown. */
	uint64_t size;
	int64_t mtime_s; /* -1: unknown */
	/* What a probe found. */
	uint64_t probed_ns;            /* when; 0: never */
	uint64_t validator;            /* a hash of the one that is known; 0: none */
	struct attribute_probe *probe; /* under way */
	int probe_err;                 /* 0, or why there are no attributes */
	bool is_dir;
	bool has_size;
	bool is_marker; /* to be found, but not to be listed */
};

/*
 * Empty, with one reference. depth > 0: a directory that holds the rest of long names, below one
 * that does not, and these are the names on the way, which must live until the last entry was
 * added. -ENOMEM
 */
int directory_create(const char *const *inside, size_t depth, struct directory **ret);
/* Before any entry is added: strong ETags are kept, so that what is listed can be pinned. */
void directory_keep_etags(struct directory *directory);
/* Before any entry is added: it is the root's, in which METRICS_DIRECTORY is ours. */
void directory_reserve(struct directory *directory);
struct directory *directory_get(struct directory *directory);
/* NULL is fine. */
void directory_put(struct directory *directory);
/* Is there another reference? */
bool directory_is_shared(const struct directory *directory);

/* Copies. -ENOMEM */
int directory_add(struct directory *directory, const struct index_entry *entry);

/*
 * The entries so far are a page of several, and all later ones are greater, where a directory's
 * name counts with the '/' behind it. Shows all but files that a directory of the same name may
 * still come for. Numbers them: from `older` (NULL is fine) what is unchanged, from *next_number
 * the rest. -ENOMEM
 */
int directory_page(
	struct directory *directory, const struct directory *older, uint64_t *next_number);
/* The last entry was added: shows all. -ENOMEM */
int directory_finish(
	struct directory *directory, const struct directory *older, uint64_t *next_number);
/* No more will come, and why. */
void directory_fail(struct directory *directory, int err);

bool directory_is_arriving(const struct directory *directory);
/* 0, or why it is FAILED. */
int directory_err(const struct directory *directory);

/* When what it says was true; 0: it is not to be believed any more. */
uint64_t directory_learned_ns(const struct directory *directory);
void directory_set_learned(struct directory *directory, uint64_t now_ns);

/* Shown so far. */
size_t directory_count(const struct directory *directory);
struct entry *directory_at(const struct directory *directory, size_t index);
/* NULL: there is no such name, or not yet. */
struct entry *directory_find(const struct directory *directory, const char *name);

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

/* Of an ETag or a date, for telling versions of one name apart; 0: of none. */
uint64_t validator_hash(const char *validator);
