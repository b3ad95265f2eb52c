/*
 * fuzz_fuse.c - any order of questions of the kernel, and of answers of the source, through the real
 * session, dispatcher, operations and core. fuse_kernel.h says what is held against them.
 *
 * The first bytes choose the mount, each further one what happens next: a question with its numbers
 * and names, an answer of the source (whole, in part, an error), a change of an object, time. In the
 * end, unless the mount has, everybody must have been answered, and nothing may be left.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "core.h"
#include "fs.h"
#include "fuse_kernel.h"
#include "input.h"
#include "log.h"
#include "memory_source.h"
#include "still_loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define STEPS_MAX 400
#define PATIENCE 100000 /* events until all have been answered */
#define LONG_KEY "long-0123456789012345678901234567890123456789012345678901234567890123456789"

static const struct memory_object beginning[] = {
	{"\001", 17, 1, false},
	{"%41", 2, 2, false},
	{"..", 3, 3, false},
	{"a", 10, 4, false},
	{"a/x", 4097, 5, false},
	{"b", 0, 6, false},
	{"big", 300 * 1024 + 5, 7, false},
	{"dir/", 0, 8, false},
	{"dir/b", 4096, 9, false},
	{"dir/c/d", 1, 10, false},
	{"dir/e", 8193, 11, false},
	{"k1", 21, 12, false},
	{"k2", 22, 13, false},
	{"k3", 23, 14, false},
	{LONG_KEY LONG_KEY LONG_KEY LONG_KEY, 5, 15, false},
};
#define OBJECTS (sizeof beginning / sizeof *beginning)

static const char *const names[] = {"a", "b", "big", "dir", "c", "d", "e", "x", "k1", "k2", "k3",
	"%41", "%{..}", "a%{object}", "%{01}", "nothing", LONG_KEY};

static struct memory_object objects[OBJECTS];
/* Why there can be no mount. */
static const struct trouble {
	int mount_err, device_err;
	const char *type, *path;
} troubles[] = {
	{.mount_err = ENOENT},
	{.mount_err = EIO},
	{.device_err = ENOENT},
	{.device_err = EACCES},
	{.type = "pagein"},
	{.type = "fuse.pagein"},
	{.type = "ext4"},
	{.path = "/dev/null"},
	{.path = "/nonexistent"},
};
#define TROUBLES (sizeof troubles / sizeof *troubles)

static uint64_t seed_sizes[MEMORY_SEEDS];
static unsigned next_seed;
static struct input input;
static struct loop *loop, *other_loop; /* the main one, and another shard's */
static bool is_ended;

/* ---- objects ------------------------------------------------------------------------------ */

static uint64_t versions_of_size(uint64_t size)
{
	uint64_t versions = 0;

	for (unsigned seed = 1; seed < next_seed; seed++)
		versions |= (uint64_t)(seed_sizes[seed] == size) << seed;
	return versions;
}

static void objects_begin(void)
{
	uint8_t how = input_byte(&input);

	memcpy(objects, beginning, sizeof objects);
	for (size_t i = 0; i < OBJECTS; i++)
		seed_sizes[objects[i].seed] = objects[i].size;
	next_seed = OBJECTS + 1;
	memory_store.objects = objects;
	memory_store.count = OBJECTS;
	memory_store.tells_sizes = how & 1;
	memory_store.probes_bring = how & 2;
	memory_store.page_names = how & 4 ? 3 : 1000;
	how >>= 3;
	if (how == 0 || how > TROUBLES)
		return;
	kernel.mount_err = troubles[how - 1].mount_err;
	kernel.device_err = troubles[how - 1].device_err;
	kernel.mount_type = troubles[how - 1].type;
	kernel.mount_path = troubles[how - 1].path;
}

