/*
 * pages.h - brings pages of a map for the screen, on a thread of its own, and keeps copies.
 *
 * The thread that has the screen never touches the map: a touch may wait for the network. It says
 * what it wants, is told through a descriptor that something has changed, and reads copies. Errors
 * of single pages are kept until they are retried. All calls but pages_fetch() are for that thread,
 * and wait for nothing.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sight.h"

struct pages;
struct pagein_map;

#define PAGES_REASON_MAX 240

/* What the status line tells. */
struct pages_news {
	uint64_t requests, bytes_fetched;
	uint64_t latency_ns; /* from asking for the last page that came until it was there; 0: none
			      */
	bool is_fetching;
};

/* map and source outlive it. changed_fd: an eventfd(2), written to when something has changed. */
int pages_start(struct pagein_map *map, const char *source, int changed_fd, struct pages **ret);
/* Waits for its thread, a moment at the most. NULL is fine. */
void pages_stop(struct pages *pages);

/* From now on these bytes are wanted, and no others any more. */
void pages_want(struct pages *pages, uint64_t start, uint64_t end);
/* Fills sight with what is there around a byte of the object. */
void pages_look(struct pages *pages, uint64_t at, struct sight *sight);
/* Why a page has failed; "" if it has not. */
void pages_reason(struct pages *pages, uint64_t at, char reason[PAGES_REASON_MAX]);
/* What has failed is tried anew. */
void pages_retry(struct pages *pages);

void pages_news(struct pages *pages, struct pages_news *ret);
/* The residency bar, in so many cells: enum pagein_state. */
void pages_bar(struct pages *pages, unsigned char *cells, size_t count);

/*
 * For another thread, which reads the object in one direction: waits for these bytes and copies
 * them. next, next_length: what will be asked for then, 0 if nothing. -ECANCELED; else why, in
 * words, and at which byte.
 */
struct pages_fetch {
	uint64_t offset;
	size_t length;
	uint8_t *bytes;
	uint64_t next;
	size_t next_length;
	const atomic_bool *is_cancelled;
	uint64_t failed_at;
	char reason[PAGES_REASON_MAX];
};
int pages_fetch(struct pages *pages, struct pages_fetch *fetch);
