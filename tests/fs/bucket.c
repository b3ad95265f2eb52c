/*
 * bucket.c - see bucket.h. The source runs on the server's loop; every answer comes from a timer of
 * its own, so that it never comes from inside the call that asked, and can be cancelled.
 */
#include "bucket.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "clock.h"
#include "core.h"
#include "index.h"
#include "log.h"
#include "loop.h"
#include "source.h"

#define KEY_MAX 4096
#define STALL_NS (2 * NS_PER_MS)

/* ---- the objects -------------------------------------------------------------------------- */

void bucket_require_fuse(void)
{
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		return;
	printf("skipped: /dev/fuse: %s\n", strerror(errno));
	exit(77);
}

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

struct bucket *bucket_create(size_t objects_max, size_t keys_max)
{
	struct bucket *bucket = share(sizeof *bucket);

	bucket->objects = share(objects_max * sizeof *bucket->objects);
	bucket->keys = share(keys_max);
	bucket->max = objects_max;
	bucket->keys_max = keys_max;
	bucket->page_keys = 1000;
	bucket->lists_etags = true;
	bucket->pages_max = bucket->heads_max = ULONG_MAX;
	return bucket;
}

void bucket_destroy(struct bucket *bucket)
{
	munmap(bucket->objects, bucket->max * sizeof *bucket->objects);
	munmap(bucket->keys, bucket->keys_max);
	munmap(bucket, sizeof *bucket);
}

void bucket_clear(struct bucket *bucket)
{
	bucket->count = bucket->keys_used = 0;
}

void bucket_add(struct bucket *bucket, const char *key, size_t length, uint64_t size, unsigned seed)
{
	assert_true(bucket->count < bucket->max && length <= bucket->keys_max - bucket->keys_used);
	bucket->objects[bucket->count++] = (struct bucket_object){
		bucket->keys_used, length, size, seed};
	memcpy(bucket->keys + bucket->keys_used, key, length);
	bucket->keys_used += length;
}

const char *bucket_key(const struct bucket *bucket, const struct bucket_object *object)
{
	return bucket->keys + object->key_at;
}

