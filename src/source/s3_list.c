/*
 * s3_list.c - a directory of an S3 source: ListObjectsV2 with a delimiter, page after page.
 *
 * Runs on the loop; a walk is owned by its listing. A page is asked for, read whole, its follower
 * asked for, and then told entry by entry: the server makes the next page meanwhile. Keys are asked
 * for encoded, because one control character makes a raw page no XML.
 *
 * What is not there can't be told from what is empty: a prefix without a key is ENOENT, the bucket
 * itself never. Pages end: S3_PAGES_MAX of them at the most, EMPTY_PAGES_MAX without an entry in a
 * row (legal: what was deleted has been skipped), and a token that has come before is an error. For
 * that the latest is remembered, and one from further back which moves ahead at powers of two
 * (Brent): every circle is found, whatever its length, in memory for two.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3_page.h"
#include "s3_private.h"
#include "text.h"
#include "url.h"

#define S3_PAGES_MAX 1000000 /* 10^9 keys: days */
#define EMPTY_PAGES_MAX 1000

struct s3_walk {
	struct s3_ask ask;
	struct listing *listing;
	char *prefix;   /* as it is */
	char *encoded;  /* the same for a query */
	char *token;    /* that the newest request was sent with; NULL: the first */
	char *mark;     /* a token from before */
	uint64_t pages; /* that have come */
	uint64_t mark_at;
	uint64_t empty; /* pages in a row */
	uint64_t entries;
	bool entered; /* entry() or page() is on the stack: */
	bool doomed;  /* ... so that its cancelling waits for it */
};

static void walk_free(struct s3_walk *walk)
{
	if (!walk)
		return;
	s3_ask_finish(&walk->ask);
	free(walk->prefix);
	free(walk->encoded);
	free(walk->token);
	free(walk->mark);
	free(walk);
}

static void walk_end(struct s3_walk *walk, int err, const char *reason)
{
	struct listing *listing = walk->listing;

	if (err < 0)
		snprintf(listing->error, sizeof listing->error, "list: %.120s: %.100s",
			listing->url, reason ? reason : strerror(-err));
	listing->status = walk->ask.head_read.status;
	listing->state = NULL;
	walk_free(walk);
	listing->done(listing, err);
}

/* ---- asking ------------------------------------------------------------------------------- */

static int walk_query(const struct s3_walk *walk, char **ret)
{
	size_t len = walk->token ? strlen(walk->token) : 0;
	cleanup_free char *token = malloc(3 * len + 1);

	if (!token)
		return -ENOMEM;
	s3_encode(walk->token ? walk->token : "", len, false, token);
	return text_print(ret,
		"%s%s%sdelimiter=%%2F&encoding-type=url&list-type=2&max-keys=%d&prefix=%s",
		walk->token ? "continuation-token=" : "", token, walk->token ? "&" : "",
		S3_PAGE_KEYS, walk->encoded);
}

static void walk_answered(struct s3_ask *ask, int err);

static int walk_ask(struct s3_walk *walk)
{
	struct s3_ask *ask = &walk->ask;
	struct s3_source *s3 = ask->s3;
	struct s3_bucket *bucket = ask->bucket;
	int err;

	s3_ask_finish(ask);
	*ask = (struct s3_ask){
		.s3 = s3, .bucket = bucket, .body_max = S3_PAGE_MAX, .done = walk_answered};
	ask->key = strdup("");
	err = ask->key ? walk_query(walk, &ask->query) : -ENOMEM;
	return err < 0 ? err : s3_ask_start(ask);
}

/* ---- answers ------------------------------------------------------------------------------ */

static int walk_entry(const struct index_entry *entry, void *context)
{
	struct s3_walk *walk = context;
	int result = walk->listing->entry(walk->listing, entry);

	walk->entries++;
	return walk->doomed ? -ECANCELED : result;
}

