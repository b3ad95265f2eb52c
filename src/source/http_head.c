/*
 * http_head.c - the reader of response heads, and the one place where an HTTP answer becomes an
 * errno. Pure functions: any thread, no malloc.
 *
 * Cost: one pass over the head; a field whose name is not known costs a comparison of lengths.
 *
 * The promise "only what was asked" is http_head_check(): 206, exactly the asked Content-Range of
 * an object of exactly the known length, a Content-Length that agrees, identity encoding, and the
 * pinned validator. Whatever is absent from an answer but was pinned makes the answer wrong.
 */
#include "http_head.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX_S (24 * 3600) /* far beyond any deadline, and far from overflow */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads digits; false when there are none, or when they say more than INT64_MAX. */
static bool read_number(const char **at, const char *end, uint64_t *ret)
{
	uint64_t value = 0;
	const char *p = *at;

	for (; p < end && is_digit(*p); p++) {
		if (value > (uint64_t)(INT64_MAX - (*p - '0')) / 10)
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*ret = value;
	return true;
}

static void head_refuse(struct http_head *head, const char *reason)
{
	if (!head->bad)
		head->reason = reason;
	head->bad = true;
}

/* ---- fields ------------------------------------------------------------------------------- */

static void field_length(struct http_head *head, const char *value, size_t len)
{
	const char *end = value + len;
	uint64_t length = 0;

	if (!read_number(&value, end, &length) || value != end)
		head_refuse(head, "malformed Content-Length");
	else if (head->has_length && head->length != length)
		head_refuse(head, "two different Content-Lengths");
	head->has_length = true;
	head->length = length;
}

/* "bytes a-b/n", "bytes a-b / *" and "bytes * / n" (RFC 9110 section 14.4, without the blanks). */
static void field_range(struct http_head *head, const char *value, size_t len)
{
	const char *end = value + len;
	uint64_t first, last;

	if (head->has_range || head->has_total)
		head_refuse(head, "two Content-Ranges");
	if (len < 6 || strncasecmp(value, "bytes ", 6) != 0) {
		head_refuse(head, "Content-Range in another unit");
		return;
	}
	value += 6;
	if (value < end && *value == '*') {
		value++;
	} else if (read_number(&value, end, &first) && value < end && *value++ == '-' &&
		   read_number(&value, end, &last) && first <= last && last < INT64_MAX) {
		head->has_range = true;
		head->range = (struct range){first, last + 1};
	} else {
		head_refuse(head, "malformed Content-Range");
		return;
	}
	if (value == end || *value++ != '/')
		head_refuse(head, "malformed Content-Range");
	else if (end - value == 1 && *value == '*')
		head->has_total = false;
	else if (read_number(&value, end, &head->total) && value == end)
		head->has_total = true;
	else
		head_refuse(head, "malformed Content-Range");
	if (head->has_range && head->has_total && head->range.end > head->total)
		head_refuse(head, "Content-Range past its own total");
}

/* Longer ones, and those with control characters, are as if they were not there. */
static void copy_validator(char *ret, const char *value, size_t len)
{
	if (len > VALIDATOR_MAX)
		return;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			return;
	memcpy(ret, value, len);
	ret[len] = '\0';
}

static void field_etag(struct http_head *head, const char *value, size_t len)
{
	copy_validator(head->etag, value, len);
}

static void field_modified(struct http_head *head, const char *value, size_t len)
{
	copy_validator(head->modified, value, len);
}

static void field_version_id(struct http_head *head, const char *value, size_t len)
{
	if (len != 4 || memcmp(value, "null", 4) != 0)
		copy_validator(head->id, value, len);
}

static void field_transfer(struct http_head *head, const char *value, size_t len)
{
	(void)value;
	(void)len;
	head->chunked = true;
}

static void field_encoding(struct http_head *head, const char *value, size_t len)
{
	if (len > 0 && !(len == 8 && strncasecmp(value, "identity", 8) == 0))
		head->encoded = true;
}

static void field_type(struct http_head *head, const char *value, size_t len)
{
	if (len >= 20 && strncasecmp(value, "multipart/byteranges", 20) == 0)
		head->multipart = true;
}

static void field_connection(struct http_head *head, const char *value, size_t len)
{
	for (size_t i = 0; i + 5 <= len; i++)
		if (strncasecmp(value + i, "close", 5) == 0)
			head->close = true;
	for (size_t i = 0; i + 10 <= len; i++)
		if (head->http10 && strncasecmp(value + i, "keep-alive", 10) == 0)
			head->close = false;
}

static void field_retry_after(struct http_head *head, const char *value, size_t len)
{
	const char *end = value + len;
	uint64_t seconds;

	if (read_number(&value, end, &seconds) && value == end)
		head->retry_after_s = seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S;
}

static const struct field {
	const char *name;
	size_t len;
	void (*take)(struct http_head *head, const char *value, size_t len);
} fields[] = {
#define FIELD(name, take)                   \
	{                                   \
		name, sizeof name - 1, take \
	}
	FIELD("content-length", field_length),
	FIELD("content-range", field_range),
	FIELD("etag", field_etag),
	FIELD("last-modified", field_modified),
	FIELD("transfer-encoding", field_transfer),
	FIELD("content-encoding", field_encoding),
	FIELD("content-type", field_type),
	FIELD("connection", field_connection),
	FIELD("retry-after", field_retry_after),
	FIELD("x-amz-version-id", field_version_id),
#undef FIELD
};

void http_head_field(struct http_head *head, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	const char *value, *end = line + len;
	size_t name_len;

	if (len > 0 && (*line == ' ' || *line == '\t')) {
		head_refuse(head, "folded header line");
		return;
	}
	if (!colon || colon == line || colon[-1] == ' ' || colon[-1] == '\t') {
		head_refuse(head, "header line without a name");
		return;
	}
	if (memchr(line, '\0', len)) {
		head_refuse(head, "NUL in a header line");
		return;
	}
	name_len = (size_t)(colon - line);
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (fields[i].len == name_len && strncasecmp(fields[i].name, line, name_len) == 0)
			fields[i].take(head, value, (size_t)(end - value));
}

/* ---- the head ----------------------------------------------------------------------------- */

bool http_head_status(struct http_head *head, const char *line, size_t len)
{
	*head = (struct http_head){0};
	/* "HTTP/1.1 206 Partial Content"; the reason phrase may be missing, and its blank too. */
	if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
		line[8] != ' ' || !is_digit(line[9]) || !is_digit(line[10]) ||
		!is_digit(line[11]) || (len > 12 && line[12] != ' '))
		return false;
	head->http10 = line[7] == '0';
	head->close = head->http10;
	head->status = (unsigned)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
	return head->status >= 100;
}

