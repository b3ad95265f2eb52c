/*
 * open.c - objects, and the calls that wait: pagein_open() for a probe, pagein_populate() for
 * pages.
 *
 * On the caller's thread; what they wait for happens on the loop and is handed over under a mutex
 * of the call's own, which only these two threads know.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "map_private.h"
#include "scheme.h"
#include "secret.h"
#include "url.h"

/* ---- waiting ------------------------------------------------------------------------------- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t ended_changed;
	bool ended;
};

static void waiter_init(struct waiter *waiter)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&waiter->ended_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&waiter->lock, NULL);
	waiter->ended = false;
}

static void waiter_finish(struct waiter *waiter)
{
	pthread_cond_destroy(&waiter->ended_changed);
	pthread_mutex_destroy(&waiter->lock);
}

static void waiter_end(struct waiter *waiter)
{
	pthread_mutex_lock(&waiter->lock);
	waiter->ended = true;
	pthread_cond_signal(&waiter->ended_changed);
	pthread_mutex_unlock(&waiter->lock);
}

/* false: timeout_ms (negative: none) have passed. */
static bool waiter_wait(struct waiter *waiter, int timeout_ms)
{
	uint64_t at_ns = clock_now_ns() + (timeout_ms < 0 ? 0 : (uint64_t)timeout_ms * NS_PER_MS);
	struct timespec at = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)};
	int err = 0;
	bool ended;

	pthread_mutex_lock(&waiter->lock);
	while (!waiter->ended && err != ETIMEDOUT)
		err = timeout_ms < 0
			      ? pthread_cond_wait(&waiter->ended_changed, &waiter->lock)
			      : pthread_cond_timedwait(&waiter->ended_changed, &waiter->lock, &at);
	ended = waiter->ended;
	pthread_mutex_unlock(&waiter->lock);
	return ended;
}

/* ---- opening ------------------------------------------------------------------------------- */

struct open_call {
	struct probe probe;
	struct waiter waiter;
	struct pagein_object *object;
	int err;
	char error[SOURCE_ERROR_MAX];
};

static int open_object(struct pagein_object *object, struct probe *probe)
{
	struct core *core = context_core(object->context);
	enum object_keep keep = context_cache_bytes(object->context) > 0 ? OBJECT_CACHES
									 : OBJECT_PASSES;
	const char *refusal = object_refusal(core, &probe->version, keep, false);
	int err = refusal ? -ENOTSUP : 0;

	if (err == 0 && !(object->place = strdup(probe->effective_url)))
		err = -ENOMEM;
	if (err == 0)
		err = object_open(core, probe, keep, &object->object);
	if (refusal)
		snprintf(probe->error, sizeof probe->error, "open: %.120s: %s",
			url_tell(probe->url).text, refusal);
	if (err < 0)
		return err;
	list_append(&context_roll(object->context)->objects, &object->node);
	object->size = probe->version.size;
	strcpy(object->version, version_validator(&probe->version));
	return 0;
}

static void open_probed(struct probe *probe, int err)
{
	struct open_call *call = container_of(probe, struct open_call, probe);

	if (err == 0)
		err = open_object(call->object, probe);
	call->err = err;
	if (probe->error[0] != '\0')
		strcpy(call->error, probe->error);
	waiter_end(&call->waiter);
}

static void open_start(void *argument)
{
	struct open_call *call = argument;
	struct source *source = core_source(context_core(call->object->context));

	call->err = source->ops->probe(source, &call->probe);
	if (call->err < 0)
		waiter_end(&call->waiter);
}

static int open_wait(struct pagein_object *object)
{
	struct open_call call = {
		.probe.url = object->url,
		.probe.done = open_probed,
		.object = object,
	};

	waiter_init(&call.waiter);
	loop_call(context_loop(object->context), open_start, &call);
	waiter_wait(&call.waiter, -1);
	waiter_finish(&call.waiter);
	if (call.err < 0)
		return context_fail(
			call.err, "%s", call.error[0] ? call.error : strerrordesc_np(-call.err));
	return 0;
}

static int check_options(const struct pagein_options *options)
{
	const struct pagein_s3_options *s3 = options ? options->s3 : NULL;

	if (options && options->size != sizeof *options)
		return context_fail(-EINVAL, "open: options of %zu bytes, this library knows %zu",
			options->size, sizeof *options);
	if (options && options->fork > PAGEIN_FORK_DENY)
		return context_fail(-EINVAL, "open: no such options.fork: %u", options->fork);
	if (options && options->verify > PAGEIN_VERIFY_BLOCKS)
		return context_fail(-EINVAL, "open: no such options.verify: %u", options->verify);
	if (s3 && s3->size != sizeof *s3)
		return context_fail(-EINVAL,
			"open: S3 options of %zu bytes, this library knows %zu", s3->size,
			sizeof *s3);
	return 0;
}

