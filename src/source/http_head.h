/*
 * http_head.h - reads the head of an HTTP/1.x response, and says what it means for a ranged GET.
 *
 * Pure: bytes in, facts out. It knows the fields below and passes over all others; what it knows
 * but can't take (two different Content-Lengths, a folded line, a NUL, a multipart answer) it
 * refuses. Sources: RFC 9112 (framing), RFC 9110 sections 8, 14 and 15.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "range.h"
#include "source.h"

#define HTTP_HEAD_MAX 16384 /* bytes of a whole head; longer: -EPROTO */

struct http_head {
	unsigned status;
	bool http10;
	bool close;     /* the connection ends with this answer */
	bool chunked;   /* any Transfer-Encoding */
	bool encoded;   /* any Content-Encoding but identity */
	bool multipart; /* Content-Type: multipart/byteranges */
	bool has_length;
	bool has_range; /* a Content-Range "bytes a-b/n" or "bytes a-b / *" */
	bool has_total; /* the n of that, or of "bytes * / n" */
	bool whole;     /* its blank line has come; only http_head_line() says so */
	bool bad;       /* a line that is malformed, or contradicts an earlier one */
	uint64_t length;
	struct range range;
	uint64_t total;
	uint64_t retry_after_s; /* 0: none, or a date */
	char etag[VALIDATOR_MAX + 1];
	char modified[VALIDATOR_MAX + 1];
	char id[VALIDATOR_MAX + 1]; /* x-amz-version-id; "": none, or the "null" of no versions */
	const char *reason;         /* what is bad */
};

/* Begins a head with its status line, without the line's end. false: it is none. */
bool http_head_status(struct http_head *head, const char *line, size_t len);

/* Takes one field line, without its end. */
void http_head_field(struct http_head *head, const char *line, size_t len);

/*
 * Takes one line as libcurl's header callback gives it, end and all: a status line begins a new
 * head, a blank one ends it. A status line that is none makes the head bad.
 */
void http_head_line(struct http_head *head, const char *line, size_t len);

/*
 * Reads a whole head from the beginning of bytes: its length with the blank line, 0 when more bytes
 * are needed, -EPROTO when it is none or longer than HTTP_HEAD_MAX.
 */
long http_head_read(struct http_head *head, const char *bytes, size_t len);

/* errno of an HTTP status that is not the wanted one: negative, and whether trying again may help.
 */
struct http_status_errno {
	int err;
	bool again;
};
struct http_status_errno http_status_errno(unsigned status, bool at_open);

/*
 * What a head means for the asker of `range` of `version`: 0, or -errno with a reason in words. An
 * answer in chunks may pass: its length is to be seen then.
 */
int http_head_check(const struct http_head *head, struct range range, const struct version *version,
	bool *ret_again, const char **ret_reason);

/* Fills a version from a head's total or length and validators. */
void http_head_version(const struct http_head *head, uint64_t size, struct version *ret);

/*
 * The size of the object, by the answer to a range of its first `asked` bytes of which body_len
 * have come. -ENOTSUP, -EPROTO: it does not tell, and *ret_reason says why.
 */
int http_head_probe(const struct http_head *head, size_t asked, size_t body_len, uint64_t *ret_size,
	const char **ret_reason);
