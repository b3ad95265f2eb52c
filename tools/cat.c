/*
 * cat.c - `pagein cat SOURCE`: the bytes of an object, or a range of them, to standard output.
 *
 * Two threads. The loop's receives: each window of the object is one fetch, and its bytes are
 * copied into the window's slot of a ring as they arrive. The main thread writes: it waits for the
 * oldest window, writes it out, and asks for the one WINDOWS further on in the same slot. So a pipe
 * that nobody empties stops the fetching, and never the loop.
 *
 * Invariants, under `lock`: windows [next, asked) are asked for; the slot of window w is
 * w % WINDOWS; a slot belongs to the loop until its missing_bytes are 0 or it has an error, then to
 * the main thread until the window is asked for again.
 *
 * Cost: WINDOWS * WINDOW_BYTES of memory, one copy more than the socket's. Rejected: libpagein,
 * which needs userfaultfd(2), and cat shall work where that is forbidden.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "core.h"
#include "loop.h"
#include "object.h"
#include "options.h"
#include "remote.h"

#define WINDOW_BYTES (UINT64_C(2) << 20)
#define WINDOWS \
	8 /* in flight, each on a connection of its own: a far server gives 50 MB/s to one */

struct window {
	struct range range; /* of the object */
	uint64_t missing_bytes;
	int err;
	char reason[SOURCE_ERROR_MAX];
	uint8_t *bytes;
};

struct cat {
	struct loop *loop;
	struct object *object;
	struct want want;
	struct range range;    /* asked for by the user, inside the object */
	uint64_t asked, count; /* windows */
	struct progress *progress;
	enum verify verify;
	enum object_integrity integrity; /* as cat_look() has found it */
	pthread_mutex_t lock;            /* guards the windows; held for a copy at most */
	pthread_cond_t arrived;
	struct window windows[WINDOWS];
};

/* ---- the loop's side ---------------------------------------------------------------------- */

static void cat_arrived(struct want *want, const struct arrival *arrival)
{
	struct cat *cat = container_of(want, struct cat, want);

	pthread_mutex_lock(&cat->lock);
	for (size_t i = 0; i < WINDOWS; i++) {
		struct window *window = &cat->windows[i];

		if (window->missing_bytes == 0)
			continue;
		window->missing_bytes -= arrival_copy(arrival, window->range, window->bytes);
		if (window->missing_bytes == 0)
			pthread_cond_signal(&cat->arrived);
	}
	pthread_mutex_unlock(&cat->lock);
}

static void cat_failed(struct want *want, struct range range, const struct failure *failure)
{
	struct cat *cat = container_of(want, struct cat, want);

	pthread_mutex_lock(&cat->lock);
	for (size_t i = 0; i < WINDOWS; i++) {
		struct window *window = &cat->windows[i];

		if (!range_overlaps(window->range, range) || window->missing_bytes == 0)
			continue;
		window->err = failure->err;
		snprintf(window->reason, sizeof window->reason, "%s",
			error_reason(failure->error, object_remote(cat->object)->url));
		pthread_cond_signal(&cat->arrived);
	}
	pthread_mutex_unlock(&cat->lock);
}

struct ask {
	struct cat *cat;
	struct range range;
};

static void cat_fetch(void *context)
{
	struct ask *ask = context;
	struct object *object = ask->cat->object;
	struct failure failure = {.error = "out of memory"};

	failure.err = object_fetch(object, ask->range, range_length(ask->range), UINT64_MAX);
	if (failure.err < 0 && failure.err == object_stale(object)->err)
		failure = *object_stale(object);
	if (failure.err < 0)
		cat_failed(&ask->cat->want, ask->range, &failure);
}

static void cat_begin(void *context)
{
	struct cat *cat = context;

	object_add_want(cat->object, &cat->want);
}

static void cat_end(void *context)
{
	struct cat *cat = context;

	object_remove_want(cat->object, &cat->want);
	object_destroy(cat->object);
}

/* ---- the main thread's side --------------------------------------------------------------- */

static struct range window_range(const struct cat *cat, uint64_t index)
{
	/* Windows begin at pages of the object, so that no page is fetched twice. */
	uint64_t first = align_down(cat->range.start, WINDOW_BYTES);
	struct range range = {first + index * WINDOW_BYTES, first + (index + 1) * WINDOW_BYTES};

	return range_intersect(range, cat->range);
}

static void cat_ask_next(struct cat *cat)
{
	struct window *window = &cat->windows[cat->asked % WINDOWS];
	struct ask ask = {.cat = cat, .range = window_range(cat, cat->asked)};

	pthread_mutex_lock(&cat->lock);
	window->range = ask.range;
	window->missing_bytes = range_length(ask.range);
	pthread_mutex_unlock(&cat->lock);
	cat->asked++;
	loop_call(cat->loop, cat_fetch, &ask);
}

