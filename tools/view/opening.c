/*
 * opening.c - opens an object by libpagein, or lists a directory as `pagein ls` does.
 *
 * What ends with a '/' is a directory; of everything else the library is asked first, since that is
 * the one round trip which an object takes, and only what it can't open may be a directory.
 *
 * The map is for looking at few pages anywhere: PAGEIN_RANDOM, so that nothing is fetched that was
 * not asked for, and a memory limit (--memory), as one may look at a tebibyte for days.
 *
 * There is no sandbox, though this reads what strangers send: userfaultfd(2) and the threads that
 * libpagein makes later would be beyond it (sandbox.h).
 *
 * Threads: opened_open() on any, with a place of its own. An opening belongs to two: `state` says
 * who is the last, who frees it.
 */
#include "opening.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "index.h"
#include "options.h"
#include "pagein.h"
#include "remote.h"
#include "scheme.h"
#include "text.h"

/* ---- an object ------------------------------------------------------------------------------ */

static struct pagein_s3_options s3_options(const struct options *options)
{
	struct pagein_s3_options s3 = PAGEIN_S3_OPTIONS_INIT;

	s3.profile = options->s3.profile;
	s3.region = options->s3.region;
	s3.endpoint_url = options->s3.endpoint;
	s3.addressing_style = options->s3.addressing;
	s3.no_sign_request = options->s3.no_sign_request;
	s3.requester_pays = options->s3.requester_pays;
	return s3;
}

static int object_open(struct opened *opened, const struct options *options)
{
	struct pagein_s3_options s3 = s3_options(options);
	struct pagein_options use = PAGEIN_OPTIONS_INIT;
	int err;

	use.connections = (unsigned)options->connections;
	use.timeout_ms = (unsigned)((options->timeout_ns + NS_PER_MS - 1) / NS_PER_MS);
	use.s3 = &s3;
	use.netrc_file = options->netrc_file;
	use.token_file = options->token_file;
	use.memory = options->view_memory_bytes;
	use.verify = options->verify;
	use.hedge_percent = option_hedge_percent(options);
	err = pagein_open(opened->source, &use, &opened->object);
	if (err == 0)
		err = pagein_map(opened->object, 0, 0, 0, &opened->map);
	if (err == 0)
		err = pagein_advise(opened->map, 0, 0, PAGEIN_RANDOM);
	if (err < 0)
		snprintf(opened->reason, sizeof opened->reason, "%s",
			error_reason(pagein_last_error(), opened->source));
	return err;
}

/* ---- a directory ---------------------------------------------------------------------------- */

struct listing_of {
	struct opened *opened;
	const struct place *place;
	size_t room;
};

/* From the URL of the source to what a user would give: what pagein_open() takes. */
static char *source_of(const char *url)
{
	const struct scheme *scheme = scheme_find(url);

	return scheme && scheme->to_given ? scheme->to_given(url) : strdup(url);
}

static int name_add(const struct index_entry *entry, void *context)
{
	struct listing_of *listing = context;
	struct opened *opened = listing->opened;
	const char *base = listing->place->url;
	cleanup_free char *url = NULL;
	struct opened_name *name;

	if (opened->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 64;

		name = reallocarray(opened->names, room, sizeof *name);
		if (!name)
			return -ENOMEM;
		opened->names = name;
		listing->room = room;
	}
	name = &opened->names[opened->count];
	*name = (struct opened_name){.size = entry->size};
	/* A query asks for another presentation of the page, and does not go with the names. */
	if (text_print(&url, "%.*s%s", (int)strcspn(base, "?#"), base, entry->href) < 0 ||
		text_print(&name->name, "%s%s", entry->name, entry->is_dir ? "/" : "") < 0)
		return -ENOMEM;
	opened->count++;
	name->source = source_of(url);
	return name->source ? 0 : -ENOMEM;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(((const struct opened_name *)a)->name, ((const struct opened_name *)b)->name);
}