static void object_change(void)
{
	struct memory_object *object = &objects[input_byte(&input) % OBJECTS];
	uint8_t how = input_byte(&input);

	if (next_seed == MEMORY_SEEDS)
		return;
	if (how & 1)
		object->gone = !object->gone;
	if (how & 2)
		object->size = input_u16(&input);
	object->seed = next_seed++;
	seed_sizes[object->seed] = object->size;
}

/* ---- the source --------------------------------------------------------------------------- */

static void source_answer(void)
{
	size_t waiting = memory_waiting();
	uint8_t which = input_byte(&input), how = input_byte(&input);
	uint64_t bytes = input_u16(&input) + 1U;
	/* Most are whole, or little comes to pass. */
	enum memory_answer answer = how < 160 ? MEMORY_WHOLE : how % MEMORY_ANSWERS;

	if (waiting > 0)
		memory_answer(which % waiting, answer, bytes);
}

/* Before there is a mount, the source is asked whether it can be one. */
static void run_before_mount(struct loop *here)
{
	if (memory_waiting() > 0)
		source_answer();
	else
		still_next(here);
}

/* ---- questions ---------------------------------------------------------------------------- */

static void deliver(void)
{
	still_ready(loop, kernel.device);
	still_pass(loop, 0);
}

static uint32_t any_process(void)
{
	return input_byte(&input) & 1 ? KERNEL_KILLED : 0;
}

static struct node *any_node(void)
{
	size_t first = input_byte(&input) % kernel.node_count;

	for (size_t i = 0; i < kernel.node_count; i++) {
		struct node *node = &kernel.nodes[(first + i) % kernel.node_count];

		if (node->lookups > 0)
			return node;
	}
	return &kernel.nodes[0];
}

static struct kernel_handle *any_handle(bool of_directory)
{
	size_t first = input_byte(&input) % KERNEL_HANDLES_MAX;

	for (size_t i = 0; i < KERNEL_HANDLES_MAX; i++) {
		struct kernel_handle *handle = &kernel.handles[(first + i) % KERNEL_HANDLES_MAX];

		if (handle->node && handle->node->is_dir == of_directory)
			return handle;
	}
	return NULL;
}

/* One that is there, or bytes. */
static size_t any_name(char name[1025])
{
	uint8_t which = input_byte(&input);
	size_t length;

	if (which < 200) {
		strcpy(name, names[which % (sizeof names / sizeof *names)]);
		return strlen(name) + 1;
	}
	/* The kernel knows names of 1 to 1,024 bytes without NUL and '/'. */
	length = which == 255 ? 1024 : 1 + input_byte(&input) % 40U;
	memset(name, 'n', length);
	input_take(&input, name, length < 40 ? length : 40);
	for (size_t i = 0; i < length; i++)
		name[i] = name[i] == '\0' || name[i] == '/' ? '_' : name[i];
	name[length] = '\0';
	return length + 1;
}

static void ask_lookup(void)
{
	char name[1025];
	struct question question = {.opcode = FUSE_LOOKUP};
	size_t size;

	question.pid = any_process();
	question.node = any_node();
	size = any_name(name);
	memcpy(kernel_ask(&question, size), name, size);
}

static void ask_getattr(void)
{
	kernel_ask(&(struct question){.opcode = FUSE_GETATTR, .node = any_node()},
		sizeof(struct fuse_getattr_in));
}

static bool has_free_handle(void)
{
	size_t used = 0;

	for (size_t i = 0; i < KERNEL_HANDLES_MAX; i++)
		used += kernel.handles[i].node != NULL;
	for (size_t i = 0; i < KERNEL_PENDING_MAX; i++)
		used += kernel.pending[i].unique && (kernel.pending[i].opcode == FUSE_OPEN ||
							    kernel.pending[i].opcode == FUSE_OPENDIR);
	return used < KERNEL_HANDLES_MAX;
}

