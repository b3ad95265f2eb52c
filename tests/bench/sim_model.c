/*
 * sim_model.c - one run of a trace: pages, a door, connections, a server, readers; virtual time.
 *
 * A discrete event simulation. Events are a reader that can go on and a transfer that has ended. A
 * transfer's pages come at a steady rate, so when a page arrives is known as soon as its transfer
 * is on a connection: there is no event for a page.
 *
 * As in the program: two thirds of the connections are the most that readahead may use, what
 * readers wait for goes first, a wait for a page in the queue hurries its transfer, a map's marked
 * page is held back and at most HELD_MAX are. The loop is one thread: requests cost it SIM_LOOP_NS
 * one after another. The link's rate is shared by serving transfers in order, which is right on the
 * whole and coarse for the single one.
 *
 * Cost: some 100 ns an access; 6 bytes a page of the object.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pages.h"
#include "sim.h"
#include "source.h"

#define CONNECTIONS_AHEAD (SIM_CONNECTIONS * 2 / 3)
#define HELD_MAX (READAHEAD_STREAMS + READAHEAD_STRIDES + 1)
#define MEMORY_BYTES (UINT64_C(64) << 20) /* of a mount */
#define HIT_NS 400                        /* a reader's work on a page */
#define FAULT_NS 8000 /* a fault or a read, from the kernel to the loop and back */

const struct sim_network sim_networks[SIM_NETWORKS] = {
	{"near", 50 * 1000, 2700, 2000},        /* 1.5 GB/s a connection, 2 GB/s in all */
	{"far", 10 * 1000 * 1000, 51200, 3300}, /* 80 MB/s a connection, 10 Gbit/s in all */
};

enum { PAGE_INFLIGHT = 1, PAGE_PRESENT = 2, PAGE_HELD = 4, PAGE_TOUCHED = 8 };

struct transfer {
	uint64_t first_page, pages;
	uint64_t first_byte_ns; /* 0: it waits for a connection */
	uint64_t page_ns;
	bool urgent;
	bool hurried; /* was ahead in the queue; its place there is void */
};

struct reader {
	size_t at; /* its place in the order of accesses */
	size_t end;
	uint64_t page; /* done of the access at hand, in pages */
	uint64_t wait; /* a page it waits for, whose transfer is in the queue; UINT64_MAX: none */
	bool told;
};

struct event {
	uint64_t ns;
	uint32_t what; /* a transfer, or a reader behind READER_0 */
};
#define READER_0 (UINT32_MAX - SIM_READERS)

/* First in, first out: numbers of transfers. */
struct queue {
	uint32_t *list;
	size_t first, count, room;
};

struct sim {
	const struct sim_trace *trace;
	const struct sim_network *network;
	uint8_t *pages;
	uint32_t *transfer_of; /* of a page in flight */
	uint64_t page_count;
	struct transfer *transfers;
	size_t transfer_count, transfer_room;
	struct queue urgent, ahead;
	struct queue kept; /* pages of a mount in the order of their arrival */
	struct event *heap;
	size_t heap_count, heap_room;
	struct reader readers[SIM_READERS];
	size_t *order;           /* of accesses: reader by reader */
	uint64_t held[HELD_MAX]; /* pages; the oldest first */
	size_t held_count;
	unsigned busy, busy_ahead;
	uint64_t loop_free_ns, link_free_ns;
	uint64_t unread_pages; /* in flight, or present and not read: what a mount keeps */
	struct readahead readahead;
	struct readahead_conditions conditions;
	struct range *asked; /* of readahead_plan(), for the stop-watch */
	size_t asked_count, asked_room;
	struct sim_cost cost;
};

/* Room for one more. */
static void *grow(void *list, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return list;
	*room = *room ? 2 * *room : 64;
	list = realloc(list, *room * size);
	assert(list);
	return list;
}

void sim_trace_add(struct sim_trace *trace, uint64_t offset, uint64_t length, unsigned reader)
{
	trace->list = grow(trace->list, trace->count, &trace->room, sizeof *trace->list);
	trace->list[trace->count++] = (struct sim_access){offset, (uint32_t)length, reader};
}

static void queue_add(struct queue *queue, uint32_t transfer)
{
	queue->list = grow(
		queue->list, queue->first + queue->count, &queue->room, sizeof *queue->list);
	queue->list[queue->first + queue->count++] = transfer;
}

static uint32_t queue_take(struct queue *queue)
{
	queue->count--;
	return queue->list[queue->first++];
}

