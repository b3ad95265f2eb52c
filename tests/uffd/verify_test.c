/*
 * verify_test.c - maps of objects whose bytes can be checked: by the hashes of their blocks, before
 * a page is shown, and by a checksum of the whole. A manifest on the same server tells them.
 */
#include "fixture.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "digest.h"
#include "hash_list.h"

#define SIZE (4 * 1024 * 1024 + 5 * PAGE + 5)
#define PAGES (SIZE / PAGE + 1)
#define HASHED (16 * PAGE) /* of a list's blocks */

/* ---- manifests ----------------------------------------------------------------------------- */

static void print_blocks(FILE *file, const struct local *local)
{
	static uint8_t hashes[(SIZE / HASHED + 1) * 32], text[2 * sizeof hashes];
	size_t used = 0;

	for (size_t at = 0; at < local->size; at += HASHED, used += 32) {
		size_t length = local->size - at < HASHED ? local->size - at : HASHED;
		struct digest digest;

		assert_int_equal(digest_make(DIGEST_SHA256, local->bytes + at, length, &digest), 0);
		memcpy(hashes + used, digest.bytes, 32);
	}
	EVP_EncodeBlock(text, hashes, (int)used);
	fprintf(file, ",\"block_size\":%d,\"block_hashes\":\"sha256:%s\"", HASHED, (char *)text);
}

static void print_whole(FILE *file, const struct local *local, enum digest_kind kind, bool is_right)
{
	char text[DIGEST_TEXT_MAX];
	struct digest digest;

	assert_int_equal(digest_make(kind, local->bytes, local->size, &digest), 0);
	digest.bytes[0] ^= !is_right;
	fprintf(file, ",\"digest\":\"%s\"", digest_print(&digest, text));
}

/* "data" under several names, of which each says something else. */
static void write_manifest(const struct session *session)
{
	static const char *const names[] = {"none", "blocks", "crc", "hash", "wrong"};
	char path[160];
	FILE *file;

	snprintf(path, sizeof path, "%s/list", session->server.root);
	file = fopen(path, "we");
	assert_non_null(file);
	for (size_t i = 0; i < array_len(names); i++) {
		fprintf(file, "{\"path\":\"%s\",\"url\":\"data\",\"size\":%zu", names[i],
			session->local.size);
		if (strcmp(names[i], "blocks") == 0)
			print_blocks(file, &session->local);
		else if (i > 0)
			print_whole(file, &session->local,
				i == 3 ? DIGEST_SHA256 : DIGEST_CRC64NVME, i != 4);
		fprintf(file, "}\n");
	}
	assert_int_equal(fclose(file), 0);
}

static int open_name(
	struct session *session, const char *name, const struct pagein_options *options)
{
	char url[256];

	snprintf(url, sizeof url, "manifest:%s#%s", server_url(&session->server, "list"), name);
	return pagein_open(url, options ? options : &quick_options, &session->object);
}

static void session_open_name(struct session *session, const char *name,
	const struct pagein_options *options, unsigned flags)
{
	session_start_server(session, SIZE);
	write_manifest(session);
	if (open_name(session, name, options) < 0)
		fail_msg("%s", pagein_last_error());
	session_map_as(session, flags);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static const struct pagein_options cached = {
	.size = sizeof cached, .timeout_ms = 2000, .cache_bytes = 2 << 20};
static const struct pagein_options limited = {
	.size = sizeof limited, .timeout_ms = 2000, .memory = 1 << 20};

/* Each way in which pages come to memory. */
static const struct way {
	const char *name;
	const struct pagein_options *options;
	unsigned flags;
} ways[] = {
	{"plain", NULL, 0},
	{"private", NULL, PAGEIN_PRIVATE},
	{"huge", NULL, PAGEIN_HUGE},
	{"shared", NULL, PAGEIN_SHARED},
	{"cached", &cached, 0},
	{"limited", &limited, 0},
};

static void right_blocks_are_shown_in_any_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(ways); i++) {
		struct session session;

		session_open_name(&session, "blocks", ways[i].options, ways[i].flags);
		assert_int_equal(pagein_integrity(session.object), PAGEIN_BY_BLOCK);
		for (size_t n = 0; n < 100; n++)
			if (session_compare(&session, n * 89 % PAGES, n * 89 % PAGES + 1) != 0)
				fail_msg("%s: page %zu", ways[i].name, n * 89 % PAGES);
		if (session_compare(&session, 0, PAGES) != 0)
			fail_msg("%s", ways[i].name);
		session_close(&session);
	}
}

