/* digest_test.c - checksums against their published check values, in pieces, and as they are
 * written. */
#include "check.h"

#include <errno.h>

#include "digest.h"
#include "hash_list.h"

static const char nine[] = "123456789";

/* The "check" of the CRC catalogues; FIPS 180-4's for the hashes are those of OpenSSL's own tests.
 */
static const struct {
	enum digest_kind kind;
	const char *text;
} checks[] = {
	{DIGEST_CRC32, "crc32:cbf43926"},
	{DIGEST_CRC32C, "crc32c:e3069283"},
	{DIGEST_CRC64NVME, "crc64nvme:ae8b14860a799888"},
	{DIGEST_SHA1, "sha1:f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
	{DIGEST_SHA256, "sha256:15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"},
};

static void known_bytes_have_known_digests(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(checks); i++) {
		char text[DIGEST_TEXT_MAX];
		struct digest digest, parsed;

		assert_int_equal(digest_make(checks[i].kind, nine, 9, &digest), 0);
		assert_string_equal(digest_print(&digest, text), checks[i].text);
		assert_true(digest_parse(checks[i].text, &parsed));
		assert_true(digest_same(&digest, &parsed));
		parsed.bytes[digest_length(parsed.kind) - 1] ^= 1;
		assert_false(digest_same(&digest, &parsed));
	}
}

/* One bit after the other, as the definition has it: no tables. */
static uint64_t slow_crc(uint64_t polynomial, uint64_t ones, const uint8_t *bytes, size_t len)
{
	uint64_t crc = ones;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
	}
	return crc ^ ones;
}

static void a_crc_is_its_definition_at_every_length_and_place(void **state)
{
	static const uint64_t polynomials[CRC_COUNT] = {0xedb88320, 0x82f63b78, 0x9a6c9329ac4bc9b5};
	uint8_t bytes[96];
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)random_next(&seed);
	for (unsigned kind = 0; kind < CRC_COUNT; kind++) {
		uint64_t ones = kind == CRC_64NVME ? UINT64_MAX : UINT32_MAX;

		for (size_t start = 0; start < 9; start++)
			for (size_t len = 0; len <= sizeof bytes - 9; len++)
				assert_true(crc_finish(kind, crc_add(kind, 0, bytes + start, len),
						    len) ==
					    slow_crc(polynomials[kind], ones, bytes + start, len));
	}
}

static void pieces_of_a_crc_come_in_any_order(void **state)
{
	enum { SIZE = 100003, PIECES = 40 };
	static uint8_t bytes[SIZE];
	uint64_t seed = 7;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)random_next(&seed);
	for (unsigned kind = 0; kind < CRC_COUNT; kind++) {
		uint64_t whole = 0,
			 expected = crc_finish(kind, crc_add(kind, 0, bytes, SIZE), SIZE);
		size_t ends[PIECES + 1] = {0};

		for (size_t i = 1; i <= PIECES; i++)
			ends[i] = i == PIECES ? SIZE
					      : ends[i - 1] + random_next(&seed) % (SIZE / PIECES);
		/* 7 and 40 have no common divisor: each piece once. */
		for (size_t i = 0, at = 3; i < PIECES; i++, at = (at + 7) % PIECES)
			whole ^= crc_shift(kind,
				crc_add(kind, 0, bytes + ends[at], ends[at + 1] - ends[at]),
				SIZE - ends[at + 1]);
		assert_true(crc_finish(kind, whole, SIZE) == expected);
	}
}

/* Zeros at the end count, though the bare remainder of zeros is nothing. */
static void a_crc_of_a_cut_object_is_another(void **state)
{
	static const uint8_t zeros[64];

	(void)state;
	for (unsigned kind = 0; kind < CRC_COUNT; kind++)
		assert_true(crc_finish(kind, crc_add(kind, 0, zeros, 64), 64) !=
			    crc_finish(kind, crc_add(kind, 0, zeros, 63), 63));
}

static void malformed_texts_are_no_digests(void **state)
{
	static const char *const texts[] = {"", "crc32", "crc32:", ":", "crc32:cbf4392",
		"crc32:cbf439266", "crc32:cbf4392g", "crc32:cbf4 926", "crc32:\020bf43926",
		"crc31:cbf43926", "CRC32:cbf43926", "none:", "sha256:cbf43926"};
	struct digest digest;

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		digest.kind = DIGEST_CRC32;
		if (digest_parse(texts[i], &digest) || digest.kind != DIGEST_NONE)
			fail_msg("%s", texts[i]);
	}
	assert_true(digest_parse("crc32:CBF43926", &digest));
}

