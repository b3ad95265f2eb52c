/*
 * remote.c - one question to one server, on the calling thread.
 *
 * Owns a loop and a core for each place; the loop runs only while an answer is awaited, so that
 * callers see plain functions. The deadline is the source's own.
 *
 * Is it a directory? A ranged GET tells objects of servers that serve ranges, in one round trip. Of
 * other answers HEAD tells the size; and where there is no size either (nginx makes index pages of
 * unknown length) the URL with a '/' behind it is listed: what has an index is a directory.
 */
#include "remote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "core.h"
#include "hash_list.h"
#include "loop.h"
#include "needs.h"
#include "options.h"
#include "progress.h"
#include "sandbox.h"
#include "scheme.h"
#include "service.h"
#include "text.h"
#include "url.h"

int place_complain(const char *command, const char *source, const char *reason)
{
	progress_hide();
	fprintf(stderr, "pagein %s: %s: %s\n", command, url_tell(source).text, reason);
	return EXIT_FAILURE;
}

const char *error_reason(const char *error, const char *url)
{
	const char *rest = strstr(error, ": ");
	/* As the error tells it. */
	struct url_told told = url_tell(url);
	size_t length = strlen(told.text);

	if (!rest)
		return error;
	rest += 2;
	if (strncmp(rest, told.text, length) == 0 && strncmp(rest + length, ": ", 2) == 0)
		return rest + length + 2;
	return rest;
}

