/*
 * object.h - one version of a remote object: who waits for which of its bytes, which are here, and
 * which are on their way.
 *
 * The two doors meet here. A door says object_fetch() for the pages it needs and those worth having
 * ahead of time, and is told through its `want` as bytes arrive, in the order of arrival, whole
 * pages at a time (the last page of the object may be short). Nothing here knows FUSE or
 * userfaultfd.
 *
 *  page:   absent --fetch--> inflight --bytes--> present --drop, evict--> absent  (keep, cache)
 *                                     \--bytes--> given to the wants --> absent   (pass)
 *                                      \--give up--> absent, wants told
 *
 * O1 a page is in at most one of present and inflight.
 * O2 an inflight page belongs to exactly one transfer.
 * O3 present pages have their bytes in the block's buffer.
 * O4 a block without any bit set is freed.
 * O5 a page that is evicted is neither in flight nor one that a want will read in its block.
 *
 * All on the core's loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "list.h"
#include "loop.h"
#include "pages.h"
#include "range.h"
#include "readahead.h"
#include "source.h"
#include "stages.h"

struct borrow;
struct core;
struct object;
struct want;

/* Why pages could not be had. */
struct failure {
	int err;           /* -errno */
	unsigned status;   /* HTTP's, or 0 */
	bool passes;       /* trying again later may help */
	const char *error; /* words, valid during the call only */
};

/* Bytes that have come, and when, for those who measure. */
struct arrival {
	struct range range;         /* of the object; starts at a page's start */
	const void *bytes;          /* range_length() of them, valid during the call only */
	struct fault_stages stages; /* from submit to last_byte; 0: the bytes were here already */
};
/* Copies those of range into memory that is for all of it: how many these are. */
uint64_t arrival_copy(const struct arrival *arrival, struct range range, uint8_t *to);

/*
 * Somebody who waits for bytes in a range: a FUSE read, or a whole map for as long as it lives. The
 * owner embeds it. The calls may remove this or another want, may fetch, and may drop pages that no
 * other want overlaps (it may be told of the same bytes next).
 */
struct want {
	struct list node;
	struct range range;
	/* These bytes are here now. */
	void (*arrived)(struct want *self, const struct arrival *arrival);
	/* These pages were in flight and will not come; NULL-safe range inside the object. */
	void (*failed)(struct want *self, struct range range, const struct failure *failure);
	/* Does it wait for any of these bytes now? They overlap its range. NULL: it does. */
	bool (*wants)(const struct want *self, struct range range);
	/*
	 * Where a passing object's bytes from offset (a page's start) on may be received, so that
	 * they need no copy: *ret_len bytes, whole pages. They may come from elsewhere all the
	 * same, and what is here may be overwritten until arrived() tells of it. NULL: nowhere.
	 */
	uint8_t *(*place)(struct want *self, uint64_t offset, size_t *ret_len);
	/*
	 * Who has waited since due_ns or longer has waited long enough, and is to be told. Since
	 * when the first of the others waits; 0: nobody does. Needed for object_begin_wait() only.
	 */
	uint64_t (*late)(struct want *self, uint64_t due_ns, const struct failure *failure);
	/* The core's own: when that is asked for the next time. */
	struct loop_timer timer;
	struct object *object;
};

/* What becomes of bytes that have arrived. */
enum object_keep {
	/* The wants are told of them, and they are gone: who wants them copies them (maps). */
	OBJECT_PASSES,
	/* They stay until object_drop(). The wants read them in their blocks: what a want overlaps
	 * is not evicted (FUSE). */
	OBJECT_KEEPS,
	/* The wants are told of them and copy them; what stays is spare, and evicted when its room
	 * is needed (maps with a cache). */
	OBJECT_CACHES,
};

/* What is known of whether its bytes are those that its source means: integrity.h. */
enum object_integrity {
	OBJECT_UNCHECKED, /* there is nothing to check them by, or that is switched off */
	OBJECT_BY_BLOCK,  /* each was checked before it was shown */
	OBJECT_OPEN,      /* not all have been read, or not in sequence */
	OBJECT_GOOD,      /* all of them together are right */
	OBJECT_BAD,       /* ... are not: nothing more is shown */
};

/*
 * May this version be opened on the core, as core_options.verify has it? NULL, or why not ("can't
 * be verified: ..."), which its opener tells with -ENOTSUP. is_in_sequence: all of it will be read,
 * from the first byte to the last.
 */
const char *object_refusal(const struct core *core, const struct version *version,
	enum object_keep keep, bool is_in_sequence);

/*
 * Makes an object of a remote that the caller pinned; takes the remote over (also on an error).
 */
int object_create(
	struct core *core, struct remote *remote, enum object_keep keep, struct object **ret);

