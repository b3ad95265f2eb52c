/* fuse_questions.c - see fuse_questions.h. */
#include "fuse_questions.h"

#include <stdbool.h>

#include "fuse_kernel.h"

static const char *const names[] = {"a", "b", "big", "dir", "c", "d", "e", "x", "k1", "k2", "k3",
	"%41", "%{..}", "a%{object}", "%{01}", "nothing", LONG_KEY};

static struct input *input;

void questions_begin(struct input *from)
{
	input = from;
}

static uint32_t any_process(void)
{
	return input_byte(input) & 1 ? KERNEL_KILLED : 0;
}

static struct node *any_node(void)
{
	size_t first = input_byte(input) % kernel.node_count;

	for (size_t i = 0; i < kernel.node_count; i++) {
		struct node *node = &kernel.nodes[(first + i) % kernel.node_count];

		if (node->lookups > 0)
			return node;
	}
	return &kernel.nodes[0];
}

static struct kernel_handle *any_handle(bool of_directory)
{
	size_t first = input_byte(input) % KERNEL_HANDLES_MAX;

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
	uint8_t which = input_byte(input);
	size_t length;

	if (which < 200) {
		strcpy(name, names[which % (sizeof names / sizeof *names)]);
		return strlen(name) + 1;
	}
	/* The kernel knows names of 1 to 1,024 bytes without NUL and '/'. */
	length = which == 255 ? 1024 : 1 + input_byte(input) % 40U;
	memset(name, 'n', length);
	input_take(input, name, length < 40 ? length : 40);
	for (size_t i = 0; i < length; i++)
		name[i] = name[i] == '\0' || name[i] == '/' ? '_' : name[i];
	name[length] = '\0';
	return length + 1;
}

void ask_lookup(void)
{
	char name[1025];
	struct question question = {.opcode = FUSE_LOOKUP};
	size_t size;

	question.pid = any_process();
	question.node = any_node();
	size = any_name(name);
	memcpy(kernel_ask(&question, size), name, size);
}

void ask_getattr(void)
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
		used += kernel.pending[i].unique &&
			(kernel.pending[i].opcode == FUSE_OPEN ||
				kernel.pending[i].opcode == FUSE_OPENDIR);
	return used < KERNEL_HANDLES_MAX;
}

void ask_open(void)
{
	struct question question = {0};
	struct fuse_open_in *open;

	if (!has_free_handle())
		return;
	question.pid = any_process();
	question.node = any_node();
	question.opcode = question.node->is_dir ? FUSE_OPENDIR : FUSE_OPEN;
	open = kernel_ask(&question, sizeof *open);
	open->flags = input_byte(input) & 7 ? 0 : input_u16(input);
}

