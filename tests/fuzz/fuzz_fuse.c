/*
 * fuzz_fuse.c - any order of questions of the kernel, and of answers of the source, through the
 * real session, dispatcher, operations and core. fuse_kernel.h says what is held against them.
 *
 * The first bytes choose the mount, each further one what happens next: a question with its numbers
 * and names, an answer of the source (whole, in part, an error), a change of an object, time. In
 * the end, unless the mount has, everybody must have been answered, and nothing may be left.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "core.h"
#include "fs.h"
#include "fuse_kernel.h"
#include "fuse_questions.h"
#include "input.h"
#include "log.h"
#include "memory_source.h"
#include "still_loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define STEPS_MAX 400
#define PATIENCE 100000 /* events until all have been answered */

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

/* ---- what else happens ------------------------------------------------------------------- */

static void deliver(void)
{
	still_ready(loop, kernel.device);
	still_pass(loop, 0);
}

static void pass_time(void)
{
	static const uint64_t times_ns[] = {
		NS_PER_US, NS_PER_MS, 100 * NS_PER_MS, NS_PER_S, 6 * NS_PER_S, 40 * NS_PER_S};

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
	forget_pruned, pass_time, object_change, refuse_answer, unmount, serve_other};

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
	static const char *const urls[] = {
		MEMORY_URL, MEMORY_URL "dir/", MEMORY_URL "big", MEMORY_URL "dir"};
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
	questions_begin(&input);
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