static void ask_open(void)
{
	struct question question = {0};
	struct fuse_open_in *open;

	if (!has_free_handle())
		return;
	question.pid = any_process();
	question.node = any_node();
	question.opcode = question.node->is_dir ? FUSE_OPENDIR : FUSE_OPEN;
	open = kernel_ask(&question, sizeof *open);
	open->flags = input_byte(&input) & 7 ? 0 : input_u16(&input);
}

static void ask_release(void)
{
	struct kernel_handle *handle = any_handle(input_byte(&input) & 1);
	struct fuse_release_in *release;

	if (!handle || handle->busy > 0)
		return;
	release = kernel_ask(
		&(struct question){
			.opcode = handle->node->is_dir ? FUSE_RELEASEDIR : FUSE_RELEASE,
			.node = handle->node,
			.handle = handle,
		},
		sizeof *release);
	release->fh = handle->fh;
}

static void ask_read(void)
{
	struct kernel_handle *handle = any_handle(false);
	struct question question = {.opcode = FUSE_READ, .pid = any_process(), .handle = handle};
	uint8_t how = input_byte(&input);
	struct fuse_read_in *read;

	if (!handle)
		return;
	question.node = handle->node;
	question.size = how & 1 ? (input_u16(&input) * 17U) % ((1 << 20) + 1) : 4096;
	question.offset = how & 2 ? input_u64(&input) >> 1 : input_byte(&input) * 4096U;
	if (question.offset > INT64_MAX - question.size)
		question.offset = INT64_MAX - question.size;
	read = kernel_ask(&question, sizeof *read);
	read->fh = handle->fh;
	read->offset = question.offset;
	read->size = (uint32_t)question.size;
}

static void ask_names(void)
{
	struct kernel_handle *handle = any_handle(true);
	struct question question = {.pid = any_process(), .handle = handle};
	uint8_t how = input_byte(&input);
	struct fuse_read_in *read;

	if (!handle)
		return;
	question.opcode = how & 1 ? FUSE_READDIRPLUS : FUSE_READDIR;
	question.node = handle->node;
	question.size = how & 2 ? input_u16(&input) : 4096;
	question.offset = how & 4 ? input_u64(&input) : input_byte(&input) % 8;
	read = kernel_ask(&question, sizeof *read);
	read->fh = handle->fh;
	read->offset = question.offset;
	read->size = (uint32_t)question.size;
}

static void forget_if_unused(struct node *node, uint64_t count)
{
	if (node == &kernel.nodes[0] || node->busy > 0 || node->lookups == 0)
		return;
	kernel_forget(node, 1 + count % node->lookups);
}

static void ask_forget(void)
{
	struct node *node = any_node();

	forget_if_unused(node, input_byte(&input));
}

static void ask_forget_all(void)
{
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one ones[64];
	} *batch = kernel_ask(&(struct question){.opcode = FUSE_BATCH_FORGET}, sizeof *batch);

	for (size_t i = 1; i < kernel.node_count && batch->head.count < 64; i++) {
		struct node *node = &kernel.nodes[i];

		if (node->busy > 0 || node->lookups == 0)
			continue;
		batch->ones[batch->head.count++] = (struct fuse_forget_one){node->number, node->lookups};
		node->lookups = 0;
	}
}

/* Of one that waits: what libfuse can't find, it keeps, and never frees. */
static void ask_interrupt(void)
{
	size_t first = input_byte(&input);
	struct fuse_interrupt_in *interrupt;
	uint64_t unique = 0;

	for (size_t i = 0; i < KERNEL_PENDING_MAX && unique == 0; i++)
		unique = kernel.pending[(first + i) % KERNEL_PENDING_MAX].unique;
	if (unique == 0)
		return;
	interrupt = kernel_ask(&(struct question){.opcode = FUSE_INTERRUPT}, sizeof *interrupt);
	interrupt->unique = unique;
}

