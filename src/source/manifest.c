/*
 * manifest.c - the source for manifest: URLs: names, sizes and versions from one text that says
 * them all, bytes from where it says they are.
 *
 * Runs on the loop. Owns the manifests that it was asked about, and for each of them the sources of
 * its bytes; so one manifest's credentials are for its own server and connections, not for
 * another's URLs. A manifest is read once, by the source of its own URL, when something is first
 * asked of it:
 *
 *	new --first question--> loading --end--> ready    questions are answered from memory
 *	 ^                         \--error--> new, and those who waited are told
 *
 * What it says is believed: opening an object, or listing a directory, sends no request. The
 * version that it names is checked by every answer to a get, as for any object. A manifest that has
 * changed is seen by who opens it anew, a mount by mounting again.
 *
 * Pinning needs no table: the URL that a probe gives carries the object's own, so that a mount's
 * other loops need not read the manifest to fetch what it lists.
 *
 * Cost: manifest_table.c's memory. A get costs nothing more: its exchange is the other source's.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "clock.h"
#include "index_private.h"
#include "loop.h"
#include "manifest_load.h"
#include "manifest_table.h"
#include "manifest_url.h"
#include "s3_config.h"
#include "scheme.h"
#include "text.h"
#include "url.h"

struct manifest_source {
	struct source source;
	struct source_options options; /* of the sources behind; its strings are ours, */
	struct s3_options s3;          /* ... and these */
	struct list manifests;
};

/* A source behind a manifest. */
struct inner {
	struct list node;
	const struct scheme *scheme;
	struct source *source;
};

struct manifest {
	struct list node;
	struct manifest_source *owner;
	char *locator;
	struct list inners;
	struct manifest_table *table; /* NULL: new */
	bool loads;                   /* ... and that is not whole yet */
	struct manifest_load load;
	struct list calls; /* that wait for it */
};

/* A probe or a listing. */
struct call {
	struct list node;
	struct loop_timer timer; /* its answer is for the loop's next round */
	struct manifest *manifest;
	struct manifest_url url;
	struct probe *probe; /* one of the two */
	struct listing *listing;
	int err;
	char *object; /* what the answer lends */
	char reason[SOURCE_ERROR_MAX];
};

static struct manifest_source *manifest_of(struct source *source)
{
	return container_of(source, struct manifest_source, source);
}

/* ---- manifests, and the sources behind them ----------------------------------------------- */

/* The same, known or new. NULL: out of memory */
static struct manifest *manifest_find(struct manifest_source *owner, const char *locator)
{
	struct manifest *manifest;

	list_for_each (node, &owner->manifests) {
		manifest = list_entry(node, struct manifest, node);
		if (strcmp(manifest->locator, locator) == 0)
			return manifest;
	}
	manifest = calloc(1, sizeof *manifest);
	if (!manifest || !(manifest->locator = strdup(locator))) {
		free(manifest);
		return NULL;
	}
	manifest->owner = owner;
	list_init(&manifest->inners);
	list_init(&manifest->calls);
	list_append(&owner->manifests, &manifest->node);
	return manifest;
}

static int inner_find(struct manifest *manifest, const char *url, struct source **ret)
{
	struct source_options options = manifest->owner->options;
	const struct scheme *scheme = scheme_find(url);
	struct inner *inner;
	int err;

	if (!scheme)
		return -EINVAL;
	list_for_each (node, &manifest->inners) {
		inner = list_entry(node, struct inner, node);
		if (inner->scheme->create == scheme->create) {
			*ret = inner->source;
			return 0;
		}
	}
	inner = calloc(1, sizeof *inner);
	if (!inner)
		return -ENOMEM;
	options.url = url;
	options.token_server = manifest->locator;
	inner->scheme = scheme;
	err = scheme->create(manifest->owner->source.loop, &options, &inner->source);
	if (err < 0) {
		free(inner);
		return err;
	}
	list_append(&manifest->inners, &inner->node);
	*ret = inner->source;
	return 0;
}

