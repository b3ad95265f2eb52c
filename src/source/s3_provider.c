/*
 * s3_provider.c - keeps one set of credentials, and whoever waits for it; s3_fetch.c brings others.
 *
 * On the loop's thread; belongs to one loop. What the age of the credentials means:
 *
 *    more than ADVISORY_S left      they are given out
 *    less                           they are given out, and others are fetched meanwhile
 *    less than MANDATORY_S          those who ask wait for others; if they can't be had, these
 *    expired, refused, or none      those who ask wait, and are told why there are none
 *
 * The third line is kinder than botocore, which fails then: what is valid is used to its end.
 * A fetch that failed is not repeated for RETRY_MS while there is something to give out, and for
 * FAILURE_MS while there is nothing: a thousand lookups are one question.
 *
 * Invariants: something is fetched, or the timer is set, while anybody waits; nobody is answered
 * from inside of s3_provider_get(); whoever is answered without an error and without credentials is
 * anonymous. Nothing happens unless somebody asks, so an idle mount is idle.
 */
#include "s3_provider.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "loop.h"
#include "s3_config.h"
#include "s3_credentials.h"
#include "s3_fetch.h"
#include "s3_sign.h"

/* botocore's. */
#define ADVISORY_S 900
#define MANDATORY_S 600

#define RETRY_MS 30000
#define FAILURE_MS 1000

struct s3_provider {
	struct loop *loop;
	const struct s3_config *config;
	struct s3_credentials *credentials; /* NULL: none yet */
	struct s3_credentials *refused;     /* the server said that these have expired; or NULL */
	uint64_t generation;                /* of the newest */
	struct s3_fetch fetch;
	bool is_fetching;
	struct list wants;
	struct loop_timer turn; /* set when somebody waits and nothing is fetched */
	uint64_t ended_ns;      /* when the last fetch ended */
	bool was_in_vain;       /* it failed, or brought some that need others soon */
	int err;                /* ... and how */
	char error[SOURCE_ERROR_MAX];
};

enum age { AGE_NONE, AGE_MANDATORY, AGE_ADVISORY, AGE_FRESH };

static enum age credentials_age(const struct s3_provider *provider)
{
	const struct s3_credentials *credentials = provider->credentials;
	int64_t left_s;

	if (!credentials)
		return AGE_NONE;
	if (credentials->expires_s == S3_NEVER)
		return AGE_FRESH;
	left_s = credentials->expires_s - s3_provider_clock(provider);
	if (left_s >= ADVISORY_S)
		return AGE_FRESH;
	if (left_s >= MANDATORY_S)
		return AGE_ADVISORY;
	return left_s > 0 ? AGE_MANDATORY : AGE_NONE;
}

/* All who wait now; those who ask again are for the next turn. */
static void wants_answer(struct s3_provider *provider, int err)
{
	/* It lives as long as this: what is refused meanwhile is only put aside. */
	const struct s3_credentials *credentials = err < 0 ? NULL : provider->credentials;
	struct list wants;

	assert(err < 0 || credentials || provider->config->anonymous);
	list_init(&wants);
	while (!list_empty(&provider->wants)) {
		struct list *node = provider->wants.next;

		list_remove(node);
		list_append(&wants, node);
	}
	while (!list_empty(&wants)) {
		struct s3_credentials_want *want = list_first(
			&wants, struct s3_credentials_want, node);

		list_remove(&want->node);
		want->credentials = credentials;
		want->error[0] = '\0';
		if (err < 0)
			memcpy(want->error, provider->error, sizeof want->error);
		want->done(want, err);
	}
}

static bool fetch_may_start(const struct s3_provider *provider)
{
	uint64_t pause_ms = provider->was_in_vain ? RETRY_MS : 0;

	/* Nothing to give out: at once, unless that has just been tried. */
	if (credentials_age(provider) == AGE_NONE)
		pause_ms = provider->err < 0 ? FAILURE_MS : 0;
	return !provider->is_fetching &&
	       clock_now_ns() >= provider->ended_ns + pause_ms * NS_PER_MS;
}

static void fetch_start(struct s3_provider *provider)
{
	provider->err = 0;
	provider->is_fetching = true;
	s3_fetch_start(&provider->fetch);
}

static void provider_turn(struct s3_provider *provider)
{
	enum age age = credentials_age(provider);

	if (provider->config->anonymous || age == AGE_FRESH) {
		wants_answer(provider, 0);
		return;
	}
	if (fetch_may_start(provider))
		fetch_start(provider);
	if (age == AGE_ADVISORY || (age == AGE_MANDATORY && !provider->is_fetching))
		wants_answer(provider, 0);
	else if (!provider->is_fetching)
		wants_answer(provider, provider->err);
}

