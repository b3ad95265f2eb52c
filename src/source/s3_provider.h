/*
 * s3_provider.h - credentials when they are wanted: found once, kept, and fetched anew before they
 * expire. Nothing is fetched until somebody asks, and nothing is done between.
 *
 * They are looked for where botocore looks, and in its order: the environment; the profile's role
 * (source_profile, credential_source); web identity; single sign-on; the credentials file;
 * credential_process; the config file; a container's endpoint; the instance's.
 *
 * All on the loop's thread. Waits for nothing; small local files are read when credentials are
 * fetched (see s3_plan.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "source.h"

struct client;
struct loop;
struct s3_config;
struct s3_credentials;
struct s3_provider;

/* The client makes the requests; it, the loop and the config must outlive the provider. */
int s3_provider_create(struct loop *loop, struct client *client, const struct s3_config *config,
	struct s3_provider **ret);
/* Nobody may wait any more. What is under way is ended. NULL is fine. */
void s3_provider_destroy(struct s3_provider *provider);

struct s3_credentials_want {
	/*
	 * 0 or -errno: -EACCES, there are none or they were refused; -ETIMEDOUT, ... with words in
	 * `error`, none of them secret. May destroy the want, and ask again; not destroy the
	 * provider.
	 */
	void (*done)(struct s3_credentials_want *self, int err);
	/* With err 0, valid inside done() only. NULL: requests are not signed. */
	const struct s3_credentials *credentials;
	char error[SOURCE_ERROR_MAX];
	struct list node; /* the provider's */
};

/* done() will be called once, never from inside this call, unless it is cancelled before. */
void s3_provider_get(struct s3_provider *provider, struct s3_credentials_want *want);
/* One that is not waiting any more is fine; so is one that is all zero. */
void s3_provider_cancel(struct s3_provider *provider, struct s3_credentials_want *want);

/*
 * True: no need to wait, *ret is what s3_provider_get() would answer (NULL: not signed), good until
 * the loop's next event. False: ask s3_provider_get().
 */
bool s3_provider_peek(struct s3_provider *provider, const struct s3_credentials **ret);

/*
 * The server said that credentials of this generation have expired (ExpiredToken, also
 * InvalidToken): the next get fetches anew, unless newer ones have come meanwhile. If the same come
 * again, that get fails with -EACCES; a later one gives them out once more. Call it at most once
 * for each request, so that a server which is never content ends.
 */
void s3_provider_expired(struct s3_provider *provider, uint64_t generation);

/*
 * Seconds since 1970 as servers have them, for s3_scope; and how that is learned: by the Date
 * header of an answer that refused a signature for its time (RequestTimeTooSkewed). False: that
 * clock does not differ from what s3_provider_clock() said, so that signing anew is no help.
 */
int64_t s3_provider_clock(const struct s3_provider *provider);
bool s3_provider_adjust_clock(struct s3_provider *provider, const char *date);
