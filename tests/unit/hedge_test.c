/*
 * hedge_test.c - second requests in virtual time: a server is how long each of its answers takes.
 */
#include "hedge.h"

#include "check.h"

#define US UINT64_C(1000)
#define MS (1000 * US)
#define S (1000 * MS)

/* A reader who asks for one thing after the other, and what came of it. */
struct run {
	struct hedge hedge;
	uint64_t random;
	unsigned requests, hedges, won;
	uint64_t waits[100000];
	unsigned count;
};

/* How long the n-th answer takes; each of two requests asks for itself. */
typedef uint64_t (*server)(struct run *run, unsigned n);

static void read_once(struct run *run, server answer)
{
	uint64_t first = answer(run, run->count), late = hedge_wait_ns(&run->hedge), took = first;
	enum hedge_reason reason = late == run->hedge.tail_ns ? HEDGE_TAIL : HEDGE_STALL;

	run->requests++;
	hedge_earn(&run->hedge);
	if (first > late && hedge_take(&run->hedge, reason)) {
		uint64_t second = answer(run, run->count);
		bool wins = late + second < first;

		run->hedges++;
		run->won += wins;
		took = wins ? late + second : first;
		hedge_note(&run->hedge, wins ? second : first);
		if (wins)
			hedge_note_lost(&run->hedge, took);
		hedge_note_winner(&run->hedge, wins);
	} else {
		hedge_note(&run->hedge, first);
	}
	run->waits[run->count++] = took;
}

static struct run *run_for(server answer, unsigned percent, unsigned count)
{
	static struct run run;

