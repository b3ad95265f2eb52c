/*
 * digest.h - checksums and hashes of an object's bytes: their names, how they are written, and how
 * they are made. Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crc.h"

/* The better a kind is for us, the earlier: where a source gives several, the first is taken. A
 * CRC can be made of pieces in any order, a hash in sequence only. */
enum digest_kind {
	DIGEST_NONE,
	DIGEST_CRC64NVME,
	DIGEST_CRC32C,
	DIGEST_CRC32,
	DIGEST_SHA256,
	DIGEST_SHA512,
	DIGEST_SHA1,
	DIGEST_KINDS,
};

#define DIGEST_BYTES_MAX 64
#define DIGEST_TEXT_MAX (16 + 2 * DIGEST_BYTES_MAX)

struct digest {
	enum digest_kind kind;
	uint8_t bytes[DIGEST_BYTES_MAX]; /* as many as its kind has; a CRC's highest first */
};

/* In bytes. */
size_t digest_length(enum digest_kind kind);
bool digest_is_crc(enum digest_kind kind);
bool digest_same(const struct digest *a, const struct digest *b);

/* "sha256:3b1c..." DIGEST_NONE, with false: malformed, or of another kind. */
bool digest_parse(const char *text, struct digest *ret);
/* Returns to, filled with the same; "none". */
char *digest_print(const struct digest *digest, char to[DIGEST_TEXT_MAX]);

/* A kind by the name with which that text begins, and what stands behind it; DIGEST_NONE: none. */
enum digest_kind digest_kind_parse(const char *text, const char **ret_rest);
const char *digest_kind_name(enum digest_kind kind);

/*
 * Decodes base64 to exactly `size` bytes. false: it is something else (S3's "...=-3", the checksum
 * of three parts' checksums).
 */
bool digest_from_base64(const char *text, size_t len, uint8_t *ret, size_t size);

/* malloc'd, with its padding; NULL: out of memory. */
char *digest_to_base64(const uint8_t *bytes, size_t len);

/*
 * Reads a Repr-Digest or Content-Digest field (RFC 9530: "sha-256=:base64:, sha-512=:base64:").
 * What in it is better than *best takes its place. A malformed field says nothing.
 */
void digest_read_field(const char *value, size_t len, struct digest *best);

/* One after the other. A kind but NONE. */
struct digest_run {
	enum digest_kind kind;
	uint64_t length;    /* bytes so far */
	uint64_t remainder; /* of a CRC */
	void *hash;
	bool failed; /* libcrypto has: there will be no digest */
};
int digest_begin(struct digest_run *run, enum digest_kind kind); /* -ENOMEM */
void digest_add(struct digest_run *run, const void *bytes, size_t len);
/* Ends it; a zeroed one is fine, and so is ret NULL: nobody wants to know. -ENOMEM, and no digest
 * in *ret: libcrypto could not make it, here or on the way. */
int digest_end(struct digest_run *run, struct digest *ret);

/* All at once. -ENOMEM */
int digest_make(enum digest_kind kind, const void *bytes, size_t len, struct digest *ret);

/* Of a CRC: which one it is, and the digest of `length` bytes whose remainder this is. */
enum crc_kind digest_crc(enum digest_kind kind);
void digest_from_crc(
	enum digest_kind kind, uint64_t remainder, uint64_t length, struct digest *ret);