void http_head_line(struct http_head *head, const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (len == 0)
		head->whole = true;
	else if (len < 5 || memcmp(line, "HTTP/", 5) != 0)
		http_head_field(head, line, len);
	else if (!http_head_status(head, line, len))
		head_refuse(head, "malformed answer");
}

long http_head_read(struct http_head *head, const char *bytes, size_t len)
{
	const char *at = bytes, *end = bytes + len;
	bool first = true;

	for (;;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line_len;

		if (!newline)
			return len > HTTP_HEAD_MAX ? -EPROTO : 0;
		line_len = (size_t)(newline - at);
		if (line_len > 0 && newline[-1] == '\r')
			line_len--;
		if (newline + 1 - bytes > HTTP_HEAD_MAX)
			return -EPROTO;
		if (first && !http_head_status(head, at, line_len))
			return -EPROTO;
		if (!first && line_len == 0)
			return newline + 1 - bytes;
		if (!first)
			http_head_field(head, at, line_len);
		first = false;
		at = newline + 1;
	}
}

/* ---- what it means ------------------------------------------------------------------------ */

struct http_status_errno http_status_errno(unsigned status, bool at_open)
{
	static const struct {
		unsigned status;
		int open_err, later_err;
		bool again;
	} table[] = {
		{200, -ENOTSUP, -ENOTSUP, false}, /* the whole object for a part of it */
		{400, -EINVAL, -EIO, false},
		{401, -EACCES, -EACCES, false},
		{403, -EACCES, -EACCES, false},
		{404, -ENOENT, -ESTALE, false},
		{405, -ENOTSUP, -EIO, false},
		{407, -EACCES, -EACCES, false},
		{408, -ETIMEDOUT, -ETIMEDOUT, true},
		{410, -ENOENT, -ESTALE, false},
		{412, -ESTALE, -ESTALE, false},
		{416, -ESTALE, -ESTALE, false},
		{429, -EIO, -EIO, true},
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].status == status)
			return (struct http_status_errno){
				at_open ? table[i].open_err : table[i].later_err,
				table[i].again,
			};
	if (status >= 500)
		return (struct http_status_errno){-EIO, true};
	if (status >= 300 && status < 400)
		return (struct http_status_errno){at_open ? -ELOOP : -ESTALE, false};
	return (struct http_status_errno){status >= 400 ? -EIO : -EPROTO, false};
}