	memset(&run, 0, sizeof run);
	run.random = 88172645463325252;
	hedge_init(&run.hedge, percent);
	for (unsigned i = 0; i < count; i++)
		read_once(&run, answer);
	return &run;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t quantile(struct run *run, double share)
{
	qsort(run->waits, run->count, sizeof run->waits[0], compare);
	return run->waits[(unsigned)(share * (run->count - 1))];
}

static void assert_within_budget(const struct run *run, unsigned percent)
{
	/* One is given at the beginning. */
	assert_true(run->hedges * 100 <= run->requests * percent + 100);
}

/* ---- servers ------------------------------------------------------------------------------- */

static uint64_t near_answer(struct run *run, unsigned n)
{
	(void)n;
	return 50 * US + random_next(&run->random) % (100 * US);
}

static uint64_t near_with_a_tail(struct run *run, unsigned n)
{
	return random_next(&run->random) % 100 == 0 ? S : near_answer(run, n);
}

static uint64_t far_answer(struct run *run, unsigned n)
{
	(void)n;
	return 15 * MS + random_next(&run->random) % (15 * MS);
}

static uint64_t far_with_a_tail(struct run *run, unsigned n)
{
	return random_next(&run->random) % 100 == 0 ? S : far_answer(run, n);
}

static uint64_t all_are_slow(struct run *run, unsigned n)
{
	(void)n;
	return 3 * S + random_next(&run->random) % S;
}

/* A pause for everybody: a second request comes no sooner than the first. */
static uint64_t stops_for_all(struct run *run, unsigned n)
{
	return n % 50 == 7 ? S : near_answer(run, n);
}

/* A fifth of the answers is late: more than a second request could be paid for. */
static uint64_t often_late(struct run *run, unsigned n)
{
	return random_next(&run->random) % 5 == 0 ? S : near_answer(run, n);
}

static uint64_t heals(struct run *run, unsigned n)
{
	return n < 5000 ? near_with_a_tail(run, n) : near_answer(run, n);
}

static uint64_t falls_ill(struct run *run, unsigned n)
{
	return n < 5000 ? near_answer(run, n) : near_with_a_tail(run, n);
}

/* One answer never comes. */
static uint64_t hangs_once(struct run *run, unsigned n)
{
	static unsigned hung;

	if (n == 0)
		hung = 0;
	return n == 10 && hung++ == 0 ? 3600 * S : near_answer(run, n);
}

/* ---- behaviour ----------------------------------------------------------------------------- */

static void a_percent_of_late_answers_is_asked_for_again(void **state)
{
	static const server servers[] = {near_with_a_tail, far_with_a_tail};

	(void)state;
	for (size_t i = 0; i < array_len(servers); i++) {
		struct run *run = run_for(servers[i], 0, 20000);
		uint64_t before = quantile(run, 0.995);

		assert_int_equal(run->hedges, 0);
		assert_true(before >= S);
		run = run_for(servers[i], HEDGE_PERCENT, 20000);
		assert_within_budget(run, HEDGE_PERCENT);
		assert_true(run->won * 10 >= run->hedges * 9);
		assert_true(quantile(run, 0.995) * 5 <= before);
	}
}

static void it_stays_on_as_long_as_the_tail_is_there(void **state)
{
	struct run *run = run_for(near_with_a_tail, HEDGE_PERCENT, 100000);
	unsigned late = 0;

	(void)state;
	/* What was given up counts as late, so that the reason for it is not forgotten. */
	for (unsigned i = 1000; i < run->count; i++)
		late += run->waits[i] >= S;
	assert_true(late * 2000 < run->count);
}

static void a_server_without_a_tail_is_not_asked_twice(void **state)
{
	static const server servers[] = {near_answer, far_answer};

	(void)state;
	for (size_t i = 0; i < array_len(servers); i++)
		assert_int_equal(run_for(servers[i], HEDGE_PERCENT, 20000)->hedges, 0);
}

static void a_server_that_is_slow_as_a_whole_is_left_alone(void **state)
{
	struct run *run = run_for(all_are_slow, HEDGE_PERCENT, 5000);

	(void)state;
	/* The first: nothing is known of it, but that it has not answered for 1.5 s. */
	assert_int_equal(run->hedges, 1);
	assert_true(run->hedge.tail_ns == HEDGE_NEVER_NS);
	assert_true(run->hedge.stall_ns > 10 * S);
}

static void what_never_wins_is_not_tried_often(void **state)
{
	struct run *run = run_for(stops_for_all, HEDGE_PERCENT, 20000);

	(void)state;
	assert_true(run->won == 0);
	/* 400 stops: some until it is noticed, and a sixteenth of the others. */
	assert_in_range(run->hedges, 1, 45);
}

static void too_many_late_answers_are_not_paid_for(void **state)
{
	struct run *run = run_for(often_late, HEDGE_PERCENT, 20000);

	(void)state;
	assert_true(run->hedge.tail_ns == HEDGE_NEVER_NS);
	assert_within_budget(run, HEDGE_PERCENT);
}

static void it_ends_when_the_tail_has_gone(void **state)
{
	struct run *run = run_for(heals, HEDGE_PERCENT, 20000);

	(void)state;
	assert_true(run->hedges > 0);
	assert_true(run->hedge.tail_ns == HEDGE_NEVER_NS);
}

static void it_begins_when_a_tail_has_come(void **state)
{
	struct run *run = run_for(falls_ill, HEDGE_PERCENT, 20000);
	unsigned late = 0;

	(void)state;
	for (unsigned i = 5000; i < run->count; i++)
		late += run->waits[i] >= S;
	/* 150 were late. */
	assert_true(late < 20);
	assert_within_budget(run, HEDGE_PERCENT);
}

static void one_that_never_comes_is_a_stall(void **state)
{
	struct run *run = run_for(hangs_once, HEDGE_PERCENT, 100);

	(void)state;
	assert_int_equal(run->hedges, 1);
	assert_true(quantile(run, 1) < 2 * S);
}

static void without_a_credit_nothing_is_asked_twice(void **state)
{
	struct hedge hedge;

	(void)state;
	hedge_init(&hedge, 0);
	assert_false(hedge_take(&hedge, HEDGE_STALL));
	hedge_init(&hedge, 5);
	assert_true(hedge_take(&hedge, HEDGE_STALL));
	assert_false(hedge_take(&hedge, HEDGE_STALL));
	hedge_give_back(&hedge);
	assert_true(hedge_take(&hedge, HEDGE_STALL));
	for (unsigned i = 0; i < 20; i++)
		hedge_earn(&hedge);
	assert_true(hedge_take(&hedge, HEDGE_STALL));
	assert_false(hedge_take(&hedge, HEDGE_STALL));
	/* Years without a stall don't pay for a storm. */
	for (unsigned i = 0; i < 1000000; i++)
		hedge_earn(&hedge);
	for (unsigned i = 0; i < 10; i++)
		assert_true(hedge_take(&hedge, HEDGE_STALL));
	assert_false(hedge_take(&hedge, HEDGE_STALL));
}

static void any_time_has_a_place(void **state)
{
	struct hedge hedge;

	(void)state;
	hedge_init(&hedge, HEDGE_PERCENT);
	hedge_note(&hedge, 0);
	hedge_note(&hedge, UINT64_MAX);
	hedge_note_lost(&hedge, UINT64_MAX);
	hedge_note_lost(&hedge, 0);
	for (unsigned bit = 0; bit < 64; bit++)
		hedge_note(&hedge, UINT64_C(1) << bit);
	assert_true(hedge.answers == 68);
	assert_true(hedge_wait_ns(&hedge) >= 5 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_percent_of_late_answers_is_asked_for_again),
		cmocka_unit_test(it_stays_on_as_long_as_the_tail_is_there),
		cmocka_unit_test(a_server_without_a_tail_is_not_asked_twice),
		cmocka_unit_test(a_server_that_is_slow_as_a_whole_is_left_alone),
		cmocka_unit_test(what_never_wins_is_not_tried_often),
		cmocka_unit_test(too_many_late_answers_are_not_paid_for),
		cmocka_unit_test(it_ends_when_the_tail_has_gone),
		cmocka_unit_test(it_begins_when_a_tail_has_come),
		cmocka_unit_test(one_that_never_comes_is_a_stall),
		cmocka_unit_test(without_a_credit_nothing_is_asked_twice),
		cmocka_unit_test(any_time_has_a_place),
	};

	return run_group(tests);
}
