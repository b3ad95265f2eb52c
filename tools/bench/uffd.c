/*
 * uffd.c - libpagein's maps, through its public calls; the stages come from the map's trace.
 *
 * The object is opened once, so that connections are warm, as the floor's is; each run maps anew.
 * Of uffd-cached all of the object has been fetched into the object's cache before, and a run that
 * sends a request all the same is an error: every fault is one on a page that is in memory, but not
 * in the map. uffd-inline is the same with PAGEIN_INLINE; its fills are the thread's own, and have
 * no stages.
 *
 * uffd-huge, uffd-shared and uffd-hugetlb are the same with other memory (pagein_map()'s flags).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "map_private.h"

#define CACHE_MARGIN_BYTES (UINT64_C(64) << 20) /* for blocks that are on their way */

struct uffd_state {
	struct pagein_options options;
	struct pagein_s3_options s3; /* of options */
	struct pagein_object *object;
	struct pagein_object *shared; /* of one run */
	struct pagein_map *map;
	bool is_cached;
	pid_t filled;      /* the process whose cache has all of the object; 0: none yet */
	uint64_t requests; /* before the run */
};

static int uffd_fail(struct bench_session *session, int err)
{
	snprintf(session->error, sizeof session->error, "%s", pagein_last_error());
	return err;
}

/* cache_bytes as in pagein_options. */
static int uffd_open_object(
	struct bench_session *session, const struct options *options, uint64_t cache_bytes)
{
	struct pagein_options use = PAGEIN_OPTIONS_INIT;
	struct uffd_state *state = calloc(1, sizeof *state);
	int err;

	if (!state)
		return -ENOMEM;
	session->state = state;
	use.connections = (unsigned)options->connections;
	use.spin_us = (unsigned)(options->spin_ns / 1000);
	use.loops = (unsigned)options->loops;
	use.timeout_ms = (unsigned)(options->timeout_ns / 1000000);
	use.deadline_ms = (unsigned)(options->deadline_ns / 1000000);
	use.cache_bytes = cache_bytes;
	bench_s3_options(options, &state->s3);
	use.s3 = &state->s3;
	use.netrc_file = options->netrc_file;
	use.token_file = options->token_file;
	use.verify = options->verify;
	use.hedge_percent = option_hedge_percent(options);
	/* All of the object is populated once to be cached. */
	use.memory = cache_bytes > 0 ? PAGEIN_NO_LIMIT : options->map_memory_bytes;
	state->options = use;
	err = pagein_open(session->target->url, &use, &state->object);
	return err < 0 ? uffd_fail(session, err) : 0;
}

static int uffd_prepare(struct bench_session *session, const struct options *options)
{
	return uffd_open_object(session, options, 0);
}

static int uffd_prepare_cached(struct bench_session *session, const struct options *options)
{
	/* Objects that are open with equal options share a cache: other ones for each engine. */
	uint64_t margin = CACHE_MARGIN_BYTES + (session->engine == &bench_uffd_inline);
	int err = uffd_open_object(session, options, session->target->size + margin);
	struct uffd_state *state = session->state;

	if (err == 0)
		state->is_cached = true;
	return err;
}

/* A cache is a process's. */
static int uffd_fill_cache(struct uffd_state *state)
{
	struct pagein_map *map;
	int err;

	if (!state->is_cached || state->filled == getpid())
		return 0;
	err = pagein_map(state->object, 0, 0, 0, &map);
	if (err < 0)
		return err;
	err = pagein_populate(map, 0, 0, -1);
	pagein_unmap(map);
	if (err == 0)
		state->filled = getpid();
	return err;
}

static uint64_t uffd_requests(void)
{
	struct pagein_stats stats;

	pagein_stats(NULL, &stats);
	return stats.requests;
}

static int uffd_check_cached(struct bench_session *session)
{
	const struct uffd_state *state = session->state;
	uint64_t requests = uffd_requests() - state->requests;

	if (requests == 0)
		return 0;
	snprintf(session->error, sizeof session->error,
		"%llu requests for what had been fetched before", (unsigned long long)requests);
	return -EIO;
}

static void uffd_finish(struct bench_session *session)
{
	struct uffd_state *state = session->state;

	pagein_close(state->object);
	free(state);
}

static void uffd_trace(struct range range, const struct fault_stages *ends, void *context)
{
	struct bench_stages *stages = context;
	uint64_t awaited = stages->awaited;

	if (awaited >= range.start && awaited < range.end)
		bench_stages_tell(stages, ends);
}

