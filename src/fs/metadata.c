/*
 * metadata.c - listings and probes under way, and who waits for them.
 *
 * Owned by the loop's thread. One fetch of a directory's listing at a time, one probe of an entry,
 * however many wait. Who waits for a listing is resumed by each page of it, and looks again. A
 * fetch holds its directory; a probe holds the directory and the listing its entry is in, which may
 * by now be an older one: the next listing then asks again.
 *
 * Invariants: an entry's probe pointer is set exactly while its probe is in metadata.probes, and
 * `active` counts those that the source has. Cost: a listing with sizes is one request for the
 * whole directory, or each page of it; without them, one more for each file that somebody looks at,
 * PROBES_MAX of them at a time. Listings that are not in use are dropped when they have more than
 * ENTRIES_KEPT_MAX entries together.
 *
 * Rejected: ending a listing when the one name that it was asked for has come (the next name would
 * begin anew); remembering failed listings (a directory that could not be listed is asked for again
 * at once: the source's own deadlines bound how often), and probing files that nobody has looked
 * at.
 */
#include "metadata.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "directory.h"
#include "fs_private.h"
#include "index.h"
#include "log.h"

#define PROBES_MAX 16 /* at a time: half of the connections that a server is asked for */
#define TIMEOUT_MAX_NS (UINT64_C(86400) * NS_PER_S)
/* Of all listings that are kept, but for the newest: some 70 MB, and what find(1) sees of them. */
#define ENTRIES_KEPT_MAX ((size_t)1 << 19)

struct listing_fetch {
	struct list node;
	struct listing listing;
	struct fs *fs;
	struct inode *inode;
	struct directory *directory; /* so far */
	const char **inside;
	struct list waiting;
	char *url;
};

struct attribute_probe {
	struct list node;
	struct list queued;
	struct probe probe;
	struct fs *fs;
	struct inode *inode; /* the directory */
	struct directory *listing;
	struct entry *entry;
	struct list waiting;
	char *url;
};

void metadata_init(struct metadata *metadata)
{
	list_init(&metadata->probes);
	list_init(&metadata->queue);
	list_init(&metadata->fetches);
}

static bool is_believed(uint64_t learned_ns, uint64_t started_ns, uint64_t ttl_ns)
{
	if (learned_ns == 0)
		return false;
	return learned_ns >= started_ns || clock_now_ns() - learned_ns < ttl_ns;
}

static void metadata_failed(struct fs *fs, const char *error, int err)
{
	snprintf(fs->metadata.error, sizeof fs->metadata.error, "%s",
		*error ? error : strerror(-err));
	/* What is not there is an answer; and before there is a mount, its caller tells. */
	if (err != -ENOENT && fs->session.state != SESSION_NONE)
		log_warning("%s", fs->metadata.error);
}

/* ---- listings ----------------------------------------------------------------------------- */

static void fetch_destroy(struct listing_fetch *fetch)
{
	struct fs *fs = fetch->fs;

	list_remove(&fetch->node);
	fetch->inode->dir.fetch = NULL;
	directory_put(fetch->directory);
	free(fetch->inside);
	inode_put(&fs->tree, fetch->inode);
	free(fetch->url);
	free(fetch);
}

static int fetch_entry(struct listing *listing, const struct index_entry *entry)
{
	struct listing_fetch *fetch = container_of(listing, struct listing_fetch, listing);

	return directory_add(fetch->directory, entry);
}

static int fetch_page(struct listing *listing)
{
	struct listing_fetch *fetch = container_of(listing, struct listing_fetch, listing);
	struct inode_dir *dir = &fetch->inode->dir;
	int err = directory_page(fetch->directory, dir->listing, &fetch->fs->next_number);

	if (err < 0)
		return err;
	directory_set_learned(fetch->directory, clock_now_ns());
	/* Those who have not found what they wait for will wait again. None of them abandons. */
	waiters_resume(&fetch->waiting, 0);
	return 0;
}

