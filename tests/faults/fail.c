/*
 * fail.c - which call fails. See fail.h.
 *
 * The state is shared memory, written by atomic operations only: threads and forked children count
 * together. Nothing here calls what is wrapped, but before the window opens.
 *
 * Rejected: LD_PRELOAD (libcurl's own malloc would fail, too: a test of libcurl); one counter for
 * all classes (a call more of a frequent kind would move all others).
 */
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
	unsigned at; /* 0: none fails */
	bool on;
	unsigned variant;
} plan;

extern const char __executable_start[]; /* the linker's */

static void plan_parse(const char *text)
{
	char name[16], on = '\0';

	if (sscanf(text, "%15[a-z]:%u%c", name, &plan.at, &on) < 2)
		goto wrong;
	plan.on = on == '+';
	text = strchr(text, '/');
	plan.variant = text ? (unsigned)strtoul(text + 1, NULL, 10) : 0;
	for (size_t i = 0; i < FAIL_CLASSES; i++) {
		if (strcmp(class_names[i], name) == 0) {
			plan.class = (enum fail_class)i;
			return;
		}
	}
wrong:
	fprintf(stderr, "FAIL: not CLASS:N[+][/VARIANT]\n");
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

static void note_first(const char *name, int error, const void *site)
{
	size_t length = strnlen(name, 40);

	memcpy(state->first, name, length);
	state->first[length] = ' ';
	for (size_t at = length + 4; at > length; at--, error /= 10)
		state->first[at] = (char)('0' + error % 10);
	state->site = (uint64_t)((const char *)site - __executable_start);
}

int fail_now(
	enum fail_class class, const char *name, const int *errors, size_t count, const void *site)
{
	unsigned number;
	int error;

	if (!state || !atomic_load_explicit(&state->is_open, memory_order_relaxed))
		return 0;
	number = atomic_fetch_add(&state->counts[class], 1) + 1;
	if (atomic_load(&state->errors_max[class]) < count)
		atomic_store(&state->errors_max[class], (uint32_t)count);
	if (plan.at == 0 || class != plan.class || number < plan.at ||
		(number > plan.at && !plan.on))
		return 0;
	error = errors[plan.variant % count];
	if (error == EINTR && (number - plan.at) % 2 != 0)
		return 0;
	if (atomic_fetch_add(&state->failures, 1) == 0)
		note_first(name, error, site);
	return error;
}