/* Until something has arrived, or the line on the terminal is to be drawn anew; holds the lock. */
static void window_sleep(struct cat *cat)
{
	struct timespec until;
	uint64_t until_ns = clock_now_ns() + PROGRESS_PAUSE_NS;

	if (!cat->progress->is_on) {
		pthread_cond_wait(&cat->arrived, &cat->lock);
		return;
	}
	until = (struct timespec){
		.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
	pthread_cond_clockwait(&cat->arrived, &cat->lock, CLOCK_MONOTONIC, &until);
	progress_add(cat->progress, 0);
}

static int window_wait(struct cat *cat, struct window *window)
{
	int err;

	pthread_mutex_lock(&cat->lock);
	while (window->missing_bytes > 0 && window->err == 0)
		window_sleep(cat);
	err = window->missing_bytes > 0 ? window->err : 0;
	pthread_mutex_unlock(&cat->lock);
	return err;
}

static int write_all(const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t count = write(STDOUT_FILENO, bytes, length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		bytes += count;
		length -= (size_t)count;
	}
	return 0;
}

static void cat_look(void *context)
{
	struct cat *cat = context;

	cat->integrity = object_integrity(cat->object);
}

/*
 * Who requires that all is checked wants to know it of a part, too, which no checksum of the whole
 * tells; and of a hash that could not be made, because bytes that came before their turn had no
 * room to wait in. The exit status; complains.
 */
static int cat_verify(struct cat *cat, const char *source)
{
	loop_call(cat->loop, cat_look, cat);
	if (cat->verify != VERIFY_REQUIRE || cat->integrity != OBJECT_OPEN)
		return EXIT_SUCCESS;
	return place_complain("cat", source,
		range_length(cat->range) < object_size(cat->object)
			? "not verified: only a part was read, and the checksum is of the whole"
			: "not verified: bytes came before their turn, and found no room");
}

/* The exit status; complains. */
static int cat_copy(struct cat *cat, const char *source)
{
	for (uint64_t i = 0; i < cat->count; i++) {
		struct window *window = &cat->windows[i % WINDOWS];
		int err;

		while (cat->asked < cat->count && cat->asked < i + WINDOWS)
			cat_ask_next(cat);
		if (window_wait(cat, window) < 0)
			return place_complain("cat", source, window->reason);
		err = write_all(window->bytes, range_length(window->range));
		/* Who reads had enough, and knows it. */
		if (err == -EPIPE)
			return EXIT_FAILURE;
		if (err < 0)
			return place_complain("cat", "standard output", strerror(-err));
		progress_add(cat->progress, range_length(window->range));
	}
	return EXIT_SUCCESS;
}

/* ---- beginning and end -------------------------------------------------------------------- */

/* A hash is made in sequence: what comes before its turn has to stay until then. */
static enum object_keep cat_keep(const struct version *version)
{
	bool is_hash = version->digest.kind != DIGEST_NONE && !digest_is_crc(version->digest.kind);

	return is_hash ? OBJECT_CACHES : OBJECT_PASSES;
}

static int cat_open(struct cat *cat, struct place *place)
{
	struct source *source = core_source(place->core);
	struct remote *remote;
	int err = source->ops->pin(source, place->location, &place->version, &remote);

	if (err == 0)
		err = object_create(place->core, remote, cat_keep(&place->version), &cat->object);
	if (err < 0)
		return err;
	/* Without the memory for them the first bytes are asked for again. */
	(void)object_seed(cat->object, place->bytes, place->bytes_len);
	cat->loop = place->loop;
	cat->verify = core_verify(place->core);
	cat->want = (struct want){
		.range = cat->range, .arrived = cat_arrived, .failed = cat_failed};
	cat->count = (cat->range.end - align_down(cat->range.start, WINDOW_BYTES) + WINDOW_BYTES -
			     1) /
		     WINDOW_BYTES;
	for (size_t i = 0; i < WINDOWS && err == 0; i++) {
		cat->windows[i].bytes = malloc(WINDOW_BYTES);
		err = cat->windows[i].bytes ? 0 : -ENOMEM;
	}
	return err;
}

static int cat_run(struct place *place, struct range range, const char *source)
{
	struct cat cat = {
		.range = range,
		.progress = &place->progress,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.arrived = PTHREAD_COND_INITIALIZER,
	};
	int status, err = cat_open(&cat, place);

	if (err == 0)
		err = loop_start(place->loop, "pagein-cat");
	if (err == 0) {
		loop_call(cat.loop, cat_begin, &cat);
		progress_end(cat.progress);
		progress_start_beside(cat.progress, "cat", "bytes", range_length(range));
		status = cat_copy(&cat, source);
		progress_end(cat.progress);
		if (status == EXIT_SUCCESS)
			status = cat_verify(&cat, source);
		loop_call(cat.loop, cat_end, &cat);
		loop_stop(cat.loop);
		loop_join(cat.loop);
	} else {
		object_destroy(cat.object);
		status = place_complain("cat", source, strerror(-err));
	}
	for (size_t i = 0; i < WINDOWS; i++)
		free(cat.windows[i].bytes);
	return status;
}

int command_cat(const struct options *options)
{
	const char *source = options->operands[0];
	struct place place cleanup(place_finish);
	struct range all, range;
	const char *refusal;

	if (place_find(&place, "cat", source, options) < 0)
		return place_complain("cat", source, place.reason);
	if (place.is_directory)
		return place_complain("cat", source, "is a directory");
	if (!place.has_ranges)
		return place_complain("cat", source, "the server does not serve ranges");
	all = (struct range){0, place.version.size};
	range = range_intersect(options->range, all);
	/* As of a file: all of an empty object is nothing, but a byte that is not there is an
	 * error. */
	if (range_empty(all) && options->range.start == 0 && options->range.end == UINT64_MAX)
		return EXIT_SUCCESS;
	if (range_empty(range) ||
		(options->range.end != UINT64_MAX && options->range.end > all.end))
		return place_complain("cat", source, "the range is not inside the object");
	refusal = object_refusal(place.core, &place.version, cat_keep(&place.version), true);
	if (refusal)
		return place_complain("cat", source, refusal);
	return cat_run(&place, range, source);
}