static void fetch_whole(struct listing_fetch *fetch)
{
	struct fs *fs = fetch->fs;

	directory_set_learned(fetch->directory, clock_now_ns());
	tree_set_listing(&fs->tree, fetch->inode, steal_pointer(&fetch->directory));
	tree_drop_listings(
		&fs->tree, fs->options.names_max ? fs->options.names_max : ENTRIES_KEPT_MAX);
}

static void fetch_done(struct listing *listing, int err)
{
	struct listing_fetch *fetch = container_of(listing, struct listing_fetch, listing);
	struct inode_dir *dir = &fetch->inode->dir;
	struct fs *fs = fetch->fs;
	struct list waiting;

	if (err == 0)
		err = directory_finish(fetch->directory, dir->listing, &fs->next_number);
	if (err == 0) {
		fetch_whole(fetch);
	} else {
		metadata_failed(fs, listing->error, err);
		directory_fail(fetch->directory, err);
	}
	list_init(&waiting);
	list_splice(&waiting, &fetch->waiting);
	fetch_destroy(fetch);
	waiters_resume(&waiting, err);
}

static int fetch_prepare(struct listing_fetch *fetch)
{
	size_t depth;
	int err = inode_url(fetch->inode, &fetch->url);

	if (err == 0)
		err = inode_inside(fetch->inode, &fetch->inside, &depth);
	if (err == 0)
		err = directory_create(fetch->inside, depth, &fetch->directory);
	if (err == 0 && fetch->fs->options.immutable)
		directory_keep_etags(fetch->directory);
	if (err == 0 && depth == 0 && !fetch->inode->parent)
		directory_reserve(fetch->directory);
	fetch->listing.url = fetch->url;
	fetch->listing.entry = fetch_entry;
	fetch->listing.page = fetch_page;
	fetch->listing.done = fetch_done;
	return err;
}

static int fetch_start(struct fs *fs, struct inode *inode)
{
	struct listing_fetch *fetch = calloc(1, sizeof *fetch);
	int err;

	if (!fetch)
		return -ENOMEM;
	list_init(&fetch->waiting);
	list_append(&fs->metadata.fetches, &fetch->node);
	fetch->fs = fs;
	fetch->inode = inode_get(inode);
	inode->dir.fetch = fetch;
	err = fetch_prepare(fetch);
	if (err == 0)
		err = fs->source->ops->list(fs->source, &fetch->listing);
	if (err < 0)
		fetch_destroy(fetch);
	return err;
}

static bool listing_is_fresh(
	const struct fs *fs, const struct directory *listing, uint64_t started_ns, uint64_t ttl_ns)
{
	if (!listing)
		return false;
	return fs->single || is_believed(directory_learned_ns(listing), started_ns, ttl_ns);
}

/* Newer than the one that the directory has, and believed while it comes. */
static struct directory *listing_arriving(const struct inode *inode)
{
	struct listing_fetch *fetch = inode->dir.fetch;

	return fetch && directory_count(fetch->directory) > 0 ? fetch->directory : NULL;
}

bool listing_find(struct fs *fs, struct inode *inode, const char *name, uint64_t started_ns,
	struct found *ret)
{
	struct directory *whole = inode->dir.listing, *arriving = listing_arriving(inode);
	const struct fs_options *options = &fs->options;

	if (whole)
		tree_use_listing(&fs->tree, inode);
	ret->listing = whole;
	ret->entry = whole ? directory_find(whole, name) : NULL;
	if (listing_is_fresh(fs, whole, started_ns,
		    ret->entry ? options->metadata_ttl_ns : options->negative_ttl_ns))
		return true;
	ret->listing = arriving;
	ret->entry = arriving ? directory_find(arriving, name) : NULL;
	return ret->entry;
}

struct directory *listing_to_read(struct fs *fs, struct inode *inode, uint64_t started_ns)
{
	struct directory *whole = inode->dir.listing;