static void ask_xattr(void)
{
	static const char *const xattrs[] = {"user.pagein.url", "user.pagein.resident",
		"user.pagein.etag", "user.pagein.version", "user.pagein.content-type",
		"security.selinux", "user.pagein."};
	const char *name = xattrs[input_byte(&input) % (sizeof xattrs / sizeof *xattrs)];
	uint8_t how = input_byte(&input);
	struct question question = {.opcode = how & 1 ? FUSE_LISTXATTR : FUSE_GETXATTR};
	struct fuse_getxattr_in *xattr;

	question.pid = any_process();
	question.node = any_node();
	question.size = how & 2 ? input_u16(&input) : 0;
	xattr = kernel_ask(&question, sizeof *xattr + strlen(name) + 1);
	xattr->size = (uint32_t)question.size;
	strcpy((char *)(xattr + 1), name);
}

/* What has questions of its own above, and what is never answered, or only once. */
static bool is_asked_elsewhere(uint32_t opcode)
{
	static const uint32_t others[] = {FUSE_LOOKUP, FUSE_FORGET, FUSE_OPEN, FUSE_READ,
		FUSE_RELEASE, FUSE_INIT, FUSE_OPENDIR, FUSE_READDIR, FUSE_RELEASEDIR, FUSE_INTERRUPT,
		FUSE_DESTROY, FUSE_NOTIFY_REPLY, FUSE_BATCH_FORGET, FUSE_READDIRPLUS, FUSE_GETATTR,
		FUSE_GETXATTR, FUSE_LISTXATTR};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i] == opcode)
			return true;
	return false;
}

/* Whatever the kernel may ask one day, with any bytes behind it. */
static void ask_anything(void)
{
	struct question question = {.opcode = input_byte(&input)};
	size_t length = input_byte(&input);
	uint8_t *body;

	question.node = any_node();
	if (is_asked_elsewhere(question.opcode))
		return;
	body = kernel_ask(&question, length + 1);
	input_take(&input, body, length);
}

static void forget_pruned(void)
{
	size_t count = kernel.prune_count;

	kernel.prune_count = 0;
	for (size_t i = 0; i < count && i < 32; i++)
		for (size_t n = 1; n < kernel.node_count; n++)
			if (kernel.nodes[n].number == kernel.prune[i] && kernel.nodes[n].busy == 0 &&
				kernel.nodes[n].lookups > 0)
				kernel_forget(&kernel.nodes[n], kernel.nodes[n].lookups);
}

static void pass_time(void)
{
	static const uint64_t times_ns[] = {NS_PER_US, NS_PER_MS, 100 * NS_PER_MS, NS_PER_S,
		6 * NS_PER_S, 40 * NS_PER_S};

	still_pass(loop, times_ns[input_byte(&input) % (sizeof times_ns / sizeof *times_ns)]);
}

static void refuse_answer(void)
{
	kernel.refuses_answer = true;
}

static void unmount(void)
{
	kernel.is_gone = input_byte(&input) == 77;
}

/* The other shard comes to what was handed over; until then that waits. */
static void serve_other(void)
{
	still_pass(other_loop, 0);
}

static void (*const steps[])(void) = {source_answer, ask_lookup, ask_open, ask_read, ask_names,
	source_answer, ask_lookup, ask_open, ask_read, ask_names, source_answer, ask_release,
	ask_forget, ask_forget_all, ask_interrupt, ask_xattr, ask_getattr, ask_anything,
	forget_pruned, pass_time, object_change, refuse_answer, unmount,
	serve_other};

/* ---- a mount's life ----------------------------------------------------------------------- */

static void mount_ended(void *context)
{
	(void)context;
	is_ended = true;
}

static void mount_ready(void *context)
{
	(void)context;
	assert(!is_ended);
}