void ask_release(void)
{
	struct kernel_handle *handle = any_handle(input_byte(input) & 1);
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

void ask_read(void)
{
	struct kernel_handle *handle = any_handle(false);
	struct question question = {.opcode = FUSE_READ, .pid = any_process(), .handle = handle};
	uint8_t how = input_byte(input);
	struct fuse_read_in *read;

	if (!handle)
		return;
	question.node = handle->node;
	question.size = how & 1 ? (input_u16(input) * 17U) % ((1 << 20) + 1) : 4096;
	question.offset = how & 2 ? input_u64(input) >> 1 : input_byte(input) * 4096U;
	if (question.offset > INT64_MAX - question.size)
		question.offset = INT64_MAX - question.size;
	read = kernel_ask(&question, sizeof *read);
	read->fh = handle->fh;
	read->offset = question.offset;
	read->size = (uint32_t)question.size;
}

void ask_names(void)
{
	struct kernel_handle *handle = any_handle(true);
	struct question question = {.pid = any_process(), .handle = handle};
	uint8_t how = input_byte(input);
	struct fuse_read_in *read;

	if (!handle)
		return;
	question.opcode = how & 1 ? FUSE_READDIRPLUS : FUSE_READDIR;
	question.node = handle->node;
	question.size = how & 2 ? input_u16(input) : 4096;
	question.offset = how & 4 ? input_u64(input) : input_byte(input) % 8;
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

void ask_forget(void)
{
	struct node *node = any_node();

	forget_if_unused(node, input_byte(input));
}

void ask_forget_all(void)
{
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one ones[64];
	} *batch = kernel_ask(&(struct question){.opcode = FUSE_BATCH_FORGET}, sizeof *batch);

	for (size_t i = 1; i < kernel.node_count && batch->head.count < 64; i++) {
		struct node *node = &kernel.nodes[i];

		if (node->busy > 0 || node->lookups == 0)
			continue;
		batch->ones[batch->head.count++] = (struct fuse_forget_one){
			node->number, node->lookups};
		node->lookups = 0;
	}
}

/* Of one that waits: what libfuse can't find, it keeps, and never frees. */
void ask_interrupt(void)
{
	size_t first = input_byte(input);
	struct fuse_interrupt_in *interrupt;
	uint64_t unique = 0;

	for (size_t i = 0; i < KERNEL_PENDING_MAX && unique == 0; i++)
		unique = kernel.pending[(first + i) % KERNEL_PENDING_MAX].unique;
	if (unique == 0)
		return;
	interrupt = kernel_ask(&(struct question){.opcode = FUSE_INTERRUPT}, sizeof *interrupt);
	interrupt->unique = unique;
}

void ask_xattr(void)
{
	static const char *const xattrs[] = {"user.pagein.url", "user.pagein.resident",
		"user.pagein.etag", "user.pagein.version", "user.pagein.content-type",
		"security.selinux", "user.pagein."};
	const char *name = xattrs[input_byte(input) % (sizeof xattrs / sizeof *xattrs)];
	uint8_t how = input_byte(input);
	struct question question = {.opcode = how & 1 ? FUSE_LISTXATTR : FUSE_GETXATTR};
	struct fuse_getxattr_in *xattr;

	question.pid = any_process();
	question.node = any_node();
	question.size = how & 2 ? input_u16(input) : 0;
	xattr = kernel_ask(&question, sizeof *xattr + strlen(name) + 1);
	xattr->size = (uint32_t)question.size;
	strcpy((char *)(xattr + 1), name);
}

/* What has questions of its own above, and what is never answered, or only once. */
static bool is_asked_elsewhere(uint32_t opcode)
{
	static const uint32_t others[] = {FUSE_LOOKUP, FUSE_FORGET, FUSE_OPEN, FUSE_READ,
		FUSE_RELEASE, FUSE_INIT, FUSE_OPENDIR, FUSE_READDIR, FUSE_RELEASEDIR,
		FUSE_INTERRUPT, FUSE_DESTROY, FUSE_NOTIFY_REPLY, FUSE_BATCH_FORGET,
		FUSE_READDIRPLUS, FUSE_GETATTR, FUSE_GETXATTR, FUSE_LISTXATTR};

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i] == opcode)
			return true;
	return false;
}

/* Whatever the kernel may ask one day, with any bytes behind it. */
void ask_anything(void)
{
	struct question question = {.opcode = input_byte(input)};
	size_t length = input_byte(input);
	uint8_t *body;

	question.node = any_node();
	if (is_asked_elsewhere(question.opcode))
		return;
	body = kernel_ask(&question, length + 1);
	input_take(input, body, length);
}

void forget_pruned(void)
{
	size_t count = kernel.prune_count;

	kernel.prune_count = 0;
	for (size_t i = 0; i < count && i < 32; i++)
		for (size_t n = 1; n < kernel.node_count; n++)
			if (kernel.nodes[n].number == kernel.prune[i] &&
				kernel.nodes[n].busy == 0 && kernel.nodes[n].lookups > 0)
				kernel_forget(&kernel.nodes[n], kernel.nodes[n].lookups);
}
