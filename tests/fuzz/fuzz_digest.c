/*
 * fuzz_digest.c - any bytes as a digest, as a Repr-Digest field, as base64, and as what a digest is
 * made of. What is read is written and read to the same again; one that is made of pieces is that
 * of the whole.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "digest.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_text(const char *text)
{
	struct digest digest = {0}, again = {0};
	char printed[DIGEST_TEXT_MAX];
	const char *rest = NULL;

	if (!digest_parse(text, &digest)) {
		assert(digest.kind == DIGEST_NONE);
		return;
	}
	assert(digest_kind_parse(text, &rest) == digest.kind);
	assert(strlen(rest) == 2 * digest_length(digest.kind));
	assert(strcasecmp(digest_print(&digest, printed), text) == 0);
	assert(digest_parse(printed, &again) && digest_same(&digest, &again));
}

static void check_field(const char *value, size_t len)
{
	static const char *const names[DIGEST_KINDS] = {
		[DIGEST_CRC32C] = "crc32c",
		[DIGEST_SHA256] = "sha-256",
		[DIGEST_SHA512] = "sha-512",
		[DIGEST_SHA1] = "sha",
	};
	struct digest best = {0}, again = {0}, none = {0};
	cleanup_free char *base64 = NULL, *field = NULL;

	digest_read_field(value, len, &best);
	if (best.kind == DIGEST_NONE)
		return;
	assert(names[best.kind]);
	base64 = digest_to_base64(best.bytes, digest_length(best.kind));
	assert(base64 &&
		text_print(&field, "x=1, %s=:%s:;a=\",\" ,", names[best.kind], base64) == 0);
	digest_read_field(field, strlen(field), &again);
	assert(digest_same(&best, &again));
	/* What is not better changes nothing. */
	digest_read_field(value, len, &again);
	assert(digest_same(&best, &again));
	digest_read_field("", 0, &none);
	assert(none.kind == DIGEST_NONE);
}

static void check_base64(const char *text, const uint8_t *bytes, size_t len)
{
	cleanup_free char *base64 = digest_to_base64(bytes, len);
	cleanup_free uint8_t *read = malloc(len + 1);
	size_t length = strlen(text);

	assert(base64 && read && strlen(base64) == (len + 2) / 3 * 4);
	assert(digest_from_base64(base64, strlen(base64), read, len));
	assert(memcmp(read, bytes, len) == 0);
	/* Whatever length it claims: nothing is written behind it. */
	for (size_t size = 0; size <= len && size <= DIGEST_BYTES_MAX; size++)
		if (digest_from_base64(text, length, read, size))
			assert(length >= (size * 8 + 5) / 6 && length <= (size + 2) / 3 * 4);
}

static void check_made(const uint8_t *bytes, size_t len)
{
	size_t cut = len > 0 ? bytes[0] % (len + 1) : 0;

	for (enum digest_kind kind = DIGEST_NONE + 1; kind < DIGEST_KINDS; kind++) {
		struct digest whole, pieces;
		struct digest_run run;

		assert(digest_make(kind, bytes, len, &whole) == 0);
		assert(digest_begin(&run, kind) == 0);
		digest_add(&run, bytes, cut);
		digest_add(&run, bytes + cut, len - cut);
		digest_end(&run, &pieces);
		assert(whole.kind == kind && digest_same(&whole, &pieces));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	cleanup_free char *text = strndup((const char *)bytes, len);

	check_text(text);
	check_field((const char *)bytes, len);
	check_base64(text, bytes, len);
	check_made(bytes, len);
	return 0;
}
