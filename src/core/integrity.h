/*
 * integrity.h - are an object's bytes those that its source means? Two ways to know:
 *
 *	by block	a list has a digest of each block (hash_list.h). A block is fetched as a
 *			whole, compared, and only then shown: hold.c. What is shown is right.
 *	by the whole	a digest of all bytes. They are shown as they come, and counted here;
 *			whether they were right is known when the last of them has come.
 *
 *	whole:  open --all counted, the same--> good
 *	           \--all counted, another--> bad: nothing more is shown, the last bytes neither
 *	           \--no memory to count with--> unchecked, or bad where VERIFY_REQUIRE
 *
 * A CRC is made of pages in any order; a hash, of those in sequence: of a page that comes before
 * its turn only if it can be had from its block when that comes (an object that keeps or caches its
 * bytes). A page is counted once, so that one that was dropped may come again; that one is not
 * looked at any more.
 *
 * On the loop of the object.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core.h"
#include "digest.h"
#include "object.h"
#include "radix.h"
#include "range.h"

struct integrity {
	enum object_integrity state;
	bool is_required; /* VERIFY_REQUIRE: what can't be known is bad */
	uint64_t size;
	struct digest expected, seen; /* seen: when it is known, else of kind NONE */
	/* of a CRC */
	struct radix counted; /* the pages of each block, a bit each, in place of a pointer */
	uint64_t counted_bytes;
	uint64_t remainder; /* of all that was counted, but for the run: */
	struct range run;   /* what was counted last, as long as one goes on behind the other */
	uint64_t run_remainder;
	/* of a hash; its length is how far it has come */
	struct digest_run hash;
};

/*
 * May what the core's verify says be had of this version, whose bytes go where `keep` says, and if
 * it is_in_sequence are read from the first to the last? NULL, or why not.
 */
const char *integrity_refusal(enum verify verify, const struct version *version,
	enum object_keep keep, bool is_in_sequence);

/*
 * The list by which the version is to be checked: its own, or, where small objects are held back
 * until they are known to be right, one of a single block. *ret NULL: none. -ENOMEM
 */
int integrity_list(enum verify verify, const struct version *version, struct hash_list **ret);

/* list: what integrity_list() gave. -ENOMEM */
int integrity_init(struct integrity *integrity, enum verify verify, const struct version *version,
	const struct hash_list *list);
void integrity_finish(struct integrity *integrity);

/* Does a hash still need these bytes, soon? */
bool integrity_needs(const struct integrity *integrity, struct range range);

/*
 * Whole pages (the last may be short) are about to be shown. 0, or -EIO: they must not be. -ENOMEM:
 * nobody will ever know; but they may be shown, as nobody requires to.
 */
int integrity_count(struct integrity *integrity, struct range range, const uint8_t *bytes);

/* How far a hash has come: what is there may be counted. UINT64_MAX: none is being made. */
uint64_t integrity_next(const struct integrity *integrity);

/* "whole object: crc32c:0123 expected, crc32c:4567 seen" */
const char *integrity_words(const struct integrity *integrity, char to[SOURCE_ERROR_MAX]);
