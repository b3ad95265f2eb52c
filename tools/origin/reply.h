/* reply.h - what a request is answered with, before that becomes bytes. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conditions.h"
#include "range.h"

struct origin;
struct resource;

struct reply {
	int status;
	struct resource *resource; /* NULL: the path names nothing, or a directory */
	bool page;                 /* text is sent, whatever the resource is */
	uint64_t size;             /* of the resource, as far as the client may know */
	struct validator validator;
	struct range range;
	char *location; /* of a redirect */
	const char *type;
	char *text;
	size_t text_length;
};

/*
 * Decides about origin->request, with origin->actions as the outcome of the script. status 0, or
 * that of a request which could not be read. 0 or -ENOMEM; finish it in any case.
 */
int origin_reply_prepare(struct origin *origin, int status, struct reply *reply);

void origin_reply_finish(struct reply *reply);