static void manifest_destroy(struct manifest *manifest)
{
	assert(list_empty(&manifest->calls));
	manifest_load_finish(&manifest->load);
	manifest_table_destroy(manifest->table);
	list_for_each_safe (node, &manifest->inners) {
		struct inner *inner = list_entry(node, struct inner, node);

		inner->source->ops->destroy(inner->source);
		free(inner);
	}
	list_remove(&manifest->node);
	free(manifest->locator);
	free(manifest);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void call_free(struct call *call)
{
	if (!call)
		return;
	list_remove(&call->node);
	loop_timer_cancel(call->manifest->owner->source.loop, &call->timer);
	manifest_url_finish(&call->url);
	free(call->object);
	free(call);
}

static int call_fail(struct call *call, int err, const char *reason)
{
	snprintf(call->reason, sizeof call->reason, "%s", reason);
	return err;
}

/* The URL of the object, whole. */
static int object_url(const struct call *call, const struct manifest_entry *entry, char **ret)
{
	const char *base = call->manifest->locator;

	/* libcurl's rules for URLs are not S3's. */
	if (strncasecmp(entry->url, "s3:", 3) == 0) {
		*ret = strdup(entry->url);
		return *ret ? 0 : -ENOMEM;
	}
	return url_resolve(base, entry->url, ret);
}

static int probe_answer(struct call *call)
{
	const struct manifest_table *table = call->manifest->table;
	const struct manifest_entry *entry = manifest_table_find(table, call->url.path);
	cleanup_free char *slashed = NULL, *url = NULL;
	int err;

	if (!entry) {
		if (text_print(&slashed, "%s/", call->url.path) < 0)
			return -ENOMEM;
		if (manifest_table_has_directory(table, call->url.path[0] ? slashed : ""))
			return call_fail(call, -ENOTSUP, "a directory of the manifest");
		return call_fail(call, -ENOENT, "not in the manifest");
	}
	err = object_url(call, entry, &url);
	if (err == 0)
		err = manifest_url_join(call->probe->url, url, &call->object);
	if (err == -EINVAL)
		return call_fail(call, err, "its url is none");
	if (err < 0)
		return err;
	manifest_entry_version(entry, &call->probe->version);
	call->probe->content_type[0] = '\0';
	call->probe->effective_url = call->object;
	return 0;
}

static int name_report(
	const char *text, size_t length, const struct manifest_entry *entry, void *context)
{
	struct listing *listing = context;
	struct index_name name;
	struct index_entry found = {
		.name = name.name,
		.href = name.href,
		.is_dir = !entry,
		.size = entry ? entry->size : INDEX_SIZE_UNKNOWN,
		.mtime = entry ? (time_t)entry->mtime_s : INDEX_MTIME_UNKNOWN,
		.etag = entry && entry->validator[0] == '"' ? entry->validator : NULL,
	};

	if (!index_name_from_raw(text, length, !entry, &name))
		return 0;
	found.name_length = name.name_length;
	return listing->entry(listing, &found);
}

static int listing_answer(struct call *call)
{
	const struct manifest_table *table = call->manifest->table;

	if (!manifest_table_has_directory(table, call->url.path))
		return call_fail(call, -ENOENT, "not in the manifest");
	return manifest_table_list(table, call->url.path, name_report, call->listing);
}

static void call_answer(struct loop_timer *timer)
{
	struct call *call = container_of(timer, struct call, timer);
	struct probe *probe = call->probe;
	struct listing *listing = call->listing;
	char *error = probe ? probe->error : listing->error;
	int err = call->err;

	if (err < 0)
		snprintf(error, SOURCE_ERROR_MAX, "manifest: %.220s", call->reason);
	else
		err = probe ? probe_answer(call) : listing_answer(call);
	if (err < 0 && call->err == 0)
		snprintf(error, SOURCE_ERROR_MAX, "%s: %s: %.100s", probe ? "open" : "list",
			url_tell(probe ? probe->url : listing->url).text,
			call->reason[0] ? call->reason : strerror(-err));
	if (probe) {
		probe->state = NULL;
		probe->done(probe, err);
		call_free(call);
	} else {
		listing->state = NULL;
		call_free(call);
		listing->done(listing, err);
	}
}

static void call_schedule(struct call *call)
{
	list_remove(&call->node);
	loop_timer_set(call->manifest->owner->source.loop, &call->timer, clock_now_ns());
}

/* ---- loading ------------------------------------------------------------------------------ */

/* "FILE: words", or "FILE:12: words" of a line. */
static void calls_fail(struct manifest *manifest, int err, const char *reason)
{
	struct url_told told = url_tell(manifest->locator);
	const bool is_file = strncasecmp(told.text, "file://", strlen("file://")) == 0;
	bool is_line = reason[0] >= '0' && reason[0] <= '9';

	list_for_each (node, &manifest->calls) {
		struct call *call = list_entry(node, struct call, node);

		call->err = err;
		snprintf(call->reason, sizeof call->reason, "%s%s%.100s",
			told.text + (is_file ? strlen("file://") : 0), is_line ? ":" : ": ",
			reason);
	}
}

static void manifest_loaded(struct manifest_load *load, int err)
{
	struct manifest *manifest = container_of(load, struct manifest, load);

	if (err < 0) {
		calls_fail(manifest, err, load->reason);
		manifest_table_destroy(steal_pointer(&manifest->table));
	}
	manifest->loads = false;
	manifest_load_finish(load);
	while (!list_empty(&manifest->calls))
		call_schedule(list_first(&manifest->calls, struct call, node));
}

static int manifest_load(struct manifest *manifest)
{
	struct manifest_load *load = &manifest->load;
	int err;

	*load = (struct manifest_load){.url = manifest->locator, .done = manifest_loaded};
	err = inner_find(manifest, manifest->locator, &load->source);
	if (err == 0)
		err = manifest_table_create(manifest->locator, &manifest->table);
	load->table = manifest->table;
	if (err == 0)
		err = manifest_load_start(load);
	manifest->loads = err == 0;
	if (err < 0) {
		calls_fail(manifest, err, load->reason[0] ? load->reason : strerror(-err));
		manifest_load_finish(load);
		manifest_table_destroy(steal_pointer(&manifest->table));
	}
	return err;
}

/* ---- questions ---------------------------------------------------------------------------- */

static int call_start(
	struct source *source, const char *url, struct probe *probe, struct listing *listing)
{
	struct call *call = calloc(1, sizeof *call);
	int err;

	if (!call)
		return -ENOMEM;
	list_init(&call->node);
	call->timer.expired = call_answer;
	call->probe = probe;
	call->listing = listing;
	err = manifest_url_parse(url, &call->url);
	if (err == 0)
		call->manifest = manifest_find(manifest_of(source), call->url.locator);
	if (err < 0 || !call->manifest) {
		manifest_url_finish(&call->url);
		free(call);
		return err < 0 ? err : -ENOMEM;
	}
	*(probe ? &probe->state : &listing->state) = call;
	list_append(&call->manifest->calls, &call->node);
	/* What failed to begin is told like what failed. */
	if (!call->manifest->table && manifest_load(call->manifest) < 0)
		call_schedule(call);
	else if (!call->manifest->loads)
		call_schedule(call);
	return 0;
}

static int manifest_probe(struct source *source, struct probe *probe)
{
	probe->error[0] = '\0';
	probe->status = 0;
	probe->bytes = NULL;
	probe->bytes_len = 0;
	return call_start(source, probe->url, probe, NULL);
}

static int manifest_list(struct source *source, struct listing *listing)
{
	listing->error[0] = '\0';
	listing->status = 0;
	return call_start(source, listing->url, NULL, listing);
}

static void manifest_probe_cancel(struct source *source, struct probe *probe)
{
	(void)source;
	call_free(probe->state);
	probe->state = NULL;
}

static void manifest_list_cancel(struct source *source, struct listing *listing)
{
	(void)source;
	call_free(listing->state);
	listing->state = NULL;
}

/* ---- bytes: all of it is the other source's ------------------------------------------------ */

static int manifest_pin(
	struct source *source, const char *url, const struct version *version, struct remote **ret)
{
	struct manifest_url parsed;
	struct manifest *manifest;
	struct source *inner;
	int err = manifest_url_parse(url, &parsed);

	if (err < 0)
		return err;
	manifest = parsed.object ? manifest_find(manifest_of(source), parsed.locator) : NULL;
	if (!manifest)
		err = parsed.object ? -ENOMEM : -EINVAL;
	if (err == 0)
		err = inner_find(manifest, parsed.object, &inner);
	if (err == 0)
		err = inner->ops->pin(inner, parsed.object, version, ret);
	manifest_url_finish(&parsed);
	return err;
}

static void manifest_unpin(struct source *source, struct remote *remote)
{
	(void)source;
	if (remote)
		remote->source->ops->unpin(remote->source, remote);
}

static int manifest_get(struct source *source, struct exchange *exchange)
{
	struct source *inner = exchange->remote->source;

	(void)source;
	return inner->ops->get(inner, exchange);
}

static void manifest_get_cancel(struct source *source, struct exchange *exchange)
{
	struct source *inner = exchange->remote->source;

	(void)source;
	inner->ops->get_cancel(inner, exchange);
}

static void manifest_get_hurry(struct source *source, struct exchange *exchange)
{
	struct source *inner = exchange->remote->source;

	(void)source;
	inner->ops->get_hurry(inner, exchange);
}

static void manifest_add_stats(const struct source *source, struct source_stats *to)
{
	const struct manifest_source *self = container_of(source, struct manifest_source, source);

	list_for_each (node, &self->manifests)
		list_for_each (inner, &list_entry(node, struct manifest, node)->inners)
			source_add_stats(list_entry(inner, struct inner, node)->source, to);
}

/* ---- beginning and end -------------------------------------------------------------------- */

#define TEXTS 6

/* The strings among the options, which outlive who gave them. */
static const char **text_at(struct manifest_source *self, size_t index)
{
	const char **const texts[TEXTS] = {&self->options.netrc_file, &self->options.token_file,
		&self->s3.profile, &self->s3.region, &self->s3.endpoint, &self->s3.addressing};

	return texts[index];
}

static int options_keep(struct manifest_source *self, const struct source_options *options)
{
	int err = 0;

	self->options = (struct source_options){
		.connections_max = options->connections_max,
		.timeout_ms = options->timeout_ms,
		.hedge_percent = options->hedge_percent,
		.netrc_file = options->netrc_file,
		.token_file = options->token_file,
	};
	if (options->s3) {
		self->s3 = *options->s3;
		self->options.s3 = &self->s3;
	}
	for (size_t i = 0; i < TEXTS; i++) {
		const char **text = text_at(self, i);
		char *copy = *text ? strdup(*text) : NULL;

		if (*text && !copy)
			err = -ENOMEM;
		*text = copy;
	}
	return err;
}

static void manifest_source_destroy(struct source *source)
{
	struct manifest_source *self = manifest_of(source);

	list_for_each_safe (node, &self->manifests)
		manifest_destroy(list_entry(node, struct manifest, node));
	for (size_t i = 0; i < TEXTS; i++)
		free((char *)*text_at(self, i));
	free(self);
}

static const struct source_ops manifest_ops = {
	.destroy = manifest_source_destroy,
	.probe = manifest_probe,
	.list = manifest_list,
	.get = manifest_get,
	.probe_cancel = manifest_probe_cancel,
	.list_cancel = manifest_list_cancel,
	.get_cancel = manifest_get_cancel,
	.get_hurry = manifest_get_hurry,
	.pin = manifest_pin,
	.unpin = manifest_unpin,
	.add_stats = manifest_add_stats,
};

int manifest_source_create(
	struct loop *loop, const struct source_options *options, struct source **ret)
{
	struct manifest_source *self = calloc(1, sizeof *self);
	int err = 0;

	if (!self)
		return -ENOMEM;
	self->source.ops = &manifest_ops;
	self->source.loop = loop;
	list_init(&self->manifests);
	if (options)
		err = options_keep(self, options);
	if (err < 0) {
		manifest_source_destroy(&self->source);
		return err;
	}
	*ret = &self->source;
	return 0;
}