	if (!listing_is_fresh(fs, whole, started_ns, fs->options.metadata_ttl_ns))
		return listing_arriving(inode);
	tree_use_listing(&fs->tree, inode);
	return whole;
}

int listing_wait(struct fs *fs, struct inode *inode, struct waiter *waiter)
{
	int err = 0;

	if (!inode->dir.fetch)
		err = fetch_start(fs, inode);
	if (err == 0)
		list_append(&inode->dir.fetch->waiting, &waiter->node);
	return err;
}

static void fetch_cancel(struct listing_fetch *fetch)
{
	fetch->fs->source->ops->list_cancel(fetch->fs->source, &fetch->listing);
	directory_fail(fetch->directory, -ECANCELED);
	fetch_destroy(fetch);
}

void listing_abandon(struct inode *inode)
{
	struct listing_fetch *fetch = inode->dir.fetch;

	if (fetch && list_empty(&fetch->waiting) && !directory_is_shared(fetch->directory))
		fetch_cancel(fetch);
}

void listing_expire(struct inode *inode)
{
	if (inode->dir.listing)
		directory_set_learned(inode->dir.listing, 0);
}

/* ---- probes ------------------------------------------------------------------------------- */

static void probe_destroy(struct attribute_probe *probe)
{
	struct fs *fs = probe->fs;

	list_remove(&probe->node);
	list_remove(&probe->queued);
	probe->entry->probe = NULL;
	directory_put(probe->listing);
	inode_put(&fs->tree, probe->inode);
	free(probe->url);
	free(probe);
}

static void probes_start(struct fs *fs);

static void probe_end(struct attribute_probe *probe, int err)
{
	struct fs *fs = probe->fs;
	struct list waiting;

	if (err == 0) {
		entry_set_version(
			probe->entry, &probe->probe.version, clock_now_ns(), &fs->next_number);
	} else {
		entry_set_failed(probe->entry, err, clock_now_ns());
		metadata_failed(fs, probe->probe.error, err);
	}
	list_init(&waiting);
	list_splice(&waiting, &probe->waiting);
	probe_destroy(probe);
	waiters_resume(&waiting, 0);
}

static void probe_done(struct probe *self, int err)
{
	struct attribute_probe *probe = container_of(self, struct attribute_probe, probe);
	struct fs *fs = probe->fs;

	assert(fs->metadata.active > 0);
	fs->metadata.active--;
	probe_end(probe, err);
	probes_start(fs);
}

static void probes_start(struct fs *fs)
{
	struct metadata *metadata = &fs->metadata;

	while (metadata->active < PROBES_MAX && !list_empty(&metadata->queue)) {
		struct attribute_probe *probe = list_first(
			&metadata->queue, struct attribute_probe, queued);
		int err = fs->source->ops->probe(fs->source, &probe->probe);

		list_remove(&probe->queued);
		if (err == 0)
			metadata->active++;
		else
			probe_end(probe, err);
	}
}

bool entry_is_known(const struct fs *fs, const struct entry *entry, uint64_t started_ns)
{
	if (entry->is_dir || entry->listed_size != INDEX_SIZE_UNKNOWN)
		return true;
	return is_believed(entry->probed_ns, started_ns, fs->options.metadata_ttl_ns);
}

int entry_probe(
	struct fs *fs, struct inode *directory, struct directory *listing, struct entry *entry)
{
	struct attribute_probe *probe;
	int err;

	if (entry->probe)
		return 0;
	probe = calloc(1, sizeof *probe);
	if (!probe)
		return -ENOMEM;
	err = inode_url_of(directory, entry->href, &probe->url);
	if (err < 0) {
		free(probe);
		return err;
	}
	list_init(&probe->waiting);
	list_append(&fs->metadata.probes, &probe->node);
	list_append(&fs->metadata.queue, &probe->queued);
	probe->fs = fs;
	probe->inode = inode_get(directory);
	probe->listing = directory_get(listing);
	probe->entry = entry;
	entry->probe = probe;
	probe->probe.url = probe->url;
	probe->probe.head_only = true;
	probe->probe.done = probe_done;
	probes_start(fs);
	return 0;
}

