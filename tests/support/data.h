/*
 * data.h - files of random bytes below a server's root, and the oracle: the same bytes through a
 * plain mmap(2) of the local file. The test's own thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server.h"

struct local {
	const uint8_t *bytes; /* NULL when empty */
	size_t size;
	char path[160];
};

/* Writes the file, other bytes for each seed, and maps it. */
void local_make(struct local *local, const struct server *server, const char *name, size_t size,
	uint64_t seed);

/* Other bytes and another version of the same length; the oracle stays with the old ones. */
void local_overwrite(const struct local *local, uint64_t seed);

void local_finish(struct local *local);
