/*
 * scheme.c - the table of sources. A new kind of source is a row here.
 */
#include "scheme.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "manifest_url.h"
#include "s3_url.h"
#include "url.h"

static char *manifest_told(const char *url);

static const struct scheme schemes[] = {
	{.prefix = "http://", .create = http_source_create},
	{.prefix = "https://", .create = http_source_create},
	{
		.prefix = "s3://",
		.create = s3_source_create,
		.from_given = s3_url_from_key,
		.to_given = s3_url_to_key,
		.form = "a bucket and a key",
		.has_prefixes = true,
	},
	{.prefix = "file:///", .create = file_source_create},
	{
		.prefix = MANIFEST_SCHEME,
		.create = manifest_source_create,
		.from_given = manifest_url_from_given,
		.to_given = manifest_told,
		.form = "a manifest's file or URL",
	},
};

const struct scheme *scheme_find(const char *url)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strncasecmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
			return &schemes[i];
	return NULL;
}

int scheme_url(const char *given, char **ret)
{
	const struct scheme *scheme = scheme_find(given);

	if (!scheme)
		return -EINVAL;
	if (scheme->from_given)
		return scheme->from_given(given, ret);
	*ret = strdup(given);
	return *ret ? 0 : -ENOMEM;
}

const char *scheme_refusal(const char *given, char words[SOURCE_ERROR_MAX])
{
	const struct scheme *scheme = scheme_find(given);

	snprintf(words, SOURCE_ERROR_MAX, "not %s",
		scheme && scheme->form ? scheme->form : SCHEMES_WORDS);
	return words;
}

static char *plain_told(const char *url)
{
	size_t room = strlen(url) + 1;
	char *to = malloc(room);

	return to ? url_tell_in(url, to, room) : NULL;
}

/* Of what it lists, where it says that is; of others, where it was found. */
static char *manifest_told(const char *url)
{
	cleanup(manifest_url_finish) struct manifest_url parsed = {0};

	if (manifest_url_parse(url, &parsed) == 0 && parsed.object)
		return scheme_told(parsed.object);
	return plain_told(url);
}

char *scheme_told(const char *url)
{
	const struct scheme *scheme = scheme_find(url);

	return scheme && scheme->to_given ? scheme->to_given(url) : plain_told(url);
}

bool scheme_may_be_directory(const char *url, int err)
{
	const struct scheme *scheme = scheme_find(url);

	/* An index page has no ranges; and http://host/dir is often the way to http://host/dir/. */
	if (err == -ENOTSUP)
		return true;
	return scheme && scheme->has_prefixes && (err == -ENOENT || err == -EACCES);
}

int source_create(struct loop *loop, const struct source_options *options, struct source **ret)
{
	const char *url = options && options->url ? options->url : "http://";
	const struct scheme *scheme = scheme_find(url);

	if (scheme)
		return scheme->create(loop, options, ret);
	if (options->error)
		snprintf(options->error, SOURCE_ERROR_MAX, "%.150s: not " SCHEMES_WORDS, url);
	return -EINVAL;
}

void source_add_stats(const struct source *source, struct source_stats *to)
{
	if (source->ops->add_stats) {
		source->ops->add_stats(source, to);
		return;
	}
	to->requests += source->stats.requests;
	to->bytes += source->stats.bytes;
	to->questions += source->stats.questions;
	to->question_bytes += source->stats.question_bytes;
	to->connections_opened += source->stats.connections_opened;
	to->hedges += source->stats.hedges;
	to->hedges_won += source->stats.hedges_won;
	to->connections += source->stats.connections;
}
