/* manifest_url.c - see manifest_url.h. */
#include "manifest_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cleanup.h"
#include "scheme.h"
#include "text.h"
#include "url.h"

#define PATH_MARK '|'
#define QUERY_MARK '^'

/* What may stand in a path as it is: the unreserved of RFC 3986, and '/'. */
static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~/", c));
}

/* to has room for three times as much, and a NUL. Returns its end. */
static char *encode(const char *from, char *to)
{
	for (; *from; from++) {
		if (is_plain((unsigned char)*from))
			*to++ = *from;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*from);
	}
	*to = '\0';
	return to;
}

static int file_url(const char *path, char **ret)
{
	cleanup_free char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	cleanup_free char *whole = NULL;
	char *url;

	if (!here)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	if (text_print(&whole, "%s/%s", here, path) < 0)
		return -ENOMEM;
	url = malloc(strlen("file://") + 3 * strlen(whole) + 1);
	if (!url)
		return -ENOMEM;
	encode(whole + strspn(whole, "/") - 1, stpcpy(url, "file://"));
	*ret = url;
	return 0;
}

/* The manifest's own URL, as its source wants it. */
static int locator_make(const char *given, char **ret)
{
	const struct scheme *scheme;

	if (!strstr(given, "://"))
		return *given ? file_url(given, ret) : -EINVAL;
	scheme = scheme_find(given);
	if (!scheme || strncasecmp(given, MANIFEST_SCHEME, strlen(MANIFEST_SCHEME)) == 0)
		return -EINVAL;
	return scheme_url(given, ret);
}

int manifest_url_from_given(const char *given, char **ret)
{
	const char *text = given + strlen(MANIFEST_SCHEME);
	size_t length = strcspn(text, "#");
	const char *path = text[length] ? text + length + 1 : "";
	cleanup_free char *own = strndup(text, length), *locator = NULL;
	char *url, *to;
	int err = own ? locator_make(own, &locator) : -ENOMEM;

	if (err < 0)
		return err;
	url = malloc(strlen(MANIFEST_SCHEME) + 3 * strlen(locator) + 2 + 3 * strlen(path) + 1);
	if (!url)
		return -ENOMEM;
	to = stpcpy(url, MANIFEST_SCHEME);
	for (const char *from = locator; *from; from++) {
		if (*from == '?')
			*to++ = QUERY_MARK;
		else if (*from == PATH_MARK || *from == QUERY_MARK)
			to += sprintf(to, "%%%02X", (unsigned char)*from);
		else
			*to++ = *from;
	}
	*to++ = PATH_MARK;
	*to++ = '/';
	encode(path + strspn(path, "/"), to);
	*ret = url;
	return 0;
}

int manifest_url_parse(const char *url, struct manifest_url *ret)
{
	struct manifest_url parsed = {0};
	const char *mark = strchr(url, PATH_MARK), *object;
	const char *start = url + strlen(MANIFEST_SCHEME);

	if (strncasecmp(url, MANIFEST_SCHEME, strlen(MANIFEST_SCHEME)) != 0 || !mark ||
		mark < start || mark[1] != '/')
		return -EINVAL;
	object = strchr(mark, '#');
	parsed.locator = strndup(start, (size_t)(mark - start));
	parsed.path = strndup(mark + 2, object ? (size_t)(object - mark - 2) : strlen(mark + 2));
	parsed.object = object ? strdup(object + 1) : NULL;
	if (!parsed.locator || !parsed.path || (object && !parsed.object)) {
		manifest_url_finish(&parsed);
		return -ENOMEM;
	}
	for (char *c = parsed.locator; *c; c++)
		*c = *c == QUERY_MARK ? '?' : *c;
	parsed.path_length = url_decode(parsed.path, false);
	*ret = parsed;
	return 0;
}

void manifest_url_finish(struct manifest_url *url)
{
	free(url->locator);
	free(url->path);
	free(url->object);
	*url = (struct manifest_url){0};
}

int manifest_url_join(const char *url, const char *object, char **ret)
{
	return text_print(ret, "%s#%s", url, object);
}
