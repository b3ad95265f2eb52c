/*
 * uffd_private.h - what the two files of the userfaultfd's model share: uffd_space.c, the
 * addresses, threads and calls of an application, and uffd_kernel.c, what is read and filled. For
 * these two only.
 */
#pragma once

#include "uffd_kernel.h"

#define WAITERS_MAX 256
#define EVENTS_MAX 64
#define LIES_MAX 64

enum kind { NOTHING, OTHER, OURS };

struct page {
	enum kind kind;
	bool registered, present, poisoned, barred;
	uint64_t offset; /* of the object */
};

struct waiter {
	size_t page;
	int32_t thread;
	bool unread; /* its message */
};

/* A call of the application that waits for its event to be read. */
struct event {
	struct uffd_msg message;
	bool read;
};

extern struct page pages[SPACE_PAGES];
extern struct waiter waiters[WAITERS_MAX];
extern size_t waiter_count;
extern struct event events[EVENTS_MAX];
extern size_t event_count;
extern struct uffd_msg lies[LIES_MAX];
extern size_t lie_count;

/* The pages of [address, address + length) that there are. false: none. */
bool pages_of(uint64_t address, uint64_t length, size_t *ret_first, size_t *ret_end);
void pages_forget(size_t page, size_t count);
static inline uint64_t page_address(size_t page)
{
	return SPACE_START + page * SPACE_PAGE;
}

/* Who waits at these pages looks again: what must wait faults anew. */
void waiters_wake(size_t first, size_t end);
