/*
 * uffd_kernel.h - an address space that is told of by a userfaultfd, in memory: threads that touch
 * pages, munmap(2), mremap(2) and madvise(2), and what the kernel makes of each fill. uffd_kernel.c
 * defines the functions of uffd.h, and wraps (--wrap) the system calls on the map's addresses.
 *
 * As the kernel of 6.18 does: all faults are read before any event; while an event is unread, and
 * until its thread has gone on, fills get EAGAIN; a range that is not within one area gets ENOENT;
 * who waits where memory was unmapped waits on until it is woken.
 *
 * Held against each fill: the page shows these bytes of the object and no others, and is poisoned
 * only if something has failed, or past the object's end. (Not when the kernel lies: `lies`.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uffd.h"

#define SPACE_PAGES 1024
#define SPACE_START UINT64_C(0x200000000000) /* nothing is there */
#define SPACE_PAGE UINT64_C(4096)

struct space {
	uint64_t object_size;
	unsigned object_seed;
	uint64_t offset; /* of the object, where the next map begins */
	size_t place;    /* page at which it shall lie */
	bool makes_map;  /* the next mmap(2) is its memory */
	bool has_poison;
	bool lies;         /* messages of no cause have been sent */
	bool may_fail;     /* something was refused: poison is right */
	unsigned refusals; /* fills that get refusal_err from now on */
	int refusal_err;
	unsigned filled, poisoned; /* pages */
};
extern struct space space;

void space_reset(void);

/* A thread touches the page: it waits until it is filled, fails, or is gone. */
void space_touch(size_t page, int32_t thread);
/* The same message once more, as after a signal. */
void space_repeat(size_t waiter);
/* Threads that wait; and where one of them does. */
size_t space_waiting(void);
bool space_find_waiting(size_t waiter, size_t *ret_page);

/* Calls of the application, if they can be made; their threads go on in space_resume(). */
void space_unmap(size_t page, size_t count);
void space_move(size_t from, size_t count, size_t to, bool keeps_old);
void space_drop(size_t page, size_t count);
/* In place, by mremap(2): no event tells. false: something is in the way. */
bool space_grow(size_t page, size_t count);
/* Ordinary memory, where nothing is. */
void space_map_other(size_t page, size_t count);
/* The threads of calls whose events have been read go on. false: none can. */
bool space_resume(void);

/* Is there anything to be read? */
bool space_is_readable(void);
/* A message out of nothing. */
void space_lie(const struct uffd_msg *message);
