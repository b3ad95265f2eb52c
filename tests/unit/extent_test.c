/*
 * extent_test.c - cuts, moves and growth of extents against an array that knows for each page of
 * memory which page of the object lies there.
 */
#include "check.h"

#include "extent.h"

#define PAGE 4096
#define PAGES 64
#define NOTHING UINT64_MAX

/*
 * Page i of memory, at address i * PAGE, shows the object's page shows[i]. What the kernel has
 * grown in silence is shown, too, but no extent knows of it before it is touched.
 */
struct model {
	uint64_t shows[PAGES];
	bool unseen[PAGES];
};

static void check_model(const struct extents *extents, const struct model *model)
{
	uint64_t offset;

	for (size_t i = 0; i < PAGES; i++) {
		uintptr_t address = i * PAGE + 123;
		bool found = extents_find(extents, address, &offset);

		assert_int_equal(found, model->shows[i] != NOTHING && !model->unseen[i]);
		if (found)
			assert_true(offset == model->shows[i] * PAGE + 123);
	}
	for (size_t i = 1; i < extents->count; i++)
		assert_true(extents->list[i - 1].address + extents->list[i - 1].length <=
			    extents->list[i].address);
}

/* All pieces that extents_next() finds of a range are what the model says. */
static void check_places(const struct extents *extents, const struct model *model, uint64_t *seed)
{
	uint64_t first = random_next(seed) % PAGES, end = first + random_next(seed) % PAGES;
	struct range range = {first * PAGE, end * PAGE}, part;
	uint64_t found = 0, expected = 0;
	uintptr_t cursor = 0, address, last = 0;

	while (extents_next(extents, range, &cursor, &part, &address)) {
		assert_true(range_contains(range, part) && !range_empty(part));
		assert_true(address >= last && cursor == address + range_length(part));
		last = cursor;
		for (uint64_t at = part.start; at < part.end; at += PAGE, found++)
			assert_true(model->shows[(address + at - part.start) / PAGE] == at / PAGE);
	}
	for (size_t i = 0; i < PAGES; i++)
		expected += model->shows[i] != NOTHING && !model->unseen[i] &&
			    model->shows[i] >= first && model->shows[i] < end;
	assert_true(found == expected);
}

static void model_forget(struct model *model, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++) {
		model->shows[i] = NOTHING;
		model->unseen[i] = false;
	}
}

/* munmap(2), and a hole is left. */
static void step_cut(struct extents *extents, struct model *model, size_t first, size_t count)
{
	size_t end = first + count;
	bool more = end < PAGES && model->shows[end] != NOTHING;

	assert_int_equal(extents_cut(extents, first * PAGE, end * PAGE, more), 0);
	model_forget(model, first, count);
}

/* mremap(2): REMAP, and UNMAP of the old place unless it was MREMAP_DONTUNMAP. */
static void step_move(struct extents *extents, struct model *model, size_t from, size_t to,
	size_t count, bool keep)
{
	/* As the kernel tells it: what lay there is unmapped first. */
	step_cut(extents, model, to, count);
	assert_int_equal(extents_copy(extents, from * PAGE, to * PAGE, count * PAGE), 0);
	for (size_t i = 0; i < count; i++) {
		model->shows[to + i] = model->shows[from + i];
		model->unseen[to + i] = model->unseen[from + i];
	}
	if (!keep)
		step_cut(extents, model, from, count);
}

/* mremap(2) of what ends at `end`, in place: no event. */
static void step_grow(struct model *model, size_t end, size_t count)
{
	for (size_t i = end; i < end + count; i++) {
		model->shows[i] = model->shows[i - 1] + 1;
		model->unseen[i] = true;
	}
}

/* A touch of memory that no extent knows: what is below it in the same growth may be known now. */
static void step_touch(struct extents *extents, struct model *model, size_t page)
{
	uint64_t offset;

	assert_int_equal(extents_grow(extents, page * PAGE, PAGE), 0);
	for (size_t i = 0; i <= page; i++)
		model->unseen[i] &= !extents_find(extents, i * PAGE, &offset);
	assert_false(model->unseen[page]);
}

/* One area of memory for mremap(2): nothing is missing in it, and it is one area's growth. */
static bool is_whole(const struct model *model, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		if (model->shows[i] == NOTHING ||
			(i > first && model->shows[i] != model->shows[i - 1] + 1))
			return false;
	return true;
}

static bool is_free(const struct model *model, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		if (model->shows[i] != NOTHING)
			return false;
	return true;
}