/* ---- events ------------------------------------------------------------------------------- */

static void event_add(struct sim *sim, uint64_t ns, uint32_t what)
{
	size_t i = sim->heap_count;

	sim->heap = grow(sim->heap, i, &sim->heap_room, sizeof *sim->heap);
	sim->heap_count++;
	for (; i > 0 && sim->heap[(i - 1) / 2].ns > ns; i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = (struct event){ns, what};
}

static struct event event_take(struct sim *sim)
{
	struct event first = sim->heap[0], last = sim->heap[--sim->heap_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim->heap_count) {
		if (child + 1 < sim->heap_count && sim->heap[child + 1].ns < sim->heap[child].ns)
			child++;
		if (sim->heap[child].ns >= last.ns)
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return first;
}

/* ---- the network -------------------------------------------------------------------------- */

static struct transfer *transfer_of_page(struct sim *sim, uint64_t page)
{
	return &sim->transfers[sim->transfer_of[page]];
}

/* When this page of a transfer that is under way is here. */
static uint64_t page_arrival_ns(const struct transfer *transfer, uint64_t page)
{
	return transfer->first_byte_ns + (page - transfer->first_page + 1) * transfer->page_ns;
}

/* Readers that wait for its pages know now until when. */
static void wake_readers(struct sim *sim, const struct transfer *transfer)
{
	for (uint32_t i = 0; i < SIM_READERS; i++) {
		struct reader *reader = &sim->readers[i];

		if (reader->wait < transfer->first_page ||
			reader->wait >= transfer->first_page + transfer->pages)
			continue;
		event_add(sim, page_arrival_ns(transfer, reader->wait), READER_0 + i);
		reader->wait = UINT64_MAX;
	}
}

static void transfer_begin(struct sim *sim, uint32_t number, uint64_t now_ns)
{
	struct transfer *transfer = &sim->transfers[number];
	const struct sim_network *network = sim->network;
	uint64_t submit_ns = now_ns > sim->loop_free_ns ? now_ns : sim->loop_free_ns;
	uint64_t end_ns;

	sim->loop_free_ns = submit_ns + SIM_LOOP_NS;
	transfer->first_byte_ns = submit_ns + network->first_byte_ns;
	end_ns = transfer->first_byte_ns + transfer->pages * network->page_ns;
	if (sim->link_free_ns < transfer->first_byte_ns)
		sim->link_free_ns = transfer->first_byte_ns;
	sim->link_free_ns += transfer->pages * network->link_page_ns;
	if (end_ns < sim->link_free_ns)
		end_ns = sim->link_free_ns;
	transfer->page_ns = (end_ns - transfer->first_byte_ns) / transfer->pages;
	sim->busy++;
	sim->busy_ahead += !transfer->urgent;
	event_add(
		sim, page_arrival_ns(transfer, transfer->first_page + transfer->pages - 1), number);
	wake_readers(sim, transfer);
}

/* Those that wait get the connections that are free. */
static void network_go_on(struct sim *sim, uint64_t now_ns)
{
	while (sim->busy < SIM_CONNECTIONS) {
		uint32_t number;

		if (sim->urgent.count > 0) {
			transfer_begin(sim, queue_take(&sim->urgent), now_ns);
			continue;
		}
		if (sim->ahead.count == 0 || sim->busy_ahead == CONNECTIONS_AHEAD)
			break;
		number = queue_take(&sim->ahead);
		if (!sim->transfers[number].hurried)
			transfer_begin(sim, number, now_ns);
	}
}

static void transfer_add(struct sim *sim, struct range part, bool urgent)
{
	uint32_t number = (uint32_t)sim->transfer_count;
	struct transfer transfer = {
		.first_page = part.start / PAGE_BYTES,
		.pages = (part.end - part.start + PAGE_BYTES - 1) / PAGE_BYTES,
		.urgent = urgent,
	};

	sim->transfers = grow(
		sim->transfers, sim->transfer_count++, &sim->transfer_room, sizeof *sim->transfers);
	sim->transfers[number] = transfer;
	for (uint64_t i = 0; i < transfer.pages; i++) {
		sim->pages[transfer.first_page + i] |= PAGE_INFLIGHT;
		sim->transfer_of[transfer.first_page + i] = number;
	}
	sim->unread_pages += transfer.pages;
	sim->cost.requests++;
	sim->cost.fetched_bytes += range_length(part);
	queue_add(urgent ? &sim->urgent : &sim->ahead, number);
}

static void transfer_hurry(struct sim *sim, uint32_t number)
{
	struct transfer *transfer = &sim->transfers[number];

	if (transfer->urgent || transfer->first_byte_ns != 0)
		return;
	transfer->urgent = transfer->hurried = true;
	queue_add(&sim->urgent, number);
}

static void transfer_end(struct sim *sim, uint32_t number)
{
	struct transfer *transfer = &sim->transfers[number];

	sim->busy--;
	sim->busy_ahead -= !transfer->urgent;
	sim->conditions.first_byte_ns = sim->network->first_byte_ns;
	for (uint64_t i = 0; i < transfer->pages; i++) {
		sim->pages[transfer->first_page + i] &= (uint8_t)~PAGE_INFLIGHT;
		sim->pages[transfer->first_page + i] |= PAGE_PRESENT;
		if (sim->trace->door == SIM_FILE)
			queue_add(&sim->kept, (uint32_t)(transfer->first_page + i));
	}
}

/* ---- a door ------------------------------------------------------------------------------- */

/* Pages of readahead that a mount has room for; the oldest that were never read make some. */
static uint64_t door_room(struct sim *sim, uint64_t pages)
{
	const uint64_t most = MEMORY_BYTES / PAGE_BYTES;

	while (sim->kept.count > 0 && sim->unread_pages + pages > most &&
		sim->unread_pages > most / 2) {
		uint64_t page = queue_take(&sim->kept);

		if (!(sim->pages[page] & PAGE_PRESENT) || (sim->pages[page] & PAGE_TOUCHED))
			continue;
		sim->pages[page] &= (uint8_t)~PAGE_PRESENT;
		sim->unread_pages--;
	}
	return sim->unread_pages < most ? most - sim->unread_pages : 0;
}

/* object_fetch(): all of range that is absent, in chunks. */
static void door_fetch(struct sim *sim, struct range range, uint64_t urgent, uint64_t chunk)
{
	uint64_t urgent_end = range.start + urgent;
	uint64_t end = range.end, room;

	chunk = chunk < EXCHANGE_BYTES_MAX ? chunk : EXCHANGE_BYTES_MAX;
	if (sim->trace->door == SIM_FILE && end > urgent_end) {
		room = door_room(sim, (end - urgent_end) / PAGE_BYTES) * PAGE_BYTES;
		end = end - urgent_end > room ? urgent_end + room : end;
	}
	for (uint64_t at = range.start; at < end;) {
		struct range part = {at, at};

		while (part.end < end && part.end - at < chunk &&
			!(sim->pages[part.end / PAGE_BYTES] & (PAGE_INFLIGHT | PAGE_PRESENT)))
			part.end = part.end + PAGE_BYTES < end ? part.end + PAGE_BYTES : end;
		if (part.end > at)
			transfer_add(sim, part, at < urgent_end);
		else
			part.end += PAGE_BYTES;
		at = part.end;
	}
}

static void held_remove(struct sim *sim, uint64_t page)
{
	size_t i = 0;

	while (sim->held[i] != page)
		i++;
	sim->pages[page] &= (uint8_t)~PAGE_HELD;
	sim->held_count--;
	memmove(&sim->held[i], &sim->held[i + 1], (sim->held_count - i) * sizeof *sim->held);
}

/* What is here already can't be held back. */
static void door_hold(struct sim *sim, uint64_t page)
{
	if (!(sim->pages[page] & PAGE_INFLIGHT) || (sim->pages[page] & PAGE_HELD))
		return;
	if (sim->held_count == HELD_MAX)
		held_remove(sim, sim->held[0]);
	sim->held[sim->held_count++] = page;
	sim->pages[page] |= PAGE_HELD;
}

static void check_plan(
	const struct sim *sim, const struct readahead_plan *plan, struct range wanted)
{
	uint64_t size = sim->trace->object_size;

	assert(plan->first.start == wanted.start && plan->first.end >= wanted.end);
	assert(plan->first.end <= size && plan->chunk_bytes >= PAGE_BYTES);
	assert(plan->pieces >= 1 && plan->pieces <= READAHEAD_PIECES);
	for (uint64_t i = 0; i < plan->pieces && !range_empty(plan->ahead); i++)
		assert(range_contains((struct range){0, size}, readahead_piece(plan, i)));
}

static bool is_absent(const struct sim *sim, struct range wanted)
{
	for (uint64_t page = wanted.start / PAGE_BYTES; page * PAGE_BYTES < wanted.end; page++)
		if (!(sim->pages[page] & (PAGE_INFLIGHT | PAGE_PRESENT)))
			return true;
	return false;
}

/* The door is told of an access that needs `wanted`. */
static void door_told(struct sim *sim, struct range wanted, uint64_t now_ns)
{
	struct readahead_plan plan;

	/* A map does not say. */
	sim->conditions.absent = sim->trace->door == SIM_FILE && is_absent(sim, wanted);
	plan = readahead_plan(&sim->readahead, wanted, &sim->conditions);
	check_plan(sim, &plan, wanted);
	sim->cost.decisions++;
	sim->asked = grow(sim->asked, sim->asked_count, &sim->asked_room, sizeof *sim->asked);
	sim->asked[sim->asked_count++] = wanted;
	door_fetch(sim, plan.first, range_length(wanted), plan.chunk_bytes);
	for (uint64_t i = 0; i < plan.pieces && !range_empty(plan.ahead); i++)
		door_fetch(sim, readahead_piece(&plan, i), 0, plan.chunk_bytes);
	if (sim->trace->door == SIM_MAP && plan.mark != UINT64_MAX)
		door_hold(sim, plan.mark / PAGE_BYTES);
	network_go_on(sim, now_ns);
}

/* ---- readers ------------------------------------------------------------------------------ */

static bool page_is_here(struct sim *sim, uint64_t page, uint64_t now_ns)
{
	const struct transfer *transfer = transfer_of_page(sim, page);

	if (sim->pages[page] & PAGE_PRESENT)
		return true;
	return (sim->pages[page] & PAGE_INFLIGHT) && transfer->first_byte_ns > 0 &&
	       page_arrival_ns(transfer, page) <= now_ns;
}

/* The reader sleeps until the page is here. */
static void reader_wait(struct sim *sim, uint32_t number, uint64_t page, uint64_t now_ns)
{
	const struct transfer *transfer = transfer_of_page(sim, page);

	assert(sim->pages[page] & PAGE_INFLIGHT);
	if (transfer->first_byte_ns > 0) {
		event_add(sim, page_arrival_ns(transfer, page), READER_0 + number);
		return;
	}
	sim->readers[number].wait = page;
	transfer_hurry(sim, sim->transfer_of[page]);
	network_go_on(sim, now_ns);
}

static struct range access_pages(const struct sim *sim, const struct sim_access *access)
{
	struct range pages = {align_down(access->offset, PAGE_BYTES),
		align_up(access->offset + access->length, PAGE_BYTES)};

	return range_intersect(pages, (struct range){0, sim->trace->object_size});
}

static void page_touch(struct sim *sim, uint64_t page)
{
	if (sim->pages[page] & PAGE_TOUCHED)
		return;
	sim->pages[page] |= PAGE_TOUCHED;
	sim->unread_pages--;
	sim->cost.touched_bytes += PAGE_BYTES;
}

/* Does the door hear of this? Of a map, a page; of a file, the whole read. */
static bool is_told(struct sim *sim, struct range unit, uint64_t now_ns)
{
	uint64_t page = unit.start / PAGE_BYTES;

	if (sim->trace->door == SIM_MAP)
		return (sim->pages[page] & PAGE_HELD) || !page_is_here(sim, page, now_ns);
	for (; page * PAGE_BYTES < unit.end; page++)
		if (!(sim->pages[page] & PAGE_TOUCHED))
			return true;
	return false;
}

/* The first page of unit that is not here; UINT64_MAX: all are. */
static uint64_t first_missing(struct sim *sim, struct range unit, uint64_t now_ns)
{
	for (uint64_t page = unit.start / PAGE_BYTES; page * PAGE_BYTES < unit.end; page++)
		if (!page_is_here(sim, page, now_ns))
			return page;
	return UINT64_MAX;
}

/* Touches a page, or reads; false: the reader has to wait, and will come back to it. */
static bool reader_touch(struct sim *sim, uint32_t number, struct range unit, uint64_t *now_ns)
{
	struct reader *reader = &sim->readers[number];
	uint64_t missing;

	if (!reader->told && is_told(sim, unit, *now_ns)) {
		*now_ns += FAULT_NS;
		reader->told = true;
		if (sim->pages[unit.start / PAGE_BYTES] & PAGE_HELD)
			held_remove(sim, unit.start / PAGE_BYTES);
		door_told(sim, unit, *now_ns);
	}
	missing = first_missing(sim, unit, *now_ns);
	if (missing != UINT64_MAX) {
		reader_wait(sim, number, missing, *now_ns);
		return false;
	}
	for (uint64_t page = unit.start / PAGE_BYTES; page * PAGE_BYTES < unit.end; page++) {
		page_touch(sim, page);
		*now_ns += HIT_NS;
	}
	reader->told = false;
	return true;
}

/* Until it has to wait, something else happens before, or it is through. */
static void reader_go_on(struct sim *sim, uint32_t number, uint64_t now_ns)
{
	struct reader *reader = &sim->readers[number];

	while (reader->at < reader->end) {
		struct range unit = access_pages(sim, &sim->trace->list[sim->order[reader->at]]);
		uint64_t end = unit.end;

		if (sim->heap_count > 0 && sim->heap[0].ns < now_ns) {
			event_add(sim, now_ns, READER_0 + number);
			return;
		}
		if (sim->trace->door == SIM_MAP) {
			unit.start += reader->page * PAGE_BYTES;
			unit.end = unit.start + PAGE_BYTES < end ? unit.start + PAGE_BYTES : end;
		}
		if (!reader_touch(sim, number, unit, &now_ns))
			return;
		reader->page++;
		if (unit.end == end) {
			reader->at++;
			reader->page = 0;
		}
	}
	if (now_ns > sim->cost.time_ns)
		sim->cost.time_ns = now_ns;
}

/* ---- a run -------------------------------------------------------------------------------- */

/* Accesses by reader, each one's in its order. */
static void sim_order(struct sim *sim)
{
	const struct sim_trace *trace = sim->trace;
	size_t at = 0;

	sim->order = malloc((trace->count + 1) * sizeof *sim->order);
	assert(sim->order);
	for (uint32_t reader = 0; reader < SIM_READERS; reader++) {
		sim->readers[reader] = (struct reader){.at = at, .wait = UINT64_MAX};
		for (size_t i = 0; i < trace->count; i++)
			if (trace->list[i].reader == reader)
				sim->order[at++] = i;
		sim->readers[reader].end = at;
	}
	assert(at == trace->count);
}

/* Real time: the same questions again, without all the rest. */
static double sim_stop_watch(const struct sim *sim)
{
	struct readahead readahead = {.advice = sim->readahead.advice};
	struct timespec start, end;
	volatile uint64_t sink = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < sim->asked_count; i++)
		sink += readahead_plan(&readahead, sim->asked[i], &sim->conditions).mark;
	clock_gettime(CLOCK_MONOTONIC, &end);
	(void)sink;
	return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
	       (double)(sim->asked_count ? sim->asked_count : 1);
}

static void sim_finish(struct sim *sim)
{
	free(sim->pages);
	free(sim->transfer_of);
	free(sim->transfers);
	free(sim->urgent.list);
	free(sim->ahead.list);
	free(sim->kept.list);
	free(sim->heap);
	free(sim->order);
	free(sim->asked);
}

struct sim_cost sim_run(const struct sim_trace *trace, const struct sim_network *network,
	enum readahead_advice advice)
{
	struct sim sim = {
		.trace = trace,
		.network = network,
		.page_count = (trace->object_size + PAGE_BYTES - 1) / PAGE_BYTES,
		.readahead.advice = advice,
		.conditions.object_size = trace->object_size,
		.conditions.memory_bytes = trace->door == SIM_FILE ? MEMORY_BYTES / 2 : 0,
	};

	sim.pages = calloc(sim.page_count, sizeof *sim.pages);
	sim.transfer_of = calloc(sim.page_count, sizeof *sim.transfer_of);
	sim.transfers = grow(NULL, 0, &sim.transfer_room, sizeof *sim.transfers);
	assert(sim.pages && sim.transfer_of);
	sim_order(&sim);
	for (uint32_t i = 0; i < SIM_READERS; i++)
		event_add(&sim, 0, READER_0 + i);
	while (sim.heap_count > 0) {
		struct event event = event_take(&sim);

		if (event.what >= READER_0) {
			reader_go_on(&sim, event.what - READER_0, event.ns);
			continue;
		}
		transfer_end(&sim, event.what);
		network_go_on(&sim, event.ns);
	}
	for (uint32_t i = 0; i < SIM_READERS; i++)
		assert(sim.readers[i].at == sim.readers[i].end);
	assert(sim.busy == 0 && sim.urgent.count == 0);
	sim.cost.decision_ns = sim_stop_watch(&sim);
	sim_finish(&sim);
	return sim.cost;
}
