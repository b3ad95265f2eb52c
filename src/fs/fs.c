/*
 * fs.c - the beginning and the end of a mount: the source is checked, the root is made, the kernel
 * is told; and everything is put away in the opposite order.
 *
 * On the loop's thread, or its owner's while it does not run. The check runs the loop itself, until
 * the source has answered: a mount that can't show anything is never made.
 *
 * The root is the source's directory; or, for a single object, a directory that no server has,
 * whose listing has one entry and is believed for ever. The entry's attributes are probed like
 * those of any file whose listing does not tell its size.
 */
#include "fs.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "directory.h"
#include "fs_private.h"
#include "index.h"
#include "keeper.h"
#include "metrics.h"
#include "mounting.h"
#include "scheme.h"
#include "text.h"

/* ---- the single object's name ------------------------------------------------------------- */

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* -EINVAL: no name for a file */
static int percent_decode(const char *text, size_t length, char name[INDEX_NAME_MAX + 1])
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		int byte = (unsigned char)text[i];

		if (byte == '%' && i + 2 < length && hex_value(text[i + 1]) >= 0 &&
			hex_value(text[i + 2]) >= 0) {
			byte = hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]);
			i += 2;
		}
		if (byte == 0 || byte == '/' || used == INDEX_NAME_MAX)
			return -EINVAL;
		name[used++] = (char)byte;
	}
	name[used] = '\0';
	return used == 0 ? -EINVAL : 0;
}

/* The path's beginning, a '/', or where it would be; the path ends at path + *ret_length. */
static const char *url_path(const char *url, size_t *ret_length)
{
	const char *host = strstr(url, "://");
	const char *path = host ? host + 3 + strcspn(host + 3, "/?#") : url;

	*ret_length = strcspn(path, "?#");
	return path;
}

static int object_name(const char *url, char name[INDEX_NAME_MAX + 1])
{
	size_t length;
	const char *path = url_path(url, &length);
	const char *last = memrchr(path, '/', length);

	assert(last);
	last++;
	return percent_decode(last, length - (size_t)(last - path), name);
}

/* ---- the check ---------------------------------------------------------------------------- */

static int take_url(struct fs *fs, const char *given, char error[FS_ERROR_MAX])
{
	char words[SOURCE_ERROR_MAX], *url = NULL;
	int err = scheme_url(given, &url);

	if (err == -EINVAL)
		snprintf(error, FS_ERROR_MAX, "mount: %.200s: %s", given,
			scheme_refusal(given, words));
	fs->options.source_url = url;
	return err;
}

struct list_check {
	struct waiter waiter;
	struct fs *fs;
	int err;
};

static void list_checked(struct waiter *waiter, int err)
{
	struct list_check *check = container_of(waiter, struct list_check, waiter);

	check->err = err;
	loop_stop(check->fs->loop);
}

static int check_directory(struct fs *fs)
{
	struct list_check check = {.fs = fs, .waiter.resume = list_checked};
	int err = listing_wait(fs, fs->root, &check.waiter);

	if (err == 0)
		err = loop_run(fs->loop);
	return err < 0 ? err : check.err;
}

/* The directory whose URL is the one that ends at `end`, where a '/' may be missing. */
static int make_directory_root(struct fs *fs, const char *url, const char *end)
{
	/* A query asks for another presentation of the index, and would not go with the names. */
	int length = (int)(end - url);
	cleanup_free char *clean = NULL;
	int err = text_print(&clean, "%.*s%s", length, url, end[-1] == '/' ? "" : "/");

	if (err < 0)
		return err;
	err = tree_init(&fs->tree, clean, &fs->root);
	if (err < 0)
		return err;
	err = check_directory(fs);
	if (err == 0)
		return 0;
	inode_put(&fs->tree, steal_pointer(&fs->root));
	tree_finish(&fs->tree);
	return err;
}

struct object_check {
	struct probe probe;
	struct fs *fs;
	int err;
};

static void object_checked(struct probe *probe, int err)
{
	struct object_check *check = container_of(probe, struct object_check, probe);

	check->err = err;
	loop_stop(check->fs->loop);
}

static int make_single_root(struct fs *fs, const struct version *version)
{
	const char *url = fs->options.source_url;
	struct directory *directory;
	char name[INDEX_NAME_MAX + 1];
	struct index_entry entry = {
		.name = name,
		.href = url,
		.size = INDEX_SIZE_UNKNOWN,
		.mtime = INDEX_MTIME_UNKNOWN,
	};
	int err = object_name(url, name);

	if (err == 0)
		err = tree_init(&fs->tree, "", &fs->root);
	if (err == 0)
		err = directory_create(NULL, 0, &directory);
	if (err < 0)
		return err;
	fs->single = true;
	directory_reserve(directory);
	entry.name_length = strlen(name);
	err = directory_add(directory, &entry);
	if (err == 0)
		err = directory_finish(directory, NULL, &fs->next_number);
	/* It knows how many entries there are. */
	tree_set_listing(&fs->tree, fs->root, directory);
	/* A name that is longer when it is escaped has nowhere to go on. */
	if (err == 0 && directory_at(directory, 0)->is_dir)
		err = -ENAMETOOLONG;
	if (err < 0)
		return err;
	entry_set_version(directory_at(directory, 0), version, clock_now_ns(), &fs->next_number);
	return 0;
}

