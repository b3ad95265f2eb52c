/*
 * fuzz_http_head.c - any bytes as the head of an answer: read whole and cut short, checked against
 * a range. What the reader accepts must be what was asked for.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct range range = {4096, 8192};
	struct version version = {.size = 1000000, .etag = "\"v\""};
	struct http_head head, cut;
	const char *reason = NULL;
	bool again;
	long end = http_head_read(&head, (const char *)bytes, len);
	int err;

	assert(end == -EPROTO || (end >= 0 && end <= HTTP_HEAD_MAX && (size_t)end <= len));
	if (end <= 0)
		return 0;
	/* One byte less is not a head yet. */
	assert(http_head_read(&cut, (const char *)bytes, (size_t)end - 1) == 0);
	err = http_head_check(&head, range, &version, &again, &reason);
	assert(err <= 0);
	if (err < 0)
		assert(reason);
	else
		assert(head.status == 206 && head.range.start == range.start &&
			head.range.end == range.end && head.total == version.size &&
			(head.chunked || head.length == range_length(range)) &&
			strcmp(head.etag, version.etag) == 0);
	return 0;
}
