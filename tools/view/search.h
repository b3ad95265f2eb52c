/*
 * search.h - looks for a needle in an object, on a thread of its own.
 *
 * All calls are for the thread that has the screen, and wait for nothing, but search_destroy(),
 * which waits a moment.
 */
#pragma once

#include "needle.h"
#include "pages.h"

struct search;

enum search_state { SEARCH_RUNNING, SEARCH_FOUND, SEARCH_MISSED, SEARCH_FAILED };

struct search_news {
	enum search_state state;
	uint64_t at; /* where it is looking; found; failed */
	uint64_t length;
	char reason[PAGES_REASON_MAX];
};

/*
 * For a match that begins at or behind from; backward: before it. Takes the needle's content over,
 * in any case. changed_fd as in pages.h.
 */
int search_start(struct pages *pages, uint64_t size, struct needle *needle, uint64_t from,
	bool is_backward, int changed_fd, struct search **ret);
void search_news(struct search *search, struct search_news *ret);
/* Ends it wherever it is. NULL is fine. */
void search_destroy(struct search *search);
