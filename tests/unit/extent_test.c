/*
 * extent_test.c - cuts and moves of extents against an array that knows for each page of memory
 * which page of the object lies there.
 */
#include "check.h"

#include "extent.h"

#define PAGE 4096
#define PAGES 64
#define NOTHING UINT64_MAX

/* Page i of memory, at address i * PAGE, shows the object's page model[i]. */
static void check_model(const struct extents *extents, const uint64_t *model)
{
	uint64_t offset;

	for (size_t i = 0; i < PAGES; i++) {
		uintptr_t address = i * PAGE + 123;
		bool found = extents_find(extents, address, &offset);

		assert_int_equal(found, model[i] != NOTHING);
		if (found)
			assert_true(offset == model[i] * PAGE + 123);
	}
	for (size_t i = 0; i < extents->count; i++) {
		assert_true(extents->list[i].length > 0);
		if (i > 0)
			assert_true(extents->list[i - 1].address + extents->list[i - 1].length <=
				    extents->list[i].address);
	}
}

/* All pieces that extents_place() finds of the object, in order, are what the model says. */
static void check_places(const struct extents *extents, const uint64_t *model)
{
	struct range rest = {0, PAGES * PAGE}, part;
	uint64_t found = 0, expected = 0, last = 0;
	uintptr_t address;

	while (extents_place(extents, rest, &part, &address)) {
		assert_true(part.start >= last && part.start < part.end && part.end <= rest.end);
		for (uint64_t at = part.start; at < part.end; at += PAGE) {
			uint64_t offset;

			assert_true(extents_find(extents, address + (at - part.start), &offset));
			assert_true(offset == at);
			found++;
		}
		rest.start = last = part.end;
	}
	for (size_t i = 0; i < PAGES; i++)
		expected += model[i] != NOTHING;
	assert_true(found == expected);
}

static void cuts_and_moves_agree_with_the_model(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct extents extents = {0};
		uint64_t model[PAGES];

		for (size_t i = 0; i < PAGES; i++)
			model[i] = i < 32 ? i + 3 : NOTHING;
		assert_int_equal(extents_add(&extents, (struct extent){0, 32 * PAGE, 3 * PAGE}), 0);
		for (int step = 0; step < 30; step++) {
			size_t from = random_next(&seed) % PAGES, to = random_next(&seed) % PAGES;
			size_t len = 1 + random_next(&seed) % 12;
			uint64_t moved[PAGES];

			if (from + len > PAGES || to + len > PAGES)
				continue;
			if (random_next(&seed) % 2) {
				assert_int_equal(
					extents_cut(&extents, from * PAGE, (from + len) * PAGE), 0);
				for (size_t i = 0; i < len; i++)
					model[from + i] = NOTHING;
			} else if (from + len <= to || to + len <= from) {
				/* As the kernel tells it: what lay there is unmapped first. */
				extents_cut(&extents, to * PAGE, (to + len) * PAGE);
				assert_int_equal(
					extents_move(&extents, from * PAGE, to * PAGE, len * PAGE),
					0);
				memcpy(moved, model + from, len * sizeof *moved);
				for (size_t i = 0; i < len; i++)
					model[from + i] = NOTHING;
				memcpy(model + to, moved, len * sizeof *moved);
			}
			check_model(&extents, model);
			check_places(&extents, model);
		}
		extents_finish(&extents);
	}
}

static void a_cut_in_the_middle_splits(void **state)
{
	struct extents extents = {0};

	(void)state;
	extents_add(&extents, (struct extent){0x10000, 0x10000, 0});
	assert_int_equal(extents_cut(&extents, 0x14000, 0x15000), 0);
	assert_int_equal(extents.count, 2);
	assert_true(extents.list[0].length == 0x4000);
	assert_true(extents.list[1].address == 0x15000 && extents.list[1].offset == 0x5000);
	extents_finish(&extents);
}

static void the_first_place_is_the_lowest_in_the_object(void **state)
{
	struct extents extents = {0};
	struct range part;
	uintptr_t address;

	(void)state;
	/* Higher addresses hold lower offsets. */
	extents_add(&extents, (struct extent){0x10000, 0x1000, 0x8000});
	extents_add(&extents, (struct extent){0x20000, 0x1000, 0x4000});
	assert_true(extents_place(&extents, (struct range){0, 0x10000}, &part, &address));
	assert_true(part.start == 0x4000 && part.end == 0x5000 && address == 0x20000);
	assert_true(extents_place(&extents, (struct range){0x5000, 0x10000}, &part, &address));
	assert_true(part.start == 0x8000 && address == 0x10000);
	assert_false(extents_place(&extents, (struct range){0x5000, 0x8000}, &part, &address));
	extents_finish(&extents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_and_moves_agree_with_the_model),
		cmocka_unit_test(a_cut_in_the_middle_splits),
		cmocka_unit_test(the_first_place_is_the_lowest_in_the_object),
	};

	return run_group(tests);
}