/* The same ETag, every head right, and one byte of each answer wrong. */
static void no_byte_of_a_wrong_block_is_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(ways); i++) {
		struct pagein_error error;
		struct session session;
		size_t wrong = 0;

		session_open_name(&session, "blocks", ways[i].options, ways[i].flags);
		server_script(&session.server, "path=/data : corrupt=5000");
		for (size_t page = 3; page < PAGES; page += 61) {
			int result = session_compare(&session, page, page + 1);

			if (result != 0 && result != SIGBUS)
				fail_msg("%s: page %zu: %d", ways[i].name, page, result);
			if (result == 0)
				continue;
			wrong++;
			assert_int_equal(
				pagein_error(session.map, session.bytes + page * PAGE, &error), 0);
			assert_int_equal(error.error, EIO);
			if (!strstr(error.message, "/data: block ") ||
				!strstr(error.message, ": expected sha256:") ||
				!strstr(error.message, ", seen sha256:"))
				fail_msg("%s", error.message);
		}
		if (wrong < 5)
			fail_msg("%s: %zu pages were told to be wrong", ways[i].name, wrong);
		/* A server that has been put right. */
		server_script(&session.server, "");
		assert_int_equal(pagein_retry(session.map, 0, 0), 0);
		if (session_compare(&session, 0, PAGES) != 0)
			fail_msg("%s", ways[i].name);
		session_close(&session);
	}
}

struct look {
	const uint8_t *at, *expected;
};

static int look_at(void *argument)
{
	const struct look *look = argument;

	return memcmp(look->at, look->expected, PAGE) == 0 ? 0 : 1;
}

/* Before any test that handles SIGBUS by itself. */
static void who_fills_pages_in_its_handler_sees_right_blocks_only(void **state)
{
	struct session session;
	size_t wrong = 0;

	(void)state;
	session_open_name(&session, "blocks", &cached, PAGEIN_INLINE);
	assert_memory_equal(session.bytes, session.local.bytes, SIZE / 4);
	server_script(&session.server, "path=/data : corrupt=5000");
	for (size_t page = PAGES / 2; page < PAGES - 1; page += 31) {
		struct look look = {session.bytes + page * PAGE, session.local.bytes + page * PAGE};
		int err = pagein_guard(look_at, &look);

		if (err != 0)
			assert_int_equal(err, -EIO);
		wrong += err != 0;
	}
	assert_true(wrong > 3);
	session_close(&session);
}

