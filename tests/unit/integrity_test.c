/*
 * integrity_test.c - what is known of an object's bytes: a whole that is counted, in any order or
 * in sequence, and blocks that are held back until they are right.
 */
#include "object_support.h"

#include <errno.h>

#include "hash_list.h"
#include "log.h"

#define SIZE (3 * BLOCK + 5 * PAGE + 17)
#define HASHED (4 * PAGE) /* of a list's blocks */

static unsigned errors; /* lines of the log */

static void count_errors(enum log_level level, const char *line, void *context)
{
	(void)context;
	assert_non_null(strstr(line, "fake"));
	errors += level == LOG_ERROR;
}

static uint8_t *object_bytes(uint64_t size)
{
	uint8_t *bytes = malloc(size);

	assert_non_null(bytes);
	for (uint64_t i = 0; i < size; i++)
		bytes[i] = pattern(i);
	return bytes;
}

static struct version whole_version(enum digest_kind kind, uint64_t size)
{
	struct version version = {.size = size};
	uint8_t *bytes = object_bytes(size);

	assert_int_equal(digest_make(kind, bytes, size, &version.digest), 0);
	free(bytes);
	return version;
}

static struct version hashed_version(uint64_t size)
{
	struct version version = {.size = size};
	uint8_t *bytes = object_bytes(size);
	size_t length = digest_length(DIGEST_SHA256);

