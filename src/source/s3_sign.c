/*
 * s3_sign.c - the four steps of Signature Version 4: a canonical request, the string to sign, a key
 * derived from the secret and the scope, and the header that bears the result.
 *
 * Pure: owns nothing, any thread. Costs some 10 us (two hashes and five HMACs), once for an object
 * in S3_SIGNATURE_S and not for each range, so that derived keys are not worth keeping: one secret
 * less in memory.
 *
 * S3 takes the path as it was sent, encoded once and not normalized: `a//b` and `x/../y` are keys.
 * The query is signed as it was sent, too, but sorted by name and then by value.
 *
 * Rejected: libcurl's CURLOPT_AWS_SIGV4, which signs only what goes over its own exchange, and has
 * changed its mind about encoding and sorting in eleven releases.
 */
#include "s3_sign.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "text.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DIGEST_LEN 32
#define QUERY_PARTS_MAX 64 /* ListObjectsV2 has nine */
#define DATE_LEN 8         /* of "20240501T120000Z" */

/* A name of the canonical request's headers, with its value; they are sorted by name. */
struct header {
	const char *name;
	const char *value;
	bool is_sent; /* by us: Host and Content-Type are sent by others */
};

#define HEADERS_MAX 7

struct headers {
	struct header list[HEADERS_MAX];
	size_t count;
};

