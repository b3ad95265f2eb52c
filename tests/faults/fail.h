/*
 * fail.h - calls into other libraries that fail on command.
 *
 * The linker puts fail_system.c and fail_library.c between this project's object files and what
 * they call (-Wl,--wrap for each function of calls.txt), so that only our calls fail, never those
 * inside of libc, libcurl or libfuse. Each call has a class, each class a counter. The environment:
 *
 *	FAIL=CLASS:N		the Nth call of that class, counted from the window's beginning
 *	FAIL=CLASS:N+		that one, and all that follow
 *	FAIL=CLASS:N+2		that one, and the next
 *	FAIL=CLASS:N/1		another of its errors, where it may have several
 *	FAIL=CLASS@KEY		the first call of that class at that place; + and / as above
 *	FAIL_PLACES=1		each place is noted
 *	FAIL_ALL=1		the window is the whole process, and what it forks
 *	FAIL_STATE=FILE		struct fail_state is in this file, which must be as long
 *
 * A place is a call and the functions of this program that it comes from. Several calls of a loop
 * are one, the same call on behalf of two others is two. Numbers move with whatever comes before,
 * another environment variable or an answer in two parts; places don't.
 *
 * Any thread; async-signal-safe. What is injected is what the call may say at that place: a socket
 * is reset, an eventfd is interrupted, a disk has an I/O error. EINTR never comes twice in a row.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* drive.py has the same list. */
enum fail_class {
	FAIL_MEMORY,
	FAIL_MAP,
	FAIL_IOCTL,
	FAIL_EPOLL,
	FAIL_FD,
	FAIL_IO,
	FAIL_WAIT,
	FAIL_FILE,
	FAIL_THREAD,
	FAIL_PROCESS,
	FAIL_CURL,
	FAIL_PARSE,
	FAIL_FUSE,
	FAIL_CLASSES,
};

#define FAIL_FRAMES 6
#define FAIL_PLACES 4096

struct fail_place {
	_Atomic uint64_t key; /* 0: none */
	uint32_t class;
	uint32_t errors;              /* that this call may have */
	uint64_t frames[FAIL_FRAMES]; /* return addresses, from the program's start, innermost first
				       */
};

/* What drive.py reads, also of a process that was killed. Shared by what the process forks. */
struct fail_state {
	atomic_bool is_open; /* the window */
	_Atomic uint32_t failures;
	_Atomic uint32_t place_at;             /* the number of the planned place's first call */
	_Atomic uint32_t counts[FAIL_CLASSES]; /* calls in the window */
	_Atomic uint32_t errors_max[FAIL_CLASSES]; /* that one of them may have */
	char first[48];                            /* the call that failed first, its error, and: */
	struct fail_place first_place;
	struct fail_place places[FAIL_PLACES]; /* a hash table */
};

/* Opens and closes the window. */
void fail_open(void);
void fail_close(void);

/* How many calls have failed. */
unsigned fail_count(void);

/* For the wrappers: is this call to fail, and with which of these errors? 0: it is not. */
int fail_now(
	enum fail_class class, const char *name, const int *errors, size_t count, const void *site);
