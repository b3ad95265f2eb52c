/*
 * digest.c - one table of kinds, and what is made by it. The CRCs are base/crc.c's, the hashes
 * OpenSSL's.
 *
 * Pure; a run belongs to who began it. A malformed text is no digest rather than an error: what a
 * server says about its bytes beside them is never worth more than the bytes.
 *
 * Cost: a hash's run is a malloc or two of OpenSSL's.
 */
#include "digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc.h"

static const struct kind {
	const char *name;  /* ours */
	const char *field; /* RFC 9530's; NULL: it has none */
	size_t length;
	enum crc_kind crc;
	const EVP_MD *(*hash)(void); /* NULL: a CRC */
} kinds[DIGEST_KINDS] = {
	[DIGEST_NONE] = {"none", NULL, 0, 0, NULL},
	[DIGEST_CRC64NVME] = {"crc64nvme", NULL, 8, CRC_64NVME, NULL},
	[DIGEST_CRC32C] = {"crc32c", "crc32c", 4, CRC_32C, NULL},
	[DIGEST_CRC32] = {"crc32", NULL, 4, CRC_32, NULL},
	[DIGEST_SHA256] = {"sha256", "sha-256", 32, 0, EVP_sha256},
	[DIGEST_SHA512] = {"sha512", "sha-512", 64, 0, EVP_sha512},
	[DIGEST_SHA1] = {"sha1", "sha", 20, 0, EVP_sha1},
};

size_t digest_length(enum digest_kind kind)
{
	return kinds[kind].length;
}

bool digest_is_crc(enum digest_kind kind)
{
	return kind != DIGEST_NONE && !kinds[kind].hash;
}

const char *digest_kind_name(enum digest_kind kind)
{
	return kinds[kind].name;
}

bool digest_same(const struct digest *a, const struct digest *b)
{
	return a->kind == b->kind && memcmp(a->bytes, b->bytes, digest_length(a->kind)) == 0;
}

/* ---- text --------------------------------------------------------------------------------- */

enum digest_kind digest_kind_parse(const char *text, const char **ret_rest)
{
	size_t len = strcspn(text, ":");

