/*
 * ls_manifest.c - `pagein ls --manifest SOURCE`: a manifest of all that is in SOURCE and below.
 *
 * Main thread. Directories are read one after the other, and each is written before the next is
 * read: what is kept is the names of one directory, and those of directories that are still to be
 * read. A request for each directory and, where the listing does not tell size and validator, a
 * HEAD for each object, several at a time: that tells its digest, too, where the source knows one.
 * Where digests are required each object is asked for its own, and one that has none is left out.
 * Hashes of blocks are made where they are wanted (ls_hashes.c); those of another manifest are not
 * copied, but what is read is checked by them.
 *
 * The URLs are whole, so that the manifest may be moved, and without what is secret. What failed is
 * told on stderr and left out; then the exit status is that of a failure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "core.h"
#include "hash_list.h"
#include "index.h"
#include "manifest_table.h"
#include "manifest_url.h"
#include "remote.h"
#include "text.h"
#include "url.h"

#define DEPTH_MAX 100 /* of directories: deeper ones are links that lead around */

/* A directory to be read: its URL, and what it is called in the manifest, with a '/' ("": the
 * root).
 */
struct folder {
	struct folder *next;
	char *url, *path;
	unsigned depth;
};

struct file {
	char *path;
	struct version version;
	bool is_known; /* the listing has told all of it */
};

struct walk {
	struct place *place;
	const char *source;
	struct folder *folders; /* still to be read */
	struct folder *folder;  /* being read */
	struct file *files;     /* of that */
	struct inquiry *inquiries;
	size_t count, room;
	bool is_empty;
	bool requires_digests, makes_hashes;
	int status;
};

static void folder_free(struct folder *folder)
{
	if (!folder)
		return;
	free(folder->url);
	free(folder->path);
	free(folder);
}

static int folder_add(struct walk *walk, const char *base, const char *href, const char *name)
{
	struct folder *folder = calloc(1, sizeof *folder);

	if (!folder)
		return -ENOMEM;
	folder->depth = walk->folder ? walk->folder->depth + 1 : 0;
	if (text_print(&folder->url, "%.*s%s", (int)strcspn(base, "?#"), base, href) < 0 ||
		text_print(&folder->path, "%s%s%s", walk->folder ? walk->folder->path : "", name,
			*name ? "/" : "") < 0) {
		folder_free(folder);
		return -ENOMEM;
	}
	folder->next = walk->folders;
	walk->folders = folder;
	return 0;
}

static void complain(struct walk *walk, const char *what, const char *reason)
{
	walk->status = place_complain("ls", what, reason);
}

/* ---- lines -------------------------------------------------------------------------------- */

/* The URL that stands in the manifest: plain, and of the object itself. NULL: out of memory */
static char *url_make(const char *location)
{
	cleanup(manifest_url_finish) struct manifest_url parsed = {0};
	cleanup(url_finish) struct url url = {0};
	const char *own = location;
	char *plain;

	if (manifest_url_parse(location, &parsed) == 0 && parsed.object)
		own = parsed.object;
	if (strncasecmp(own, "http", 4) != 0)
		return strndup(own, strcspn(own, "#"));
	return url_parse(own, &url) == 0 && url_plain(&url, &plain) == 0 ? plain : NULL;
}

/*
 * What is asked for, and not where it was found, which may be a redirect's and expire; but what
 * another manifest lists is where that says.
 */
static const char *url_choose(const char *url, const char *location)
{
	return strncasecmp(url, MANIFEST_SCHEME, strlen(MANIFEST_SCHEME)) == 0 ? location : url;
}

static void line_write(struct walk *walk, const struct manifest_entry *entry)
{
	cleanup_free char *line = NULL;
	uint64_t from = 0;
	int err = manifest_line_make(entry, &line);

	while (err == 0 && line) {
		fputs(line, stdout);
		free(steal_pointer(&line));
		err = manifest_more_make(entry, &from, &line);
	}
	if (err == -EINVAL)
		complain(walk, entry->path, "can't be the name of anything in a manifest");
	else if (err < 0)
		complain(walk, entry->path, strerror(-err));
}

/* Of the object at that URL, which was found at location. */
static void object_write(struct walk *walk, const char *path, const char *asked,
	const char *location, const struct version *version)
{
	cleanup_free char *url = url_make(url_choose(asked, location));
	struct digest digest = version->digest;
	char digest_text[DIGEST_TEXT_MAX];
	struct manifest_entry entry = {
		.path = path,
		.url = url,
		.validator = version_validator(version),
		.size = version->size,
		.mtime_s = version->mtime_s,
	};

	if (!url) {
		complain(walk, path, strerror(ENOMEM));
		return;
	}
	if (walk->makes_hashes &&
		hashes_make(walk->place, location, version, &digest, &entry.hashes) < 0) {
		complain(walk, asked, walk->place->reason);
		return;
	}
	entry.digest = digest.kind != DIGEST_NONE ? digest_print(&digest, digest_text) : NULL;
	if (!entry.digest && walk->requires_digests)
		complain(walk, path, "can't be verified: its source tells no checksum");
	else
		line_write(walk, &entry);
	hash_list_put(entry.hashes);
}

/* ---- directories -------------------------------------------------------------------------- */