int s3_hash(const void *bytes, size_t len, char ret[S3_HASH_MAX])
{
	unsigned char digest[DIGEST_LEN];

	if (EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	for (size_t i = 0; i < DIGEST_LEN; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

size_t s3_encode(const char *text, size_t len, bool keep_slash, char *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	char *at = ret;

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (is_unreserved(text[i]) || (keep_slash && text[i] == '/')) {
			*at++ = text[i];
			continue;
		}
		*at++ = '%';
		*at++ = digits[byte >> 4];
		*at++ = digits[byte & 15];
	}
	*at = '\0';
	return (size_t)(at - ret);
}

/* ---- the canonical request ----------------------------------------------------------------- */

/* One "name=value" of the query, cut in two in place; a name alone has the value "". */
struct query_part {
	const char *name;
	const char *value;
};

static int query_part_compare(const void *a, const void *b)
{
	const struct query_part *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order != 0 ? order : strcmp(left->value, right->value);
}

/* `query` is cut into its parts. -E2BIG: more than QUERY_PARTS_MAX. */
static int query_canonical(char *query, char *ret)
{
	struct query_part parts[QUERY_PARTS_MAX];
	size_t count = 0;
	char *rest = query, *part;

	*ret = '\0';
	while (*query && (part = strsep(&rest, "&"))) {
		char *value = strchr(part, '=');

		if (count == QUERY_PARTS_MAX)
			return -E2BIG;
		if (value)
			*value++ = '\0';
		parts[count++] = (struct query_part){part, value ? value : ""};
	}
	qsort(parts, count, sizeof *parts, query_part_compare);
	for (size_t i = 0; i < count; i++)
		ret += sprintf(ret, "%s%s=%s", i > 0 ? "&" : "", parts[i].name, parts[i].value);
	return 0;
}

static void headers_add(struct headers *headers, const char *name, const char *value, bool is_sent)
{
	if (value)
		headers->list[headers->count++] = (struct header){name, value, is_sent};
}

/* In the order of their names, which is that of signing. */
static void headers_collect(const struct s3_request *request, const struct s3_scope *scope,
	const char *time, struct headers *ret)
{
	bool is_s3 = strcmp(scope->service, "s3") == 0;

	ret->count = 0;
	headers_add(ret, "content-type", request->content_type, false);
	headers_add(ret, "host", request->host, false);
	headers_add(ret, "x-amz-checksum-mode", request->wants_checksum ? "ENABLED" : NULL, true);
	headers_add(ret, "x-amz-content-sha256", is_s3 ? request->payload : NULL, true);
	headers_add(ret, "x-amz-date", time, true);
	headers_add(ret, "x-amz-request-payer", request->requester_pays ? "requester" : NULL, true);
	headers_add(ret, "x-amz-security-token", scope->credentials->token, true);
}

static bool headers_are_clean(const struct headers *headers)
{
	for (size_t i = 0; i < headers->count; i++)
		for (const char *c = headers->list[i].value; *c; c++)
			if ((unsigned char)*c < ' ' || *c == '\x7f')
				return false;
	return true;
}

/* "a;b;c" */
static void headers_names(const struct headers *headers, char *ret)
{
	for (size_t i = 0; i < headers->count; i++)
		ret += sprintf(ret, "%s%s", i > 0 ? ";" : "", headers->list[i].name);
}

/* The hash of the canonical request. */
static int request_hash(const struct s3_request *request, const struct headers *headers,
	const char *names, char ret[S3_HASH_MAX])
{
	cleanup_free char *query = strdup(request->query ? request->query : "");
	/* A name that came without "=" gets one. */
	cleanup_free char *sorted = query ? malloc(2 * strlen(query) + 2) : NULL;
	cleanup(secret_free_at) char *text = NULL;
	size_t len = 0;
	FILE *stream;
	int err;

	if (!sorted)
		return -ENOMEM;
	err = query_canonical(query, sorted);
	if (err < 0)
		return err;
	stream = open_memstream(&text, &len);
	if (!stream)
		return -ENOMEM;
	fprintf(stream, "%s\n%s\n%s\n", request->method, request->path, sorted);
	for (size_t i = 0; i < headers->count; i++)
		fprintf(stream, "%s:%s\n", headers->list[i].name, headers->list[i].value);
	fprintf(stream, "\n%s\n%s", names, request->payload);
	if (fclose(stream) != 0)
		return -ENOMEM;
	return s3_hash(text, len, ret);
}

/* ---- key and signature --------------------------------------------------------------------- */

static int sign_text(const void *key, size_t key_len, const char *text, size_t len,
	unsigned char ret[DIGEST_LEN])
{
	return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, len, ret, NULL)
		       ? 0
		       : -ENOMEM;
}

/* The key of a day, a region and a service. */
static int key_derive(const struct s3_scope *scope, const char *date, unsigned char ret[DIGEST_LEN])
{
	const char *parts[] = {scope->region, scope->service, "aws4_request"};
	cleanup(secret_free_at) char *secret = NULL;
	int err;

	if (text_print(&secret, "AWS4%s", scope->credentials->secret) < 0)
		return -ENOMEM;
	err = sign_text(secret, strlen(secret), date, DATE_LEN, ret);
	for (size_t i = 0; err == 0 && i < sizeof parts / sizeof *parts; i++)
		err = sign_text(ret, DIGEST_LEN, parts[i], strlen(parts[i]), ret);
	return err;
}

static int signature_make(
	const struct s3_scope *scope, const char *time, const char *hash, char ret[S3_HASH_MAX])
{
	unsigned char key[DIGEST_LEN];
	cleanup_free char *text = NULL;
	int err = key_derive(scope, time, key);

	if (err == 0)
		err = text_print(&text, ALGORITHM "\n%s\n%.*s/%s/%s/aws4_request\n%s", time,
			DATE_LEN, time, scope->region, scope->service, hash);
	if (err == 0)
		err = sign_text(key, sizeof key, text, strlen(text), key);
	for (size_t i = 0; err == 0 && i < DIGEST_LEN; i++)
		snprintf(ret + 2 * i, 3, "%02x", key[i]);
	OPENSSL_cleanse(key, sizeof key);
	return err;
}

/* ---- the door ------------------------------------------------------------------------------ */

static bool time_format(int64_t now_s, char *ret, size_t max)
{
	time_t now = (time_t)now_s;
	struct tm parts;

	return now_s >= 0 && gmtime_r(&now, &parts) && parts.tm_year + 1900 <= 9999 &&
	       strftime(ret, max, "%Y%m%dT%H%M%SZ", &parts) > 0;
}

/* All lines in one piece of memory that is as long as they are: none is left behind by growing. */
static char *headers_format(const struct headers *headers, const char *authorization)
{
	size_t len = strlen(authorization) + 1;
	char *text, *at;

	for (size_t i = 0; i < headers->count; i++)
		if (headers->list[i].is_sent)
			len += strlen(headers->list[i].name) + strlen(headers->list[i].value) + 4;
	text = malloc(len);
	if (!text)
		return NULL;
	at = stpcpy(text, authorization);
	for (size_t i = 0; i < headers->count; i++)
		if (headers->list[i].is_sent)
			at += sprintf(
				at, "%s: %s\r\n", headers->list[i].name, headers->list[i].value);
	return text;
}

static bool scope_is_clean(const struct s3_scope *scope)
{
	const char *texts[] = {scope->region, scope->service, scope->credentials->access_key};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (const char *c = texts[i]; *c; c++)
			if ((unsigned char)*c < ' ' || *c == '\x7f')
				return false;
	return true;
}

int s3_sign(const struct s3_request *request, const struct s3_scope *scope, char **ret)
{
	char time[32], names[128], hash[S3_HASH_MAX], signature[S3_HASH_MAX];
	cleanup_free char *authorization = NULL;
	struct headers headers;
	int err;

	if (!time_format(scope->now_s, time, sizeof time) || !scope_is_clean(scope))
		return -EINVAL;
	headers_collect(request, scope, time, &headers);
	if (!headers_are_clean(&headers))
		return -EINVAL;
	headers_names(&headers, names);
	err = request_hash(request, &headers, names, hash);
	if (err == 0)
		err = signature_make(scope, time, hash, signature);
	if (err < 0)
		return err;
	if (text_print(&authorization,
		    "Authorization: " ALGORITHM " Credential=%s/%.*s/%s/%s/aws4_request, "
		    "SignedHeaders=%s, Signature=%s\r\n",
		    scope->credentials->access_key, DATE_LEN, time, scope->region, scope->service,
		    names, signature) < 0)
		return -ENOMEM;
	*ret = headers_format(&headers, authorization);
	return *ret ? 0 : -ENOMEM;
}

int64_t s3_clock_offset(const char *date, int64_t now_s)
{
	time_t theirs = date ? curl_getdate(date, NULL) : -1;
	int64_t offset = (int64_t)theirs - now_s;

	if (theirs == -1 || (offset > -S3_SKEW_MIN_S && offset < S3_SKEW_MIN_S))
		return 0;
	return offset;
}
