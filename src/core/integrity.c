/*
 * integrity.c - counts an object's bytes into one digest, and knows when that is whole.
 *
 * On the loop; owned by the object. I1 a page is counted at most once. I2 counted_bytes are those
 * of the pages whose bits are set. I3 `remainder` is the exclusive or of what was counted before
 * the run, each shifted to its place: crc.h says why that may be done in any order.
 *
 * Cost, where there is a digest and it is not switched off: a pass over the bytes (2 GB/s for a
 * CRC, a third of it for SHA-256 without the CPU's help) on the loop's thread; for each run of
 * pages that does not go on behind the last one some microseconds; 8 bytes for 256 KiB that were
 * seen. Else a test of the state for each run.
 *
 * Rejected: a CRC kept for each piece, and combined at the end (a terabyte of lone pages would be
 * gigabytes of pieces); hashing on a thread beside (bytes of passing objects are gone when the
 * wants have been told, so they would have to be copied).
 */
#include "integrity.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hash_list.h"
#include "pages.h"

/* ---- what is to be checked, and whether it can be ------------------------------------------- */

/* One block and its digest, the whole's: held back as a block of a list is. */
static bool is_one_block(enum verify verify, const struct version *version)
{
	return (verify == VERIFY_REQUIRE || verify == VERIFY_BLOCKS) && version->size > 0 &&
	       version->size <= HASH_BLOCK_MAX && version->digest.kind != DIGEST_NONE;
}

const char *integrity_refusal(enum verify verify, const struct version *version,
	enum object_keep keep, bool is_in_sequence)
{
	bool is_crc = digest_is_crc(version->digest.kind);

	if (verify == VERIFY_AUTO || verify == VERIFY_OFF || version->size == 0 ||
		version->hashes || is_one_block(verify, version))
		return NULL;
	if (verify == VERIFY_BLOCKS)
		return "can't be verified: there are no hashes of its blocks";
	if (version->digest.kind == DIGEST_NONE)
		return "can't be verified: its source tells no checksum";
	if (is_crc || (is_in_sequence && keep != OBJECT_PASSES))
		return NULL;
	return "can't be verified: its hash is of bytes in sequence, and it may be read in any "
	       "order";
}

int integrity_list(enum verify verify, const struct version *version, struct hash_list **ret)
{
	const struct digest *digest = &version->digest;
	int err;

	*ret = NULL;
	if (verify == VERIFY_OFF)
		return 0;
	if (version->hashes || !is_one_block(verify, version)) {
		*ret = hash_list_take(version->hashes);
		return 0;
	}
	err = hash_list_create(
		digest->kind, align_up(version->size, HASH_BLOCK_UNIT), version->size, ret);
	if (err == 0)
		memcpy((*ret)->digests, digest->bytes, digest_length(digest->kind));
	return err;
}

/* ---- beginning and end -------------------------------------------------------------------- */

int integrity_init(struct integrity *integrity, enum verify verify, const struct version *version,
	const struct hash_list *list)
{
	int err = 0;

	*integrity = (struct integrity){.size = version->size};
	radix_init(&integrity->counted, version->size / BLOCK_BYTES + 1);
	if (list) {
		integrity->state = OBJECT_BY_BLOCK;
		return 0;
	}
	if (verify == VERIFY_OFF || version->digest.kind == DIGEST_NONE || version->size == 0)
		return 0;
	integrity->expected = version->digest;
	integrity->is_required = verify == VERIFY_REQUIRE;
	if (!digest_is_crc(version->digest.kind))
		err = digest_begin(&integrity->hash, version->digest.kind);
	if (err == 0)
		integrity->state = OBJECT_OPEN;
	return err;
}

void integrity_finish(struct integrity *integrity)
{
	radix_finish(&integrity->counted);
	digest_end(&integrity->hash, NULL);
}

/* ---- counting ----------------------------------------------------------------------------- */

static void run_close(struct integrity *integrity)
{
	integrity->remainder ^= crc_shift(digest_crc(integrity->expected.kind),
		integrity->run_remainder, integrity->size - integrity->run.end);
	integrity->run_remainder = 0;
}

static void run_add(struct integrity *integrity, struct range range, const uint8_t *bytes)
{
	if (range.start != integrity->run.end) {
		run_close(integrity);
		integrity->run.start = range.start;
	}
	integrity->run_remainder = crc_add(digest_crc(integrity->expected.kind),
		integrity->run_remainder, bytes, (size_t)range_length(range));
	integrity->run.end = range.end;
	integrity->counted_bytes += range_length(range);
}