static int file_add(struct walk *walk, const struct index_entry *entry)
{
	struct inquiry *inquiry;
	struct file *file;

	if (walk->count == walk->room) {
		size_t room = walk->room ? 2 * walk->room : 64;
		struct file *files = reallocarray(walk->files, room, sizeof *files);
		struct inquiry *inquiries;

		walk->files = files ? files : walk->files;
		inquiries = files ? reallocarray(walk->inquiries, room, sizeof *inquiries) : NULL;
		if (!inquiries)
			return -ENOMEM;
		walk->inquiries = inquiries;
		walk->room = room;
	}
	file = &walk->files[walk->count];
	inquiry = &walk->inquiries[walk->count++];
	*inquiry = (struct inquiry){.url = NULL};
	*file = (struct file){.version = {.size = entry->size, .mtime_s = entry->mtime}};
	text_print(&file->path, "%s%s", walk->folder->path, entry->name);
	text_print(&inquiry->url, "%.*s%s", (int)strcspn(walk->folder->url, "?#"),
		walk->folder->url, entry->href);
	if (entry->mtime == INDEX_MTIME_UNKNOWN)
		file->version.mtime_s = -1;
	if (entry->etag && strlen(entry->etag) <= VALIDATOR_MAX)
		strcpy(file->version.etag, entry->etag);
	/* What a manifest has listed is elsewhere: to ask it is no request. */
	file->is_known = !walk->requires_digests && !walk->makes_hashes &&
			 file->version.etag[0] == '"' && entry->size != INDEX_SIZE_UNKNOWN &&
			 strncasecmp(inquiry->url ? inquiry->url : "", MANIFEST_SCHEME,
				 strlen(MANIFEST_SCHEME)) != 0;
	return file->path && inquiry->url ? 0 : -ENOMEM;
}

static int entry_met(const struct index_entry *entry, void *context)
{
	struct walk *walk = context;

	walk->is_empty = false;
	if (!entry->is_dir)
		return file_add(walk, entry);
	return folder_add(walk, walk->folder->url, entry->href, entry->name);
}

/* Asks for what the listing has not told. */
static int files_inquire(struct walk *walk)
{
	struct inquiry *asked = calloc(walk->count + 1, sizeof *asked);
	size_t count = 0, next = 0;
	int err = asked ? 0 : -ENOMEM;

	for (size_t i = 0; i < walk->count && err == 0; i++)
		if (!walk->files[i].is_known)
			asked[count++].url = walk->inquiries[i].url;
	if (err == 0)
		err = place_inquire(walk->place, asked, count);
	for (size_t i = 0; i < walk->count && next < count; i++)
		if (!walk->files[i].is_known)
			walk->inquiries[i] = asked[next++];
	free(asked);
	return err;
}

static void files_write(struct walk *walk)
{
	for (size_t i = 0; i < walk->count; i++) {
		struct inquiry *inquiry = &walk->inquiries[i];
		struct file *file = &walk->files[i];

		if (inquiry->err < 0)
			complain(walk, inquiry->url, inquiry->reason);
		else if (file->is_known)
			object_write(walk, file->path, inquiry->url, inquiry->url, &file->version);
		else
			object_write(walk, file->path, inquiry->url, inquiry->location,
				&inquiry->version);
	}
}

static void files_clear(struct walk *walk)
{
	for (size_t i = 0; i < walk->count; i++) {
		free(walk->files[i].path);
		free(walk->inquiries[i].url);
		free(walk->inquiries[i].location);
	}
	walk->count = 0;
}

static void folder_walk(struct walk *walk)
{
	struct folder *folder = walk->folder;
	int err = 0;

	if (folder->depth > DEPTH_MAX) {
		complain(walk, folder->url, "too deep");
		return;
	}
	walk->is_empty = true;
	walk->place->reason[0] = '\0';
	err = place_list_at(walk->place, folder->url, entry_met, walk);
	if (err == 0)
		err = files_inquire(walk);
	if (err < 0)
		complain(walk, folder->url,
			walk->place->reason[0] ? walk->place->reason : strerror(-err));
	else
		files_write(walk);
	if (err == 0 && walk->is_empty && *folder->path)
		line_write(walk, &(struct manifest_entry){.path = folder->path, .mtime_s = -1});
	files_clear(walk);
}

static void place_write(struct walk *walk)
{
	cleanup_free char *name = object_name(walk->place->url);

	if (name)
		object_write(
			walk, name, walk->place->url, walk->place->location, &walk->place->version);
	else
		complain(walk, walk->source, "has no name");
}

int manifest_write(struct place *place, const char *source, bool hashes)
{
	enum verify verify = core_verify(place->core);
	struct walk walk = {
		.place = place,
		.source = source,
		.requires_digests = verify == VERIFY_REQUIRE || verify == VERIFY_BLOCKS,
		.makes_hashes = hashes,
		.status = EXIT_SUCCESS,
	};

	progress_end(&place->progress);
	progress_start_beside(&place->progress, "ls", "entries", 0);
	if (!place->is_directory)
		place_write(&walk);
	else if (folder_add(&walk, place->url, "", "") < 0)
		complain(&walk, source, strerror(ENOMEM));
	while (walk.folders) {
		walk.folder = walk.folders;
		walk.folders = walk.folder->next;
		folder_walk(&walk);
		folder_free(walk.folder);
	}
	progress_end(&place->progress);
	free(walk.files);
	free(walk.inquiries);
	return walk.status;
}