static void another_connection_may_be_right(void **state)
{
	struct session session;

	(void)state;
	session_open_name(&session, "blocks", NULL, 0);
	server_script(&session.server, "path=/data first=2 : corrupt=10");
	assert_int_equal(session_compare(&session, 100, 101), 0);
	/* Two that were wrong, and one that was not, each of the whole block. */
	assert_true(server_count(&session.server, "requests") >= 3);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

/* What came with the block of a lone touch is not asked for again. */
static void a_block_is_fetched_once(void **state)
{
	struct session session;
	uint64_t before;

	(void)state;
	session_open_name(&session, "blocks", NULL, 0);
	pagein_advise(session.map, 0, 0, PAGEIN_RANDOM);
	assert_int_equal(session_compare(&session, 37, 38), 0);
	before = map_stats(NULL).requests;
	assert_int_equal(session_compare(&session, 32, 48), 0);
	assert_true(map_stats(NULL).requests == before);
	session_close(&session);
}

static void a_child_of_fork_checks_as_well(void **state)
{
	struct session session;
	int status;
	pid_t child;

	(void)state;
	session_open_name(&session, "blocks", NULL, 0);
	assert_int_equal(session_compare(&session, 0, 1), 0);
	server_script(&session.server, "path=/data : corrupt=5000");
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(session_compare(&session, 513, 514) == SIGBUS &&
					pagein_integrity(session.object) == PAGEIN_BY_BLOCK
				? 0
				: 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	session_close(&session);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void a_checksum_is_known_when_all_has_been_touched(void **state)
{
	struct session session;

	(void)state;
	session_open_name(&session, "crc", NULL, 0);
	for (size_t n = 0; n < PAGES; n++) {
		size_t page = n * 89 % PAGES;

		assert_int_equal(session_compare(&session, page, page + 1), 0);
	}
	assert_int_equal(pagein_integrity(session.object), PAGEIN_VERIFIED);
	session_close(&session);
}

static void a_wrong_whole_fails_with_the_last_of_it(void **state)
{
	struct pagein_error error;
	struct session session;
	size_t failed = 0;

	(void)state;
	session_open_name(&session, "wrong", NULL, 0);
	assert_int_equal(session_compare(&session, 0, PAGES / 2), 0);
	assert_int_equal(pagein_integrity(session.object), PAGEIN_UNFINISHED);
	assert_int_equal(pagein_populate(session.map, 0, 0, -1), -EIO);
	assert_int_equal(pagein_integrity(session.object), PAGEIN_BAD);
	for (size_t page = 0; page < PAGES; page++)
		if (session_compare(&session, page, page + 1) == SIGBUS) {
			failed++;
			assert_int_equal(
				pagein_error(session.map, session.bytes + page * PAGE, &error), 0);
			assert_int_equal(error.error, EIO);
			assert_non_null(strstr(error.message, "the whole object: expected crc64"));
		}
	assert_true(failed > 0);
	/* No more of it, not even what has been here. */
	assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	assert_int_equal(session_compare(&session, 0, 1), SIGBUS);
	session_close(&session);
}

static void a_hash_is_known_after_a_read_in_sequence(void **state)
{
	struct session session;

	(void)state;
	session_open_name(&session, "hash", &cached, 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_int_equal(pagein_integrity(session.object), PAGEIN_VERIFIED);
	session_close(&session);
	session_open_name(&session, "hash", NULL, 0);
	assert_int_equal(session_compare(&session, 1, PAGES), 0);
	assert_int_equal(session_compare(&session, 0, 1), 0);
	assert_int_equal(pagein_integrity(session.object), PAGEIN_UNFINISHED);
	session_close(&session);
}

static void an_answers_own_digest_is_checked(void **state)
{
	struct session session;

	(void)state;
	session_open(&session, SIZE, NULL);
	server_script(&session.server, "path=/data : header=\"Content-Digest: crc32c=:AAAAAA==:\"");
	assert_int_equal(session_compare(&session, 100, 101), SIGBUS);
	server_script(&session.server, "");
	assert_int_equal(pagein_retry(session.map, 0, 0), 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_int_equal(pagein_integrity(session.object), PAGEIN_UNCHECKED);
	session_close(&session);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void what_can_not_be_verified_is_refused(void **state)
{
	static const struct {
		const char *name;
		unsigned verify;
		const char *words; /* NULL: opened */
	} rows[] = {
		{"none", PAGEIN_VERIFY_REQUIRE, "tells no checksum"},
		{"none", PAGEIN_VERIFY_BLOCKS, "no hashes of its blocks"},
		{"none", PAGEIN_VERIFY_AUTO, NULL},
		{"crc", PAGEIN_VERIFY_REQUIRE, NULL},
		{"crc", PAGEIN_VERIFY_BLOCKS, "no hashes of its blocks"},
		{"hash", PAGEIN_VERIFY_REQUIRE, "in sequence"},
		{"blocks", PAGEIN_VERIFY_REQUIRE, NULL},
		{"blocks", PAGEIN_VERIFY_BLOCKS, NULL},
		{"blocks", PAGEIN_VERIFY_OFF, NULL},
	};
	struct pagein_options options = PAGEIN_OPTIONS_INIT;
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	write_manifest(&session);
	for (size_t i = 0; i < array_len(rows); i++) {
		int err;

		options.verify = rows[i].verify;
		err = open_name(&session, rows[i].name, &options);
		if (err != (rows[i].words ? -ENOTSUP : 0))
			fail_msg("%s, %u: %d", rows[i].name, rows[i].verify, err);
		if (err == 0)
			pagein_close(session.object);
		else if (!strstr(pagein_last_error(), rows[i].words))
			fail_msg("%s", pagein_last_error());
	}
	options.verify = PAGEIN_VERIFY_BLOCKS + 1;
	assert_int_equal(open_name(&session, "none", &options), -EINVAL);
	session.object = NULL;
	session_close(&session);
}

static void nothing_is_checked_that_is_switched_off(void **state)
{
	struct pagein_options off = quick_options;
	struct session session;

	(void)state;
	off.verify = PAGEIN_VERIFY_OFF;
	session_open_name(&session, "wrong", &off, 0);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	assert_int_equal(pagein_integrity(session.object), PAGEIN_UNCHECKED);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_fills_pages_in_its_handler_sees_right_blocks_only),
		cmocka_unit_test(right_blocks_are_shown_in_any_order),
		cmocka_unit_test(no_byte_of_a_wrong_block_is_seen),
		cmocka_unit_test(another_connection_may_be_right),
		cmocka_unit_test(a_block_is_fetched_once),
		cmocka_unit_test(a_child_of_fork_checks_as_well),
		cmocka_unit_test(a_checksum_is_known_when_all_has_been_touched),
		cmocka_unit_test(a_wrong_whole_fails_with_the_last_of_it),
		cmocka_unit_test(a_hash_is_known_after_a_read_in_sequence),
		cmocka_unit_test(an_answers_own_digest_is_checked),
		cmocka_unit_test(what_can_not_be_verified_is_refused),
		cmocka_unit_test(nothing_is_checked_that_is_switched_off),
	};

	if (userfaultfd_is_missing())
		return 77;
	return run_group(tests);
}