/* Asks for the object itself, not only its head: that tells whether the server has ranges. */
static int probe_object(struct fs *fs, struct object_check *check)
{
	int err;

	check->fs = fs;
	check->probe.url = fs->options.source_url;
	check->probe.done = object_checked;
	err = fs->source->ops->probe(fs->source, &check->probe);
	if (err == 0)
		err = loop_run(fs->loop);
	return err < 0 ? err : check->err;
}

static int check_object(struct fs *fs)
{
	const char *url = fs->options.source_url;
	struct object_check check = {.err = 0};
	size_t length;
	const char *path = url_path(url, &length);
	int err = probe_object(fs, &check);

	if (err == 0)
		return make_single_root(fs, &check.probe.version);
	if (scheme_may_be_directory(url, err) && make_directory_root(fs, url, path + length) == 0)
		return 0;
	snprintf(fs->metadata.error, sizeof fs->metadata.error, "%s", check.probe.error);
	return err;
}

static int check_source(struct fs *fs, char error[FS_ERROR_MAX])
{
	const char *url = fs->options.source_url;
	size_t length;
	const char *path = url_path(url, &length);
	int err;

	if (length == 0 || path[length - 1] == '/')
		err = make_directory_root(fs, url, path + length);
	else
		err = check_object(fs);
	if (err < 0)
		snprintf(error, FS_ERROR_MAX, "%s",
			*fs->metadata.error ? fs->metadata.error : strerror(-err));
	return err;
}

/* ---- beginning and end -------------------------------------------------------------------- */

static int shards_create(struct fs *fs, struct core *const *cores, unsigned count)
{
	fs->shards = calloc(count, sizeof *fs->shards);
	if (!fs->shards)
		return -ENOMEM;
	fs->shard_count = count;
	for (unsigned i = 0; i < count; i++) {
		struct shard *shard = &fs->shards[i];

		shard->fs = fs;
		shard->core = cores[i];
		shard->loop = core_loop(cores[i]);
		requests_init(&shard->requests, fs, shard->loop);
	}
	return 0;
}

static void shard_end_requests(void *context)
{
	struct shard *shard = context;

	requests_end(&shard->requests, -ECONNABORTED);
}

/* What was handed over before is among them. Other loops never wait for this one. */
void fs_end_requests(struct fs *fs)
{
	for (unsigned i = 0; i < fs->shard_count; i++)
		loop_call(fs->shards[i].loop, shard_end_requests, &fs->shards[i]);
}

static void shard_finish(void *context)
{
	struct shard *shard = context;

	assert(shard->files == 0);
	requests_finish(&shard->requests);
}

static void shards_finish(struct fs *fs)
{
	for (unsigned i = 0; i < fs->shard_count; i++)
		loop_call(fs->shards[i].loop, shard_finish, &fs->shards[i]);
	free(fs->shards);
}

int fs_create(struct core *const *cores, unsigned count, const struct fs_options *options,
	struct fs **ret, char error[FS_ERROR_MAX])
{
	struct fs *fs;
	int err = options->keeper ? keeper_check(options->keeper, error)
				  : mounting_check(options->mountpoint, error);

	if (err < 0)
		return err;
	fs = calloc(1, sizeof *fs);
	if (!fs || shards_create(fs, cores, count) < 0) {
		free(fs);
		snprintf(error, FS_ERROR_MAX, "mount: out of memory");
		return -ENOMEM;
	}
	fs->loop = core_loop(cores[0]);
	fs->source = core_source(cores[0]);
	fs->options = *options;
	if (options->immutable)
		fs->options.metadata_ttl_ns = fs->options.negative_ttl_ns = UINT64_MAX;
	fs->created_s = (int64_t)time(NULL);
	fs->next_number = METRICS_NUMBERS + METRICS_NUMBER_COUNT;
	metadata_init(&fs->metadata);
	list_init(&fs->handles);
	list_init(&fs->openings);
	list_init(&fs->live);
	list_init(&fs->snapshots);
	err = take_url(fs, options->source_url, error);
	if (err == 0)
		err = check_source(fs, error);
	if (err == 0)
		err = session_mount(fs, error);
	if (err < 0)
		fs_destroy(fs);
	else
		*ret = fs;
	return err;
}

void fs_unmount(struct fs *fs)
{
	session_end(fs);
}

struct fs_stats fs_stats(const struct fs *fs)
{
	return (struct fs_stats){fs->tree.count, fs->tree.listed_entries};
}

void fs_destroy(struct fs *fs)
{
	if (!fs)
		return;
	session_finish(fs);
	fs_release_directories(fs);
	fs_release_files(fs);
	metrics_finish(fs);
	metadata_finish(fs);
	if (fs->root) {
		tree_forget_all(&fs->tree);
		inode_put(&fs->tree, fs->root);
		tree_finish(&fs->tree);
	}
	shards_finish(fs);
	free((char *)fs->options.source_url);
	free(fs);
}
