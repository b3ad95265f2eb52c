/*
 * actions.h - what a rule of the script does to an answer. One thread.
 *
 * The list below is the only place where an action is named: its enum, its word in the script, how
 * its value is read. To add one, add a row, and use it in reply.c or answer.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define ORIGIN_ACTIONS(X) \
	/* before the first byte */ \
	X(DELAY, "delay", DURATION)		/* wait so long before the head */ \
	X(CLOSE, "close", FLAG)			/* close without a byte; with truncate=: after it */ \
	X(RESET, "reset", FLAG)			/* the same with RST in place of FIN */ \
	X(CUT_HEAD, "cut-head", SIZE)		/* send so much of the head, then close */ \
	X(INTERIM, "interim", SIZE)		/* so many 103 answers first */ \
	/* which answer */ \
	X(STATUS, "status", SIZE)		/* below 300: another label; else a page with it */ \
	X(STATUS_LINE, "status-line", TEXT)	/* in place of the whole first line */ \
	X(HTTP10, "http10", FLAG)		/* HTTP/1.0 in that line, and close after it */ \
	X(AS, "as", TEXT)			/* the object (or index) of this path in place of its own */ \
	X(BODY, "body", TEXT)			/* this body, with its Content-Length; {n} in it: */ \
						/* how many requests there were before */ \
	X(ETAG, "etag", TEXT)			/* the object's validator, with its quotes */ \
	X(SEED, "seed", SIZE)			/* other bytes of a generated object */ \
	X(SIZE, "size", SIZE)			/* another size of a generated object */ \
	X(IGNORE_RANGE, "ignore-range", FLAG)	/* 200 with everything */ \
	X(IGNORE_CONDITIONS, "ignore-conditions", FLAG) /* no 304 and no 412 */ \
	X(SHIFT, "shift", SIZE)			/* another range, so much later, labelled as such */ \
	X(SKEW, "skew", SIZE)			/* the bytes from so much later under the same label */ \
	X(CORRUPT, "corrupt", SIZE)		/* flip a bit of this body byte */ \
	/* the head */ \
	X(CONTENT_RANGE, "content-range", TEXT) /* the field's value */ \
	X(LENGTH, "length", TEXT)		/* the value of Content-Length */ \
	X(GZIP_LABEL, "gzip-label", FLAG)	/* Content-Encoding: gzip on identity bytes */ \
	X(CHUNKED, "chunked", FLAG)		/* Transfer-Encoding: chunked */ \
	X(HEADER_FLOOD, "header-flood", SIZE)	/* so many more fields */ \
	X(HEADER_LONG, "header-long", SIZE)	/* one with so long a value */ \
	X(HEADER_NUL, "header-nul", FLAG)	/* one with a NUL in its value */ \
	X(ODD_CASE, "odd-case", FLAG)		/* nAmE :, as odd as RFC 9110 allows: case, blanks, tabs */ \
	X(NO_KEEPALIVE, "no-keepalive", FLAG)	/* Connection: close, and do */ \
	/* the body's bytes on the wire, with chunked those of its framing too */ \
	X(RATE, "rate", SIZE)			/* bytes a second, on each connection */ \
	X(ONE_BYTE_PER, "one-byte-per", DURATION) /* one byte each time this has passed */ \
	X(SURPLUS, "surplus", SIZE)		/* so many bytes more than the head tells */ \
	X(TRUNCATE, "truncate", SIZE)		/* close after so many */ \
	X(STALL, "stall", SIZE)			/* nothing more after so many */ \
	X(STALL_FOR, "stall-for", DURATION)	/* so long only, then go on */ \
	X(CLOSE_AFTER, "close-after", DURATION) /* close so long after an answer that promised not to */
/* clang-format on */

enum action {
#define X(id, name, kind) ACTION_##id,
	ORIGIN_ACTIONS(X)
#undef X
		ACTION_COUNT,
};

/* header= (replaces), add-header=, drop-header=: these pile up. */
struct field_edit {
	enum { EDIT_SET, EDIT_ADD, EDIT_DROP } kind;
	const char *name;
	const char *value;
};

#define ORIGIN_EDITS_MAX 16

struct actions {
	uint64_t given; /* a bit for each action */
	union {
		uint64_t number; /* bytes or nanoseconds */
		const char *text;
	} values[ACTION_COUNT];
	size_t edit_count;
	struct field_edit edits[ORIGIN_EDITS_MAX];
};

static inline bool action_given(const struct actions *actions, enum action action)
{
	return actions->given >> action & 1;
}

static inline uint64_t action_number(
	const struct actions *actions, enum action action, uint64_t otherwise)
{
	return action_given(actions, action) ? actions->values[action].number : otherwise;
}

static inline const char *action_text(const struct actions *actions, enum action action)
{
	return action_given(actions, action) ? actions->values[action].text : NULL;
}

/* One word of the script; value NULL: it had none. value is modified, and must outlive actions. */
int origin_action_parse(struct actions *actions, const char *name, char *value);

/* Adds those of other to actions; of the same action other's stands. */
void origin_actions_merge(struct actions *actions, const struct actions *other);