static int compare_keys(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_objects(const void *a_, const void *b_, void *bucket)
{
	const struct bucket_object *a = a_, *b = b_;

	return compare_keys(
		bucket_key(bucket, a), a->key_length, bucket_key(bucket, b), b->key_length);
}

void bucket_sort(struct bucket *bucket)
{
	size_t kept = 0;

	qsort_r(bucket->objects, bucket->count, sizeof *bucket->objects, compare_objects, bucket);
	for (size_t i = 0; i < bucket->count; i++)
		if (kept == 0 || compare_objects(&bucket->objects[kept - 1], &bucket->objects[i],
					 bucket) != 0)
			bucket->objects[kept++] = bucket->objects[i];
	bucket->count = kept;
}

/* The first object whose key is not less. */
static size_t lower_bound(const struct bucket *bucket, const char *key, size_t length)
{
	size_t low = 0, high = bucket->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct bucket_object *object = &bucket->objects[middle];

		if (compare_keys(bucket_key(bucket, object), object->key_length, key, length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct bucket_object *bucket_find(struct bucket *bucket, const char *key, size_t length)
{
	size_t at = lower_bound(bucket, key, length);
	struct bucket_object *object = &bucket->objects[at];

	return at < bucket->count && object->key_length == length &&
			       memcmp(bucket_key(bucket, object), key, length) == 0
		       ? object
		       : NULL;
}

unsigned char bucket_byte(unsigned seed, uint64_t offset)
{
	return (unsigned char)((offset + seed) * 131 + (offset >> 12) * 7 + seed);
}

void bucket_reset_counts(struct bucket *bucket)
{
	bucket->lists = bucket->pages = bucket->ends = bucket->heads = bucket->probes =
		bucket->gets = 0;
}

/* ---- URLs --------------------------------------------------------------------------------- */

static void encode(const char *bytes, size_t length, char *to)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')
			*to++ = (char)c;
		else
			to += sprintf(to, "%%%02X", c);
	}
	*to = '\0';
}

static size_t decode(const char *url, char key[KEY_MAX])
{
	size_t length = 0;

	assert_int_equal(strncmp(url, BUCKET_URL, strlen(BUCKET_URL)), 0);
	for (url += strlen(BUCKET_URL); *url; url++) {
		unsigned byte = (unsigned char)*url;

		if (*url == '%') {
			assert_int_equal(sscanf(url + 1, "%2x", &byte), 1);
			url += 2;
		}
		assert_true(length < KEY_MAX);
		key[length++] = (char)byte;
	}
	return length;
}

/* ---- the source --------------------------------------------------------------------------- */

static struct bucket *served; /* by this process */
static struct fs *served_fs;
static struct loop *served_loop;

struct job {
	struct loop_timer timer;
	struct source *source;
	struct probe *probe;
	struct listing *listing;
	struct exchange *exchange;
	char key[KEY_MAX]; /* or prefix */
	size_t key_length;
	/* Of a listing: the last name of the page before. */
	char after[KEY_MAX];
	size_t after_length;
	bool after_is_prefix;
	bool started;
};

static int job_start(struct source *source, struct job from, const char *url,
	void (*expired)(struct loop_timer *), void **ret)
{
	struct job *job = malloc(sizeof *job);

	if (!job)
		return -ENOMEM;
	if (served_fs) {
		served->inodes = fs_stats(served_fs).inodes;
		served->names = fs_stats(served_fs).names;
	}
	*job = from;
	job->source = source;
	job->timer = (struct loop_timer){.expired = expired};
	job->key_length = decode(url, job->key);
	*ret = job;
	loop_timer_set(source->loop, &job->timer, clock_now_ns());
	return 0;
}

static void job_free(struct job *job)
{
	loop_timer_cancel(job->source->loop, &job->timer);
	free(job);
}

static struct version version_of(const struct bucket_object *object)
{
	struct version version = {.size = object->size, .mtime_s = BUCKET_MTIME + object->seed};

	snprintf(version.etag, sizeof version.etag, "\"%u\"", object->seed);
	return version;
}

static void probe_answer(struct loop_timer *timer)
{
	struct job *job = container_of(timer, struct job, timer);
	struct bucket_object *object = bucket_find(served, job->key, job->key_length);
	struct probe *probe = job->probe;
	static unsigned char bytes[PROBE_BYTES_MAX];

	if (probe->head_only && served->heads >= served->heads_max) {
		loop_timer_set(job->source->loop, timer, clock_now_ns() + STALL_NS);
		return;
	}
	if (probe->head_only)
		served->heads++;
	else if (!probe->believed)
		served->probes++;
	job_free(job);
	snprintf(probe->error, sizeof probe->error, "open: %.100s: no such key", probe->url);
	if (object) {
		probe->version = probe->believed ? *probe->believed : version_of(object);
		probe->bytes_len = probe->head_only || probe->believed ? 0 : probe_bytes(probe);
		if (probe->bytes_len > object->size)
			probe->bytes_len = object->size;
		for (size_t i = 0; i < probe->bytes_len; i++)
			bytes[i] = bucket_byte(object->seed, i);
		probe->bytes = bytes;
		probe->effective_url = probe->url;
	}
	probe->done(probe, object ? 0 : -ENOENT);
}

static int bucket_probe(struct source *source, struct probe *probe)
{
	return job_start(
		source, (struct job){.probe = probe}, probe->url, probe_answer, &probe->state);
}

static void bucket_probe_cancel(struct source *source, struct probe *probe)
{
	(void)source;
	job_free(probe->state);
}

static int tell_name(struct job *job, const char *name, size_t length, bool is_dir,
	const struct bucket_object *object)
{
	char bytes[KEY_MAX], href[3 * KEY_MAX + 2], etag[VALIDATOR_MAX + 1];
	struct index_entry entry = {
		.name = bytes,
		.name_length = length,
		.href = href,
		.is_dir = is_dir,
		.size = INDEX_SIZE_UNKNOWN,
		.mtime = INDEX_MTIME_UNKNOWN,
	};

	memcpy(bytes, name, length);
	bytes[length] = '\0';
	encode(name, length, href);
	if (is_dir)
		strcat(href, "/");
	if (!is_dir && served->lists_etags) {
		struct version version = version_of(object);

		entry.size = version.size;
		entry.mtime = (time_t)version.mtime_s;
		entry.etag = strcpy(etag, version.etag);
	}
	return job->listing->entry(job->listing, &entry);
}

static bool has_prefix(const char *key, size_t length, const char *prefix, size_t prefix_length)
{
	return length >= prefix_length && memcmp(key, prefix, prefix_length) == 0;
}

/* Was it, or the prefix that stands for it, on the page before? */
static bool is_listed(const struct job *job, const char *key, size_t length)
{
	if (!job->started)
		return false;
	if (job->after_is_prefix && has_prefix(key, length, job->after, job->after_length))
		return true;
	return compare_keys(key, length, job->after, job->after_length) <= 0;
}

struct prefix {
	const char *name;
	size_t length;
};

/* Up to page_keys names from the last one on; the objects are told, the prefixes returned. */
static size_t list_names(
	struct job *job, struct prefix *prefixes, size_t *ret_prefixes, int *ret_err)
{
	size_t at = lower_bound(served, job->after, job->after_length), names = 0;

	*ret_prefixes = 0;
	for (; at < served->count && names < served->page_keys && *ret_err == 0; at++) {
		const struct bucket_object *object = &served->objects[at];
		const char *key = bucket_key(served, object), *slash;
		const char *name = key + job->key_length;
		size_t length = object->key_length;

		if (!has_prefix(key, length, job->key, job->key_length))
			break;
		if (is_listed(job, key, length))
			continue;
		slash = memchr(name, '/', length - job->key_length);
		if (slash)
			prefixes[(*ret_prefixes)++] = (struct prefix){name, (size_t)(slash - name)};
		else
			*ret_err = tell_name(job, name, length - job->key_length, false, object);
		job->after_length = slash ? (size_t)(slash + 1 - key) : length;
		memcpy(job->after, key, job->after_length);
		job->after_is_prefix = slash != NULL;
		job->started = true;
		names++;
	}
	return names;
}

/* The next page, its objects before its directories, as S3's are. False: it is the last. */
static bool list_page(struct job *job, int *ret_err)
{
	static struct prefix prefixes[2000];
	size_t count, names;

	assert_true(served->page_keys <= array_len(prefixes));
	*ret_err = 0;
	names = list_names(job, prefixes, &count, ret_err);
	for (size_t i = 0; i < count && *ret_err == 0; i++)
		*ret_err = tell_name(job, prefixes[i].name, prefixes[i].length, true, NULL);
	return names == served->page_keys;
}

static void list_answer(struct loop_timer *timer)
{
	struct job *job = container_of(timer, struct job, timer);
	struct listing *listing = job->listing;
	bool more = true;
	int err;

	if (served->pages < served->pages_max) {
		served->pages++;
		more = list_page(job, &err);
		if (more && err == 0 && listing->page)
			err = listing->page(listing);
	} else {
		err = served->list_err;
	}
	if (more && err == 0) {
		uint64_t pause_ns = served->pages < served->pages_max ? 0 : STALL_NS;

		loop_timer_set(job->source->loop, timer, clock_now_ns() + pause_ns);
		return;
	}
	if (err < 0)
		snprintf(listing->error, sizeof listing->error, "list: %.100s: refused",
			listing->url);
	job_free(job);
	served->ends++;
	listing->done(listing, err);
}

static int bucket_list(struct source *source, struct listing *listing)
{
	struct job *job;
	int err;

	served->lists++;
	err = job_start(source, (struct job){.listing = listing}, listing->url, list_answer,
		&listing->state);
	if (err == 0) {
		job = listing->state;
		memcpy(job->after, job->key, job->key_length);
		job->after_length = job->key_length;
	}
	return err;
}

static void bucket_list_cancel(struct source *source, struct listing *listing)
{
	(void)source;
	job_free(listing->state);
}

static void get_answer(struct loop_timer *timer)
{
	struct job *job = container_of(timer, struct job, timer);
	struct bucket_object *object = bucket_find(served, job->key, job->key_length);
	struct exchange *exchange = job->exchange;
	struct version version = object ? version_of(object) : (struct version){0};
	uint64_t end = exchange->range.end;

	served->gets++;
	job_free(job);
	exchange->connection = NULL;
	if (!object || strcmp(version.etag, exchange->remote->version.etag) != 0) {
		snprintf(exchange->error, sizeof exchange->error, "get: %.100s: has changed",
			exchange->remote->url);
		exchange->ops->done(exchange, -ESTALE);
		return;
	}
	while (exchange->range.start + exchange->received_bytes < end) {
		uint64_t at = exchange->range.start + exchange->received_bytes;
		size_t room;
		unsigned char *buffer = exchange->ops->buffer(exchange, &room);

		if (room > end - at)
			room = end - at;
		for (size_t i = 0; i < room; i++)
			buffer[i] = bucket_byte(object->seed, at + i);
		exchange->received_bytes += room;
		exchange->ops->received(exchange, buffer, room);
	}
	exchange->ops->done(exchange, 0);
}

static int bucket_get(struct source *source, struct exchange *exchange)
{
	exchange_reset(exchange);
	exchange->sent_ns = exchange->first_byte_ns = clock_now_ns();
	return job_start(source, (struct job){.exchange = exchange}, exchange->remote->url,
		get_answer, &exchange->connection);
}

static void bucket_get_cancel(struct source *source, struct exchange *exchange)
{
	(void)source;
	job_free(exchange->connection);
}

static void bucket_get_hurry(struct source *source, struct exchange *exchange)
{
	(void)source, (void)exchange;
}

static int bucket_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct remote *remote = malloc(sizeof *remote);

	assert_non_null(remote);
	*remote = (struct remote){source, strdup(url), *version};
	*ret = remote;
	return 0;
}

static void bucket_unpin(struct source *source, struct remote *remote)
{
	(void)source;
	if (remote)
		free(remote->url);
	free(remote);
}

static void bucket_source_destroy(struct source *source)
{
	free(source);
}

static const struct source_ops bucket_ops = {
	.destroy = bucket_source_destroy,
	.probe = bucket_probe,
	.list = bucket_list,
	.get = bucket_get,
	.probe_cancel = bucket_probe_cancel,
	.list_cancel = bucket_list_cancel,
	.get_cancel = bucket_get_cancel,
	.get_hurry = bucket_get_hurry,
	.pin = bucket_pin,
	.unpin = bucket_unpin,
};

int http_source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	struct source *source = calloc(1, sizeof *source);

	(void)options;
	if (!source)
		return -ENOMEM;
	*source = (struct source){.ops = &bucket_ops, .loop = loop};
	*ret = source;
	return 0;
}

