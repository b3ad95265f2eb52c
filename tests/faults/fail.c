/*
 * fail.c - which call fails. See fail.h.
 *
 * The state is shared memory, written by atomic operations only: threads and forked children count
 * together. Nothing here calls what is wrapped, but before the window opens. The unwinder is
 * libgcc's own, which asks the dynamic linker without a lock; libc's backtrace() may allocate.
 *
 * Rejected: LD_PRELOAD (libcurl's own malloc would fail, too: a test of libcurl); one counter for
 * all classes (a call more of a frequent kind would move all others).
 */
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include "check.h"

static const char *const class_names[FAIL_CLASSES] = {
	[FAIL_MEMORY] = "memory",
	[FAIL_MAP] = "map",
	[FAIL_IOCTL] = "ioctl",
	[FAIL_EPOLL] = "epoll",
	[FAIL_FD] = "fd",
	[FAIL_IO] = "io",
	[FAIL_WAIT] = "wait",
	[FAIL_FILE] = "file",
	[FAIL_THREAD] = "thread",
	[FAIL_PROCESS] = "process",
	[FAIL_CURL] = "curl",
	[FAIL_PARSE] = "parse",
	[FAIL_FUSE] = "fuse",
};

static struct fail_state *state;
static struct {
	enum fail_class class;
	unsigned at;    /* 0: none fails, or: */
	uint64_t place; /* 0: none */
	unsigned count; /* so many calls of the class fail */
	unsigned variant;
	bool notes_places;
} plan;

extern const char __executable_start[], etext[]; /* the linker's */

static void plan_parse(const char *text)
{
	char name[16], on = '\0';
	const char *rest;

	if (sscanf(text, "%15[a-z]:%u%c", name, &plan.at, &on) < 2 &&
		sscanf(text, "%15[a-z]@%" SCNx64 "%c", name, &plan.place, &on) < 2)
		goto wrong;
	rest = on == '+' ? strchr(text, '+') + 1 : "1";
	plan.count = *rest && *rest != '/' ? (unsigned)strtoul(rest, NULL, 10) : UINT_MAX;
	text = strchr(text, '/');
	plan.variant = text ? (unsigned)strtoul(text + 1, NULL, 10) : 0;
	for (size_t i = 0; i < FAIL_CLASSES; i++) {
		if (strcmp(class_names[i], name) == 0) {
			plan.class = (enum fail_class)i;
			return;
		}
	}
wrong:
	fprintf(stderr, "FAIL: not CLASS:N[+[COUNT]][/VARIANT], or CLASS@KEY...\n");
	exit(99);
}

static __attribute__((constructor)) void fail_start(void)
{
	const char *path = getenv("FAIL_STATE"), *text = getenv("FAIL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE,
		fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (state == MAP_FAILED || (path && fd < 0)) {
		fprintf(stderr, "FAIL_STATE: %s\n", strerror(errno));
		exit(99);
	}
	if (fd >= 0)
		close(fd);
	if (text)
		plan_parse(text);
	plan.notes_places = getenv("FAIL_PLACES");
	if (getenv("FAIL_ALL"))
		fail_open();
}

void fail_open(void)
{
	atomic_store(&state->is_open, true);
}

void fail_close(void)
{
	atomic_store(&state->is_open, false);
}

unsigned fail_count(void)
{
	return atomic_load(&state->failures);
}

/* ---- places ------------------------------------------------------------------------------- */

struct unwinding {
	struct fail_place *place;
	size_t count;
	const void *site;
};

/* Only the program's own frames: what libcurl calls back from has other addresses in each process.
 */
static _Unwind_Reason_Code frame_note(struct _Unwind_Context *context, void *to)
{
	struct unwinding *unwinding = to;
	const char *address = (const char *)_Unwind_GetIP(context);

	if (unwinding->count == 0 && address != unwinding->site)
		return _URC_NO_REASON; /* the wrapper's */
	if (address >= __executable_start && address < etext)
		unwinding->place->frames[unwinding->count++] = (uint64_t)(address -
									  __executable_start);
	return unwinding->count == FAIL_FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* FNV-1a */
static uint64_t hash(uint64_t before, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		before = (before ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
	return before;
}

static void place_find(struct fail_place *ret, enum fail_class class, const char *name,
	size_t errors, const void *site)
{
	struct unwinding unwinding = {.place = ret, .site = site};

	*ret = (struct fail_place){.class = class, .errors = (uint32_t)errors};
	_Unwind_Backtrace(frame_note, &unwinding);
	ret->key = hash(0xcbf29ce484222325 + class, name, strlen(name));
	ret->key = hash(ret->key, ret->frames, sizeof ret->frames) | 1;
}

static void place_note(const struct fail_place *place)
{
	uint64_t key = place->key;

	for (size_t i = 0; i < FAIL_PLACES; i++) {
		struct fail_place *slot = &state->places[(key + i) % FAIL_PLACES];
		uint64_t found = 0;

		if (atomic_compare_exchange_strong(&slot->key, &found, key)) {
			slot->class = place->class;
			slot->errors = place->errors;
			memcpy(slot->frames, place->frames, sizeof slot->frames);
			return;
		}
		if (found == key)
			return;
	}
}

/* ---- the decision ------------------------------------------------------------------------- */

static void note_first(const char *name, int error, const struct fail_place *place)
{
	size_t length = strnlen(name, 40);

	memcpy(state->first, name, length);
	state->first[length] = ' ';
	for (size_t at = length + 4; at > length; at--, error /= 10)
		state->first[at] = (char)('0' + error % 10);
	state->first_place = *place;
}

/* The number of the call from which on calls of this class fail; 0: not yet. */
static unsigned failing_from(unsigned number, const struct fail_place *place)
{
	uint32_t none = 0;

	if (plan.place == 0)
		return plan.at;
	if (place->key == plan.place)
		atomic_compare_exchange_strong(&state->place_at, &none, number);
	return atomic_load(&state->place_at);
}

int fail_now(
	enum fail_class class, const char *name, const int *errors, size_t count, const void *site)
{
	struct fail_place place = {0};
	unsigned number, from;
	int error;

	if (!state || !atomic_load_explicit(&state->is_open, memory_order_relaxed))
		return 0;
	number = atomic_fetch_add(&state->counts[class], 1) + 1;
	if (atomic_load(&state->errors_max[class]) < count)
		atomic_store(&state->errors_max[class], (uint32_t)count);
	if (plan.notes_places || (plan.place != 0 && class == plan.class))
		place_find(&place, class, name, count, site);
	if (plan.notes_places)
		place_note(&place);
	from = class == plan.class ? failing_from(number, &place) : 0;
	if (from == 0 || number < from || number - from >= plan.count)
		return 0;
	error = errors[plan.variant % count];
	if (error == EINTR && (number - from) % 2 != 0)
		return 0;
	if (atomic_fetch_add(&state->failures, 1) == 0) {
		place_find(&place, class, name, count, site);
		note_first(name, error, &place);
	}
	return error;
}