void entry_wait(struct entry *entry, struct waiter *waiter)
{
	assert(entry->probe);
	list_append(&entry->probe->waiting, &waiter->node);
}

static void probe_cancel(struct attribute_probe *probe)
{
	struct fs *fs = probe->fs;

	if (list_empty(&probe->queued)) {
		fs->source->ops->probe_cancel(fs->source, &probe->probe);
		fs->metadata.active--;
	}
	probe_destroy(probe);
}

void entry_abandon(struct fs *fs, struct entry *entry)
{
	if (!entry->probe || !list_empty(&entry->probe->waiting))
		return;
	probe_cancel(entry->probe);
	probes_start(fs);
}

/* ---- what others found out, and how long it holds ----------------------------------------- */

/* The entry that has the inode's number still, if there is one: what it stands for. */
static struct entry *entry_of(const struct inode *inode)
{
	const struct inode_dir *dir = &inode->parent->dir;
	const struct directory *listings[] = {
		dir->listing, dir->fetch ? dir->fetch->directory : NULL};

	for (size_t i = 0; i < sizeof listings / sizeof *listings; i++) {
		struct entry *entry = listings[i] ? directory_find(listings[i], inode->name) : NULL;

		if (entry && entry->number == inode->number)
			return entry;
	}
	return NULL;
}

void metadata_found(struct fs *fs, const struct inode *inode, const struct version *version)
{
	struct entry *entry;

	/* Both a listing and the one that takes its place may have it. */
	while ((entry = entry_of(inode))) {
		if (version)
			entry_set_version(entry, version, clock_now_ns(), &fs->next_number);
		if (entry->number == inode->number)
			entry_renumber(entry, &fs->next_number);
	}
	if (!version)
		listing_expire(inode->parent);
}

bool metadata_believed(struct fs *fs, const struct inode *inode, struct version *ret)
{
	const struct entry *entry = fs->options.immutable ? entry_of(inode) : NULL;

	if (!entry || !entry->listed_etag || strlen(entry->listed_etag) > VALIDATOR_MAX)
		return false;
	*ret = (struct version){.size = inode->size, .mtime_s = inode->mtime_s};
	strcpy(ret->etag, entry->listed_etag);
	return true;
}

static uint64_t time_left_ns(uint64_t learned_ns, uint64_t ttl_ns)
{
	uint64_t age_ns = clock_now_ns() - learned_ns;

	return learned_ns > 0 && age_ns < ttl_ns ? ttl_ns - age_ns : 0;
}

double entry_timeout(
	const struct fs *fs, const struct directory *listing, const struct entry *entry)
{
	uint64_t ttl_ns = entry ? fs->options.metadata_ttl_ns : fs->options.negative_ttl_ns;
	uint64_t left_ns = fs->single ? ttl_ns
				      : time_left_ns(directory_learned_ns(listing), ttl_ns);

	if (entry && !entry->is_dir && entry->listed_size == INDEX_SIZE_UNKNOWN) {
		uint64_t probe_left_ns = time_left_ns(entry->probed_ns, ttl_ns);

		left_ns = left_ns < probe_left_ns ? left_ns : probe_left_ns;
	}
	/* The kernel can't be told "for ever" in seconds. */
	left_ns = left_ns < TIMEOUT_MAX_NS ? left_ns : TIMEOUT_MAX_NS;
	return (double)left_ns / (double)NS_PER_S;
}

void metadata_finish(struct fs *fs)
{
	struct metadata *metadata = &fs->metadata;

	while (!list_empty(&metadata->fetches))
		fetch_cancel(list_first(&metadata->fetches, struct listing_fetch, node));
	while (!list_empty(&metadata->probes))
		probe_cancel(list_first(&metadata->probes, struct attribute_probe, node));
	assert(metadata->active == 0);
}
