/*
 * fuzz_url.c - any text as a URL and, before a line's end, as a link in its document: as what
 * people write, and as what sources hand on. Printing and parsing again changes nothing; what may
 * be told has no secret; a key comes back from its URL; without memory nothing does.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "manifest_url.h"
#include "s3_url.h"
#include "scarce.h"
#include "scheme.h"
#include "url.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Not a line's end among it: it becomes a request's line. */
static void check_printable(const char *text)
{
	for (; *text; text++)
		assert((unsigned char)*text > ' ' && *text != 0x7f);
}

static void check_plain(const struct url *url)
{
	cleanup(url_finish) struct url again = {0};
	cleanup_free char *plain = NULL, *twice = NULL;

	assert(url_plain(url, &plain) == 0);
	check_printable(plain);
	assert(url_parse(plain, &again) == 0);
	assert(!again.user && !again.password && url_same_server(url, &again));
	assert(same_text(url->path, again.path) && same_text(url->query, again.query));
	assert(url_plain(&again, &twice) == 0 && strcmp(plain, twice) == 0);
}

static void check_url(const char *text)
{
	cleanup(url_finish) struct url url = {0};
	int err = url_parse(text, &url);

	assert(err == 0 || err == -EINVAL);
	if (err < 0)
		return;
	assert(url.host[0] && url.path[0] == '/' && url.scheme[0]);
	check_plain(&url);
}

static void check_told(const char *text)
{
	struct url_told told = url_tell(text);
	cleanup_free char *whole = malloc(strlen(text) + 1);
	const char *host = strstr(whole ? url_tell_in(text, whole, strlen(text) + 1) : "", "://");

	assert(strlen(told.text) <= URL_TOLD_MAX && !strpbrk(told.text, "?#^"));
	assert(strncmp(whole, told.text, strlen(told.text)) == 0);
	/* Nothing of a user is left before the host. */
	if (host)
		assert(strcspn(host + 3, "@") >= strcspn(host + 3, "/"));
}

static void check_link(const char *base, const char *link)
{
	cleanup_free char *to = NULL, *again = NULL;
	int err = url_resolve(base, link, &to);

	assert(err == 0 ? to != NULL : err == -EINVAL && !to);
	if (err < 0 || strncmp(to, "http", 4) != 0)
		return;
	/* It leads nowhere else from there. */
	if (url_resolve(base, to, &again) == 0)
		assert(strcmp(again, to) == 0);
	check_url(to);
}

/* What has no source gets words. */
static void check_refused(const char *text)
{
	char error[SOURCE_ERROR_MAX] = "";
	const struct source_options options = {.url = text, .error = error};
	struct source *source;

	if (scheme_find(text))
		return;
	assert(source_create(NULL, &options, &source) == -EINVAL && error[0]);
}

static void check_given(const char *text)
{
	cleanup_free char *url = NULL, *told = NULL;
	char words[SOURCE_ERROR_MAX];
	int err = scheme_url(text, &url);

	assert(err == 0 || err == -EINVAL);
	if (err < 0) {
		assert(scheme_refusal(text, words)[0]);
		check_refused(text);
		return;
	}
	told = scheme_told(url);
	assert(told && scheme_find(url));
	assert(scheme_may_be_directory(url, -ENOTSUP));
	assert(!scheme_may_be_directory(url, -EIO));
	assert(scheme_may_be_directory(url, -ENOENT) == (strncasecmp(url, "s3:", 3) == 0));
}

static void check_s3(const char *text)
{
	static const struct s3_config plain = {0};
	static const struct s3_config path = {
		.addressing = S3_ADDRESSING_PATH, .use_fips = true, .use_dualstack = true};
	static const struct s3_config fast = {.use_accelerate = true, .use_dualstack = true};
	cleanup_free char *url = NULL, *key = NULL, *bucket = NULL;
	struct s3_endpoint endpoint = {0};
	const char *encoded;

	if (s3_url_from_key(text, &url) < 0)
		return;
	check_printable(url);
	key = s3_url_to_key(url);
	/* The scheme may be in capitals. */
	assert(key && strcmp(key + 5, text + 5) == 0);
	assert(s3_url_parse(url, &bucket, &encoded) == 0 && bucket[0]);
	assert(strlen(encoded) <= strlen(url));
	assert(s3_endpoint_make(&plain, bucket, "eu-west-1", &endpoint) == 0);
	assert(strncmp(endpoint.base, "https://", 8) == 0);
	s3_endpoint_finish(&endpoint);
	assert(s3_endpoint_make(&path, bucket, "us-east-1", &endpoint) == 0);
	s3_endpoint_finish(&endpoint);
	assert(s3_endpoint_make(&fast, bucket, "cn-north-1", &endpoint) == 0);
	s3_endpoint_finish(&endpoint);
}

