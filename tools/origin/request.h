/* request.h - one request's head, parsed. Pure; one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORIGIN_PATH_SIZE 4096

enum method { METHOD_GET, METHOD_HEAD, METHOD_PUT, METHOD_OTHER };

enum request_field {
	FIELD_AUTHORIZATION,
	FIELD_HOST,
	FIELD_CONNECTION,
	FIELD_RANGE,
	FIELD_IF_RANGE,
	FIELD_IF_MATCH,
	FIELD_IF_NONE_MATCH,
	FIELD_IF_MODIFIED_SINCE,
	FIELD_IF_UNMODIFIED_SINCE,
	FIELD_CONTENT_LENGTH,
	FIELD_TRANSFER_ENCODING,
	FIELD_EXPECT,
	FIELD_COUNT,
};

struct request {
	enum method method;
	const char *method_name;
	const char *target; /* the path as it was sent, without query */
	const char *query;  /* what follows its '?', as it was sent; "" if none */
	int minor;          /* of HTTP/1.x */
	bool keep_alive;
	bool has_body;
	uint64_t content_length;
	const char *fields[FIELD_COUNT]; /* NULL: not sent */
	size_t path_length;
	char path[ORIGIN_PATH_SIZE]; /* decoded; it begins with a slash, and has no ".." in it */
};

/*
 * The length of the head at the start of text, with its empty line; 0 when it is not complete.
 * *scanned (0 at first) remembers how far earlier calls for the same head have looked.
 */
size_t origin_request_length(const char *text, size_t len, size_t *scanned);

/* Parses that head; text is modified, and the request points into it. 0 or the status to answer. */
int origin_request_parse(char *text, size_t len, struct request *request);
