/*
 * manifest_hashes.h - the hashes of blocks that lines of a manifest tell, until all are here and
 * become each object's list. A line may be too short for all of an object's, so they come in parts,
 * in any order. Owned by a table (manifest_table.h), on its thread.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "hash_list.h"
#include "manifest_table.h"

struct manifest_part {
	const char *path; /* the table's */
	uint64_t from;    /* block */
	enum digest_kind kind;
	uint32_t line;
	uint64_t count;
	uint8_t *bytes;
};

struct manifest_parts {
	struct manifest_part *list;
	size_t count, max;
};

/*
 * What a line says of its object's blocks, to `path`, which the table keeps. Nothing, if it has no
 * such members; *ret_block_bytes is 0 then, and of a line that only goes on with another's hashes.
 * -EPROTO: *ret_wrong has words; -ENOMEM
 */
int manifest_parts_read(struct manifest_parts *parts, const json_t *line, const char *path,
	uint32_t number, uint32_t *ret_block_bytes, const char **ret_wrong);

/* Is it a line that only goes on with another's hashes? */
bool manifest_part_is_more(const json_t *line);

/*
 * There are no more: each object's list is made. The entries are sorted by path. -EPROTO:
 * *ret_wrong has words and *ret_line what they are about; -ENOMEM
 */
int manifest_parts_end(struct manifest_parts *parts, struct manifest_entry *entries, size_t count,
	uint32_t *ret_line, const char **ret_wrong);

void manifest_parts_finish(struct manifest_parts *parts);