static int directory_open(struct opened *opened, const struct options *options)
{
	struct place place cleanup(place_finish);
	struct listing_of listing = {.opened = opened, .place = &place};
	struct options use = *options;
	int err;

	use.sandbox = 0;
	err = place_find(&place, NULL, opened->source, &use);
	if (err == 0 && !place.is_directory)
		err = -ENOTDIR;
	if (err == 0)
		err = place_list(&place, name_add, &listing);
	if (err < 0) {
		/* What the object's opening has said is better. */
		if (!*opened->reason)
			snprintf(opened->reason, sizeof opened->reason, "%s",
				place.reason[0] ? place.reason : strerror(-err));
		return err;
	}
	opened->is_directory = true;
	if (opened->count > 0)
		qsort(opened->names, opened->count, sizeof *opened->names, name_compare);
	return 0;
}

/* ---- either --------------------------------------------------------------------------------- */

static bool ends_as_directory(const char *source)
{
	size_t length = strcspn(source, "?#");

	return length > 0 && source[length - 1] == '/';
}

int opened_open(struct opened *opened, const char *source, const struct options *options)
{
	int err = -EISDIR;

	*opened = (struct opened){.source = strdup(source)};
	if (!opened->source) {
		strcpy(opened->reason, strerror(ENOMEM));
		return -ENOMEM;
	}
	if (!ends_as_directory(source))
		err = object_open(opened, options);
	if (err < 0 && (err == -EISDIR || scheme_may_be_directory(source, err)) &&
		directory_open(opened, options) == 0)
		return 0;
	return err;
}

void opened_finish(struct opened *opened)
{
	pagein_unmap(opened->map);
	pagein_close(opened->object);
	for (size_t i = 0; i < opened->count; i++) {
		free(opened->names[i].name);
		free(opened->names[i].source);
	}
	free(opened->names);
	free(opened->source);
	*opened = (struct opened){.source = NULL};
}

/* ---- in a thread ---------------------------------------------------------------------------- */

enum opening_state { OPENING_RUNS, OPENING_DONE, OPENING_ABANDONED };

struct opening {
	_Atomic int state;
	char *source;
	const struct options *options;
	int changed_fd; /* the thread's own */
	struct opened opened;
	int err;
};

static void opening_free(struct opening *opening)
{
	free(opening->source);
	free(opening);
}

static void *opening_run(void *argument)
{
	struct opening *opening = argument;
	int runs = OPENING_RUNS;
	uint64_t one = 1;
	int fd = opening->changed_fd;

	opening->err = opened_open(&opening->opened, opening->source, opening->options);
	if (atomic_compare_exchange_strong(&opening->state, &runs, OPENING_DONE)) {
		(void)!write(fd, &one, sizeof one);
	} else {
		opened_finish(&opening->opened);
		opening_free(opening);
	}
	close(fd);
	return NULL;
}

int opening_start(
	const char *source, const struct options *options, int changed_fd, struct opening **ret)
{
	struct opening *opening = calloc(1, sizeof *opening);
	pthread_attr_t attributes;
	pthread_t thread;
	int err;

	if (!opening)
		return -ENOMEM;
	opening->options = options;
	opening->source = strdup(source);
	opening->changed_fd = dup(changed_fd);
	/* Without it nobody would hear that the thread is done. */
	err = opening->changed_fd < 0 ? -errno : opening->source ? 0 : -ENOMEM;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (err == 0)
		err = -pthread_create(&thread, &attributes, opening_run, opening);
	pthread_attr_destroy(&attributes);
	if (err < 0) {
		close_fd(&opening->changed_fd);
		opening_free(opening);
	} else {
		*ret = opening;
	}
	return err;
}

int opening_result(struct opening *opening, struct opened *ret)
{
	int err = -EINPROGRESS;

	if (atomic_load(&opening->state) != OPENING_DONE)
		return err;
	*ret = opening->opened;
	err = opening->err;
	opening_free(opening);
	return err;
}

void opening_abandon(struct opening *opening)
{
	int runs = OPENING_RUNS;

	if (atomic_compare_exchange_strong(&opening->state, &runs, OPENING_ABANDONED))
		return;
	opened_finish(&opening->opened);
	opening_free(opening);
}