	for (unsigned i = DIGEST_NONE + 1; i < DIGEST_KINDS; i++) {
		if (text[len] != ':' || strlen(kinds[i].name) != len ||
			memcmp(kinds[i].name, text, len) != 0)
			continue;
		*ret_rest = text + len + 1;
		return (enum digest_kind)i;
	}
	return DIGEST_NONE;
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool digest_parse(const char *text, struct digest *ret)
{
	const char *hex = NULL;
	size_t length;

	ret->kind = digest_kind_parse(text, &hex);
	length = digest_length(ret->kind);
	if (!hex || strlen(hex) != 2 * length)
		ret->kind = DIGEST_NONE;
	for (size_t i = 0; ret->kind != DIGEST_NONE && i < length; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

		ret->bytes[i] = (uint8_t)(high * 16 + low);
		if (high < 0 || low < 0)
			ret->kind = DIGEST_NONE;
	}
	return ret->kind != DIGEST_NONE;
}

char *digest_print(const struct digest *digest, char to[DIGEST_TEXT_MAX])
{
	char *at = stpcpy(to, kinds[digest->kind].name);

	if (digest->kind != DIGEST_NONE)
		*at++ = ':';
	*at = '\0';
	for (size_t i = 0; i < digest_length(digest->kind); i++)
		at += sprintf(at, "%02x", digest->bytes[i]);
	return to;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool digest_from_base64(const char *text, size_t len, uint8_t *ret, size_t size)
{
	uint32_t bits = 0;
	size_t made = 0, digits = (size * 8 + 5) / 6;

	/* The padding may be left out, but not be anything else. */
	if (len != digits && len != (size + 2) / 3 * 4)
		return false;
	for (size_t i = digits; i < len; i++)
		if (text[i] != '=')
			return false;
	for (size_t i = 0; i < digits; i++) {
		int value = base64_value(text[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 > 0)
			ret[made++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	return made == size;
}

char *digest_to_base64(const uint8_t *bytes, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1);

	if (text)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	return text;
}

/* ---- RFC 9530 ----------------------------------------------------------------------------- */

/* Where a member ends: at a comma that is in no string (RFC 8941), or at the end. */
static const char *member_end(const char *at, const char *end)
{
	bool quoted = false;

	for (; at < end && (quoted || *at != ','); at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (quoted && *at == '\\' && at + 1 < end)
			at++;
	}
	return at;
}

/* "sha-256=:base64:" and maybe parameters behind it. false: of no kind of ours, or malformed. */
static bool member_read(const char *at, const char *end, struct digest *ret)
{
	const char *equals = memchr(at, '=', (size_t)(end - at)), *close;

	ret->kind = DIGEST_NONE;
	if (!equals || end - equals < 3 || equals[1] != ':')
		return false;
	for (unsigned i = DIGEST_NONE + 1; i < DIGEST_KINDS; i++)
		if (kinds[i].field && strlen(kinds[i].field) == (size_t)(equals - at) &&
			memcmp(kinds[i].field, at, (size_t)(equals - at)) == 0)
			ret->kind = (enum digest_kind)i;
	at = equals + 2;
	close = memchr(at, ':', (size_t)(end - at));
	if (ret->kind == DIGEST_NONE || !close || (close + 1 < end && close[1] != ';'))
		return false;
	return digest_from_base64(at, (size_t)(close - at), ret->bytes, digest_length(ret->kind));
}

void digest_read_field(const char *value, size_t len, struct digest *best)
{
	const char *end = value + len;

	for (const char *at = value; at < end;) {
		const char *stop = member_end(at, end), *last = stop;
		struct digest found;

		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		while (last > at && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		if (member_read(at, last, &found) &&
			(best->kind == DIGEST_NONE || found.kind < best->kind))
			*best = found;
		at = stop + 1;
	}
}

/* ---- making ------------------------------------------------------------------------------- */

enum crc_kind digest_crc(enum digest_kind kind)
{
	return kinds[kind].crc;
}

void digest_from_crc(enum digest_kind kind, uint64_t remainder, uint64_t length, struct digest *ret)
{
	uint64_t crc = crc_finish(kinds[kind].crc, remainder, length);

	ret->kind = kind;
	for (size_t i = digest_length(kind); i > 0; crc >>= 8)
		ret->bytes[--i] = (uint8_t)crc;
}

int digest_begin(struct digest_run *run, enum digest_kind kind)
{
	*run = (struct digest_run){.kind = kind};
	if (digest_is_crc(kind))
		return 0;
	run->hash = EVP_MD_CTX_new();
	if (!run->hash)
		return -ENOMEM;
	if (EVP_DigestInit_ex(run->hash, kinds[kind].hash(), NULL) == 1)
		return 0;
	digest_end(run, NULL);
	return -ENOMEM;
}

void digest_add(struct digest_run *run, const void *bytes, size_t len)
{
	run->length += len;
	if (run->hash)
		run->failed |= EVP_DigestUpdate(run->hash, bytes, len) != 1;
	else
		run->remainder = crc_add(kinds[run->kind].crc, run->remainder, bytes, len);
}

int digest_end(struct digest_run *run, struct digest *ret)
{
	bool failed = run->failed;

	if (ret)
		ret->kind = run->kind;
	if (ret && run->hash)
		failed |= EVP_DigestFinal_ex(run->hash, ret->bytes, NULL) != 1;
	else if (ret)
		digest_from_crc(run->kind, run->remainder, run->length, ret);
	if (ret && failed)
		ret->kind = DIGEST_NONE;
	EVP_MD_CTX_free(run->hash);
	*run = (struct digest_run){.kind = DIGEST_NONE};
	return failed ? -ENOMEM : 0;
}

int digest_make(enum digest_kind kind, const void *bytes, size_t len, struct digest *ret)
{
	struct digest_run run;
	int err = digest_begin(&run, kind);

	if (err < 0)
		return err;
	digest_add(&run, bytes, len);
	return digest_end(&run, ret);
}
