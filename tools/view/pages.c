/*
 * pages.c - a thread that populates what the screen wants and copies it.
 *
 *   absent --wanted, populate--> (on its way) --resident--> copied --others are newer--> absent
 *                                          \--failed--> failed, with words --retry--> absent
 *
 * The thread populates the wanted pages in slices of SLICE_MS: a call that has not got them by then
 * leaves them on their way, and whoever has meanwhile jumped elsewhere is not kept waiting by a
 * page that stalls. Pages are copied under pagein_guard(), as they may have been evicted in
 * between, or fail then.
 *
 * Rejected: to let the screen's thread read the map where it is resident. Under a memory limit that
 * may change between the look and the touch. And threads that touch, one for each page: populate
 * asks for a run of pages with one request.
 *
 * Locks: `lock` guards all of struct pages but what is constant; it is not held while something is
 * fetched or copied. The map is used by several threads at once, which libpagein allows. Memory:
 * COPIES_MAX pages, whatever is looked at. Cost: nothing while nothing is wanted.
 */
#include "pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "cleanup.h"
#include "clock.h"
#include "pagein.h"
#include "remote.h"

#define COPIES_MAX 1024
#define SLICE_MS 20
#define LOOK_NS (50 * NS_PER_MS) /* between two looks at the residency while things change */
#define WANT_MAX ((uint64_t)SIGHT_PAGES * PAGE_BYTES)

/* A page's bytes, or why there are none. */
struct copy {
	enum page_state state;
	union {
		uint8_t bytes[PAGE_BYTES];
		char reason[PAGES_REASON_MAX];
	};
};

/* Of which page a copy is: apart from the bytes, since all of them are looked through. */
struct copy_key {
	uint64_t page; /* offset / PAGE_BYTES */
	uint64_t used; /* 0: it is free */
};

struct pages {
	struct pagein_map *map;
	const char *source; /* for what errors say */
	uint64_t size;
	int changed_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* what is wanted, is_stopping or bar_is_old */
	bool is_stopping;
	uint64_t want_start, want_end; /* whole pages */
	uint64_t clock;
	bool bar_is_old;
	uint64_t looked_ns;
	struct pages_news news;
	struct bar bar;
	struct copy_key keys[COPIES_MAX];
	struct copy copies[COPIES_MAX];
};

/* ---- copies: with the lock ------------------------------------------------------------------ */

static struct copy *copy_find(struct pages *pages, uint64_t page)
{
	for (size_t i = 0; i < COPIES_MAX; i++)
		if (pages->keys[i].page == page && pages->keys[i].used)
			return &pages->copies[i];
	return NULL;
}

/* The page's own, a free one, or the one that was not used for the longest time. */
static struct copy *copy_new(struct pages *pages, uint64_t page)
{
	const struct copy *own = copy_find(pages, page);
	size_t best = own ? (size_t)(own - pages->copies) : 0;

	for (size_t i = 1; !own && i < COPIES_MAX; i++)
		if (pages->keys[i].used < pages->keys[best].used)
			best = i;
	pages->keys[best] = (struct copy_key){page, ++pages->clock};
	return &pages->copies[best];
}

static void pages_tell(const struct pages *pages)
{
	uint64_t one = 1;

	(void)!write(pages->changed_fd, &one, sizeof one);
}

/* ---- the map: without the lock -------------------------------------------------------------- */

struct touch {
	const uint8_t *from;
	uint8_t *to;
	size_t length;
};

static int touch_copy(void *argument)
{
	const struct touch *touch = argument;

	memcpy(touch->to, touch->from, touch->length);
	return 0;
}

/* Of this thread's last call that failed. */
static void reason_copy(const struct pages *pages, char reason[PAGES_REASON_MAX])
{
	static const char own[] = "populate: ";
	const char *words = pagein_last_error();

	/* What has failed below has an operation of its own. */
	if (strncmp(words, own, strlen(own)) == 0)
		words += strlen(own);
	snprintf(reason, PAGES_REASON_MAX, "%s", error_reason(words, pages->source));
}

static size_t page_length(const struct pages *pages, uint64_t page)
{
	uint64_t left = pages->size - page * PAGE_BYTES;

	return (size_t)(left < PAGE_BYTES ? left : PAGE_BYTES);
}

