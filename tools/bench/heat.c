/*
 * heat.c - see heat.h. On the thread that runs the bench; the caller frees.
 *
 * Cost: a bit for each page of the object, and the engine's word for each, some at a time.
 */
#include "heat.h"

#include <stdlib.h>

#include "bench.h"
#include "cleanup.h"

#define PAGE 4096
#define AT_ONCE 65536 /* pages that an engine is asked for */

static uint64_t page_count(const struct bench_session *session)
{
	return (session->size + PAGE - 1) / PAGE;
}

static uint8_t *touched_pages(const struct bench_order *order, uint64_t pages)
{
	uint8_t *bits = calloc(pages / 8 + 1, 1);

	for (uint64_t i = 0; bits && i < order->count; i++) {
		const struct bench_access *access = &order->accesses[i];
		uint64_t last = (access->offset + access->len - 1) / PAGE;

		for (uint64_t page = access->offset / PAGE; page <= last; page++)
			bits[page / 8] |= (uint8_t)(1U << page % 8);
	}
	return bits;
}

/* Where a page is counted: each cell has a page at least, or there are fewer of them. */
static size_t cell_of(uint64_t page, uint64_t pages)
{
	uint64_t each = (pages + HEAT_CELLS - 1) / HEAT_CELLS;

	return (size_t)(page / each);
}

static int count_pages(struct bench_session *session, const uint8_t *touched, uint8_t *resident,
	struct bench_heat *heat)
{
	uint64_t pages = page_count(session);
	uint64_t pages_each = (pages + HEAT_CELLS - 1) / HEAT_CELLS;
	float each = (float)pages_each;
	int err = 0;

	for (uint64_t first = 0; first < pages && err == 0; first += AT_ONCE) {
		uint64_t count = pages - first < AT_ONCE ? pages - first : AT_ONCE;

		err = session->engine->resident(session, first, count, resident);
		for (uint64_t i = 0; i < count && err == 0; i++) {
			uint64_t page = first + i;
			size_t cell = cell_of(page, pages);

			if (touched[page / 8] & 1U << page % 8)
				heat->touched[cell] += 1 / each;
			else if (resident[i])
				heat->wasted[cell] += 1 / each;
		}
	}
	return err;
}

struct bench_heat *bench_heat_take(struct bench_session *session, const struct bench_order *order)
{
	cleanup_free uint8_t *touched = touched_pages(order, page_count(session));
	cleanup_free uint8_t *resident = malloc(AT_ONCE);
	cleanup_free struct bench_heat *heat = calloc(1, sizeof *heat);

	if (!session->engine->resident || !touched || !resident || !heat ||
		count_pages(session, touched, resident, heat) < 0)
		return NULL;
	return steal_pointer(&heat);
}
