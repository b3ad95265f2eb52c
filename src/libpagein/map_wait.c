/*
 * map_wait.c - maps that wait until the network is back (PAGEIN_WAIT).
 *
 *  page of such a map:   asked --gives up, may pass--> stranded --timer--> asked again
 *                                                          \--nobody waits any more--> absent
 *
 * On the loop. A stranded page is still asked and, if a thread waits in a fault, waiting: it is
 * under way in the sense of M2, for it will be asked for again. That is done for all of a map's
 * stranded pages at once, after a pause of random length (backoff.h), whose limit doubles with each
 * round that brings nothing up to about PAUSES_MAX. Pages that were only read ahead are not waited
 * for, and absent again.
 *
 * What ends the wait: bytes, an error that does not pass (ESTALE and the like), the last waiter's
 * giving up, munmap(2), pagein_unmap(). Cost: nothing, as long as there is nothing stranded.
 */
#include "backoff.h"
#include "clock.h"
#include "map_private.h"

#define ROUNDS_MAX 4 /* 0.5 s, 1 s, 2 s, 4 s: no longer than somebody at a terminal would wait */

/* Those of a block's pages for which somebody waits. */
static uint64_t block_awaited(
	const struct pagein_map *map, uint64_t index, const struct map_block *block, uint64_t mask)
{
	uint64_t left = block->asked & ~block->waiting & mask, awaited = block->waiting & mask;

	while (left) {
		uint64_t bit = left & -left;
		uint64_t page = index * BLOCK_PAGES + (uint64_t)__builtin_ctzll(left);

		left &= ~bit;
		if (pull_waits_for(map, page * PAGE_BYTES))
			awaited |= bit;
	}
	return awaited;
}

static void map_ask_again(struct pagein_map *map, uint64_t index, uint64_t pages)
{
	while (pages) {
		unsigned count, first = mask_take_run(&pages, &count);
		uint64_t start = index * BLOCK_BYTES + first * PAGE_BYTES;
		struct range run = {start, start + count * PAGE_BYTES};

		(void)map_ask(map, run, range_length(run), UINT64_MAX);
	}
}

/* What fails at once is stranded anew, for the next round. */
static void map_wait_expired(struct loop_timer *timer)
{
	struct pagein_map *map = container_of(timer, struct pagein_map, wait.timer);
	uint64_t end = (map->wait.range.end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	struct map_block *block;

	for (uint64_t i = map->wait.range.start / BLOCK_BYTES;
		(block = radix_next(&map->blocks, &i, end)); i++) {
		uint64_t stranded = block->stranded;
		uint64_t awaited = block_awaited(map, i, block, stranded);

		block->stranded = 0;
		block->asked &= ~(stranded & ~awaited);
		map_ask_again(map, i, awaited);
	}
}

static void map_wait_again(struct pagein_map *map, struct range range)
{
	struct map_wait *wait = &map->wait;
	uint64_t pause_ms;

	if (wait->timer.slot != 0) {
		/* One hull, which may hold blocks that have none. */
		wait->range.start = range.start < wait->range.start ? range.start
								    : wait->range.start;
		wait->range.end = range.end > wait->range.end ? range.end : wait->range.end;
		return;
	}
	if (wait->random == 0)
		wait->random = clock_now_ns() | 1;
	wait->rounds += wait->rounds < ROUNDS_MAX;
	pause_ms = backoff_ms(wait->rounds, &wait->random);
	wait->range = range;
	wait->timer.expired = map_wait_expired;
	loop_timer_set(context_loop(map->object->context), &wait->timer,
		clock_now_ns() + pause_ms * NS_PER_MS);
}

uint64_t map_strand(struct pagein_map *map, uint64_t index, uint64_t mask)
{
	struct map_block *block = map_find_block(map, index);
	struct range whole = {index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES};
	uint64_t awaited = block_awaited(map, index, block, mask);

	if (awaited == 0)
		return 0;
	map_wait_again(map, whole);
	block->stranded |= awaited;
	return awaited;
}

void map_wait_stop(struct pagein_map *map)
{
	loop_timer_cancel(context_loop(map->object->context), &map->wait.timer);
}