static const char *status_reason(unsigned status)
{
	switch (status) {
	case 200:
		return "the server ignored the range";
	case 404:
	case 410:
		return "the object is gone";
	case 412:
	case 416:
		return "the object has changed";
	default:
		return "refused by the server";
	}
}

/* Is the date to be compared? Two answers with the same weak ETag need not have the same bytes. */
static bool date_counts(const struct version *version)
{
	if (version->etag[0] == '"')
		return false;
	return version->modified[0] != '\0' || (version->etag[0] == '\0' && !version->is_partial);
}

static const char *version_difference(const struct http_head *head, const struct version *version)
{
	if (head->has_total && head->total != version->size)
		return "the object has changed: another length";
	if ((version->etag[0] != '\0' || !version->is_partial) &&
		strcmp(head->etag, version->etag) != 0)
		return "the object has changed: another ETag";
	if (date_counts(version) && strcmp(head->modified, version->modified) != 0)
		return "the object has changed: another Last-Modified";
	if (version->id[0] != '\0' && strcmp(head->id, version->id) != 0)
		return "the object has changed: another version id";
	return NULL;
}

int http_head_check(const struct http_head *head, struct range range, const struct version *version,
	bool *ret_again, const char **ret_reason)
{
	const char *difference;

	*ret_again = false;
	if (head->bad) {
		*ret_reason = head->reason;
		return -EPROTO;
	}
	if (head->status != 206) {
		struct http_status_errno entry = http_status_errno(head->status, false);

		*ret_again = entry.again;
		*ret_reason = status_reason(head->status);
		return entry.err;
	}
	difference = version_difference(head, version);
	if (difference) {
		*ret_reason = difference;
		return -ESTALE;
	}
	if (head->multipart || !head->has_range)
		*ret_reason = "206 without a Content-Range";
	else if (!head->has_total)
		*ret_reason = "Content-Range without the object's length";
	else if (head->range.start != range.start || head->range.end != range.end)
		*ret_reason = "Content-Range is not what was asked for";
	else if (head->encoded)
		*ret_reason = "encoded answer to a ranged request";
	else if (!head->chunked && (!head->has_length || head->length != range_length(range)))
		*ret_reason = "Content-Length does not agree with Content-Range";
	else
		return 0;
	return -EPROTO;
}

int http_head_probe(const struct http_head *head, size_t asked, size_t body_len, uint64_t *ret_size,
	const char **ret_reason)
{
	uint64_t expected;

	/* An empty object has no first byte: 416, or (nginx) the whole of nothing. */
	if ((head->status == 416 && head->has_total && head->total == 0) ||
		(head->status == 200 && head->has_length && head->length == 0)) {
		*ret_size = 0;
		return 0;
	}
	if (head->status != 206) {
		*ret_reason = head->status == 200 ? "the server does not serve ranges"
						  : "an answer that has no part of the object";
		return http_status_errno(head->status, true).err;
	}
	*ret_reason = "malformed answer to a ranged request";
	if (head->multipart || !head->has_range || !head->has_total || head->range.start != 0)
		return -EPROTO;
	expected = head->total < asked ? head->total : asked;
	if (head->range.end != expected || (head->has_length && head->length != expected) ||
		body_len != expected)
		return -EPROTO;
	*ret_size = head->total;
	return 0;
}

void http_head_version(const struct http_head *head, uint64_t size, struct version *ret)
{
	*ret = (struct version){.size = size, .mtime_s = -1};
	memcpy(ret->etag, head->etag, sizeof ret->etag);
	memcpy(ret->modified, head->modified, sizeof ret->modified);
	memcpy(ret->id, head->id, sizeof ret->id);
	if (head->modified[0] != '\0')
		ret->mtime_s = curl_getdate(head->modified, NULL);
}

const char *version_validator(const struct version *version)
{
	bool strong = version->etag[0] == '"';

	return strong || version->modified[0] == '\0' ? version->etag : version->modified;
}
