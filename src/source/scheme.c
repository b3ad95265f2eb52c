/*
 * scheme.c - the table of sources. A new kind of source is a row here.
 */
#include "scheme.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "manifest_url.h"
#include "s3_url.h"

static const struct scheme schemes[] = {
	{"http://", http_source_create, NULL, false},
	{"https://", http_source_create, NULL, false},
	{"s3://", s3_source_create, s3_url_from_key, true},
	{"file:///", file_source_create, NULL, false},
	{MANIFEST_SCHEME, manifest_source_create, manifest_url_from_given, false},
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
	to->connections_opened += source->stats.connections_opened;
	to->connections += source->stats.connections;
}