/* ---- the mount ---------------------------------------------------------------------------- */

struct fs_options bucket_options(void)
{
	return (struct fs_options){
		.metadata_ttl_ns = 3600 * NS_PER_S,
		.negative_ttl_ns = 3600 * NS_PER_S,
		.file_mode = 0444,
		.dir_mode = 0555,
	};
}

static void tell_ready(void *context)
{
	if (write(*(int *)context, "", 1) != 1)
		_exit(1);
}

static void end_serving(struct loop_fd *signals, uint32_t events)
{
	(void)signals, (void)events;
	loop_stop(served_loop);
}

/* Ends with the test's process, however that ends, and leaves nothing mounted. */
static int end_with_parent(struct loop *loop)
{
	static struct loop_fd signals = {.ready = end_serving};
	sigset_t set;

	served_loop = loop;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	return signals.fd < 0 ? -errno : loop_add(loop, &signals, EPOLLIN);
}

static int serve(struct fs_options options)
{
	char error[FS_ERROR_MAX] = "";
	struct loop *loop;
	struct core *core;
	int err = loop_create(&loop);

	if (err == 0)
		err = end_with_parent(loop);
	if (err == 0)
		err = core_create(loop, NULL, &core);
	if (err == 0)
		err = fs_create(&core, 1, &options, &served_fs, error);
	if (err == 0)
		err = loop_run(loop);
	if (err < 0) {
		fprintf(stderr, "%s: %s\n", error, strerror(-err));
		return 1;
	}
	fs_destroy(served_fs);
	core_destroy(core);
	loop_destroy(loop);
	return 0;
}

