/*
 * body.h - the bytes of an answer after its head, at any position. One thread.
 *
 * A body is a pure function of the position on the wire: nothing has to be kept of what was sent in
 * part, it is made again. With chunked the wire has the framing of Transfer-Encoding in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct resource;

enum body_kind { BODY_NONE, BODY_TEXT, BODY_FILE, BODY_PATTERN };

#define BODY_INTACT UINT64_MAX

struct body {
	enum body_kind kind;
	bool chunked;
	uint64_t offset;     /* of the first byte, in the text, the file or the object */
	uint64_t length;     /* without framing */
	uint64_t corrupt_at; /* a bit of this byte is flipped; BODY_INTACT: of none */
	uint64_t seed;
	char *text;                /* owned, from malloc() */
	struct resource *resource; /* a reference */
};

void origin_body_finish(struct body *body);

uint64_t origin_body_wire_length(const struct body *body);

/* Up to len bytes from that position of the wire. 0: the file has become shorter. */
ssize_t origin_body_read(const struct body *body, uint64_t position, void *buf, size_t len);
