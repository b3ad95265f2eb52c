/*
 * core.c - makes and unmakes what a loop's objects share. Owned by who made the loop.
 */
#include "core_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "clock.h"
#include "scheme.h"
#include "trace.h"
#include "transfer.h"

#define TIMEOUT_DEFAULT_MS 30000
#define DEADLINE_DEFAULT_MS 60000

/*
 * So many that chance can't use them up long before the time is: of 20,000 requests to a server
 * that is away for 20 s one in a hundred would have made its tenth try too early, and none its
 * 16th.
 */
#define ATTEMPTS_DEFAULT 16

/* A stalled connection is given up early enough that two others can be tried in time. */
#define TRIES_IN_TIME 3

static void core_seed_random(struct core *core)
{
	if (getrandom(&core->random, sizeof core->random, GRND_NONBLOCK) < 0 || core->random == 0)
		core->random = clock_now_ns() | 1;
}

int core_create(struct loop *loop, const struct core_options *options, struct core **ret)
{
	struct core_options use = options ? *options : (struct core_options){0};
	unsigned timeout_ms = use.timeout_ms ? use.timeout_ms : TIMEOUT_DEFAULT_MS;
	unsigned deadline_ms = use.deadline_ms ? use.deadline_ms : DEADLINE_DEFAULT_MS;
	struct core *core = calloc(1, sizeof *core);
	int err;

	if (!core)
		return -ENOMEM;
	core->loop = loop;
	core->attempts_max = use.attempts_max ? use.attempts_max : ATTEMPTS_DEFAULT;
	core->timeout_ns = timeout_ms * NS_PER_MS;
	core->deadline_ns = deadline_ms * NS_PER_MS;
	core->verify = use.verify;
	use.source.wants_digest |= use.verify == VERIFY_REQUIRE || use.verify == VERIFY_BLOCKS;
	list_init(&core->free_transfers);
	budget_init(&core->budget,
		use.memory_max_bytes ? use.memory_max_bytes : MEMORY_DEFAULT_BYTES, 1);
	block_pool_init(&core->blocks, use.budget ? use.budget : &core->budget);
	core_seed_random(core);
	core->trace = trace_join();
	if (use.source.timeout_ms == 0)
		use.source.timeout_ms = (timeout_ms + TRIES_IN_TIME - 1) / TRIES_IN_TIME;
	core->staging = mmap(NULL, STAGING_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (core->staging == MAP_FAILED) {
		trace_leave(core->trace);
		free(core);
		return -ENOMEM;
	}
	err = source_create(loop, &use.source, &core->source);
	if (err < 0)
		core_destroy(core);
	else
		*ret = core;
	return err;
}

void core_destroy(struct core *core)
{
	if (!core)
		return;
	assert(core->stats.objects == 0 && core->stats.transfers == 0);
	if (core->source)
		core->source->ops->destroy(core->source);
	transfer_pool_finish(core);
	block_pool_finish(&core->blocks);
	trace_leave(core->trace);
	munmap(core->staging, STAGING_BYTES);
	free(core);
}

enum verify core_verify(const struct core *core)
{
	return core->verify;
}

struct loop *core_loop(const struct core *core)
{
	return core->loop;
}

struct source *core_source(const struct core *core)
{
	return core->source;
}

const struct core_stats *core_stats(struct core *core)
{
	core->stats.blocks = core->blocks.blocks;
	core->stats.buffer_bytes = core->blocks.buffer_bytes;
	return &core->stats;
}

void core_add_figures(struct core *core, struct figures *to)
{
	const struct core_stats *stats = core_stats(core);
	struct source_stats source = {0};

	source_add_stats(core->source, &source);
	to->values[FIGURE_REQUESTS] += source.requests;
	to->values[FIGURE_FETCHED_BYTES] += source.bytes;
	to->values[FIGURE_QUESTIONS] += source.questions;
	to->values[FIGURE_QUESTION_BYTES] += source.question_bytes;
	to->values[FIGURE_HEDGES] += source.hedges;
	to->values[FIGURE_HEDGES_WON] += source.hedges_won;
	to->values[FIGURE_CONNECTIONS_OPENED] += source.connections_opened;
	to->values[FIGURE_CONNECTIONS] += source.connections;
	to->values[FIGURE_RETRIES] += stats->retries;
	to->values[FIGURE_TRANSFERS] += stats->transfers;
	to->values[FIGURE_OBJECTS_OPEN] += stats->objects;
	to->values[FIGURE_CACHED_BYTES] += stats->buffer_bytes;
	spread_add(&to->spreads[SPREAD_QUEUE], &core->queue);
	spread_add(&to->spreads[SPREAD_FIRST_BYTE], &core->first_byte);
	spread_add(&to->spreads[SPREAD_BODY], &core->body);
	ranking_add_figures(&core->ranking, to);
}