static int mount_begin(struct core *const *cores, struct fs **ret)
{
	static const uint64_t ttls_ns[] = {3600 * NS_PER_S, NS_PER_S, 0, UINT64_MAX};
	static const char *const urls[] = {MEMORY_URL, MEMORY_URL "dir/", MEMORY_URL "big",
		MEMORY_URL "dir"};
	uint8_t how = input_byte(&input);
	struct fs_options options = {
		.source_url = urls[how & 16 ? how >> 5 & 3 : 0],
		.mountpoint = kernel.mount_path ? kernel.mount_path : "/",
		.metadata_ttl_ns = ttls_ns[how & 3],
		.negative_ttl_ns = ttls_ns[how >> 1 & 3],
		.immutable = how & 8 && how & 4,
		.file_mode = 0444,
		.dir_mode = 0555,
		.inodes_max = how & 4 ? 3 : 0,
		.names_max = how & 8 ? 2 : 0,
		.ready = mount_ready,
		.ended = mount_ended,
	};
	char error[FS_ERROR_MAX] = "";
	int err;

	kernel.knows_prune = how & 128;
	/* With two, every second file is the other's. */
	err = fs_create(cores, how & 64 ? 2 : 1, &options, ret, error);
	/* What fails has words. */
	assert(err == 0 || error[0]);
	return err;
}

static void mount_say_init(void)
{
	struct fuse_init_in *init = kernel_ask(
		&(struct question){.opcode = FUSE_INIT}, sizeof *init);
	uint64_t flags = input_u64(&input);

	init->major = FUSE_KERNEL_VERSION;
	init->minor = input_byte(&input) & 1 ? 31 : 38;
	init->max_readahead = 131072;
	init->flags = (uint32_t)flags | FUSE_INIT_EXT;
	init->flags2 = (uint32_t)(flags >> 32);
	deliver();
}

/* All that is asked gets its answer in the end. */
static void settle(void)
{
	unsigned events = 0;

	while (!is_ended && kernel.pending_count > 0) {
		if (memory_waiting() > 0)
			memory_answer(0, MEMORY_WHOLE, 0);
		else
			assert(still_next(other_loop) || still_next(loop));
		deliver();
		serve_other();
		assert(++events < PATIENCE);
	}
}

static void mount_live(struct fs *fs)
{
	mount_say_init();
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0 && !is_ended; i++) {
		if (kernel.pending_count > KERNEL_PENDING_MAX - 8)
			settle();
		steps[input_byte(&input) % (sizeof steps / sizeof *steps)]();
		deliver();
	}
	kernel.refuses_answer = false;
	if (input_byte(&input) == 0)
		settle();
	fs_unmount(fs);
	assert(kernel.pending_count == 0);
}

static struct core *core_begin(struct loop **ret_loop)
{
	const struct core_options options = {.memory_max_bytes = 1 << 20, .attempts_max = 3};
	struct core *core = NULL;

	assert(loop_create(ret_loop) == 0 && core_create(*ret_loop, &options, &core) == 0);
	return core;
}

/* Nothing is left. */
static void core_end(struct core *core, struct loop *of)
{
	const struct core_stats *stats;

	still_pass(of, 0);
	stats = core_stats(core);
	assert(stats->transfers == 0 && stats->objects == 0 && stats->blocks == 0 &&
		stats->buffer_bytes == 0);
	core_destroy(core);
	loop_destroy(of);
}

/* On the main loop. */
static void mount_whole_life(void *context)
{
	struct core *const *cores = context;
	struct fs *fs = NULL;

	if (mount_begin(cores, &fs) == 0)
		mount_live(fs);
	fs_destroy(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct core *cores[2];

	log_set_level(LOG_ERROR);
	input = (struct input){bytes, len};
	is_ended = false;
	still_clock_reset();
	still_run = run_before_mount;
	kernel_reset();
	kernel_versions = versions_of_size;
	objects_begin();
	cores[0] = core_begin(&loop);
	cores[1] = core_begin(&other_loop);
	loop_call(loop, mount_whole_life, cores);
	core_end(cores[1], other_loop);
	core_end(cores[0], loop);
	assert(memory_store.pinned == 0 && memory_waiting() == 0);
	return 0;
}