/* What has become of a page: enum pagein_state; in copy, if it is there or has failed. */
static unsigned char page_take(struct pages *pages, uint64_t page, struct copy *copy)
{
	const uint8_t *address = pagein_address(pages->map);
	size_t length = page_length(pages, page);
	struct touch touch = {address + page * PAGE_BYTES, copy->bytes, length};
	struct pagein_error error = {.error = 0};
	unsigned char state = PAGEIN_ABSENT;

	pagein_residency(pages->map, page * PAGE_BYTES, length, &state);
	copy->state = PAGE_READY;
	if (state == PAGEIN_RESIDENT && pagein_guard(touch_copy, &touch) < 0)
		state = PAGEIN_FAILED;
	if (state == PAGEIN_FAILED) {
		pagein_error(pages->map, touch.from, &error);
		copy->state = PAGE_FAILED;
		snprintf(copy->reason, sizeof copy->reason, "%s",
			error_reason(error.message, pages->source));
	}
	return state;
}

/*
 * Populates for a slice. *ret_ended: the time was over, which is no failure; a failure comes
 * before. What has failed between two slices is asked for again by the next.
 */
static int slice_populate(struct pages *pages, uint64_t offset, uint64_t length, bool *ret_ended)
{
	uint64_t begun_ns = clock_now_ns();
	int err = pagein_populate(pages->map, offset, length, SLICE_MS);

	*ret_ended = err == -ETIMEDOUT && clock_now_ns() - begun_ns >= SLICE_MS * NS_PER_MS;
	return err;
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* The next run of wanted pages that nothing is known of. */
static bool wanted_next(struct pages *pages, uint64_t *ret_first, uint64_t *ret_end)
{
	uint64_t page = pages->want_start / PAGE_BYTES;
	uint64_t end = (pages->want_end + PAGE_BYTES - 1) / PAGE_BYTES;

	while (page < end && copy_find(pages, page))
		page++;
	*ret_first = page;
	while (page < end && !copy_find(pages, page))
		page++;
	*ret_end = page;
	return *ret_first < page;
}

static void copy_keep(struct pages *pages, uint64_t page, const struct copy *copy)
{
	struct copy *kept;

	pthread_mutex_lock(&pages->lock);
	kept = copy_new(pages, page);
	kept->state = copy->state;
	memcpy(kept->bytes, copy->bytes, PAGE_BYTES);
	if (copy->state == PAGE_FAILED)
		bar_fail(&pages->bar, page);
	pthread_mutex_unlock(&pages->lock);
}

/* Copies what is there or has failed. False: there is no such page, and none is on its way. */
static bool run_take(struct pages *pages, uint64_t first, uint64_t end)
{
	struct copy copy;
	bool goes_on = false;

	for (uint64_t page = first; page < end; page++) {
		unsigned char state = page_take(pages, page, &copy);

		if (state == PAGEIN_RESIDENT || state == PAGEIN_FAILED)
			copy_keep(pages, page, &copy);
		goes_on |= state != PAGEIN_ABSENT;
	}
	return goes_on;
}

/*
 * populate has given up all of them. Nobody has touched these pages, so that nothing is poisoned,
 * and the library does not remember.
 */
static void run_fail(struct pages *pages, uint64_t first, uint64_t end, const char *reason)
{
	struct copy copy = {.state = PAGE_FAILED};

	snprintf(copy.reason, sizeof copy.reason, "%s", reason);
	for (uint64_t page = first; page < end; page++)
		copy_keep(pages, page, &copy);
}

/* Called and returns with the lock; begun_ns: since when this run is asked for. */
static void run_bring(struct pages *pages, uint64_t first, uint64_t end, uint64_t begun_ns)
{
	uint64_t offset = first * PAGE_BYTES;
	uint64_t length = (end < pages->size / PAGE_BYTES ? end * PAGE_BYTES : pages->size) -
			  offset;
	char reason[PAGES_REASON_MAX] = "";
	bool has_ended;
	int err;

	bar_note(&pages->bar, offset, length);
	pages->bar_is_old = true;
	pthread_mutex_unlock(&pages->lock);
	err = slice_populate(pages, offset, length, &has_ended);
	if (err < 0)
		reason_copy(pages, reason);
	if (!run_take(pages, first, end) && err < 0 && !has_ended)
		run_fail(pages, first, end, reason);
	pthread_mutex_lock(&pages->lock);
	if (err == 0)
		pages->news.latency_ns = clock_now_ns() - begun_ns;
	pages_tell(pages);
}

static void news_look(struct pages *pages)
{
	struct pagein_stats stats;
	uint64_t now_ns = clock_now_ns();

	if (!pages->bar_is_old || now_ns - pages->looked_ns < LOOK_NS)
		return;
	pages->bar_is_old = false;
	pages->looked_ns = now_ns;
	if (pagein_stats(NULL, &stats) < 0)
		return;
	pages->news.requests = stats.requests;
	pages->news.bytes_fetched = stats.bytes_fetched;
	pages->news.is_fetching = stats.transfers > 0;
	/* Something is under way: look again. */
	pages->bar_is_old = stats.transfers > 0;
	bar_look(&pages->bar, stats.evicted);
	pages_tell(pages);
}

static void changed_wait(struct pages *pages)
{
	uint64_t until_ns = pages->looked_ns + LOOK_NS;
	struct timespec until = {(time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S)};

	if (pages->bar_is_old)
		pthread_cond_clockwait(&pages->changed, &pages->lock, CLOCK_MONOTONIC, &until);
	else
		pthread_cond_wait(&pages->changed, &pages->lock);
}

static void *pages_run(void *argument)
{
	struct pages *pages = argument;
	uint64_t first, end, begun_ns = 0, begun_first = UINT64_MAX;

	pthread_mutex_lock(&pages->lock);
	while (!pages->is_stopping) {
		if (wanted_next(pages, &first, &end)) {
			if (begun_first != first)
				begun_ns = clock_now_ns();
			begun_first = first;
			run_bring(pages, first, end, begun_ns);
			news_look(pages);
			continue;
		}
		begun_first = UINT64_MAX;
		news_look(pages);
		if (!pages->is_stopping)
			changed_wait(pages);
	}
	pthread_mutex_unlock(&pages->lock);
	return NULL;
}

/* ---- calls ---------------------------------------------------------------------------------- */

int pages_start(struct pagein_map *map, const char *source, int changed_fd, struct pages **ret)
{
	struct pages *pages = calloc(1, sizeof *pages);
	int err;

	if (!pages)
		return -ENOMEM;
	pages->map = pages->bar.map = map;
	pages->source = source;
	pages->size = pages->bar.size = pagein_length(map);
	pages->changed_fd = changed_fd;
	pages->bar_is_old = true;
	pthread_mutex_init(&pages->lock, NULL);
	pthread_cond_init(&pages->changed, NULL);
	err = -pthread_create(&pages->thread, NULL, pages_run, pages);
	if (err < 0) {
		free(pages);
		return err;
	}
	*ret = pages;
	return 0;
}

void pages_stop(struct pages *pages)
{
	if (!pages)
		return;
	pthread_mutex_lock(&pages->lock);
	pages->is_stopping = true;
	pthread_cond_signal(&pages->changed);
	pthread_mutex_unlock(&pages->lock);
	pthread_join(pages->thread, NULL);
	pthread_cond_destroy(&pages->changed);
	pthread_mutex_destroy(&pages->lock);
	free(pages);
}

void pages_want(struct pages *pages, uint64_t start, uint64_t end)
{
	start -= start % PAGE_BYTES;
	end = end > pages->size ? pages->size : end;
	end = end - start > WANT_MAX ? start + WANT_MAX : end;
	pthread_mutex_lock(&pages->lock);
	if (pages->want_start != start || pages->want_end != end) {
		pages->want_start = start;
		pages->want_end = end;
		pthread_cond_signal(&pages->changed);
	}
	pthread_mutex_unlock(&pages->lock);
}

void pages_look(struct pages *pages, uint64_t at, struct sight *sight)
{
	uint64_t page = at / PAGE_BYTES;
	uint64_t left;

	/* A quarter of it is before that byte. */
	page = page > SIGHT_PAGES / 4 ? page - SIGHT_PAGES / 4 : 0;
	left = pages->size - page * PAGE_BYTES;
	sight->size = pages->size;
	sight->start = page * PAGE_BYTES;
	sight->length = left < sizeof sight->bytes ? (size_t)left : sizeof sight->bytes;
	memset(sight->states, PAGE_ABSENT, sizeof sight->states);
	pthread_mutex_lock(&pages->lock);
	for (size_t i = 0; i < COPIES_MAX; i++) {
		uint64_t place = pages->keys[i].page - page;

		if (!pages->keys[i].used || place >= SIGHT_PAGES)
			continue;
		pages->keys[i].used = ++pages->clock;
		sight->states[place] = (uint8_t)pages->copies[i].state;
		if (pages->copies[i].state == PAGE_READY)
			memcpy(sight->bytes + place * PAGE_BYTES, pages->copies[i].bytes,
				PAGE_BYTES);
	}
	pthread_mutex_unlock(&pages->lock);
}

void pages_reason(struct pages *pages, uint64_t at, char reason[PAGES_REASON_MAX])
{
	const struct copy *copy;

	*reason = '\0';
	pthread_mutex_lock(&pages->lock);
	copy = copy_find(pages, at / PAGE_BYTES);
	if (copy && copy->state == PAGE_FAILED)
		memcpy(reason, copy->reason, PAGES_REASON_MAX);
	pthread_mutex_unlock(&pages->lock);
}

void pages_retry(struct pages *pages)
{
	pthread_mutex_lock(&pages->lock);
	for (size_t i = 0; i < COPIES_MAX; i++) {
		uint64_t page = pages->keys[i].page;

		if (!pages->keys[i].used || pages->copies[i].state != PAGE_FAILED)
			continue;
		pagein_retry(pages->map, page * PAGE_BYTES, page_length(pages, page));
		bar_note(&pages->bar, page * PAGE_BYTES, 1);
		pages->keys[i].used = 0;
	}
	pages->bar_is_old = true;
	pthread_cond_signal(&pages->changed);
	pthread_mutex_unlock(&pages->lock);
}

void pages_news(struct pages *pages, struct pages_news *ret)
{
	pthread_mutex_lock(&pages->lock);
	*ret = pages->news;
	pthread_mutex_unlock(&pages->lock);
}

void pages_bar(struct pages *pages, unsigned char *cells, size_t count)
{
	pthread_mutex_lock(&pages->lock);
	bar_cells(&pages->bar, cells, count);
	pthread_mutex_unlock(&pages->lock);
}

/* ---- for a search --------------------------------------------------------------------------- */

static void fetch_note(struct pages *pages, const struct pages_fetch *fetch)
{
	pthread_mutex_lock(&pages->lock);
	bar_note(&pages->bar, fetch->offset, fetch->length);
	if (fetch->next_length > 0)
		bar_note(&pages->bar, fetch->next, fetch->next_length);
	pages->bar_is_old = true;
	pthread_cond_signal(&pages->changed);
	pthread_mutex_unlock(&pages->lock);
}

/* The first page of it that is not there. */
static uint64_t fetch_missing(struct pages *pages, const struct pages_fetch *fetch)
{
	uint64_t page = fetch->offset / PAGE_BYTES;
	uint64_t end = (fetch->offset + fetch->length + PAGE_BYTES - 1) / PAGE_BYTES;
	unsigned char state = PAGEIN_ABSENT;

	for (; page < end; page++) {
		pagein_residency(pages->map, page * PAGE_BYTES, page_length(pages, page), &state);
		if (state != PAGEIN_RESIDENT)
			break;
	}
	return page * PAGE_BYTES;
}

static int fetch_fail(struct pages *pages, struct pages_fetch *fetch, int err)
{
	reason_copy(pages, fetch->reason);
	fetch->failed_at = fetch_missing(pages, fetch);
	pthread_mutex_lock(&pages->lock);
	bar_fail(&pages->bar, fetch->failed_at / PAGE_BYTES);
	pages->bar_is_old = true;
	pthread_cond_signal(&pages->changed);
	pthread_mutex_unlock(&pages->lock);
	return err;
}

int pages_fetch(struct pages *pages, struct pages_fetch *fetch)
{
	const uint8_t *address = pagein_address(pages->map);
	struct touch touch = {address + fetch->offset, fetch->bytes, fetch->length};
	bool has_ended;
	int err;

	fetch_note(pages, fetch);
	if (fetch->next_length > 0)
		pagein_advise(pages->map, fetch->next, fetch->next_length, PAGEIN_WILLNEED);
	do {
		if (atomic_load(fetch->is_cancelled))
			return -ECANCELED;
		err = slice_populate(pages, fetch->offset, fetch->length, &has_ended);
	} while (has_ended);
	if (err == 0)
		err = pagein_guard(touch_copy, &touch);
	return err < 0 ? fetch_fail(pages, fetch, err) : 0;
}
