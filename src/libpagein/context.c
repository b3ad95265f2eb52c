/*
 * context.c - who runs which loop. Contexts hang in one list under one mutex, which is held while a
 * context is made or unmade, over fork(2), and while the loops are asked for their figures; never
 * while a signal handler or the loop's thread could want it. The monitor's thread only tries for
 * it, since it is started, held and stopped under it.
 *
 * A new object goes to a loop that serves no map, then to a new one while there may be more, then
 * to the one with the fewest maps. It stays there with all of its maps, so that nothing about it
 * needs a lock, and a fault joins what another has asked for by looking, not by asking a thread.
 */
#include "context.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "cleanup.h"
#include "clock.h"
#include "figures.h"
#include "fork.h"
#include "limit.h"
#include "list.h"
#include "map_touch.h"
#include "monitor.h"
#include "s3_choice.h"
#include "scheme.h"
#include "share.h"
#include "signals.h"
#include "uffd.h"

#define CACHE_MIN_BYTES (UINT64_C(1) << 20)

struct context {
	struct list node;
	unsigned uses;       /* under contexts_lock */
	atomic_uint maps;    /* that are served by its loop */
	unsigned generation; /* forks that this process descends from, when it was made */
	struct pagein_options options;
	struct pagein_s3_options s3; /* its strings are the context's own */
	const struct scheme *scheme; /* of the URLs that it serves */
	struct loop *loop;
	struct core *core;
	struct context_roll roll;
	struct asks asks;
	atomic_bool served;
	int probe_fd;        /* -1: not opened yet */
	struct limit *limit; /* NULL: none */
	struct pagein_stats map_stats;
	struct context_counts counts;
	uint8_t scratch[4096];
};

static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list contexts = {&contexts, &contexts}; /* under contexts_lock */
static struct pagein_stats retired; /* counters of contexts that are gone; under contexts_lock */
static struct monitor *monitor;     /* NULL: none is wanted; under contexts_lock */
static unsigned generation; /* changes in the child of a fork, before it has a second thread */

static _Thread_local char last_error[512];

/* ---- figures ------------------------------------------------------------------------------ */

struct figures_call {
	struct context *context;
	struct figures *to;
};

static void figures_called(void *argument)
{
	struct figures_call *call = argument;

	context_add_figures(call->context, call->to);
}

/* With the lock. */
static void context_ask_figures(struct context *context, struct figures *to)
{
	struct figures_call call = {context, to};

	loop_call(context->loop, figures_called, &call);
}

/* On the monitor's thread: as long as there is one, `monitor` is it, but while it is made or
 * stopped under the lock. */
static bool contexts_gather(struct figures *to)
{
	if (pthread_mutex_trylock(&contexts_lock) != 0)
		return false;
	figures_add(to, monitor_retired(monitor));
	list_for_each (node, &contexts)
		context_ask_figures(list_entry(node, struct context, node), to);
	pthread_mutex_unlock(&contexts_lock);
	return true;
}

/* With the lock, when there are contexts, or are about to be. */
static void monitor_begin(void)
{
	if (!monitor && !list_empty(&contexts))
		monitor = monitor_create(contexts_gather);
}

/* With the lock: what this context has done counts, and it is no more. */
static void context_leave(struct context *context)
{
	if (monitor) {
		context_ask_figures(context, monitor_retired(monitor));
		figures_clear_gauges(monitor_retired(monitor));
	}
	list_remove(&context->node);
	if (list_empty(&contexts)) {
		monitor_destroy(monitor);
		monitor = NULL;
	}
}

/* ---- fork(2): see fork.c --------------------------------------------------------------------- */

static sigset_t signals_before; /* under contexts_lock */

/* Everything stands still: the list, the loops, and this thread's signal handlers. */
static void before_fork(void)
{
	pthread_mutex_lock(&contexts_lock);
	monitor_hold(monitor);
	signals_block(&signals_before);
	list_for_each (node, &contexts) {
		struct context *context = list_entry(node, struct context, node);

		fork_hold(context);
		fork_prepare(context);
	}
	address_hold();
}

static void after_fork_in_parent(void)
{
	address_release();
	list_for_each (node, &contexts) {
		struct context *context = list_entry(node, struct context, node);

		fork_finish(context);
		loop_release(context->loop);
	}
	signals_restore(&signals_before);
	monitor_release(monitor);
	pthread_mutex_unlock(&contexts_lock);
}