static void base64_is_exact(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {{"AQIDBA==", true}, {"AQIDBA", true}, {"AQIDBA=", false}, {"AQIDBA=-", false},
		{"AQIDBAU=", false}, {"AQID", false}, {"AQIDB*==", false}, {"AQIDBA==-3", false},
		{"", false}, {"========", false}};
	uint8_t bytes[4];

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		bool good = digest_from_base64(
			rows[i].text, strlen(rows[i].text), bytes, sizeof bytes);

		if (good != rows[i].good)
			fail_msg("%s", rows[i].text);
		if (good)
			assert_memory_equal(bytes, "\1\2\3\4", 4);
	}
}

/* RFC 9530's own examples, and what servers may do with them. */
static void fields_are_read_as_rfc_9530_says(void **state)
{
	static const char sha[] =
		"sha256:5f8f04f6a3a892aaabbddb6cf273894493773960d4a325b105fee46eef4304f1";
	static const struct {
		const char *field, *expected;
	} rows[] = {
		{"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", sha},
		{"  sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:;a=b ", sha},
		{"md5=:AAAA:, sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", sha},
		{"x=\"a,b\\\",\";q=1,sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", sha},
		{"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, crc32c=:4waSgw==:",
			"crc32c:e3069283"},
		{"crc32c=:4waSgw==:, sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
			"crc32c:e3069283"},
		{"sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=", "none"},
		{"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBP=:", "none"},
		{"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:x", "none"},
		{"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=", "none"},
		{"SHA-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "none"},
		{"sha-256=::", "none"},
		{"sha-256=:", "none"},
		{"sha-256=", "none"},
		{"=:4waSgw==:", "none"},
		{",,,", "none"},
		{"\"", "none"},
		{"\"\\", "none"},
		{"", "none"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		char text[DIGEST_TEXT_MAX];
		struct digest digest = {.kind = DIGEST_NONE};

		digest_read_field(rows[i].field, strlen(rows[i].field), &digest);
		if (strcmp(digest_print(&digest, text), rows[i].expected) != 0)
			fail_msg("%s: %s", rows[i].field, text);
	}
}

static void a_list_knows_its_blocks(void **state)
{
	struct hash_list *list;
	struct digest digest;
	struct range block;

	(void)state;
	assert_int_equal(hash_list_create(DIGEST_CRC32, 8192, 20000, &list), 0);
	memcpy(list->digests, "aaaabbbbcccc", 12);
	block = hash_list_block(list, 8191);
	assert_true(block.start == 0 && block.end == 8192);
	block = hash_list_block(list, 19999);
	assert_true(block.start == 16384 && block.end == 20000);
	hash_list_digest(list, 8192, &digest);
	assert_memory_equal(digest.bytes, "bbbb", 4);
	hash_list_digest(list, 16385, &digest);
	assert_memory_equal(digest.bytes, "cccc", 4);
	hash_list_put(hash_list_take(list));
	hash_list_put(list);
	hash_list_put(NULL);
	assert_true(hash_list_count(UINT64_MAX, 4096) == UINT64_C(1) << 52);
	assert_int_equal(hash_list_create(DIGEST_SHA512, 4096, UINT64_MAX, &list), -ENOMEM);
	assert_false(hash_block_is_fit(0) || hash_block_is_fit(4095) || hash_block_is_fit(6000) ||
		     hash_block_is_fit(2 << 20));
	assert_true(hash_block_is_fit(4096) && hash_block_is_fit(12288));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_bytes_have_known_digests),
		cmocka_unit_test(a_crc_is_its_definition_at_every_length_and_place),
		cmocka_unit_test(pieces_of_a_crc_come_in_any_order),
		cmocka_unit_test(a_crc_of_a_cut_object_is_another),
		cmocka_unit_test(malformed_texts_are_no_digests),
		cmocka_unit_test(base64_is_exact),
		cmocka_unit_test(fields_are_read_as_rfc_9530_says),
		cmocka_unit_test(a_list_knows_its_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
