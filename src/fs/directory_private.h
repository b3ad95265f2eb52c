/*
 * directory_private.h - what directory.c and arrival.c share: a listing's memory. For those two.
 */
#pragma once

#include "directory.h"

/* An entry whose name is still the source's. */
struct held {
	struct entry entry;
	size_t length; /* of its name, which may have NULs */
};

enum directory_state { ARRIVING, WHOLE, FAILED };

struct arena;

struct directory {
	unsigned refs;
	enum directory_state state;
	int err;
	uint64_t learned_ns;
	const char *const *inside;
	size_t depth;
	bool keeps_etags;
	bool reserves; /* METRICS_DIRECTORY */
	struct arena *arena;
	struct entry **chunks;
	size_t count;
	uint32_t *slots; /* index + 1; 0: free */
	size_t slot_count;
	struct held *held;
	size_t held_count;
	size_t held_max;
};

/* A NUL-terminated copy that lives as long as the listing. NULL: out of memory. */
char *directory_keep(struct directory *directory, const char *bytes, size_t length);

/* What is needed to number what is shown. */
struct numbering {
	const struct directory *older;
	uint64_t *next;
};

/* Copies the entry, but not its strings; what has the name of one that is shown is dropped. -ENOMEM
 */
int directory_show(
	struct directory *directory, const struct entry *from, struct numbering numbering);