static void after_fork_in_child(void)
{
	pthread_mutex_init(&contexts_lock, NULL);
	generation++;
	address_release();
	asks_forget();
	share_fds_forget();
	monitor_abandon(monitor);
	monitor = NULL;
	/* All of it is given back before anything is asked for: addresses, numbers of descriptors.
	 */
	list_for_each (node, &contexts) {
		struct context *context = list_entry(node, struct context, node);

		fork_reserve(context);
		loop_abandon(context->loop);
	}
	list_for_each_safe (node, &contexts) {
		struct context *context = list_entry(node, struct context, node);

		if (fork_arm(context))
			continue;
		asks_close(&context->asks);
		list_remove(&context->node);
	}
	monitor_begin();
	signals_restore(&signals_before);
}

/* With the lock. A child that did not know that it is one would wait for its parent's threads. */
static int contexts_follow_forks(void)
{
	static bool follow;

	if (!follow && pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
		return -ENOMEM;
	follow = true;
	return 0;
}

static void context_free(struct context *context)
{
	if (!context)
		return;
	close_fd(&context->probe_fd);
	core_destroy(context->core);
	limit_destroy(context->limit);
	asks_close(&context->asks);
	loop_destroy(context->loop);
	s3_choice_finish(&context->s3);
	free((char *)context->options.netrc_file);
	free((char *)context->options.token_file);
	free(context->counts.threads);
	free(context);
}

static int copy_string(const char *from, const char **ret)
{
	*ret = from ? strdup(from) : NULL;
	return from && !*ret ? -ENOMEM : 0;
}

/* The caller's may be gone when the next object is opened, and compared with them. */
static int copy_options(struct context *context, const struct pagein_options *options)
{
	struct pagein_options *to = &context->options;

	*to = *options;
	to->s3 = &context->s3;
	to->netrc_file = to->token_file = NULL;
	if (copy_string(options->netrc_file, &to->netrc_file) < 0 ||
		copy_string(options->token_file, &to->token_file) < 0)
		return -ENOMEM;
	return s3_choice_copy(options->s3, &context->s3);
}

/* What is on its way takes a block for each request, so that less would hold nothing else. */
static uint64_t cache_bytes(const struct pagein_options *options)
{
	if (options->cache_bytes == 0 || options->cache_bytes > CACHE_MIN_BYTES)
		return options->cache_bytes;
	return CACHE_MIN_BYTES;
}

static const enum verify verify_modes[] = {
	[PAGEIN_VERIFY_AUTO] = VERIFY_AUTO,
	[PAGEIN_VERIFY_OFF] = VERIFY_OFF,
	[PAGEIN_VERIFY_REQUIRE] = VERIFY_REQUIRE,
	[PAGEIN_VERIFY_BLOCKS] = VERIFY_BLOCKS,
};

static int context_fill(struct context *context, char *error)
{
	const struct pagein_options *options = &context->options;
	const struct s3_options s3 = s3_choice_for_source(&context->s3);
	struct core_options core_options = {
		.source.connections_max = options->connections,
		.source.url = context->scheme->prefix,
		.source.s3 = &s3,
		.source.netrc_file = options->netrc_file,
		.source.token_file = options->token_file,
		.source.error = error,
		.source.hedge_percent = options->hedge_percent,
		.memory_max_bytes = cache_bytes(options),
		.attempts_max = options->attempts,
		.timeout_ms = options->timeout_ms,
		.deadline_ms = options->deadline_ms,
		.verify = verify_modes[options->verify],
	};
	int err = loop_create(&context->loop);

	if (err < 0)
		return err;
	loop_set_spin(context->loop, options->spin_us * NS_PER_US);
	err = asks_open(&context->asks, context->loop, map_asked);
	if (err < 0)
		return err;
	return core_create(context->loop, &core_options, &context->core);
}

static int context_create(
	const char *url, const struct pagein_options *options, struct context **ret, char *error)
{
	struct context *context = calloc(1, sizeof *context);
	int err;

	if (!context)
		return -ENOMEM;
	context->probe_fd = -1;
	context->asks.bell.fd = -1;
	context->generation = generation;
	context->scheme = scheme_find(url);
	list_init(&context->roll.objects);
	list_init(&context->roll.maps);
	list_init(&context->roll.served);
	/* Without memory for it, threads are forgotten with their maps. */
	if (monitor_is_wanted())
		context->counts.threads = figures_create(FIGURES_PROCESS);
	context->roll.context = context;
	err = copy_options(context, options);
	if (err == 0)
		err = context_fill(context, error);
	if (err == 0 && options->memory > 0)
		err = limit_create(options->memory, &context->map_stats, &context->limit);
	if (err == 0)
		err = loop_start(context->loop, "pagein");
	if (err < 0)
		context_free(context);
	else
		*ret = context;
	return err;
}

int context_renew(struct context *context)
{
	close_fd(&context->probe_fd);
	context->probe_fd = -1;
	/* What the old ones have is lost: it can't be ended without their descriptors. */
	context->loop = NULL;
	context->core = NULL;
	asks_close(&context->asks);
	if (context->limit)
		limit_renew(context->limit);
	return context_fill(context, NULL);
}

bool context_restart(struct context *context)
{
	if (loop_start(context->loop, "pagein") < 0)
		return false;
	context->generation = generation;
	return true;
}

int context_probe_fd(struct context *context)
{
	if (context->probe_fd < 0)
		context->probe_fd = uffd_open_probe();
	return context->probe_fd;
}

unsigned context_fork_policy(const struct context *context)
{
	return context->options.fork;
}

unsigned context_verify(const struct context *context)
{
	return context->options.verify;
}

struct asks *context_asks(struct context *context)
{
	return &context->asks;
}

bool context_is_served(const struct context *context)
{
	return context->served;
}

void context_set_served(struct context *context, bool served)
{
	context->served = served;
}

struct context_roll *context_roll(struct context *context)
{
	return &context->roll;
}

static bool same_string(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_options(const struct pagein_options *a, const struct pagein_options *b)
{
	return s3_choice_same(a->s3, b->s3) && same_string(a->netrc_file, b->netrc_file) &&
	       same_string(a->token_file, b->token_file) && a->timeout_ms == b->timeout_ms &&
	       a->attempts == b->attempts && a->connections == b->connections &&
	       a->loops == b->loops && a->spin_us == b->spin_us &&
	       a->cache_bytes == b->cache_bytes && a->fork == b->fork && a->memory == b->memory &&
	       a->verify == b->verify && a->hedge_percent == b->hedge_percent &&
	       a->deadline_ms == b->deadline_ms;
}

/* Started loops keep their connections, which are worth a round trip or two: idle ones first. */
static bool is_better(const struct context *one, const struct context *other)
{
	return !other || one->maps < other->maps ||
	       (one->maps == other->maps && one->uses < other->uses);
}

/* Objects that share a cache or a limit share the loop that owns it. */
static unsigned loops_max(const struct pagein_options *options)
{
	if (options->cache_bytes > 0 || options->memory > 0)
		return 1;
	return options->loops ? options->loops : loops_default();
}

static int context_find(
	const char *url, const struct pagein_options *options, struct context **ret, char *error)
{
	const struct scheme *scheme = scheme_find(url);
	unsigned count = 0, max = loops_max(options);
	struct context *best = NULL;
	int err;

	list_for_each (node, &contexts) {
		struct context *context = list_entry(node, struct context, node);

		/* http:// and https:// are one source's. */
		if (context->scheme->create != scheme->create ||
			!same_options(&context->options, options))
			continue;
		count++;
		if (is_better(context, best))
			best = context;
	}
	if (best && (best->maps == 0 || count >= max)) {
		*ret = best;
		return 0;
	}
	err = context_create(url, options, ret, error);
	if (err < 0)
		return err;
	list_append(&contexts, &(*ret)->node);
	monitor_begin();
	return 0;
}

int context_get(
	const char *url, const struct pagein_options *options, struct context **ret, char *error)
{
	int err;

	pthread_mutex_lock(&contexts_lock);
	err = contexts_follow_forks();
	if (err == 0)
		err = context_find(url, options, ret, error);
	if (err == 0)
		(*ret)->uses++;
	pthread_mutex_unlock(&contexts_lock);
	return err;
}

bool context_is_inherited(const struct context *context)
{
	return context->generation != generation;
}

void context_count_map(struct context *context, int change)
{
	atomic_fetch_add(&context->maps, (unsigned)change);
}

struct loop *context_loop(const struct context *context)
{
	return context->loop;
}

struct core *context_core(const struct context *context)
{
	return context->core;
}

uint64_t context_cache_bytes(const struct context *context)
{
	return cache_bytes(&context->options);
}

struct limit *context_limit(const struct context *context)
{
	return context->limit;
}

struct pagein_stats *context_map_stats(struct context *context)
{
	return &context->map_stats;
}

struct context_counts *context_counts(struct context *context)
{
	return &context->counts;
}

void *context_scratch(struct context *context)
{
	return context->scratch;
}

/* ---- counters ----------------------------------------------------------------------------- */

struct stats_call {
	struct context *context;
	struct pagein_stats *sum;
};

static void context_add_stats(void *argument)
{
	struct stats_call *call = argument;
	const struct pagein_stats *maps = &call->context->map_stats;
	struct source_stats source = {0};
	const struct core_stats *core = core_stats(call->context->core);
	struct pagein_stats *sum = call->sum;

	source_add_stats(core_source(call->context->core), &source);
	sum->faults += maps->faults;
	sum->fills += maps->fills;
	sum->bytes_filled += maps->bytes_filled;
	sum->poisoned += maps->poisoned;
	sum->evicted += maps->evicted;
	sum->refilled += maps->refilled;
	sum->pinned_bytes += maps->pinned_bytes;
	sum->zero_pages += maps->zero_pages;
	sum->huge_fills += maps->huge_fills;
	sum->fallbacks += maps->fallbacks;
	sum->maps += maps->maps;
	sum->resident_bytes += maps->resident_bytes;
	sum->requests += source.requests;
	sum->bytes_fetched += source.bytes;
	sum->hedges += source.hedges;
	sum->hedges_won += source.hedges_won;
	sum->connections_opened += source.connections_opened;
	sum->connections += source.connections;
	sum->retries += core->retries;
	sum->objects += core->objects;
	sum->transfers += core->transfers;
	sum->cached_bytes += core->buffer_bytes;
	if (call->context->limit)
		sum->cached_bytes += limit_second_bytes(call->context->limit);
}

/* Its counters outlive it; its gauges are zero by now, but for idle connections. */
static void context_retire(struct context *context)
{
	struct stats_call call = {context, &retired};

	pthread_mutex_lock(&contexts_lock);
	context_add_stats(&call);
	retired.objects = retired.maps = retired.resident_bytes = 0;
	retired.transfers = retired.connections = retired.cached_bytes = retired.pinned_bytes = 0;
	pthread_mutex_unlock(&contexts_lock);
}

void context_put(struct context *context)
{
	bool last;

	pthread_mutex_lock(&contexts_lock);
	last = --context->uses == 0;
	if (last)
		context_leave(context);
	pthread_mutex_unlock(&contexts_lock);
	if (!last)
		return;
	loop_stop(context->loop);
	loop_join(context->loop);
	context_retire(context);
	context_free(context);
}

/* The next context after `previous` (NULL: the first), with a use that keeps it alive. */
static struct context *context_next(struct context *previous)
{
	struct context *next = NULL;

	pthread_mutex_lock(&contexts_lock);
	if (previous ? previous->node.next != &contexts : !list_empty(&contexts)) {
		next = list_entry(
			previous ? previous->node.next : contexts.next, struct context, node);
		next->uses++;
	}
	pthread_mutex_unlock(&contexts_lock);
	if (previous)
		context_put(previous);
	return next;
}

void context_stats(struct pagein_stats *ret)
{
	pthread_mutex_lock(&contexts_lock);
	*ret = retired;
	pthread_mutex_unlock(&contexts_lock);
	for (struct context *context = context_next(NULL); context;
		context = context_next(context)) {
		struct stats_call call = {context, ret};

		loop_call(context->loop, context_add_stats, &call);
	}
}

/* ---- words -------------------------------------------------------------------------------- */

int context_fail(int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(last_error, sizeof last_error, format, arguments);
	va_end(arguments);
	return err;
}

const char *context_error(void)
{
	return last_error;
}
