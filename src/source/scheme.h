/*
 * scheme.h - which source serves which URL: one table, for both doors and for every subcommand.
 * Pure, but for creating; any thread.
 */
#pragma once

#include <stdbool.h>

#include "source.h"

struct scheme {
	const char *prefix; /* "s3://"; in any case */
	int (*create)(struct loop *loop, const struct source_options *options, struct source **ret);
	/*
	 * From what people write to the URL that the source, and everybody between, works with.
	 * NULL: it is the same. -EINVAL, -ENOMEM
	 */
	int (*from_given)(const char *given, char **ret);
	/* The way back, without what is secret. NULL: url_tell(); out of memory */
	char *(*to_given)(const char *url);
	const char *form; /* what -EINVAL missed; NULL: nothing is refused */
	/*
	 * Directories are only beginnings of keys: where no object is, or none that may be read,
	 * the URL with a '/' behind it may be one.
	 */
	bool has_prefixes;
};

#define SCHEMES_WORDS "an http://, https://, s3://, file:/// or manifest: URL"

/* NULL: there is no such source. */
const struct scheme *scheme_find(const char *url);

/* The URL for what was given, malloc'd. -EINVAL: no source knows it; -ENOMEM */
int scheme_url(const char *given, char **ret);

/* Why scheme_url() has said -EINVAL: "not a bucket and a key". */
const char *scheme_refusal(const char *given, char words[SOURCE_ERROR_MAX]);

/*
 * What people may be told of a URL, malloc'd: nothing secret, and in the form that they would give.
 * NULL: out of memory
 */
char *scheme_told(const char *url);

/* May there be a directory at this URL, though asking for an object has failed with err? */
bool scheme_may_be_directory(const char *url, int err);

/* The source for options->url, HTTP's for NULL. -EINVAL: there is none */
int source_create(struct loop *loop, const struct source_options *options, struct source **ret);