static void check_endpoint(const char *text)
{
	const struct s3_config config = {
		.endpoint = (char *)text, .addressing = S3_ADDRESSING_VIRTUAL};
	struct s3_endpoint endpoint = {0};

	if (s3_endpoint_make(&config, "bucket", "eu-west-1", &endpoint) < 0)
		return;
	check_url(endpoint.base);
	assert(endpoint.path[0] == '/');
	s3_endpoint_finish(&endpoint);
}

static void check_manifest(const char *text)
{
	struct manifest_url parsed = {0}, again = {0};
	cleanup_free char *url = NULL, *joined = NULL;

	if (manifest_url_parse(text, &parsed) == 0) {
		cleanup_free char *told = scheme_told(text);

		assert(told);
		manifest_url_finish(&parsed);
	}
	if (strncmp(text, MANIFEST_SCHEME, strlen(MANIFEST_SCHEME)) != 0 ||
		manifest_url_from_given(text, &url) < 0)
		return;
	assert(manifest_url_parse(url, &parsed) == 0 && parsed.locator[0] && !parsed.object);
	assert(strlen(parsed.path) == parsed.path_length);
	assert(manifest_url_join(url, "http://o/1", &joined) == 0);
	assert(manifest_url_parse(joined, &again) == 0);
	assert(strcmp(again.object, "http://o/1") == 0 && strcmp(again.path, parsed.path) == 0 &&
		strcmp(again.locator, parsed.locator) == 0);
	manifest_url_finish(&parsed);
	manifest_url_finish(&again);
}

static void check_decoded(const char *text)
{
	cleanup_free char *copy = strdup(text);
	size_t length = url_decode(copy, true);

	assert(length <= strlen(text) && copy[length] == '\0');
}

/* Without memory there is no result, and nothing is left. */
static bool fails_without(unsigned n, const char *text, const char *link)
{
	static const struct s3_config plain = {0};
	const struct s3_config custom = {.endpoint = (char *)text};
	cleanup_free char *given = NULL, *to = NULL, *again = NULL, *bucket = NULL, *told = NULL;
	cleanup(url_finish) struct url url = {0};
	struct manifest_url parsed = {0};
	struct s3_endpoint endpoint = {0};
	const char *key;
	int errs[8] = {0};

	scarce_begin(n);
	errs[0] = scheme_url(text, &given);
	errs[1] = url_parse(text, &url);
	errs[2] = errs[1] == 0 ? url_plain(&url, &again) : 0;
	errs[3] = url_resolve(text, link, &to);
	errs[4] = s3_url_parse(text, &bucket, &key);
	errs[5] = s3_endpoint_make(&plain, "bucket", "eu-west-1", &endpoint);
	s3_endpoint_finish(&endpoint);
	errs[6] = s3_endpoint_make(&custom, "bucket", "eu-west-1", &endpoint);
	s3_endpoint_finish(&endpoint);
	errs[7] = manifest_url_parse(text, &parsed);
	manifest_url_finish(&parsed);
	told = scheme_told(text);
	for (size_t i = 0; i < sizeof errs / sizeof *errs; i++)
		assert(errs[i] == 0 || errs[i] == -EINVAL || errs[i] == -ENOMEM);
	return scarce_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	cleanup_free char *text = malloc(len + 1);
	char *link;

	memcpy(text, bytes, len);
	text[len] = '\0';
	link = text + strcspn(text, "\n");
	if (*link)
		*link++ = '\0';
	check_url(text);
	check_told(text);
	check_given(text);
	check_s3(text);
	check_endpoint(text);
	check_manifest(text);
	check_decoded(text);
	check_link(text, link);
	check_link("http://host/a/b?c#d", text);
	s3_region_is_valid(text);
	for (unsigned n = 0; fails_without(n, text, link); n++)
		;
	assert(url_library().version);
	return 0;
}
