/*
 * radix_test.c - the tree against a plain list of what was put where.
 */
#include "check.h"

#include "radix.h"

#define ENTRIES 300

struct entry {
	uint64_t index;
	void *value; /* NULL: taken out again */
};

struct model {
	struct entry entries[ENTRIES];
	size_t count;
};

static void *model_get(const struct model *model, uint64_t index)
{
	for (size_t i = 0; i < model->count; i++)
		if (model->entries[i].index == index)
			return model->entries[i].value;
	return NULL;
}

static void *model_next(const struct model *model, uint64_t *index, uint64_t end)
{
	const struct entry *best = NULL;

	for (size_t i = 0; i < model->count; i++) {
		const struct entry *entry = &model->entries[i];

		if (entry->value && entry->index >= *index && entry->index < end &&
			(!best || entry->index < best->index))
			best = entry;
	}
	if (!best)
		return NULL;
	*index = best->index;
	return best->value;
}

static void model_set(struct model *model, uint64_t index, void *value)
{
	for (size_t i = 0; i < model->count; i++)
		if (model->entries[i].index == index) {
			model->entries[i].value = value;
			return;
		}
	assert_true(model->count < ENTRIES);
	model->entries[model->count++] = (struct entry){index, value};
}

/* Indexes that are dense here, sparse there, and at both ends. */
static uint64_t pick_index(uint64_t *seed, uint64_t slots)
{
	uint64_t number = random_next(seed);

	switch (random_next(seed) % 4) {
	case 0:
		return number % (slots < 100 ? slots : 100);
	case 1:
		return slots - 1 - number % (slots < 100 ? slots : 100);
	case 2:
		return (slots / 2 + number % 64) % slots;
	default:
		return number % slots;
	}
}

static void check_walk(const struct radix *radix, const struct model *model)
{
	uint64_t index = 0, expected_index = 0;
	void *value, *expected;

	do {
		expected = model_next(model, &expected_index, radix->slots);
		value = radix_next(radix, &index, radix->slots);
		assert_ptr_equal(value, expected);
		if (value)
			assert_true(index++ == expected_index++);
	} while (value && index != 0);
}

static void it_holds_what_was_put_into_it(void **state)
{
	static const uint64_t sizes[] = {1, 2, 63, 64, 65, 4095, 4096, 4097, 262144, 262145,
		UINT64_C(1) << 45, (UINT64_C(1) << 60) + 1, UINT64_MAX};
	static struct model model;
	uint64_t seed = 42;

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++) {
		struct radix radix;

		model.count = 0;
		radix_init(&radix, sizes[i]);
		for (size_t step = 0; step < ENTRIES - 1; step++) {
			uint64_t index = pick_index(&seed, sizes[i]);
			void *value = random_next(&seed) % 4 ? &model.entries[step] : NULL;
			void **slot = radix_slot(&radix, index);
			uint64_t from, from_model, end;

			assert_non_null(slot);
			assert_ptr_equal(*slot, model_get(&model, index));
			*slot = value;
			model_set(&model, index, value);
			assert_ptr_equal(radix_get(&radix, index), value);
			from_model = from = pick_index(&seed, sizes[i]);
			assert_ptr_equal(radix_get(&radix, from), model_get(&model, from));
			end = random_next(&seed) % 2 ? sizes[i] : pick_index(&seed, sizes[i]);
			value = radix_next(&radix, &from, end);
			assert_ptr_equal(value, model_next(&model, &from_model, end));
			if (value)
				assert_true(from == from_model);
		}
		check_walk(&radix, &model);
		radix_finish(&radix);
	}
}

static void an_empty_tree_holds_nothing(void **state)
{
	struct radix radix;
	uint64_t index = 0;

	(void)state;
	radix_init(&radix, UINT64_C(1) << 58);
	assert_null(radix_get(&radix, 0));
	assert_null(radix_get(&radix, UINT64_MAX));
	assert_null(radix_next(&radix, &index, UINT64_MAX));
	radix_finish(&radix);
}

static void nothing_lies_past_the_end(void **state)
{
	struct radix radix;
	uint64_t index = 65;

	(void)state;
	radix_init(&radix, 65);
	*radix_slot(&radix, 64) = &radix;
	assert_ptr_equal(radix_get(&radix, 64), &radix);
	assert_null(radix_get(&radix, 65));
	assert_null(radix_next(&radix, &index, UINT64_MAX));
	radix_finish(&radix);
}

/* What is reserved is enough for a path that is all new, and is not lost when it is not. */
static void a_reserved_slot_is_made_of_spares(void **state)
{
	struct radix radix;

	(void)state;
	radix_init(&radix, UINT64_C(1) << 40);
	for (uint64_t i = 0; i < 100; i++) {
		uint64_t index = (i * UINT64_C(0x9e3779b97f4a7c15)) >> 24;
		void **slot;

		radix_reserve(&radix);
		assert_true(radix.spares == radix.height);
		slot = radix_slot(&radix, index);
		assert_non_null(slot);
		assert_null(*slot);
		*slot = &radix;
		assert_true(radix.spares < radix.height || i > 0);
		assert_ptr_equal(radix_get(&radix, index), &radix);
	}
	radix_finish(&radix);
	assert_true(radix.spares == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reserved_slot_is_made_of_spares),
		cmocka_unit_test(it_holds_what_was_put_into_it),
		cmocka_unit_test(an_empty_tree_holds_nothing),
		cmocka_unit_test(nothing_lies_past_the_end),
	};

	return run_group(tests);
}
