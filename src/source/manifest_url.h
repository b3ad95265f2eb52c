/*
 * manifest_url.h - what `manifest:` URLs say. Pure, but for the working directory; any thread.
 *
 * People write manifest:FILE or manifest:URL and, for something in it, '#' and its path:
 *
 *	manifest:models.jsonl   manifest:https://host/models.jsonl   manifest:models.jsonl#a b/c.bin
 *
 * FILE and path are as they are, not percent-encoded. Inside pagein the same is a URL, in which
 * links can be put behind a directory's:
 *
 *	manifest:file:///home/me/models.jsonl|/a%20b/c.bin
 *
 * with '^' for a '?' of the manifest's own: neither it nor '|' can be in a URL. Behind a '#' may
 * stand the URL of the object itself: then nobody has to read the manifest to find it.
 */
#pragma once

#include <stddef.h>

#define MANIFEST_SCHEME "manifest:"

/* -EINVAL: no URL, or one of a manifest's own kind; -ENOMEM */
int manifest_url_from_given(const char *given, char **ret);

struct manifest_url {
	char *locator; /* the manifest's own URL */
	char *path;    /* decoded, without its first '/': "", "dir/", "dir/file" */
	size_t path_length;
	char *object; /* NULL: none */
};

/* -EINVAL: not of the inner kind; -ENOMEM */
int manifest_url_parse(const char *url, struct manifest_url *ret);
/* A zeroed one is fine. */
void manifest_url_finish(struct manifest_url *url);

/* url, which has none, with the object's own. -ENOMEM */
int manifest_url_join(const char *url, const char *object, char **ret);
