/*
 * loops_test.c - maps on several loops: as many threads as maps want and options allow, and the
 * right bytes from each.
 */
#include "fixture.h"

#include <pthread.h>
#include <unistd.h>

#define OBJECTS 5
#define THREADS 8
#define SIZE (3 * 1024 * 1024 + 123)

static const struct pagein_options one_loop = {
	.size = sizeof one_loop, .timeout_ms = 10000, .loops = 1};
static const struct pagein_options three_loops = {
	.size = sizeof three_loops, .timeout_ms = 10000, .loops = 3};

static struct item {
	struct local local;
	struct pagein_object *object;
	struct pagein_map *map;
} items[OBJECTS];

static void items_make(const struct session *session)
{
	char name[8];

	for (size_t i = 0; i < OBJECTS; i++) {
		snprintf(name, sizeof name, "f%zu", i);
		items[i] = (struct item){0};
		local_make(&items[i].local, &session->server, name, SIZE + i * 1000, i + 1);
	}
}

static void item_open(
	const struct session *session, size_t number, const struct pagein_options *options)
{
	char name[8];

	snprintf(name, sizeof name, "f%zu", number);
	assert_int_equal(
		pagein_open(server_url(&session->server, name), options, &items[number].object), 0);
}

static void item_map(size_t number)
{
	assert_int_equal(pagein_map(items[number].object, 0, 0, 0, &items[number].map), 0);
}

static int item_compare(size_t number)
{
	const struct item *item = &items[number];

	return touch_compare(pagein_address(item->map), item->local.bytes, item->local.size);
}

static void item_close(size_t number)
{
	pagein_unmap(items[number].map);
	pagein_close(items[number].object);
	items[number].map = NULL;
	items[number].object = NULL;
}

static void items_finish(void)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		item_close(i);
		local_finish(&items[i].local);
	}
}

/* ---- how many ------------------------------------------------------------------------------ */