	assert_int_equal(hash_list_create(DIGEST_SHA256, HASHED, size, &version.hashes), 0);
	for (uint64_t i = 0; i < hash_list_count(size, HASHED); i++) {
		struct range block = hash_list_block(version.hashes, i * HASHED);
		struct digest digest;

		assert_int_equal(digest_make(DIGEST_SHA256, bytes + block.start,
					 range_length(block), &digest),
			0);
		memcpy(version.hashes->digests + i * length, digest.bytes, length);
	}
	free(bytes);
	return version;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void ask_page(struct object *object, uint64_t page)
{
	assert_int_equal(ask(object, (struct range){page * PAGE, (page + 1) * PAGE}, PAGE), 0);
}

static void a_crc_is_whole_whatever_the_order(void **state)
{
	static const enum digest_kind kinds[] = {DIGEST_CRC32, DIGEST_CRC32C, DIGEST_CRC64NVME};
	uint64_t pages = (SIZE + PAGE - 1) / PAGE;

	(void)state;
	make_core((struct core_options){0});
	for (unsigned i = 0; i < array_len(kinds) * KEEPS; i++) {
		struct version version = whole_version(kinds[i / KEEPS], SIZE);
		struct object *object = make_object_like(&version, i % KEEPS);
		struct test_want want;

		add_want(&want, object, 0, SIZE);
		/* 89 and the 198 pages have no common divisor. */
		for (uint64_t n = 0; n < pages; n++) {
			assert_int_equal(object_integrity(object), OBJECT_OPEN);
			ask_page(object, n * 89 % pages);
			deliver_everything();
			/* Once more, of pages that have gone: not counted twice. */
			object_drop(object, (struct range){0, SIZE});
			ask_page(object, n * 89 % pages);
			deliver_everything();
		}
		assert_int_equal(object_integrity(object), OBJECT_GOOD);
		assert_int_equal(want.err, 0);
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	finish_core();
}

/* Whichever arrives last is not shown, nor is anything after it. */
static void a_wrong_whole_is_never_read_wholly(void **state)
{
	static const enum digest_kind kinds[] = {DIGEST_CRC64NVME, DIGEST_SHA256};

	(void)state;
	make_core((struct core_options){0});
	for (unsigned i = 0; i < array_len(kinds) * KEEPS; i++) {
		struct version version = whole_version(kinds[i / KEEPS], SIZE);
		struct object *object = make_object_like(&version, i % KEEPS);
		struct test_want want;

		errors = 0;
		add_want(&want, object, 0, SIZE);
		fake.wrong_at = SIZE - 3;
		fake.wrong = 1;
		ask(object, (struct range){0, SIZE}, SIZE);
		deliver(fake.gets[0], SIZE);
		assert_int_equal(fake.count, 0);
		assert_int_equal(object_integrity(object), OBJECT_BAD);
		assert_int_equal(want.err, -EIO);
		assert_true(
			want.bytes < SIZE && want.failed > 0 && want.bytes + want.failed == SIZE);
		assert_int_equal(errors, 1);
		assert_non_null(strstr(object_stale(object)->error, "the whole object: expected "));
		/* Nor is what has been kept. */
		assert_int_equal(ask(object, (struct range){0, PAGE}, PAGE), -EIO);
		assert_null(object_touch(object, 0));
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	finish_core();
}

static void a_cut_object_is_told_by_its_digest(void **state)
{
	struct version version = whole_version(DIGEST_CRC32C, SIZE);
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	version.size = SIZE - PAGE;
	object = make_object_like(&version, OBJECT_PASSES);
	add_want(&want, object, 0, version.size);
	ask(object, (struct range){0, version.size}, PAGE);
	deliver(fake.gets[0], version.size);
	assert_int_equal(object_integrity(object), OBJECT_BAD);
	assert_int_equal(want.err, -EIO);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

static void a_hash_needs_its_sequence(void **state)
{
	struct version version = whole_version(DIGEST_SHA256, 4 * BLOCK);

	(void)state;
	make_core((struct core_options){0});
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object = make_object_like(&version, keep);
		struct test_want want;

		add_want(&want, object, 0, 4 * BLOCK);
		/* On two connections, of which the second is faster, read and dropped at once. */
		object_fetch(object, (struct range){0, 2 * BLOCK}, BLOCK, BLOCK);
		deliver_all(fake.gets[1]);
		object_drop(object, (struct range){BLOCK, 2 * BLOCK});
		deliver_all(fake.gets[0]);
		ask(object, (struct range){2 * BLOCK, 4 * BLOCK}, BLOCK);
		deliver_everything();
		/* Who keeps its bytes has it made of them when their turn has come. */
		assert_int_equal(object_integrity(object),
			keep == OBJECT_PASSES ? OBJECT_OPEN : OBJECT_GOOD);
		assert_int_equal(want.err, 0);
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	finish_core();
}

static void the_first_bytes_count_that_came_with_the_probe(void **state)
{
	struct version version = whole_version(DIGEST_CRC32, 6 * PAGE);
	uint8_t *bytes = object_bytes(6 * PAGE);
	struct object *object;

	(void)state;
	make_core((struct core_options){0});
	object = make_object_like(&version, OBJECT_KEEPS);
	assert_int_equal(object_seed(object, bytes, 4 * PAGE), 0);
	ask(object, (struct range){0, 6 * PAGE}, PAGE);
	deliver_everything();
	assert_int_equal(object_integrity(object), OBJECT_GOOD);
	object_destroy(object);
	/* All of it, and wrong. */
	object = make_object_like(&version, OBJECT_KEEPS);
	bytes[5] ^= 1;
	assert_int_equal(object_seed(object, bytes, 6 * PAGE), -EIO);
	assert_int_equal(ask(object, (struct range){0, PAGE}, PAGE), -EIO);
	object_destroy(object);
	free(bytes);
	finish_core();
}

static void nothing_is_checked_that_is_switched_off(void **state)
{
	struct version version = hashed_version(SIZE);
	struct object *object;

	(void)state;
	version.digest = (struct digest){.kind = DIGEST_CRC32};
	make_core((struct core_options){.verify = VERIFY_OFF});
	object = make_object_like(&version, OBJECT_PASSES);
	ask(object, (struct range){PAGE, 2 * PAGE}, PAGE);
	assert_true(range_length(fake.gets[0]->range) == PAGE);
	deliver_everything();
	ask(object, (struct range){0, SIZE}, PAGE);
	fake.gets[0]->digest = version.digest;
	deliver_everything();
	assert_int_equal(object_integrity(object), OBJECT_UNCHECKED);
	object_destroy(object);
	hash_list_put(version.hashes);
	finish_core();
}

/* ---- blocks --------------------------------------------------------------------------------- */

/* want_arrived() compares every byte that is shown. */
static void a_block_is_fetched_whole_and_shown_when_it_is_right(void **state)
{
	struct version version = hashed_version(SIZE);

	(void)state;
	make_core((struct core_options){0});
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object = make_object_like(&version, keep);
		struct test_want want;

		assert_int_equal(object_integrity(object), OBJECT_BY_BLOCK);
		add_want(&want, object, 0, SIZE);
		ask_page(object, 6);
		assert_int_equal(fake.count, 1);
		assert_true(fake.gets[0]->range.start == HASHED);
		assert_true(fake.gets[0]->range.end == 2 * HASHED);
		deliver(fake.gets[0], HASHED - 1);
		assert_true(want.bytes == 0);
		deliver_all(fake.gets[0]);
		/* Who keeps has the neighbours as well. */
		assert_true(want.bytes == (keep == OBJECT_PASSES ? PAGE : HASHED));
		/* The head may bring the ends of several. */
		ask(object, (struct range){2 * BLOCK, SIZE}, PAGE);
		deliver_elsewhere(fake.gets[0], 2 * HASHED + 100);
		deliver_everything();
		assert_true(
			want.bytes == (keep == OBJECT_PASSES ? PAGE : HASHED) + SIZE - 2 * BLOCK);
		assert_int_equal(want.err, 0);
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	hash_list_put(version.hashes);
	finish_core();
}

static void a_wrong_block_is_asked_for_again(void **state)
{
	struct version version = hashed_version(SIZE);

	(void)state;
	make_core((struct core_options){0});
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object = make_object_like(&version, keep);
		struct test_want want;
		unsigned before;

		add_want(&want, object, 0, SIZE);
		fake.wrong_at = 2 * HASHED + 7;
		fake.wrong = 2;
		ask(object, (struct range){0, SIZE}, PAGE);
		for (unsigned n = 1; n <= 2; n++) {
			before = fake.submitted;
			fake.cancelled = 0;
			deliver(fake.gets[0], range_length(fake.gets[0]->range));
			/* The connection is given up, and so is what was to come over it. */
			assert_int_equal(fake.cancelled, 1);
			assert_true(want.bytes == 2 * HASHED);
			assert_true(wait_for_attempt(before));
			assert_true(fake.gets[0]->range.start == 2 * HASHED);
		}
		deliver_everything();
		assert_true(want.bytes == SIZE);
		assert_int_equal(want.err, 0);
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	hash_list_put(version.hashes);
	finish_core();
}

static void a_block_that_stays_wrong_fails_alone(void **state)
{
	struct version version = hashed_version(SIZE);

	(void)state;
	make_core((struct core_options){0});
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object = make_object_like(&version, keep);
		struct test_want want;

		errors = 0;
		add_want(&want, object, 0, SIZE);
		fake.wrong_at = SIZE - 5;
		fake.wrong = 3;
		ask(object, (struct range){0, SIZE}, PAGE);
		while (fake.wrong > 0) {
			unsigned before = fake.submitted;

			deliver(fake.gets[0], range_length(fake.gets[0]->range));
			wait_for_attempt(before);
		}
		assert_int_equal(fake.count, 0);
		assert_int_equal(want.err, -EIO);
		assert_true(want.failed == SIZE % HASHED);
		assert_true(want.bytes == SIZE - SIZE % HASHED);
		assert_int_equal(errors, 1);
		/* Another try may find it right, and others are not touched by it. */
		ask(object, (struct range){0, SIZE}, PAGE);
		deliver_everything();
		assert_true(want.failed == SIZE % HASHED);
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	hash_list_put(version.hashes);
	finish_core();
}

static void what_follows_a_wrong_block_still_comes(void **state)
{
	struct version version = hashed_version(SIZE);
	struct object *object;
	struct test_want want;

	(void)state;
	make_core((struct core_options){0});
	object = make_object_like(&version, OBJECT_PASSES);
	add_want(&want, object, 0, SIZE);
	fake.wrong_at = 0;
	fake.wrong = 3;
	ask(object, (struct range){PAGE, SIZE}, PAGE);
	while (fake.count > 0) {
		unsigned before = fake.submitted;
		struct exchange *exchange = fake.gets[0];

		deliver(exchange, range_length(exchange->range));
		if (fake.count > 0)
			end(exchange, 0, false);
		wait_for_attempt(before);
	}
	assert_true(want.failed == HASHED - PAGE);
	assert_true(want.bytes == SIZE - HASHED);
	object_remove_want(object, &want.want);
	object_destroy(object);
	hash_list_put(version.hashes);
	finish_core();
}

static void requests_meet_at_the_ends_of_blocks(void **state)
{
	struct version version = hashed_version(SIZE);
	struct object *object;
	uint64_t sum = 0;

	(void)state;
	make_core((struct core_options){0});
	object = make_object_like(&version, OBJECT_PASSES);
	object_fetch(object, (struct range){PAGE, SIZE}, PAGE, HASHED + PAGE);
	for (size_t i = 0; i < fake.count; i++) {
		assert_true(fake.gets[i]->range.start == sum);
		sum = fake.gets[i]->range.end;
	}
	assert_true(sum == SIZE);
	deliver_everything();
	object_destroy(object);
	hash_list_put(version.hashes);
	finish_core();
}

/* ---- answers that say their own digest ------------------------------------------------------ */

static void say_digest(struct exchange *exchange)
{
	struct range range = exchange->range;
	uint8_t *bytes = object_bytes(range.end);

	assert_int_equal(digest_make(DIGEST_SHA256, bytes + range.start, range_length(range),
				 &exchange->digest),
		0);
	free(bytes);
}

static void an_answer_is_held_to_what_it_says(void **state)
{
	(void)state;
	make_core((struct core_options){0});
	for (enum object_keep keep = 0; keep < KEEPS; keep++) {
		struct object *object = make_object(SIZE, keep);
		unsigned before = fake.submitted + 1;
		struct test_want want;

		add_want(&want, object, 0, SIZE);
		fake.wrong_at = 5000;
		fake.wrong = 1;
		ask(object, (struct range){PAGE, 4 * PAGE}, PAGE);
		say_digest(fake.gets[0]);
		deliver(fake.gets[0], 3 * PAGE);
		assert_true(want.bytes == 0);
		assert_true(wait_for_attempt(before));
		say_digest(fake.gets[0]);
		deliver_all(fake.gets[0]);
		assert_true(want.bytes == 3 * PAGE);
		assert_int_equal(want.err, 0);
		object_remove_want(object, &want.want);
		object_destroy(object);
	}
	finish_core();
}

static void long_answers_are_asked_for_in_parts_once_they_say_it(void **state)
{
	uint64_t size = 3 * HASH_BLOCK_MAX + 99;
	struct object *object;
	struct test_want want;
	unsigned before;

	(void)state;
	make_core((struct core_options){0});
	object = make_object(size, OBJECT_PASSES);
	add_want(&want, object, 0, size);
	ask(object, (struct range){0, size}, PAGE);
	before = fake.submitted;
	say_digest(fake.gets[0]);
	deliver(fake.gets[0], 10000);
	assert_true(wait_for_attempt(before));
	for (int parts = 0; fake.count > 0; parts++) {
		assert_true(parts < 4 && range_length(fake.gets[0]->range) <= HASH_BLOCK_MAX);
		say_digest(fake.gets[0]);
		deliver_all(fake.gets[0]);
	}
	assert_true(want.bytes == size);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void what_can_not_be_verified_is_refused(void **state)
{
	const struct version none = {.size = 2 * HASH_BLOCK_MAX}, empty = {.size = 0};
	struct version crc = none, hash = none, small = none, list = none;
	const struct {
		const struct version *version;
		enum object_keep keep;
		bool in_sequence;
		bool require, blocks; /* is refused */
	} rows[] = {
		{&none, OBJECT_KEEPS, true, true, true},
		{&empty, OBJECT_KEEPS, false, false, false},
		{&crc, OBJECT_PASSES, false, false, true},
		{&hash, OBJECT_KEEPS, false, true, true},
		{&hash, OBJECT_PASSES, true, true, true},
		{&hash, OBJECT_CACHES, true, false, true},
		{&small, OBJECT_PASSES, false, false, false},
		{&list, OBJECT_PASSES, false, false, false},
	};

	(void)state;
	crc.digest.kind = DIGEST_CRC32C;
	hash.digest.kind = small.digest.kind = DIGEST_SHA256;
	small.size = HASH_BLOCK_MAX;
	list = hashed_version(PAGE);
	for (size_t i = 0; i < array_len(rows); i++)
		for (enum verify verify = VERIFY_AUTO; verify <= VERIFY_BLOCKS; verify++) {
			bool expected = verify == VERIFY_REQUIRE  ? rows[i].require
					: verify == VERIFY_BLOCKS ? rows[i].blocks
								  : false;
			const char *words;

			make_core((struct core_options){.verify = verify});
			words = object_refusal(
				core, rows[i].version, rows[i].keep, rows[i].in_sequence);
			if (!words != !expected)
				fail_msg("row %zu, mode %d: %s", i, (int)verify, words);
			finish_core();
		}
	hash_list_put(list.hashes);
}

static void a_small_object_is_one_block_where_it_is_required(void **state)
{
	struct version version = whole_version(DIGEST_SHA1, 5 * PAGE + 1);
	struct object *object;
	struct test_want want;
	unsigned before;

	(void)state;
	make_core((struct core_options){.verify = VERIFY_REQUIRE});
	object = make_object_like(&version, OBJECT_PASSES);
	add_want(&want, object, 0, version.size);
	fake.wrong_at = version.size - 1;
	fake.wrong = 1;
	ask_page(object, 2);
	before = fake.submitted;
	assert_true(range_length(fake.gets[0]->range) == version.size);
	deliver(fake.gets[0], version.size);
	assert_true(want.bytes == 0);
	assert_true(wait_for_attempt(before));
	deliver_everything();
	assert_true(want.bytes == PAGE);
	object_remove_want(object, &want.want);
	object_destroy(object);
	finish_core();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crc_is_whole_whatever_the_order),
		cmocka_unit_test(a_wrong_whole_is_never_read_wholly),
		cmocka_unit_test(a_cut_object_is_told_by_its_digest),
		cmocka_unit_test(a_hash_needs_its_sequence),
		cmocka_unit_test(the_first_bytes_count_that_came_with_the_probe),
		cmocka_unit_test(nothing_is_checked_that_is_switched_off),
		cmocka_unit_test(a_block_is_fetched_whole_and_shown_when_it_is_right),
		cmocka_unit_test(a_wrong_block_is_asked_for_again),
		cmocka_unit_test(a_block_that_stays_wrong_fails_alone),
		cmocka_unit_test(what_follows_a_wrong_block_still_comes),
		cmocka_unit_test(requests_meet_at_the_ends_of_blocks),
		cmocka_unit_test(an_answer_is_held_to_what_it_says),
		cmocka_unit_test(long_answers_are_asked_for_in_parts_once_they_say_it),
		cmocka_unit_test(what_can_not_be_verified_is_refused),
		cmocka_unit_test(a_small_object_is_one_block_where_it_is_required),
	};

	log_set_handler(count_errors, NULL);
	return run_group(tests);
}
