/*
 * fuzz_http_head.c - any bytes as the head of an answer: read whole, cut short, and line by line as
 * libcurl gives it; checked against a range, and as the answer to a probe. What the reader accepts
 * must be what was asked for.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct range range = {4096, 8192};

/* What every head holds, whatever was in it. */
static void check_head(const struct http_head *head)
{
	assert(!head->bad || head->reason);
	assert(strlen(head->etag) <= VALIDATOR_MAX && strlen(head->modified) <= VALIDATOR_MAX);
	assert(strlen(head->id) <= VALIDATOR_MAX);
	assert(!head->has_length || head->bad || head->length <= INT64_MAX);
	if (head->bad || !head->has_range)
		return;
	assert(!range_empty(head->range) && head->range.end <= INT64_MAX);
	assert(!head->has_total || head->range.end <= head->total);
}

static void check_answer(const struct http_head *head, const struct version *version)
{
	const char *reason = NULL;
	bool again;
	int err = http_head_check(head, range, version, &again, &reason);

	assert(err <= 0);
	if (err < 0) {
		assert(reason);
		return;
	}
	assert(head->status == 206 && head->range.start == range.start &&
		head->range.end == range.end && head->total == version->size &&
		(head->chunked || head->length == range_length(range)));
	assert(version->is_partial || strcmp(head->etag, version->etag) == 0);
	assert(!version->id[0] || strcmp(head->id, version->id) == 0);
}

/* The instant is the same when it is written as a server would. */
static void check_date(const struct version *version)
{
	char date[64];
	struct http_head head = {0};
	struct version again;
	struct tm broken;
	time_t time = (time_t)version->mtime_s;

	if (version->mtime_s <= 0 || !gmtime_r(&time, &broken) || broken.tm_year + 1900 > 9999)
		return;
	strftime(date, sizeof date, "Last-Modified: %a, %d %b %Y %H:%M:%S GMT", &broken);
	http_head_field(&head, date, strlen(date));
	http_head_version(&head, version->size, &again);
	assert(again.mtime_s == version->mtime_s);
}

static void check_probe(const struct http_head *head, size_t asked)
{
	const size_t lengths[] = {0, 5, PROBE_BYTES, asked};
	struct version version;
	const char *reason;
	uint64_t size;

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		int err = http_head_probe(head, asked, lengths[i], &size, &reason);

		assert(err == 0 || ((err == -EPROTO || err == -ENOTSUP) && reason[0]));
		if (err < 0)
			continue;
		/* As much has come as such an object has. */
		assert(lengths[i] == (size < asked ? size : asked) || size == 0);
		http_head_version(head, size, &version);
		assert(version.size == size && strcmp(version.etag, head->etag) == 0);
		assert(strlen(version_validator(&version)) <= VALIDATOR_MAX);
		check_date(&version);
	}
}

static void check_status(unsigned status)
{
	for (int at_open = 0; at_open < 2; at_open++) {
		struct http_status_errno entry = http_status_errno(status, at_open);

		/* Only the server's own troubles pass. */
		assert(entry.err < 0 &&
			(!entry.again || status >= 500 || status == 408 || status == 429));
	}
}

static void check_lines(const uint8_t *bytes, size_t len)
{
	struct http_head head = {0};

	while (len > 0) {
		const uint8_t *newline = memchr(bytes, '\n', len);
		size_t line = newline ? (size_t)(newline - bytes) + 1 : len;

		http_head_line(&head, (const char *)bytes, line);
		check_head(&head);
		bytes += line;
		len -= line;
	}
	check_probe(&head, PROBE_BYTES);
	check_probe(&head, PROBE_BYTES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct version versions[] = {
		{.size = 1000000, .etag = "\"v\""},
		{.size = 1000000, .modified = "Thu, 01 Jan 2015 00:00:00 GMT"},
		{.size = 1000000, .is_partial = true, .id = "i"},
	};
	struct http_head head, cut;
	long end = http_head_read(&head, (const char *)bytes, len);

	assert(end == -EPROTO || (end >= 0 && end <= HTTP_HEAD_MAX && (size_t)end <= len));
	check_lines(bytes, len);
	if (end <= 0)
		return 0;
	/* One byte less is not a head yet. */
	assert(http_head_read(&cut, (const char *)bytes, (size_t)end - 1) == 0);
	check_head(&head);
	check_status(head.status);
	check_probe(&head, PROBE_BYTES);
	check_probe(&head, PROBE_BYTES_MAX);
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
		check_answer(&head, &versions[i]);
	return 0;
}