/* The same of what a probe of the core's source has found, with the bytes that came along. */
int object_open(
	struct core *core, const struct probe *probe, enum object_keep keep, struct object **ret);

/* No want may be left. Transfers are cancelled. NULL is fine. */
void object_destroy(struct object *object);

const struct remote *object_remote(const struct object *object);
static inline uint64_t object_size(const struct object *object)
{
	return object_remote(object)->version.size;
}
struct readahead *object_readahead(struct object *object);

/* Bytes that came with the probe; only the first call on a new object. -ENOMEM */
int object_seed(struct object *object, const void *bytes, size_t len);

/* Somebody has used so many of its bytes: for the figures (figures.h). */
void object_count_use(struct object *object, uint64_t uses, uint64_t bytes);

/* Registers a want: nothing is fetched by that alone. */
void object_add_want(struct object *object, struct want *want);
/* Somebody behind it waits since then (not earlier than others), and for core_options.deadline_ms
 * at the most. Until it is removed it must not move. */
void object_begin_wait(struct object *object, struct want *want, uint64_t since_ns);
/* Transfers that serve nobody any more are cancelled, unless the object keeps what they bring for
 * wants to come. */
void object_remove_want(struct object *object, struct want *want);

/* A want waits for less than before: the same for it. */
void object_cancel_unwanted(struct object *object);

/* What readahead_plan() wants to know, as it is now. Its object_size may be lowered. */
struct readahead_conditions object_conditions(const struct object *object);

/*
 * Asks for all pages of range that are neither present nor in flight, in ranges of chunk_bytes at
 * the most (at least a page; UINT64_MAX: as long as may be); `urgent` counts the bytes at
 * its start that somebody waits for (the rest is readahead, and an object that keeps
 * asks for it only as far as the memory limit allows). Pages that are present are reported to the
 * wants before this returns; so wants must be ready to be called, and may be gone afterwards.
 * Others are reported later.
 *
 * -ESTALE: the object has changed; -EIO: all of it together was found wrong; -ENOMEM.
 */
int object_fetch(struct object *object, struct range range, uint64_t urgent, uint64_t chunk_bytes);

/* Calls it when the object has changed or is broken, which may be met by what nobody waits for;
 * before the wants are told, or at once if it is so already. It may do nothing with the object. */
void object_set_stale_told(struct object *object, void (*told)(void *context), void *context);

/* Why object_fetch() says -ESTALE, or that the object is broken; lives as long as the object. err
 * 0: it never did. */
const struct failure *object_stale(const struct object *object);

enum object_integrity object_integrity(const struct object *object);

/* The range and the rest of the blocks in which it lies, in whole pages, if these blocks are
 * checked one by one: to fetch a part of one is to fetch it all. Not empty. */
struct range object_whole_blocks(const struct object *object, struct range range);

/* Are all pages of range present (kept)? */
bool object_present(struct object *object, struct range range);

/* Bytes of its present pages, of which the last may be short. */
uint64_t object_resident(const struct object *object);

/* Is any page of range neither present nor in flight? */
bool object_absent(struct object *object, struct range range);

/*
 * The cached bytes of the page at offset (a page's start, whole inside the object), for somebody
 * who reads this very page: it will be evicted later than what nobody has come back to. Valid until
 * the loop goes on; NULL: not present, or the object does not cache.
 */
const uint8_t *object_touch(struct object *object, uint64_t offset);

/*
 * The table in which other threads find its cached pages (borrow.h), made for the first who asks;
 * lives as long as the object. NULL: it does not cache, or out of memory.
 */
struct borrow *object_borrow(struct object *object);

/*
 * As much of range, from its start on, as holds at most bytes_max of cached pages: what may be
 * asked for without being told of more at once.
 */
struct range object_limit_present(struct object *object, struct range range, uint64_t bytes_max);

/* How many ranges that nobody waits for may be asked for before a cache is short of memory. */
uint64_t object_requests_max(const struct object *object);

/*
 * As much of range, which nobody waits for, as may be asked for in ranges of chunk_bytes (page-
 * aligned, or UINT64_MAX) without the requests taking more memory than there is for a cache. May
 * be empty.
 */
struct range object_limit_requests(
	const struct object *object, struct range range, uint64_t chunk_bytes);

/*
 * The bytes of a present range, as iov entries into the blocks: valid until the loop goes on.
 * Returns their number; iov must have room for object_iov_max(range).
 */
size_t object_iov(struct object *object, struct range range, struct iovec *iov);
static inline size_t object_iov_max(struct range range)
{
	return range_empty(range)
		       ? 0
		       : (size_t)((range.end - 1) / BLOCK_BYTES - range.start / BLOCK_BYTES + 1);
}

/* The whole pages of range have served their purpose: their buffers are for others now. */
void object_drop(struct object *object, struct range range);
