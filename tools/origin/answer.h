/* answer.h - an answer, ready to be sent. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "body.h"

struct origin;

enum answer_end { END_KEEP, END_CLOSE, END_RESET };

#define ANSWER_NEVER UINT64_MAX

struct answer {
	char *head; /* in head_room, or from malloc() */
	size_t head_length;
	size_t head_sent;
	struct body body;
	uint64_t position; /* bytes of the body, as it is on the wire, that were sent */
	uint64_t end;      /* those to be sent */
	enum answer_end finish;

	/* How the script delays it. */
	uint64_t delay_ns;
	uint64_t rate;           /* bytes a second; 0: as fast as it goes */
	uint64_t byte_ns;        /* one byte each time this has passed; 0: no */
	uint64_t stall_at;       /* position; ANSWER_NEVER */
	uint64_t stall_ns;       /* ANSWER_NEVER: for ever */
	uint64_t close_after_ns; /* once it is sent; ANSWER_NEVER */

	char head_room[1024];
};

/* The answer to origin->request; status 0, or that of a request which could not be read. */
int origin_answer_prepare(struct origin *origin, int status, struct answer *answer);

/* One with a text of our own, from malloc(), which the answer then owns; NULL: no body. */
int origin_answer_text(struct origin *origin, int status, const char *type, char *text,
	size_t length, struct answer *answer);

void origin_answer_finish(struct answer *answer);
