/*
 * object_support.h - a core over a source without any network, for the tests of objects.
 *
 * object_support.c defines http_source_create(), so that a core gets a source that keeps the
 * exchanges it was given: bytes arrive when a test delivers them. All cores of a test have one loop
 * and one source. The byte at offset i of an object is pattern(i). The loop runs only where a test
 * waits for a timer.
 */
#pragma once

#include "check.h"
#include "core.h"
#include "object.h"

#define GETS_MAX 512
#define KEEPS 3 /* values of enum object_keep */
#define BLOCK BLOCK_BYTES
#define PAGE PAGE_BYTES

/* ---- the source ---------------------------------------------------------------------------- */

struct fake {
	struct source source;
	char url[32];                    /* of every remote */
	struct exchange *gets[GETS_MAX]; /* under way, in the order of submission */
	size_t count;
	unsigned submitted, cancelled, pinned;
	int refuse;        /* what get returns from now on */
	uint64_t wrong_at; /* the byte at this offset arrives wrong, */
	unsigned wrong;    /* ... so many times */
};
extern struct fake fake;

uint8_t pattern(uint64_t offset);

/* len bytes arrive, in pieces as the buffers have room for; no more of a cancelled exchange. */
void deliver(struct exchange *exchange, uint64_t len);
/* From memory that is not the exchange's buffer, as the bytes that come with the head are. */
void deliver_elsewhere(struct exchange *exchange, size_t len);
/* The exchange is over: with 0 or an error, which may pass if it is tried again. */
void end(struct exchange *exchange, int err, bool again);
void deliver_all(struct exchange *exchange);
void deliver_everything(void);

/* ---- wants --------------------------------------------------------------------------------- */

struct test_want {
	struct want want;
	struct object *object;
	uint64_t bytes;  /* that arrived */
	uint64_t failed; /* bytes that failed */
	int err;
	unsigned arrivals;
	struct want *remove;     /* removed at the next arrival */
	struct object **destroy; /* destroyed then */
	struct range drop;       /* dropped then */
	struct range fetch;      /* fetched then */
};

void add_want(struct test_want *self, struct object *object, uint64_t start, uint64_t end_at);

/* ---- the core ------------------------------------------------------------------------------ */

extern struct core *core;

void make_core(struct core_options options);
/* Another one on the same loop; finish_other_core() comes before finish_core(). */
struct core *make_other_core(struct core_options options);
/* Both: nothing may be left of anything. */
void finish_other_core(struct core *other);
void finish_core(void);

struct object *make_object(uint64_t size, enum object_keep keep);
struct object *make_object_of(struct core *of, uint64_t size, enum object_keep keep);
/* With a digest or hashes. */
struct object *make_object_like(const struct version *version, enum object_keep keep);

/* object_fetch() in ranges as long as may be. */
int ask(struct object *object, struct range range, uint64_t urgent);

/* Runs the loop until more than `before` exchanges were submitted (true), or no transfer is left.
 */
bool wait_for_attempt(unsigned before);
/* Runs the loop for so long. */
void run_for_ms(unsigned ms);