void bucket_mount(
	struct bucket *bucket, struct bucket_mount *mount, const struct fs_options *options)
{
	struct fs_options use = *options;
	int ends[2];
	char told;

	*mount = (struct bucket_mount){.mnt = "/tmp/pagein-bucket-XXXXXX"};
	assert_non_null(mkdtemp(mount->mnt));
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	mount->server = fork();
	assert_true(mount->server >= 0);
	if (mount->server == 0) {
		log_set_level(LOG_ERROR);
		close(ends[0]);
		served = bucket;
		use.source_url = use.source_url ? use.source_url : BUCKET_URL;
		use.mountpoint = mount->mnt;
		use.ready = tell_ready;
		use.context = &ends[1];
		exit(serve(use));
	}
	close(ends[1]);
	told = read(ends[0], &told, 1) == 1;
	close(ends[0]);
	assert_true(told);
}

void bucket_unmount(struct bucket_mount *mount)
{
	int status;

	assert_int_equal(umount2(mount->mnt, 0), 0);
	assert_int_equal(waitpid(mount->server, &status, 0), mount->server);
	mount->server = 0;
	assert_int_equal(status, 0);
	bucket_clean(mount);
}

void bucket_clean(struct bucket_mount *mount)
{
	if (mount->server > 0) {
		kill(mount->server, SIGKILL);
		waitpid(mount->server, NULL, 0);
		umount2(mount->mnt, MNT_DETACH);
	}
	mount->server = 0;
	if (mount->mnt[0])
		rmdir(mount->mnt);
	mount->mnt[0] = '\0';
}

const char *bucket_path(const struct bucket_mount *mount, const char *name)
{
	static char paths[8][KEY_MAX + 64];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", mount->mnt, name);
	return path;
}