int pagein_open(const char *url, const struct pagein_options *options, struct pagein_object **ret)
{
	struct pagein_options use = PAGEIN_OPTIONS_INIT;
	cleanup_free char *inner = NULL;
	char words[SOURCE_ERROR_MAX] = "";
	struct pagein_object *object;
	int err = check_options(options);

	if (err < 0)
		return err;
	if (options)
		use = *options;
	if (limit_parse(options, &use.memory) < 0)
		return -EINVAL;
	err = scheme_url(url, &inner);
	if (err == -EINVAL)
		return context_fail(err, "open: %.200s: %s", url, scheme_refusal(url, words));
	object = err == 0 ? calloc(1, sizeof *object) : NULL;
	if (!object)
		return context_fail(-ENOMEM, "open: out of memory");
	object->url = steal_pointer(&inner);
	object->uses = 1;
	err = context_get(object->url, &use, &object->context, words);
	if (err < 0)
		context_fail(err, "open: no loop: %s", words[0] ? words : strerrordesc_np(-err));
	else
		err = open_wait(object);
	if (err < 0)
		pagein_object_put(object);
	else
		*ret = object;
	return err;
}

int pagein_object_check(const struct pagein_object *object)
{
	if (context_is_served(object->context))
		return context_fail(-ECHILD, "the parent of this process serves the object");
	if (!context_is_inherited(object->context))
		return 0;
	return context_fail(-ECHILD, "the object was opened before fork(2), by the parent");
}

struct integrity_call {
	struct pagein_object *object;
	enum object_integrity integrity;
};

static void destroy_object(void *argument)
{
	struct pagein_object *object = argument;

	if (!object->object)
		return; /* it was never opened */
	list_remove(&object->node);
	shared_destroy(object->shared);
	object_destroy(object->object);
}

void pagein_object_put(struct pagein_object *object)
{
	if (!object || atomic_fetch_sub(&object->uses, 1) > 1)
		return;
	if (object->context && !context_is_inherited(object->context)) {
		loop_call(context_loop(object->context), destroy_object, object);
		context_put(object->context);
	}
	free(object->url);
	secret_free(object->place);
	free(object);
}

void pagein_close(struct pagein_object *object)
{
	pagein_object_put(object);
}

uint64_t pagein_size(const struct pagein_object *object)
{
	return object->size;
}

const char *pagein_version(const struct pagein_object *object)
{
	return object->version;
}

static void look_at_integrity(void *argument)
{
	struct integrity_call *call = argument;

	call->integrity = object_integrity(call->object->object);
}

int pagein_integrity(struct pagein_object *object)
{
	static const int told[] = {
		[OBJECT_UNCHECKED] = PAGEIN_UNCHECKED,
		[OBJECT_BY_BLOCK] = PAGEIN_BY_BLOCK,
		[OBJECT_OPEN] = PAGEIN_UNFINISHED,
		[OBJECT_GOOD] = PAGEIN_VERIFIED,
		[OBJECT_BAD] = PAGEIN_BAD,
	};
	struct integrity_call call = {.object = object};
	int err = pagein_object_check(object);

	if (err < 0)
		return err;
	loop_call(context_loop(object->context), look_at_integrity, &call);
	return told[call.integrity];
}

const char *pagein_last_error(void)
{
	return context_error();
}

/* ---- populating ---------------------------------------------------------------------------- */

struct populate_call {
	struct pagein_map *map;
	struct pull pull;
	struct waiter waiter;
};

static void populate_done(struct pull *pull)
{
	waiter_end(&container_of(pull, struct populate_call, pull)->waiter);
}

static void populate_start(void *argument)
{
	struct populate_call *call = argument;

	pull_start(call->map, &call->pull);
}

static void populate_stop(void *argument)
{
	struct populate_call *call = argument;

	pull_cancel(&call->pull);
}

int pagein_populate(struct pagein_map *map, size_t offset, size_t length, int timeout_ms)
{
	struct populate_call call = {
		.map = map,
		.pull.done = populate_done,
		.pull.protects = true,
	};
	struct loop *loop = context_loop(map->object->context);
	int err = map_range(map, offset, length, &call.pull.range);

	if (err == 0)
		err = pagein_object_check(map->object);
	if (err < 0 || map->length == 0)
		return err;
	waiter_init(&call.waiter);
	loop_call(loop, populate_start, &call);
	if (waiter_wait(&call.waiter, timeout_ms)) {
		err = call.pull.err;
	} else {
		loop_call(loop, populate_stop, &call);
		/* It may have ended while the loop was asked to stop it. */
		err = call.waiter.ended ? call.pull.err : -ETIMEDOUT;
	}
	waiter_finish(&call.waiter);
	if (call.pull.too_long)
		return context_fail(err,
			"populate: %llu bytes and what is pinned exceed the memory limit, %llu",
			(unsigned long long)range_length(call.pull.range),
			(unsigned long long)map->limit->max_bytes);
	if (err == 0)
		return 0;
	return context_fail(err, "populate: %s",
		err == call.pull.err && call.pull.error[0] ? call.pull.error
							   : strerrordesc_np(-err));
}