char *time_text(int64_t time_s, char to[TIME_TEXT_MAX])
{
	time_t time = (time_t)time_s;
	struct tm parts;

	if (time_s == -1 || !gmtime_r(&time, &parts) ||
		strftime(to, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		strcpy(to, "-");
	return to;
}

/* ---- URLs --------------------------------------------------------------------------------- */

/* Decodes in place what can be decoded. */
static void percent_decode(char *text)
{
	char *to = text;

	for (; *text; text++) {
		unsigned byte;

		if (sscanf(text, "%%%2x", &byte) == 1 &&
			strspn(text + 1, "0123456789abcdefABCDEF") >= 2 && byte != 0) {
			*to++ = (char)byte;
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

char *object_name(const char *url)
{
	cleanup_free char *path = strndup(url, strcspn(url, "?#"));
	char *slash = path ? strrchr(path, '/') : NULL;

	if (!slash)
		return NULL;
	percent_decode(slash + 1);
	return strdup(slash + 1);
}

/* Where the query starts, or the end. */
static size_t url_path_end(const char *url)
{
	return strcspn(url, "?#");
}

static bool url_is_directory(const char *url)
{
	const char *host = strstr(url, "://");
	size_t end = url_path_end(url);

	return url[end - 1] == '/' ||
	       (host && !memchr(host + 3, '/', end - (size_t)(host + 3 - url)));
}

/* ---- questions ---------------------------------------------------------------------------- */

struct probe_call {
	struct probe probe;
	struct place *place;
	int err;
};

static int probe_keep(struct place *place, const struct probe *probe)
{
	char *location = strdup(probe->effective_url);

	if (!location)
		return -ENOMEM;
	free(place->location);
	place->location = location;
	hash_list_put(place->version.hashes);
	place->version = probe->version;
	hash_list_take(place->version.hashes);
	free(place->bytes);
	place->bytes_len = 0;
	place->bytes = probe->bytes_len ? malloc(probe->bytes_len) : NULL;
	if (place->bytes) {
		memcpy(place->bytes, probe->bytes, probe->bytes_len);
		place->bytes_len = probe->bytes_len;
	}
	return 0;
}

static void place_tick(struct loop_timer *timer)
{
	struct place *place = container_of(timer, struct place, tick);

	progress_add(&place->progress, 0);
	loop_timer_set(place->loop, timer, clock_now_ns() + PROGRESS_PAUSE_NS);
}

/* Turns the loop until an answer stops it. */
static int place_wait(struct place *place)
{
	int err;

	place->tick.expired = place_tick;
	if (place->progress.is_on)
		loop_timer_set(place->loop, &place->tick, clock_now_ns() + PROGRESS_PAUSE_NS);
	err = loop_run(place->loop);
	loop_timer_cancel(place->loop, &place->tick);
	return err;
}

static void probe_answered(struct probe *probe, int err)
{
	struct probe_call *call = container_of(probe, struct probe_call, probe);

	call->err = err < 0 ? err : probe_keep(call->place, probe);
	loop_stop(call->place->loop);
}

static int place_probe(struct place *place, bool head_only)
{
	struct source *source = core_source(place->core);
	struct probe_call call = {
		.probe = {.url = place->url, .head_only = head_only, .done = probe_answered},
		.place = place,
	};
	int err = source->ops->probe(source, &call.probe);

	if (err == 0)
		err = place_wait(place);
	if (err == 0)
		err = call.err;
	if (err < 0)
		snprintf(place->reason, sizeof place->reason, "%s",
			call.probe.error[0] ? error_reason(call.probe.error, place->url)
					    : strerror(-err));
	return err;
}

struct list_call {
	struct listing listing;
	struct place *place;
	int (*entry)(const struct index_entry *entry, void *context);
	void *context;
	int err;
};

static int list_entry_met(struct listing *listing, const struct index_entry *entry)
{
	struct list_call *call = container_of(listing, struct list_call, listing);

	progress_add(&call->place->progress, !call->place->counts_answers);
	return call->entry(entry, call->context);
}

static void list_answered(struct listing *listing, int err)
{
	struct list_call *call = container_of(listing, struct list_call, listing);

	call->err = err;
	loop_stop(call->place->loop);
}

int place_list_at(struct place *place, const char *url,
	int (*entry)(const struct index_entry *entry, void *context), void *context)
{
	struct source *source = core_source(place->core);
	struct list_call call = {
		.listing = {.url = url, .entry = list_entry_met, .done = list_answered},
		.place = place,
		.entry = entry,
		.context = context,
	};
	int err = source->ops->list(source, &call.listing);

	if (err == 0)
		err = place_wait(place);
	if (err == 0)
		err = call.err;
	if (err < 0)
		snprintf(place->reason, sizeof place->reason, "%s",
			call.listing.error[0] ? error_reason(call.listing.error, url)
					      : strerror(-err));
	return err;
}

int place_list(struct place *place, int (*entry)(const struct index_entry *entry, void *context),
	void *context)
{
	return place_list_at(place, place->url, entry, context);
}

/* ---- many questions ----------------------------------------------------------------------- */

#define INQUIRIES_MAX 32 /* under way: a third of the connections to one server */

struct inquiries {
	struct place *place;
	struct inquiry *list;
	size_t count, next, under_way;
};

static void inquiries_start(struct inquiries *all);

static void inquiry_answered(struct probe *probe, int err)
{
	struct inquiry *inquiry = container_of(probe, struct inquiry, probe);
	struct inquiries *all = inquiry->all;

	inquiry->err = err;
	inquiry->version = probe->version;
	inquiry->location = err == 0 ? strdup(probe->effective_url) : NULL;
	if (err == 0 && !inquiry->location)
		inquiry->err = -ENOMEM;
	snprintf(inquiry->reason, sizeof inquiry->reason, "%s",
		probe->error[0] ? error_reason(probe->error, inquiry->url) : strerror(-err));
	progress_add(&all->place->progress, all->place->counts_answers);
	all->under_way--;
	inquiries_start(all);
	if (all->under_way == 0)
		loop_stop(all->place->loop);
}

static void inquiries_start(struct inquiries *all)
{
	struct source *source = core_source(all->place->core);

	while (all->next < all->count && all->under_way < INQUIRIES_MAX) {
		struct inquiry *inquiry = &all->list[all->next++];

		inquiry->all = all;
		inquiry->probe = (struct probe){
			.url = inquiry->url, .head_only = true, .done = inquiry_answered};
		inquiry->err = source->ops->probe(source, &inquiry->probe);
		if (inquiry->err == 0)
			all->under_way++;
		else
			snprintf(inquiry->reason, sizeof inquiry->reason, "%s",
				strerror(-inquiry->err));
	}
}

int place_inquire(struct place *place, struct inquiry *list, size_t count)
{
	struct inquiries all = {.place = place, .list = list, .count = count};

	inquiries_start(&all);
	return all.under_way > 0 ? place_wait(place) : 0;
}

/* ---- finding ------------------------------------------------------------------------------ */

static int entry_ignored(const struct index_entry *entry, void *context)
{
	(void)entry;
	(void)context;
	return 0;
}

/*
 * 0: it has an index as http://host/dir/; the place is that then. Whoever was redirected to such a
 * URL is believed.
 */
static int place_try_directory(struct place *place, bool is_certain)
{
	char reason[SOURCE_ERROR_MAX], *given = place->url;
	int err;

	if (text_print(&place->url, "%.*s/", (int)url_path_end(given), given) < 0) {
		place->url = given;
		return -ENOMEM;
	}
	strcpy(reason, place->reason);
	err = is_certain ? 0 : place_list(place, entry_ignored, NULL);
	if (err < 0) {
		free(place->url);
		place->url = given;
		strcpy(place->reason, reason);
		return err;
	}
	free(given);
	place->is_directory = true;
	return 0;
}

static int place_ask(struct place *place)
{
	int err = place_probe(place, false);

	place->has_ranges = err == 0;
	/* Of an empty object a ranged answer (416) does not tell the version. */
	if (err == -ENOTSUP || (err == 0 && place->version.size == 0))
		err = place_probe(place, true);
	if (scheme_may_be_directory(place->url, err) && place_try_directory(place, false) == 0)
		return 0;
	if (err == 0 && url_is_directory(place->location))
		return place_try_directory(place, true);
	return err;
}

/* The files that are still open, and the terminal, are all that these commands write to. */
static int place_enter_sandbox(const struct source_options *source, const struct options *options)
{
	cleanup(needs_finish) struct needs needs = {.count = 0};
	int err = options->sandbox ? needs_find(source, &needs) : 0;

	if (err == 0 && options->sandbox)
		sandbox_enter(&needs);
	return err;
}

static int place_open(struct place *place, const struct options *options)
{
	struct core_options core_options = {
		.source.connections_max = (unsigned)options->connections,
		.source.url = place->url,
		.source.s3 = &options->s3,
		.source.netrc_file = options->netrc_file,
		.source.token_file = options->token_file,
		.source.hedge_percent = option_hedge_percent(options),
		.source.error = place->reason,
		.timeout_ms = (unsigned)((options->timeout_ns + NS_PER_MS - 1) / NS_PER_MS),
		.verify = (enum verify)options->verify,
	};
	int err = place_enter_sandbox(&core_options.source, options);

	if (err == 0)
		err = loop_create(&place->loop);
	/* TLS libraries write(2) to sockets that may have been closed. */
	signal(SIGPIPE, SIG_IGN);
	if (err == 0)
		err = core_create(place->loop, &core_options, &place->core);
	if (err < 0 && place->reason[0] == '\0')
		snprintf(place->reason, sizeof place->reason, "%s", strerror(-err));
	return err;
}

int place_find(
	struct place *place, const char *command, const char *source, const struct options *options)
{
	int err;

	*place = (struct place){.version.mtime_s = -1};
	if (command)
		progress_start(&place->progress, command, "entries", 0);
	err = scheme_url(source, &place->url);
	if (err == -EINVAL)
		(void)scheme_refusal(source, place->reason);
	else if (err < 0)
		strcpy(place->reason, strerror(-err));
	if (err == 0)
		err = place_open(place, options);
	if (err < 0)
		return err;
	service_hide_url(options->operands[0]);
	place->is_directory = url_is_directory(place->url);
	return place->is_directory ? 0 : place_ask(place);
}

void place_finish(struct place *place)
{
	progress_end(&place->progress);
	core_destroy(place->core);
	loop_destroy(place->loop);
	free(place->url);
	free(place->location);
	free(place->bytes);
	hash_list_put(place->version.hashes);
	*place = (struct place){0};
}
