/*
 * timers.c - a pairing heap: a tree in which no timer is earlier than its parent.
 *
 * Invariants: `slot` of a set timer is where the one pointer at it is: the set's `first`, its
 * parent's `child`, or the `next` of the one before it. The first has no next.
 *
 * Cost: adding is a comparison; removing is log n of them on average, over all that is done.
 *
 * Rejected: an array of pointers (it has to grow, and what could not be set for want of memory was
 * a request without a deadline, or a fill that was parked for ever); a balanced tree (twice the
 * code, for an order that nobody asks for).
 */
#include "timers.h"

static void timer_place(struct loop_timer **slot, struct loop_timer *timer)
{
	*slot = timer;
	if (timer)
		timer->slot = slot;
}

/* One tree of two, either of which may be none; neither has a next. */
static struct loop_timer *timers_join(struct loop_timer *a, struct loop_timer *b)
{
	struct loop_timer *later = a;

	if (!a || !b)
		return a ? a : b;
	if (b->deadline_ns < a->deadline_ns)
		a = b;
	else
		later = b;
	timer_place(&later->next, a->child);
	timer_place(&a->child, later);
	return a;
}

/* One tree of a row: first of each two, then of all of these, which is what keeps it flat. */
static struct loop_timer *timers_join_row(struct loop_timer *row)
{
	struct loop_timer *pairs = NULL, *all = NULL;

	while (row) {
		struct loop_timer *a = row, *b = a->next, *pair;

		row = b ? b->next : NULL;
		a->next = NULL;
		if (b)
			b->next = NULL;
		pair = timers_join(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct loop_timer *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		all = timers_join(all, pair);
	}
	return all;
}

void timers_add(struct timers *timers, struct loop_timer *timer, uint64_t deadline_ns)
{
	timer->deadline_ns = deadline_ns;
	timer->child = timer->next = NULL;
	timer_place(&timers->first, timers_join(timers->first, timer));
}

void timers_remove(struct timers *timers, struct loop_timer *timer)
{
	if (!timer->slot)
		return;
	timer_place(timer->slot, timer->next);
	timer->slot = NULL;
	timer->next = NULL;
	timer_place(&timers->first, timers_join(timers->first, timers_join_row(timer->child)));
	timer->child = NULL;
}