static void step(struct extents *extents, struct model *model, uint64_t *seed)
{
	size_t from = random_next(seed) % PAGES, to = random_next(seed) % PAGES;
	size_t count = 1 + random_next(seed) % 12;
	unsigned what = (unsigned)(random_next(seed) % 4);

	if (from + count > PAGES || to + count > PAGES)
		return;
	if (what == 0)
		step_cut(extents, model, from, count);
	else if (what == 1 && (from + count <= to || to + count <= from) &&
		 is_whole(model, from, count))
		step_move(extents, model, from, to, count, random_next(seed) % 4 == 0);
	else if (what == 2 && from > 0 && model->shows[from - 1] != NOTHING &&
		 is_free(model, from, count))
		step_grow(model, from, count);
	else if (what == 3 && model->unseen[from])
		step_touch(extents, model, from);
}

static void what_the_kernel_does_agrees_with_the_model(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct extents extents = {0};
		struct model model = {0};

		for (size_t i = 0; i < PAGES; i++)
			model.shows[i] = i < 32 ? i + 3 : NOTHING;
		assert_int_equal(
			extents_add(&extents, (struct extent){0, 32 * PAGE, 3 * PAGE, false}), 0);
		for (int i = 0; i < 60; i++) {
			step(&extents, &model, &seed);
			check_model(&extents, &model);
			check_places(&extents, &model, &seed);
		}
		extents_finish(&extents);
	}
}

static void a_cut_in_the_middle_splits(void **state)
{
	struct extents extents = {0};

	(void)state;
	extents_add(&extents, (struct extent){0x10000, 0x10000, 0, false});
	assert_int_equal(extents_cut(&extents, 0x14000, 0x15000, true), 0);
	assert_int_equal(extents.count, 2);
	assert_true(extents.list[0].length == 0x4000);
	assert_true(extents.list[1].address == 0x15000 && extents.list[1].offset == 0x5000);
	extents_finish(&extents);
}

static void what_was_cut_does_not_come_back_by_growth(void **state)
{
	struct extents extents = {0};
	uint64_t offset;

	(void)state;
	extents_add(&extents, (struct extent){0x10000, 0x4000, 0, false});
	extents_add(&extents, (struct extent){0x20000, 0x2000, 0x8000, false});
	assert_int_equal(extents_cut(&extents, 0x20000, 0x22000, true), 0);
	assert_false(extents_find(&extents, 0x23000, &offset));
	assert_int_equal(extents_grow(&extents, 0x23000, 0x1000), 0);
	assert_true(extents_find(&extents, 0x23000, &offset));
	assert_true(offset == 0xb000);
	assert_false(extents_find(&extents, 0x21000, &offset));
	extents_finish(&extents);
}

/* Where an address is unknown, the nearest hole below it is the one to be asked about. */
static void the_hole_below_an_address_is_found(void **state)
{
	struct extents extents = {0};
	uint64_t offset;
	uintptr_t end;

	(void)state;
	assert_int_equal(extents_add(&extents, (struct extent){0x10000, 0x10000, 0, false}), 0);
	assert_false(extents_hole_below(&extents, 0x25000, &end));
	/* Two holes with memory between them, which is gone then. */
	assert_int_equal(extents_cut(&extents, 0x14000, 0x16000, true), 0);
	assert_int_equal(extents_cut(&extents, 0x1a000, 0x20000, true), 0);
	assert_false(extents_hole_below(&extents, 0x1c000, &end));
	assert_int_equal(extents_cut(&extents, 0x16000, 0x1a000, false), 0);
	assert_true(extents_hole_below(&extents, 0x25000, &end));
	assert_true(end == 0x20000);
	/* What lies in a hole is not the hole's; this one is the only one. */
	assert_false(extents_hole_below(&extents, 0x18000, &end));
	extents_drop_hole(&extents, 0x20000);
	assert_false(extents_hole_below(&extents, 0x25000, &end));
	/* The memory below has grown to there. */
	assert_int_equal(extents_grow(&extents, 0x24000, 0x1000), 0);
	assert_true(extents_find(&extents, 0x24000, &offset));
	assert_true(offset == 0x14000);
	extents_finish(&extents);
}

static void holes_do_not_pile_up(void **state)
{
	struct extents extents = {0};

	(void)state;
	extents_add(&extents, (struct extent){0, PAGES * PAGE, 0, false});
	for (size_t i = PAGES; i-- > 0;)
		assert_int_equal(
			extents_cut(&extents, i * PAGE, (i + 1) * PAGE, i == PAGES - 1), 0);
	assert_int_equal(extents.count, 1);
	extents_finish(&extents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_does_agrees_with_the_model),
		cmocka_unit_test(a_cut_in_the_middle_splits),
		cmocka_unit_test(what_was_cut_does_not_come_back_by_growth),
		cmocka_unit_test(the_hole_below_an_address_is_found),
		cmocka_unit_test(holes_do_not_pile_up),
	};

	return run_group(tests);
}