static int walk_check(struct s3_walk *walk, const struct s3_page *page, const char **ret_reason)
{
	walk->pages++;
	walk->empty = page->count > 0 ? 0 : walk->empty + 1;
	if (page->is_error || !page->bucket)
		*ret_reason = "an answer with neither entries nor an error's status";
	else if (strcmp(page->bucket, walk->ask.bucket->name) != 0)
		*ret_reason = "the page of another bucket";
	else if (page->is_truncated &&
		 (walk->pages == S3_PAGES_MAX || walk->empty == EMPTY_PAGES_MAX))
		*ret_reason = "the pages don't end";
	else if (page->is_truncated &&
		 ((walk->token && strcmp(page->token, walk->token) == 0) ||
			 (walk->mark && strcmp(page->token, walk->mark) == 0)))
		*ret_reason = "a continuation token that has come before";
	else
		return 0;
	return -EPROTO;
}

/* The page's token is the next request's. */
static int walk_advance(struct s3_walk *walk, struct s3_page *page)
{
	free(walk->token);
	walk->token = steal_pointer(&page->token);
	if (walk->pages < walk->mark_at)
		return 0;
	walk->mark_at = 2 * walk->pages;
	free(walk->mark);
	walk->mark = strdup(walk->token);
	return walk->mark ? 0 : -ENOMEM;
}

static void walk_answered(struct s3_ask *ask, int err)
{
	struct s3_walk *walk = container_of(ask, struct s3_walk, ask);
	cleanup(s3_page_finish) struct s3_page page = {0};
	const char *reason = NULL;
	bool more;

	if (err < 0) {
		char words[sizeof ask->reason];

		strcpy(words, ask->reason);
		walk_end(walk, err, words);
		return;
	}
	err = s3_page_read(ask->body ? ask->body : "", ask->body_len, &page, &reason);
	if (err == 0)
		err = walk_check(walk, &page, &reason);
	more = page.is_truncated;
	if (err == 0 && more) {
		err = walk_advance(walk, &page);
		if (err == 0)
			err = walk_ask(walk);
	}
	walk->entered = true;
	if (err == 0)
		err = s3_page_report(&page, walk->prefix, walk_entry, walk, &reason);
	if (err == 0 && more && walk->listing->page)
		err = walk->listing->page(walk->listing);
	walk->entered = false;
	if (walk->doomed) {
		walk_free(walk);
		return;
	}
	if (err == 0 && more)
		return;
	if (err == 0 && walk->entries == 0 && *walk->prefix) {
		err = -ENOENT;
		reason = "no key begins so";
	}
	walk_end(walk, err, reason);
}

/* ---- beginning and end -------------------------------------------------------------------- */

static int walk_create(struct s3_source *s3, const char *url, struct s3_walk **ret)
{
	struct s3_walk *walk = calloc(1, sizeof *walk);
	cleanup_free char *bucket = NULL;
	const char *key;
	size_t len;
	int err;

	if (!walk)
		return -ENOMEM;
	err = s3_url_parse(url, &bucket, &key);
	if (err == 0)
		err = s3_bucket_find(s3, bucket, &walk->ask.bucket);
	if (err == 0) {
		walk->ask.s3 = s3;
		walk->mark_at = 1;
		walk->prefix = strdup(key);
		walk->encoded = malloc(3 * strlen(key) + 1);
		err = walk->prefix && walk->encoded ? 0 : -ENOMEM;
	}
	if (err < 0) {
		walk_free(walk);
		return err;
	}
	len = url_decode(walk->prefix, false);
	s3_encode(walk->prefix, len, false, walk->encoded);
	*ret = walk;
	return 0;
}

int s3_list(struct source *source, struct listing *listing)
{
	struct s3_walk *walk;
	int err = walk_create(s3_of(source), listing->url, &walk);

	listing->error[0] = '\0';
	listing->status = 0;
	if (err < 0)
		return err;
	walk->listing = listing;
	err = walk_ask(walk);
	if (err < 0)
		walk_free(walk);
	else
		listing->state = walk;
	return err;
}

void s3_list_cancel(struct source *source, struct listing *listing)
{
	struct s3_walk *walk = steal_pointer(&listing->state);

	(void)source;
	if (walk && walk->entered)
		walk->doomed = true;
	else
		walk_free(walk);
}
