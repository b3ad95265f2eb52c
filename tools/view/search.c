/*
 * search.c - walks over an object in windows, and looks into each.
 *
 *  forward    from |--window--|reach|        backward    |--window--|reach| from
 *                  matches begin here
 *
 * A window doubles from WINDOW_MIN to WINDOW_MAX, so that what is near is found with little
 * fetched; from then on the next one is asked for while this one is looked at. Matches begin in the
 * window and may end in the reach behind it; a byte before it tells whether a line begins. A page
 * that can't be had ends the search there, since what is on it can't be told; the next one goes on
 * behind it.
 *
 * One thread for each search. Lock: `lock` guards the news. Memory: one window.
 */
#include "search.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_MIN ((size_t)64 << 10)
#define WINDOW_MAX ((size_t)1 << 20)

struct search {
	struct pages *pages;
	uint64_t size;
	struct needle needle;
	uint64_t from;
	bool is_backward;
	int changed_fd;
	atomic_bool is_cancelled;
	pthread_t thread;
	pthread_mutex_t lock;
	struct search_news news;
	uint8_t bytes[1 + WINDOW_MAX + NEEDLE_OVERLAP + 1];
};

static void search_tell(struct search *search, const struct search_news *news)
{
	uint64_t one = 1;

	pthread_mutex_lock(&search->lock);
	search->news = *news;
	pthread_mutex_unlock(&search->lock);
	(void)!write(search->changed_fd, &one, sizeof one);
}

/* Matches that begin in [start, end). True: the search is over, and news says how. */
static bool window_search(
	struct search *search, uint64_t start, uint64_t end, struct search_news *news)
{
	uint64_t first = start > 0 ? start - 1 : 0;
	uint64_t last = end + needle_reach(&search->needle);
	size_t window = (size_t)(end - start), at, length;
	struct haystack stack = {.bytes = search->bytes, .starts_line = start == 0};
	struct pages_fetch fetch = {
		.offset = first, .bytes = search->bytes, .is_cancelled = &search->is_cancelled};

	last = last < search->size ? last : search->size;
	fetch.length = (size_t)(last - first);
	if (window == WINDOW_MAX && !search->is_backward && last < search->size) {
		fetch.next = last;
		fetch.next_length = search->size - last < WINDOW_MAX ? (size_t)(search->size - last)
								     : WINDOW_MAX;
	} else if (window == WINDOW_MAX && search->is_backward && first > 0) {
		fetch.next = first > WINDOW_MAX ? first - WINDOW_MAX : 0;
		fetch.next_length = (size_t)(first - fetch.next);
	}
	if (pages_fetch(search->pages, &fetch) < 0) {
		news->state = SEARCH_FAILED;
		news->at = fetch.failed_at;
		memcpy(news->reason, fetch.reason, sizeof news->reason);
		return true;
	}
	search->bytes[fetch.length] = '\0';
	stack.length = fetch.length;
	stack.ends_line = last == search->size;
	if (!needle_find(&search->needle, &stack, (size_t)(start - first), (size_t)(end - first),
		    search->is_backward, &at, &length))
		return false;
	news->state = SEARCH_FOUND;
	news->at = first + at;
	news->length = length;
	return true;
}

static void *search_run(void *argument)
{
	struct search *search = argument;
	struct search_news news = {.state = SEARCH_RUNNING, .at = search->from};
	uint64_t end = search->is_backward ? 0 : search->size;
	size_t window = WINDOW_MIN;

	while (news.at != end && news.state == SEARCH_RUNNING) {
		uint64_t left = search->is_backward ? news.at : search->size - news.at;
		uint64_t length = left < window ? left : window;
		uint64_t start = search->is_backward ? news.at - length : news.at;

		search_tell(search, &news);
		if (window_search(search, start, start + length, &news))
			break;
		news.at = search->is_backward ? start : start + length;
		window = window < WINDOW_MAX ? 2 * window : window;
	}
	if (news.state == SEARCH_RUNNING)
		news.state = SEARCH_MISSED;
	search_tell(search, &news);
	return NULL;
}

int search_start(struct pages *pages, uint64_t size, struct needle *needle, uint64_t from,
	bool is_backward, int changed_fd, struct search **ret)
{
	struct search *search = malloc(sizeof *search);
	int err = search ? 0 : -ENOMEM;

	if (err == 0) {
		search->pages = pages;
		search->size = size;
		search->needle = *needle;
		search->from = from < size ? from : size;
		search->is_backward = is_backward;
		search->changed_fd = changed_fd;
		search->is_cancelled = false;
		search->news = (struct search_news){.state = SEARCH_RUNNING, .at = search->from};
		pthread_mutex_init(&search->lock, NULL);
		err = -pthread_create(&search->thread, NULL, search_run, search);
	}
	if (err < 0) {
		needle_finish(needle);
		free(search);
		return err;
	}
	*ret = search;
	return 0;
}

void search_news(struct search *search, struct search_news *ret)
{
	pthread_mutex_lock(&search->lock);
	*ret = search->news;
	pthread_mutex_unlock(&search->lock);
}

void search_destroy(struct search *search)
{
	if (!search)
		return;
	atomic_store(&search->is_cancelled, true);
	pthread_join(search->thread, NULL);
	pthread_mutex_destroy(&search->lock);
	needle_finish(&search->needle);
	free(search);
}
