/*
 * checksum_test.c - S3's checksums of whole objects: how they are asked for, which are believed,
 * and what comes of them, through the source and through a map.
 */
#include <errno.h>

#include "digest.h"
#include "pagein.h"
#include "served.h"

#define CRC64 "x-amz-checksum-crc64nvme: "

/* What the server says besides the object; NULL: nothing. */
struct says {
	const char *to_get, *to_head;
	unsigned head_status; /* 0: as it is */
	unsigned heads;
};

static void answer_with_checksum(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	struct says *says = self->context;
	const char *said = request->is_head ? says->to_head : says->to_get;

	serve_object(request, ret);
	says->heads += request->is_head;
	if (request->is_head && says->head_status)
		ret->status = says->head_status;
	/* S3 tells it to who asks for it, and asks with a signature. */
	if (said && fake_says(request, "x-amz-checksum-mode: ENABLED") &&
		fake_says(request, ";x-amz-checksum-mode;"))
		strcat(ret->headers, said);
}

/* "crc64nvme: base64\r\n", and type, of the object or (is_right false) of another. */
static const char *line(enum digest_kind kind, const char *name, bool is_right, const char *type)
{
	static char lines[4][256];
	static unsigned next;
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = lines[next++ % 4], *at = text;
	struct digest digest;
	size_t length = digest_length(kind);

	assert_int_equal(digest_make(kind, OBJECT, sizeof OBJECT - 1, &digest), 0);
	digest.bytes[0] ^= !is_right;
	at += sprintf(at, "x-amz-checksum-%s: ", name);
	for (size_t i = 0; i < length; i += 3) {
		uint32_t bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (i + j < length ? digest.bytes[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			*at++ = i + j <= length ? alphabet[bits >> (18 - 6 * j) & 63] : '=';
	}
	sprintf(at, "\r\n%s%s%s", type ? "x-amz-checksum-type: " : "", type ? type : "",
		type ? "\r\n" : "");
	return text;
}

/* ---- the source ----------------------------------------------------------------------------- */

static void open_wanting(bool wants_digest)
{
	client_close(&client);
	s3_open_wanting(&client, fake.port, wants_digest);
}

static enum digest_kind probed_kind(bool head_only)
{
	static struct probed probed;

	assert_int_equal(client_probe(&client, &probed, "s3://bucket/key", head_only), 0);
	if (!head_only)
		assert_memory_equal(probed.bytes, OBJECT, sizeof OBJECT - 1);
	assert_int_equal(probed.probe.version.size, sizeof OBJECT - 1);
	return probed.probe.version.digest.kind;
}

static void every_kind_is_read(void **state)
{
	static const struct {
		enum digest_kind kind;
		const char *name;
	} rows[] = {
		{DIGEST_CRC64NVME, "crc64nvme"},
		{DIGEST_CRC32C, "crc32c"},
		{DIGEST_CRC32, "crc32"},
		{DIGEST_SHA256, "sha256"},
		{DIGEST_SHA1, "sha1"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct says says = {
			.to_get = line(rows[i].kind, rows[i].name, true, "FULL_OBJECT")};

		fake_use(&fake, answer_with_checksum, &says);
		assert_int_equal(probed_kind(false), rows[i].kind);
		fake_use(&fake, answer_object, NULL);
	}
}

/* A part's checksum, or one of parts' checksums, is no checksum of the object. */
static void only_a_whole_objects_is_believed(void **state)
{
	static const char crc[] = CRC64 "AAAAAAAAAAA=\r\n";
	static const char composite[] = CRC64 "AAAAAAAAAAA=-3\r\n";
	static const char composite_too[] = CRC64
		"AAAAAAAAAAA=\r\nx-amz-checksum-type: COMPOSITE\r\n";
	static const char full[] = CRC64 "AAAAAAAAAAA=\r\nx-amz-checksum-type: full_object\r\n";
	static const struct {
		const char *said;
		bool in_get, in_head;
	} rows[] = {
		{crc, false, true},
		{composite, false, false},
		{composite_too, false, false},
		{full, true, true},
		{CRC64 "AAAA\r\n", false, false},
		{CRC64 "\r\n", false, false},
	};

	(void)state;
	open_wanting(true);
	for (size_t i = 0; i < array_len(rows); i++) {
		struct says get = {.to_get = rows[i].said}, head = {.to_head = rows[i].said};

		fake_use(&fake, answer_with_checksum, &get);
		if ((probed_kind(false) != DIGEST_NONE) != rows[i].in_get)
			fail_msg("%s", rows[i].said);
		fake_use(&fake, answer_with_checksum, &head);
		if ((probed_kind(true) != DIGEST_NONE) != rows[i].in_head)
			fail_msg("%s", rows[i].said);
		fake_use(&fake, answer_object, NULL);
	}
}

static void a_head_is_sent_only_where_it_is_wanted_and_needed(void **state)
{
	struct says says = {.to_head = line(DIGEST_CRC32C, "crc32c", true, NULL)};
	struct says both = says;

	(void)state;
	fake_use(&fake, answer_with_checksum, &says);
	assert_int_equal(probed_kind(false), DIGEST_NONE);
	assert_int_equal(says.heads, 0);
	/* Who lists metadata may have no right to the checksum. */
	assert_int_equal(probed_kind(true), DIGEST_NONE);
	open_wanting(true);
	assert_int_equal(probed_kind(false), DIGEST_CRC32C);
	assert_int_equal(says.heads, 2);
	both.to_get = line(DIGEST_CRC32, "crc32", true, "FULL_OBJECT");
	fake_use(&fake, answer_with_checksum, &both);
	assert_int_equal(probed_kind(false), DIGEST_CRC32);
	assert_int_equal(both.heads, 0);
	/* One that fails tells nothing, and takes nothing away. */
	says.head_status = 403;
	fake_use(&fake, answer_with_checksum, &says);
	assert_int_equal(probed_kind(false), DIGEST_NONE);
	fake_use(&fake, answer_object, NULL);
}

/* ---- a map ---------------------------------------------------------------------------------- */

static int open_map(unsigned verify, struct pagein_object **ret_object, struct pagein_map **ret)
{
	struct pagein_s3_options s3 = PAGEIN_S3_OPTIONS_INIT;
	struct pagein_options options = PAGEIN_OPTIONS_INIT;
	char endpoint[64];
	int err;

	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fake.port);
	s3.endpoint_url = endpoint;
	options.s3 = &s3;
	options.verify = verify;
	options.timeout_ms = 5000;
	err = pagein_open("s3://bucket/key", &options, ret_object);
	if (err < 0)
		return err;
	err = pagein_map(*ret_object, 0, 0, 0, ret);
	if (err < 0)
		pagein_close(*ret_object);
	return err;
}

static void a_map_is_held_to_it(void **state)
{
	static const struct {
		enum digest_kind kind;
		const char *name;
	} rows[] = {{DIGEST_CRC64NVME, "crc64nvme"}, {DIGEST_SHA256, "sha256"}};
	struct pagein_object *object;
	struct pagein_map *map;

	(void)state;
	for (size_t i = 0; i < array_len(rows) * 2; i++) {
		struct says says = {
			.to_head = line(rows[i / 2].kind, rows[i / 2].name, i % 2 == 0, NULL)};
		int err;

		fake_use(&fake, answer_with_checksum, &says);
		err = open_map(PAGEIN_VERIFY_REQUIRE, &object, &map);
		if (err == -EPERM || err == -ENOSYS)
			skip();
		if (err < 0)
			fail_msg("%s", pagein_last_error());
		assert_int_equal(says.heads, 1);
		err = pagein_populate(map, 0, 0, 10000);
		assert_int_equal(err, i % 2 == 0 ? 0 : -EIO);
		if (err == 0)
			assert_memory_equal(pagein_address(map), OBJECT, sizeof OBJECT - 1);
		pagein_unmap(map);
		pagein_close(object);
		fake_use(&fake, answer_object, NULL);
	}
	assert_int_equal(open_map(PAGEIN_VERIFY_REQUIRE, &object, &map), -ENOTSUP);
	assert_non_null(strstr(pagein_last_error(), "tells no checksum"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_is_read, start, stop),
		cmocka_unit_test_setup_teardown(only_a_whole_objects_is_believed, start, stop),
		cmocka_unit_test_setup_teardown(
			a_head_is_sent_only_where_it_is_wanted_and_needed, start, stop),
		cmocka_unit_test_setup_teardown(a_map_is_held_to_it, start, stop),
	};

	return run_group(tests);
}