static void one_loop_serves_any_number_of_maps(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (size_t i = 0; i < OBJECTS; i++) {
		item_open(&session, i, &one_loop);
		item_map(i);
		assert_int_equal(count_threads("pagein", 1), 1);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		assert_int_equal(item_compare(i), 0);
	items_finish();
	session_close(&session);
}

static void each_mapped_object_gets_a_loop_while_there_may_be_more(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (int i = 0; i < OBJECTS; i++) {
		int threads = i < 3 ? i + 1 : 3;

		item_open(&session, (size_t)i, &three_loops);
		item_map((size_t)i);
		assert_int_equal(count_threads("pagein", threads), threads);
		assert_int_equal(item_compare((size_t)i), 0);
	}
	items_finish();
	session_close(&session);
}

static void objects_without_maps_start_no_loops(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (size_t i = 0; i < OBJECTS; i++) {
		item_open(&session, i, &three_loops);
		assert_int_equal(count_threads("pagein", 1), 1);
	}
	/* Where an object is, its maps are. */
	for (size_t i = 0; i < OBJECTS; i++) {
		item_map(i);
		assert_int_equal(item_compare(i), 0);
	}
	assert_int_equal(count_threads("pagein", 1), 1);
	items_finish();
	session_close(&session);
}

static void a_loop_that_has_lost_its_maps_gets_the_next_one(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (size_t i = 0; i < 2; i++) {
		item_open(&session, i, &three_loops);
		item_map(i);
	}
	/* The first object stays open, without a map: its loop is free. */
	pagein_unmap(items[0].map);
	items[0].map = NULL;
	item_open(&session, 2, &three_loops);
	item_map(2);
	assert_int_equal(count_threads("pagein", 2), 2);
	assert_int_equal(item_compare(2), 0);
	/* Now none is. */
	item_open(&session, 3, &three_loops);
	item_map(3);
	assert_int_equal(count_threads("pagein", 3), 3);
	item_map(0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(item_compare(i), 0);
	items_finish();
	session_close(&session);
}

static void a_loop_ends_with_its_last_object(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (size_t i = 0; i < 3; i++) {
		item_open(&session, i, &three_loops);
		item_map(i);
	}
	for (int left = 2; left >= 0; left--) {
		item_close((size_t)left);
		assert_int_equal(count_threads("pagein", left), left);
		if (left > 0)
			assert_int_equal(item_compare((size_t)left - 1), 0);
	}
	items_finish();
	session_close(&session);
}

static void other_options_have_loops_of_their_own(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	item_open(&session, 0, &one_loop);
	item_open(&session, 1, &three_loops);
	assert_int_equal(count_threads("pagein", 2), 2);
	items_finish();
	session_close(&session);
}

/* ---- all at once --------------------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	uint64_t seed;
	int result; /* of the first wrong read */
};

static void *read_at_random(void *context)
{
	struct reader *self = context;

	for (int i = 0; i < 400 && self->result == 0; i++) {
		const struct item *item = &items[random_next(&self->seed) % OBJECTS];
		size_t at = random_next(&self->seed) % item->local.size;
		size_t left = item->local.size - at, len = 1 + random_next(&self->seed) % 50000;

		self->result = touch_compare((const uint8_t *)pagein_address(item->map) + at,
			item->local.bytes + at, len < left ? len : left);
		/* So that they are asked for again, while others read them. */
		if (i % 20 == 0)
			pagein_advise(item->map, 0, 0, PAGEIN_DONTNEED);
	}
	return NULL;
}

static void threads_read_maps_on_all_loops_at_once(void **state)
{
	struct reader readers[THREADS];
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (size_t i = 0; i < OBJECTS; i++) {
		item_open(&session, i, &three_loops);
		item_map(i);
	}
	for (size_t i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.seed = i + 1};
		assert_int_equal(
			pthread_create(&readers[i].thread, NULL, read_at_random, &readers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
	}
	items_finish();
	session_close(&session);
}

static char urls[OBJECTS][64];

/* Contexts come and go under each other. */
static void *open_and_close(void *context)
{
	struct reader *self = context;

	for (int i = 0; i < 40 && self->result == 0; i++) {
		size_t number = random_next(&self->seed) % OBJECTS;
		const struct local *local = &items[number].local;
		struct pagein_object *object;
		struct pagein_map *map = NULL;
		struct pagein_stats stats;

		if (pagein_open(urls[number], &three_loops, &object) < 0)
			self->result = -2;
		else if (pagein_map(object, 0, 0, 0, &map) < 0 || pagein_stats(NULL, &stats) < 0)
			self->result = -3;
		else
			self->result = touch_compare(
				pagein_address(map), local->bytes, local->size / 8);
		if (self->result == -2)
			continue;
		pagein_unmap(map);
		pagein_close(object);
	}
	return NULL;
}

static void loops_come_and_go_in_many_threads(void **state)
{
	struct reader openers[THREADS];
	struct session session;

	(void)state;
	session_start_server(&session, PAGE);
	items_make(&session);
	for (size_t i = 0; i < OBJECTS; i++)
		snprintf(urls[i], sizeof urls[i], "%sf%zu", server_url(&session.server, ""), i);
	for (size_t i = 0; i < THREADS; i++) {
		openers[i] = (struct reader){.seed = i + 1};
		assert_int_equal(
			pthread_create(&openers[i].thread, NULL, open_and_close, &openers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(openers[i].thread, NULL);
		assert_int_equal(openers[i].result, 0);
	}
	items_finish();
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_loop_serves_any_number_of_maps),
		cmocka_unit_test(each_mapped_object_gets_a_loop_while_there_may_be_more),
		cmocka_unit_test(objects_without_maps_start_no_loops),
		cmocka_unit_test(a_loop_that_has_lost_its_maps_gets_the_next_one),
		cmocka_unit_test(a_loop_ends_with_its_last_object),
		cmocka_unit_test(other_options_have_loops_of_their_own),
		cmocka_unit_test(threads_read_maps_on_all_loops_at_once),
		cmocka_unit_test(loops_come_and_go_in_many_threads),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