/* The pages of one block. */
static int crc_count(struct integrity *integrity, struct range range, const uint8_t *bytes)
{
	uint64_t index = range.start / BLOCK_BYTES;
	void **slot = radix_slot(&integrity->counted, index);
	uint64_t counted, fresh;

	static_assert(sizeof *slot == sizeof fresh, "64 bits fit into a pointer");
	if (!slot)
		return -ENOMEM;
	counted = (uint64_t)(uintptr_t)*slot;
	fresh = block_range_mask(index, range) & ~counted;
	*slot = (void *)(uintptr_t)(counted | fresh);
	while (fresh) {
		unsigned count, first = mask_take_run(&fresh, &count);
		uint64_t start = index * BLOCK_BYTES + first * PAGE_BYTES;
		struct range run = {start, start + count * PAGE_BYTES};

		run = range_intersect(run, range);
		run_add(integrity, run, bytes + (run.start - range.start));
	}
	return 0;
}

static int crc_count_all(struct integrity *integrity, struct range range, const uint8_t *bytes)
{
	int err = 0;

	for (uint64_t at = range.start, end; err == 0 && at < range.end; at = end) {
		end = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
		end = end < range.end ? end : range.end;
		err = crc_count(integrity, (struct range){at, end}, bytes + (at - range.start));
	}
	return err;
}

static void hash_count(struct integrity *integrity, struct range range, const uint8_t *bytes)
{
	uint64_t next = integrity->hash.length;

	if (next < range.start || next >= range.end)
		return;
	digest_add(&integrity->hash, bytes + (next - range.start), (size_t)(range.end - next));
	integrity->counted_bytes = integrity->hash.length;
}

/* All are counted. */
static int integrity_judge(struct integrity *integrity)
{
	struct digest seen;
	int err = 0;

	if (digest_is_crc(integrity->expected.kind)) {
		run_close(integrity);
		digest_from_crc(
			integrity->expected.kind, integrity->remainder, integrity->size, &seen);
	} else {
		err = digest_end(&integrity->hash, &seen);
	}
	radix_finish(&integrity->counted);
	radix_init(&integrity->counted, 0);
	if (err < 0)
		return err;
	integrity->seen = seen;
	integrity->state = digest_same(&seen, &integrity->expected) ? OBJECT_GOOD : OBJECT_BAD;
	return integrity->state == OBJECT_GOOD ? 0 : -EIO;
}

int integrity_count(struct integrity *integrity, struct range range, const uint8_t *bytes)
{
	int err = 0;

	if (integrity->state == OBJECT_BAD)
		return -EIO;
	if (integrity->state != OBJECT_OPEN)
		return 0;
	if (digest_is_crc(integrity->expected.kind))
		err = crc_count_all(integrity, range, bytes);
	else
		hash_count(integrity, range, bytes);
	if (err == 0 && integrity->counted_bytes == integrity->size)
		err = integrity_judge(integrity);
	if (err == -ENOMEM) {
		integrity->state = integrity->is_required ? OBJECT_BAD : OBJECT_UNCHECKED;
		err = integrity->is_required ? -EIO : err;
	}
	return err;
}

/* ---- questions ---------------------------------------------------------------------------- */

uint64_t integrity_next(const struct integrity *integrity)
{
	if (integrity->state != OBJECT_OPEN || digest_is_crc(integrity->expected.kind))
		return UINT64_MAX;
	return integrity->hash.length;
}

bool integrity_needs(const struct integrity *integrity, struct range range)
{
	uint64_t next = integrity_next(integrity);

	/* Further on it is no reader in sequence whose requests overtook each other. */
	return next < range.end && range.start < next + EXCHANGE_BYTES_MAX;
}

const char *integrity_words(const struct integrity *integrity, char to[SOURCE_ERROR_MAX])
{
	char expected[DIGEST_TEXT_MAX], seen[DIGEST_TEXT_MAX];

	if (integrity->seen.kind == DIGEST_NONE)
		return strcpy(to, "the whole object: out of memory for its checksum");
	snprintf(to, SOURCE_ERROR_MAX, "the whole object: expected %.90s, seen %.90s",
		digest_print(&integrity->expected, expected), digest_print(&integrity->seen, seen));
	return to;
}
