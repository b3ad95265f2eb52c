/*
 * pager.h - shows an object until the user has seen enough. Main thread.
 */
#pragma once

#include <stdbool.h>

struct opened;

enum pager_end {
	PAGER_QUIT,     /* this object */
	PAGER_QUIT_ALL, /* everything */
	PAGER_GONE,     /* a signal, or no terminal any more */
	PAGER_FAILED,   /* for want of memory or threads */
};

/* How it is shown first; it comes back as it was last. */
struct pager_look {
	bool is_hex, is_cut;
	const char *place; /* where to begin, as people write it; NULL: at the beginning */
};

enum pager_end pager_run(const struct opened *opened, int changed_fd, struct pager_look *look);