static void turn_expired(struct loop_timer *timer)
{
	provider_turn(container_of(timer, struct s3_provider, turn));
}

/* ---- what a fetch brings ------------------------------------------------------------------- */

static void fetch_succeeded(struct s3_provider *provider)
{
	s3_credentials_destroy(provider->credentials);
	provider->credentials = steal_pointer(&provider->fetch.credentials);
	provider->credentials->generation = ++provider->generation;
	s3_credentials_destroy(provider->refused);
	provider->refused = NULL;
	provider->err = 0;
	provider->was_in_vain = credentials_age(provider) != AGE_FRESH;
}

/* 0: there are others, which go on. */
static int fetch_failed(struct s3_provider *provider, int err, const char *words)
{
	provider->err = err;
	provider->was_in_vain = true;
	snprintf(provider->error, sizeof provider->error, "%s", words);
	if (credentials_age(provider) == AGE_NONE)
		return err;
	log_warning("%s; those from before go on for now", provider->error);
	return 0;
}

/*
 * Those that were refused have come again. They who wait fail, but later ones try them: a server
 * that was wrong once must not end a mount.
 */
static int fetch_in_vain(struct s3_provider *provider)
{
	fetch_succeeded(provider);
	provider->err = -EACCES;
	strcpy(provider->error,
		"credentials: the server says that they have expired, and there are no others");
	return provider->err;
}

static void fetch_done(struct s3_fetch *fetch, int err)
{
	struct s3_provider *provider = container_of(fetch, struct s3_provider, fetch);

	provider->is_fetching = false;
	provider->ended_ns = clock_now_ns();
	if (err == 0 && s3_credentials_equal(fetch->credentials, provider->refused))
		err = fetch_in_vain(provider);
	else if (err == 0)
		fetch_succeeded(provider);
	else
		err = fetch_failed(provider, err, fetch->error);
	s3_fetch_finish(fetch);
	wants_answer(provider, err);
}

/* ---- the door ------------------------------------------------------------------------------ */

int s3_provider_create(struct loop *loop, struct client *client, const struct s3_config *config,
	struct s3_provider **ret)
{
	struct s3_provider *provider = calloc(1, sizeof *provider);

	if (!provider)
		return -ENOMEM;
	provider->loop = loop;
	provider->config = config;
	provider->turn.expired = turn_expired;
	provider->fetch = (struct s3_fetch){
		.loop = loop, .client = client, .config = config, .done = fetch_done};
	list_init(&provider->wants);
	*ret = provider;
	return 0;
}

void s3_provider_destroy(struct s3_provider *provider)
{
	if (!provider)
		return;
	assert(list_empty(&provider->wants));
	s3_fetch_finish(&provider->fetch);
	loop_timer_cancel(provider->loop, &provider->turn);
	s3_credentials_destroy(provider->credentials);
	s3_credentials_destroy(provider->refused);
	free(provider);
}

void s3_provider_get(struct s3_provider *provider, struct s3_credentials_want *want)
{
	loop_assert_here(provider->loop);
	/* Even while others are fetched, there may be some to give out. */
	if (provider->turn.slot == 0)
		loop_timer_set(provider->loop, &provider->turn, clock_now_ns());
	want->credentials = NULL;
	want->error[0] = '\0';
	list_append(&provider->wants, &want->node);
}

void s3_provider_cancel(struct s3_provider *provider, struct s3_credentials_want *want)
{
	loop_assert_here(provider->loop);
	if (want->node.next)
		list_remove(&want->node);
}

bool s3_provider_peek(struct s3_provider *provider, const struct s3_credentials **ret)
{
	loop_assert_here(provider->loop);
	*ret = NULL;
	if (provider->config->anonymous)
		return true;
	if (credentials_age(provider) < AGE_ADVISORY)
		return false;
	/* Others are fetched behind the caller's back. */
	if (credentials_age(provider) == AGE_ADVISORY && fetch_may_start(provider))
		fetch_start(provider);
	*ret = provider->credentials;
	return true;
}

void s3_provider_expired(struct s3_provider *provider, uint64_t generation)
{
	struct s3_credentials *credentials = provider->credentials;

	loop_assert_here(provider->loop);
	if (!credentials || credentials->generation != generation)
		return;
	provider->refused = steal_pointer(&provider->credentials);
}

int64_t s3_provider_clock(const struct s3_provider *provider)
{
	return (int64_t)time(NULL) + provider->fetch.clock_offset_s;
}

bool s3_provider_adjust_clock(struct s3_provider *provider, const char *date)
{
	int64_t offset_s = s3_clock_offset(date, s3_provider_clock(provider));

	provider->fetch.clock_offset_s += offset_s;
	return offset_s != 0;
}