static int uffd_session_map(struct bench_session *session, struct pagein_object *object)
{
	struct uffd_state *state = session->state;
	int err = pagein_map(object, 0, 0, session->engine->map_flags, &state->map);

	if (err < 0)
		return uffd_fail(session, err);
	if (session->stages)
		map_set_trace(state->map, uffd_trace, session->stages);
	session->memory = pagein_address(state->map);
	session->size = pagein_length(state->map);
	state->requests = uffd_requests();
	return 0;
}

static int uffd_session_open(struct bench_session *session, enum pattern pattern)
{
	struct uffd_state *state = session->state;
	int err = uffd_fill_cache(state);

	(void)pattern; /* the library finds out by itself */
	return err < 0 ? uffd_fail(session, err) : uffd_session_map(session, state->object);
}

static void uffd_session_close(struct bench_session *session)
{
	struct uffd_state *state = session->state;

	pagein_unmap(state->map);
	state->map = NULL;
}

/* What one object's group has fetched stays until the object is closed: each run opens its own. */
static int uffd_session_open_shared(struct bench_session *session, enum pattern pattern)
{
	struct uffd_state *state = session->state;
	int err = pagein_open(session->target->url, &state->options, &state->shared);

	if (err < 0)
		return uffd_fail(session, err);
	err = uffd_session_map(session, state->shared);
	(void)pattern;
	if (err < 0)
		pagein_close(state->shared);
	return err;
}

static void uffd_session_close_shared(struct bench_session *session)
{
	struct uffd_state *state = session->state;

	uffd_session_close(session);
	pagein_close(state->shared);
}

static int uffd_resident(
	struct bench_session *session, uint64_t first, uint64_t count, uint8_t *ret)
{
	const struct uffd_state *state = session->state;
	uint64_t left = session->size - first * 4096;
	int err = pagein_residency(
		state->map, first * 4096, left < count * 4096 ? left : count * 4096, ret);

	for (uint64_t i = 0; i < count && err == 0; i++)
		ret[i] = ret[i] == PAGEIN_RESIDENT;
	return err;
}

/* A pool that is too small is known before the first run. */
static int uffd_prepare_hugetlb(struct bench_session *session, const struct options *options)
{
	int err = uffd_prepare(session, options);

	if (err == 0)
		err = uffd_session_open(session, PATTERN_SEQUENTIAL);
	if (err == 0)
		uffd_session_close(session);
	return err;
}

/* What all of them have, and those that are one object's, opened once. */
#define UFFD_ENGINE .finish = uffd_finish, .resident = uffd_resident
#define UFFD_ONE_OBJECT UFFD_ENGINE, .open = uffd_session_open, .close = uffd_session_close

const struct bench_engine bench_uffd = {
	.name = "uffd",
	.has_stages = true,
	.floor = &bench_floor,
	.prepare = uffd_prepare,
	UFFD_ONE_OBJECT,
};

const struct bench_engine bench_uffd_cached = {
	.name = "uffd-cached",
	.has_stages = true,
	.floor = &bench_floor_cached,
	.prepare = uffd_prepare_cached,
	.check = uffd_check_cached,
	UFFD_ONE_OBJECT,
};

const struct bench_engine bench_uffd_inline = {
	.name = "uffd-inline",
	.map_flags = PAGEIN_INLINE,
	.floor = &bench_floor_inline,
	.prepare = uffd_prepare_cached,
	.check = uffd_check_cached,
	UFFD_ONE_OBJECT,
};

const struct bench_engine bench_uffd_huge = {
	.name = "uffd-huge",
	.has_stages = true,
	.map_flags = PAGEIN_HUGE,
	.floor = &bench_floor,
	.prepare = uffd_prepare,
	UFFD_ONE_OBJECT,
};

const struct bench_engine bench_uffd_shared = {
	.name = "uffd-shared",
	.has_stages = true,
	.map_flags = PAGEIN_SHARED,
	.floor = &bench_floor,
	.prepare = uffd_prepare,
	.open = uffd_session_open_shared,
	.close = uffd_session_close_shared,
	UFFD_ENGINE,
};

const struct bench_engine bench_uffd_hugetlb = {
	.name = "uffd-hugetlb",
	.has_stages = true,
	.map_flags = PAGEIN_HUGETLB,
	.floor = &bench_floor,
	.prepare = uffd_prepare_hugetlb,
	UFFD_ONE_OBJECT,
};
