/*
 * sim_optimum.c - bounds that no policy can beat.
 *
 * Bytes: the pages that are touched. Requests: runs of these, cut at the longest range. Time, for
 * readers that need none: what the link needs for the bytes, what all connections together need for
 * the requests and the bytes, and what the loop needs for the requests; the largest of them. The
 * trace's order does not count, so who comes to a page's neighbour only much later is far from it.
 */
#include <assert.h>
#include <stdlib.h>

#include "pages.h"
#include "sim.h"
#include "source.h"

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint8_t *touched_pages(const struct sim_trace *trace)
{
	uint8_t *touched = calloc(trace->object_size / PAGE_BYTES + 2, 1);

	assert(touched);
	for (size_t i = 0; i < trace->count; i++)
		for (uint64_t at = align_down(trace->list[i].offset, PAGE_BYTES);
			at < trace->list[i].offset + trace->list[i].length; at += PAGE_BYTES)
			touched[at / PAGE_BYTES] = 1;
	return touched;
}

struct sim_cost sim_optimum(const struct sim_trace *trace, const struct sim_network *network)
{
	uint8_t *touched = touched_pages(trace);
	struct sim_cost cost = {0};
	uint64_t run = 0, pages = 0;

	for (uint64_t i = 0; i * PAGE_BYTES < trace->object_size; i++) {
		run = touched[i] ? run + 1 : 0;
		pages += touched[i];
		cost.requests += run % (EXCHANGE_BYTES_MAX / PAGE_BYTES) == 1;
	}
	free(touched);
	cost.touched_bytes = cost.fetched_bytes = pages * PAGE_BYTES;
	cost.time_ns = network->first_byte_ns + pages * network->link_page_ns;
	cost.time_ns = max_of(
		cost.time_ns, (cost.requests * network->first_byte_ns + pages * network->page_ns) /
				      SIM_CONNECTIONS);
	cost.time_ns = max_of(cost.time_ns, network->first_byte_ns + cost.requests * SIM_LOOP_NS);
	return cost;
}
