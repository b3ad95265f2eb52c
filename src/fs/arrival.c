/*
 * arrival.c - from the order and the names that a source has to entries that can be shown.
 *
 * Owned by the loop's thread. Entries that have arrived wait in `held` with their source's names
 * until a page or the listing ends. There they are sorted, so that a file and a directory of one
 * name are neighbours. A file F that has no such neighbour stays held while the greatest name so
 * far is less than "F/": that is, for as long as all that came behind it begins with F and goes on
 * with less than a '/'. Of a source whose pages are in order, a few stay behind at the most.
 *
 * In a directory that holds rests of long names, the listing is that of the directory above, and
 * each of its entries goes the way of its names: what leads elsewhere is dropped.
 *
 * Cost: a sort of each page. A listing without pages is held whole, 112 bytes an entry, until it is
 * shown.
 */
#include "directory_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "escape.h"
#include "index.h"
#include "metrics.h"

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
	/* A weak one is nothing that an open could be compared with (version_validator()). */
	bool is_strong = from->etag && from->etag[0] == '"';
	uint64_t validator = is_strong ? validator_hash(from->etag) : 0;
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
	entry.name = directory_keep(directory, from->name, from->name_length);
	entry.href = entry.name && strcmp(entry.name, from->href) == 0
			     ? entry.name
			     : directory_keep(directory, from->href, strlen(from->href));
	if (is_strong && directory->keeps_etags)
		entry.listed_etag = directory_keep(directory, from->etag, strlen(from->etag));
	if (!entry.name || !entry.href)
		return -ENOMEM;
	entry.has_size = from->is_dir || from->size != INDEX_SIZE_UNKNOWN;
	if (entry.has_size)
		entry.size = entry.listed_size;
	directory->held[directory->held_count++] = (struct held){entry, from->name_length};
	return 0;
}

/* ---- showing ------------------------------------------------------------------------------ */

static bool name_is_reserved(const struct directory *directory, const struct held *held)
{
	return directory->reserves && held->length == strlen(METRICS_DIRECTORY) &&
	       memcmp(held->entry.name, METRICS_DIRECTORY, held->length) == 0;
}

/* The names under which it is to be looked for; those of other directories are not for this one. */
static int show_escaped(struct directory *directory, const struct held *held, bool is_object,
	struct numbering numbering)
{
	struct escape escape = {held->entry.name, held->length, is_object, 0, false,
		name_is_reserved(directory, held)};
	struct entry entry = held->entry;
	char name[NAME_MAX + 1];

	for (size_t i = 0; i < directory->depth; i++)
		if (!escape_next(&escape, name) || strcmp(name, directory->inside[i]) != 0)
			return 0;
	if (!escape_next(&escape, name))
		return 0;
	if (!escape.done) /* the rest is in a directory that only we know of */
		entry = (struct entry){.is_dir = true,
			.has_size = true,
			.mtime_s = -1,
			.listed_mtime_s = -1,
			.href = ""};
	entry.name = directory_keep(directory, name, strlen(name));
	return entry.name ? directory_show(directory, &entry, numbering) : -ENOMEM;
}

static int show_held(struct directory *directory, const struct held *held, bool is_object,
	struct numbering numbering)
{
	if (directory->depth == 0 && !is_object && !name_is_reserved(directory, held) &&
		!escape_is_needed(held->entry.name, held->length))
		return directory_show(directory, &held->entry, numbering);
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
