/*
 * hedge.c - the tail of a server's answers, and whether a second request pays.
 *
 * Owned by a host (pool_private.h), on its loop; some 250 bytes, no allocation, no own clock.
 *
 * What is known is a histogram of the last 512 to 1,024 answers: when it is full, every bucket is
 * halved. From that the plan is made, anew after each 32: the shortest wait d for which
 *
 *	few are later than d              so few that the credit pays for each of them
 *	they are later by far             on average by four times the median, as a second request
 *	                                  costs a median, a connection lost and another one made
 *	d is longer than two medians      else a second request would be late as well
 *
 * A server whose answers are all slow has no such d. One that stops now and then for everybody has,
 * but its second answers come no sooner than the first: `won` notices, and all but every 16th is
 * held back until they do.
 *
 * What is given up because the other answer came first would have come later, but nobody knows
 * when. Counted as what it has waited, hedging would hide its own reason, and switch itself off and
 * on again; so it is counted as those that were seen to come later than that (as Kaplan and Meier
 * would), and fades with them.
 *
 * Rejected: a fixed percentile (p95 of a server without a tail is paid for nothing); the mean of
 * all answers and its deviation (one hour-long answer spoils it for good).
 */
#include "hedge.h"

#include <stddef.h>

#define FIRST_BIT 14 /* times below 2^14 ns, 16 us, are one bucket */
#define ANSWERS_MAX 1024
#define ANSWERS_MIN 64 /* before that, too little is known to call any of them late */
#define REVIEW 32      /* answers between two plans */
#define LATE_MIN 2     /* one late answer is an accident */

/* Below that it is this machine's scheduler that is late, not the server. */
#define TAIL_MIN_NS (UINT64_C(5) * 1000000)
#define TAIL_MEDIANS 2
#define GAIN_MEDIANS 4
#define STALL_MEDIANS 4

#define REQUEST 100 /* credit: hundredths */
#define CREDIT_MAX (10 * REQUEST)

#define WON_ALL 256
#define WON_MIN (WON_ALL / 4)
#define WON_FIRST (WON_ALL / 2) /* the benefit of the doubt */
#define WON_STEP 8
#define HELD_MAX 16 /* then one is sent, to see whether they win again */

static size_t bucket_of(uint64_t ns)
{
	unsigned bit;
	size_t bucket;

	if (ns < UINT64_C(1) << FIRST_BIT)
		return 0;
	bit = 63 - (unsigned)__builtin_clzll(ns);
	bucket = 1 + (size_t)(bit - FIRST_BIT) * 4 + (ns >> (bit - 2) & 3);
	return bucket < HEDGE_BUCKETS ? bucket : HEDGE_BUCKETS - 1;
}

/* Its lowest time. */
static uint64_t bucket_ns(size_t bucket)
{
	size_t step = bucket - 1;

	return bucket == 0 ? 0 : (4 + step % 4) << (FIRST_BIT - 2 + step / 4);
}

static uint64_t median_ns(const struct hedge *hedge)
{
	unsigned below = 0;
	size_t i = 0;

	while (i < HEDGE_BUCKETS - 1 && 2 * (below + hedge->seen[i]) < hedge->answers)
		below += hedge->seen[i++];
	return bucket_ns(i + 1);
}

/* The shortest wait that pays: see above. */
static uint64_t tail_ns(const struct hedge *hedge, uint64_t median)
{
	uint64_t least = TAIL_MEDIANS * median > TAIL_MIN_NS ? TAIL_MEDIANS * median : TAIL_MIN_NS;
	uint64_t gain = GAIN_MEDIANS * median > TAIL_MIN_NS ? GAIN_MEDIANS * median : TAIL_MIN_NS;
	uint64_t best = HEDGE_NEVER_NS, late_ns = 0;
	unsigned late = 0;

	if (hedge->answers < ANSWERS_MIN)
		return HEDGE_NEVER_NS;
	for (size_t i = HEDGE_BUCKETS - 1; i > 0 && bucket_ns(i) >= least; i--) {
		uint64_t wait = bucket_ns(i);

		late += hedge->seen[i];
		late_ns += hedge->seen[i] * wait;
		/* A fifth of the credit is for chance, and for stalls. */
		if (late * 500 > hedge->answers * hedge->percent * 4)
			break;
		if (late >= LATE_MIN && late_ns >= late * (wait + gain))
			best = wait;
	}
	return best;
}

static void make_plan(struct hedge *hedge)
{
	uint64_t median = median_ns(hedge);

	hedge->fresh = 0;
	hedge->tail_ns = tail_ns(hedge, median);
	hedge->stall_ns = STALL_MEDIANS * median > HEDGE_STALL_NS ? STALL_MEDIANS * median
								  : HEDGE_STALL_NS;
}

static void fade(struct hedge *hedge)
{
	hedge->answers = 0;
	for (size_t i = 0; i < HEDGE_BUCKETS; i++) {
		hedge->seen[i] /= 2;
		hedge->answers += hedge->seen[i];
	}
}

static void count_answer(struct hedge *hedge, size_t bucket)
{
	hedge->seen[bucket]++;
	if (++hedge->answers == ANSWERS_MAX)
		fade(hedge);
	/* The first few are all that is known of a stall. */
	if (++hedge->fresh == REVIEW || hedge->answers < ANSWERS_MIN)
		make_plan(hedge);
}

void hedge_init(struct hedge *hedge, unsigned percent)
{
	*hedge = (struct hedge){
		.percent = percent,
		.credit = percent > 0 ? REQUEST : 0,
		.won = WON_FIRST,
		.tail_ns = HEDGE_NEVER_NS,
		.stall_ns = HEDGE_STALL_NS,
	};
}

void hedge_earn(struct hedge *hedge)
{
	hedge->credit += hedge->percent;
	if (hedge->credit > CREDIT_MAX)
		hedge->credit = CREDIT_MAX;
}

void hedge_note(struct hedge *hedge, uint64_t first_byte_ns)
{
	count_answer(hedge, bucket_of(first_byte_ns));
}

/* Nothing was seen beyond it: counted as what it has waited. */
void hedge_note_lost(struct hedge *hedge, uint64_t waited_ns)
{
	size_t bucket = bucket_of(waited_ns);
	unsigned late = 0, below = 0;

	for (size_t i = bucket + 1; i < HEDGE_BUCKETS; i++)
		late += hedge->seen[i];
	for (size_t i = bucket + 1; i < HEDGE_BUCKETS && 2 * below < late; i++) {
		below += hedge->seen[i];
		bucket = i;
	}
	count_answer(hedge, bucket);
}

void hedge_note_winner(struct hedge *hedge, bool is_second)
{
	if (is_second)
		hedge->won += (WON_ALL - hedge->won) / WON_STEP;
	else
		hedge->won -= hedge->won / WON_STEP;
}

bool hedge_take(struct hedge *hedge, enum hedge_reason reason)
{
	if (hedge->credit < REQUEST)
		return false;
	if (reason == HEDGE_TAIL && hedge->won < WON_MIN && ++hedge->held < HELD_MAX)
		return false;
	hedge->held = 0;
	hedge->credit -= REQUEST;
	return true;
}

void hedge_give_back(struct hedge *hedge)
{
	hedge->credit += REQUEST;
}
