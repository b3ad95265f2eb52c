/* budget_test.c - one limit that several share: parts, room, and sums that end at zero. */
#include "check.h"

#include <pthread.h>

#include "budget.h"

#define MIB (UINT64_C(1) << 20)
#define THREADS 8
#define MOVES 20000

static uint64_t used(struct budget *budget)
{
	return atomic_load(&budget->shared_used);
}

static void the_only_core_has_all_of_it(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 64 * MIB, 1);
	assert_true(budget.own_bytes == 64 * MIB && budget.shared_bytes == 0);
	assert_true(budget_room(&budget, 0) == 64 * MIB);
	assert_true(budget_room(&budget, 63 * MIB) == MIB);
	assert_true(budget_room(&budget, 64 * MIB) == 0);
	budget_move(&budget, 0, 70 * MIB);
	assert_true(budget_room(&budget, 70 * MIB) == 0);
	assert_true(budget_is_exceeded(&budget, 70 * MIB, 0) && budget_is_short(&budget, 70 * MIB));
	budget_move(&budget, 70 * MIB, 64 * MIB);
	assert_false(
		budget_is_exceeded(&budget, 64 * MIB, 0) || budget_is_short(&budget, 64 * MIB));
	assert_true(used(&budget) == 0);
}

static void half_is_divided_and_half_is_shared(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 64 * MIB, 4);
	assert_true(budget.own_bytes == 8 * MIB && budget.shared_bytes == 32 * MIB);
	/* What does not divide is shared: nothing is lost, and nothing made. */
	for (unsigned cores = 1; cores <= 64; cores++) {
		budget_init(&budget, 64 * MIB + 12345, cores);
		assert_true(cores * budget.own_bytes + budget.shared_bytes == 64 * MIB + 12345);
		assert_true(cores == 1 || budget.shared_bytes >= 32 * MIB);
	}
}

static void a_core_up_to_its_own_part_takes_nothing_from_others(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 64 * MIB, 4);
	budget_move(&budget, 0, 8 * MIB);
	assert_true(used(&budget) == 0);
	assert_true(budget_room(&budget, 8 * MIB) == 32 * MIB);
	budget_move(&budget, 8 * MIB, 9 * MIB);
	assert_true(used(&budget) == MIB);
	budget_move(&budget, 9 * MIB, 3 * MIB);
	assert_true(used(&budget) == 0);
	assert_true(budget_room(&budget, 3 * MIB) == 37 * MIB);
}

static void the_shared_part_is_first_come_first_served(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 64 * MIB, 4);
	/* One core has all that it may: the others have their own parts left. */
	assert_true(budget_room(&budget, 0) == 40 * MIB);
	budget_move(&budget, 0, 40 * MIB);
	assert_true(budget_room(&budget, 40 * MIB) == 0);
	assert_true(budget_room(&budget, 0) == 8 * MIB);
	assert_true(budget_room(&budget, 5 * MIB) == 3 * MIB);
	assert_false(budget_is_exceeded(&budget, 40 * MIB, 0));
	assert_true(budget_is_exceeded(&budget, 40 * MIB, 1));
	/* Even when it has more than it may. */
	budget_move(&budget, 40 * MIB, 50 * MIB);
	assert_true(budget_is_exceeded(&budget, 50 * MIB, 0));
	assert_true(budget_room(&budget, 50 * MIB) == 0);
	assert_true(budget_room(&budget, 5 * MIB) == 3 * MIB);
	budget_move(&budget, 50 * MIB, 0);
	assert_true(used(&budget) == 0);
}

/* Who has no more than its own part is asked for nothing, however short the others are. */
static void near_the_limit_those_beyond_their_part_are_short(void **state)
{
	struct budget budget;

	(void)state;
	budget_init(&budget, 64 * MIB, 4);
	budget_move(&budget, 0, 32 * MIB);
	assert_false(budget_is_short(&budget, 32 * MIB));
	budget_move(&budget, 0, 8 * MIB + 1);
	assert_true(budget_is_short(&budget, 32 * MIB));
	assert_true(budget_is_short(&budget, 8 * MIB + 1));
	assert_false(budget_is_short(&budget, 8 * MIB));
	budget_move(&budget, 32 * MIB, 60 * MIB);
	assert_true(budget_is_exceeded(&budget, 8 * MIB + 1, 0));
	assert_false(budget_is_exceeded(&budget, 8 * MIB, 0));
	assert_false(budget_is_exceeded(&budget, 7 * MIB, MIB));
	assert_true(budget_is_exceeded(&budget, 7 * MIB, MIB + 1));
}

/* Any moves of several cores: what is used is the sum of what is beyond, and the rooms follow. */
static void it_agrees_with_a_plain_sum(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (unsigned cores = 1; cores <= 5; cores++) {
		uint64_t held[5] = {0}, max = random_next(&seed) % (64 * MIB);
		struct budget budget;

		budget_init(&budget, max, cores);
		for (int i = 0; i < 2000; i++) {
			size_t core = random_next(&seed) % cores;
			uint64_t after = random_next(&seed) % (max + MIB), beyond = 0;
			uint64_t own = max / 2 / cores, left;

			if (cores == 1)
				own = max;
			budget_move(&budget, held[core], after);
			held[core] = after;
			for (size_t j = 0; j < cores; j++)
				beyond += held[j] > own ? held[j] - own : 0;
			assert_true(used(&budget) == beyond);
			left = max - cores * own > beyond ? max - cores * own - beyond : 0;
			left += held[core] < own ? own - held[core] : 0;
			assert_true(budget_room(&budget, held[core]) == left);
		}
	}
}

struct mover {
	pthread_t thread;
	struct budget *budget;
	uint64_t seed;
	bool wrong; /* less room than its own part leaves */
};

static void *move_often(void *context)
{
	struct mover *self = context;
	uint64_t held = 0, own = self->budget->own_bytes;

	for (int i = 0; i < MOVES; i++) {
		uint64_t after = random_next(&self->seed) % (4 * own);

		budget_move(self->budget, held, after);
		held = after;
		if (held < own && budget_room(self->budget, held) < own - held)
			self->wrong = true;
		if (held <= own && budget_is_short(self->budget, held))
			self->wrong = true;
	}
	budget_move(self->budget, held, 0);
	return NULL;
}

static void cores_on_threads_of_their_own_end_at_zero(void **state)
{
	struct mover movers[THREADS];
	struct budget budget;

	(void)state;
	budget_init(&budget, 64 * MIB, THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		movers[i] = (struct mover){.budget = &budget, .seed = i + 1};
		assert_int_equal(
			pthread_create(&movers[i].thread, NULL, move_often, &movers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(movers[i].thread, NULL);
		assert_false(movers[i].wrong);
	}
	assert_true(used(&budget) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_only_core_has_all_of_it),
		cmocka_unit_test(half_is_divided_and_half_is_shared),
		cmocka_unit_test(a_core_up_to_its_own_part_takes_nothing_from_others),
		cmocka_unit_test(the_shared_part_is_first_come_first_served),
		cmocka_unit_test(near_the_limit_those_beyond_their_part_are_short),
		cmocka_unit_test(it_agrees_with_a_plain_sum),
		cmocka_unit_test(cores_on_threads_of_their_own_end_at_zero),
	};

	return run_group(tests);
}
