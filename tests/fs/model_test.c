/*
 * model_test.c - random keys over an alphabet that is nothing but trouble: the tree that the kernel
 * shows, every lookup in it and beside it, and every byte, against a model.
 *
 * The model is made from the keys alone, by the words of src/fs/SEMANTICS.md and none of its code:
 * a list of paths. Each bucket is looked at twice, the second time after its objects were replaced
 * under the mount; listings come in pages of 1 to 7 names.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bucket.h"
#include "cleanup.h"

#define ROUNDS 60 /* $ROUNDS makes it more */
#define KEYS_MAX 40
#define KEY_BYTES 7
#define NODES_MAX (KEYS_MAX * (KEY_BYTES + 1))
#define PATH_BYTES 128

static const char alphabet[] = {'a', '-', '/', '.', '\x01'};

/* ---- the model ---------------------------------------------------------------------------- */

struct node {
	char path[PATH_BYTES];
	const struct bucket_object *object; /* NULL: a directory */
	bool is_hidden;
};

struct model {
	struct node nodes[NODES_MAX];
	size_t count;
};

static void put_name(char *path, const char *part, size_t length)
{
	if (length == 0)
		strcat(path, "%{}");
	else if (length == 1 && part[0] == '.')
		strcat(path, "%{2e}");
	else if (length == 2 && memcmp(part, "..", 2) == 0)
		strcat(path, "%{2e2e}");
	else
		for (size_t i = 0; i < length; i++) {
			bool in_hex = i > 0 && part[i - 1] == '\x01';

			if (part[i] != '\x01')
				strncat(path, &part[i], 1);
			else if (in_hex)
				strcpy(strrchr(path, '}'), "01}");
			else
				strcat(path, "%{01}");
		}
}

static bool is_prefix(const struct bucket *bucket, const char *key, size_t length)
{
	for (size_t i = 0; i < bucket->count; i++) {
		const struct bucket_object *object = &bucket->objects[i];

		if (object->key_length > length &&
			memcmp(bucket_key(bucket, object), key, length) == 0 &&
			bucket_key(bucket, object)[length] == '/')
			return true;
	}
	return false;
}

static void add_node(
	struct model *model, const char *path, const struct bucket_object *object, bool is_hidden)
{
	for (size_t i = 0; i < model->count; i++)
		if (strcmp(model->nodes[i].path, path) == 0) {
			assert_true(!object && !model->nodes[i].object);
			return;
		}
	assert_true(model->count < NODES_MAX);
	strcpy(model->nodes[model->count].path, path);
	model->nodes[model->count].object = object;
	model->nodes[model->count++].is_hidden = is_hidden;
}

static void model_add(
	struct model *model, const struct bucket *bucket, const struct bucket_object *object)
{
	const char *key = bucket_key(bucket, object), *end = key + object->key_length;
	char path[PATH_BYTES] = "";

	for (const char *part = key;;) {
		const char *slash = memchr(part, '/', (size_t)(end - part));

		put_name(path, part, (size_t)((slash ? slash : end) - part));
		if (!slash) {
			if (is_prefix(bucket, key, object->key_length))
				strcat(path, "%{object}");
			add_node(model, path, object,
				part == end && object->size == 0 && bucket->lists_etags);
			return;
		}
		add_node(model, path, NULL, false);
		strcat(path, "/");
		part = slash + 1;
	}
}

static int compare_nodes(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

static void model_make(struct model *model, const struct bucket *bucket)
{
	model->count = 0;
	for (size_t i = 0; i < bucket->count; i++)
		model_add(model, bucket, &bucket->objects[i]);
	qsort(model->nodes, model->count, sizeof *model->nodes, compare_nodes);
}

static const struct node *model_find(const struct model *model, const char *path)
{
	struct node key;

	if (strlen(path) >= sizeof key.path)
		return NULL;
	strcpy(key.path, path);
	return bsearch(&key, model->nodes, model->count, sizeof *model->nodes, compare_nodes);
}

/* ---- the mount against it ----------------------------------------------------------------- */

struct look {
	struct bucket *bucket;
	struct bucket_mount mount;
	struct model model;
};

static void check_bytes(const struct look *look, const struct node *node, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct bucket_object *object = node->object;
	static unsigned char bytes[1 << 17];

	(void)look;
	if (fd < 0)
		fail_msg("open: %s: %s", node->path, strerror(errno));
	assert_true(object->size < sizeof bytes);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 0), object->size);
	for (size_t i = 0; i < object->size; i++)
		if (bytes[i] != bucket_byte(object->seed, i))
			fail_msg("%s: byte %zu is another one", node->path, i);
}

