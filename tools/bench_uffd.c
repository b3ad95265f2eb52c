/*
 * bench_uffd.c - libpagein's maps, through its public calls; the stages come from the map's trace.
 *
 * The object is opened once, so that connections are warm, as the floor's is; each run maps anew.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "map_private.h"

struct uffd_state {
	struct pagein_object *object;
	struct pagein_map *map;
};

static int uffd_prepare(struct bench_session *session, const struct options *options)
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
	err = pagein_open(session->target->url, &use, &state->object);
	if (err < 0)
		snprintf(session->error, sizeof session->error, "%s", pagein_last_error());
	return err;
}

static void uffd_finish(struct bench_session *session)
{
	struct uffd_state *state = session->state;

	pagein_close(state->object);
	free(state);
}

static void uffd_trace(const struct fill_trace *trace, void *context)
{
	struct bench_stages *stages = context;

	stages->event_ns = trace->event_ns;
	stages->submit_ns = trace->submit_ns;
	stages->first_byte_ns = trace->first_byte_ns;
	stages->last_byte_ns = trace->last_byte_ns;
	stages->fill_ns = trace->fill_ns;
	atomic_fetch_add(&stages->count, 1);
}

static int uffd_session_open(struct bench_session *session, enum pattern pattern)
{
	struct uffd_state *state = session->state;
	int err = pagein_map(state->object, 0, 0, 0, &state->map);

	(void)pattern; /* the library finds out by itself */
	if (err < 0) {
		snprintf(session->error, sizeof session->error, "%s", pagein_last_error());
		return err;
	}
	if (session->stages)
		map_set_trace(state->map, uffd_trace, session->stages);
	session->memory = pagein_address(state->map);
	session->size = pagein_length(state->map);
	return 0;
}

static void uffd_session_close(struct bench_session *session)
{
	struct uffd_state *state = session->state;

	pagein_unmap(state->map);
	state->map = NULL;
}

const struct bench_engine bench_uffd = {
	.name = "uffd",
	.prepare = uffd_prepare,
	.finish = uffd_finish,
	.open = uffd_session_open,
	.close = uffd_session_close,
};