static void check_node(const struct look *look, const struct node *node)
{
	const char *path = bucket_path(&look->mount, node->path);
	struct stat status;

	if (stat(path, &status) < 0)
		fail_msg("stat: %s: %s", node->path, strerror(errno));
	if (!node->object) {
		assert_int_equal(status.st_mode, S_IFDIR | 0555);
		return;
	}
	assert_int_equal(status.st_mode, S_IFREG | 0444);
	assert_int_equal(status.st_size, node->object->size);
	assert_int_equal(status.st_mtime, BUCKET_MTIME + node->object->seed);
	check_bytes(look, node, path);
}

/* What readdir(3) shows, below this directory. */
static size_t walk(const struct look *look, const char *at)
{
	DIR *directory = opendir(bucket_path(&look->mount, at));
	struct dirent *entry;
	size_t count = 0;

	if (!directory)
		fail_msg("opendir: %s: %s", at, strerror(errno));
	while ((errno = 0, entry = readdir(directory))) {
		const struct node *node;
		char path[PATH_MAX];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s%s%s", at, *at ? "/" : "", entry->d_name);
		node = model_find(&look->model, path);
		if (!node || node->is_hidden)
			fail_msg("%s: should not be there", path);
		assert_int_equal(entry->d_type, node->object ? DT_REG : DT_DIR);
		count += 1 + (node->object ? 0 : walk(look, path));
	}
	assert_int_equal(errno, 0);
	closedir(directory);
	return count;
}

static void check_tree(const struct look *look)
{
	size_t shown = 0;

	for (size_t i = 0; i < look->model.count; i++)
		shown += !look->model.nodes[i].is_hidden;
	/* As many, and each of them in the model: unless one came twice, they are the same. */
	assert_int_equal(walk(look, ""), shown);
}

/* Paths of the same letters, as one would guess them, and of names that keys are shown under. */
static void check_others(const struct look *look, uint64_t *random)
{
	static const char *const words[] = {
		"a", "-", "/", "%{}", "%{01}", "%{2e}", "%{object}", "%{+}", "%{"};

	for (int i = 0; i < 30; i++) {
		char path[PATH_BYTES] = "a";
		struct stat status;

		for (uint64_t parts = random_next(random) % 4; parts > 0; parts--)
			strcat(path, words[random_next(random) % array_len(words)]);
		if (strstr(path, "//") || path[strlen(path) - 1] == '/')
			continue; /* the same path as another, to the kernel */
		if (model_find(&look->model, path)) {
			assert_int_equal(stat(bucket_path(&look->mount, path), &status), 0);
			continue;
		}
		assert_int_equal(stat(bucket_path(&look->mount, path), &status), -1);
		assert_true(errno == ENOENT || errno == ENOTDIR);
	}
}

static void check_all(struct look *look, uint64_t *random)
{
	bool walk_first = random_next(random) & 1;

	model_make(&look->model, look->bucket);
	if (walk_first)
		check_tree(look);
	for (size_t i = 0; i < look->model.count; i++)
		check_node(look, &look->model.nodes[i]);
	check_others(look, random);
	check_tree(look);
}

/* ---- buckets ------------------------------------------------------------------------------ */

static void fill(struct bucket *bucket, uint64_t *random, unsigned seed)
{
	static const uint64_t sizes[] = {0, 0, 1, 100, 4096, 4097, 20000, 100000};
	uint64_t count = 1 + random_next(random) % KEYS_MAX;

	bucket_clear(bucket);
	while (count-- > 0) {
		size_t length = 1 + random_next(random) % KEY_BYTES;
		char key[KEY_BYTES];

		for (size_t i = 0; i < length; i++)
			key[i] = alphabet[random_next(random) % array_len(alphabet)];
		bucket_add(
			bucket, key, length, sizes[random_next(random) % array_len(sizes)], seed++);
	}
	bucket_sort(bucket);
}

static struct look look;

static void look_at(uint64_t seed)
{
	uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	struct fs_options options = bucket_options();

	print_message("seed %ju\n", (uintmax_t)seed);
	options.metadata_ttl_ns = options.negative_ttl_ns = 0;
	look.bucket->page_keys = 1 + random_next(&random) % 7;
	look.bucket->lists_etags = random_next(&random) % 4 > 0;
	fill(look.bucket, &random, 1);
	bucket_mount(look.bucket, &look.mount, &options);
	check_all(&look, &random);
	fill(look.bucket, &random, 1000);
	check_all(&look, &random);
	bucket_unmount(&look.mount);
}

/* N1 N3 N4 N5 N6 */
static void the_tree_is_the_model(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	uint64_t count = rounds ? strtoull(rounds, NULL, 10) : ROUNDS;

	(void)state;
	if (seed) {
		look_at(strtoull(seed, NULL, 10));
		return;
	}
	for (uint64_t i = 1; i <= count; i++)
		look_at(i);
}

static int set_up(void **state)
{
	(void)state;
	look.bucket = bucket_create(KEYS_MAX, KEYS_MAX * KEY_BYTES);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bucket_clean(&look.mount);
	bucket_destroy(look.bucket);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_tree_is_the_model, set_up, tear_down),
	};

	bucket_require_fuse();
	return run_group(tests);
}
